//! The walk: a batch of events on its way over the readers of a shard, and signals on theirs.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::refill::lag_from;
use super::{EVENT_BYTES, JOIN_BYTES, LATE_SIGNALS, PENDING, Readers, Registry, Session, Wires};
use crate::ids::Uid;
use crate::model::{Body, Signal};
use crate::outbox::{Bounds, Link, Offered, Piece, Stamped};
use crate::recent::{Published, WIRES};
use crate::topic::{How, Parts, Telling, Topic, ends_reading};

/// Events of one topic that go out together.
struct Group {
    topic: Topic,
    events: Vec<Arc<Published>>,
    /// Of a topic that is not a conversation's: whom the filters select, as places among its readers.
    only: Option<Vec<u32>>,
    /// What parts its events are of.
    parts: Parts,
    /// The shared bytes, by wire and by the durable parts that a reader wants.
    joined: [[Option<Bytes>; 4]; WIRES],
    bytes: usize,
    /// The last event ends somebody's reading.
    cut: Option<Uid>,
}

/// A batch on its way over the readers; carried on in steps so that others get their turn.
pub struct Walk {
    groups: std::vec::IntoIter<Group>,
    under_way: Option<(Group, usize, usize)>,
}

impl<L: Link> Registry<L> {
    /// Prepares a batch, in pos order, for its walk: grouped by topic, since each group is one write for each of its readers.
    #[must_use]
    pub fn begin(&mut self, batch: &[Arc<Published>]) -> Walk {
        let mut groups: Vec<Group> = Vec::new();
        let mut open: HashMap<Topic, usize> = HashMap::new();
        let mut selected: HashMap<Arc<str>, Vec<u32>> = HashMap::new();
        for published in batch {
            self.under_way.insert(published.event.place.conf, published.pos());
            self.note_ban(&published.event);
            for topic in std::iter::once(Topic::of(&published.event)).chain(Topic::public(&published.event)) {
                if !self.topics.contains_key(&topic) {
                    continue;
                }
                let cut = ends_for(published).filter(|_| !matches!(topic, Topic::Public(_)));
                let only = match &published.event.entry.body {
                    Body::Publication(publication) | Body::Stored(publication) => {
                        let name = &publication.topic;
                        Some(selected.entry(Arc::clone(name)).or_insert_with(|| self.selected(&topic, publication)).clone())
                    }
                    _ => None,
                };
                // A topic's groups are walked one after the other: each begins where the one before has ended.
                let at = match open.get(&topic).copied().filter(|at| groups[*at].only == only) {
                    Some(at) => at,
                    None => {
                        groups.push(Group::new(topic.clone(), only));
                        open.insert(topic.clone(), groups.len() - 1);
                        groups.len() - 1
                    }
                };
                let group = &mut groups[at];
                group.parts |= Parts::of_event(&published.event);
                group.bytes += EVENT_BYTES + published.event.entry.body.text_bytes();
                group.events.push(Arc::clone(published));
                if cut.is_some() || group.bytes >= JOIN_BYTES.min(self.bounds.bytes) || group.events.len() >= self.bounds.events {
                    group.cut = cut;
                    open.remove(&topic);
                }
            }
        }
        self.walking = true;
        Walk { groups: groups.into_iter(), under_way: None }
    }

    /// Carries the walk on over up to `readers` readers; `true` when it is done.
    pub fn step(&mut self, walk: &mut Walk, mut readers: usize) -> bool {
        loop {
            let Some((group, at, end)) = &mut walk.under_way else {
                let Some(group) = walk.groups.next() else {
                    self.walking = false;
                    self.walked.extend(self.under_way.drain());
                    for topic in std::mem::take(&mut self.untidy) {
                        self.tidy(&topic);
                    }
                    return true;
                };
                // Who comes during the walk has caught up beyond it.
                let all = self.topics.get(&group.topic).map_or(0, |readers| readers.list.len());
                let end = group.only.as_ref().map_or(all, Vec::len);
                walk.under_way = Some((group, 0, end));
                continue;
            };
            // Taken out of the map for the step, so that it is looked up once, not for each reader.
            let Some(mut list) = self.topics.remove(&group.topic) else {
                walk.under_way = None;
                continue;
            };
            while *at < *end && readers > 0 {
                readers -= 1;
                let place = group.only.as_ref().map_or(*at, |only| only[*at] as usize);
                self.give(group, &mut list, place);
                *at += 1;
            }
            let paused = *at < *end;
            self.topics.insert(group.topic.clone(), list);
            if paused {
                return false;
            }
            let Some((group, ..)) = walk.under_way.take() else { continue };
            self.end_group(&group);
        }
    }

