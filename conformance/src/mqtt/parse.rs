//! Reads a server's packets and refuses whatever no server may send. The error says what was seen, with the clause.

use anyhow::{Result, bail, ensure};

use super::Version;
use super::packet::Publish;
use super::property::{self, Kind, Properties, Value};

/// A packet of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// The answer to CONNECT.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP, told apart by the first byte.
    Ack {
        /// First byte of the packet.
        first: u8,
        /// Packet id.
        id: u16,
        /// Reason code; 0 in 3.1.1.
        code: u8,
        /// MQTT 5 only.
        properties: Properties,
    },
    /// The answer to SUBSCRIBE.
    SubAck(Codes),
    /// The answer to UNSUBSCRIBE.
    UnsubAck(Codes),
    /// The answer to PINGREQ.
    PingResp,
    /// MQTT 5 only.
    Disconnect {
        /// Why.
        code: u8,
        /// What else.
        properties: Properties,
    },
    /// MQTT 5 only.
    Auth {
        /// Reason code.
        code: u8,
        /// Method and data.
        properties: Properties,
    },
}

/// CONNACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server had the session.
    pub session_present: bool,
    /// Return code or reason code.
    pub code: u8,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// SUBACK or UNSUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// Packet id.
    pub id: u16,
    /// One per filter; none in an UNSUBACK of 3.1.1.
    pub codes: Vec<u8>,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// First byte, body and whole length of the first packet in `bytes`; `None` while it is not whole.
///
/// # Errors
/// A length of more than four bytes, or longer than it had to be.
pub fn split(bytes: &[u8]) -> Result<Option<(u8, &[u8], usize)>> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let mut rest = rest;
    let start = rest.len();
    let Some(length) = variable(&mut rest)? else { return Ok(None) };
    let header = 1 + start - rest.len();
    let length = length as usize;
    Ok(rest.get(..length).map(|body| (first, body, header + length)))
}

fn variable(rest: &mut &[u8]) -> Result<Option<u32>> {
    let mut value = 0;
    for place in 0..4 {
        let Some((&byte, after)) = rest.split_first() else { return Ok(None) };
        *rest = after;
        value |= u32::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            ensure!(place == 0 || byte != 0, "a variable byte integer in more bytes than needed [MQTT-1.5.5-1]");
            return Ok(Some(value));
        }
    }
    bail!("a variable byte integer of more than four bytes")
}

/// Takes fields from the front of a body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        ensure!(self.0.len() >= count, "a packet from the server ends too early");
        let (field, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(field)
    }
    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }
    fn two(&mut self) -> Result<u16> {
        let field = self.take(2)?;
        Ok(u16::from_be_bytes([field[0], field[1]]))
    }
    fn binary(&mut self) -> Result<Vec<u8>> {
        let length = usize::from(self.two()?);
        Ok(self.take(length)?.to_vec())
    }
    fn text(&mut self) -> Result<String> {
        let text = String::from_utf8(self.binary()?)?;
        ensure!(!text.contains('\0'), "U+0000 in a string from the server");
        Ok(text)
    }
    fn id(&mut self) -> Result<u16> {
        let id = self.two()?;
        ensure!(id != 0, "packet id 0 from the server");
        Ok(id)
    }
    fn value(&mut self, kind: Kind) -> Result<Value> {
        Ok(match kind {
            Kind::Flag => {
                let flag = self.byte()?;
                ensure!(flag <= 1, "a property that is 0 or 1 is {flag}");
                Value::Byte(flag)
            }
            Kind::Two => Value::Two(self.two()?),
            Kind::Four => Value::Four(u32::from(self.two()?) << 16 | u32::from(self.two()?)),
            Kind::Variable => match variable(&mut self.0)? {
                Some(value) => Value::Variable(value),
                None => bail!("a packet from the server ends too early"),
            },
            Kind::Text => Value::Text(self.text()?.into_bytes()),
            Kind::Binary => Value::Binary(self.binary()?),
            Kind::Pair => Value::Pair(self.text()?, self.text()?),
        })
    }
    /// The properties of a packet of that type; none in 3.1.1, and none when nothing is left where that is allowed.
    fn properties(&mut self, version: Version, packet: u8, may_lack: bool) -> Result<Properties> {
        if version == Version::V4 || (may_lack && self.0.is_empty()) {
            return Ok(Vec::new());
        }
        let Some(length) = variable(&mut self.0)? else { bail!("no property length [MQTT-2.2.2-1]") };
        let mut inner = Body(self.take(length as usize)?);
        let mut list = Properties::new();
        while !inner.0.is_empty() {
            let id = inner.byte()?;
            let Some((kind, packets)) = property::of(id) else { bail!("unknown property 0x{id:02X} from the server") };
            ensure!(packets.contains(&packet), "property 0x{id:02X} is not allowed in a server's packet of type {packet}");
            let many = id == property::USER || id == property::SUBSCRIPTION_ID;
            ensure!(many || property::find(&list, id).is_none(), "property 0x{id:02X} twice in a packet");
            list.push((id, inner.value(kind)?));
        }
        Ok(list)
    }
}

