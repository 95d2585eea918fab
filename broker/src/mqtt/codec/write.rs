//! What a server sends: each packet in one pass, its remaining length counted first, appended to a vector.

use super::publish::MessageProperties;
use super::{Code, Qos, Version};

fn put_u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_varint(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7F {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// A string or binary. What is longer than its length can say is cut; bounds elsewhere see to it that nothing is.
fn put_binary(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(u16::MAX.into())];
    put_u16(bytes.len() as u16, out);
    out.extend_from_slice(bytes);
}

/// A packet's properties, gathered before its length is known. Most packets have none.
#[derive(Default)]
struct Properties(Vec<u8>);

impl Properties {
    fn byte(&mut self, id: u8, value: Option<u8>) {
        if let Some(value) = value {
            self.0.extend_from_slice(&[id, value]);
        }
    }
    fn two(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.0.push(id);
            put_u16(value, &mut self.0);
        }
    }
    fn four(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.0.push(id);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }
    fn text(&mut self, id: u8, value: Option<&str>) {
        self.binary(id, value.map(str::as_bytes));
    }
    fn binary(&mut self, id: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.0.push(id);
            put_binary(value, &mut self.0);
        }
    }
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }
}

/// A CONNACK (§3.2). Properties are left out when `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's names")]
pub struct ConnAck<'a> {
    pub session_present: bool,
    pub code: Code,
    pub session_expiry_s: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub maximum_qos: Option<u8>,
    pub retain_available: Option<bool>,
    pub maximum_packet_size: Option<u32>,
    pub assigned_client_id: Option<&'a str>,
    pub topic_alias_maximum: Option<u16>,
    pub reason_string: Option<&'a str>,
    pub server_keep_alive_s: Option<u16>,
    pub response_information: Option<&'a str>,
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
}

impl ConnAck<'_> {
    /// One without properties.
    #[must_use]
    pub fn new(code: Code, session_present: bool) -> Self {
        Self {
            session_present,
            code,
            session_expiry_s: None,
            receive_maximum: None,
            maximum_qos: None,
            retain_available: None,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: None,
            reason_string: None,
            server_keep_alive_s: None,
            response_information: None,
            authentication_method: None,
            authentication_data: None,
        }
    }
}

/// Appends a CONNACK; to a 3.1.1 client nothing when there is no return code for the reason.
pub fn write_connack(version: Version, ack: &ConnAck<'_>, out: &mut Vec<u8>) {
    // [MQTT-3.2.2-6 / 3.2.2-4]: with a failure there is no session.
    let present = u8::from(ack.session_present && ack.code == Code::SUCCESS);
    if version == Version::V4 {
        if let Some(code) = ack.code.connect_return() {
            out.extend_from_slice(&[0x20, 2, present, code]);
        }
        return;
    }
    let mut properties = Properties::default();
    properties.four(0x11, ack.session_expiry_s);
    properties.two(0x21, ack.receive_maximum);
    properties.byte(0x24, ack.maximum_qos);
    properties.byte(0x25, ack.retain_available.map(u8::from));
    properties.four(0x27, ack.maximum_packet_size);
    properties.text(0x12, ack.assigned_client_id);
    properties.two(0x22, ack.topic_alias_maximum);
    properties.text(0x1F, ack.reason_string);
    properties.two(0x13, ack.server_keep_alive_s);
    properties.text(0x1A, ack.response_information);
    properties.text(0x15, ack.authentication_method);
    properties.binary(0x16, ack.authentication_data);
    out.push(0x20);
    put_varint(2 + varint_len(properties.0.len()) + properties.0.len(), out);
    out.extend_from_slice(&[present, ack.code.0]);
    properties.put(out);
}

/// A message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Sent again.
    pub dup: bool,
    /// How surely.
    pub qos: Qos,
    /// It is the topic's retained one.
    pub retain: bool,
    /// The topic.
    pub topic: &'a str,
    /// The packet id; unused with QoS 0.
    pub packet_id: u16,
    /// A number for the topic.
    pub topic_alias: Option<u16>,
    /// The subscriptions that select it.
    pub subscription_identifiers: &'a [u32],
    /// The message's properties.
    pub message: MessageProperties<'a>,
    /// The payload.
    pub payload: &'a [u8],
}

fn first_byte(dup: bool, qos: Qos, retain: bool) -> u8 {
    // [MQTT-3.3.1-2]
    0x30 | u8::from(dup && qos != Qos::AtMostOnce) << 3 | u8::from(qos) << 1 | u8::from(retain)
}

