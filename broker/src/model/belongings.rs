//! What a person keeps on the server for themselves, and whom they block.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Who reads the items of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Everybody in the conference.
    Open,
    /// Those who see the owner's presence.
    Presence,
    /// The owner alone.
    Private,
}

/// Settings of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSettings {
    /// Who reads it.
    pub access: Access,
    /// Items beyond these go, the oldest first.
    pub max_items: u32,
}

/// Record: a node of a user's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its settings.
    pub settings: NodeSettings,
    /// Items in it.
    pub items: u32,
}

/// Record: a kept item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Grows over all items of a user: what was kept later has more.
    pub order: u64,
    /// When it was kept, Unix ms.
    pub at_ms: u64,
    /// What was kept.
    pub payload: Arc<str>,
}

/// Record: what a user's blocks and kept items come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Belongings {
    /// People they block.
    pub blocked: u32,
    /// Nodes.
    pub nodes: u32,
    /// Items in them.
    pub items: u32,
    /// Bytes of ids and payloads of all items.
    pub bytes: u32,
    /// The last [`Item::order`] given.
    pub order: u64,
}
