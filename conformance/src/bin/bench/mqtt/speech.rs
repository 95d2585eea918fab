//! What a chatter says and hears over MQTT: a PUBLISH of QoS 1 per message, acked by packet id; deliveries are acknowledged.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, bail, ensure};
use conformance::mqtt::{Version, parse};

use super::packet::{self, Packet, PublishFrame, id_of, puback};
use crate::net::Conns;
use crate::request::FIRST_NUMBER;
use crate::scan::Key;
use crate::speech::{Heard, Speech};

/// A chat's text begins with the message's number.
pub fn text(body_bytes: usize) -> String {
    format!("{FIRST_NUMBER}{}", "x".repeat(body_bytes.saturating_sub(10)))
}

/// By sender: what is not acked yet. Acks come in the order of the messages [MQTT-4.6.0-2].
pub struct Unacked {
    version: Version,
    numbers: Vec<VecDeque<u64>>,
}

impl Unacked {
    pub fn of(version: Version, senders: usize) -> Unacked {
        Unacked { version, numbers: vec![VecDeque::new(); senders] }
    }

    /// A message on its way.
    pub fn sent(&mut self, sender: usize, number: u64) {
        self.numbers[sender].push_back(number);
    }

    /// The message that a PUBACK is for.
    pub fn acked(&mut self, sender: usize, packet: &Packet<'_>) -> Result<Heard> {
        let id = packet.acked_id().context("a PUBACK without a packet id")?;
        // A reason code, in MQTT 5.
        ensure!(packet.body.get(2).is_none_or(|&code| code < 0x80), "sender {sender} was refused: {:?}", packet.parsed(self.version)?);
        let number = self.numbers[sender].pop_front().with_context(|| format!("sender {sender} got a PUBACK too many"))?;
        ensure!(id == id_of(number), "sender {sender} got the PUBACK of packet id {id} where {} must come", id_of(number));
        Ok(Heard::Ack(number))
    }
}

pub struct Mqtt {
    version: Version,
    frames: Vec<PublishFrame>,
    unacked: Unacked,
    text_key: Key,
    /// Length of the first message's payload; 0 before it.
    pub payload_bytes: usize,
}

impl Mqtt {
    pub fn new(version: Version, frames: Vec<PublishFrame>) -> Mqtt {
        let unacked = Unacked::of(version, frames.len());
        Mqtt { version, frames, unacked, text_key: Key::new(b"\"text\":\""), payload_bytes: 0 }
    }

    fn told(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<Heard> {
        let (_, packet_id, rest) = packet.message().context("a PUBLISH that ends too early")?;
        if packet_id > 0 {
            conns.queue(id, &puback(packet_id));
        }
        if self.payload_bytes == 0
            && let parse::Packet::Publish(message) = packet.parsed(self.version)?
        {
            self.payload_bytes = message.payload.len();
        }
        match self.text_key.number(rest) {
            Some(number) if !packet.is_retained() => Ok(Heard::Told(number)),
            // A retained message, or the inbox: not what is measured.
            _ => Ok(Heard::Nothing),
        }
    }
}

impl Speech for Mqtt {
    // 3.1.1 has no way not to hear oneself.
    const HAS_ECHO: bool = true;

    fn senders(&self) -> usize {
        self.frames.len()
    }

    fn say(&mut self, sender: usize, number: u64) -> &[u8] {
        self.unacked.sent(sender, number);
        self.frames[sender].numbered(number)
    }

    fn packet(&mut self, conns: &mut Conns, id: usize, sender: usize, packet: &Packet<'_>) -> Result<Heard> {
        match packet.first {
            packet::PUBACK => self.unacked.acked(sender, packet),
            _ if packet.is_publish() => self.told(conns, id, packet),
            _ => bail!("sender {sender} got {:?}", packet.parsed(self.version)?),
        }
    }
}
