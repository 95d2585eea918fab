//! The omniscient model: every durable command, one at a time and without caches, applied to a state of its own; and what must hold of what
//! comes out, counted here in another way than there.

use std::collections::{BTreeMap, HashMap};

use hallway_broker::apply::apply;
use hallway_broker::command::{Action, Command, Outcome};
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::keys;
use hallway_broker::log::Lsn;
use hallway_broker::model::{Body, Change, Conversation, Event, Kind};
use hallway_broker::queue::Answer;
use hallway_broker::state::State;
use hallway_broker::state::memory::{MemoryState, MemoryStore};
use hallway_broker::topic::ends_reading;
use hallway_broker::view::{Kept, SCHEMA, StoreHead, View, decode};

use crate::link::content;

/// An event and what has become of it.
pub struct Said {
    pub event: Event,
    /// What it said from which command on.
    pub versions: Vec<(Lsn, String)>,
}

impl Said {
    /// What it says once `applied` is.
    pub fn at(&self, applied: Lsn) -> Option<&str> {
        self.versions.iter().rev().find(|(lsn, _)| *lsn <= applied).map(|(_, text)| &**text)
    }

    /// Whether it ever said this, up to `applied`.
    pub fn ever(&self, applied: Lsn, text: &str) -> bool {
        self.versions.iter().any(|(lsn, version)| *lsn <= applied && version == text)
    }
}

/// A conversation.
pub struct Told {
    pub record: Conversation,
    pub id: hallway_broker::ids::ConversationId,
    pub events: Vec<Said>,
    /// When whose reading began and ended: pos, and whether they may read from there on.
    pub standings: HashMap<Uid, Vec<(u64, bool)>>,
}

/// See the module's text.
pub struct Truth {
    store: MemoryStore,
    state: MemoryState,
    pub head: StoreHead,
    pub told: BTreeMap<(u32, u32), Told>,
    /// Conversation and seq of each pos of a conference, from 1 on.
    pub line: BTreeMap<u32, Vec<(u32, u64)>>,
    /// What each command came to, from lsn 1 on, and where its conferences' lines ended after it.
    pub answers: Vec<Answer>,
    pub events: Vec<Vec<Event>>,
    sent: HashMap<(u32, u32, Uid, String), u64>,
    marks: HashMap<(u32, u32, Uid), Vec<(Lsn, u64)>>,
    pub erased: HashMap<(u32, Uid), Lsn>,
}

impl Truth {
    /// Nothing yet; sealed with `secret`.
    pub fn new(secret: [u8; 16]) -> Self {
        let store = MemoryStore::new();
        let state = store.open().unwrap();
        Self {
            store,
            state,
            head: StoreHead { schema: SCHEMA, applied: 0, secret, conferences: 0 },
            told: BTreeMap::new(),
            line: BTreeMap::new(),
            answers: Vec::new(),
            events: Vec::new(),
            sent: HashMap::new(),
            marks: HashMap::new(),
            erased: HashMap::new(),
        }
    }

    /// All records, to compare with.
    pub fn snapshot(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.store.snapshot()
    }

    /// The next durable command.
    pub fn take(&mut self, bytes: &[u8]) {
        let command: Command = decode(bytes).unwrap();
        let lsn = self.head.applied + 1;
        let mut kept = Kept::default();
        let mut view = View::new(&self.state, &mut kept, self.head.clone());
        let answer = apply(&mut view, &command).unwrap();
        view.head.applied = lsn;
        let (batch, head, made) = view.finish();
        self.state.commit(&batch).unwrap();
        if lsn.is_multiple_of(64) {
            self.state.checkpoint().unwrap();
        }
        self.head = head;
        if answer.is_err() {
            let only_head = batch.changes.iter().all(|(key, _)| *key == keys::store_head());
            assert!(only_head && made.events.is_empty(), "a refused command left a trace: {command:?} → {answer:?}, {:?}", made.events);
        }
        if let (Action::Erase { uid }, Ok(_)) = (&command.action, &answer) {
            self.erased.entry((command.conf.0, uid.clone())).or_insert(lsn);
        }
        for event in &made.events {
            self.add(lsn, event);
        }
        for (conf, buried) in &made.tombstones {
            let (conv, seq) = self.line[&conf.0][usize::try_from(buried.pos).unwrap() - 1];
            let said = self.said_mut(conf.0, conv, seq);
            if matches!(said.event.entry.body, Body::Message(_) | Body::Edit { .. }) {
                said.versions.push((lsn, String::new()));
            }
        }
        self.check_read(lsn, &command, &answer);
        self.answers.push(answer);
        self.events.push(made.events.iter().map(|event| (**event).clone()).collect());
    }

