//! DESIGN's invariants, each looked at where it could break; and the end of a run, when all is quiet and nothing may be missing.

use hallway_broker::command::{Action, Draft, Outcome};
use hallway_broker::commit::Applied;
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::model::{Body, Event};
use hallway_broker::queue::Answer;
use hallway_broker::reader::Toward;
use hallway_broker::reject::Reason;
use hallway_broker::topic::Topic;

use crate::link::{Seen, content};
use crate::node::{OUTBOX_BYTES, OUTBOX_EVENTS};
use crate::world::{Ack, World};

/// A frame is at most so long.
const FRAME_BYTES: usize = 320;

impl World {
    /// After each step: bounds, and what has come to the clients.
    pub fn check_step(&mut self) {
        self.told = self.told.max(self.node.visible());
        let mut sessions = 0;
        for device in 0..self.devices.len() {
            self.drain_device(device);
            let Some(conn) = &self.devices[device].conn else { continue };
            sessions += 1;
            let registry = &mut self.node.shards[conn.shard].registry;
            let Some((outbox, _)) = registry.outbox(conn.slot, conn.id) else { panic!("session {} is lost", conn.id) };
            let (events, bytes) = outbox.events_waiting();
            assert!(events <= OUTBOX_EVENTS, "{events} events wait for session {}", conn.id);
            assert!(bytes <= OUTBOX_BYTES + FRAME_BYTES, "{bytes} bytes of events wait for session {}", conn.id);
        }
        let used = self.node.bounds.budget.used();
        assert!(
            used <= self.plan.budget + sessions * (OUTBOX_BYTES + FRAME_BYTES),
            "{used} bytes wait in all, {} are allowed",
            self.plan.budget
        );
    }

    /// What a batch came to is what the truth says, in order.
    pub fn check_applied(&self, first: u64, count: usize, applied: &Applied) {
        let from = usize::try_from(first).unwrap() - 1;
        let refused = applied.answers.iter().all(|answered| is_store_error(&answered.answer));
        if refused {
            // The commit had reached the disk after all: the last event of each conference is told.
            let lines = &self.truth.line;
            assert!(applied.events.iter().all(|told| told.pos() <= lines[&told.event.place.conf.0].len() as u64));
            return;
        }
        let expected: Vec<&Event> = self.truth.events[from..from + count].iter().flatten().collect();
        let events: Vec<&Event> = applied.events.iter().map(|published| &*published.event).collect();
        assert_eq!(events, expected, "the events of the batch from {first}");
    }

    /// An answer leaves: it is what the truth says, and its command is durable and applied.
    pub fn check_answer(&self, lsn: u64, answer: &Answer) {
        if is_store_error(answer) {
            return;
        }
        assert!(self.log_end() >= lsn, "an answer before its command is durable: lsn {lsn}");
        assert!(self.node.visible() >= lsn, "an answer before its command is applied: lsn {lsn}");
        assert_eq!(*answer, self.truth.answers[usize::try_from(lsn).unwrap() - 1], "the answer to {lsn}");
    }

    /// An answer leaves for a device.
    pub fn check_answered(&mut self, lsn: Option<u64>, op: usize, answer: &Answer) {
        let Action::Send(draft) = self.ops[op].action.clone() else { return };
        let (conf, uid) = (self.devices[self.ops[op].device].conf, self.devices[self.ops[op].device].uid.clone());
        assert!(lsn.is_some() || answer.is_err(), "a success that nothing was applied for");
        self.check_ack(conf, &uid, &draft, answer);
    }

    /// A message's ack: it is in the state, and a retry gets the same.
    pub fn check_ack(&mut self, conf: u32, uid: &Uid, draft: &Draft, answer: &Answer) {
        let Ok(Outcome::Added { conversation, seq, pos, ts_ms, .. }) = answer else { return };
        let found = self.node.reader.conversation(ConfNo(conf), conversation).unwrap().expect("an acked message's conversation");
        let entry = self.node.reader.entry(&found, *seq).unwrap().expect("an acked message");
        assert!(entry.pos == *pos && entry.ts_ms == *ts_ms && entry.from == *uid, "an ack for another message: {answer:?} {entry:?}");
        if draft.client_id.is_empty() {
            return;
        }
        let key = (conf, conversation.to_string(), uid.to_string(), draft.client_id.to_string());
        let ack = Ack { seq: *seq, pos: *pos, ts_ms: *ts_ms };
        let before = self.acked.entry(key).or_insert_with(|| ack.clone());
        assert_eq!(*before, ack, "two acks for one client id of {uid}");
    }

