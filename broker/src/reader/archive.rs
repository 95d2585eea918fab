//! Entries of several conversations in one order, paged in both directions: what a protocol has that knows one archive for each user.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::Reader;
use super::history::event;
use crate::ids::{ConfNo, Uid};
use crate::model::{Entry, Event};
use crate::state::StateError;
use crate::view::Found;

/// Entries that are looked at for one page.
const MAX_LOOK: usize = 5_000;

/// Which entries: those above `after` and below `before`, of these times; all of them exclusive but the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Above this pos.
    pub after: u64,
    /// Below this pos.
    pub before: u64,
    /// From this time on, Unix ms.
    pub start_ms: u64,
    /// Up to this time, Unix ms.
    pub end_ms: u64,
    /// The newest of them, not the oldest.
    pub from_end: bool,
}

impl Default for Span {
    fn default() -> Self {
        Self { after: 0, before: u64::MAX, start_ms: 0, end_ms: u64::MAX, from_end: false }
    }
}

impl Reader {
    /// The direct conversations of a user.
    ///
    /// # Errors
    /// The state's.
    pub fn direct_of(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<Found>, StateError> {
        let ids = self.ids_below(&crate::keys::user_conversations(conf, uid))?;
        let direct = ids.iter().filter(|id| id.partner(uid).is_some());
        direct.filter_map(|id| self.conversation(conf, id).transpose()).collect()
    }

    /// Up to `limit` events of the kinds in `kinds`, of all these conversations, ascending by pos; whether nothing more lies in the direction.
    ///
    /// # Errors
    /// The state's.
    pub fn archive(&self, founds: &[Found], span: &Span, limit: usize, kinds: &[&str]) -> Result<(Vec<Arc<Event>>, bool), StateError> {
        let mut heap = BinaryHeap::new();
        for (at, found) in founds.iter().enumerate() {
            let low = self.first_seq(found, |entry| entry.pos > span.after && entry.ts_ms >= span.start_ms)?;
            let high = self.first_seq(found, |entry| entry.pos >= span.before || entry.ts_ms > span.end_ms)?;
            if low < high {
                self.put_next(&mut heap, founds, span, Line { at, low, high })?;
            }
        }
        let (mut events, mut looked_at) = (Vec::new(), 0);
        while let Some(Next { line, entry, .. }) = heap.pop() {
            let is_wanted = kinds.contains(&entry.body.kind());
            if looked_at >= MAX_LOOK || (is_wanted && events.len() >= limit) {
                return Ok((in_order(events, span), false));
            }
            looked_at += 1;
            let (seq, rest) = line.next(span.from_end);
            if is_wanted && let Some(found) = founds.get(line.at) {
                events.push(Arc::new(event(found, seq, entry)));
            }
            if rest.low < rest.high {
                self.put_next(&mut heap, founds, span, rest)?;
            }
        }
        Ok((in_order(events, span), true))
    }

    fn put_next(&self, heap: &mut BinaryHeap<Next>, founds: &[Found], span: &Span, line: Line) -> Result<(), StateError> {
        let Some(found) = founds.get(line.at) else { return Ok(()) };
        let (seq, _) = line.next(span.from_end);
        if let Some(entry) = self.entry(found, seq)? {
            let rank = if span.from_end { Rank::Newest(entry.pos) } else { Rank::Oldest(Reverse(entry.pos)) };
            heap.push(Next { rank, line, entry });
        }
        Ok(())
    }
}

fn in_order(mut events: Vec<Arc<Event>>, span: &Span) -> Vec<Arc<Event>> {
    if span.from_end {
        events.reverse();
    }
    events
}

/// What is left of a conversation: the seqs from `low` to below `high`.
#[derive(Clone, Copy)]
struct Line {
    at: usize,
    low: u64,
    high: u64,
}

impl Line {
    /// The seq that is next, and what is left then.
    fn next(self, from_end: bool) -> (u64, Self) {
        match from_end {
            true => (self.high - 1, Self { high: self.high - 1, ..self }),
            false => (self.low, Self { low: self.low + 1, ..self }),
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Rank {
    Newest(u64),
    Oldest(Reverse<u64>),
}

/// The next entry of a conversation.
struct Next {
    rank: Rank,
    line: Line,
    entry: Entry,
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Next {}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}
