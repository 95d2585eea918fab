//! The way of scans to the hub, in the order in which a reader sent them. There are several lanes, so that a burst is made durable together; a
//! reader is always in the same one.
//!
//! What waits in all of them together is bounded. 3.1.1 has no way to say so to a broker; its own bound of unacked messages keeps what waits far
//! below ours, and what has no bound (QoS 0, a broker set to none) is met at the door ([`Hearing::room_for`]).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use hallway_broker::badges::{Whence, take};
use hallway_broker::canonical::write_scanned;
use hallway_broker::command::Reuse;
use hallway_broker::edges::Reading;
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, ConferenceId, Uid};
use hallway_broker::model::{Mode, ScanReason, Scanned, UserRole};
use hallway_broker::reject::{Class, Reason, Reject};
use hallway_broker::session::Who;
use rumqttc::{Publish, QoS};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::outbox::{Outbox, Told};
use super::topics::Found;
use crate::backoff::Backoff;
use crate::badge::PAYLOAD_BYTES_MAX;

/// Messages that wait for the hub in all lanes, and their bytes.
pub const MAX_WAITING: usize = 8192;
const MAX_WAITING_BYTES: usize = 16 << 20;
/// What a waiting message costs besides its payload, in bytes.
const HEARD_BYTES: usize = 256;
/// Longest wait until the hub is asked again; it is near.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How readers are whose broker is gone.
const OUT_OF_REACH: &str = "the venue's broker is out of reach";
/// Names that were warned of; others are passed over in silence.
const MAX_WARNED: usize = 256;
/// Readers that are remembered to have been heard.
const MAX_HEARD: usize = 10_000;

/// A message of a reader.
pub struct Heard {
    /// Whose.
    found: Found,
    payload: Bytes,
    /// The packet's id and whether it comes again, of QoS 1.
    packet: Option<(u16, bool)>,
    is_retained: bool,
    /// On which connection: another one's packet ids mean other messages.
    connection: u64,
    at: Instant,
}

/// Whether a message may wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Is,
    /// It is lost, as is what its sender had not insisted on (QoS 0).
    IsNotForThis,
    /// It may not, and has to come again.
    IsNot,
}

impl Heard {
    pub fn new(found: Found, publish: &Publish, connection: u64) -> Self {
        // Of what is too long to be a scan, enough to see that; and a copy, or a few bytes would hold all that was read with them.
        let payload = Bytes::copy_from_slice(&publish.payload[..publish.payload.len().min(PAYLOAD_BYTES_MAX + 1)]);
        let packet = (publish.qos != QoS::AtMostOnce).then_some((publish.pkid, publish.dup));
        Self { found, payload, packet, is_retained: publish.retain, connection, at: Instant::now() }
    }

    pub fn reader(&self) -> &Uid {
        &self.found.reader
    }

    fn bytes(&self) -> usize {
        HEARD_BYTES + self.payload.len()
    }
}

/// What all lanes of a link share.
pub struct Hearing {
    pub hub: Arc<Hub>,
    pub conf: ConfNo,
    pub conference: ConferenceId,
    /// The packets' namespace.
    pub client: u64,
    pub outbox: Outbox,
    pub stopping: watch::Receiver<bool>,
    /// The number of the connection that there is, or will be next.
    pub connection: Cell<u64>,
    /// Whether there is one.
    pub is_there: Cell<bool>,
    /// Whether the broker had kept the session for it, so that what was not acked before comes again.
    pub is_resumed: Cell<bool>,
    /// What waits in the lanes or is being carried out: messages and bytes.
    waiting: Cell<(usize, usize)>,
    /// Nothing waits any more.
    drained: Notify,
    warned: RefCell<HashSet<String>>,
    /// Readers that were heard, and whether they were well when the connection broke.
    heard: RefCell<HashMap<Uid, bool>>,
}

