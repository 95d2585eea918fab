//! A connection as its shard and its task share it: the shard writes messages to it and brings the hub's answers, the task does all else.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::codec::{AckKind, Code, Qos, Version, write_ack, write_pingresp};
use super::delivery::Delivery;
use super::refusal;
use super::wire::wire_of;
use crate::allowances::TopicRights;
use crate::badges::Held;
use crate::bell::Bell;
use crate::clock::Clock;
use crate::ids::ConversationId;
use crate::model::{Body, Event, Publication, Realm, UserRole};
use crate::outbox::{Link, Stamped};
use crate::queue::Answer;
use crate::recent::Published;
use crate::reject::{Reason, Reject};
use crate::sending::Sending;
use crate::shard::{Ending, Peer};
use crate::shares::Share;
use crate::topic::Telling;
use crate::transport::Transport;

/// Refusals that wait to be reported; more are not.
const MAX_REPORTS: usize = 64;
/// Messages that wait as shares of a group, and their bytes: more go to others of it.
const MAX_SHARES: usize = 64;
const MAX_SHARES_BYTES: usize = 262_144;
/// Capacity that an empty line of acknowledgements may keep.
const IDLE_CAPACITY: usize = 16;

/// What the user was when they signed in: another role ends the session.
pub(super) struct Person {
    pub role: UserRole,
    /// What they may do with applications' topics, if there are rules.
    pub rights: Option<Arc<TopicRights>>,
}

impl Person {
    /// Whether they may read what was published.
    pub fn may_read(&self, publication: &Publication) -> bool {
        publication.realm != Realm::Apps || self.rights.as_ref().is_none_or(|rights| rights.may_read(&publication.topic))
    }

    /// The same of an event; a conversation's are not judged here.
    pub fn may_read_event(&self, event: &Event) -> bool {
        match &event.entry.body {
            Body::Publication(publication) | Body::Stored(publication) => self.may_read(publication),
            _ => true,
        }
    }
}

/// See the module's text.
pub(super) struct Connection {
    pub transport: Transport,
    pub version: Version,
    pub person: Person,
    /// The client wants reason strings.
    pub wants_reasons: bool,
    pub delivery: RefCell<Delivery>,
    pub acks: RefCell<Acks>,
    pub sending: Sending,
    /// Something was refused that may succeed later, and the protocol cannot say so.
    pub must_retry: Cell<bool>,
    /// Something was written since it was last asked.
    pub touched: Cell<bool>,
    /// Refusals that the client could not be told otherwise: topic and why.
    pub reports: RefCell<Vec<(Arc<str>, &'static str)>>,
    /// Messages that it was given as one of a group, and has no room for.
    pub shares: RefCell<VecDeque<Arc<Share>>>,
    /// Those that wait are given now.
    pub gives_shares: Cell<bool>,
    pub bell: Bell,
    clock: Arc<dyn Clock>,
}

impl Connection {
    pub fn new(
        transport: Transport,
        version: Version,
        person: Person,
        wants_reasons: bool,
        delivery: Delivery,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            transport,
            version,
            person,
            wants_reasons,
            delivery: RefCell::new(delivery),
            acks: RefCell::default(),
            sending: Sending::default(),
            must_retry: Cell::new(false),
            touched: Cell::new(false),
            reports: RefCell::default(),
            shares: RefCell::default(),
            gives_shares: Cell::new(false),
            bell: Bell::default(),
            clock,
        }
    }

    /// Settles an acknowledgement and appends those that are due, in the order in which their messages came.
    pub fn settle(&self, tag: u32, answer: Result<(), Reject>, into: &mut Vec<u8>) {
        if let Err(reject) = &answer {
            self.sending.forget();
            self.refused(tag, reject.reason);
        }
        if self.must_retry.get() {
            // No ack, so that the client sends it again; nothing later is acknowledged before it.
            return self.bell.ring();
        }
        let mut acks = self.acks.borrow_mut();
        acks.settle(tag, answer.err().map(|reject| reject.reason));
        acks.write(self.version, self.wants_reasons, into);
        self.bell.answered();
        if !self.reports.borrow().is_empty() {
            self.bell.ring();
        }
    }

    /// What cannot be said in an acknowledgement is reported, or ends the connection.
    fn refused(&self, tag: u32, reason: Reason) {
        let acks = self.acks.borrow();
        let Some(slot) = acks.get(tag) else { return };
        if let About::Scan(_, held) = &slot.about {
            held.forget();
        }
        if self.version == Version::V5 && slot.qos != Qos::AtMostOnce {
            return;
        }
        if refusal::is_for_now(reason) {
            if slot.qos != Qos::AtMostOnce {
                self.must_retry.set(true);
            }
            return;
        }
        let mut reports = self.reports.borrow_mut();
        if reports.len() < MAX_REPORTS {
            reports.push((slot.about.topic(), reason.word()));
        }
    }
}

