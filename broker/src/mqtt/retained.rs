//! What a subscription begins with: retained messages, sent when there is room for them. A conversation's is its last message as it is now.

use std::collections::VecDeque;
use std::sync::Arc;

use super::codec::{Qos, Stamp};
use super::connection::Person;
use super::delivery::{in_flight, packet_id};
use super::session::{SYS_EVERY, Task};
use super::subscriptions::Subscription;
use super::topic::{Selection, Which, matches};
use super::wire::{topic_of, topic_of_signal, write_json, write_publication, write_signal, write_text};
use crate::canonical;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys::{self, Key};
use crate::model::{Event, Realm, Retained, Signal, UserRole};
use crate::reader::{Reader, Toward};
use crate::reject::Reject;
use crate::session::{Who, blocking};
use tokio::time::Instant;

/// Messages of one step.
const STEP: usize = 64;

/// Retained messages that a subscription is still to get.
pub(super) struct Job {
    /// The subscription.
    filter: Arc<str>,
    /// Only what is at or below this pos: what is above comes live.
    through: u64,
    /// Only what is above this pos: the session had what is below before its connection was lost.
    after: u64,
    conf: ConfNo,
    what: What,
}

enum What {
    /// The last messages of these conversations.
    Conversations(VecDeque<ConversationId>),
    /// Those of all conversations that the user may read.
    AllConversations,
    /// How people are.
    People(VecDeque<Uid>),
    /// How everybody is.
    Everybody,
    /// Topics of a realm that a filter selects, from a key on.
    Topics(Realm, Arc<str>, Option<Key>),
}

impl Job {
    /// What a new subscription begins with.
    pub fn of(filter: &Arc<str>, inner: &str, selection: &Selection, through: u64, after: u64, who: &Who) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |what| all.push(Self { filter: Arc::clone(filter), through, after, conf: who.conf, what });
        match &selection.chats {
            Some((Which::One(id), parts)) if parts.contains(crate::topic::Parts::MESSAGES) => {
                add(What::Conversations(VecDeque::from([id.clone()])));
            }
            Some((Which::All, parts)) if parts.contains(crate::topic::Parts::MESSAGES) => add(What::AllConversations),
            _ => {}
        }
        match &selection.presence {
            Some(Which::One(uid)) => add(What::People(VecDeque::from([uid.clone()]))),
            Some(Which::All) => add(What::Everybody),
            None => {}
        }
        if selection.inbox {
            add(What::Conversations(VecDeque::from([ConversationId::inbox(&who.uid)])));
        }
        if selection.generic {
            add(What::Topics(Realm::Apps, inner.into(), None));
        }
        if selection.plain {
            add(What::Topics(Realm::Plain, inner.into(), None));
        }
        if selection.badge_scans.is_some() {
            add(What::Topics(Realm::Badges, inner.into(), None));
        }
        // An application's topic has one whenever it is asked for [MQTT-3.3.1-9].
        for job in all.iter_mut().filter(|job| matches!(job.what, What::Topics(..))) {
            job.after = 0;
        }
        all
    }

    /// The subscription.
    pub fn filter(&self) -> &Arc<str> {
        &self.filter
    }
}

/// A retained message, ready to be written.
enum Message {
    Event(Box<Event>),
    Publication(Box<Retained>),
}

impl Message {
    fn is_for(&self, person: &Person) -> bool {
        match self {
            Self::Event(_) => true,
            Self::Publication(retained) => person.may_read(&retained.publication),
        }
    }

    fn pos(&self) -> u64 {
        match self {
            Self::Event(event) => event.entry.pos,
            Self::Publication(retained) => retained.pos,
        }
    }
}

impl Task {
    /// Does some of the first job. `false` when nothing could be done now.
    pub(super) async fn do_job(&mut self) -> bool {
        let Some(mut job) = self.jobs.pop_front() else { return false };
        if self.jobs.is_empty() {
            // An idle session keeps no room for them.
            self.jobs = VecDeque::new();
        }
        let subscription = self.connection.delivery.borrow().subscriptions.get(&job.filter).cloned();
        // Unsubscribed meanwhile.
        let Some(subscription) = subscription else { return true };
        match &mut job.what {
            What::People(people) => {
                let people: Vec<Uid> = people.drain(..).collect();
                self.tell_presence(people, &subscription);
                true
            }
            What::Everybody => {
                let all = self.edge.hub.sessions().all_present(self.session.who.conf);
                self.tell_presence(all.into_iter().map(|(uid, _)| uid).collect(), &subscription);
                true
            }
            _ => self.send_some(job, &subscription).await,
        }
    }

