//! Who of one shard follows what, and how events reach them: the walk. No IO and no clock, so that the simulator runs it, too.
//!
//! Exactly once, in order, by one rule: every reader (a session on a topic) has a `floor`, the pos of the last event that it was given or
//! that a catch-up covered. An event is given when its pos is above the floor, and raises it. A session whose lane is full lags: it is
//! given nothing more until its lane is empty; then it is refilled from its cursor, the lowest pos that it may miss, until it has
//! all that passed it by.

mod audience;
mod everything;
mod filters;
mod links;
mod refill;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;

use crate::allowances::TopicRights;
use crate::ids::{ConfNo, Uid};
use crate::model::{Publication, Realm, Signal, Via};
use crate::outbox::{Bounds, Flushed, Link, Outbox};
use crate::recent::{Published, WIRES};
use crate::topic::{How, Source, Telling, Topic};
use crate::tree::Tree;

use audience::Watched;
use everything::Everything;
use refill::{Lag, lag_from};

pub use audience::Follower;
pub use everything::{Join, Known, Scope};
pub use refill::Refill;
use walk::Late;
pub use walk::Walk;
pub(crate) use walk::ends_for;

/// The floor of a reader whose catch-up is under way.
const PENDING: u64 = u64::MAX;
/// The slot of a reader that has left; its place is taken out when nobody walks over it.
const LEFT: u32 = u32::MAX;
/// Events are joined to one write up to about this many bytes.
const JOIN_BYTES: usize = 128 * 1024;
/// What an event's frame takes besides its text, about.
const EVENT_BYTES: usize = 256;
/// Latest signals kept for a lagging session.
const LATE_SIGNALS: usize = 16;

/// Turns events and signals into a protocol's bytes.
pub trait Wire: Send + Sync {
    /// An event's frame.
    fn event(&self, published: &Published) -> Bytes;
    /// A signal's frame.
    fn signal(&self, telling: &Telling) -> Bytes;
    /// Whether one's own read markers are told, too: what was read on the phone is read on the laptop.
    fn tells_own_reads(&self) -> bool {
        false
    }
}

/// The wire forms in use, by number.
pub type Wires = [Option<Arc<dyn Wire>>; WIRES];

#[derive(Debug)]
struct Reader {
    slot: u32,
    how: How,
    /// Only because the session follows everything.
    implied: bool,
    floor: u64,
    /// How far the state was when the user's right to read was looked at: what ended it before has been overcome since.
    checked: u64,
    /// The pos of a walked event that ended its user's reading; 0 for none.
    ended: u64,
}

#[derive(Debug)]
struct Readers {
    source: Option<Source>,
    list: Vec<Reader>,
    left: usize,
}

struct Session<L> {
    id: u64,
    conf: ConfNo,
    uid: Uid,
    via: Via,
    link: L,
    outbox: Outbox,
    /// Topic and the place among its readers.
    topics: HashMap<Topic, u32>,
    /// How many of them are conversations: those are bounded.
    chats: usize,
    lag: Option<Lag>,
    /// The highest pos that passed by while it lagged or a catch-up was under way.
    passed: u64,
    /// The cursor when the session was silenced.
    last_cursor: Option<u64>,
    late: Vec<Late>,
    /// Topics that it was put out of while it lagged: they end when it has what came before.
    ended: Vec<Topic>,
    /// For who follows everything.
    everything: Option<Box<Everything>>,
    /// What it may read of applications' topics, where its link does not say so itself.
    rights: Option<Arc<TopicRights>>,
}

impl<L: Link> Session<L> {
    /// Whether it may read what an application published.
    fn may_read(&self, publication: &Publication) -> bool {
        let is_given = |rights: &Arc<TopicRights>| publication.realm != Realm::Apps || rights.may_read(&publication.topic);
        self.link.may_read(publication) && self.rights.as_ref().is_none_or(is_given)
    }

    /// Whether it may hear this: who is at an application's topic is for those who may read there.
    fn may_hear(&self, telling: &Telling) -> bool {
        let Signal::Gathered { topic, .. } = &telling.signal else { return true };
        self.rights.as_ref().is_none_or(|rights| rights.may_read(topic))
    }
}

