//! CONNECT (§3.1).

use super::cursor::Cursor;
use super::property::{self, id};
use super::publish::{MessageProperties, UserProperties};
use super::{Code, Qos, Version, Violation, malformed, protocol_error};

/// A client's request for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The protocol's version.
    pub version: Version,
    /// Begin a new session.
    pub clean_start: bool,
    /// Seconds without a packet after which the client is taken for dead, times 1.5; 0 for never.
    pub keep_alive_s: u16,
    /// The client's id; may be empty.
    pub client_id: &'a str,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
    /// What is published when the connection is lost.
    pub will: Option<Will<'a>>,
    /// MQTT 5's properties.
    pub properties: ConnectProperties<'a>,
}

/// A CONNECT's properties (§3.1.2.11), with their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds that the session is kept after the connection; `u32::MAX` for ever.
    pub session_expiry_s: Option<u32>,
    /// QoS 1 and 2 messages that may be under way to the client.
    pub receive_maximum: Option<u16>,
    /// Bytes of the longest packet that the client takes.
    pub maximum_packet_size: Option<u32>,
    /// Topic aliases that the client takes.
    pub topic_alias_maximum: u16,
    /// The client wants to be told where answers may be sent.
    pub request_response_information: bool,
    /// The client wants reason strings.
    pub request_problem_information: bool,
    /// Names and values.
    pub user_properties: UserProperties<'a>,
    /// The method of enhanced authentication.
    pub authentication_method: Option<&'a str>,
    /// Its first message.
    pub authentication_data: Option<&'a [u8]>,
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry_s: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            user_properties: UserProperties::default(),
            authentication_method: None,
            authentication_data: None,
        }
    }
}

/// A will (§3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The QoS.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// Seconds between the end of the connection and the will.
    pub delay_s: u32,
    /// The message's properties.
    pub message: MessageProperties<'a>,
}

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

impl<'a> Connect<'a> {
    pub(super) fn parse(body: &mut Cursor<'a>) -> Result<Self, Violation> {
        let version = version(body)?;
        let flags = body.u8()?;
        let will_qos = check_flags(version, flags)?;
        let keep_alive_s = body.u16()?;
        let properties = if version == Version::V5 { read_properties(body)? } else { ConnectProperties::default() };
        let client_id = body.string()?;
        let will = if flags & WILL == 0 { None } else { Some(read_will(version, will_qos, flags & WILL_RETAIN != 0, body)?) };
        let username = if flags & USERNAME == 0 { None } else { Some(body.string()?) };
        let password = if flags & PASSWORD == 0 { None } else { Some(body.binary()?) };
        body.end("MQTT-3.1.3-1")?;
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self { version, clean_start, keep_alive_s, client_id, username, password, will, properties })
    }
}

fn version(body: &mut Cursor<'_>) -> Result<Version, Violation> {
    let unsupported = Violation { code: Code::UNSUPPORTED_PROTOCOL_VERSION, clause: "MQTT-3.1.2-2" };
    let name = body.string()?;
    let level = body.u8()?;
    match (name, level) {
        ("MQTT", 4) => Ok(Version::V4),
        ("MQTT", 5) => Ok(Version::V5),
        // The bridge bit that some clients set, 3.1, and what is to come.
        ("MQTT" | "MQIsdp", _) => Err(unsupported),
        // [MQTT-3.1.2-1]
        _ => Err(Violation { clause: "MQTT-3.1.2-1", ..unsupported }),
    }
}

fn check_flags(version: Version, flags: u8) -> Result<Qos, Violation> {
    if flags & RESERVED != 0 {
        return Err(malformed("MQTT-3.1.2-3"));
    }
    let bits = flags >> 3 & 3;
    if flags & WILL == 0 && (bits != 0 || flags & WILL_RETAIN != 0) {
        return Err(malformed(if bits != 0 { "MQTT-3.1.2-11" } else { "MQTT-3.1.2-13" }));
    }
    // 3.1.1 only [MQTT-3.1.2-22 of 3.1.1]
    if version == Version::V4 && flags & USERNAME == 0 && flags & PASSWORD != 0 {
        return Err(malformed("MQTT-3.1.2-22"));
    }
    Qos::from_bits(bits).ok_or(malformed("MQTT-3.1.2-12"))
}

fn read_properties<'a>(body: &mut Cursor<'a>) -> Result<ConnectProperties<'a>, Violation> {
    let mut found = ConnectProperties::default();
    let bytes = property::read(property::CONNECT, body, |id, value| {
        let number = value.number();
        match id {
            id::SESSION_EXPIRY => found.session_expiry_s = Some(number),
            id::RECEIVE_MAXIMUM if number == 0 => return Err(protocol_error("MQTT-3.1.2.11.3")),
            id::RECEIVE_MAXIMUM => found.receive_maximum = u16::try_from(number).ok(),
            id::MAXIMUM_PACKET_SIZE if number == 0 => return Err(protocol_error("MQTT-3.1.2.11.4")),
            id::MAXIMUM_PACKET_SIZE => found.maximum_packet_size = Some(number),
            id::TOPIC_ALIAS_MAXIMUM => found.topic_alias_maximum = u16::try_from(number).unwrap_or(0),
            id::REQUEST_RESPONSE_INFORMATION => found.request_response_information = value.flag()?,
            id::REQUEST_PROBLEM_INFORMATION => found.request_problem_information = value.flag()?,
            id::AUTHENTICATION_METHOD => found.authentication_method = value.text(),
            id::AUTHENTICATION_DATA => found.authentication_data = value.binary(),
            _ => {}
        }
        Ok(())
    })?;
    found.user_properties = UserProperties::of(bytes);
    // §3.1.2.11.10
    if found.authentication_data.is_some() && found.authentication_method.is_none() {
        return Err(protocol_error("MQTT-3.1.2.11.10"));
    }
    Ok(found)
}

fn read_will<'a>(version: Version, qos: Qos, retain: bool, body: &mut Cursor<'a>) -> Result<Will<'a>, Violation> {
    let mut delay_s = 0;
    let message = if version == Version::V5 {
        MessageProperties::read(property::WILL, body, |id, value| {
            if id == id::WILL_DELAY {
                delay_s = value.number();
            }
            Ok(())
        })?
    } else {
        MessageProperties::default()
    };
    let topic = body.string()?;
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(Violation { code: Code::TOPIC_NAME_INVALID, clause: "MQTT-3.3.2-2" });
    }
    Ok(Will { topic, payload: body.binary()?, qos, retain, delay_s, message })
}
