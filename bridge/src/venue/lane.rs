//! The way of scans to the hub, in the order in which a reader sent them. There are several lanes, so that a burst is made durable together; a
//! reader is always in the same one.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hallway_broker::badges::{Whence, take};
use hallway_broker::canonical::write_scanned;
use hallway_broker::command::Reuse;
use hallway_broker::edges::Reading;
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, ConferenceId, Uid};
use hallway_broker::model::{ScanReason, Scanned, UserRole};
use hallway_broker::reject::{Class, Reason, Reject};
use hallway_broker::session::Who;
use rumqttc::{Publish, QoS};
use tokio::sync::{mpsc, watch};

use super::outbox::Outbox;
use super::topics::Found;
use crate::backoff::Backoff;

/// How readers are whose broker is gone.
const OUT_OF_REACH: &str = "the venue's broker is out of reach";
/// Names that were warned of; others are passed over in silence.
const MAX_WARNED: usize = 256;
/// Readers that are remembered to have been heard.
const MAX_HEARD: usize = 10_000;

/// A message of a reader.
pub struct Heard {
    /// Whose.
    pub found: Found,
    /// As it came.
    pub publish: Publish,
    /// On which connection: another one's packet ids mean other messages.
    pub connection: u64,
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

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Lets the broker forget a message, unless the connection that it came on is gone: then it comes again.
    pub fn ack(&self, publish: &Publish, connection: u64) {
        if publish.qos != QoS::AtMostOnce && self.connection.get() == connection {
            self.outbox.ack(publish.pkid);
        }
    }

    /// Carries out what comes, until nothing can come any more or all is to stop.
    pub async fn run(self: Rc<Self>, mut lane: mpsc::Receiver<Heard>) {
        while let Some(heard) = lane.recv().await {
            if self.is_stopping() {
                return;
            }
            self.carry_out(heard).await;
        }
    }

    async fn carry_out(&self, Heard { found, publish, connection }: Heard) {
        let Some(who) = self.device(&found.reader) else {
            self.hub.metrics().doors.venue_strangers.fetch_add(1, Relaxed);
            return self.ack(&publish, connection);
        };
        self.note(&found.reader);
        if publish.retain && !self.is_health(&who, &publish) {
            // It was scanned when nobody knows; who held the badge there has long gone on.
            return self.ack(&publish, connection);
        }
        let packet = match publish.qos {
            QoS::AtMostOnce => Reuse::NewMessage,
            _ => Reuse::Packet { client: self.client, id: publish.pkid, dup: publish.dup },
        };
        let mut backoff = Backoff::default();
        let scanned = loop {
            match take(&self.hub, &who, &publish.payload, packet, Whence::Afar).await {
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
        if let Some(topic) = &found.result {
            scanned.iter().for_each(|scanned| self.tell(topic, scanned));
        }
        self.ack(&publish, connection);
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

    fn is_health(&self, who: &Who, publish: &Publish) -> bool {
        let settings = self.hub.reader().reader_settings(who.conf, &who.uid).ok().flatten().unwrap_or_default();
        let reading = self.hub.badge_formats().map(|formats| formats.read(&settings.format, &publish.payload));
        matches!(reading, Some(Ok(Reading::Health { .. })))
    }

    fn refusal(&self, reason: Reason) -> Scanned {
        let reason = match reason.class() {
            Class::Invalid | Class::TooLarge => ScanReason::Malformed,
            _ => ScanReason::NotAllowed,
        };
        let (at_ms, shown, name, id) = (self.hub.clock().now_ms(), Arc::default(), Arc::default(), Arc::default());
        Scanned { accepted: false, reason, shown, user: None, name, mode: Default::default(), scan: 0, at_ms, conversation: None, id }
    }

    /// A result that finds no connection is of no use later: the person has gone on.
    fn tell(&self, topic: &str, scanned: &Scanned) {
        if self.is_there.get() {
            let mut payload = Vec::new();
            write_scanned(scanned, &mut payload);
            self.outbox.tell(topic, payload);
        } else {
            self.hub.metrics().doors.venue_untold.fetch_add(1, Relaxed);
        }
    }
}

/// Whether the hub may take it later. What is refused for good is acked, or it would come again for ever.
fn is_for_now(reject: &Reject) -> bool {
    matches!(reject.reason.class(), Class::Unavailable | Class::RateLimited)
}