/// Filters of sessions, by slot.
type Filters = HashMap<(ConfNo, Realm), Tree<u32>>;

/// Who follows what on one shard.
pub struct Registry<L> {
    sessions: Slab<Session<L>>,
    topics: HashMap<Topic, Readers>,
    /// The filters of the readers of topics that are not a conversation's, by slot.
    filters: Filters,
    wires: Arc<Wires>,
    bounds: Bounds,
    max_topics: usize,
    walking: bool,
    /// The last pos of each conference whose events have all been walked here, and those of the walk under way.
    walked: HashMap<ConfNo, u64>,
    under_way: HashMap<ConfNo, u64>,
    /// Topics that somebody left during the walk.
    untidy: Vec<Topic>,
    /// Where copies for one session are made.
    scratch: Vec<u8>,
    /// Topics gained and lost since last asked, for the map of shards by topic.
    interest: Vec<(Topic, bool)>,
    watched: Watched,
    /// Counts for the metrics.
    pub counts: Counts,
}

/// What a registry counts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Events given to sessions.
    pub deliveries: u64,
    /// Times that a session began to lag.
    pub lags: u64,
}

impl<L: Link> Registry<L> {
    /// A registry without sessions.
    #[must_use]
    pub fn new(wires: Arc<Wires>, bounds: Bounds, max_topics: usize) -> Self {
        Self {
            sessions: Slab::new(),
            topics: HashMap::new(),
            filters: HashMap::new(),
            wires,
            bounds,
            max_topics,
            walking: false,
            walked: HashMap::new(),
            under_way: HashMap::new(),
            untidy: Vec::new(),
            scratch: Vec::new(),
            interest: Vec::new(),
            watched: Watched::default(),
            counts: Counts::default(),
        }
    }

    /// Adds a session; its slot.
    pub fn add(&mut self, id: u64, conf: ConfNo, uid: Uid, via: Via, link: L) -> u32 {
        let session = Session {
            id,
            conf,
            uid,
            via,
            link,
            outbox: Outbox::default(),
            topics: HashMap::new(),
            chats: 0,
            lag: None,
            passed: 0,
            last_cursor: None,
            late: Vec::new(),
            ended: Vec::new(),
            everything: None,
            rights: None,
        };
        u32::try_from(self.sessions.insert(session)).unwrap_or(LEFT)
    }

    /// Takes a session out.
    pub fn remove(&mut self, slot: u32) {
        let Some(mut session) = self.sessions.try_remove(slot as usize) else { return };
        session.outbox.discard(&self.bounds);
        if session.lag.is_some() {
            self.bounds.budget.lag_ends();
        }
        for (topic, at) in std::mem::take(&mut session.topics) {
            if self.leave(&topic, at) {
                self.watched.note(&topic, &session, false);
            }
        }
    }

    /// The session's link, when the slot is still that session's.
    pub fn link(&self, slot: u32, id: u64) -> Option<&L> {
        self.sessions.get(slot as usize).filter(|session| session.id == id).map(|session| &session.link)
    }

    /// The session's outbox and link, when the slot is still that session's.
    pub fn outbox(&mut self, slot: u32, id: u64) -> Option<(&mut Outbox, &L)> {
        self.sessions.get_mut(slot as usize).filter(|session| session.id == id).map(|session| (&mut session.outbox, &session.link))
    }

    /// Writes what waits for a session.
    pub fn flush(&mut self, slot: u32) -> Flushed {
        match self.sessions.get_mut(slot as usize) {
            Some(session) => session.outbox.flush(&session.link, &self.bounds),
            None => Flushed::Gone,
        }
    }

    /// Sessions here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Topics that gained their first or lost their last reader here since the last call.
    pub fn take_interest(&mut self) -> Vec<(Topic, bool)> {
        std::mem::take(&mut self.interest)
    }

    /// All sessions' slots and ids.
    pub fn all(&self) -> impl Iterator<Item = (u32, u64, &L)> {
        self.sessions.iter().map(|(slot, session)| (u32::try_from(slot).unwrap_or(LEFT), session.id, &session.link))
    }

