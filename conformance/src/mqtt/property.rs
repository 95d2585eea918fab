//! The properties of MQTT 5: number, type of the value, and which packets of a server may carry them.

/// A property's value; the number decides which kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One byte.
    Byte(u8),
    /// Two bytes, big endian.
    Two(u16),
    /// Four bytes, big endian.
    Four(u32),
    /// A variable byte integer.
    Variable(u32),
    /// A UTF-8 string; bytes, so that a broken one can be sent.
    Text(Vec<u8>),
    /// Binary data.
    Binary(Vec<u8>),
    /// A pair of strings.
    Pair(String, String),
}

/// Number and value, in the order of the packet.
pub type Properties = Vec<(u8, Value)>;

/// 1 when the payload is UTF-8.
pub const PAYLOAD_FORMAT: u8 = 0x01;
/// Seconds a message lives.
pub const MESSAGE_EXPIRY: u8 = 0x02;
/// MIME type of the payload.
pub const CONTENT_TYPE: u8 = 0x03;
/// Where an answer goes.
pub const RESPONSE_TOPIC: u8 = 0x08;
/// Which request an answer belongs to.
pub const CORRELATION: u8 = 0x09;
/// Which subscription a message came by.
pub const SUBSCRIPTION_ID: u8 = 0x0B;
/// Seconds a session outlives its connection.
pub const SESSION_EXPIRY: u8 = 0x11;
/// The client id that the server chose.
pub const ASSIGNED_ID: u8 = 0x12;
/// The keep alive that the server wants.
pub const SERVER_KEEP_ALIVE: u8 = 0x13;
/// How to sign in by AUTH.
pub const AUTH_METHOD: u8 = 0x15;
/// Data for that.
pub const AUTH_DATA: u8 = 0x16;
/// 0: no reason strings, please.
pub const REQUEST_PROBLEM: u8 = 0x17;
/// Seconds before a will is published.
pub const WILL_DELAY: u8 = 0x18;
/// 1: response information, please.
pub const REQUEST_RESPONSE: u8 = 0x19;
/// Where answers may be sent.
pub const RESPONSE_INFORMATION: u8 = 0x1A;
/// Another server.
pub const SERVER_REFERENCE: u8 = 0x1C;
/// Words for a reason code.
pub const REASON_STRING: u8 = 0x1F;
/// Unacknowledged messages that the sender takes.
pub const RECEIVE_MAXIMUM: u8 = 0x21;
/// Topic aliases that the sender takes.
pub const ALIAS_MAXIMUM: u8 = 0x22;
/// A number in place of a topic.
pub const TOPIC_ALIAS: u8 = 0x23;
/// Highest QoS of a server.
pub const MAXIMUM_QOS: u8 = 0x24;
/// Whether a server retains.
pub const RETAIN_AVAILABLE: u8 = 0x25;
/// A pair of words.
pub const USER: u8 = 0x26;
/// Largest packet that the sender takes, in bytes.
pub const MAXIMUM_PACKET: u8 = 0x27;
/// Whether filters may have wildcards.
pub const WILDCARD_AVAILABLE: u8 = 0x28;
/// Whether subscriptions may have numbers.
pub const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
/// Whether subscriptions may be shared.
pub const SHARED_AVAILABLE: u8 = 0x2A;

/// The type of a property's value, without the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Byte`] of 0 or 1.
    Flag,
    /// [`Value::Two`].
    Two,
    /// [`Value::Four`].
    Four,
    /// [`Value::Variable`].
    Variable,
    /// [`Value::Text`].
    Text,
    /// [`Value::Binary`].
    Binary,
    /// [`Value::Pair`].
    Pair,
}

/// The kind of a property, and the packet types (high nibble) of a *server* that may carry it (MQTT 5, table 2-4).
#[must_use]
pub fn of(id: u8) -> Option<(Kind, &'static [u8])> {
    Some(match id {
        PAYLOAD_FORMAT => (Kind::Flag, &[3]),
        MESSAGE_EXPIRY => (Kind::Four, &[3]),
        CONTENT_TYPE | RESPONSE_TOPIC => (Kind::Text, &[3]),
        CORRELATION => (Kind::Binary, &[3]),
        SUBSCRIPTION_ID => (Kind::Variable, &[3]),
        TOPIC_ALIAS => (Kind::Two, &[3]),
        SESSION_EXPIRY | MAXIMUM_PACKET => (Kind::Four, &[2]),
        ASSIGNED_ID | RESPONSE_INFORMATION => (Kind::Text, &[2]),
        SERVER_KEEP_ALIVE | RECEIVE_MAXIMUM | ALIAS_MAXIMUM => (Kind::Two, &[2]),
        MAXIMUM_QOS | RETAIN_AVAILABLE | WILDCARD_AVAILABLE | SUBSCRIPTION_ID_AVAILABLE | SHARED_AVAILABLE => (Kind::Flag, &[2]),
        AUTH_METHOD => (Kind::Text, &[2, 15]),
        AUTH_DATA => (Kind::Binary, &[2, 15]),
        SERVER_REFERENCE => (Kind::Text, &[2, 14]),
        REASON_STRING => (Kind::Text, &[2, 4, 5, 6, 7, 9, 11, 14, 15]),
        USER => (Kind::Pair, &[2, 3, 4, 5, 6, 7, 9, 11, 14, 15]),
        _ => return None,
    })
}

/// The first value of that number.
#[must_use]
pub fn find(properties: &Properties, id: u8) -> Option<&Value> {
    properties.iter().find(|(number, _)| *number == id).map(|(_, value)| value)
}

/// A number as `u64`, whatever its width; `None` when it is absent or no number.
#[must_use]
pub fn number(properties: &Properties, id: u8) -> Option<u64> {
    match find(properties, id)? {
        Value::Byte(value) => Some(u64::from(*value)),
        Value::Two(value) => Some(u64::from(*value)),
        Value::Four(value) | Value::Variable(value) => Some(u64::from(*value)),
        Value::Text(_) | Value::Binary(_) | Value::Pair(..) => None,
    }
}
