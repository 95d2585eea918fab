//! What the server is told: defaults, then `hallway.toml`, then the environment, then flags; one file for each section. In reading order:
//! [`layers`] (where values come from), [`keys`] (which there are), the sections, [`validate`], [`print`].

mod bounds;
mod conference;
mod http;
mod jwt;
mod keys;
mod layers;
mod listen;
mod mqtt;
mod pretix;
mod print;
mod push;
mod server;
mod socketio;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod validate;
mod venue;
mod web_origin;
mod xmpp;

use std::collections::BTreeMap;
use std::path::PathBuf;

use hallway_broker::badges::BadgeOptions;
use hallway_broker::limits::Limits;
use serde::{Deserialize, Serialize};

pub use conference::{Channel, ChannelKind, Conference, FullChannel};
pub use http::Http;
pub use jwt::Jwt;
pub use layers::{Layers, Origin};
pub use listen::{Address, Listen};
pub use mqtt::Mqtt;
pub use pretix::Pretix;
pub use push::Push;
pub use server::{LogFormat, Mode, Server};
pub use socketio::Socketio;
pub use store::Store;
pub use tls::Tls;
pub use venue::Venue;
pub use web_origin::WebOrigin;
pub use xmpp::{Component, Xmpp};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "hallway.toml";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which addresses are listened on.
    pub listen: Listen,
    /// Where and how things are kept.
    pub store: Store,
    /// HTTP and WebSocket.
    pub http: Http,
    /// The certificate.
    pub tls: Tls,
    /// MQTT.
    pub mqtt: Mqtt,
    /// What kind of server this is.
    pub server: Server,
    /// XMPP.
    pub xmpp: Xmpp,
    /// Socket.IO.
    pub socketio: Socketio,
    /// The hub's bounds.
    pub limits: Limits,
    /// What is done about badges.
    pub badges: BadgeOptions,
    /// Push.
    pub push: Push,
    /// Conferences by id.
    pub conference: BTreeMap<String, Conference>,
}

/// Why the configuration is not used. Every text says which key to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {message}", path = .path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// There is no such key.
    #[error("unknown key {key} ({origin}){}", suggestion.as_deref().map(|near| format!(": did you mean {near}?")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The nearest key that there is.
        suggestion: Option<String>,
    },
    /// The key cannot have this value.
    #[error("{key} ({origin}): {message}")]
    Value {
        /// The key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// What is wrong and what to do.
        message: String,
    },
}

/// The configuration in force, and where each of its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
    /// What is not wrong but probably not meant.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Puts the layers together and checks the result.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_layers(mut layers: Layers) -> Result<Self, ConfigError> {
        if layers.has_file() {
            // A file says what the server is for: it is a demo only when it says so.
            layers.imply("server.mode", "server", "the default with a configuration file");
        }
        keys::check(&layers)?;
        let config = layers.build()?;
        let loaded = Self { config, warnings: layers.warnings(), origins: layers.origins() };
        validate::check(&loaded)?;
        Ok(loaded)
    }

    /// Where a key's value came from; a section's, where the first of its keys did.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        let first_in_it = || {
            let section = format!("{key}.");
            let (first, origin) = self.origins.range(section.clone()..).next()?;
            first.starts_with(&section).then_some(origin)
        };
        self.origins.get(key).or_else(first_in_it).cloned().unwrap_or(Origin::Default)
    }
}
