//! Engine.IO's packets and polling payloads, protocols 4 and 3, without IO. Socket.IO's packets are inside ([`super::packet`]).
//!
//! A packet is a digit and what belongs to it. In WebSocket each is a text message. A polling body holds several: protocol 4 puts 0x1E between
//! them, protocol 3 the length before each (of the digit and the rest, counted as JavaScript counts: in UTF-16 units).

use std::time::Duration;

use serde::Serialize;

/// Packets in one polling body, at most.
pub const MAX_PAYLOAD_PACKETS: usize = 256;
/// What protocol 4 puts between packets.
const SEPARATOR: char = '\x1e';
/// Digits of a length in protocol 3, at most: more than any body has bytes.
const MAX_LENGTH_DIGITS: usize = 9;

/// The protocol's version: `EIO=4` of socket.io-client 3 and 4, `EIO=3` of 1 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The client pings.
    V3,
    /// The server pings.
    V4,
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The server opens a connection.
    Open,
    /// The connection ends.
    Close,
    /// Wants a pong with the same text.
    Ping(&'a str),
    /// Answers a ping.
    Pong(&'a str),
    /// Carries a Socket.IO packet.
    Message(&'a str),
    /// The WebSocket takes over from polling.
    Upgrade,
    /// Ends a poll that waits.
    Noop,
}

/// Why something is no packet or payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A packet of a type that there is not.
    #[error("there is no such packet type")]
    Type,
    /// A binary packet.
    #[error("binary packets are not taken here: send JSON")]
    Binary,
    /// A length that is none, or does not fit.
    #[error("a packet's length is wrong")]
    Length,
    /// Too many packets in one body.
    #[error("too many packets in one body")]
    TooMany,
}

/// Reads one packet.
///
/// # Errors
/// Why it is none.
pub fn packet(text: &str) -> Result<Packet<'_>, Malformed> {
    let kind = text.as_bytes().first().ok_or(Malformed::Type)?;
    if !kind.is_ascii() {
        return Err(Malformed::Type);
    }
    let rest = &text[1..];
    Ok(match kind {
        b'0' => Packet::Open,
        b'1' => Packet::Close,
        b'2' => Packet::Ping(rest),
        b'3' => Packet::Pong(rest),
        b'4' => Packet::Message(rest),
        b'5' => Packet::Upgrade,
        b'6' => Packet::Noop,
        b'b' => return Err(Malformed::Binary),
        _ => return Err(Malformed::Type),
    })
}

/// The packets of a polling body. Each is still to be read by [`packet`].
///
/// # Errors
/// Why it is no payload.
pub fn payload(version: Version, body: &str) -> Result<Vec<&str>, Malformed> {
    match version {
        Version::V4 => {
            let packets: Vec<&str> = body.split(SEPARATOR).take(MAX_PAYLOAD_PACKETS + 1).collect();
            if packets.len() > MAX_PAYLOAD_PACKETS { Err(Malformed::TooMany) } else { Ok(packets) }
        }
        Version::V3 => {
            let (mut packets, mut rest) = (Vec::new(), body);
            while !rest.is_empty() {
                if packets.len() == MAX_PAYLOAD_PACKETS {
                    return Err(Malformed::TooMany);
                }
                let (packet, more) = measured(rest)?;
                packets.push(packet);
                rest = more;
            }
            if packets.is_empty() { Err(Malformed::Length) } else { Ok(packets) }
        }
    }
}

/// The first packet of a protocol 3 payload, and what follows it.
fn measured(text: &str) -> Result<(&str, &str), Malformed> {
    let (digits, rest) = text.split_once(':').ok_or(Malformed::Length)?;
    if digits.is_empty() || digits.len() > MAX_LENGTH_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::Length);
    }
    let length: usize = digits.parse().map_err(|_| Malformed::Length)?;
    let (mut units, mut end) = (0, 0);
    for character in rest.chars() {
        if units >= length {
            break;
        }
        units += character.len_utf16();
        end += character.len_utf8();
    }
    if units == length { Ok(rest.split_at(end)) } else { Err(Malformed::Length) }
}

