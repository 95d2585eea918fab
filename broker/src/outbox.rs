//! What waits to be written to one session: a lane for answers and protocol acknowledgements, which is never dropped, and a lane for
//! events, which is bounded and refilled from the store when it could not take more. No IO: bytes go out through [`Link`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::model::Publication;
use crate::recent::Published;
use crate::shares::Share;
use crate::topic::Telling;

/// The writing half of a session's connection.
pub trait Link {
    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; anything else when the connection is gone.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Wakes the session's task: there is something to write, to refill or to end.
    fn wake(&self);

    /// The number of the wire form that the session reads.
    fn wire(&self) -> usize;

    /// Whether the session's user may read what an application published: its filters do not say so.
    fn may_read(&self, _publication: &Publication) -> bool {
        true
    }

    /// Makes a copy of an event for a session that reads it so ([`crate::topic::How::stamped`]): appends it to `into`, with what is the session's
    /// alone; `form` is the event's shared form.
    fn stamp(&self, _published: &Published, _form: &[u8], _into: &mut Vec<u8>) -> Stamped {
        Stamped::Unwanted
    }

    /// The same for a signal, which has nothing to be acknowledged.
    fn stamp_signal(&self, _telling: &Telling, _form: &[u8], _into: &mut Vec<u8>) -> Stamped {
        Stamped::Unwanted
    }

    /// The same for a message that the session was given as one of a group.
    fn stamp_share(&self, _share: &Share, _form: &[u8], _into: &mut Vec<u8>) -> Stamped {
        Stamped::Unwanted
    }

    /// Keeps such a message for which there is no room now, within a bound; whether it did.
    fn keep_share(&self, _share: Arc<Share>) -> bool {
        false
    }

    /// Whether such messages wait already.
    fn keeps_shares(&self) -> bool {
        false
    }

    /// Where the stamping is, for [`Link::unstamp`].
    fn stamps(&self) -> usize {
        0
    }

    /// Takes back what was stamped since: the lane did not take it.
    fn unstamp(&self, _since: usize) {}

    /// Whether the session takes events again that it had no room for.
    fn has_room(&self) -> bool {
        true
    }
}

/// What became of an event that a session was to stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamped {
    /// It was appended.
    Given,
    /// It is not for this session.
    Unwanted,
    /// Not now: the session has too much under way that is not acknowledged.
    NoRoom,
}

/// Events in one piece on their way into a lane.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Shared with other sessions.
    Shared(&'a Bytes),
    /// One session's, in a buffer that is used again: copied only when the socket does not take it.
    Own(&'a [u8]),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }

    fn keep(self) -> Bytes {
        match self {
            Self::Shared(bytes) => bytes.clone(),
            Self::Own(bytes) => Bytes::copy_from_slice(bytes),
        }
    }
}

/// The bounds of an event lane.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Events that wait.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Bytes that wait in all lanes of the process, and the bound on them.
    pub budget: Arc<Budget>,
}

/// A bound on the event bytes that wait in the whole process, and how many sessions lag.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    lagging: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit, lagging: AtomicUsize::new(0) })
    }

    /// Bytes that wait now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Sessions that lag now.
    #[must_use]
    pub fn lagging(&self) -> usize {
        self.lagging.load(Ordering::Relaxed)
    }

    /// A session began to lag.
    pub fn lag_begins(&self) {
        self.lagging.fetch_add(1, Ordering::Relaxed);
    }

    /// A session has caught up, or is gone.
    pub fn lag_ends(&self) {
        self.lagging.fetch_sub(1, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> bool {
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit {
            return true;
        }
        self.give_back(bytes);
        false
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What became of offered events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// They are written or wait.
    Taken,
    /// The lane is full.
    Full,
    /// The connection is gone.
    Gone,
}

/// How far a flush came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing waits any more.
    Empty,
    /// The socket takes no more now.
    Blocked,
    /// The connection is gone.
    Gone,
}

/// Events in one piece, shared by all who have it in their lane.
#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    events: usize,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Outbox {
    answers: Vec<u8>,
    answers_written: usize,
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written already: it must be finished before anything else.
    chunk_written: usize,
    events: usize,
    events_bytes: usize,
}

/// Capacity that an empty lane may keep.
const IDLE_CAPACITY: usize = 16;
/// Chunks shorter than this are copied together, since a write costs more than a copy.
const COALESCE_BYTES: usize = 16 * 1024;

