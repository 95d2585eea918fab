//! Senders with numbered messages: each is acked, and in two-person chats told to the partner, once.
//!
//! Closed loop (who is done sends again) for saturation, open loop (a schedule) for latency. In the open loop a latency
//! begins when the message was *due*, so that a stall counts against every message that it held up.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::latency::Latency;
use crate::mqtt::packet::Packet;
use crate::net::{Conns, Load};
use crate::request::{FIRST_NUMBER, SendFrame};
use crate::speech::{Heard, Speech, WebSocket};
use crate::xmpp::stanza::Stanza;

/// More than a load ever has outstanding.
const SLOTS: usize = 1 << 17;

/// Who sends when a message is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refill {
    /// Nobody: the schedule sends, or the load ends.
    Nobody,
    /// Its sender.
    Same,
    /// The next one in turn.
    Next,
}

#[derive(Clone, Copy)]
struct Slot {
    number: u64,
    line: usize,
    due: Instant,
    is_acked: bool,
    is_told: bool,
}

/// The open loop's plan.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    interval: Duration,
    sent: u32,
}

/// See the module. Connection `first + i` belongs to sender `i`; partners differ in the last bit.
pub struct Chatter<S = WebSocket> {
    conns: Range<usize>,
    pub speech: S,
    has_partners: bool,
    /// Of each two partners only the first speaks.
    is_one_sided: bool,
    refill: Refill,
    schedule: Option<Schedule>,
    slots: Vec<Slot>,
    next_number: u64,
    next_line: usize,
    pub outstanding: usize,
    /// Since the last [`Chatter::reset`].
    pub done: u64,
    pub ack: Latency,
    /// From due to the partner's notification.
    pub told: Latency,
}

impl Chatter {
    /// `frames` are the senders' messages, `first_number` one above every number used on this data before.
    pub fn new(conns: Range<usize>, frames: Vec<SendFrame>, has_partners: bool, first_number: u64) -> Chatter {
        Chatter::with(WebSocket::new(frames, has_partners), conns, has_partners, first_number)
    }
}

impl<S: Speech> Chatter<S> {
    /// The senders are the speech's.
    pub fn with(speech: S, conns: Range<usize>, has_partners: bool, first_number: u64) -> Chatter<S> {
        let free = Slot { number: 0, line: 0, due: Instant::now(), is_acked: true, is_told: true };
        Chatter {
            conns,
            speech,
            has_partners,
            is_one_sided: false,
            refill: Refill::Nobody,
            schedule: None,
            slots: vec![free; SLOTS],
            next_number: first_number.max(FIRST_NUMBER),
            next_line: 0,
            outstanding: 0,
            done: 0,
            ack: Latency::default(),
            told: Latency::default(),
        }
    }

    /// Only the first of each two partners speaks from now on.
    pub fn one_sided(mut self, is_one_sided: bool) -> Chatter<S> {
        self.is_one_sided = is_one_sided;
        self
    }

    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    pub fn refill(&mut self, refill: Refill) {
        self.refill = refill;
    }

    /// Forgets the figures, not what is outstanding.
    pub fn reset(&mut self) {
        self.done = 0;
        self.ack.clear();
        self.told.clear();
    }

    /// `per_sender` messages from every sender.
    pub fn send_each(&mut self, conns: &mut Conns, per_sender: usize) -> Result<()> {
        for line in 0..self.speech.senders() {
            for _ in 0..per_sender {
                self.send(conns, line, Instant::now())?;
            }
        }
        Ok(())
    }

    /// `count` messages from one sender after the other.
    pub fn send_in_turn(&mut self, conns: &mut Conns, count: usize) -> Result<()> {
        for _ in 0..count {
            self.send_next(conns, Instant::now())?;
        }
        Ok(())
    }

    /// Begins the open loop; [`Chatter::send_due`] keeps to it.
    pub fn schedule(&mut self, per_second: f64) -> Duration {
        let interval = Duration::from_secs_f64(1.0 / per_second);
        self.schedule = Some(Schedule { start: Instant::now(), interval, sent: 0 });
        interval
    }

    pub fn end_schedule(&mut self) {
        self.schedule = None;
    }

