//! The newest events of each conference, in memory: who is a little behind is refilled from here instead of the store, and
//! finds each event encoded already.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;

use crate::ids::ConfNo;
use crate::model::Event;

/// Events kept of one conference.
const RECENT_EVENTS: usize = 4096;
/// Bytes kept of one conference, about.
const RECENT_BYTES: usize = 4 << 20;
/// Wire forms that an event can have.
pub const WIRES: usize = 10;

/// An event on its way to readers, with the wire forms that it was given so far.
#[derive(Debug)]
pub struct Published {
    /// The event.
    pub event: Arc<Event>,
    wires: [OnceLock<Bytes>; WIRES],
}

impl Published {
    /// An event without wire forms.
    #[must_use]
    pub fn new(event: impl Into<Arc<Event>>) -> Arc<Self> {
        Arc::new(Self { event: event.into(), wires: Default::default() })
    }

    /// Its pos.
    #[must_use]
    pub fn pos(&self) -> u64 {
        self.event.entry.pos
    }

    /// Its form on wire number `wire`, made on first use and shared by all receivers.
    pub fn wire(&self, wire: usize, encode: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        self.wires[wire].get_or_init(|| encode(self))
    }

    /// The record, its likely wire form, and the bookkeeping.
    fn bytes(&self) -> usize {
        2 * self.event.entry.body.text_bytes() + 768
    }
}

#[derive(Debug, Default)]
struct Line {
    /// Without gaps in pos.
    events: VecDeque<Arc<Published>>,
    bytes: usize,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Recent {
    lines: RwLock<HashMap<ConfNo, Line>>,
    /// Odd while the state may be behind what was told.
    rewinds: AtomicU64,
}

impl Recent {
    /// The state is opened again: what was not durable in it is gone until the log is applied again. Who reads it meanwhile would find less than
    /// was told before, and take it for all there is.
    pub fn state_falls_behind(&self) {
        self.rewinds.fetch_or(1, Ordering::AcqRel);
    }

    /// The state has all again that was ever told.
    pub fn state_has_caught_up(&self) {
        self.rewinds.fetch_add(1, Ordering::AcqRel);
    }

    /// Of which opening of the state a read would be: a read counts when this is the same, and not `None`, before and after it.
    #[must_use]
    pub fn rewind(&self) -> Option<u64> {
        Some(self.rewinds.load(Ordering::Acquire)).filter(|rewinds| rewinds % 2 == 0)
    }

    /// Adds the next event of its conference; one that leaves a gap starts anew.
    pub fn push(&self, event: Arc<Published>) {
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(event.event.place.conf).or_default();
        match line.events.back().map(|last| last.pos()) {
            Some(last) if event.pos() <= last => return,
            Some(last) if event.pos() > last + 1 => *line = Line::default(),
            _ => {}
        }
        line.bytes += event.bytes();
        line.events.push_back(event);
        while line.events.len() > RECENT_EVENTS || line.bytes > RECENT_BYTES {
            let Some(gone) = line.events.pop_front() else { break };
            line.bytes -= gone.bytes();
        }
    }

    /// Forgets everything: it is found in the store.
    pub fn clear(&self) {
        self.lines.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The event at `pos`, when it is still here.
    #[must_use]
    pub fn get(&self, conf: ConfNo, pos: u64) -> Option<Arc<Published>> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let events = &lines.get(&conf)?.events;
        let first = events.front()?.pos();
        events.get(usize::try_from(pos.checked_sub(first)?).ok()?).cloned()
    }

    /// Up to `limit` events above `after` that `wanted` picks, and the pos that they go up to; `None` when `after` is too long ago.
    pub fn after(&self, conf: ConfNo, after: u64, limit: usize, wanted: impl Fn(&Event) -> bool) -> Option<(Vec<Arc<Published>>, u64)> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let events = &lines.get(&conf)?.events;
        let first = events.front()?.pos();
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        let mut through = after;
        let mut found = Vec::new();
        for event in events.iter().skip(skip) {
            if found.len() >= limit {
                break;
            }
            through = event.pos();
            if wanted(&event.event) {
                found.push(Arc::clone(event));
            }
        }
        Some((found, through))
    }

    /// Replaces the event at `pos` by what it has become, so that a text that was taken back is not told again.
    pub fn replace(&self, conf: ConfNo, pos: u64, with: impl FnOnce(&Published) -> Arc<Published>) {
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = lines.get_mut(&conf) else { return };
        let Some(first) = line.events.front().map(|event| event.pos()) else { return };
        let index = pos.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let Some(slot) = index.and_then(|index| line.events.get_mut(index)) else { return };
        let event = with(slot);
        line.bytes = line.bytes + event.bytes() - slot.bytes();
        *slot = event;
    }
}