    /// All that was acked is there.
    fn check_acked(&self) {
        for ((conf, conversation, uid, client_id), ack) in &self.acked {
            let id = ConversationId::parse(conversation).unwrap();
            let found = self.node.reader.conversation(ConfNo(*conf), &id).unwrap().expect("the conversation of an acked message");
            let entry =
                self.node.reader.entry(&found, ack.seq).unwrap().unwrap_or_else(|| panic!("acked and lost: {client_id} at {ack:?}"));
            let Body::Message(message) = &entry.body else { panic!("acked, and something else is there now: {entry:?}") };
            let same = entry.pos == ack.pos && entry.ts_ms == ack.ts_ms && entry.from.as_str() == uid && *message.client_id == **client_id;
            assert!(same, "acked, and another is there now: {ack:?} {entry:?}");
        }
    }

    /// After a restart: nothing acked is lost, and the state is the one that the log makes.
    pub fn check_replayed(&self) {
        self.check_acked();
        self.check_state("after a restart");
    }

    /// The state, byte for byte.
    fn check_state(&self, when: &str) {
        let (live, truth) = (self.store.snapshot(), self.truth.snapshot());
        assert_eq!(live.get(&b"a"[..]), truth.get(&b"a"[..]), "{when} the store's head is not what the log makes");
        same_records(when, &live, &truth);
    }

    /// An event was read from the store, or from memory in its place (`exact`: from the store).
    pub fn check_read_back(&self, event: &Event, exact: bool) {
        let visible = self.node.visible();
        let applied = if exact { visible } else { self.told.max(visible) };
        let place = &event.place;
        let said = self.truth.said(place.conf.0, place.conv.0, place.seq).unwrap_or_else(|| panic!("never said: {event:?}"));
        assert_eq!((event.entry.pos, event.entry.ts_ms), (said.event.entry.pos, said.event.entry.ts_ms), "another event: {event:?}");
        let (is, should) = (content(&event.entry.body), said.at(applied));
        assert!(should != Some("") || is.is_empty(), "a text that was taken back: {event:?}");
        assert!(!exact || Some(&*is) == should, "not the present: {event:?}, should be {should:?}");
        assert!(said.ever(applied, &is), "never said so: {event:?}");
    }

    /// An event has reached a client.
    pub fn check_seen(&self, device: usize, seen: &Seen) {
        let uid = &self.devices[device].uid;
        let said = self.truth.said(seen.conf, seen.conv, seen.seq).unwrap_or_else(|| panic!("never said: {seen:?}"));
        let (event, applied) = (&said.event, self.truth.head.applied);
        let same = event.entry.pos == seen.pos && event.entry.ts_ms == seen.ts_ms && event.entry.from.as_str() == seen.from;
        assert!(same, "{uid} sees {seen:?}, it was {event:?}");
        assert!(said.ever(applied, &seen.content), "{uid} sees {seen:?}, which never said so");
        // While the failed state is opened again it may be read as it was before.
        let end = if self.node.failed { u64::MAX } else { self.node.end(seen.conf) };
        if let Some(pos) = self.truth.silent_above(seen.conf, seen.conv, uid, end, applied) {
            assert!(seen.pos <= pos, "{uid} was put out at {pos} and sees {seen:?}");
        }
    }

    /// Lists, pages and counts as anybody may ask for them at any time.
    pub fn check_reads(&mut self) {
        if self.node.failed {
            return;
        }
        let device = self.rng.below(self.devices.len());
        let (conf, uid) = (self.devices[device].conf, self.devices[device].uid.clone());
        let id = self.some_conversation(conf, &uid);
        let applied = self.node.visible();
        let Ok(found) = self.node.reader.readable(ConfNo(conf), &uid, &id) else { return };
        let conv = found.record.no.0;
        let Some(told) = self.truth.told.get(&(conf, conv)) else { return };
        let last = told.events.len() as u64;
        let toward =
            if self.rng.chance(500) { Toward::Newer(self.rng.next() % (last + 1)) } else { Toward::Older(self.rng.next() % (last + 2)) };
        let page = self.node.reader.page(&found, toward, 1 + self.rng.below(20), &[]).unwrap();
        assert!(page.events.windows(2).all(|pair| pair[0].place.seq + 1 == pair[1].place.seq), "a gap in a page of history");
        for event in &page.events {
            self.check_read_back(event, true);
        }
        let head = self.node.reader.head(&found).unwrap();
        let mark = self.node.reader.read_mark(&found, &uid).unwrap();
        let unread = self.node.reader.unread(&found, &uid, head, mark).unwrap();
        assert_eq!(unread, self.truth.unread(conf, conv, &uid, head.seq, applied), "unread of {uid} in {id}");
        // Counts are of two reads, between which something may have come.
        let older = hallway_broker::model::Head { n: head.n.saturating_sub(3), ..head };
        let unread = self.node.reader.unread(&found, &uid, older, mark).unwrap();
        assert!(unread <= older.n, "{unread} unread of {} messages", older.n);
        let list = self.node.reader.list(ConfNo(conf), &uid, 100).unwrap();
        assert!(list.windows(2).all(|pair| pair[0].head.pos >= pair[1].head.pos), "a list that is not newest first");
    }

