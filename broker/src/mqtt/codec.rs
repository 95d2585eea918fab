//! The packets of MQTT 3.1.1 and 5, the server's side, without IO: bytes in, packets out, packets written into a vector.
//!
//! Strict: what a packet alone can break is refused here, with the reason code of MQTT 5 §4.13 and the clause. Clauses are those of
//! MQTT 5; where 3.1.1 has the same rule under another number, that stands behind a stroke. Nothing is allocated by a length that was not
//! checked, nothing is copied that can be borrowed, nothing is recursive.

mod ack;
mod code;
mod connect;
mod cursor;
mod decoder;
mod property;
mod publish;
mod subscribe;
#[cfg(test)]
mod tests;
mod write;

pub use ack::{Ack, Auth, Disconnect};
pub use code::Code;
pub use connect::{Connect, ConnectProperties, Will};
pub use decoder::{Decoder, Raw};
pub use publish::{MessageProperties, Publish, UserProperties};
pub use subscribe::{FilterRequest, Subscribe, Unsubscribe};
pub use write::{
    AckKind, Alias, ConnAck, Outgoing, Stamp, packet_id_at, publish_len, restamp, topic_in, write_ack, write_auth, write_connack,
    write_disconnect, write_pingresp, write_publish, write_suback, write_unsuback,
};

use cursor::Cursor;

/// The protocol's versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 3.1.1, protocol level 4.
    V4,
    /// 5.
    V5,
}

/// How surely a message arrives (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// Once or not.
    AtMostOnce = 0,
    /// Once or more.
    AtLeastOnce = 1,
    /// Once.
    ExactlyOnce = 2,
}

impl Qos {
    /// The QoS of two bits.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce].get(usize::from(bits)).copied()
    }
}

impl From<Qos> for u8 {
    fn from(qos: Qos) -> Self {
        qos as Self
    }
}

/// What a peer did against the protocol or this server's bounds. The connection ends with its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code:?} [{clause}]")]
pub struct Violation {
    /// The reason code for it.
    pub code: Code,
    /// The clause that it breaks.
    pub clause: &'static str,
}

pub(super) fn malformed(clause: &'static str) -> Violation {
    Violation { code: Code::MALFORMED_PACKET, clause }
}

pub(super) fn protocol_error(clause: &'static str) -> Violation {
    Violation { code: Code::PROTOCOL_ERROR, clause }
}

/// A client's packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's names")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Unsubscribe<'a>),
    PingReq,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Parses a whole packet. `version` is that of the connection, `None` before its CONNECT, which is then all that parses.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(version: Option<Version>, raw: Raw<'a>) -> Result<Self, Violation> {
        let (kind, flags) = (raw.first >> 4, raw.first & 0xF);
        // [MQTT-2.1.3-1 / 2.2.2-1]: the flags of all but PUBLISH are fixed.
        let fixed = |wanted: u8| if flags == wanted { Ok(()) } else { Err(malformed("MQTT-2.1.3-1")) };
        let mut body = Cursor::new(raw.body);
        let Some(version) = version else {
            if kind != 1 {
                return Err(protocol_error("MQTT-3.1.0-1"));
            }
            fixed(0)?;
            return Connect::parse(&mut body).map(Packet::Connect);
        };
        match kind {
            1 => Err(protocol_error("MQTT-3.1.0-2")),
            3 => Publish::parse(version, flags, &mut body).map(Packet::Publish),
            4 => fixed(0).and_then(|()| Ack::parse(version, ack::PUBACK, &mut body)).map(Packet::PubAck),
            5 => fixed(0).and_then(|()| Ack::parse(version, ack::PUBACK, &mut body)).map(Packet::PubRec),
            // [MQTT-3.6.1-1]
            6 => fixed(2).and_then(|()| Ack::parse(version, ack::PUBREL, &mut body)).map(Packet::PubRel),
            7 => fixed(0).and_then(|()| Ack::parse(version, ack::PUBREL, &mut body)).map(Packet::PubComp),
            // [MQTT-3.8.1-1]
            8 => fixed(2).and_then(|()| Subscribe::parse(version, &mut body)).map(Packet::Subscribe),
            // [MQTT-3.10.1-1]
            10 => fixed(2).and_then(|()| Unsubscribe::parse(version, &mut body)).map(Packet::Unsubscribe),
            12 => fixed(0).and_then(|()| body.end("MQTT-3.12")).map(|()| Packet::PingReq),
            14 => fixed(0).and_then(|()| Disconnect::parse(version, &mut body)).map(Packet::Disconnect),
            15 if version == Version::V5 => fixed(0).and_then(|()| Auth::parse(&mut body)).map(Packet::Auth),
            // 0 is forbidden, 15 was in 3.1.1; the others only a server sends.
            0 | 15 => Err(malformed("MQTT-2.1.2")),
            _ => Err(protocol_error("MQTT-2.1.2")),
        }
    }
}
