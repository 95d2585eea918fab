//! MQTT packets at the generator's price: read where they lie, sent as ready bytes in which only numbers are written anew.
//!
//! Packets of a set-up are built and parsed by `conformance::mqtt`; here is what happens a million times a second.

use anyhow::{Context as _, Result};
use conformance::mqtt::Version;
use conformance::mqtt::packet::Publish;
use conformance::mqtt::parse;

use crate::request::{FIRST_NUMBER, write_ten_digits};
use crate::scan::{digits, find};

pub const CONNACK: u8 = 0x20;
pub const PUBACK: u8 = 0x40;
pub const SUBACK: u8 = 0x90;
pub const DISCONNECT: u8 = 0xE0;

/// What stands before a message's number in its canonical form.
const SEQ: &[u8] = b"\"seq\":";

/// A packet of the server, still in the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub first: u8,
    pub body: &'a [u8],
    /// Bytes of header and body.
    pub len: usize,
}

/// The first packet of `bytes`, or `None` when more must be read.
#[inline]
pub fn first(bytes: &[u8]) -> Result<Option<Packet<'_>>> {
    // A load's packets have a length of one or two bytes.
    let (header, length) = match *bytes {
        [_, low, ..] if low < 0x80 => (2, usize::from(low)),
        [_, low, high, ..] if high < 0x80 => (3, usize::from(low & 0x7F) | usize::from(high) << 7),
        _ => return Ok(parse::split(bytes)?.map(|(first, body, len)| Packet { first, body, len })),
    };
    let len = header + length;
    Ok(bytes.get(header..len).map(|body| Packet { first: bytes[0], body, len }))
}

impl<'a> Packet<'a> {
    pub fn is_publish(&self) -> bool {
        self.first & 0xF0 == 0x30
    }

    pub fn is_retained(&self) -> bool {
        self.first & 0x01 != 0
    }

    /// The packet id of an acknowledgement.
    pub fn acked_id(&self) -> Option<u16> {
        self.body.first_chunk().map(|id| u16::from_be_bytes(*id))
    }

    /// Topic, packet id (0 at QoS 0) and what follows: properties, if the version has them, and payload.
    pub fn message(&self) -> Option<(&'a [u8], u16, &'a [u8])> {
        let (length, rest) = self.body.split_first_chunk()?;
        let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        if self.first & 0x06 == 0 {
            return Some((topic, 0, rest));
        }
        let (id, rest) = rest.split_first_chunk()?;
        Some((topic, u16::from_be_bytes(*id), rest))
    }

    /// The packet in full, as a strict client sees it.
    pub fn parsed(&self, version: Version) -> Result<parse::Packet> {
        parse::packet(version, self.first, self.body)
    }
}

/// The acknowledgement of a message of QoS 1.
pub fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [PUBACK, 2, high, low]
}

/// The packet id of a load's message: never 0.
pub fn id_of(number: u64) -> u16 {
    (number % 65_535) as u16 + 1
}

/// The payload behind what MQTT 5 has before it.
#[inline]
fn payload(version: Version, rest: &[u8]) -> Option<&[u8]> {
    match (version, rest) {
        (Version::V4, _) => Some(rest),
        (Version::V5, &[length, ..]) if length < 0x80 => rest.get(1 + usize::from(length)..),
        (Version::V5, &[low, high, ..]) if high < 0x80 => rest.get(2 + (usize::from(low & 0x7F) | usize::from(high) << 7)..),
        (Version::V5, _) => None,
    }
}

/// The beginning that all messages on one topic share: topic, and the payload up to the seq's digits. Packet id and
/// properties may differ.
#[derive(Debug)]
pub struct Prefix {
    version: Version,
    first: u8,
    /// With its two bytes of length.
    topic: Vec<u8>,
    to_seq: Vec<u8>,
}

impl Prefix {
    /// Of no message yet.
    pub fn new(version: Version) -> Prefix {
        Prefix { version, first: 0, topic: Vec::new(), to_seq: Vec::new() }
    }

    /// Learns from a message that was parsed and found to be of the right kind.
    pub fn learn(&mut self, packet: &Packet<'_>) -> Result<()> {
        let (topic, _, rest) = packet.message().context("a PUBLISH that ends too early")?;
        let payload = payload(self.version, rest).context("a PUBLISH that ends too early")?;
        let seq = find(payload, SEQ).context("a message without a seq")?;
        self.first = packet.first;
        self.topic = packet.body[..topic.len() + 2].to_vec();
        self.to_seq = payload[..seq + SEQ.len()].to_vec();
        Ok(())
    }

