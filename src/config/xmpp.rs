//! `[xmpp]`: the XMPP edge.

use std::path::PathBuf;
use std::{fs, io};

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
    pub services: Vec<Service>,
    /// Servers that this one is a component of (XEP-0114).
    pub components: Vec<Component>,
    /// Most people of other servers in a conference; 0: none may come.
    pub remote_users_max: u32,
}

/// A server that this one is a component of. It connects there; nothing is listened on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Where that server takes components: `HOST:PORT`.
    pub server: String,
    /// The secret that it knows the component by. Never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A file that holds the secret instead; whitespace around it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The component's domain there: rooms are `lobby@DOMAIN`, people `~alice@DOMAIN`.
    pub domain: String,
    /// Whose rooms and people these are; the first that is configured when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conference: Option<String>,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("server", &self.server).field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Component {
    /// The secret.
    ///
    /// # Errors
    /// Its file cannot be read, or holds nothing.
    pub fn read_secret(&self) -> io::Result<String> {
        let secret = match (&self.secret, &self.secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(file)) => fs::read_to_string(file)?.trim().to_owned(),
            (None, None) => String::new(),
        };
        if secret.is_empty() { Err(io::Error::new(io::ErrorKind::InvalidData, "the secret is empty")) } else { Ok(secret) }
    }
}

impl Default for Xmpp {
    fn default() -> Self {
        Self {
            room_presence_max: 300,
            stanza_bytes: 262_144,
            depth_max: 64,
            services: Vec::new(),
            components: Vec::new(),
            remote_users_max: 1000,
        }
    }
}
