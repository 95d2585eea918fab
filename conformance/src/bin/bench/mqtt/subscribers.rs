//! One chat on one topic: connection 0 publishes, the others receive and acknowledge.

use anyhow::{Context as _, Result, bail, ensure};
use conformance::mqtt::{Version, parse};

use super::broker::{Broker, Credential};
use super::canonical::canonical;
use super::login::{Client, acknowledge, log_in};
use super::packet::{Packet, Prefix, PublishFrame, puback};
use crate::arrivals::GENTLE;
use crate::bare::{self, Bare, FanOut, Message, Task};
use crate::deliveries::{Drive, Fan, Tally};
use crate::net::{Conns, Load, Net, Speaks};
use crate::request::FIRST_NUMBER;

const CONVERSATION: &str = "lobby";
pub const TOPIC: &str = "conf/demo/chat/lobby";

/// The load.
pub struct Subscribers {
    version: Version,
    /// Of the subscriptions; the messages are sent with QoS 1, so that Hallway's are acked when they are stored.
    qos: u8,
    frame: PublishFrame,
    next_number: u64,
    unacked: usize,
    tally: Tally,
    prefix: Prefix,
    /// The first message as it came, a whole packet.
    sample: Vec<u8>,
    payload_bytes: usize,
}

/// Publisher and subscribers, connected to the broker. `payload_bytes` is the length of Hallway's canonical message.
pub fn connect(broker: &Broker, subscribers: usize, qos: u8, body: &str, payload_bytes: Option<usize>) -> Result<Drive<Subscribers>> {
    let mut net = Net::new(broker.plain()?)?;
    let publisher = Client::new(broker, 0, Credential::Token);
    let readers = (1..=subscribers).map(|number| Client::new(broker, number, Credential::Token).follow(broker, TOPIC, qos));
    let clients: Vec<Client> = std::iter::once(publisher).chain(readers).collect();
    log_in(&mut net, broker.version, &clients, GENTLE)?;
    let payload = match broker.stage() {
        // Text is a draft.
        Some(_) => body.to_owned(),
        None => canonical(CONVERSATION, "bench00000", body, payload_bytes),
    };
    let frame = PublishFrame::new(broker.version, TOPIC, &payload, false);
    let load = Subscribers::new(broker.version, qos, frame, vec![0; subscribers]);
    Ok(Drive { net, load, pid: broker.pid()?, bare: None })
}

/// The same subscribers at a bare writer that joins `group` messages of the same bytes.
pub fn bare(server: &Drive<Subscribers>, group: usize) -> Result<Drive<Subscribers>> {
    let Subscribers { version, qos, ref frame, ref tally, .. } = server.load;
    let readers = tally.subscribers();
    let message = Message::packet(&server.load.sample, std::str::from_utf8(server.load.payload())?)?;
    let bare = Bare::start(&Task::FanOut(FanOut { readers, group, request_bytes: frame.len(), has_acks: qos > 0, message }))?;
    let mut net = Net::new(bare.address())?;
    for _ in 0..=readers {
        net.conns().open(Speaks::Mqtt)?;
    }
    let load = Subscribers::new(version, qos, frame.clone(), vec![bare::FIRST_SEQ; readers]);
    Ok(Drive { net, load, pid: bare.pid(), bare: Some(bare) })
}

impl Subscribers {
    fn new(version: Version, qos: u8, frame: PublishFrame, next_seqs: Vec<u64>) -> Subscribers {
        let tally = Tally::new(next_seqs);
        Subscribers {
            version,
            qos,
            frame,
            next_number: FIRST_NUMBER,
            unacked: 0,
            tally,
            prefix: Prefix::new(version),
            sample: Vec::new(),
            payload_bytes: 0,
        }
    }

    /// Bytes of a delivered packet.
    pub fn packet_bytes(&self) -> usize {
        self.sample.len()
    }

    /// The first message's payload.
    pub fn payload(&self) -> &[u8] {
        &self.sample[self.sample.len() - self.payload_bytes..]
    }

    #[inline]
    fn received(&mut self, conns: &mut Conns, id: usize, seq: u64, packet_id: u16) -> Result<()> {
        if packet_id > 0 {
            conns.queue(id, &puback(packet_id));
        }
        if self.tally.received(id - 1, seq)? {
            self.send(conns);
        }
        Ok(())
    }

    /// The first message, and what is none.
    fn unknown(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        match packet.parsed(self.version)? {
            parse::Packet::Publish(message) if message.retain || message.topic != TOPIC.as_bytes() => acknowledge(conns, id, packet),
            parse::Packet::Publish(message) => {
                // Parsing every message would measure the generator: all of them must begin as the first one.
                ensure!(self.sample.is_empty(), "subscriber {id} got a message that does not begin as the first did: {message:?}");
                ensure!(message.qos == self.qos, "QoS {} was subscribed to, a message came with {}", self.qos, message.qos);
                self.prefix.learn(packet)?;
                let mut sample = vec![packet.first];
                conformance::mqtt::packet::variable(&mut sample, u32::try_from(packet.body.len())?);
                sample.extend_from_slice(packet.body);
                self.sample = sample;
                self.payload_bytes = message.payload.len();
                let (seq, packet_id) = self.prefix.seq(packet).context("a message without a seq")?;
                self.received(conns, id, seq, packet_id)
            }
            parse::Packet::Ack { code, .. } if id == 0 && code < 0x80 && self.unacked > 0 => {
                self.unacked -= 1;
                Ok(())
            }
            other => bail!("client {id} got {other:?}"),
        }
    }
}

impl Fan for Subscribers {
    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn send(&mut self, conns: &mut Conns) {
        conns.queue(0, self.frame.numbered(self.next_number));
        self.next_number += 1;
        self.unacked += 1;
        self.tally.outstanding += 1;
    }

    fn is_done(&self) -> bool {
        self.tally.outstanding == 0 && self.unacked == 0
    }
}

impl Load for Subscribers {
    #[inline]
    fn packet(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        match self.prefix.seq(packet) {
            Some((seq, packet_id)) if id > 0 => self.received(conns, id, seq, packet_id),
            _ => self.unknown(conns, id, packet),
        }
    }
}
