//! A shard: one thread with a current-thread runtime, the connections that live on it, and the loop that hands them their events.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::oneshot;

use crate::dispatch::Item;
use crate::hub::Hub;
use crate::ids::{ConfNo, Uid};
use crate::mailbox::{Mail, Mailbox};
use crate::model::{Event, Publication};
use crate::outbox::{Bounds, Flushed, Link, Stamped};
use crate::queue::Answer;
use crate::recent::Published;
use crate::registry::{Follower, Registry, Wires};
use crate::reject::Reject;
use crate::shares::Share;
use crate::topic::{Telling, Topic};

/// Writes of a walk before others get their turn.
const WALK_STEP: usize = 256;
/// Bytes of the buffer that all connections of a shard read into.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Another session of the user closed it.
    Closed,
    /// Another connection of the same client took its place.
    TakenOver,
    /// The account is gone or signed out.
    SignedOut,
    /// The server stops.
    Draining,
}

/// A JSON-RPC message for a session, and where its answer goes: the text, empty when there is none.
#[derive(Debug)]
pub struct Asked {
    /// The message.
    pub text: String,
    /// Dropped by who cannot carry it out.
    pub reply: oneshot::Sender<Result<Vec<u8>, Reject>>,
}

/// An edge's side of a session.
pub trait Peer: Link {
    /// Writes the answer to request number `tag` into the lane of answers, in the edge's form.
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>);

    /// The session must end: the edge says so in its protocol and lets go.
    fn end(&self, why: Ending);

    /// Carries out a message that came by another connection of the same user. Who takes none drops it.
    fn ask(&self, _asked: Asked) {}

    /// Another session of the same user has begun or ended; told to those of protocols that show it.
    fn companions_changed(&self, _shard: &Rc<Shard>, _slot: u32, _id: u64) {}
}

impl Link for Rc<dyn Peer> {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).try_write(bytes)
    }
    fn wake(&self) {
        (**self).wake();
    }
    fn wire(&self) -> usize {
        (**self).wire()
    }
    fn stamp(&self, published: &Published, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        (**self).stamp(published, form, into)
    }
    fn stamp_signal(&self, telling: &Telling, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        (**self).stamp_signal(telling, form, into)
    }
    fn stamp_share(&self, share: &Share, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        (**self).stamp_share(share, form, into)
    }
    fn may_read(&self, publication: &Publication) -> bool {
        (**self).may_read(publication)
    }
    fn keep_share(&self, share: Arc<Share>) -> bool {
        (**self).keep_share(share)
    }
    fn keeps_shares(&self) -> bool {
        (**self).keeps_shares()
    }
    fn stamps(&self) -> usize {
        (**self).stamps()
    }
    fn unstamp(&self, since: usize) {
        (**self).unstamp(since);
    }
    fn has_room(&self) -> bool {
        (**self).has_room()
    }
}

/// Who wants to know who follows a topic by name, and over which protocol. Called from the shards' threads, those of one shard in order.
pub trait Audience: Send + Sync {
    /// Whether the topic is to be watched now.
    fn wants(&self, topic: &Topic) -> bool;

    /// A session follows the topic; it may have been told of before.
    fn came(&self, topic: &Topic, follower: &Follower);

    /// It does not any more.
    fn went(&self, topic: &Topic, follower: &Follower);
}

/// See the module's text.
pub struct Shard {
    /// Its number.
    pub index: u16,
    /// The hub that it is part of.
    pub hub: Arc<Hub>,
    /// Its mailbox.
    pub mailbox: Arc<Mailbox>,
    registry: RefCell<Registry<Rc<dyn Peer>>>,
    read_buffer: RefCell<Vec<u8>>,
}

impl Shard {
    /// A shard without sessions.
    #[must_use]
    pub fn new(index: u16, hub: Arc<Hub>, mailbox: Arc<Mailbox>, wires: Arc<Wires>) -> Rc<Self> {
        let limits = hub.limits();
        let bounds = Bounds { events: limits.outbox_events, bytes: limits.outbox_bytes, budget: Arc::clone(hub.budget()) };
        let registry = Registry::new(wires, bounds, limits.subscriptions_per_session);
        let read_buffer = RefCell::new(vec![0; READ_BUFFER_BYTES]);
        Rc::new(Self { index, hub, mailbox, registry: RefCell::new(registry), read_buffer })
    }

    /// Uses the registry. Never across an await; nothing that it calls comes back for it.
    pub fn registry<T>(&self, using: impl FnOnce(&mut Registry<Rc<dyn Peer>>) -> T) -> T {
        let mut registry = self.registry.borrow_mut();
        let result = using(&mut registry);
        for (topic, has) in registry.take_interest() {
            self.hub.interest().set(topic, self.index, has);
        }
        let moves = registry.take_moves();
        drop(registry);
        if let Some(audience) = self.hub.audience().filter(|_| !moves.is_empty()) {
            for (topic, follower, came) in &moves {
                if *came {
                    audience.came(topic, follower)
                } else {
                    audience.went(topic, follower)
                }
                // Whoever wants it again says so by a job, which comes after this.
                if !audience.wants(topic) {
                    self.registry.borrow_mut().unwatch(topic);
                }
            }
        }
        result
    }

