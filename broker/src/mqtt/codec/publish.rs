//! PUBLISH (§3.3), and the properties of a message.

use std::sync::Arc;

use super::cursor::Cursor;
use super::property::{self, Value, id, user_properties};
use super::{Code, Qos, Version, Violation, malformed, protocol_error};

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent again.
    pub dup: bool,
    /// How surely.
    pub qos: Qos,
    /// To be kept as the topic's last.
    pub retain: bool,
    /// The topic; empty when the alias stands for it.
    pub topic: &'a str,
    /// The packet id; 0 with QoS 0.
    pub packet_id: u16,
    /// A number for the topic.
    pub topic_alias: Option<u16>,
    /// The message's properties.
    pub message: MessageProperties<'a>,
    /// The payload.
    pub payload: &'a [u8],
}

/// The properties of a message (§3.3.2.3) that are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageProperties<'a> {
    /// The payload is UTF-8.
    pub payload_is_utf8: bool,
    /// Seconds until it is of no use any more.
    pub expiry_s: Option<u32>,
    /// What the payload is.
    pub content_type: Option<&'a str>,
    /// Where an answer is expected.
    pub response_topic: Option<&'a str>,
    /// What the answer is to carry.
    pub correlation_data: Option<&'a [u8]>,
    /// Names and values.
    pub user_properties: UserProperties<'a>,
}

/// User properties, still encoded among the others that they came with.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct UserProperties<'a> {
    bytes: &'a [u8],
}

impl std::fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> UserProperties<'a> {
    /// Of properties that were read.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Those of a message that is sent, encoded by [`Self::encode`].
    #[must_use]
    pub fn encoded(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Encodes names and values.
    #[must_use]
    pub fn encode(pairs: &[(Arc<str>, Arc<str>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in pairs {
            bytes.push(id::USER_PROPERTY);
            for text in [name, value] {
                let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
                bytes.extend_from_slice(&len.to_be_bytes());
                bytes.extend_from_slice(&text.as_bytes()[..len.into()]);
            }
        }
        bytes
    }

    /// Names and values, in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        user_properties(self.bytes)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// The value of the first one of this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl<'a> MessageProperties<'a> {
    /// Reads them; `other` is given those that are not a message's.
    pub(super) fn read(
        packet: u16,
        body: &mut Cursor<'a>,
        mut other: impl FnMut(u8, Value<'a>) -> Result<(), Violation>,
    ) -> Result<Self, Violation> {
        let mut found = Self::default();
        let bytes = property::read(packet, body, |id, value| {
            match id {
                id::PAYLOAD_FORMAT => found.payload_is_utf8 = value.flag()?,
                id::MESSAGE_EXPIRY => found.expiry_s = Some(value.number()),
                id::CONTENT_TYPE => found.content_type = value.text(),
                id::RESPONSE_TOPIC => found.response_topic = value.text(),
                id::CORRELATION_DATA => found.correlation_data = value.binary(),
                _ => other(id, value)?,
            }
            Ok(())
        })?;
        found.user_properties = UserProperties::of(bytes);
        // [MQTT-3.3.2-14]
        if found.response_topic.is_some_and(|topic| topic.is_empty() || topic.contains(['+', '#'])) {
            return Err(protocol_error("MQTT-3.3.2-14"));
        }
        Ok(found)
    }
}

impl<'a> Publish<'a> {
    pub(super) fn parse(version: Version, flags: u8, body: &mut Cursor<'a>) -> Result<Self, Violation> {
        let qos = Qos::from_bits(flags >> 1 & 3).ok_or(malformed("MQTT-3.3.1-4"))?;
        let (dup, retain) = (flags & 8 != 0, flags & 1 != 0);
        if dup && qos == Qos::AtMostOnce {
            return Err(malformed("MQTT-3.3.1-2"));
        }
        let topic = body.string()?;
        if topic.contains(['+', '#']) {
            return Err(Violation { code: Code::TOPIC_NAME_INVALID, clause: "MQTT-3.3.2-2" });
        }
        let packet_id = if qos == Qos::AtMostOnce { 0 } else { body.packet_id()? };
        let mut topic_alias = None;
        let message = if version == Version::V5 {
            MessageProperties::read(property::PUBLISH, body, |id, value| {
                if id == id::TOPIC_ALIAS {
                    topic_alias = u16::try_from(value.number()).ok();
                }
                Ok(())
            })?
        } else {
            MessageProperties::default()
        };
        if topic_alias == Some(0) {
            return Err(Violation { code: Code::TOPIC_ALIAS_INVALID, clause: "MQTT-3.3.2-8" });
        }
        if topic.is_empty() && topic_alias.is_none() {
            // §3.3.2.1; in 3.1.1 [MQTT-4.7.3-1]
            return Err(protocol_error("MQTT-4.7.3-1"));
        }
        Ok(Self { dup, qos, retain, topic, packet_id, topic_alias, message, payload: body.rest() })
    }
}
