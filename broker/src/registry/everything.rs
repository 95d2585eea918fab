//! Following everything that one may read, now and later: the conversations that are open to all are one topic, so that one more of
//! them costs nothing; each of the others is a reader of its own, as if it had been subscribed to by name.

use std::collections::{BTreeMap, HashMap};

use super::{PENDING, Readers, Registry, Session};
use crate::ids::{ConvNo, ConversationId, Uid};
use crate::model::{Body, Change, Event, Kind};
use crate::outbox::Link;
use crate::topic::{How, Source, Telling, Topic};

/// How much of what one may read is followed without being named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything.
    #[default]
    All,
    /// One's direct conversations: the others are followed by name.
    Direct,
}

impl Scope {
    /// Whether a conversation of this kind, which is not open to all, is followed.
    fn takes(self, kind: Kind) -> bool {
        self == Self::All || kind == Kind::Direct
    }
}

/// What is known of a session that follows everything.
#[derive(Debug, Default)]
pub(super) struct Everything {
    how: How,
    scope: Scope,
    /// Where the conference was when it began: it is given what is above.
    start: u64,
    /// What it is in was read. Until then, who comes in may have been in before.
    settled: bool,
    /// The pos at which the user came into each conversation, the last that is known: events of before are old news, and so is what was read
    /// before of a conversation that is in here.
    joined: BTreeMap<ConvNo, u64>,
    /// Conversations open to all that the user is banned from: what lies above this pos is not for them.
    bans: BTreeMap<ConvNo, u64>,
}

impl Everything {
    fn has_joined(&self, topic: &Topic) -> bool {
        matches!(topic, Topic::Chat(_, conv) if self.joined.contains_key(conv))
    }

    /// Whether the event is kept from a user who is banned.
    pub(super) fn keeps_back(&self, event: &Event) -> bool {
        self.bans.get(&event.place.conv).is_some_and(|above| event.entry.pos > *above)
    }

    /// The session's own reader of the conversation was put out: it has had what came before.
    pub(super) fn put_out(&mut self, conv: ConvNo) {
        self.bans.insert(conv, 0);
    }

    /// Takes note of the user's being banned or let in again.
    pub(super) fn note(&mut self, uid: &Uid, event: &Event) {
        let (conv, pos) = (event.place.conv, event.entry.pos);
        match &event.entry.body {
            Body::Member { user, change } if user == uid && event.place.kind.is_public() => {
                if *change == Change::Banned {
                    self.bans.entry(conv).or_insert(pos);
                } else if self.bans.get(&conv).is_some_and(|above| *above < pos) {
                    self.bans.remove(&conv);
                }
            }
            _ => {}
        }
    }
}

/// A session's coming into a conversation because it follows everything.
#[derive(Debug)]
pub struct Join {
    slot: u32,
    topic: Topic,
    floor: u64,
    /// Of the event by which it came in: what put the user out before has been overcome.
    pos: u64,
}

/// A conversation that is not open to all, or one that the user is banned from since a pos.
#[derive(Debug, Clone)]
pub enum Known {
    /// The user is a member, and since which pos.
    Member(Topic, Source, u64),
    /// The user is banned.
    Banned(ConvNo, u64),
}

impl<L> Session<L> {
    /// Whether it follows all that is open to all.
    pub(super) fn follows_public(&self) -> bool {
        self.everything.as_ref().is_some_and(|everything| everything.scope == Scope::All)
    }

    /// Whether a reader of all that is open to all must not give the event to this session: another one does, or nobody may.
    pub(super) fn reads_otherwise(&self, event: &Event) -> bool {
        self.topics.contains_key(&Topic::of(event)) || self.everything.as_ref().is_none_or(|everything| everything.keeps_back(event))
    }

    /// The same of a signal, whose own topic is `named`.
    pub(super) fn hears_otherwise(&self, telling: &Telling, named: &Topic) -> bool {
        let is_banned = |conv| self.everything.as_ref().is_none_or(|everything| everything.bans.contains_key(&conv));
        self.topics.contains_key(named) || telling.conv.is_some_and(is_banned)
    }