    async fn send_some(&mut self, mut job: Job, subscription: &Subscription) -> bool {
        let (reader, who) = (self.edge.hub.reader().clone(), self.session.who.clone());
        let found = blocking(move || {
            let messages = job.read(&reader, &who);
            Ok((job, messages))
        });
        // When reading panicked, there is no job any more.
        let Ok((mut job, messages)) = found.await else { return false };
        let Ok(mut messages) = messages else {
            self.jobs.push_front(job);
            return false;
        };
        let person = &self.connection.person;
        messages.retain(|message| message.pos() <= job.through && message.pos() > job.after && message.is_for(person));
        let unsent = self.send_retained(messages, subscription).await;
        let is_stuck = !unsent.is_empty();
        job.put_back(unsent);
        if !job.is_done() {
            self.jobs.push_front(job);
        }
        !is_stuck
    }

    /// Sends retained messages; returns those that there was no room for.
    async fn send_retained(&mut self, messages: Vec<Message>, subscription: &Subscription) -> Vec<Message> {
        let mut bytes = Vec::new();
        let mut messages = messages.into_iter();
        let mut unsent = Vec::new();
        for message in messages.by_ref() {
            match self.write_retained(&message, subscription, &mut bytes) {
                true => {}
                false => {
                    unsent.push(message);
                    break;
                }
            }
        }
        unsent.extend(messages);
        // QoS 2 of a kept session goes on record before it is sent.
        if subscription.qos == Qos::ExactlyOnce && self.expiry_s > 0 && !bytes.is_empty() && self.save(false).await.is_err() {
            tracing::warn!("retained messages are sent that are not on record");
        }
        if !bytes.is_empty() {
            self.session.push(|into| into.extend_from_slice(&bytes));
        }
        unsent
    }

    /// `false` when there is no room.
    fn write_retained(&self, message: &Message, subscription: &Subscription, bytes: &mut Vec<u8>) -> bool {
        let version = self.connection.version;
        let now_ms = self.edge.hub.clock().now_ms();
        let most = match message {
            Message::Publication(retained) if retained.publication.is_expired(now_ms) => return true,
            Message::Publication(retained) => Qos::from_bits(retained.publication.qos).unwrap_or(Qos::AtMostOnce),
            Message::Event(_) => Qos::ExactlyOnce,
        };
        let qos = subscription.qos.min(most);
        let mut delivery = self.connection.delivery.borrow_mut();
        if qos != Qos::AtMostOnce && !delivery.takes(message.pos()) {
            delivery.block();
            return false;
        }
        let identifiers = Subscription::identifiers(&subscription.identifier);
        // [MQTT-3.3.1-8]
        let stamp = Stamp { qos, retain: true, packet_id: packet_id(message.pos()), identifiers, ..Stamp::default() };
        let start = bytes.len();
        let sent = match message {
            Message::Publication(retained) => {
                write_publication(version, &retained.publication, &stamp, now_ms, bytes);
                crate::model::InFlight {
                    pos: retained.pos,
                    conversation: ConversationId::topics(),
                    seq: retained.seq,
                    qos: qos.into(),
                    released: false,
                }
            }
            Message::Event(event) => {
                let (mut topic, mut payload) = (String::new(), Vec::new());
                topic_of(self.session.who.conference.as_str(), event, &mut topic);
                canonical::write_event(event, &self.edge.hub.reader().ids(), &mut payload);
                write_json(version, &topic, &payload, &stamp, bytes);
                in_flight(event, qos)
            }
        };
        if delivery.is_too_large(bytes.len() - start) {
            bytes.truncate(start);
        } else if qos != Qos::AtMostOnce {
            delivery.push(sent);
        }
        true
    }