impl Hearing {
    pub fn new(hub: &Arc<Hub>, of: (ConfNo, ConferenceId), client: u64, outbox: Outbox, stopping: watch::Receiver<bool>) -> Self {
        let (conf, conference) = of;
        let (warned, heard) = (RefCell::default(), RefCell::default());
        Self {
            hub: Arc::clone(hub),
            conf,
            conference,
            client,
            outbox,
            stopping,
            connection: Cell::new(0),
            is_there: Cell::new(false),
            is_resumed: Cell::new(false),
            waiting: Cell::default(),
            drained: Notify::new(),
            warned,
            heard,
        }
    }

    /// Says once what is wrong with a reader or a topic.
    pub fn warn(&self, of: &str, why: &str) {
        let mut warned = self.warned.borrow_mut();
        if warned.len() < MAX_WARNED && warned.insert(format!("{of} {why}")) {
            tracing::warn!(conference = %self.conference, of, "venue: {why}");
        }
    }

    /// The readers are not heard any more, or again.
    pub fn tell_health(&self, is_there: bool) {
        for (reader, was_well) in self.heard.borrow_mut().iter_mut() {
            if is_there && *was_well {
                self.hub.reader_says(self.conf, reader, true, "");
            }
            if !is_there {
                *was_well = self.hub.reader_health(self.conf, reader).online;
                self.hub.reader_says(self.conf, reader, false, OUT_OF_REACH);
            }
        }
    }

    /// Counts a message that is to wait, if it may. Of QoS 0 no more than half may be: it is never the reason to break a connection.
    pub fn room_for(&self, heard: &Heard) -> Room {
        let (messages, bytes) = self.waiting.get();
        let (messages, bytes) = (messages + 1, bytes + heard.bytes());
        let share = if heard.packet.is_some() { 1 } else { 2 };
        if messages <= MAX_WAITING / share && bytes <= MAX_WAITING_BYTES / share {
            self.waiting.set((messages, bytes));
            Room::Is
        } else if heard.packet.is_some() {
            Room::IsNot
        } else {
            Room::IsNotForThis
        }
    }

    fn is_done(&self, bytes: usize) {
        let (messages, all_bytes) = self.waiting.get();
        self.waiting.set((messages - 1, all_bytes - bytes));
        if messages == 1 {
            self.drained.notify_waiters();
        }
    }

    /// Waits until nothing waits.
    pub async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.waiting.get().0 == 0 {
                return;
            }
            drained.await;
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Lets the broker forget a message, unless the connection that it came on is gone: then it comes again.
    pub fn ack(&self, heard: &Heard) {
        if let Some((id, _)) = heard.packet.filter(|_| self.connection.get() == heard.connection) {
            self.outbox.ack(id);
        }
    }

    /// Carries out what comes, until nothing can come any more or all is to stop.
    pub async fn run(self: Rc<Self>, mut lane: mpsc::Receiver<Heard>) {
        while let Some(heard) = lane.recv().await {
            if self.is_stopping() {
                return;
            }
            let bytes = heard.bytes();
            self.carry_out(heard).await;
            self.is_done(bytes);
        }
    }