    /// Seq and packet id, when the message begins as the learned one did.
    #[inline]
    pub fn seq(&self, packet: &Packet<'_>) -> Option<(u64, u16)> {
        // Nothing learned: 0 is no packet's first byte.
        if packet.first != self.first {
            return None;
        }
        let rest = packet.body.strip_prefix(self.topic.as_slice())?;
        let (id, rest) = match self.first & 0x06 {
            0 => (0, rest),
            _ => rest.split_first_chunk().map(|(id, rest)| (u16::from_be_bytes(*id), rest))?,
        };
        let payload = payload(self.version, rest)?;
        Some((payload.strip_prefix(self.to_seq.as_slice()).and_then(digits)?, id))
    }
}

/// A PUBLISH whose packet id and ten-digit numbers are written anew: wherever [`FIRST_NUMBER`] stands in topic and payload.
#[derive(Debug, Clone)]
pub struct PublishFrame {
    bytes: Vec<u8>,
    id_at: usize,
    numbers_at: Vec<usize>,
}

impl PublishFrame {
    /// A message of QoS 1.
    pub fn new(version: Version, topic: &str, payload: &str, is_retained: bool) -> PublishFrame {
        let mut publish = Publish::new(topic, 1, payload).id(1);
        publish.retain = is_retained;
        let bytes = publish.bytes(version);
        let body = first(&bytes).ok().flatten().map_or(0, |packet| packet.len - packet.body.len());
        let number = FIRST_NUMBER.to_string();
        let numbers_at = bytes.windows(number.len()).enumerate().filter(|(_, seen)| *seen == number.as_bytes()).map(|(at, _)| at).collect();
        PublishFrame { id_at: body + 2 + topic.len(), bytes, numbers_at }
    }

    /// The packet with this number; ten digits.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        for &at in &self.numbers_at {
            write_ten_digits(&mut self.bytes[at..], number);
        }
        self.with_id(number)
    }

    /// The packet with one number per place, in the order of the places.
    pub fn numbered_each(&mut self, number: u64, numbers: &[u64]) -> &[u8] {
        for (&at, &number) in self.numbers_at.iter().zip(numbers) {
            write_ten_digits(&mut self.bytes[at..], number);
        }
        self.with_id(number)
    }

    fn with_id(&mut self, number: u64) -> &[u8] {
        self.bytes[self.id_at..self.id_at + 2].copy_from_slice(&id_of(number).to_be_bytes());
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use conformance::mqtt::property::{self, Value};

    use super::*;

    #[test]
    fn every_length_form_comes_back_whole_and_never_early() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384] {
            let bytes = conformance::mqtt::packet::frame(0x30, &vec![b'x'; length]);
            assert_eq!(first(&bytes[..bytes.len() - 1]).expect("legal"), None, "{length} bytes less one");
            let packet = first(&bytes).expect("legal").expect("whole");
            assert_eq!((packet.first, packet.body.len(), packet.len), (0x30, length, bytes.len()));
        }
    }

    #[test]
    fn a_learned_prefix_gives_seq_and_packet_id_in_both_versions() {
        for version in [Version::V4, Version::V5] {
            for qos in [0, 1] {
                let message = |topic: &str, seq: u64, id, properties: &[(u8, Value)]| {
                    let mut message = Publish::new(topic, qos, format!(r#"{{"conversation":"lobby","seq":{seq}}}"#)).id(id);
                    if version == Version::V5 {
                        message.properties = properties.to_vec();
                    }
                    message.bytes(version)
                };
                let one = message("a/lobby", 41, 7, &[]);
                let two = message("a/lobby", 4_200, 8, &[(property::USER, Value::Pair("seq".into(), "x".repeat(150)))]);
                let other = message("a/other", 1, 9, &[]);
                let packet = |bytes| first(bytes).expect("legal").expect("whole");
                let mut prefix = Prefix::new(version);
                assert_eq!(prefix.seq(&packet(&one)), None);
                prefix.learn(&packet(&one)).expect("a seq");
                assert_eq!(prefix.seq(&packet(&two)), Some((4_200, if qos == 0 { 0 } else { 8 })));
                assert_eq!(prefix.seq(&packet(&other)), None);
            }
        }
    }

    #[test]
    fn a_numbered_frame_is_the_packet_that_it_seems() {
        for version in [Version::V4, Version::V5] {
            let mut frame = PublishFrame::new(version, &format!("t/{FIRST_NUMBER}"), &format!("n {FIRST_NUMBER}"), true);
            let bytes = frame.numbered_each(1_000_000_042, &[1_000_000_007, 1_000_000_042]).to_vec();
            let packet = first(&bytes).expect("legal").expect("whole");
            let seen = packet.parsed(version).expect("legal");
            let id = id_of(1_000_000_042);
            assert_eq!(seen, parse::Packet::Publish(Publish::new("t/1000000007", 1, "n 1000000042").id(id).retained()));
            assert!(packet.is_publish() && packet.is_retained());
            assert_eq!(packet.message().map(|(topic, id, _)| (topic, id)), Some((&b"t/1000000007"[..], id)));
        }
    }
}