fn properties_len(packet: &Outgoing<'_>) -> usize {
    let message = &packet.message;
    let text = |text: Option<usize>| text.map_or(0, |len| 3 + len);
    let user: usize = message.user_properties.iter().map(|(name, value)| 5 + name.len() + value.len()).sum();
    let identifiers: usize = packet.subscription_identifiers.iter().map(|id| 1 + varint_len(*id as usize)).sum();
    2 * usize::from(message.payload_is_utf8)
        + message.expiry_s.map_or(0, |_| 5)
        + text(message.content_type.map(str::len))
        + text(message.response_topic.map(str::len))
        + text(message.correlation_data.map(<[u8]>::len))
        + packet.topic_alias.map_or(0, |_| 3)
        + identifiers
        + user
}

fn remaining_len(version: Version, packet: &Outgoing<'_>) -> usize {
    let properties = if version == Version::V5 { properties_len(packet) } else { 0 };
    let properties_bytes = if version == Version::V5 { varint_len(properties) + properties } else { 0 };
    2 + packet.topic.len() + 2 * usize::from(packet.qos != Qos::AtMostOnce) + properties_bytes + packet.payload.len()
}

/// How many bytes [`write_publish`] writes.
#[must_use]
pub fn publish_len(version: Version, packet: &Outgoing<'_>) -> usize {
    let remaining = remaining_len(version, packet);
    1 + varint_len(remaining) + remaining
}

/// Appends a PUBLISH. Returns the place of its packet id in `out`: where it would be, with QoS 0.
pub fn write_publish(version: Version, packet: &Outgoing<'_>, out: &mut Vec<u8>) -> usize {
    let remaining = remaining_len(version, packet);
    out.reserve(5 + remaining);
    out.push(first_byte(packet.dup, packet.qos, packet.retain));
    put_varint(remaining, out);
    put_binary(packet.topic.as_bytes(), out);
    let packet_id_at = out.len();
    if packet.qos != Qos::AtMostOnce {
        put_u16(packet.packet_id, out);
    }
    if version == Version::V5 {
        put_varint(properties_len(packet), out);
        put_message_properties(packet, out);
    }
    out.extend_from_slice(packet.payload);
    packet_id_at
}

fn put_message_properties(packet: &Outgoing<'_>, out: &mut Vec<u8>) {
    let message = &packet.message;
    if message.payload_is_utf8 {
        out.extend_from_slice(&[0x01, 1]);
    }
    if let Some(expiry_s) = message.expiry_s {
        out.push(0x02);
        out.extend_from_slice(&expiry_s.to_be_bytes());
    }
    let texts = [
        (0x03, message.content_type.map(str::as_bytes)),
        (0x08, message.response_topic.map(str::as_bytes)),
        (0x09, message.correlation_data),
    ];
    for (id, bytes) in texts {
        if let Some(bytes) = bytes {
            out.push(id);
            put_binary(bytes, out);
        }
    }
    for id in packet.subscription_identifiers {
        out.push(0x0B);
        put_varint(*id as usize, out);
    }
    if let Some(alias) = packet.topic_alias {
        out.push(0x23);
        put_u16(alias, out);
    }
    for (name, value) in message.user_properties.iter() {
        out.push(0x26);
        put_binary(name.as_bytes(), out);
        put_binary(value.as_bytes(), out);
    }
}

/// Where the packet id of a PUBLISH that was written here is.
#[must_use]
pub fn packet_id_at(publish: &[u8]) -> usize {
    let header = header_len(publish);
    let topic = match publish.get(header..header + 2) {
        Some(len) => usize::from(u16::from_be_bytes([len[0], len[1]])),
        None => 0,
    };
    header + 2 + topic
}

/// What of a PUBLISH is one receiver's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// Sent again.
    pub dup: bool,
    /// How surely.
    pub qos: Qos,
    /// It is the topic's retained one.
    pub retain: bool,
    /// The packet id; unused with QoS 0.
    pub packet_id: u16,
    /// The subscriptions that select it.
    pub identifiers: &'a [u32],
    /// A number for its topic.
    pub alias: Option<Alias>,
}

/// A number for a topic (§3.3.2.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// The number, from 1.
    pub number: u16,
    /// The receiver has it already: the topic is left out.
    pub is_known: bool,
}

impl Default for Stamp<'_> {
    fn default() -> Self {
        Self { dup: false, qos: Qos::AtMostOnce, retain: false, packet_id: 0, identifiers: &[], alias: None }
    }
}

/// The topic of a PUBLISH that was written here.
#[must_use]
pub fn topic_in(publish: &[u8]) -> &str {
    let header = header_len(publish);
    publish.get(header + 2..packet_id_at(publish)).and_then(|topic| std::str::from_utf8(topic).ok()).unwrap_or_default()
}

fn header_len(publish: &[u8]) -> usize {
    1 + publish.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count() + 1
}