    fn end_group(&mut self, group: &Group) {
        if group.cut.is_some() {
            let readers = self.topics.get(&group.topic).map_or(&[][..], |readers| &readers.list);
            // Who is pending learns it when the catch-up is settled: it may have come back since.
            let ended: Vec<u32> = readers.iter().filter(|r| r.ended > 0 && r.floor != PENDING).map(|r| r.slot).collect();
            for slot in ended {
                match self.sessions.get_mut(slot as usize) {
                    Some(session) if session.lag.is_some() => session.ended.push(group.topic.clone()),
                    _ => drop(self.drop_reader(slot, &group.topic)),
                }
            }
        }
        self.tidy(&group.topic);
    }

    /// Gives a group to one reader.
    fn give(&mut self, group: &mut Group, readers: &mut Readers, at: usize) {
        let Some(reader) = readers.list.get_mut(at) else { return };
        let Some(session) = self.sessions.get_mut(reader.slot as usize) else { return };
        let (Some(first), Some(last)) = (group.events.first().map(|e| e.pos()), group.events.last().map(|e| e.pos())) else { return };
        // Who subscribed beyond it has come back since; who is out already went before.
        let overcome = reader.floor != PENDING && reader.checked >= last;
        if group.cut.as_ref() == Some(&session.uid) && reader.ended == 0 && !overcome {
            reader.ended = last;
        }
        if reader.floor == PENDING {
            session.passed = session.passed.max(last);
            return;
        }
        if let Some(lag) = session.lag.as_mut() {
            session.passed = session.passed.max(last);
            // Another group of the same batch may have made it lag further on than where this one begins.
            if let Some(missed) = group.events.iter().map(|published| published.pos()).find(|pos| *pos > reader.floor)
                && missed <= lag.cursor
            {
                (lag.cursor, lag.stale) = (missed - 1, lag.reading);
            }
            return;
        }
        let How { echo, parts, acked, stamped } = reader.how;
        let (floor, id, wire) = (reader.floor, session.id, session.link.wire() + usize::from(acked));
        let public = matches!(group.topic, Topic::Public(_));
        let wanted = |published: &&Arc<Published>| {
            published.pos() > floor
                && parts.contains(Parts::of_event(&published.event))
                && (echo || published.event.origin != id)
                && !(public && session.reads_otherwise(&published.event))
        };
        let gift = if stamped {
            let since = session.link.stamps();
            let events = group.events.iter().filter(wanted);
            let (count, through) = stamp_all(&session.link, &self.wires, wire, &mut self.scratch, events, last);
            let piece = Piece::Own(&self.scratch);
            let offered = if count == 0 { Offered::Taken } else { session.outbox.offer(&session.link, piece, count, &self.bounds) };
            if offered != Offered::Taken {
                session.link.unstamp(since);
            }
            Gift { count, offered, through }
        } else {
            let common = parts.and(group.parts);
            let plain = first > floor && echo && !public;
            let count = if plain && common == group.parts { group.events.len() } else { group.events.iter().filter(wanted).count() };
            let own;
            let bytes = if plain || count == group.events.len() {
                let events = group.events.iter().filter(|published| parts.contains(Parts::of_event(&published.event)));
                &*group.joined[wire][common.durable()].get_or_insert_with(|| join(&self.wires, wire, events))
            } else {
                own = join(&self.wires, wire, group.events.iter().filter(wanted));
                &own
            };
            let piece = Piece::Shared(bytes);
            let offered = if count == 0 { Offered::Taken } else { session.outbox.offer(&session.link, piece, count, &self.bounds) };
            Gift { count, offered, through: last }
        };
        let missed_after = match gift.offered {
            Offered::Taken => {
                reader.floor = reader.floor.max(gift.through);
                self.counts.deliveries += gift.count as u64;
                gift.through
            }
            // Whose connection is gone gets it when it is back.
            Offered::Full | Offered::Gone => first - 1,
        };
        if missed_after < last {
            session.passed = session.passed.max(last);
            lag_from(session, missed_after, &self.bounds.budget, &mut self.counts);
        }
    }

    /// Gives a signal to its readers; who lags keeps the latest of each kind for later.
    pub fn tell(&mut self, telling: &Arc<Telling>) {
        let Some(topic) = telling.topic() else { return };
        if let Signal::Published { publication, .. } = &telling.signal {
            return self.tell_selected(&topic, telling, publication);
        }
        let mut encoded: [Option<Bytes>; WIRES] = Default::default();
        self.tell_topic(&topic, None, telling, &mut encoded);
        if let Some(everybodys) = telling.everybodys() {
            self.tell_topic(&everybodys, Some(&topic), telling, &mut encoded);
        }
    }

