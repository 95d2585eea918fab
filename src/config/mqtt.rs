//! `[mqtt]`: what the MQTT edge allows.

use serde::{Deserialize, Serialize};

/// The settings of MQTT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Clients may connect without a user name.
    pub anonymous: bool,
    /// Topics outside `conf/` and `$` may be used.
    pub plain_topics: bool,
    /// Both of these also off loopback: a plain broker for everybody who reaches it.
    pub plain_broker_for_all: bool,
    /// Longest keepalive that a client gets, in seconds.
    pub keepalive_max_s: u16,
    /// QoS 1 and 2 messages of one client under way at once.
    pub receive_maximum: u16,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self { anonymous: false, plain_topics: false, plain_broker_for_all: false, keepalive_max_s: 3600, receive_maximum: 1024 }
    }
}