    /// Sends all messages whose time has come.
    pub fn send_due(&mut self, conns: &mut Conns) -> Result<()> {
        let now = Instant::now();
        while let Some(schedule) = &mut self.schedule {
            let due = schedule.start + schedule.interval * schedule.sent;
            if due > now {
                break;
            }
            schedule.sent += 1;
            self.send_next(conns, due)?;
        }
        Ok(())
    }

    fn send_next(&mut self, conns: &mut Conns, due: Instant) -> Result<()> {
        let line = self.next_line;
        // A stride without a common factor visits everyone, and partners not one after the other.
        self.next_line = (line + stride(self.speech.senders())) % self.speech.senders();
        self.send(conns, if self.is_one_sided { line & !1 } else { line }, due)
    }

    fn send(&mut self, conns: &mut Conns, line: usize, due: Instant) -> Result<()> {
        let number = self.next_number;
        self.next_number += 1;
        let slot = &mut self.slots[number as usize % SLOTS];
        ensure!(slot.is_acked && slot.is_told, "message {} of sender {} was never done", slot.number, slot.line);
        *slot = Slot { number, line, due, is_acked: !S::HAS_ACKS, is_told: !self.has_partners };
        conns.queue(self.conns.start + line, self.speech.say(line, number));
        self.outstanding += 1;
        Ok(())
    }

    fn acked(&mut self, conns: &mut Conns, number: u64, line: usize) -> Result<()> {
        let slot = &mut self.slots[number as usize % SLOTS];
        ensure!(slot.number == number && slot.line == line && !slot.is_acked, "message {number} was acked twice, or to another");
        slot.is_acked = true;
        self.ack.add(conns.now().saturating_duration_since(slot.due));
        self.is_done(conns, number)
    }

    fn told(&mut self, conns: &mut Conns, number: u64, line: usize) -> Result<()> {
        let slot = &mut self.slots[number as usize % SLOTS];
        if S::HAS_ECHO && slot.number == number && slot.line == line {
            return Ok(());
        }
        ensure!(slot.number == number && !slot.is_told, "message {number} was delivered twice, or is not of this run");
        ensure!(self.speech.listener(slot.line) == line, "message {number} of sender {} came to {line}", slot.line);
        slot.is_told = true;
        self.told.add(conns.now().saturating_duration_since(slot.due));
        self.is_done(conns, number)
    }

    fn is_done(&mut self, conns: &mut Conns, number: u64) -> Result<()> {
        let slot = self.slots[number as usize % SLOTS];
        if !(slot.is_acked && slot.is_told) {
            return Ok(());
        }
        self.outstanding -= 1;
        self.done += 1;
        match self.refill {
            Refill::Nobody => Ok(()),
            Refill::Same => self.send(conns, slot.line, conns.now()),
            Refill::Next => self.send_next(conns, conns.now()),
        }
    }

    fn heard(&mut self, conns: &mut Conns, line: usize, heard: Heard) -> Result<()> {
        match heard {
            Heard::Ack(number) => self.acked(conns, number, line),
            Heard::Told(number) => self.told(conns, number, line),
            Heard::Nothing => Ok(()),
        }
    }
}

impl<S: Speech> Load for Chatter<S> {
    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        if !self.conns.contains(&id) {
            return Ok(());
        }
        let line = id - self.conns.start;
        let heard = self.speech.text(conns, id, line, payload)?;
        self.heard(conns, line, heard)
    }

    fn packet(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        if !self.conns.contains(&id) {
            return Ok(());
        }
        let line = id - self.conns.start;
        let heard = self.speech.packet(conns, id, line, packet)?;
        self.heard(conns, line, heard)
    }

    fn stanza(&mut self, conns: &mut Conns, id: usize, stanza: &Stanza<'_>) -> Result<()> {
        if !self.conns.contains(&id) {
            return Ok(());
        }
        let line = id - self.conns.start;
        let heard = self.speech.stanza(conns, id, line, stanza)?;
        self.heard(conns, line, heard)
    }
}

/// A step that visits all of `count` before it comes back.
fn stride(count: usize) -> usize {
    // A prime that does not divide the count has no common factor with it.
    [617_usize, 619, 631].into_iter().find(|&prime| !count.is_multiple_of(prime)).unwrap_or(1)
}