    /// Watches who follows a topic, or stops it, as the audience wants it now.
    pub fn watch(&self, topic: &Topic) {
        let Some(audience) = self.hub.audience() else { return };
        if !audience.wants(topic) {
            self.registry(|registry| registry.unwatch(topic));
            return;
        }
        for follower in self.registry(|registry| registry.watch(topic)) {
            audience.came(topic, &follower);
        }
    }

    /// Uses the read buffer that all connections of the shard share, between a read and the handling of what was read.
    pub fn read_buffer<T>(&self, using: impl FnOnce(&mut [u8]) -> T) -> T {
        using(&mut self.read_buffer.borrow_mut())
    }

    /// The shard's loop: mail in, events out. Ends with the runtime.
    pub async fn run(self: Rc<Self>) {
        let mut mail = Mail::default();
        loop {
            self.mailbox.take(&mut mail).await;
            for job in mail.jobs.drain(..) {
                job(&self);
            }
            self.answer(&mut mail);
            self.deliver(&mut mail.items).await;
            for (slot, id, why) in mail.endings.drain(..) {
                self.end(slot, id, why);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Hands answers to their sessions, then writes once for each session.
    fn answer(&self, mail: &mut Mail) {
        if mail.answers.is_empty() {
            return;
        }
        let mut touched: Vec<(u32, u64)> = Vec::new();
        self.registry(|registry| {
            for (ticket, answer) in mail.answers.drain(..) {
                let Some((outbox, peer)) = registry.outbox(ticket.slot, ticket.session) else { continue };
                peer.answer(ticket.tag, answer, outbox.answers());
                touched.push((ticket.slot, ticket.session));
            }
            touched.sort_unstable();
            touched.dedup();
            for (slot, id) in touched {
                let flushed = registry.flush(slot);
                if let Some(peer) = registry.link(slot, id).filter(|_| flushed != Flushed::Empty) {
                    peer.wake();
                }
            }
        });
    }

    /// Events go out in pos order; signals and revocations in their place between them.
    async fn deliver(&self, items: &mut Vec<Item>) {
        let mut batch: Vec<Arc<Published>> = Vec::new();
        for item in items.drain(..) {
            match item {
                Item::Event(published) => {
                    if self.registry(|registry| registry.moves_followers(&published.event)) {
                        self.walk(&mut batch).await;
                        self.join(&published.event);
                    }
                    batch.push(published);
                }
                Item::Telling(telling) => {
                    self.walk(&mut batch).await;
                    self.registry(|registry| registry.tell(&telling));
                }
                Item::Share(share) => {
                    self.walk(&mut batch).await;
                    self.share(&share);
                }
                Item::Revoked(conf, uid) => {
                    self.walk(&mut batch).await;
                    self.revoke(conf, &uid);
                }
            }
        }
        self.walk(&mut batch).await;
    }

    /// Gives a message to the session that was chosen for it.
    pub fn share(&self, share: &Arc<Share>) {
        if !self.registry(|registry| registry.give_share(share))
            && let Some(another) = self.hub.shares().another(share)
        {
            self.hub.give_share(another);
        }
    }

    /// Who follows everything comes into the conversation.
    fn join(&self, event: &Event) {
        let joins = self.registry(|registry| registry.join(event));
        // Read after the registration: what is dispatched later finds it.
        let until = self.hub.end(event.place.conf);
        for join in &joins {
            self.registry(|registry| registry.settle_join(join, until));
        }
    }

    async fn walk(&self, batch: &mut Vec<Arc<Published>>) {
        if batch.is_empty() {
            return;
        }
        let mut walk = self.registry(|registry| registry.begin(batch));
        batch.clear();
        while !self.registry(|registry| registry.step(&mut walk, WALK_STEP)) {
            tokio::task::yield_now().await;
        }
        let counts = self.registry(|registry| std::mem::take(&mut registry.counts));
        self.hub.metrics().deliveries.fetch_add(counts.deliveries, Relaxed);
        self.hub.metrics().lags.fetch_add(counts.lags, Relaxed);
    }

    /// Ends the sessions of an account that has signed out everywhere.
    pub fn revoke(&self, conf: ConfNo, uid: &Uid) {
        // Who has signed in again since stays.
        let now = self.hub.reader().user(conf, uid).ok().flatten().map(|user| user.version);
        for live in self.hub.sessions().of(conf, uid) {
            if live.shard == self.index && now != Some(live.version) {
                self.end(live.slot, live.id, Ending::SignedOut);
            }
        }
    }

    /// Ends all sessions.
    pub fn end_all(&self, why: Ending) {
        let all: Vec<(u32, u64)> = self.registry(|registry| registry.all().map(|(slot, id, _)| (slot, id)).collect());
        for (slot, id) in all {
            self.end(slot, id, why);
        }
    }

    /// Tells a session that others of its user have changed.
    pub fn tell_companion(self: &Rc<Self>, slot: u32, id: u64) {
        if let Some(peer) = self.registry(|registry| registry.link(slot, id).cloned()) {
            peer.companions_changed(self, slot, id);
        }
    }

    fn end(&self, slot: u32, id: u64, why: Ending) {
        let peer = self.registry(|registry| {
            registry.silence(slot, id);
            registry.link(slot, id).cloned()
        });
        if let Some(peer) = peer {
            peer.end(why);
        }
    }
}