    fn said_mut(&mut self, conf: u32, conv: u32, seq: u64) -> &mut Said {
        &mut self.told.get_mut(&(conf, conv)).unwrap().events[usize::try_from(seq).unwrap() - 1]
    }

    /// An event, when there is one.
    pub fn said(&self, conf: u32, conv: u32, seq: u64) -> Option<&Said> {
        self.told.get(&(conf, conv))?.events.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// The numbers of a new event: dense, growing, and each client id once.
    fn add(&mut self, lsn: Lsn, event: &Event) {
        let (conf, conv) = (event.place.conf.0, event.place.conv.0);
        let line = self.line.entry(conf).or_default();
        assert_eq!(event.entry.pos, line.len() as u64 + 1, "pos is not dense in conference {conf}: {event:?}");
        line.push((conv, event.place.seq));
        let state = &self.state;
        let told = self.told.entry((conf, conv)).or_insert_with(|| {
            let record = state.get(&keys::conversation(ConfNo(conf), &event.place.conversation)).unwrap().unwrap();
            Told { record: decode(&record).unwrap(), id: event.place.conversation.clone(), events: Vec::new(), standings: HashMap::new() }
        });
        assert_eq!(event.place.seq, told.events.len() as u64 + 1, "seqs are not dense: {event:?}");
        let (n, ts_ms) = told.events.last().map_or((0, 0), |said| (said.event.entry.n, said.event.entry.ts_ms));
        let message = matches!(event.entry.body, Body::Message(_));
        assert_eq!(event.entry.n, n + u64::from(message), "n is not dense: {event:?}");
        assert!(event.entry.ts_ms >= ts_ms, "ts went back: {event:?}");
        told.events.push(Said { event: event.clone(), versions: vec![(lsn, content(&event.entry.body))] });
        match &event.entry.body {
            Body::Message(message) if !message.client_id.is_empty() => {
                let key = (conf, conv, event.entry.from.clone(), message.client_id.to_string());
                let before = self.sent.insert(key, event.place.seq);
                assert_eq!(before, None, "one client id, two messages: {event:?}");
            }
            Body::Edit { target, text } => {
                let (target, text) = (*target, text.to_string());
                self.said_mut(conf, conv, target).versions.push((lsn, text));
            }
            Body::Member { user, change } => self.standing(conf, conv, user, *change, event.entry.pos),
            _ => {}
        }
    }

    fn standing(&mut self, conf: u32, conv: u32, user: &Uid, change: Change, pos: u64) {
        let told = self.told.get_mut(&(conf, conv)).unwrap();
        let reads = if ends_reading(told.record.kind, change) {
            false
        } else {
            told.record.kind.is_public() || matches!(change, Change::Joined | Change::Role(_))
        };
        told.standings.entry(user.clone()).or_default().push((pos, reads));
    }

    /// The pos above which `uid` must get nothing, when the conference's state is at `end`; `None` when they may read.
    pub fn silent_above(&self, conf: u32, conv: u32, uid: &Uid, end: u64, applied: Lsn) -> Option<u64> {
        let told = self.told.get(&(conf, conv))?;
        if self.erased.get(&(conf, uid.clone())).is_some_and(|lsn| *lsn <= applied) {
            return Some(u64::MAX);
        }
        match told.record.kind {
            Kind::Topics => None,
            Kind::Direct => told.id.partner(uid).is_none().then_some(0),
            Kind::Inbox => (told.id.inbox_owner().as_ref() != Some(uid)).then_some(0),
            Kind::Channel | Kind::Announcements | Kind::Group => {
                let changes = told.standings.get(uid).map_or(&[][..], Vec::as_slice);
                let upto = changes.partition_point(|(pos, _)| *pos <= end);
                match changes[..upto].last() {
                    None => (told.record.kind == Kind::Group).then_some(0),
                    Some((_, true)) => None,
                    // The first of those in a row that say no.
                    Some((_, false)) => changes[..upto].iter().rev().take_while(|(_, reads)| !reads).last().map(|(pos, _)| *pos),
                }
            }
        }
    }

    /// Whether an event ended `uid`'s reading.
    pub fn ends(&self, seen: &crate::link::Seen, uid: &Uid) -> bool {
        let changes = self.told.get(&(seen.conf, seen.conv)).and_then(|told| told.standings.get(uid));
        changes.is_some_and(|changes| changes.iter().any(|(pos, reads)| *pos == seen.pos && !reads))
    }

    /// Whether `uid` lost their right to read between two positions.
    pub fn lost(&self, conf: u32, conv: u32, uid: &Uid, above: u64) -> bool {
        self.told
            .get(&(conf, conv))
            .and_then(|told| told.standings.get(uid))
            .is_some_and(|changes| changes.iter().any(|(pos, reads)| *pos > above && !reads))
    }

    fn messages(&self, conf: u32, conv: u32, above: u64, through: u64) -> u64 {
        let Some(told) = self.told.get(&(conf, conv)) else { return 0 };
        let counts =
            |said: &&Said| said.event.entry.body.kind() == "message" && said.event.place.seq > above && said.event.place.seq <= through;
        told.events.iter().filter(counts).count() as u64
    }

    /// A read marker's answer, counted one by one.
    fn check_read(&mut self, lsn: Lsn, command: &Command, answer: &Answer) {
        let (Action::Read { conversation, .. }, Ok(Outcome::Read { seq, unread })) = (&command.action, answer) else { return };
        let conf = command.conf.0;
        let Some((conv, head)) = self.find(conf, conversation) else { return };
        assert_eq!(*unread, self.messages(conf, conv, *seq, head), "unread of {command:?}");
        self.marks.entry((conf, conv, command.actor.uid.clone())).or_default().push((lsn, *seq));
    }

    /// A conversation's number and its last seq.
    pub fn find(&self, conf: u32, id: &hallway_broker::ids::ConversationId) -> Option<(u32, u64)> {
        let found = self.told.range((conf, 0)..(conf + 1, 0)).find(|(_, told)| told.id == *id);
        found.map(|((_, conv), told)| (*conv, told.events.len() as u64))
    }

    /// What a user has not read, once `applied` is and the conversation's head is at `head`: above the marker or their own last message of
    /// the newest 64.
    pub fn unread(&self, conf: u32, conv: u32, uid: &Uid, head: u64, applied: Lsn) -> u64 {
        let marks = self.marks.get(&(conf, conv, uid.clone())).map_or(&[][..], Vec::as_slice);
        let mark = marks.iter().rev().find(|(lsn, _)| *lsn <= applied).map_or(0, |(_, seq)| *seq);
        let told = &self.told[&(conf, conv)];
        let messages = told.events.iter().filter(|said| said.event.place.seq <= head && said.event.entry.body.kind() == "message").rev();
        let own = messages.take(64).find(|said| said.event.entry.from == *uid).map_or(0, |said| said.event.place.seq);
        self.messages(conf, conv, mark.max(own), head)
    }
}