    /// Tells those who follow `topic`; but not, if it is a topic of many, those who follow the signal's own, `named`.
    fn tell_topic(&mut self, topic: &Topic, named: Option<&Topic>, telling: &Arc<Telling>, encoded: &mut [Option<Bytes>; WIRES]) {
        let Some(readers) = self.topics.get(topic) else { return };
        let part = Parts::of_signal(&telling.signal);
        let mut put_out = Vec::new();
        for reader in readers.list.iter().filter(|reader| reader.how.parts.contains(part)) {
            let Some(session) = self.sessions.get_mut(reader.slot as usize) else { continue };
            if !session.may_hear(telling) {
                put_out.push(reader.slot);
                continue;
            }
            let wire = session.link.wire();
            let Some(form) = self.wires[wire].as_ref() else { continue };
            let is_own = telling.author() == Some(&session.uid);
            let is_told = !is_own || form.tells_own_reads() && matches!(telling.signal, Signal::Read { .. });
            if !is_told || named.is_some_and(|named| session.hears_otherwise(telling, named)) {
                continue;
            }
            if session.lag.is_some() {
                keep_late(&mut session.late, Late { telling: Arc::clone(telling), stamped: reader.how.stamped });
                continue;
            }
            let bytes = encoded[wire].get_or_insert_with(|| form.signal(telling));
            offer_signal(session, telling, bytes, reader.how.stamped, &mut self.scratch, &self.bounds);
        }
        for slot in put_out {
            self.unsubscribe(slot, topic);
        }
    }
}

/// Offers a signal to a session. A full lane drops it: by the time that there is room, it is no longer true.
pub(super) fn offer_signal<L: Link>(
    session: &mut Session<L>,
    telling: &Telling,
    form: &Bytes,
    stamped: bool,
    scratch: &mut Vec<u8>,
    bounds: &Bounds,
) {
    if !stamped {
        session.outbox.offer(&session.link, Piece::Shared(form), 1, bounds);
        return;
    }
    let since = session.link.stamps();
    scratch.clear();
    let given = session.link.stamp_signal(telling, form, scratch) == Stamped::Given;
    if given && session.outbox.offer(&session.link, Piece::Own(scratch), 1, bounds) != Offered::Taken {
        session.link.unstamp(since);
    }
}

/// A signal that waits for a lagging session, and whether it is stamped.
pub(super) struct Late {
    pub(super) telling: Arc<Telling>,
    pub(super) stamped: bool,
}

fn keep_late(late: &mut Vec<Late>, signal: Late) {
    late.retain(|earlier| !earlier.telling.is_replaced_by(&signal.telling));
    if late.len() >= LATE_SIGNALS {
        late.remove(0);
    }
    late.push(signal);
}

/// What of a group a session was offered.
struct Gift {
    /// How many events.
    count: usize,
    offered: Offered,
    /// The pos up to which nothing is left to be given.
    through: u64,
}

/// Makes a session's own copies of events, as many as it takes: how many, and the pos up to which nothing is left.
fn stamp_all<'e, L: Link>(
    link: &L,
    wires: &Wires,
    wire: usize,
    scratch: &mut Vec<u8>,
    events: impl Iterator<Item = &'e Arc<Published>>,
    last: u64,
) -> (usize, u64) {
    let mut count = 0;
    scratch.clear();
    for published in events {
        match link.stamp(published, shared(wires, wire, published), scratch) {
            Stamped::Given => count += 1,
            Stamped::Unwanted => {}
            Stamped::NoRoom => return (count, published.pos() - 1),
        }
    }
    (count, last)
}

impl Group {
    fn new(topic: Topic, only: Option<Vec<u32>>) -> Self {
        Self { topic, events: Vec::new(), only, parts: Parts::NONE, joined: Default::default(), bytes: 0, cut: None }
    }
}

/// The shared form of an event.
pub(super) fn shared<'p>(wires: &Wires, wire: usize, published: &'p Published) -> &'p [u8] {
    wires[wire].as_ref().map_or(&[][..], |form| published.wire(wire, |published| form.event(published)))
}

fn join<'e>(wires: &Wires, wire: usize, events: impl Iterator<Item = &'e Arc<Published>>) -> Bytes {
    let Some(form) = wires[wire].as_ref() else { return Bytes::new() };
    let mut frames = events.map(|published| published.wire(wire, |published| form.event(published)));
    let Some(first) = frames.next() else { return Bytes::new() };
    let Some(second) = frames.next() else { return first.clone() };
    let mut joined = BytesMut::with_capacity((first.len() + second.len()) * 2);
    joined.extend_from_slice(first);
    joined.extend_from_slice(second);
    for frame in frames {
        joined.extend_from_slice(frame);
    }
    joined.freeze()
}

