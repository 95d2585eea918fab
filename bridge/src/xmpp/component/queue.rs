//! What goes to the other server, in order, until it has it. The component protocol knows no acknowledgements, but a server takes stanzas in
//! order: a ping that the component sends to itself and gets back says that everything before it was taken. What was written before the
//! link was cut and is not known to have been taken goes again over the next link.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes and stanzas that may be on their way, or wait to be.
const MAX_BYTES: usize = 1 << 20;
const MAX_ITEMS: usize = 8192;
/// How long the first ping of a server may take to come back before it is taken for one that does not send such pings back.
const FIRST_PING: Duration = Duration::from_secs(10);
/// And a later one before the link is taken for dead.
const LATER_PING: Duration = Duration::from_secs(30);

struct Item {
    /// Nothing is written of what is only counted.
    bytes: Box<[u8]>,
    /// The occupant that it is for.
    occupant: u64,
    /// The number of the ping that it is, or 0.
    ping: u64,
}

/// See the module's text.
#[derive(Default)]
pub struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// The first that is not written, and how much of it is.
    next: usize,
    written: usize,
    pings: u64,
    /// When the ping was sent that is awaited.
    asked: Option<Instant>,
    /// The server sends pings back; `None`: it is not known yet.
    returns_pings: Option<bool>,
}

impl Queue {
    /// Whether it takes more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes < MAX_BYTES && self.items.len() < MAX_ITEMS
    }

    /// Appends what goes to an occupant; nothing, for what is only counted.
    pub fn push(&mut self, occupant: u64, bytes: &[u8]) {
        self.add(occupant, bytes, 0);
    }

    fn add(&mut self, occupant: u64, bytes: &[u8], ping: u64) {
        self.bytes += bytes.len();
        self.items.push_back(Item { bytes: bytes.into(), occupant, ping });
    }

    /// What is to be written next.
    #[must_use]
    pub fn front(&mut self) -> Option<&[u8]> {
        while self.items.get(self.next).is_some_and(|item| self.written >= item.bytes.len()) {
            (self.next, self.written) = (self.next + 1, 0);
        }
        self.items.get(self.next)?.bytes.get(self.written..)
    }

    /// So much of it was written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// Whether the server has to be asked what it has: everything is written, and it is not known to have everything.
    #[must_use]
    pub fn is_due(&mut self) -> bool {
        self.front().is_none() && !self.items.is_empty() && self.asked.is_none() && self.returns_pings != Some(false)
    }

    /// Appends a ping; `write` makes it of its number.
    pub fn ping(&mut self, now: Instant, write: impl FnOnce(u64) -> Vec<u8>) {
        self.pings += 1;
        let bytes = write(self.pings);
        self.add(0, &bytes, self.pings);
        self.asked = Some(now);
    }

    /// A ping came back: whom it was for what the server is now known to have.
    pub fn returned(&mut self, ping: u64) -> Vec<u64> {
        let Some(at) = self.items.iter().position(|item| item.ping == ping && ping > 0) else { return Vec::new() };
        self.asked = None;
        self.returns_pings = Some(true);
        self.take(at + 1)
    }

    fn take(&mut self, count: usize) -> Vec<u64> {
        self.next = self.next.saturating_sub(count);
        let taken = self.items.drain(..count.min(self.items.len()));
        let mut bytes = 0;
        let occupants =
            taken.inspect(|item| bytes += item.bytes.len()).map(|item| item.occupant).filter(|occupant| *occupant > 0).collect();
        self.bytes -= bytes;
        occupants
    }

    /// Of a server that does not send pings back, what is written is taken for what it has: whom it was for.
    pub fn settle(&mut self, now: Instant) -> Vec<u64> {
        let is_late = self.asked.is_some_and(|asked| now >= asked + FIRST_PING);
        if self.returns_pings.is_none() && is_late {
            (self.returns_pings, self.asked) = (Some(false), None);
        }
        if self.returns_pings != Some(false) {
            return Vec::new();
        }
        let _ = self.front();
        self.take(self.next)
    }

    /// Whether the server has been silent for too long.
    #[must_use]
    pub fn is_dead(&self, now: Instant) -> bool {
        self.returns_pings == Some(true) && self.asked.is_some_and(|asked| now >= asked + LATER_PING)
    }

    /// Everything goes again over another link.
    pub fn begin_again(&mut self) {
        self.items.retain(|item| item.ping == 0);
        self.bytes = self.items.iter().map(|item| item.bytes.len()).sum();
        (self.next, self.written, self.asked) = (0, 0, None);
        // Another server may be there now, or another version of it.
        self.returns_pings = None;
    }

    /// Whether the server has taken anything by this link, as far as it is known.
    #[must_use]
    pub fn has_returned(&self) -> bool {
        self.returns_pings == Some(true)
    }

    /// Gives up all of it: whom it was for.
    pub fn clear(&mut self) -> Vec<u64> {
        self.take(self.items.len())
    }

    /// Whether everything that can be known to be there is.
    #[must_use]
    pub fn is_settled(&mut self) -> bool {
        self.front().is_none() && (self.items.is_empty() || self.returns_pings == Some(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_all(queue: &mut Queue) -> String {
        let mut written = String::new();
        while let Some(bytes) = queue.front() {
            let some = bytes.len().min(3);
            written.push_str(std::str::from_utf8(&bytes[..some]).unwrap());
            queue.wrote(some);
        }
        written
    }

    #[tokio::test]
    async fn what_is_not_known_to_be_there_goes_again() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(1, b"first ");
        queue.push(2, b"");
        queue.push(1, b"second ");
        assert_eq!(write_all(&mut queue), "first second ");
        assert!(queue.is_due());
        queue.ping(now, |number| format!("ping {number} ").into_bytes());
        queue.push(3, b"third ");
        assert_eq!(write_all(&mut queue), "ping 1 third ");
        assert!(!queue.is_due());
        assert_eq!(queue.returned(7), Vec::<u64>::new());
        assert_eq!(queue.returned(1), [1, 2, 1]);
        queue.push(4, b"fourth");
        assert_eq!(queue.front().unwrap(), b"fourth");
        queue.wrote(3);
        queue.begin_again();
        assert_eq!(write_all(&mut queue), "third fourth");
        queue.ping(now, |_| b"ping".to_vec());
        write_all(&mut queue);
        assert_eq!(queue.settle(now), Vec::<u64>::new());
        assert_eq!(queue.settle(now + FIRST_PING), [3, 4]);
        assert!(queue.is_settled() && queue.bytes == 0);
    }
}
