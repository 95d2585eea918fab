//! `[http]`: HTTP and WebSocket.

use serde::{Deserialize, Serialize};

use super::WebOrigin;

/// The settings of HTTP and WebSocket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Origins of web pages that may connect, besides our own; loopback origins always may on a loopback listener.
    pub origins: Vec<WebOrigin>,
}