    fn tell_presence(&self, people: Vec<Uid>, subscription: &Subscription) {
        let who = &self.session.who;
        let stamp = Stamp { retain: true, identifiers: Subscription::identifiers(&subscription.identifier), ..Stamp::default() };
        let mut bytes = Vec::new();
        for uid in people {
            let Ok(Some(user)) = self.edge.hub.reader().user(who.conf, &uid) else { continue };
            if user.role == UserRole::Device {
                continue;
            }
            let presence = self.edge.hub.sessions().presence(who.conf, &uid);
            let signal = Signal::Presence { user: uid, name: user.name, status: presence.status, text: presence.text };
            let mut topic = String::new();
            topic_of_signal(who.conference.as_str(), &signal, &mut topic);
            let start = bytes.len();
            write_signal(self.connection.version, &topic, &signal, &stamp, &mut bytes);
            if self.connection.delivery.borrow().is_too_large(bytes.len() - start) {
                bytes.truncate(start);
            }
        }
        self.session.push(|into| into.extend_from_slice(&bytes));
    }

    /// Tells staff about the server, now and again after [`SYS_EVERY`].
    pub(super) fn tell_sys(&mut self) {
        self.sys_at = Some(Instant::now() + SYS_EVERY);
        let version = self.connection.version;
        let mut bytes = Vec::new();
        let mut delivery = self.connection.delivery.borrow_mut();
        for (topic, value) in self.edge.hub.about() {
            if let Some(grant) = delivery.subscriptions.grant(topic, u64::MAX, false) {
                let stamp = Stamp { retain: true, identifiers: grant.identifiers, ..Stamp::default() };
                write_text(version, topic, &value, &stamp, &mut bytes);
            }
        }
        drop(delivery);
        self.session.push(|into| into.extend_from_slice(&bytes));
    }
}

impl Job {
    /// Reads the next messages.
    fn read(&mut self, reader: &Reader, who: &Who) -> Result<Vec<Message>, Reject> {
        if let What::AllConversations = self.what {
            self.what = What::Conversations(reader.readable_ids(who.conf, &who.uid)?.into());
        }
        match &mut self.what {
            What::Conversations(ids) => {
                let mut messages = Vec::new();
                for id in ids.drain(..ids.len().min(STEP)) {
                    let Ok(found) = reader.readable(who.conf, &who.uid, &id) else { continue };
                    let page = reader.page(&found, Toward::Older(u64::MAX), 1, &["message", "notice"])?;
                    messages.extend(page.events.into_iter().map(|event| Message::Event(Box::new(event))));
                }
                Ok(messages)
            }
            What::Topics(realm, filter, from) => {
                // What may be read of one realm says nothing of the others.
                let message = |found: Retained| (found.publication.realm == *realm).then(|| Message::Publication(Box::new(found)));
                let prefix = literal_prefix(filter);
                if prefix.len() == filter.len() {
                    *from = Some(Key::new());
                    let found = reader.retained(who.conf, filter)?;
                    return Ok(found.and_then(message).into_iter().collect());
                }
                let wanted = |topic: &str| matches(filter, topic);
                let page = reader.retained_below(who.conf, prefix, from.as_ref(), STEP, wanted)?;
                *from = Some(page.next.unwrap_or_default());
                Ok(page.found.into_iter().filter_map(message).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What there was no room for is read again.
    fn put_back(&mut self, unsent: Vec<Message>) {
        match &mut self.what {
            What::Conversations(ids) => {
                for message in unsent.into_iter().rev() {
                    if let Message::Event(event) = message {
                        ids.push_front(event.place.conversation.clone());
                    }
                }
            }
            What::Topics(_, filter, from) => {
                if let Some(Message::Publication(first)) = unsent.into_iter().next() {
                    // Of a named topic there is no key to go on from: the whole job is done again.
                    *from = if literal_prefix(filter).len() == filter.len() {
                        None
                    } else {
                        Some(keys::retained(self.conf, &first.publication.topic))
                    };
                }
            }
            _ => {}
        }
    }

    fn is_done(&self) -> bool {
        match &self.what {
            What::Conversations(ids) => ids.is_empty(),
            // An empty key is the end.
            What::Topics(.., from) => from.as_ref().is_some_and(Vec::is_empty),
            _ => true,
        }
    }
}

/// What of a filter stands before its first wildcard: names that it selects begin with it.
fn literal_prefix(filter: &str) -> &str {
    let end = filter.find(['+', '#']).unwrap_or(filter.len());
    // `a/#` selects `a`, too.
    if filter.get(end..) == Some("#") { filter[..end].trim_end_matches('/') } else { &filter[..end] }
}
