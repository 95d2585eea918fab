//! `[xmpp]`: read and checked from the start, used by the XMPP edge.

use serde::{Deserialize, Serialize};

/// The settings of XMPP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Xmpp {
    /// Occupants of a room whose presence all of them see.
    pub room_presence_max: u32,
    /// Longest stanza in bytes.
    pub stanza_bytes: usize,
    /// Deepest nesting in a stanza.
    pub depth_max: usize,
}

impl Default for Xmpp {
    fn default() -> Self {
        Self { room_presence_max: 300, stanza_bytes: 262_144, depth_max: 64 }
    }
}
