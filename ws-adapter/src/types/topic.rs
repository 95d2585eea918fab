//! `topic.*`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Time;

/// Names an application's topic.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TopicParams<'a> {
    /// The application's own name of it: what stands behind `topic/` over MQTT.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
}

/// Parameters of `topic.transmit`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TransmitParams<'a> {
    /// The topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// What it is, to the application.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    /// What it says.
    #[serde(borrow, default)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub payload: Option<&'a RawValue>,
    /// Whether it is stored for those who subscribe later.
    #[serde(default)]
    pub store: bool,
}

/// Somebody at a topic.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PresentShape {
    /// Their display name.
    pub name: String,
    /// The ids of their connections.
    pub cids: Vec<String>,
}

/// What comes on a topic: the parameters of the notification `topic`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TopicFrameShape {
    /// The sender's action; the server's own are `subscriber` and `unsubscriber`.
    pub r#type: String,
    /// The topic.
    pub topic: String,
    /// Whose.
    pub sender: String,
    /// Whether it is stored.
    pub store: bool,
    /// When.
    pub timestamp: Time,
    /// What it says.
    pub payload: serde_json::Value,
}

/// Result of `topic.subscribe`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TopicSubscribed {
    /// The connection's id, as others see it.
    pub connection_id: String,
    /// Who is there, by uid.
    pub users: BTreeMap<String, PresentShape>,
    /// How many messages are stored.
    pub stored: u64,
    /// Those.
    pub messages: Vec<TopicFrameShape>,
}
