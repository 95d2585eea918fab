//! From the backbone to the shards: decides what is new, fills holes from the store, and hands each shard the events that somebody
//! there follows. No IO of its own: [`crate::hub`] runs it in a thread, the simulator steps it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ConfNo, Uid};
use crate::model::{Body, Event, Publication, Signal};
use crate::reader::Reader;
use crate::recent::{Published, Recent};
use crate::shares::{Message, Share, Shares};
use crate::state::StateError;
use crate::topic::{Telling, Topic};

/// Under load, every so many calls it is looked whether a conference's last event was dropped.
const LOOK_EVERY: u32 = 64;
/// Most events read from the store at once to fill a hole.
const FILL_EVENTS: usize = 512;

/// What goes over the backbone.
#[derive(Debug, Serialize, Deserialize)]
enum Payload {
    Event(Event),
    Telling(Telling),
    Revoked(ConfNo, Uid),
}

/// What a shard is handed.
#[derive(Debug, Clone)]
pub enum Item {
    /// An event; events come in pos order.
    Event(Arc<Published>),
    /// A signal.
    Telling(Arc<Telling>),
    /// A message for one session of a group.
    Share(Arc<Share>),
    /// An account's sessions must look again whether they are still good.
    Revoked(ConfNo, Uid),
}

/// The same, to be written; postcard writes both alike.
#[derive(Serialize)]
enum PayloadRef<'a> {
    Event(&'a Event),
    Telling(&'a Telling),
    Revoked(ConfNo, &'a Uid),
}

/// Conference and pos in front of each payload (0 but for events): who has the event in memory need not read the rest.
const HEAD_BYTES: usize = 12;

fn payload(conf: ConfNo, pos: u64, payload: &PayloadRef<'_>) -> (ConfNo, Bytes) {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(&conf.0.to_be_bytes());
    bytes.extend_from_slice(&pos.to_be_bytes());
    // The payloads hold nothing that postcard cannot write.
    (conf, postcard::to_extend(payload, bytes).unwrap_or_default().into())
}

/// What is in front of a payload, and the payload.
fn split(message: &[u8]) -> Option<(ConfNo, u64, &[u8])> {
    let (head, rest) = message.split_at_checked(HEAD_BYTES)?;
    let (conf, pos) = head.split_at_checked(4)?;
    Some((ConfNo(u32::from_be_bytes(conf.try_into().ok()?)), u64::from_be_bytes(pos.try_into().ok()?), rest))
}

/// An event as it goes over the backbone.
#[must_use]
pub fn event_payload(event: &Event) -> (ConfNo, Bytes) {
    payload(event.place.conf, event.entry.pos, &PayloadRef::Event(event))
}

/// A signal as it goes over the backbone.
#[must_use]
pub fn telling_payload(telling: &Telling) -> (ConfNo, Bytes) {
    payload(telling.conf, 0, &PayloadRef::Telling(telling))
}

/// A revocation as it goes over the backbone.
#[must_use]
pub fn revoked_payload(conf: ConfNo, uid: &Uid) -> (ConfNo, Bytes) {
    payload(conf, 0, &PayloadRef::Revoked(conf, uid))
}

/// How far the state is in each conference, told by the apply thread: what dispatch compares with, so that not even a dropped last event
/// goes unnoticed.
#[derive(Debug, Default)]
pub struct Ends {
    by_conference: RwLock<HashMap<ConfNo, Arc<AtomicU64>>>,
}

impl Ends {
    /// The state has events up to `pos`.
    pub fn reached(&self, conf: ConfNo, pos: u64) {
        let ends = self.by_conference.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = ends.get(&conf) {
            end.fetch_max(pos, Ordering::Release);
            return;
        }
        drop(ends);
        let mut ends = self.by_conference.write().unwrap_or_else(PoisonError::into_inner);
        ends.entry(conf).or_default().fetch_max(pos, Ordering::Release);
    }

    /// How far the state is in a conference.
    #[must_use]
    pub fn of(&self, conf: ConfNo) -> u64 {
        let ends = self.by_conference.read().unwrap_or_else(PoisonError::into_inner);
        ends.get(&conf).map_or(0, |end| end.load(Ordering::Acquire))
    }

    fn all(&self) -> Vec<(ConfNo, u64)> {
        let ends = self.by_conference.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = ends.iter().map(|(conf, end)| (*conf, end.load(Ordering::Acquire))).collect();
        // In the same order in every run.
        all.sort_unstable();
        all
    }
}

/// Which shards have readers of a topic, as a bit for each shard.
#[derive(Debug, Default)]
pub struct Interest {
    shards: RwLock<HashMap<Topic, u64>>,
}

impl Interest {
    /// Shard number `shard` has readers of the topic, or has none any more.
    pub fn set(&self, topic: Topic, shard: u16, has: bool) {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let mask = shards.entry(topic.clone()).or_default();
        if has {
            *mask |= 1 << shard;
        } else {
            *mask &= !(1 << shard);
        }
        if *mask == 0 {
            shards.remove(&topic);
        }
    }

    /// Whether any shard has readers of the topic.
    #[must_use]
    pub fn has(&self, topic: &Topic) -> bool {
        self.of(topic) != 0
    }

    /// The shards that an event goes to.
    fn of_event(&self, event: &Event) -> u64 {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let topics = std::iter::once(Topic::of(event)).chain(Topic::public(event)).chain(Topic::joins(event));
        topics.filter_map(|topic| shards.get(&topic)).fold(0, |mask, more| mask | more)
    }

    fn of(&self, topic: &Topic) -> u64 {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).get(topic).copied().unwrap_or(0)
    }
}

/// See the module's text.
pub struct Dispatch {
    reader: Reader,
    recent: Arc<Recent>,
    ends: Arc<Ends>,
    interest: Arc<Interest>,
    shares: Arc<Shares>,
    /// The last pos handed on, by conference.
    handed: HashMap<ConfNo, u64>,
    /// What each shard gets of the batch under way.
    out: Vec<Vec<Item>>,
    /// Holes filled so far, for the metrics.
    pub holes: u64,
    calls: u32,
}

impl Dispatch {
    /// Dispatch to `shards` shards, from where the state is now.
    #[must_use]
    pub fn new(reader: Reader, recent: Arc<Recent>, ends: Arc<Ends>, interest: Arc<Interest>, shares: Arc<Shares>, shards: usize) -> Self {
        let handed = ends.all().into_iter().collect();
        Self { reader, recent, ends, interest, shares, handed, out: vec![Vec::new(); shards], holes: 0, calls: 0 }
    }

    /// Takes what came from the backbone; an empty call (and one in [`LOOK_EVERY`]) looks whether anything was dropped. Returns what each shard gets.
    ///
    /// # Errors
    /// The state's, when a hole could not be filled: the next call tries again.
    pub fn receive(&mut self, messages: &mut Vec<Bytes>) -> Result<&mut [Vec<Item>], StateError> {
        self.calls = self.calls.wrapping_add(1);
        let look = messages.is_empty() || self.calls.is_multiple_of(LOOK_EVERY);
        let mut result = Ok(());
        for message in messages.drain(..) {
            // A hole that cannot be filled yet keeps nothing else back: a revocation would not come again.
            result = result.and(self.message(&message));
        }
        if look {
            for (conf, end) in self.ends.all() {
                result = result.and(self.fill(conf, end));
            }
        }
        result.map(|()| &mut self.out[..])
    }

    fn message(&mut self, message: &[u8]) -> Result<(), StateError> {
        let Some((conf, pos, rest)) = split(message) else { return Ok(()) };
        if pos > 0
            && let Some(published) = self.recent.get(conf, pos)
        {
            return self.event(published);
        }
        match postcard::from_bytes(rest) {
            Ok(Payload::Event(event)) => return self.event(Published::new(event)),
            Ok(Payload::Telling(telling)) => self.telling(telling),
            Ok(Payload::Revoked(conf, uid)) => self.hand_to(u64::MAX, &Item::Revoked(conf, uid)),
            Err(error) => tracing::error!(%error, "a message on the backbone that is not ours"),
        }
        Ok(())
    }

    fn event(&mut self, published: Arc<Published>) -> Result<(), StateError> {
        let (conf, pos) = (published.event.place.conf, published.pos());
        let handed = *self.handed.entry(conf).or_default();
        if pos <= handed {
            return Ok(());
        }
        if pos > handed + 1 {
            self.fill(conf, pos - 1)?;
        }
        self.hand(published);
        Ok(())
    }

    /// Hands on what the state has above the last that was handed on, up to `end`.
    fn fill(&mut self, conf: ConfNo, end: u64) -> Result<(), StateError> {
        let mut handed = *self.handed.entry(conf).or_default();
        while handed < end {
            self.holes += 1;
            // Not beyond the end: who registers by then and catches up to where the state is would miss it.
            let most = FILL_EVENTS.min(usize::try_from(end - handed).unwrap_or(FILL_EVENTS));
            let found = match self.recent.after(conf, handed, most, |_| true) {
                Some((found, through)) if through > handed => found,
                _ => self.reader.range(conf, handed, end, FILL_EVENTS)?,
            };
            let Some(last) = found.last().map(|published| published.pos()) else {
                // A restore leaves a gap in the pos: there is nothing.
                self.handed.insert(conf, end);
                return Ok(());
            };
            handed = last;
            for published in found {
                self.hand(published);
            }
        }
        Ok(())
    }

    fn hand(&mut self, published: Arc<Published>) {
        self.handed.insert(published.event.place.conf, published.pos());
        let mask = self.interest.of_event(&published.event);
        if let Body::Publication(publication) | Body::Stored(publication) = &published.event.entry.body {
            self.share_out(published.event.place.conf, publication, &Message::Event(Arc::clone(&published)));
        }
        self.hand_to(mask, &Item::Event(published));
    }

    fn telling(&mut self, telling: Telling) {
        let Some(topic) = telling.topic() else { return };
        let everybodys = telling.everybodys().map_or(0, |topic| self.interest.of(&topic));
        let mask = self.interest.of(&topic) | everybodys;
        let telling = Arc::new(telling);
        if let Signal::Published { publication, .. } = &telling.signal {
            self.share_out(telling.conf, publication, &Message::Telling(Arc::clone(&telling)));
        }
        self.hand_to(mask, &Item::Telling(telling));
    }

    fn share_out(&mut self, conf: ConfNo, publication: &Publication, message: &Message) {
        let out = &mut self.out;
        self.shares.share_out(conf, publication, message, |share| {
            if let Some(out) = out.get_mut(usize::from(share.to.shard)) {
                out.push(Item::Share(share));
            }
        });
    }

    fn hand_to(&mut self, mask: u64, item: &Item) {
        for (shard, out) in self.out.iter_mut().enumerate() {
            if mask & (1 << shard) != 0 {
                out.push(item.clone());
            }
        }
    }
}
