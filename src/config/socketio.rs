//! `[socketio]`: Socket.IO's heartbeat. Which pages may connect is `[http] origins`, the longest message `[limits] frame_bytes`.

use std::time::Duration;

use hallway_ws_adapter::Heartbeat;
use serde::{Deserialize, Serialize};

/// The settings of Socket.IO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Socketio {
    /// How often there is a ping: the server's for protocol 5, the client's for protocol 4, in milliseconds.
    pub ping_interval_ms: u32,
    /// How long its answer may take, in milliseconds.
    pub ping_timeout_ms: u32,
}

impl Default for Socketio {
    fn default() -> Self {
        Self { ping_interval_ms: 25_000, ping_timeout_ms: 20_000 }
    }
}

impl Socketio {
    /// The same for the edge.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Heartbeat { interval: ms(self.ping_interval_ms), timeout: ms(self.ping_timeout_ms) }
    }
}