impl Outbox {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.answers.is_empty()
    }

    /// Whether no events wait.
    #[must_use]
    pub fn has_no_events(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Events that wait, and their bytes.
    #[must_use]
    pub fn events_waiting(&self) -> (usize, usize) {
        (self.events, self.events_bytes)
    }

    /// Bytes of answers that wait.
    #[must_use]
    pub fn answers_bytes(&self) -> usize {
        self.answers.len() - self.answers_written
    }

    /// The lane for answers: append whole frames to it, then flush.
    pub fn answers(&mut self) -> &mut Vec<u8> {
        &mut self.answers
    }

    /// Writes events or lets them wait.
    pub fn offer(&mut self, link: &(impl Link + ?Sized), piece: Piece<'_>, events: usize, bounds: &Bounds) -> Offered {
        let bytes = piece.bytes();
        let mut written = 0;
        if self.is_empty() {
            match link.try_write(bytes) {
                Ok(all) if all == bytes.len() => return Offered::Taken,
                Ok(some) => written = some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Offered::Gone,
            }
        } else if self.events + events > bounds.events || self.events_bytes + bytes.len() > bounds.bytes {
            return Offered::Full;
        }
        // What is begun must be finished, whatever the budget says.
        if !bounds.budget.take(bytes.len()) {
            if written == 0 {
                return Offered::Full;
            }
            bounds.budget.used.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        self.push(piece.keep(), events);
        self.chunk_written = if self.chunks.len() == 1 { written } else { self.chunk_written };
        link.wake();
        Offered::Taken
    }

    fn push(&mut self, bytes: Bytes, events: usize) {
        self.events += events;
        self.events_bytes += bytes.len();
        self.chunks.push_back(Chunk { bytes, events });
    }

    /// Writes what waits, answers before events, until the socket takes no more.
    pub fn flush(&mut self, link: &(impl Link + ?Sized), bounds: &Bounds) -> Flushed {
        while !self.is_empty() {
            let result = if self.chunk_written == 0 && !self.answers.is_empty() {
                link.try_write(&self.answers[self.answers_written..]).map(|written| self.answers_advance(written))
            } else {
                self.write_chunks(link, bounds)
            };
            match result {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Flushed::Gone,
            }
        }
        if self.chunks.capacity() > IDLE_CAPACITY {
            self.chunks = VecDeque::new();
        }
        Flushed::Empty
    }

    fn answers_advance(&mut self, written: usize) {
        self.answers_written += written;
        if self.answers_written == self.answers.len() {
            self.answers = Vec::new();
            self.answers_written = 0;
        }
    }

    fn write_chunks(&mut self, link: &(impl Link + ?Sized), bounds: &Bounds) -> io::Result<()> {
        let Some(first) = self.chunks.front() else { return Ok(()) };
        let rest = &first.bytes[self.chunk_written..];
        let short = |chunk: &&Chunk| chunk.bytes.len() < COALESCE_BYTES;
        let written = if self.answers.is_empty() && rest.len() < COALESCE_BYTES && self.chunks.get(1).as_ref().is_some_and(short) {
            let mut joined = rest.to_vec();
            for chunk in self.chunks.iter().skip(1).take_while(short) {
                if joined.len() >= COALESCE_BYTES {
                    break;
                }
                joined.extend_from_slice(&chunk.bytes);
            }
            link.try_write(&joined)?
        } else {
            link.try_write(rest)?
        };
        self.chunks_advance(written, bounds);
        Ok(())
    }

    fn chunks_advance(&mut self, written: usize, bounds: &Bounds) {
        self.chunk_written += written;
        while let Some(first) = self.chunks.front() {
            if self.chunk_written < first.bytes.len() {
                break;
            }
            self.chunk_written -= first.bytes.len();
            self.events -= first.events;
            self.events_bytes -= first.bytes.len();
            bounds.budget.give_back(first.bytes.len());
            self.chunks.pop_front();
        }
    }

    /// Lets all events go, when the session ends.
    pub fn discard(&mut self, bounds: &Bounds) {
        bounds.budget.give_back(self.events_bytes);
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::{Cell, RefCell};

    /// A socket that takes `room` more bytes.
    #[derive(Default)]
    struct Pipe {
        room: Cell<usize>,
        read: RefCell<Vec<u8>>,
    }

    impl Link for Pipe {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let takes = bytes.len().min(self.room.get());
            if takes == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room.set(self.room.get() - takes);
            self.read.borrow_mut().extend_from_slice(&bytes[..takes]);
            Ok(takes)
        }
        fn wake(&self) {}
        fn wire(&self) -> usize {
            0
        }
    }

    fn frame(kind: u8, number: usize, len: usize) -> Vec<u8> {
        let mut frame = vec![kind, u8::try_from(len).unwrap()];
        frame.extend((0..len).map(|_| u8::try_from(number % 251).unwrap()));
        frame
    }

    proptest! {
        /// Whatever the socket takes and when: frames are never torn or mixed, each lane keeps its order, and the bounds hold.
        #[test]
        fn frames_stay_whole_and_in_order(steps in prop::collection::vec((0..3u8, 0..200usize), 1..200)) {
            let bounds = Bounds { events: 20, bytes: 2000, budget: Budget::new(1500) };
            let (pipe, mut outbox) = (Pipe::default(), Outbox::default());
            let (mut answers, mut events) = (Vec::new(), Vec::new());
            for (number, (what, size)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        let event = frame(1, number, size);
                        if outbox.offer(&pipe, Piece::Own(&event), 1, &bounds) == Offered::Taken {
                            events.push(event);
                        }
                    }
                    1 => {
                        let answer = frame(2, number, size % 50);
                        outbox.answers().extend_from_slice(&answer);
                        answers.push(answer);
                    }
                    _ => {
                        pipe.room.set(pipe.room.get() + size);
                        outbox.flush(&pipe, &bounds);
                    }
                }
                prop_assert!(outbox.events <= bounds.events && outbox.events_bytes <= bounds.bytes);
                prop_assert_eq!(bounds.budget.used(), outbox.events_bytes);
            }
            pipe.room.set(1 << 20);
            prop_assert_eq!(outbox.flush(&pipe, &bounds), Flushed::Empty);
            prop_assert_eq!(bounds.budget.used(), 0);
            let (mut got_answers, mut got_events) = (Vec::new(), Vec::new());
            let read = pipe.read.borrow();
            let mut rest = &read[..];
            while let [kind, len, ..] = rest {
                let (one, more) = rest.split_at(2 + usize::from(*len));
                if *kind == 1 { got_events.push(one.to_vec()) } else { got_answers.push(one.to_vec()) }
                rest = more;
            }
            prop_assert_eq!(got_answers, answers);
            prop_assert_eq!(got_events, events);
        }
    }
}
