//! Messages to many topics, one after the other, a fixed number of them outstanding: a message is done when it is acked and
//! everyone who must have it has it. Every receiver is checked to get what it follows, nothing else, once, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use conformance::mqtt::Version;

use super::login::acknowledge;
use super::packet::{self, Packet, PublishFrame, id_of};
use crate::net::{Conns, Load, Net};
use crate::request::FIRST_NUMBER;
use crate::scan::Key;

/// Messages outstanding.
pub const WINDOW: usize = 100;
/// More than a window.
const SLOTS: usize = 1 << 10;
const DONE_WITHIN: Duration = Duration::from_secs(300);

/// The name of a topic: ten digits, whatever its number.
pub fn topic(group: char, topic: usize) -> String {
    format!("conf/demo/topic/{group}/{}", FIRST_NUMBER + topic as u64)
}

/// Which connections follow which topics. Connection 0 publishes.
#[derive(Debug, Clone, Copy)]
pub enum Followers {
    /// Connection 1 follows all, and of each `every` topics one has a connection of its own, from 2 on.
    AllAndSome { every: usize },
    /// Each connection from 1 on follows so many, one after the other.
    Each { topics: usize },
}

impl Followers {
    /// How many must have a message to this topic.
    fn count(self, topic: usize) -> usize {
        match self {
            Followers::AllAndSome { every } => 1 + usize::from(topic.is_multiple_of(every)),
            Followers::Each { .. } => 1,
        }
    }

    fn has(self, conn: usize, topic: usize) -> bool {
        match self {
            Followers::AllAndSome { every } => conn == 1 || (topic.is_multiple_of(every) && conn == 2 + topic / every),
            Followers::Each { topics } => conn == 1 + topic / topics,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    number: u64,
    topic: usize,
    /// The ack and the receivers that are missing.
    missing: usize,
}

/// The load.
pub struct Posting {
    version: Version,
    frame: PublishFrame,
    followers: Followers,
    topics: usize,
    stride: usize,
    next_topic: usize,
    next_number: u64,
    /// No message with this number or a higher one is sent.
    end: u64,
    unacked: VecDeque<u64>,
    slots: Vec<Slot>,
    /// By connection: the number it had last.
    last: Vec<u64>,
    key: Key,
    outstanding: usize,
    done: u64,
}

impl Posting {
    /// `stride`: from one message's topic to the next one's.
    pub fn new(version: Version, group: char, topics: usize, stride: usize, followers: Followers, conns: usize, body: &str) -> Posting {
        Posting {
            version,
            frame: frame(version, group, body, false),
            followers,
            topics,
            stride,
            next_topic: 0,
            next_number: FIRST_NUMBER,
            end: 0,
            unacked: VecDeque::new(),
            slots: vec![Slot::default(); SLOTS],
            last: vec![0; conns],
            key: Key::new(b"\"n\":"),
            outstanding: 0,
            done: 0,
        }
    }

    /// From now on messages are retained.
    pub fn retain(&mut self, group: char, body: &str) {
        self.frame = frame(self.version, group, body, true);
    }

    /// `count` messages; returns how many per second.
    pub fn post(&mut self, net: &mut Net, count: usize) -> Result<f64> {
        let start = Instant::now();
        self.begin(net.conns(), self.next_number + count as u64);
        net.run(self, DONE_WITHIN, "messages to topics", |load| load.outstanding == 0)?;
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// Messages for a time; returns how many per second.
    pub fn post_for(&mut self, net: &mut Net, time: Duration) -> Result<f64> {
        self.begin(net.conns(), u64::MAX);
        let before = self.done;
        let took = net.run_for(self, time)?;
        let per_s = (self.done - before) as f64 / took.as_secs_f64();
        self.end = self.next_number;
        net.run(self, DONE_WITHIN, "the last messages to topics", |load| load.outstanding == 0)?;
        Ok(per_s)
    }

    fn begin(&mut self, conns: &mut Conns, end: u64) {
        self.end = end;
        for _ in 0..WINDOW {
            self.send(conns);
        }
    }

    fn send(&mut self, conns: &mut Conns) {
        if self.next_number == self.end {
            return;
        }
        let (number, topic) = (self.next_number, self.next_topic);
        self.next_number += 1;
        self.next_topic = (topic + self.stride) % self.topics;
        self.slots[number as usize % SLOTS] = Slot { number, topic, missing: 1 + self.followers.count(topic) };
        conns.queue(0, self.frame.numbered_each(number, &[FIRST_NUMBER + topic as u64, number]));
        self.unacked.push_back(number);
        self.outstanding += 1;
    }

    /// One of those that a message waits for.
    fn progress(&mut self, conns: &mut Conns, number: u64) {
        let slot = &mut self.slots[number as usize % SLOTS];
        slot.missing -= 1;
        if slot.missing == 0 {
            self.outstanding -= 1;
            self.done += 1;
            self.send(conns);
        }
    }

    fn acked(&mut self, conns: &mut Conns, packet: &Packet<'_>) -> Result<()> {
        let id = packet.acked_id().context("a PUBACK without a packet id")?;
        // A reason code, in MQTT 5.
        ensure!(packet.body.get(2).is_none_or(|&code| code < 0x80), "a message was refused: {:?}", packet.parsed(self.version));
        let number = self.unacked.pop_front().context("a PUBACK too many")?;
        ensure!(id == id_of(number), "the PUBACK of packet id {id} came where {} must come", id_of(number));
        self.progress(conns, number);
        Ok(())
    }

    fn received(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        acknowledge(conns, id, packet)?;
        let (topic, _, rest) = packet.message().context("a PUBLISH that ends too early")?;
        let shown = || String::from_utf8_lossy(topic).into_owned();
        let number = self.key.number(rest).with_context(|| format!("a message without a number on {}", shown()))?;
        let slot = self.slots[number as usize % SLOTS];
        ensure!(slot.number == number && slot.missing > 0, "message {number} on {} came again, or to too many", shown());
        ensure!(self.followers.has(id, slot.topic), "receiver {id} got a message on {}, which it does not follow", shown());
        ensure!(number > self.last[id], "receiver {id} got message {number} after {}", self.last[id]);
        self.last[id] = number;
        self.progress(conns, number);
        Ok(())
    }
}

impl Load for Posting {
    fn packet(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        match packet.first {
            packet::PUBACK if id == 0 => self.acked(conns, packet),
            _ if packet.is_publish() && !packet.is_retained() => self.received(conns, id, packet),
            _ => bail!("client {id} got {:?}", packet.parsed(self.version)?),
        }
    }
}

/// JSON, as applications' topics want it.
fn frame(version: Version, group: char, body: &str, is_retained: bool) -> PublishFrame {
    PublishFrame::new(version, &topic(group, 0), &format!(r#"{{"n":{FIRST_NUMBER},"text":"{body}"}}"#), is_retained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_who_has_a_topic_is_counted() {
        for followers in [Followers::AllAndSome { every: 5 }, Followers::Each { topics: 5 }] {
            for topic in 0..50 {
                let conns = (1..100).filter(|&conn| followers.has(conn, topic)).count();
                assert_eq!(conns, followers.count(topic), "{followers:?}, topic {topic}");
            }
        }
    }
}