impl Link for Connection {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.touched.set(true);
        let taken = self.transport.try_write(bytes);
        if self.transport.has_pending() {
            // What the transport keeps is all taken for the outbox: only the task can write it when the socket takes more.
            self.bell.ring();
        }
        taken
    }
    fn wake(&self) {
        self.bell.ring();
    }
    fn wire(&self) -> usize {
        wire_of(self.version)
    }
    fn stamp(&self, published: &Published, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        self.delivery.borrow_mut().stamp(published, form, || self.clock.now_ms(), into)
    }
    fn stamp_signal(&self, telling: &Telling, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        self.delivery.borrow_mut().stamp_signal(telling, form, into)
    }
    fn stamp_share(&self, share: &Share, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        self.delivery.borrow_mut().stamp_share(share, form, self.clock.now_ms(), into)
    }
    fn may_read(&self, publication: &Publication) -> bool {
        self.person.may_read(publication)
    }
    fn keep_share(&self, share: Arc<Share>) -> bool {
        let mut shares = self.shares.borrow_mut();
        let bytes: usize = shares.iter().chain([&share]).filter_map(|share| Some(share.message.publication()?.bytes())).sum();
        let fits = shares.len() < MAX_SHARES && bytes <= MAX_SHARES_BYTES;
        if fits {
            shares.push_back(share);
            if !self.gives_shares.get() {
                self.bell.ring();
            }
        }
        fits
    }
    fn keeps_shares(&self) -> bool {
        !self.gives_shares.get() && !self.shares.borrow().is_empty()
    }
    fn stamps(&self) -> usize {
        self.delivery.borrow_mut().stamps()
    }
    fn unstamp(&self, since: usize) {
        self.delivery.borrow_mut().unstamp(since);
    }
    fn has_room(&self) -> bool {
        self.delivery.borrow().has_room()
    }
}

impl Peer for Connection {
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        self.settle(tag, answer.map(drop), into);
    }
    fn end(&self, why: Ending) {
        self.bell.end(why);
    }
}

/// What a message that the client sent was about, for a report.
pub(super) enum About {
    /// A conversation: its topic's name is made when it is needed.
    Conversation(Arc<str>, ConversationId),
    /// An application's topic.
    Publication(Arc<Publication>),
    /// A badge reader's topic.
    Scan(Arc<str>, Held),
    /// Another topic.
    Topic(Arc<str>),
    /// No message, but a ping.
    Ping,
}

impl About {
    fn topic(&self) -> Arc<str> {
        match self {
            Self::Conversation(conference, id) => format!("conf/{conference}/chat/{id}").into(),
            Self::Publication(publication) => Arc::clone(&publication.topic),
            Self::Scan(topic, _) | Self::Topic(topic) => Arc::clone(topic),
            Self::Ping => Arc::default(),
        }
    }
}

/// A message of the client that is to be acknowledged.
pub(super) struct Slot {
    pub packet_id: u16,
    pub qos: Qos,
    pub about: About,
    /// What came of it; `None` while that is not known.
    done: Option<Option<Reason>>,
}

/// The messages that the client sent and that are not acknowledged, in the order in which they came [MQTT-4.6.0-2, -3].
#[derive(Default)]
pub(super) struct Acks {
    first: u32,
    slots: VecDeque<Slot>,
    /// QoS 2 messages that are taken and not released.
    pub unreleased: Vec<u16>,
}

impl Acks {
    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Messages of QoS 1 and 2 that are under way (MQTT 5 §4.9).
    pub fn under_way(&self) -> usize {
        self.slots.iter().filter(|slot| slot.qos != Qos::AtMostOnce).count() + self.unreleased.len()
    }

    /// Whether a QoS 2 message of this id waits.
    pub fn waits_for(&self, packet_id: u16) -> bool {
        self.slots.iter().any(|slot| slot.qos == Qos::ExactlyOnce && slot.packet_id == packet_id)
    }

    /// Adds a message; its tag.
    pub fn push(&mut self, packet_id: u16, qos: Qos, about: About) -> u32 {
        self.slots.push_back(Slot { packet_id, qos, about, done: None });
        self.first.wrapping_add(u32::try_from(self.slots.len() - 1).unwrap_or(0))
    }

    fn get(&self, tag: u32) -> Option<&Slot> {
        self.slots.get(tag.wrapping_sub(self.first) as usize)
    }

    fn settle(&mut self, tag: u32, refused: Option<Reason>) {
        if let Some(slot) = self.slots.get_mut(tag.wrapping_sub(self.first) as usize) {
            slot.done = Some(refused);
        }
    }

    fn write(&mut self, version: Version, wants_reasons: bool, into: &mut Vec<u8>) {
        while let Some(refused) = self.slots.front().and_then(|slot| slot.done) {
            let Some(slot) = self.slots.pop_front() else { return };
            self.first = self.first.wrapping_add(1);
            // To a 3.1.1 client a message that was refused for good is acknowledged.
            let refused = refused.filter(|_| version == Version::V5);
            let (code, reason) = refused.map_or((Code::SUCCESS, None), |reason| (refusal::of_publish(reason), Some(reason.word())));
            let reason = reason.filter(|_| wants_reasons);
            match slot.qos {
                Qos::AtMostOnce if matches!(slot.about, About::Ping) => write_pingresp(into),
                Qos::AtMostOnce => {}
                Qos::AtLeastOnce => write_ack(version, AckKind::PubAck, slot.packet_id, code, reason, into),
                Qos::ExactlyOnce => {
                    if !code.is_failure() {
                        self.unreleased.push(slot.packet_id);
                    }
                    write_ack(version, AckKind::PubRec, slot.packet_id, code, reason, into);
                }
            }
        }
        if self.slots.is_empty() && self.slots.capacity() > IDLE_CAPACITY {
            self.slots = VecDeque::new();
        }
    }
}
