//! Builds the bytes of a client's packets. Nothing is checked here: a test must be able to send what no client may send.

use std::fmt;

use super::Version;
use super::property::{Properties, Value};

/// PINGREQ.
pub const PINGREQ: [u8; 2] = [0xC0, 0];
/// First byte of PUBACK.
pub const PUBACK: u8 = 0x40;
/// First byte of PUBREC.
pub const PUBREC: u8 = 0x50;
/// First byte of PUBREL.
pub const PUBREL: u8 = 0x62;
/// First byte of PUBCOMP.
pub const PUBCOMP: u8 = 0x70;

/// CONNECT and how it is to be broken.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Decides the protocol level and whether there are properties.
    pub version: Version,
    /// The protocol name.
    pub protocol: Vec<u8>,
    /// The protocol level byte.
    pub level: u8,
    /// The client id.
    pub client_id: Vec<u8>,
    /// Clean session or clean start.
    pub clean: bool,
    /// Seconds.
    pub keep_alive: u16,
    /// The user name, if any.
    pub user: Option<Vec<u8>>,
    /// The password, if any.
    pub password: Option<Vec<u8>>,
    /// The will, if any.
    pub will: Option<Will>,
    /// MQTT 5 only.
    pub properties: Properties,
    /// Turns over bits of the flag byte.
    pub flip: u8,
    /// Bytes behind the payload.
    pub tail: Vec<u8>,
}

/// A will.
#[derive(Debug, Clone, Default)]
pub struct Will {
    /// Its topic.
    pub topic: Vec<u8>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// A message, sent or received.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Publish {
    /// Sent before, perhaps.
    pub dup: bool,
    /// 0 to 2.
    pub qos: u8,
    /// Retained.
    pub retain: bool,
    /// Topic name; bytes, so that a broken one can be sent.
    pub topic: Vec<u8>,
    /// Packet id; written only with a QoS over 0.
    pub id: u16,
    /// MQTT 5 only.
    pub properties: Properties,
    /// Payload.
    pub payload: Vec<u8>,
}

/// A packet with that first byte and that body, and the shortest length.
#[must_use]
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    variable(&mut out, u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(body);
    out
}

/// A variable byte integer.
pub fn variable(out: &mut Vec<u8>, mut value: u32) {
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Two bytes of length and the bytes. What is longer than 65,535 bytes is cut.
pub fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

/// Length and properties.
pub fn properties(out: &mut Vec<u8>, list: &Properties) {
    let mut body = Vec::new();
    for (id, value) in list {
        body.push(*id);
        match value {
            Value::Byte(value) => body.push(*value),
            Value::Two(value) => body.extend_from_slice(&value.to_be_bytes()),
            Value::Four(value) => body.extend_from_slice(&value.to_be_bytes()),
            Value::Variable(value) => variable(&mut body, *value),
            Value::Text(bytes) | Value::Binary(bytes) => text(&mut body, bytes),
            Value::Pair(key, value) => {
                text(&mut body, key.as_bytes());
                text(&mut body, value.as_bytes());
            }
        }
    }
    variable(out, u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(&body);
}

impl Connect {
    /// A clean session with keep alive 60 s and nothing else.
    #[must_use]
    pub fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            protocol: b"MQTT".to_vec(),
            level: version.level(),
            client_id: client_id.into(),
            clean: true,
            keep_alive: 60,
            user: None,
            password: None,
            will: None,
            properties: Vec::new(),
            flip: 0,
            tail: Vec::new(),
        }
    }

    fn flags(&self) -> u8 {
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | (will.qos << 3) | (u8::from(will.retain) << 5);
        }
        flags |= u8::from(self.password.is_some()) << 6;
        flags |= u8::from(self.user.is_some()) << 7;
        flags ^ self.flip
    }

    /// The body, without the fixed header.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, &self.protocol);
        body.push(self.level);
        body.push(self.flags());
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        if self.version == Version::V5 {
            properties(&mut body, &self.properties);
        }
        text(&mut body, &self.client_id);
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                properties(&mut body, &will.properties);
            }
            text(&mut body, &will.topic);
            text(&mut body, &will.payload);
        }
        for field in [&self.user, &self.password].into_iter().flatten() {
            text(&mut body, field);
        }
        body.extend_from_slice(&self.tail);
        body
    }

    /// The packet.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        frame(0x10, &self.body())
    }
}

/// Readable in a report: text as text, and a long payload by its length.
impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dup, qos, retain, topic, id, properties, payload } = self;
        let topic = String::from_utf8_lossy(topic);
        write!(f, "PUBLISH of QoS {qos}, id {id}, dup {dup}, retain {retain}, topic {topic:.80?}, ")?;
        if !properties.is_empty() {
            write!(f, "properties {properties:?}, ")?;
        }
        match payload.len() {
            0..=40 => write!(f, "payload {:?}", payload.escape_ascii().to_string()),
            length => write!(f, "{length} bytes of payload"),
        }
    }
}

impl Publish {
    /// A message without properties.
    #[must_use]
    pub fn new(topic: impl AsRef<[u8]>, qos: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { qos, topic: topic.as_ref().to_vec(), payload: payload.as_ref().to_vec(), ..Self::default() }
    }

    /// The same, retained.
    #[must_use]
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The same with packet id.
    #[must_use]
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// The same with one more property.
    #[must_use]
    pub fn with(mut self, id: u8, value: Value) -> Self {
        self.properties.push((id, value));
        self
    }

    /// The packet.
    #[must_use]
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, &self.topic);
        if self.qos > 0 {
            body.extend_from_slice(&self.id.to_be_bytes());
        }
        if version == Version::V5 {
            properties(&mut body, &self.properties);
        }
        body.extend_from_slice(&self.payload);
        frame(0x30 | (u8::from(self.dup) << 3) | (self.qos << 1) | u8::from(self.retain), &body)
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP in the shortest form.
#[must_use]
pub fn ack(first: u8, id: u16) -> Vec<u8> {
    frame(first, &id.to_be_bytes())
}

/// The same with a reason code (MQTT 5).
#[must_use]
pub fn ack_code(first: u8, id: u16, code: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    frame(first, &[high, low, code])
}

/// The body of SUBSCRIBE: filters with their option byte.
#[must_use]
pub fn subscribe_body<F: AsRef<[u8]>>(version: Version, id: u16, filters: &[(F, u8)], list: &Properties) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        properties(&mut body, list);
    }
    for (filter, options) in filters {
        text(&mut body, filter.as_ref());
        body.push(*options);
    }
    body
}

/// The body of UNSUBSCRIBE.
#[must_use]
pub fn unsubscribe_body<F: AsRef<[u8]>>(version: Version, id: u16, filters: &[F]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        properties(&mut body, &Vec::new());
    }
    for filter in filters {
        text(&mut body, filter.as_ref());
    }
    body
}

/// DISCONNECT; code and properties only in MQTT 5.
#[must_use]
pub fn disconnect(version: Version, code: u8, list: &Properties) -> Vec<u8> {
    if version == Version::V4 || (code == 0 && list.is_empty()) {
        return frame(0xE0, &[]);
    }
    let mut body = vec![code];
    properties(&mut body, list);
    frame(0xE0, &body)
}
