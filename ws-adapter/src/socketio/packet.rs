//! Socket.IO's packets, protocols 5 and 4, without IO: what is inside an Engine.IO message. Only the main namespace is spoken here.
//!
//! `<type>[<attachments>-][<namespace>,][<ack id>][JSON]`. Binary events and acks are refused.

use std::borrow::Cow;

use hallway_broker::canonical::write_number;
use hallway_broker::frame;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::rpc;

/// Arguments of an event that are looked at; what is behind them is ignored.
const MAX_ARGUMENTS: usize = 4;
/// Longest name of an event, in bytes.
pub const MAX_EVENT_BYTES: usize = 128;

/// What a client sends.
#[derive(Debug)]
pub enum Packet<'a> {
    /// Comes in, with what it shows of itself: an object, or nothing.
    Connect(Option<&'a RawValue>),
    /// Goes.
    Disconnect,
    /// Says something; with an ack id it wants an answer.
    Event(Event<'a>, Option<u64>),
    /// Answers an event of ours: none wants one.
    Ack,
    /// Comes into another namespace, which there is not.
    Elsewhere(&'a str),
}

/// An event's name and first arguments.
#[derive(Debug)]
pub struct Event<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its arguments.
    pub arguments: Vec<&'a RawValue>,
}

/// Why something is no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No such type, or JSON that does not go with it.
    #[error("this is no Socket.IO packet")]
    Packet,
    /// A packet with attachments.
    #[error("binary packets are not taken here: send JSON")]
    Binary,
    /// JSON nested too deep.
    #[error("nested deeper than 32")]
    TooDeep,
    /// Something in a namespace that nobody is in.
    #[error("there is only the main namespace here")]
    Namespace,
}

impl Malformed {
    /// The word that says so.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Packet => "parse_error",
            Self::Binary => "binary",
            Self::TooDeep => "too_deep",
            Self::Namespace => "unknown_namespace",
        }
    }
}

/// Reads a packet.
///
/// # Errors
/// Why it is none.
pub fn parse(text: &str) -> Result<Packet<'_>, Malformed> {
    let (kind, rest) = text.split_at_checked(1).ok_or(Malformed::Packet)?;
    if matches!(kind, "5" | "6") {
        return Err(Malformed::Binary);
    }
    let (namespace, rest) = match rest.starts_with('/') {
        true => rest.split_once(',').unwrap_or((rest, "")),
        false => ("/", rest),
    };
    // Protocol 4 has a query behind the namespace.
    let is_main = namespace.split('?').next() == Some("/");
    match (kind, is_main) {
        ("0", false) => return Ok(Packet::Elsewhere(namespace)),
        (_, false) => return Err(Malformed::Namespace),
        _ => {}
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, data) = rest.split_at(digits);
    let id = if id.is_empty() { None } else { Some(id.parse().map_err(|_| Malformed::Packet)?) };
    rpc::check_depth(data).map_err(|_| Malformed::TooDeep)?;
    Ok(match kind {
        "0" if data.is_empty() => Packet::Connect(None),
        "0" => Packet::Connect(Some(serde_json::from_str(data).map_err(|_| Malformed::Packet)?)),
        "1" => Packet::Disconnect,
        "2" => Packet::Event(serde_json::from_str(data).map_err(|_| Malformed::Packet)?, id),
        "3" => Packet::Ack,
        _ => return Err(Malformed::Packet),
    })
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of a name and arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let none = || serde::de::Error::invalid_length(0, &self);
        let name = seq.next_element::<Name<'de>>()?.ok_or_else(none)?.0;
        let mut arguments = Vec::new();
        while arguments.len() < MAX_ARGUMENTS {
            match seq.next_element::<&'de RawValue>()? {
                Some(argument) => arguments.push(argument),
                None => return Ok(Event { name, arguments }),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Event { name, arguments })
    }
}

/// A string, borrowed when it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EventVisitor)
    }
}

/// Appends a text frame with a packet whose text is `head` and what `write` appends.
pub fn frame(head: &str, into: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    frame::write_text_with(into, |into| {
        into.extend_from_slice(head.as_bytes());
        write(into);
    });
}

/// Appends an event with one argument; `name` needs no escapes.
pub fn event(name: &str, into: &mut Vec<u8>, argument: impl FnOnce(&mut Vec<u8>)) {
    frame("42[\"", into, |into| {
        into.extend_from_slice(name.as_bytes());
        into.extend_from_slice(b"\",");
        argument(into);
        into.push(b']');
    });
}

/// Appends the answer to an event, if it wants one; `arguments` writes what the client's function is called with.
pub fn ack(id: Option<u64>, into: &mut Vec<u8>, arguments: impl FnOnce(&mut Vec<u8>)) {
    let Some(id) = id else { return };
    frame("43", into, |into| {
        write_number(id, into);
        into.push(b'[');
        arguments(into);
        into.push(b']');
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(Packet::Connect(auth)) => format!("connect {}", auth.map_or("", RawValue::get)),
            Ok(Packet::Disconnect) => "disconnect".into(),
            Ok(Packet::Ack) => "ack".into(),
            Ok(Packet::Elsewhere(namespace)) => format!("to {namespace}"),
            Ok(Packet::Event(Event { name, arguments }, id)) => {
                let arguments: Vec<&str> = arguments.iter().map(|argument| argument.get()).collect();
                format!("{name} {} {id:?}", arguments.join(" "))
            }
            Err(malformed) => malformed.reason().into(),
        }
    }

    #[test]
    fn packets_as_clients_write_them() {
        let rows = [
            ("0", "connect "),
            ("0{\"token\":\"t\"}", "connect {\"token\":\"t\"}"),
            ("0/?token=t,", "connect "),
            ("0/admin,{}", "to /admin"),
            ("0/admin", "to /admin"),
            ("1", "disconnect"),
            ("2[\"hi\"]", "hi  None"),
            ("212[\"h\\u0069\",{\"a\":1}, 2]", "hi {\"a\":1} 2 Some(12)"),
            ("2[\"a\",1,2,3,4,5,6]", "a 1 2 3 4 None"),
            ("31[]", "ack"),
            ("2/admin,[\"hi\"]", "unknown_namespace"),
            ("51-[\"hi\",{\"_placeholder\":true,\"num\":0}]", "binary"),
            ("61-1[]", "binary"),
            ("", "parse_error"),
            ("2", "parse_error"),
            ("2[]", "parse_error"),
            ("2[1]", "parse_error"),
            ("2{}", "parse_error"),
            ("2[\"a\"", "parse_error"),
            ("299999999999999999999[\"a\"]", "parse_error"),
            ("4\"x\"", "parse_error"),
            ("é", "parse_error"),
        ];
        for (text, read) in rows {
            assert_eq!(shown(text), read, "{text}");
        }
        assert_eq!(shown(&format!("2[\"a\",{}1{}]", "[".repeat(40), "]".repeat(40))), "too_deep");
    }

    proptest! {
        #[test]
        fn anything_can_be_sent(text in "[0-6]?[0-9/,a-]{0,6}[\\[\\]{}\",:0-9a-z\\\\]{0,30}", any: String) {
            let _ = (parse(&text).is_ok(), parse(&any).is_ok());
        }
    }
}
