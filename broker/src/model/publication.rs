//! What is published on topics that are not a conversation's, and what is kept of MQTT sessions. Records of the state, as those beside this file.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, Uid};

/// What part of a conference's topics a publication is in: who may read differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Realm {
    /// The applications' own.
    Apps,
    /// Those outside `conf/`, of a plain broker.
    Plain,
    /// What badge readers scan and are told.
    Badges,
    /// The server about itself.
    Server,
}

/// What was published on a topic that is not a conversation's. The most recent ones are kept like a conversation's entries, so that
/// sessions resume over them by the same cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The part of the topics.
    pub realm: Realm,
    /// The whole topic name.
    pub topic: Arc<str>,
    /// The payload, opaque.
    pub payload: Bytes,
    /// The publisher's QoS: 0, 1 or 2.
    pub qos: u8,
    /// Whether it is the topic's retained one from now on; with an empty payload, that the topic has none.
    pub retain: bool,
    /// When it is of no use any more, Unix ms; `u64::MAX` for never.
    pub expires_ms: u64,
    /// MQTT 5's properties of a message, when there are any.
    pub properties: Option<Box<Properties>>,
}

/// MQTT 5's properties of a message that are handed on unchanged (§3.3.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Properties {
    /// The payload is UTF-8.
    pub payload_is_utf8: bool,
    /// What the payload is.
    pub content_type: Option<Arc<str>>,
    /// Where an answer is expected.
    pub response_topic: Option<Arc<str>>,
    /// What the answer is to carry.
    pub correlation: Option<Bytes>,
    /// Name and value, in order.
    pub user: Vec<(Arc<str>, Arc<str>)>,
}

impl Publication {
    /// Whether it is of no use any more.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms <= now_ms
    }

    /// What is left of it when its author is erased: of no use to anybody from then on, so that it is not given.
    #[must_use]
    pub fn buried(&self) -> Self {
        let Self { realm, topic, qos, .. } = self;
        let topic = Arc::clone(topic);
        Self { realm: *realm, topic, payload: Bytes::new(), qos: *qos, retain: false, expires_ms: 0, properties: None }
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |properties| {
            let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
            let user: usize = properties.user.iter().map(|(name, value)| name.len() + value.len()).sum();
            text(&properties.content_type) + text(&properties.response_topic) + properties.correlation.as_ref().map_or(0, Bytes::len) + user
        });
        self.topic.len() + self.payload.len() + properties
    }
}

/// Record: a topic's retained publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    /// Its pos.
    pub pos: u64,
    /// Its seq.
    pub seq: u64,
    /// Whose it is.
    pub from: Uid,
    /// What it is.
    pub publication: Arc<Publication>,
}

/// Record: a publication that is stored with its topic, for those who come to it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its pos.
    pub pos: u64,
    /// When it was published, Unix ms.
    pub ts_ms: u64,
    /// Whose it is.
    pub from: Uid,
    /// What it is.
    pub publication: Arc<Publication>,
}

/// Record: what is stored with a topic, or with all topics of a conference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoredTotals {
    /// Publications; of a conference, topics that have any.
    pub count: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// Record: an MQTT session that outlives its connections. Its subscriptions are records of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSession {
    /// Seconds that it is kept after the connection has ended; `u32::MAX` for ever.
    pub expiry_s: u32,
    /// When the connection ended, Unix ms; 0 while there is one.
    pub ended_ms: u64,
    /// Everything up to this pos was sent, or needs not be.
    pub cursor: u64,
    /// What of it is not acknowledged, in the order in which it was sent.
    pub in_flight: Vec<InFlight>,
}

/// A message that was sent and is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its pos: the packet id follows from it.
    pub pos: u64,
    /// The conversation that it is in.
    pub conversation: ConversationId,
    /// Its seq there.
    pub seq: u64,
    /// How it was sent: 1 or 2.
    pub qos: u8,
    /// QoS 2: it has arrived (PUBREC), PUBREL is on its way.
    pub released: bool,
}

/// Record: a subscription of a kept session, found by its filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSubscription {
    /// The filter, as it was asked for.
    pub filter: Arc<str>,
    /// The granted QoS.
    pub qos: u8,
    /// Not what the session itself published.
    pub no_local: bool,
    /// The retain flag as it was published.
    pub retain_as_published: bool,
    /// The subscription identifier; 0 for none.
    pub identifier: u32,
    /// Only what is above this pos.
    pub since_pos: u64,
}