/// Appends a copy of a PUBLISH that was written here with QoS 1, with another stamp.
pub fn restamp(version: Version, form: &[u8], stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    let Stamp { dup, qos, retain, packet_id, identifiers, alias } = *stamp;
    let id_at = packet_id_at(form);
    if qos != Qos::AtMostOnce && identifiers.is_empty() && alias.is_none() {
        let start = out.len();
        out.extend_from_slice(form);
        out[start] = first_byte(dup, qos, retain);
        out[start + id_at..start + id_at + 2].copy_from_slice(&packet_id.to_be_bytes());
        return;
    }
    let header = header_len(form);
    let (topic, rest) = (&form[header..id_at], &form[id_at + 2..]);
    let topic = if alias.is_some_and(|alias| alias.is_known) { &[0, 0] } else { topic };
    let properties = if version == Version::V5 { split_properties(rest) } else { (&[][..], rest) };
    let added = identifiers.iter().map(|id| 1 + varint_len(*id as usize)).sum::<usize>() + if alias.is_some() { 3 } else { 0 };
    let properties_len = properties.0.len() + added;
    let properties_bytes = if version == Version::V5 { varint_len(properties_len) + properties_len } else { 0 };
    let id_bytes = 2 * usize::from(qos != Qos::AtMostOnce);
    out.push(first_byte(dup, qos, retain));
    put_varint(topic.len() + id_bytes + properties_bytes + properties.1.len(), out);
    out.extend_from_slice(topic);
    if id_bytes > 0 {
        put_u16(packet_id, out);
    }
    if version == Version::V5 {
        put_varint(properties_len, out);
        for id in identifiers {
            out.push(0x0B);
            put_varint(*id as usize, out);
        }
        if let Some(alias) = alias {
            out.push(0x23);
            put_u16(alias.number, out);
        }
        out.extend_from_slice(properties.0);
    }
    out.extend_from_slice(properties.1);
}

/// Properties and payload, of what follows the packet id of a PUBLISH that was written here.
fn split_properties(rest: &[u8]) -> (&[u8], &[u8]) {
    let mut len = 0;
    for (at, byte) in rest.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return rest[at + 1..].split_at_checked(len).unwrap_or((&[], &[]));
        }
    }
    (&[], &[])
}

/// The packets that acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the specification's names")]
pub enum AckKind {
    PubAck = 0x40,
    PubRec = 0x50,
    PubRel = 0x62,
    PubComp = 0x70,
}

/// Appends an acknowledgement in its shortest form (§3.4.2.1).
pub fn write_ack(version: Version, kind: AckKind, packet_id: u16, code: Code, reason_string: Option<&str>, out: &mut Vec<u8>) {
    out.push(kind as u8);
    if version == Version::V4 || (code == Code::SUCCESS && reason_string.is_none()) {
        out.push(2);
        return put_u16(packet_id, out);
    }
    let Some(reason) = reason_string else {
        out.push(3);
        put_u16(packet_id, out);
        return out.push(code.0);
    };
    let mut properties = Properties::default();
    properties.text(0x1F, Some(reason));
    put_varint(3 + varint_len(properties.0.len()) + properties.0.len(), out);
    put_u16(packet_id, out);
    out.push(code.0);
    properties.put(out);
}

/// Appends a SUBACK; 3.1.1 knows one failure.
pub fn write_suback(version: Version, packet_id: u16, codes: &[Code], out: &mut Vec<u8>) {
    write_codes(version, 0x90, packet_id, codes, out);
}

/// Appends an UNSUBACK; that of 3.1.1 has no codes.
pub fn write_unsuback(version: Version, packet_id: u16, codes: &[Code], out: &mut Vec<u8>) {
    write_codes(version, 0xB0, packet_id, if version == Version::V5 { codes } else { &[] }, out);
}

fn write_codes(version: Version, first: u8, packet_id: u16, codes: &[Code], out: &mut Vec<u8>) {
    out.push(first);
    put_varint(2 + usize::from(version == Version::V5) + codes.len(), out);
    put_u16(packet_id, out);
    if version == Version::V5 {
        out.push(0);
    }
    // [MQTT-3.9.3-2 of 3.1.1]
    out.extend(codes.iter().map(|code| if version == Version::V4 && code.is_failure() { 0x80 } else { code.0 }));
}

/// Appends a PINGRESP.
pub fn write_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}

/// Appends a DISCONNECT, which only MQTT 5 servers send.
pub fn write_disconnect(code: Code, reason_string: Option<&str>, out: &mut Vec<u8>) {
    out.push(0xE0);
    let Some(reason) = reason_string else { return out.extend_from_slice(&[1, code.0]) };
    let mut properties = Properties::default();
    properties.text(0x1F, Some(reason));
    put_varint(1 + varint_len(properties.0.len()) + properties.0.len(), out);
    out.push(code.0);
    properties.put(out);
}

/// Appends an AUTH.
pub fn write_auth(code: Code, method: &str, data: &[u8], out: &mut Vec<u8>) {
    let mut properties = Properties::default();
    properties.text(0x15, Some(method));
    properties.binary(0x16, Some(data));
    out.push(0xF0);
    put_varint(1 + varint_len(properties.0.len()) + properties.0.len(), out);
    out.push(code.0);
    properties.put(out);
}