    /// Whether the event lets the user into a conversation again that is open to all, for a session that follows everything.
    pub(super) fn is_let_in_by(&self, event: &Event) -> bool {
        let is_in = |user: &Uid, change| *user == self.uid && change != Change::Banned && event.place.kind.is_public();
        self.everything.is_some() && matches!(&event.entry.body, Body::Member { user, change } if is_in(user, *change))
    }

    /// The user is in again: for the session's own reader of the conversation no removal from before counts any more.
    pub(super) fn come_back(&mut self, topics: &mut HashMap<Topic, Readers>, event: &Event) {
        let topic = Topic::of(event);
        let Some(at) = self.topics.get(&topic) else { return };
        if let Some(reader) = topics.get_mut(&topic).and_then(|readers| readers.list.get_mut(*at as usize)) {
            (reader.checked, reader.ended) = (reader.checked.max(event.entry.pos), 0);
            self.ended.retain(|ended| *ended != topic);
        }
    }

    /// The topic by which the session reads the event, and its place among that topic's readers.
    pub(super) fn reads_by(&self, event: &Event) -> Option<(Topic, u32)> {
        let topic = Topic::of(event);
        if let Some(at) = self.topics.get(&topic) {
            return Some((topic, *at));
        }
        let topic = Topic::public(event).filter(|_| !self.reads_otherwise(event))?;
        self.topics.get(&topic).map(|at| (topic, *at))
    }
}

impl<L: Link> Registry<L> {
    /// Whether the session follows everything.
    #[must_use]
    pub fn follows_all(&self, slot: u32) -> bool {
        self.sessions.get(slot as usize).is_some_and(Session::follows_public)
    }