    /// Registers a session as reader of a topic. Nothing is given to it until [`Registry::settle`] says from where on, but what passes
    /// by is noted. `false` when it follows too much already.
    pub fn register(&mut self, slot: u32, topic: &Topic, source: Option<Source>, how: How) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        if let Some(at) = session.topics.get(topic) {
            if let Some(reader) = self.topics.get_mut(topic).and_then(|readers| readers.list.get_mut(*at as usize)) {
                let before = std::mem::replace(reader, Reader { slot, how, implied: false, floor: PENDING, checked: 0, ended: 0 });
                if before.implied {
                    self.note_follower(slot, topic, true);
                }
            }
            return true;
        }
        if matches!(topic, Topic::Chat(..)) && session.chats >= self.max_topics {
            return false;
        }
        self.enlist(slot, topic, source, how, false);
        true
    }

    /// Adds a reader to a topic that its session does not follow yet.
    fn enlist(&mut self, slot: u32, topic: &Topic, source: Option<Source>, how: How, implied: bool) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.chats += usize::from(matches!(topic, Topic::Chat(..)));
        let interest = &mut self.interest;
        let readers = self.topics.entry(topic.clone()).or_insert_with(|| {
            interest.push((topic.clone(), true));
            Readers { source, list: Vec::with_capacity(1), left: 0 }
        });
        session.topics.insert(topic.clone(), u32::try_from(readers.list.len()).unwrap_or(LEFT));
        readers.list.push(Reader { slot, how, implied, floor: PENDING, checked: 0, ended: 0 });
        if !implied {
            self.note_follower(slot, topic, true);
        }
    }

    /// What a session may do with applications' topics, if it was said.
    #[must_use]
    pub fn rights(&self, slot: u32) -> Option<Arc<TopicRights>> {
        self.sessions.get(slot as usize)?.rights.clone()
    }

    /// Says what a session may do with applications' topics: it is given nothing else of them.
    pub fn set_rights(&mut self, slot: u32, rights: Arc<TopicRights>) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.rights = Some(rights);
        }
    }

    /// Whether events are on their way over readers: whoever comes now is not given them.
    #[must_use]
    pub fn is_walking(&self) -> bool {
        self.walking
    }

    /// Changes how a reader reads from now on.
    pub fn reread(&mut self, slot: u32, topic: &Topic, how: How) {
        let at = self.sessions.get(slot as usize).and_then(|session| session.topics.get(topic));
        if let Some(reader) = at.and_then(|at| self.topics.get_mut(topic)?.list.get_mut(*at as usize)) {
            reader.how = how;
        }
    }

    /// Whether the session reads the topic.
    #[must_use]
    pub fn reads(&self, slot: u32, topic: &Topic) -> bool {
        self.sessions.get(slot as usize).is_some_and(|session| session.topics.contains_key(topic))
    }

    /// The pos up to which the session was given everything that is for it: where a session that comes back goes on.
    #[must_use]
    pub fn cursor(&self, slot: u32) -> u64 {
        let Some(session) = self.sessions.get(slot as usize) else { return 0 };
        match (session.last_cursor, session.lag) {
            (Some(cursor), _) => cursor,
            (None, Some(lag)) => lag.cursor,
            (None, None) => session.passed.max(self.walked.get(&session.conf).copied().unwrap_or(0)),
        }
    }

    /// From now on the reader is given what is above `floor`. `until` is the pos up to which there was something when the catch-up was read:
    /// when the catch-up did not reach it, or something passed by meanwhile, the rest comes as a refill. `false` when the reader was
    /// put out meanwhile.
    pub fn settle(&mut self, slot: u32, topic: &Topic, floor: u64, until: u64) -> bool {
        self.settle_checked(slot, topic, floor, until, until)
    }

    fn settle_checked(&mut self, slot: u32, topic: &Topic, floor: u64, checked: u64, until: u64) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        let Some(at) = session.topics.get(topic) else { return false };
        let Some(reader) = self.topics.get_mut(topic).and_then(|readers| readers.list.get_mut(*at as usize)) else { return false };
        if reader.ended > until {
            self.drop_reader(slot, topic);
            return false;
        }
        (reader.floor, reader.checked, reader.ended) = (floor, checked, 0);
        // Who was put out while it lagged has come back.
        session.ended.retain(|ended| ended != topic);
        self.catch_up(slot, floor, until);
        true
    }

    /// Some of the session's readers have been settled on `floor`, of what there was up to `until`: what lies between comes as a refill.
    fn catch_up(&mut self, slot: u32, floor: u64, until: u64) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.passed = session.passed.max(until);
        // The catch-up may be ahead of the walk: what the session's other topics are yet to be given must not be passed over.
        let floors =
            session.topics.iter().filter_map(|(topic, at)| self.topics.get(topic)?.list.get(*at as usize)).map(|reader| reader.floor);
        let walked = self.walked.get(&session.conf).copied().unwrap_or(0);
        let from = floors.min().unwrap_or(floor).max(walked).min(floor);
        if let Some(lag) = session.lag.as_mut().filter(|lag| lag.reading) {
            lag.stale = true;
        }
        if session.passed > floor {
            lag_from(session, from, &self.bounds.budget, &mut self.counts);
        }
    }

    /// A session that is about to end is given nothing more.
    pub fn silence(&mut self, slot: u32, id: u64) {
        let cursor = self.cursor(slot);
        let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| session.id == id) else { return };
        session.last_cursor.get_or_insert(cursor);
        if session.lag.take().is_some() {
            self.bounds.budget.lag_ends();
        }
        session.chats = 0;
        session.everything = None;
        for (topic, at) in std::mem::take(&mut session.topics) {
            if self.leave(&topic, at) {
                self.note_follower(slot, &topic, false);
            }
        }
    }

    /// The session no longer follows the topic, unless it follows everything; whether it did.
    pub fn unsubscribe(&mut self, slot: u32, topic: &Topic) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        let may_be_implied = session.follows_public() && !matches!(topic, Topic::Gathering(..));
        if may_be_implied { self.unname(slot, topic) } else { self.drop_reader(slot, topic) }
    }

    fn drop_reader(&mut self, slot: u32, topic: &Topic) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        if let (Topic::Chat(_, conv), true) = (topic, session.topics.contains_key(topic)) {
            let source = self.topics.get(topic).and_then(|readers| readers.source.as_ref());
            if let Some(everything) = session.everything.as_mut().filter(|_| source.is_some_and(|source| source.kind.is_public())) {
                everything.put_out(*conv);
            }
        }
        self.take_reader_out(slot, topic)
    }

    fn take_reader_out(&mut self, slot: u32, topic: &Topic) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        let Some(at) = session.topics.remove(topic) else { return false };
        session.chats -= usize::from(matches!(topic, Topic::Chat(..)));
        if self.leave(topic, at) {
            self.note_follower(slot, topic, false);
        }
        true
    }

    /// Marks a reader's place as left, and takes places out when nobody walks and half are left. Whether it followed the topic by name.
    fn leave(&mut self, topic: &Topic, at: u32) -> bool {
        let Some(readers) = self.topics.get_mut(topic) else { return false };
        let mut was_named = false;
        if let Some(reader) = readers.list.get_mut(at as usize) {
            reader.slot = LEFT;
            readers.left += 1;
            was_named = !reader.implied;
        }
        if self.walking {
            self.untidy.push(topic.clone())
        } else {
            self.tidy(topic)
        }
        was_named
    }

    fn tidy(&mut self, topic: &Topic) {
        let Some(readers) = self.topics.get_mut(topic) else { return };
        if readers.left == readers.list.len() {
            self.topics.remove(topic);
            self.interest.push((topic.clone(), false));
        } else if readers.left * 2 > readers.list.len() {
            readers.list.retain(|reader| reader.slot != LEFT);
            readers.left = 0;
            for (at, reader) in readers.list.iter().enumerate() {
                if let Some(place) = self.sessions.get_mut(reader.slot as usize).and_then(|session| session.topics.get_mut(topic)) {
                    *place = u32::try_from(at).unwrap_or(LEFT);
                }
            }
        }
    }
}
