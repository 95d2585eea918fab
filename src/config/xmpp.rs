//! `[xmpp]`: the XMPP edge.

use hallway_bridge::xmpp::Service;
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
    /// Services beside this one that clients are told of (XEP-0215), such as STUN and TURN.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
}

impl Default for Xmpp {
    fn default() -> Self {
        Self { room_presence_max: 300, stanza_bytes: 262_144, depth_max: 64, services: Vec::new() }
    }
}