    /// Begins to follow everything of the scope above `start`, where the conference is: from now on, what the user comes into is noted. `false` when
    /// the session does already. Next, read what there is and say it by [`Registry::follow_known`].
    pub fn follow_all(&mut self, slot: u32, start: u64, how: How, scope: Scope) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| session.everything.is_none()) else { return false };
        session.everything = Some(Box::new(Everything { how, scope, start, ..Everything::default() }));
        let (conf, uid) = (session.conf, session.uid.clone());
        // Nothing is ever given by the second: it is never settled.
        if scope == Scope::All {
            self.enlist(slot, &Topic::Public(conf), None, how, true);
        }
        self.enlist(slot, &Topic::Joins(conf, uid), None, how, true);
        true
    }

    /// Adds the conversations that are not open to all, and the bans, as they were at some time after [`Registry::follow_all`]. At once after it,
    /// [`Registry::settle_all`].
    pub fn follow_known(&mut self, slot: u32, known: Vec<Known>) {
        for known in known {
            let Some(session) = self.sessions.get_mut(slot as usize) else { return };
            let Some(everything) = session.everything.as_mut() else { return };
            match known {
                Known::Banned(conv, pos) => drop(everything.bans.entry(conv).or_insert(pos)),
                Known::Member(topic, ..) if session.topics.contains_key(&topic) || everything.has_joined(&topic) => {}
                Known::Member(_, source, _) if !everything.scope.takes(source.kind) => {}
                Known::Member(topic, source, since) => {
                    let how = everything.how;
                    if let Topic::Chat(_, conv) = topic {
                        everything.joined.insert(conv, since);
                    }
                    self.enlist(slot, &topic, Some(source), how, true);
                    // What put them out before has been overcome.
                    if let Some(reader) = self.topics.get_mut(&topic).and_then(|readers| readers.list.last_mut()) {
                        reader.checked = since;
                    }
                }
            }
        }
    }

    /// From now on the session is given what there is; `until` is where the conference was after [`Registry::follow_known`].
    pub fn settle_all(&mut self, slot: u32, until: u64) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(everything) = session.everything.as_mut() else { return };
        everything.settled = true;
        let floor = everything.start;
        for (topic, at) in session.topics.iter().filter(|(topic, _)| matches!(topic, Topic::Chat(..) | Topic::Public(_))) {
            let reader = self.topics.get_mut(topic).and_then(|readers| readers.list.get_mut(*at as usize));
            if let Some(reader) = reader.filter(|reader| reader.implied && reader.floor == PENDING) {
                (reader.floor, reader.checked) = (floor, reader.checked.max(floor));
            }
        }
        self.catch_up(slot, floor, until);
    }

    /// Changes how everything is read from now on.
    pub fn reread_all(&mut self, slot: u32, how: How) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(everything) = session.everything.as_mut() else { return };
        everything.how = how;
        for (topic, at) in &session.topics {
            let reader = self.topics.get_mut(topic).and_then(|readers| readers.list.get_mut(*at as usize));
            if let Some(reader) = reader.filter(|reader| reader.implied) {
                reader.how = how;
            }
        }
    }

    /// The conversations that the session follows by name.
    pub fn named(&self, slot: u32) -> Vec<(Topic, ConversationId)> {
        let Some(session) = self.sessions.get(slot as usize) else { return Vec::new() };
        let named = session.topics.iter().filter(|(topic, _)| matches!(topic, Topic::Chat(..)));
        let id = |topic: &Topic, at: &u32| {
            let readers = self.topics.get(topic)?;
            let is_named = readers.list.get(*at as usize).is_some_and(|reader| !reader.implied);
            readers.source.as_ref().filter(|_| is_named).map(|source| source.id.clone())
        };
        named.filter_map(|(topic, at)| Some((topic.clone(), id(topic, at)?))).collect()
    }

    /// The session, which follows everything, follows a conversation by name, too, from where it is; one that it follows by name already, it reads in
    /// another way. `until` is where the conference is. `false` when it does neither, or follows too much.
    pub fn name(&mut self, slot: u32, topic: &Topic, source: &Source, how: How, until: u64) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        if let Some(at) = session.topics.get(topic) {
            if let Some(reader) = self.topics.get_mut(topic).and_then(|readers| readers.list.get_mut(*at as usize)) {
                reader.how = how;
                if std::mem::replace(&mut reader.implied, false) {
                    self.note_follower(slot, topic, true);
                }
            }
            return true;
        }
        let all = Topic::Public(session.conf);
        let all = session.topics.get(&all).and_then(|at| self.topics.get(&all)?.list.get(*at as usize));
        let Some((floor, checked)) = all.map(|reader| (reader.floor, reader.checked)) else { return false };
        if !source.kind.is_public() || floor == PENDING || session.chats >= self.max_topics {
            return false;
        }
        self.enlist(slot, topic, Some(source.clone()), how, false);
        if let Some(reader) = self.topics.get_mut(topic).and_then(|readers| readers.list.last_mut()) {
            (reader.floor, reader.checked) = (floor, checked);
        }
        // What is being walked may be given by neither.
        self.catch_up(slot, floor, until);
        true
    }

    /// A conversation that the session followed by name, it follows with everything else from now on; whether it did.
    pub(super) fn unname(&mut self, slot: u32, topic: &Topic) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        let all = Topic::Public(session.conf);
        let all = session.topics.get(&all).and_then(|at| self.topics.get(&all)?.list.get(*at as usize)).map(|reader| reader.floor);
        let lags = session.lag.is_some();
        let Some(at) = session.topics.get(topic) else { return false };
        let Some(readers) = self.topics.get_mut(topic) else { return false };
        let is_public = readers.source.as_ref().is_some_and(|source| source.kind.is_public());
        let Some(reader) = readers.list.get_mut(*at as usize) else { return false };
        let was_named = !std::mem::replace(&mut reader.implied, true);
        // When the reader of all that is open has had as much, that one does for it.
        let is_even = !lags && !self.walking && reader.ended == 0 && all.is_some_and(|all| reader.floor <= all);
        if was_named {
            self.note_follower(slot, topic, false);
        }
        if is_public && is_even {
            self.take_reader_out(slot, topic);
        }
        was_named
    }

    /// Stops following everything; what was subscribed to by name goes on. Whether it did.
    pub fn unfollow_all(&mut self, slot: u32) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        if session.everything.take().is_none() {
            return false;
        }
        let implied = |(topic, at): (&Topic, &u32)| {
            let reader = self.topics.get(topic)?.list.get(*at as usize)?;
            reader.implied.then(|| topic.clone())
        };
        let gone: Vec<Topic> = session.topics.iter().filter_map(implied).collect();
        for topic in gone {
            self.drop_reader(slot, &topic);
        }
        true
    }

    /// Whether the event changes what somebody here follows who follows everything: then what came before it must be walked first.
    #[must_use]
    pub fn moves_followers(&self, event: &Event) -> bool {
        Topic::joins(event).any(|topic| self.topics.contains_key(&topic))
    }

    /// Before the event is walked: those who follow everything are made readers of the conversation that they come into by it. Each is to be
    /// settled by [`Registry::settle_join`].
    pub fn join(&mut self, event: &Event) -> Vec<Join> {
        let mut joins = Vec::new();
        for topic in Topic::joins(event) {
            for slot in self.slots_of(&topic) {
                joins.extend(self.join_one(slot, event));
            }
        }
        joins
    }

    /// The session is given what is above its floor; `until` is where the conference was after [`Registry::join`].
    pub fn settle_join(&mut self, join: &Join, until: u64) {
        self.settle_checked(join.slot, &join.topic, join.floor, join.pos, until);
    }

    /// Takes note of the event's banning somebody who follows everything, or letting them in again.
    pub(super) fn note_ban(&mut self, event: &Event) {
        let Body::Member { user, .. } = &event.entry.body else { return };
        if !event.place.kind.is_public() {
            return;
        }
        for slot in self.slots_of(&Topic::Joins(event.place.conf, user.clone())) {
            let Some(session) = self.sessions.get_mut(slot as usize) else { continue };
            if let Some(everything) = session.everything.as_mut() {
                everything.note(user, event);
            }
            if session.is_let_in_by(event) {
                session.come_back(&mut self.topics, event);
            }
        }
    }

    fn slots_of(&self, topic: &Topic) -> Vec<u32> {
        self.topics.get(topic).map_or(Vec::new(), |readers| readers.list.iter().map(|reader| reader.slot).collect())
    }

    /// Makes the session a reader of the conversation that its user came into by the event.
    fn join_one(&mut self, slot: u32, event: &Event) -> Option<Join> {
        let pos = event.entry.pos;
        let session = self.sessions.get_mut(slot as usize)?;
        let everything = session.everything.as_mut()?;
        let Everything { how, scope, start, settled, .. } = **everything;
        if !scope.takes(event.place.kind) {
            return None;
        }
        let before = everything.joined.get(&event.place.conv).copied();
        if pos <= before.unwrap_or(start) {
            return None;
        }
        everything.joined.insert(event.place.conv, pos);
        let may_have_been_in = !settled && before.is_none();
        let topic = Topic::of(event);
        let Some(at) = session.topics.get(&topic) else {
            let source = Source { id: event.place.conversation.clone(), kind: event.place.kind };
            self.enlist(slot, &topic, Some(source), how, true);
            let floor = if may_have_been_in { start } else { start.max(pos - 1) };
            return Some(Join { slot, topic, floor, pos });
        };
        // Put out before, and in again before it had all that came before that: no removal from before the join counts any more.
        let reader = self.topics.get_mut(&topic)?.list.get_mut(*at as usize)?;
        reader.checked = reader.checked.max(pos);
        let was_out = std::mem::take(&mut reader.ended) > 0;
        (was_out && reader.floor != PENDING).then_some(Join { slot, floor: reader.floor, topic, pos })
    }
}
