//! Who is here, as the Socket.IO clients of one conference on one shard are told: `users` with everybody's display names when it changes, and
//! `disconnected` with the names of those who went; at most once a second, the latest only. One for all of them: it hears who comes and goes
//! as a reader of the hub's presence signals, and looks who is there when somebody did.
//!
//! In a crowd too large to be shown, a client is told of so many when it comes, and of nothing after that.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::{UserRole, Via};
use hallway_broker::outbox::{Link, Stamped};
use hallway_broker::queue::Answer;
use hallway_broker::session::{Session, blocking};
use hallway_broker::shard::{Ending, Peer, Shard};
use hallway_broker::topic::{How, Parts, Telling, Topic};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::edge;
use super::packet::event;
use super::shapes::write;
use super::wire::SOCKETIO_WIRE;

/// People who are named; with more there are no changes told.
pub(crate) const SHOWN: usize = 300;
/// How often it is told who is here, at most.
const EVERY: Duration = Duration::from_secs(1);

/// See the module's text.
pub(crate) struct Crowd {
    conf: ConfNo,
    /// Its own place among the shard's readers.
    slot: Cell<u32>,
    /// The clients here: slot and session.
    members: RefCell<Vec<(u32, u64)>>,
    /// Those of them that were not told yet.
    fresh: RefCell<Vec<(u32, u64)>>,
    ended: Cell<bool>,
    changed: Notify,
}

/// Hears presence for a crowd.
struct Ear(Rc<Crowd>);

impl Link for Ear {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn wake(&self) {}
    fn wire(&self) -> usize {
        SOCKETIO_WIRE
    }
    fn stamp_signal(&self, _: &Telling, _: &[u8], _: &mut Vec<u8>) -> Stamped {
        self.0.changed.notify_one();
        Stamped::Unwanted
    }
}

impl Peer for Ear {
    fn answer(&self, _: u32, _: Answer, _: &mut Vec<u8>) {}
    fn end(&self, _: Ending) {
        self.0.ended.set(true);
        self.0.changed.notify_one();
    }
}

impl Crowd {
    /// A session comes in. It goes by ending: who is gone is found out when it is told something.
    pub fn join(session: &Session) {
        let (shard, conf) = (&session.shard, session.who.conf);
        let crowd = edge::crowd(conf, || Self::begin(shard, conf));
        let member = (session.slot, session.id);
        crowd.members.borrow_mut().push(member);
        crowd.fresh.borrow_mut().push(member);
        crowd.changed.notify_one();
    }

    fn begin(shard: &Rc<Shard>, conf: ConfNo) -> Rc<Self> {
        let id = shard.hub.next_session_id();
        let crowd = Rc::new(Self {
            conf,
            slot: Cell::new(0),
            members: RefCell::default(),
            fresh: RefCell::default(),
            ended: Cell::new(false),
            changed: Notify::new(),
        });
        let ear: Rc<dyn Peer> = Rc::new(Ear(Rc::clone(&crowd)));
        let how = How { echo: true, parts: Parts::ALL, acked: false, stamped: true };
        crowd.slot.set(shard.registry(|registry| {
            let slot = registry.add(id, conf, Uid::system(), Via::System, ear);
            registry.register(slot, &Topic::Presences(conf), None, how);
            slot
        }));
        tokio::task::spawn_local(Rc::clone(&crowd).run(Rc::clone(shard)));
        crowd
    }

    /// Until nobody is left.
    async fn run(self: Rc<Self>, shard: Rc<Shard>) {
        let mut shown: BTreeMap<Uid, Arc<str>> = BTreeMap::new();
        loop {
            self.changed.notified().await;
            let next = Instant::now() + EVERY;
            self.forget_gone(&shard);
            if self.ended.get() || self.members.borrow().is_empty() {
                break;
            }
            match self.look(&shard).await {
                Some(now) => {
                    self.tell(&shard, &shown, &now);
                    shown = now;
                }
                None => tracing::warn!("who is here could not be read"),
            }
            sleep_until(next).await;
        }
        edge::forget_crowd(self.conf);
        shard.registry(|registry| registry.remove(self.slot.get()));
    }

    fn forget_gone(&self, shard: &Shard) {
        let here = |registry: &mut hallway_broker::registry::Registry<Rc<dyn Peer>>, member: &(u32, u64)| {
            registry.link(member.0, member.1).is_some()
        };
        shard.registry(|registry| {
            self.members.borrow_mut().retain(|member| here(registry, member));
            self.fresh.borrow_mut().retain(|member| here(registry, member));
        });
    }

    /// The first so many who are here, and one more if there are.
    async fn look(&self, shard: &Shard) -> Option<BTreeMap<Uid, Arc<str>>> {
        let present = shard.hub.sessions().present(self.conf, SHOWN + 1);
        let (reader, conf) = (shard.hub.reader().clone(), self.conf);
        let read = blocking(move || {
            let mut names = BTreeMap::new();
            for uid in present {
                if let Some(user) = reader.user(conf, &uid)?.filter(|user| user.role != UserRole::Device) {
                    names.insert(uid, Arc::clone(&user.name));
                }
            }
            Ok(names)
        });
        read.await.ok()
    }

    fn tell(&self, shard: &Shard, before: &BTreeMap<Uid, Arc<str>>, now: &BTreeMap<Uid, Arc<str>>) {
        let fresh = self.fresh.take();
        let users = frame("users", now.values().take(SHOWN));
        let is_large = before.len() > SHOWN || now.len() > SHOWN;
        if is_large || before == now {
            return send(shard, &fresh, &users);
        }
        let gone: Vec<&Arc<str>> = before.iter().filter(|(uid, _)| !now.contains_key(*uid)).map(|(_, name)| name).collect();
        let members = self.members.borrow();
        send(shard, &members, &users);
        if !gone.is_empty() {
            let told: Vec<(u32, u64)> = members.iter().filter(|member| !fresh.contains(member)).copied().collect();
            send(shard, &told, &frame("disconnected", gone.into_iter()));
        }
    }
}

fn frame<'a>(name: &str, names: impl Iterator<Item = &'a Arc<str>>) -> Bytes {
    let mut frame = Vec::new();
    event(name, &mut frame, |out| write(&names.collect::<Vec<_>>(), out));
    frame.into()
}

/// Gives sessions of a shard the same frame; whose lane is full is not given it.
pub(crate) fn send(shard: &Shard, members: &[(u32, u64)], frame: &Bytes) {
    shard.registry(|registry| {
        for (slot, id) in members {
            registry.signal(*slot, *id, frame);
        }
    });
}
