//! Stream management (XEP-0198) from the server's side: what of either direction has arrived. No IO, no clock.
//!
//! What a client sends is counted as handled when what it asks for is durable, in the order in which it came: an `h` never promises more than a
//! crash would keep. What it is sent is remembered until it acknowledges it, events by their pos alone, since they are read from the store again.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::stanza::ns::STANZA_ERRORS;
use super::write::Writer;

/// Stanzas, and bytes of those that are nowhere else, that are kept for a client: of answers to what it asks there is no end while it
/// acknowledges nothing.
const MOST_STANZAS: usize = 20_000;
const MOST_OWN_BYTES: usize = 32 << 20;

/// The namespace of stream management.
pub const NS: &str = "urn:xmpp:sm:3";

/// Whether a count has reached another, both modulo 2³².
pub(super) fn reached(count: u32, other: u32) -> bool {
    count.wrapping_sub(other) < u32::MAX / 2
}

/// Appends that a request is refused (XEP-0198 §3, §5), for a defined condition of stanza errors.
pub fn write_failed(condition: &'static str, out: &mut Vec<u8>) {
    Writer::new(out).open("failed", NS).inside().open(condition, STANZA_ERRORS).empty().close("failed");
}

/// Stanzas of the client, in the order in which they came.
#[derive(Debug, Default)]
pub struct Received {
    /// How many were handled; counted modulo 2³² (XEP-0198 §4).
    handled: u32,
    /// The number of the first that waits, and of each whether it is done.
    waiting: VecDeque<bool>,
}

impl Received {
    /// Of a stream that goes on: so many were handled before.
    #[must_use]
    pub fn resumed(handled: u32) -> Self {
        Self { handled, waiting: VecDeque::new() }
    }

    /// The number that the next stanza gets.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.handled.wrapping_add(u32::try_from(self.waiting.len()).unwrap_or(0))
    }

    /// A stanza came. Its number, to be said when it is done.
    pub fn begin(&mut self) -> u32 {
        let number = self.next();
        self.waiting.push_back(false);
        number
    }

    /// What a stanza asked for is durable, or was refused: either way it is answered for.
    pub fn done(&mut self, number: u32) {
        if let Some(done) = self.waiting.get_mut(number.wrapping_sub(self.handled) as usize) {
            *done = true;
        }
        while self.waiting.front() == Some(&true) {
            self.waiting.pop_front();
            self.handled = self.handled.wrapping_add(1);
        }
    }

    /// The count for an acknowledgement.
    #[must_use]
    pub fn handled(&self) -> u32 {
        self.handled
    }

    /// Stanzas that are not done: a bound on reading.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.waiting.len()
    }
}

/// A stanza that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// An event of the log, at this pos.
    Event(u64),
    /// What is nowhere else: an answer, a presence.
    Own(Box<[u8]>),
}

/// A client acknowledged what it was not sent (XEP-0198 §4): the stream ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("handled count too high: {handled} of {sent}")]
pub struct TooHigh {
    /// What it says.
    pub handled: u32,
    /// How many there were.
    pub sent: u32,
}

/// Stanzas for the client that it has not acknowledged.
#[derive(Debug, Default)]
pub struct Unacknowledged {
    acknowledged: u32,
    stanzas: VecDeque<Sent>,
    /// Events that were acknowledged before others of a lower pos.
    ahead: Vec<u64>,
    /// Bytes of those that are nowhere else.
    own_bytes: usize,
}

impl Unacknowledged {
    /// A stanza was sent.
    pub fn push(&mut self, sent: Sent) {
        if let Sent::Own(bytes) = &sent {
            self.own_bytes += bytes.len();
        }
        self.stanzas.push_back(sent);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stanzas.len()
    }

    /// Whether the client has everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stanzas.is_empty()
    }

    /// Bytes that are kept for it.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// Whether it is more than is kept for a client.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        self.stanzas.len() > MOST_STANZAS || self.own_bytes > MOST_OWN_BYTES
    }

    /// Takes back what was pushed last, so that `len` are left: it was not sent after all.
    pub fn truncate(&mut self, len: usize) {
        for sent in self.stanzas.drain(len.min(self.stanzas.len())..) {
            if let Sent::Own(bytes) = sent {
                self.own_bytes -= bytes.len();
            }
        }
    }

    /// The client has handled so many in all. `given`: every event at or below this pos was sent that is for it. Fewer than before changes nothing:
    /// xmpp.js counts from nothing again when what comes behind `<enabled/>` is read at once with it.
    ///
    /// # Errors
    /// [`TooHigh`]; nothing is changed.
    pub fn acknowledge(&mut self, handled: u32, given: u64) -> Result<(), TooHigh> {
        if !reached(handled, self.acknowledged) {
            return Ok(());
        }
        let more = handled.wrapping_sub(self.acknowledged) as usize;
        if more > self.stanzas.len() {
            let sent = self.acknowledged.wrapping_add(u32::try_from(self.stanzas.len()).unwrap_or(u32::MAX));
            return Err(TooHigh { handled, sent });
        }
        for sent in self.stanzas.drain(..more) {
            match sent {
                Sent::Own(bytes) => self.own_bytes -= bytes.len(),
                Sent::Event(pos) => self.ahead.push(pos),
            }
        }
        let cursor = self.cursor(given);
        self.ahead.retain(|pos| *pos > cursor);
        self.acknowledged = handled;
        if self.stanzas.is_empty() {
            // An idle stream keeps no room for them.
            self.stanzas = VecDeque::new();
            self.ahead.shrink_to_fit();
        }
        Ok(())
    }

    /// When the stream is resumed: what is nowhere else and is to be sent again, in its order, and the events above the cursor that are not. Events
    /// that are come from the store, from the cursor on. Nothing is unacknowledged then.
    pub fn take_up(&mut self) -> (Vec<Box<[u8]>>, Vec<u64>) {
        let own = std::mem::take(&mut self.stanzas).into_iter().filter_map(|sent| match sent {
            Sent::Own(bytes) => Some(bytes),
            Sent::Event(_) => None,
        });
        self.own_bytes = 0;
        (own.collect(), std::mem::take(&mut self.ahead))
    }

    /// The pos from which a session that comes back without resuming goes on: what is at or below it was acknowledged, of what was sent up to `given`.
    #[must_use]
    pub fn cursor(&self, given: u64) -> u64 {
        let events = self.stanzas.iter().filter_map(|sent| if let Sent::Event(pos) = sent { Some(pos - 1) } else { None });
        events.min().map_or(given, |lowest| lowest.min(given))
    }
}