/// Whose reading an event ends.
pub(crate) fn ends_for(published: &Published) -> Option<Uid> {
    match &published.event.entry.body {
        Body::Member { user, change } if ends_reading(published.event.place.kind, *change) => Some(user.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io;
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
    use crate::model::{Body, Entry, Event, Kind, Message, Place, Via};
    use crate::outbox::Budget;
    use crate::registry::Wire;
    use crate::topic::Source;

    const CONF: ConfNo = ConfNo(1);

    /// A session that has room for so many events, and the positions that it was given.
    #[derive(Default)]
    struct Narrow {
        room: Cell<usize>,
        given: RefCell<Vec<u64>>,
    }

    impl Link for Rc<Narrow> {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn wake(&self) {}
        fn wire(&self) -> usize {
            0
        }
        fn stamp(&self, published: &Published, _form: &[u8], into: &mut Vec<u8>) -> Stamped {
            if self.room.get() == 0 {
                return Stamped::NoRoom;
            }
            self.room.set(self.room.get() - 1);
            self.given.borrow_mut().push(published.pos());
            into.push(b'.');
            Stamped::Given
        }
        fn has_room(&self) -> bool {
            self.room.get() > 0
        }
    }

    struct Dot;

    impl Wire for Dot {
        fn event(&self, _: &Published) -> Bytes {
            Bytes::from_static(b".")
        }
        fn signal(&self, _: &Telling) -> Bytes {
            Bytes::new()
        }
    }

    fn said(conv: u32, pos: u64) -> Arc<Published> {
        let conversation = ConversationId::parse(&format!("c{conv}")).unwrap();
        let from = Uid::parse("ann").unwrap();
        let body = Body::Message(Message::default());
        let entry = Entry { pos, n: pos, ts_ms: pos, from, name: "Ann".into(), via: Via::Ws, body };
        Published::new(Event {
            place: Place { conf: CONF, conv: ConvNo(conv), conversation, kind: Kind::Channel, seq: pos },
            entry,
            origin: 0,
        })
    }

    proptest! {
        /// However little room a session has and whenever it gets some, and whichever conversations the events of a batch are of: it is given each once.
        #[test]
        fn a_narrow_reader_of_several_conversations_misses_nothing(
            batches in prop::collection::vec(prop::collection::vec(0..3u32, 1..12), 1..8),
            rooms in prop::collection::vec((0..6usize, any::<bool>()), 1..30),
        ) {
            let mut wires: Wires = [const { None }; WIRES];
            wires[0] = Some(Arc::new(Dot));
            let bounds = Bounds { events: 1000, bytes: 1 << 20, budget: Budget::new(1 << 20) };
            let mut registry = Registry::new(Arc::new(wires), bounds, 10);
            let narrow = Rc::new(Narrow::default());
            let slot = registry.add(1, CONF, Uid::parse("bob").unwrap(), Via::Mqtt, Rc::clone(&narrow));
            let how = How { stamped: true, ..How::default() };
            for conv in 0..3 {
                let source = Source { id: ConversationId::parse(&format!("c{conv}")).unwrap(), kind: Kind::Channel };
                registry.register(slot, &Topic::Chat(CONF, ConvNo(conv)), Some(source), how);
                registry.settle(slot, &Topic::Chat(CONF, ConvNo(conv)), 0, 0);
            }
            let mut store: Vec<Arc<Published>> = Vec::new();
            let mut rooms = rooms.into_iter();
            let refill = |registry: &mut Registry<Rc<Narrow>>, store: &[Arc<Published>]| {
                if let Some(wanted) = registry.wants_refill(slot) {
                    let missed: Vec<_> = store.iter().filter(|event| event.pos() > wanted.after).take(4).cloned().collect();
                    let through = missed.last().map_or(wanted.after, |last| last.pos());
                    registry.refill(slot, 1, &missed, through);
                }
            };
            for batch in batches {
                let first = store.len() as u64 + 1;
                let batch: Vec<_> = batch.into_iter().zip(first..).map(|(conv, pos)| said(conv, pos)).collect();
                store.extend(batch.iter().cloned());
                let (room, before) = rooms.next().unwrap_or((2, false));
                narrow.room.set(narrow.room.get() + room);
                if before {
                    refill(&mut registry, &store);
                }
                let mut walk = registry.begin(&batch);
                while !registry.step(&mut walk, 1) {}
                if !before {
                    refill(&mut registry, &store);
                }
            }
            narrow.room.set(usize::MAX);
            let mut turns = 0;
            while registry.lags(slot) {
                refill(&mut registry, &store);
                turns += 1;
                prop_assert!(turns < 1000, "it lags for ever");
            }
            let mut given = narrow.given.borrow().clone();
            given.sort_unstable();
            prop_assert_eq!(given, (1..=store.len() as u64).collect::<Vec<_>>());
        }
    }
}
