//! MQTT 5's properties (§2.2.2): which there are, of what type, in which packets, and whether they may come twice. One table for all packets.

use super::cursor::Cursor;
use super::{Violation, malformed, protocol_error};

/// The packets that have properties, as bits.
pub const CONNECT: u16 = 1;
/// The will in a CONNECT.
pub const WILL: u16 = 2;
/// PUBLISH.
pub const PUBLISH: u16 = 4;
/// PUBACK, PUBREC, PUBREL, PUBCOMP.
pub const ACK: u16 = 8;
/// SUBSCRIBE.
pub const SUBSCRIBE: u16 = 16;
/// UNSUBSCRIBE.
pub const UNSUBSCRIBE: u16 = 32;
/// DISCONNECT.
pub const DISCONNECT: u16 = 64;
/// AUTH.
pub const AUTH: u16 = 128;

/// What a property's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A byte, two or four, or a variable byte integer.
    Number(u32),
    /// UTF-8.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// Name and value.
    Pair(&'a str, &'a str),
}

impl<'a> Value<'a> {
    pub fn number(self) -> u32 {
        if let Self::Number(number) = self { number } else { 0 }
    }
    pub fn text(self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
    pub fn binary(self) -> Option<&'a [u8]> {
        if let Self::Binary(bytes) = self { Some(bytes) } else { None }
    }
    /// A flag: 0 or 1, nothing else.
    pub fn flag(self) -> Result<bool, Violation> {
        match self.number() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(protocol_error("MQTT-3.1.2.11")),
        }
    }
}

/// Identifiers of properties that clients send.
pub mod id {
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub const SESSION_EXPIRY: u8 = 0x11;
    pub const AUTHENTICATION_METHOD: u8 = 0x15;
    pub const AUTHENTICATION_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub const WILL_DELAY: u8 = 0x18;
    pub const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub const REASON_STRING: u8 = 0x1F;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const USER_PROPERTY: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
}

#[derive(Clone, Copy)]
enum Type {
    Byte,
    Two,
    Four,
    Varint,
    Text,
    Binary,
    Pair,
}

/// Identifier, type, and the packets of a client that it is allowed in. Those that only a server sends are allowed in none.
const TABLE: &[(u8, Type, u16)] = &[
    (id::PAYLOAD_FORMAT, Type::Byte, PUBLISH | WILL),
    (id::MESSAGE_EXPIRY, Type::Four, PUBLISH | WILL),
    (id::CONTENT_TYPE, Type::Text, PUBLISH | WILL),
    (id::RESPONSE_TOPIC, Type::Text, PUBLISH | WILL),
    (id::CORRELATION_DATA, Type::Binary, PUBLISH | WILL),
    (id::SUBSCRIPTION_IDENTIFIER, Type::Varint, SUBSCRIBE),
    (id::SESSION_EXPIRY, Type::Four, CONNECT | DISCONNECT),
    (0x12, Type::Text, 0),
    (0x13, Type::Two, 0),
    (id::AUTHENTICATION_METHOD, Type::Text, CONNECT | AUTH),
    (id::AUTHENTICATION_DATA, Type::Binary, CONNECT | AUTH),
    (id::REQUEST_PROBLEM_INFORMATION, Type::Byte, CONNECT),
    (id::WILL_DELAY, Type::Four, WILL),
    (id::REQUEST_RESPONSE_INFORMATION, Type::Byte, CONNECT),
    (0x1A, Type::Text, 0),
    (0x1C, Type::Text, 0),
    (id::REASON_STRING, Type::Text, ACK | DISCONNECT | AUTH),
    (id::RECEIVE_MAXIMUM, Type::Two, CONNECT),
    (id::TOPIC_ALIAS_MAXIMUM, Type::Two, CONNECT),
    (id::TOPIC_ALIAS, Type::Two, PUBLISH),
    (0x24, Type::Byte, 0),
    (0x25, Type::Byte, 0),
    (id::USER_PROPERTY, Type::Pair, u16::MAX),
    (id::MAXIMUM_PACKET_SIZE, Type::Four, CONNECT),
    (0x28, Type::Byte, 0),
    (0x29, Type::Byte, 0),
    (0x2A, Type::Byte, 0),
];

/// Reads a packet's properties, length in front, and hands each to `take`. Returns their bytes.
pub fn read<'a>(
    packet: u16,
    from: &mut Cursor<'a>,
    mut take: impl FnMut(u8, Value<'a>) -> Result<(), Violation>,
) -> Result<&'a [u8], Violation> {
    let len = from.varint()? as usize;
    let bytes = from.take(len)?;
    let mut cursor = Cursor::new(bytes);
    let mut seen = 0u64;
    while !cursor.is_empty() {
        let id = cursor.u8()?;
        // [MQTT-2.2.2-2]
        let (_, kind, packets) = TABLE.iter().find(|(known, ..)| *known == id).ok_or(malformed("MQTT-2.2.2-2"))?;
        if packets & packet == 0 {
            if id == id::SUBSCRIPTION_IDENTIFIER && packet == PUBLISH {
                return Err(protocol_error("MQTT-3.3.4-6"));
            }
            return Err(if *packets == 0 { protocol_error("MQTT-2.2.2-2") } else { malformed("MQTT-2.2.2-2") });
        }
        // All but the user property at most once (§2.2.2.2).
        if id != id::USER_PROPERTY && seen & (1 << id) != 0 {
            return Err(protocol_error("MQTT-2.2.2.2"));
        }
        seen |= 1 << id;
        take(id, value(*kind, &mut cursor)?)?;
    }
    Ok(bytes)
}

fn value<'a>(kind: Type, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Violation> {
    Ok(match kind {
        Type::Byte => Value::Number(cursor.u8()?.into()),
        Type::Two => Value::Number(cursor.u16()?.into()),
        Type::Four => Value::Number(cursor.u32()?),
        Type::Varint => Value::Number(cursor.varint()?),
        Type::Text => Value::Text(cursor.string()?),
        Type::Binary => Value::Binary(cursor.binary()?),
        Type::Pair => Value::Pair(cursor.string()?, cursor.string()?),
    })
}

/// The user properties among properties that were read before.
pub fn user_properties(bytes: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let mut cursor = Cursor::new(bytes);
    std::iter::from_fn(move || {
        while !cursor.is_empty() {
            let id = cursor.u8().ok()?;
            let (_, kind, _) = TABLE.iter().find(|(known, ..)| *known == id)?;
            if let Value::Pair(name, text) = value(*kind, &mut cursor).ok()? {
                return Some((name, text));
            }
        }
        None
    })
}