    async fn carry_out(&self, heard: Heard) {
        let Some(who) = self.device(&heard.found.reader) else {
            self.hub.metrics().doors.venue_strangers.fetch_add(1, Relaxed);
            return self.ack(&heard);
        };
        self.note(&heard.found.reader);
        if heard.is_retained && !self.is_health(&who, &heard.payload) {
            // It was scanned when nobody knows; who held the badge there has long gone on.
            return self.ack(&heard);
        }
        let packet = heard.packet.map_or(Reuse::NewMessage, |(id, dup)| Reuse::Packet { client: self.client, id, dup });
        let mut backoff = Backoff::up_to(LONGEST_WAIT);
        let scanned = loop {
            match take(&self.hub, &who, &heard.payload, packet, Whence::Afar).await {
                Ok(scanned) => break scanned,
                Err(reject) if is_for_now(&reject) => {
                    self.warn(who.uid.as_str(), reject.reason.text());
                    if !self.wait(backoff.next()).await {
                        return;
                    }
                }
                Err(reject) => break vec![self.refusal(reject.reason)],
            }
        };
        if !self.is_there.get() {
            // It came before the break, and says nothing of now.
            self.hub.reader_says(self.conf, &who.uid, false, OUT_OF_REACH);
        }
        if let Some(topic) = &heard.found.result {
            // What is not acked is kept by the broker, and no more comes than that it keeps.
            if heard.packet.is_some() && !scanned.is_empty() {
                self.outbox.room().await;
            }
            scanned.iter().for_each(|scanned| self.tell(topic, scanned, &heard));
        }
        self.ack(&heard);
    }

    /// Whether it goes on after this time.
    async fn wait(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            _ = stopping.wait_for(|stopping| *stopping) => false,
        }
    }

    /// The device of this name, as if it had signed in.
    fn device(&self, uid: &Uid) -> Option<Who> {
        match self.hub.reader().user(self.conf, uid) {
            Ok(Some(user)) if user.role == UserRole::Device => {
                let (conference, name) = (self.conference.clone(), Arc::clone(&user.name));
                let (version, expires_ms) = (user.version, u64::MAX);
                return Some(Who { conf: self.conf, conference, uid: uid.clone(), name, version, expires_ms, token: None });
            }
            Ok(Some(_)) => self.warn(uid.as_str(), "is no device, so nothing is taken from it: hallway user add --role device"),
            Ok(None) => self.warn(uid.as_str(), "has no account: hallway user add --role device"),
            Err(error) => tracing::error!(%error, "venue: a device could not be looked up"),
        }
        None
    }

    fn note(&self, reader: &Uid) {
        let mut heard = self.heard.borrow_mut();
        if heard.len() < MAX_HEARD && !heard.contains_key(reader) {
            heard.insert(reader.clone(), true);
        }
    }

    fn is_health(&self, who: &Who, payload: &[u8]) -> bool {
        let settings = self.hub.reader().reader_settings(who.conf, &who.uid).ok().flatten().unwrap_or_default();
        let reading = self.hub.badge_formats().map(|formats| formats.read(&settings.format, payload));
        matches!(reading, Some(Ok(Reading::Health { .. })))
    }

    fn refusal(&self, reason: Reason) -> Scanned {
        let reason = match reason.class() {
            Class::Invalid | Class::TooLarge => ScanReason::Malformed,
            _ => ScanReason::NotAllowed,
        };
        Scanned::refused(reason, Mode::default(), &Arc::default(), self.hub.clock().now_ms())
    }

    /// A result that finds no connection is of no use later: the person has gone on. And each is told once: not now, when its scan comes again; not
    /// once more, when it came again and so does the result.
    fn tell(&self, topic: &str, scanned: &Scanned, heard: &Heard) {
        if !self.is_there.get() {
            self.hub.metrics().doors.venue_untold.fetch_add(1, Relaxed);
            return;
        }
        let is_of_before = heard.packet.is_some() && heard.connection != self.connection.get();
        if is_of_before && self.is_resumed.get() {
            return;
        }
        let is_repetition = heard.packet.is_some_and(|(_, dup)| dup);
        if is_repetition && self.outbox.is_told_again(scanned.scan) {
            return;
        }
        let mut payload = Vec::new();
        write_scanned(scanned, &mut payload);
        self.outbox.tell(Told { topic: topic.to_owned(), payload, scan: scanned.scan, of: heard.at, is_kept: heard.packet.is_some() });
    }
}

/// Whether the hub may take it later. What is refused for good is acked, or it would come again for ever.
fn is_for_now(reject: &Reject) -> bool {
    matches!(reject.reason.class(), Class::Unavailable | Class::RateLimited)
}