/// Appends a packet to a polling body.
pub fn append(version: Version, packet: &str, body: &mut Vec<u8>) {
    match version {
        Version::V4 if body.is_empty() => {}
        Version::V4 => body.push(SEPARATOR as u8),
        Version::V3 => {
            hallway_broker::canonical::write_number(packet.chars().map(char::len_utf16).sum::<usize>() as u64, body);
            body.push(b':');
        }
    }
    body.extend_from_slice(packet.as_bytes());
}

/// How the two ends see that the other is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// How often there is a ping: the server's in protocol 4, the client's in protocol 3.
    pub interval: Duration,
    /// How long its answer may take.
    pub timeout: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(25), timeout: Duration::from_secs(20) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    sid: &'a str,
    upgrades: &'a [&'a str],
    ping_interval: u128,
    ping_timeout: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_payload: Option<usize>,
}

/// The packet that opens a connection; `upgrades` to WebSocket are offered to who polls.
#[must_use]
pub fn open(version: Version, sid: &str, upgrades: bool, heartbeat: Heartbeat, max_payload: usize) -> String {
    let open = Open {
        sid,
        upgrades: if upgrades { &["websocket"] } else { &[] },
        ping_interval: heartbeat.interval.as_millis(),
        ping_timeout: heartbeat.timeout.as_millis(),
        max_payload: (version == Version::V4).then_some(max_payload),
    };
    // Numbers and texts of ours: they are JSON.
    format!("0{}", serde_json::to_string(&open).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_as_the_protocol_writes_them() {
        let rows = [
            ("0", Ok(Packet::Open)),
            ("1", Ok(Packet::Close)),
            ("2probe", Ok(Packet::Ping("probe"))),
            ("3", Ok(Packet::Pong(""))),
            ("42[\"hi\"]", Ok(Packet::Message("2[\"hi\"]"))),
            ("5", Ok(Packet::Upgrade)),
            ("6", Ok(Packet::Noop)),
            ("bAQI=", Err(Malformed::Binary)),
            ("", Err(Malformed::Type)),
            ("7", Err(Malformed::Type)),
            ("é", Err(Malformed::Type)),
        ];
        for (text, read) in rows {
            assert_eq!(packet(text), read, "{text:?}");
        }
    }

    #[test]
    fn payloads_as_the_protocols_write_them() {
        assert_eq!(payload(Version::V4, "4a\x1e4b"), Ok(vec!["4a", "4b"]));
        assert_eq!(payload(Version::V3, "2:4a3:4€b"), Ok(vec!["4a", "4€b"]));
        // JavaScript counts a character outside the basic plane as two.
        assert_eq!(payload(Version::V3, "3:4😀"), Ok(vec!["4😀"]));
        for bad in ["", "2:4", "x:4a", ":4a", "-1:4a", "+2:4a", "2:4😀", "9999999999:4a", "2:4a3"] {
            assert_eq!(payload(Version::V3, bad), Err(Malformed::Length), "{bad}");
        }
        assert_eq!(payload(Version::V4, &"2\x1e".repeat(MAX_PAYLOAD_PACKETS)), Err(Malformed::TooMany));
        assert_eq!(payload(Version::V3, &"1:2".repeat(MAX_PAYLOAD_PACKETS + 1)), Err(Malformed::TooMany));
    }

    #[test]
    fn the_handshake_is_what_clients_read() {
        let open = |version| open(version, "s", true, Heartbeat::default(), 1000);
        let four = r#"0{"sid":"s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}"#;
        assert_eq!(open(Version::V4), four);
        assert_eq!(open(Version::V3), four.replace(r#","maxPayload":1000"#, ""));
    }

    proptest! {
        #[test]
        fn anything_can_be_sent(body in "[0-9:b\x1e😀a]{0,40}", any: String) {
            for version in [Version::V3, Version::V4] {
                for body in [&body, &any] {
                    for text in payload(version, body).unwrap_or_default() {
                        let _ = packet(text);
                    }
                }
            }
        }

        #[test]
        fn what_is_written_is_read_again(packets in prop::collection::vec("[1-6][^\x1e]{0,20}", 1..20)) {
            for version in [Version::V3, Version::V4] {
                let mut body = Vec::new();
                for packet in &packets {
                    append(version, packet, &mut body);
                }
                let body = String::from_utf8(body).unwrap();
                prop_assert_eq!(payload(version, &body).unwrap(), packets.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }
}