/// Reads one packet.
///
/// # Errors
/// Whatever a server must not send, in words.
pub fn packet(version: Version, first: u8, body: &[u8]) -> Result<Packet> {
    let mut body = Body(body);
    let kind = first >> 4;
    let flags = first & 0x0F;
    ensure!(kind == 3 || flags == if kind == 6 { 2 } else { 0 }, "reserved flags {flags:#x} in a server's packet of type {kind}");
    let packet = match kind {
        2 => Packet::ConnAck(connack(version, &mut body)?),
        3 => return Ok(Packet::Publish(publish(version, flags, &mut body)?)),
        4..=7 => {
            let id = body.id()?;
            let code = if version == Version::V5 && !body.0.is_empty() { body.byte()? } else { 0 };
            let known: &[u8] = if kind < 6 { &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] } else { &[0, 0x92] };
            ensure!(known.contains(&code), "reason code 0x{code:02X} in a server's packet of type {kind}");
            Packet::Ack { first, id, code, properties: body.properties(version, kind, true)? }
        }
        9 | 11 => {
            let id = body.id()?;
            let properties = body.properties(version, kind, false)?;
            let codes = std::mem::take(&mut body.0).to_vec();
            let known: &[u8] = match (version, kind) {
                (Version::V4, 9) => &[0, 1, 2, 0x80],
                (Version::V4, _) => &[],
                (Version::V5, 9) => &[0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
                (Version::V5, _) => &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
            };
            if let Some(code) = codes.iter().find(|code| !known.contains(code)) {
                bail!("code 0x{code:02X} in a {} is not one of its codes", if kind == 9 { "SUBACK" } else { "UNSUBACK" });
            }
            let codes = Codes { id, codes, properties };
            if kind == 9 { Packet::SubAck(codes) } else { Packet::UnsubAck(codes) }
        }
        13 => Packet::PingResp,
        14 | 15 if version == Version::V5 => {
            let code = if body.0.is_empty() { 0 } else { body.byte()? };
            let properties = body.properties(version, kind, true)?;
            if kind == 14 {
                let known = matches!(code, 0 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x8F | 0x90 | 0x93..=0xA2) && code != 0x91;
                ensure!(known, "reason code 0x{code:02X} in a server's DISCONNECT");
                Packet::Disconnect { code, properties }
            } else {
                ensure!(matches!(code, 0 | 0x18), "reason code 0x{code:02X} in a server's AUTH");
                Packet::Auth { code, properties }
            }
        }
        _ => bail!("the server sent a packet of type {kind}, which only a client sends, or none in this version"),
    };
    ensure!(body.0.is_empty(), "{} bytes behind the end of a server's packet of type {kind}", body.0.len());
    Ok(packet)
}

fn connack(version: Version, body: &mut Body) -> Result<ConnAck> {
    let flags = body.byte()?;
    ensure!(flags <= 1, "CONNACK flags {flags:#x}: the upper seven bits are reserved");
    let code = body.byte()?;
    let known = match version {
        Version::V4 => code <= 5,
        // A server that does not speak 5 may refuse with the code of 3.1.1.
        Version::V5 => matches!(code, 0..=1 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F),
    };
    ensure!(known, "CONNACK code 0x{code:02X}");
    let properties = body.properties(version, 2, code == 1)?;
    Ok(ConnAck { session_present: flags == 1, code, properties })
}

fn publish(version: Version, flags: u8, body: &mut Body) -> Result<Publish> {
    let (dup, qos, retain) = (flags & 8 != 0, (flags >> 1) & 3, flags & 1 != 0);
    ensure!(qos < 3, "a PUBLISH of QoS 3 from the server [MQTT-3.3.1-4]");
    ensure!(!dup || qos > 0, "DUP with QoS 0 from the server [MQTT-3.3.1-2]");
    let topic = body.text()?;
    ensure!(!topic.contains(['+', '#']), "a wildcard in a topic name from the server [MQTT-3.3.2-2]");
    let id = if qos > 0 { body.id()? } else { 0 };
    let properties = body.properties(version, 3, false)?;
    ensure!(property::number(&properties, property::TOPIC_ALIAS) != Some(0), "topic alias 0 from the server [MQTT-3.3.2-8]");
    let payload = body.0.to_vec();
    Ok(Publish { dup, qos, retain, topic: topic.into_bytes(), id, properties, payload })
}