    /// The end of a run: faults end, everybody comes back, and nothing may be missing.
    pub fn finish(&mut self) {
        self.calm = true;
        self.note(|| "calm".into());
        self.become_quiet();
        self.check_everybody_has_everything();
        for device in 0..self.devices.len() {
            self.connect_if_away(device);
        }
        self.become_quiet();
        self.follow_all();
        self.become_quiet();
        self.check_everybody_has_everything();
        for (at, op) in self.ops.iter().enumerate() {
            let away = self.devices[op.device].conn.is_none();
            assert!(op.done || away || !op.retry, "op {at} was never answered: {:?}", op.action);
        }
        self.check_acked();
        self.check_state("at the end");
        self.check_replay();
        self.check_erased();
        self.check_empty();
    }

    /// The whole log, applied from nothing.
    fn check_replay(&self) {
        let (state, log) = crate::replay::fresh(self.tape.clone(), self.truth.head.secret);
        assert_eq!(log, self.tape.0.len() as u64);
        same_records("applied from nothing", &state, &self.truth.snapshot());
    }

    fn check_everybody_has_everything(&self) {
        for device in &self.devices {
            let Some(conn) = &device.conn else { continue };
            let gone = self.truth.erased.contains_key(&(device.conf, device.uid.clone()));
            assert!(!gone, "{} was erased, and session {} lives on", device.uid, conn.id);
            device.check_has_everything(&self.truth);
            for (conv, follow) in conn.follows.iter().filter(|(_, follow)| follow.on) {
                let applied = self.truth.head.applied;
                let (end, uid) = (self.node.end(device.conf), &device.uid);
                let silent = self.truth.silent_above(device.conf, *conv, uid, end, applied).is_some();
                if silent || self.truth.lost(device.conf, *conv, uid, follow.checked) {
                    continue;
                }
                let Some(told) = self.truth.told.get(&(device.conf, *conv)).map(|told| &told.events) else { continue };
                let read = device.read.get(conv).copied().unwrap_or(0);
                let rest = &told[usize::try_from(read).unwrap()..];
                let own = |said: &&crate::truth::Said| !follow.echo && said.event.origin == conn.id;
                assert!(rest.iter().all(|said| own(&said)), "{uid}, session {}, has {conv} up to {read} of {}", conn.id, told.len());
            }
        }
    }

    /// Nothing that the erased said is left.
    fn check_erased(&self) {
        for (key, said) in self.truth.told.iter().flat_map(|(key, told)| told.events.iter().map(move |said| (key, said))) {
            let from = &said.event.entry.from;
            if !self.truth.erased.contains_key(&(key.0, from.clone())) || key.0 > 2 {
                continue;
            }
            let found = self.node.reader.conversation(ConfNo(key.0), &said.event.place.conversation).unwrap().unwrap();
            let entry = self.node.reader.entry(&found, said.event.place.seq).unwrap().unwrap();
            let text = matches!(&entry.body, Body::Message(_) | Body::Edit { .. }) && !content(&entry.body).is_empty();
            assert!(!text, "{from} was erased, and this is left: {entry:?}");
            assert!(
                crate::ERASES_NAMES_EVERYWHERE.then_some(&*entry.name).is_none_or(str::is_empty),
                "{from} was erased, their name stays: {entry:?}"
            );
        }
    }

    /// When everybody has gone nothing is left of them.
    fn check_empty(&mut self) {
        for device in 0..self.devices.len() {
            self.disconnect(device);
        }
        let budget = &self.node.bounds.budget;
        assert_eq!((budget.used(), budget.lagging()), (0, 0), "bytes and lags of sessions that have gone");
        for (conf, conv) in self.truth.told.keys() {
            let topic = Topic::Chat(ConfNo(*conf), hallway_broker::ids::ConvNo(*conv));
            let all = Topic::Public(ConfNo(*conf));
            assert!(!self.node.interest.has(&topic) && !self.node.interest.has(&all), "a shard follows {topic:?} for nobody");
        }
        for shard in &self.node.shards {
            assert!(shard.registry.is_empty());
        }
        self.stats.holes += self.node.dispatch.holes;
    }
}

fn is_store_error(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|reject| matches!(reject.reason, Reason::StoreError | Reason::DiskFull))
}

type Records = std::collections::BTreeMap<Vec<u8>, Vec<u8>>;

/// Compares all records; says of the first that differs where it is.
fn same_records(when: &str, is: &Records, should: &Records) {
    if is == should {
        return;
    }
    for key in is.keys().chain(should.keys()) {
        if is.get(key) != should.get(key) {
            let text = String::from_utf8_lossy(key).into_owned();
            panic!("{when} the state is not what the log makes: key {text:?} is {:?}, should be {:?}", is.get(key), should.get(key));
        }
    }
}
