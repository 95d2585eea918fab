//! The sessions' side, step by step as `session.rs` does it: opening, subscribing (register, read, settle), refilling, flushing; and the
//! clients that come and go.

use std::collections::BTreeMap;

use hallway_broker::ids::{ConfNo, ConvNo, ConversationId};
use hallway_broker::model::{Kind, Via};
use hallway_broker::outbox::Flushed;
use hallway_broker::reader::{Page, Toward};
use hallway_broker::reject::Reject;
use hallway_broker::topic::{How, Source, Topic};

use crate::client::{Conn, Refilling, Reply, Step, Subscribing};
use crate::link::{Frame, SimLink, seen};
use crate::node::OUTBOX_EVENTS;
use crate::world::World;

impl World {
    /// A device without a connection makes one.
    pub fn connect_somebody(&mut self) {
        let start = self.rng.below(self.devices.len());
        let count = self.devices.len();
        let device = (0..count).map(|at| (start + at) % count).find(|at| self.devices[*at].conn.is_none());
        if let Some(device) = device {
            self.connect(device);
        }
    }

    /// Opens a session: its inbox is live from now on.
    pub fn connect(&mut self, device: usize) {
        let (conf, uid) = (ConfNo(self.devices[device].conf), self.devices[device].uid.clone());
        if !matches!(self.node.reader.user(conf, &uid), Ok(Some(_))) || self.node.reader.conference_head(conf).is_err() {
            return;
        }
        let (id, shard) = (self.node.next_session, self.rng.below(self.node.shards.len()));
        self.node.next_session += 1;
        let link = SimLink::default();
        link.0.wire.set(self.rng.below(2));
        let mine = link.clone();
        let slot = self.node.registry(shard, |registry| registry.add(id, conf, uid.clone(), Via::Ws, mine));
        let topic = Topic::Inbox(conf, uid.clone());
        let source = Source { id: ConversationId::inbox(&uid), kind: Kind::Inbox };
        self.node.registry(shard, |registry| registry.register(slot, &topic, Some(source), How::plain(true)));
        let now = self.node.end(conf.0);
        self.node.registry(shard, |registry| registry.settle(slot, &topic, now, now));
        self.note(|| format!("device {device} ({uid} of {}) connects: session {id}, shard {shard}, slot {slot}", conf.0));
        self.devices[device].conn = Some(Conn {
            shard,
            slot,
            id,
            link,
            subscribing: None,
            refilling: None,
            blocked: false,
            stalled_until: 0,
            follows: BTreeMap::new(),
            inbox_last: None,
            all: None,
        });
        if self.devices[device].all {
            self.follow_everything(device);
        }
    }

    /// A connection ends.
    pub fn disconnect_somebody(&mut self) {
        if let Some(device) = self.any_connected() {
            self.disconnect(device);
        }
    }

    /// The server lets go of a session.
    pub fn disconnect(&mut self, device: usize) {
        self.drain_device(device);
        let Some(conn) = &self.devices[device].conn else { return };
        let (shard, slot, id) = (conn.shard, conn.slot, conn.id);
        self.note(|| format!("device {device} disconnects: session {id}"));
        self.node.registry(shard, |registry| registry.remove(slot));
        self.forget_connection(device);
    }

    /// The client knows nothing more of its connection; what was not answered it will ask again.
    pub fn forget_connection(&mut self, device: usize) {
        self.devices[device].conn = None;
        for op in self.ops.iter_mut().filter(|op| op.device == device && op.waiting.is_some()) {
            op.waiting = None;
            op.done |= !op.retry;
        }
    }

    /// A session's task runs on.
    pub fn step_session(&mut self) {
        if let Some(device) = self.any_connected() {
            self.run_session(device);
        }
    }

    /// One step of one session's task; whether there was anything to do.
    pub fn run_session(&mut self, device: usize) -> bool {
        let Some(conn) = &self.devices[device].conn else { return false };
        let (subscribes, refills) = (conn.subscribing.is_some(), conn.refilling.is_some());
        match self.rng.below(3) {
            0 if subscribes => self.subscribe_on(device),
            1 if refills => self.refill_on(device),
            _ if conn.link.0.woken.get() => self.woken(device),
            _ if refills => self.refill_on(device),
            _ if subscribes => self.subscribe_on(device),
            _ => return self.follow_everything_on(device),
        }
        true
    }

    /// The task's loop: writes what waits; when nothing does, refills.
    fn woken(&mut self, device: usize) {
        let Some(conn) = &mut self.devices[device].conn else { return };
        conn.link.0.woken.set(false);
        let (shard, slot, refills) = (conn.shard, conn.slot, conn.refilling.is_some());
        let flushed = self.node.registry(shard, |registry| registry.flush(slot));
        let Some(conn) = &mut self.devices[device].conn else { return };
        conn.blocked = flushed == Flushed::Blocked;
        if flushed != Flushed::Empty || refills {
            return;
        }
        let refill = self.node.registry(shard, |registry| registry.wants_refill(slot));
        if let (Some(conn), Some(refill)) = (&mut self.devices[device].conn, refill) {
            conn.refilling = Some(Refilling::Wanted(refill));
        }
    }

    fn refill_on(&mut self, device: usize) {
        let Some(conn) = &mut self.devices[device].conn else { return };
        let (shard, slot, id) = (conn.shard, conn.slot, conn.id);
        match conn.refilling.take() {
            Some(Refilling::Wanted(refill)) => {
                self.arm_read_fault();
                let missed = self.node.reader.missed(&refill, OUTBOX_EVENTS);
                self.node.state.fail_read(-1);
                match missed {
                    Ok((events, through)) => {
                        self.note(|| {
                            let posed: Vec<_> = events.iter().map(|p| (p.event.place.conv.0, p.event.place.seq, p.pos())).collect();
                            format!("session {id} has missed, after {}: {posed:?}, through {through}", refill.after)
                        });
                        for published in &events {
                            self.check_read_back(&published.event, false);
                        }
                        self.stats.lags += 1;
                        if let Some(conn) = &mut self.devices[device].conn {
                            conn.refilling = Some(Refilling::Read(events, through));
                        }
                    }
                    Err(_) => {
                        self.note(|| format!("session {id} cannot be refilled yet"));
                        self.node.registry(shard, |registry| registry.refill_failed(slot, id));
                        // The edge tries again after a while.
                        self.wake(device);
                    }
                }
            }
            Some(Refilling::Read(events, through)) => {
                self.note(|| format!("session {id} is refilled"));
                self.node.registry(shard, |registry| registry.refill(slot, id, &events, through));
                // The task's loop goes on while there was something to refill.
                self.wake(device);
            }
            None => {}
        }
    }

    fn wake(&mut self, device: usize) {
        if let Some(conn) = &self.devices[device].conn {
            conn.link.0.woken.set(true);
        }
    }

    /// The client does something: asks, subscribes, unsubscribes, reads its inbox.
    pub fn step_client(&mut self) {
        let Some(device) = self.any_connected() else { return };
        match self.rng.below(10) {
            0..6 => {
                self.ask(device);
            }
            6..9 if self.devices[device].all => {}
            6..8 => {
                let (conf, uid) = (self.devices[device].conf, self.devices[device].uid.clone());
                let id = self.some_conversation(conf, &uid);
                self.subscribe(device, &id);
            }
            8 => self.unsubscribe(device),
            _ => self.ask_inbox(device),
        }
    }

    /// Begins a subscription: first register, then read.
    pub fn subscribe(&mut self, device: usize, id: &ConversationId) -> bool {
        let (conf, uid) = (ConfNo(self.devices[device].conf), self.devices[device].uid.clone());
        let live = self.rng.chance(100);
        let from_start = self.rng.chance(600);
        let echo = self.rng.chance(900);
        let Ok(found) = self.node.reader.readable(conf, &uid, id) else { return false };
        let conv = found.record.no.0;
        let read = self.devices[device].read.get(&conv).copied();
        let Some(conn) = &mut self.devices[device].conn else { return false };
        if conn.subscribing.is_some() || conn.follows.get(&conv).is_some_and(|follow| follow.on) {
            return false;
        }
        let after = match read {
            Some(_) if live && !self.calm => None,
            Some(read) => Some(read),
            None => from_start.then_some(0),
        };
        let (shard, slot, session) = (conn.shard, conn.slot, conn.id);
        let checked = self.node.end(conf.0);
        let source = Source { id: id.clone(), kind: found.record.kind };
        let topic = Topic::Chat(conf, ConvNo(conv));
        assert!(self.node.registry(shard, |registry| registry.register(slot, &topic, Some(source), How::plain(echo))));
        self.note(|| format!("session {session} registers for {id} ({conv}) after {after:?}"));
        if let Some(conn) = &mut self.devices[device].conn {
            conn.subscribing = Some(Subscribing { id: id.clone(), conv, after, echo, step: Step::Registered, checked });
        }
        true
    }

    fn subscribe_on(&mut self, device: usize) {
        let Some(mut its) = self.devices[device].conn.as_mut().and_then(|conn| conn.subscribing.take()) else { return };
        self.arm_read_fault();
        let next = self.subscribe_step(device, &mut its);
        self.node.state.fail_read(-1);
        let Some(conn) = &mut self.devices[device].conn else { return };
        let (shard, slot, session) = (conn.shard, conn.slot, conn.id);
        match next {
            Ok(true) => conn.subscribing = Some(its),
            Ok(false) => {}
            Err(reject) => {
                self.note(|| format!("session {session} may not follow {}: {reject}", its.conv));
                let topic = Topic::Chat(ConfNo(self.devices[device].conf), ConvNo(its.conv));
                self.node.registry(shard, |registry| registry.unsubscribe(slot, &topic));
                self.reply(device, Reply::Refused(its.conv));
            }
        }
    }

    /// One read of the subscription; `Ok(true)` when there is more to do.
    fn subscribe_step(&mut self, device: usize, its: &mut Subscribing) -> Result<bool, Reject> {
        let (conf, uid) = (ConfNo(self.devices[device].conf), self.devices[device].uid.clone());
        let reader = self.node.reader.clone();
        let order = crate::SUBSCRIBE_CHECKS_LAST;
        let step = std::mem::replace(&mut its.step, Step::Registered);
        let found =
            |world: &Self| world.node.reader.conversation(conf, &its.id).map(|found| found.expect("a conversation that was found before"));
        its.step = match step {
            Step::Registered => {
                if !order {
                    its.checked = self.checked_end(conf);
                    reader.readable(conf, &uid, &its.id)?;
                }
                Step::Checked
            }
            Step::Checked => Step::Ended { end: reader.conference_head(conf)?.pos },
            Step::Ended { end } => Step::Headed { end, head: reader.head(&found(self)?)? },
            Step::Headed { end, head } => {
                let page = match its.after {
                    Some(after) => reader.page(&found(self)?, Toward::Newer(after), self.plan.page, &[])?,
                    None => Page { events: Vec::new(), complete: true },
                };
                self.node.state.fail_read(-1);
                for event in &page.events {
                    self.check_read_back(event, true);
                }
                Step::Paged { end, head, page }
            }
            Step::Paged { end, head, page } => {
                if order {
                    its.checked = self.checked_end(conf);
                    reader.readable(conf, &uid, &its.id)?;
                }
                self.settle(device, its, end, head, page);
                return Ok(false);
            }
        };
        Ok(true)
    }

    fn checked_end(&self, conf: ConfNo) -> u64 {
        self.node.reader.conference_head(conf).map_or(0, |head| head.pos)
    }

    /// `Session::subscribe` from where everything is read.
    fn settle(&mut self, device: usize, its: &Subscribing, end: u64, head: hallway_broker::model::Head, page: Page) {
        let covered = match (its.after, page.complete, page.events.last()) {
            (Some(_), false, Some(last)) => last.entry.pos,
            (Some(_), true, Some(last)) => last.entry.pos.max(end),
            (None, ..) => head.pos.max(end),
            _ => end,
        };
        let until = if page.complete { covered } else { head.pos.max(end) };
        let Some(conn) = &self.devices[device].conn else { return };
        let (shard, slot, session) = (conn.shard, conn.slot, conn.id);
        let topic = Topic::Chat(ConfNo(self.devices[device].conf), ConvNo(its.conv));
        let settled = self.node.registry(shard, |registry| registry.settle(slot, &topic, covered, until));
        self.note(|| {
            let seqs: Vec<u64> = page.events.iter().map(|event| event.place.seq).collect();
            format!("session {session} settles on {} at {covered} until {until}: {settled}, {seqs:?}, head {}", its.conv, head.seq)
        });
        if !settled {
            return self.reply(device, Reply::Refused(its.conv));
        }
        let events = page.events.iter().map(seen).collect();
        let Subscribing { conv, after, echo, .. } = *its;
        let checked = until;
        self.reply(device, Reply::Subscribed { conv, after, echo, checked, head: head.seq, events, complete: page.complete });
    }

    /// An answer of the edge itself.
    fn reply(&mut self, device: usize, reply: Reply) {
        let tag = self.next_tag;
        self.next_tag += 1;
        let Some(conn) = &self.devices[device].conn else { return };
        let (shard, slot, id) = (conn.shard, conn.slot, conn.id);
        self.replies.insert(tag, reply);
        self.node.registry(shard, |registry| {
            if let Some((outbox, _)) = registry.outbox(slot, id) {
                outbox.answers().extend(Frame::Answer(tag).encode(0));
            }
            registry.flush(slot);
        });
        // The edge looks itself at what its flush left.
        self.wake(device);
    }

    fn unsubscribe(&mut self, device: usize) {
        let Some(conn) = &self.devices[device].conn else { return };
        let followed: Vec<u32> = conn.follows.iter().filter(|(_, follow)| follow.on).map(|(conv, _)| *conv).collect();
        let (shard, slot, id) = (conn.shard, conn.slot, conn.id);
        let Some(conv) = self.rng.pick(&followed).copied() else { return };
        let topic = Topic::Chat(ConfNo(self.devices[device].conf), ConvNo(conv));
        self.note(|| format!("session {id} unsubscribes from {conv}"));
        self.node.registry(shard, |registry| registry.unsubscribe(slot, &topic));
        self.reply(device, Reply::Unsubscribed(conv));
    }

    /// Reads what the inbox has above what is read without a gap.
    pub fn ask_inbox(&mut self, device: usize) {
        let (conf, uid) = (ConfNo(self.devices[device].conf), self.devices[device].uid.clone());
        let Ok(found) = self.node.reader.readable(conf, &uid, &ConversationId::inbox(&uid)) else { return };
        let after = self.devices[device].inbox_read();
        let Ok(page) = self.node.reader.page(&found, Toward::Newer(after), 500, &[]) else { return };
        for event in &page.events {
            self.check_read_back(event, true);
        }
        self.reply(device, Reply::Inbox(page.events.iter().map(seen).collect()));
    }

    /// What has come to a client is decoded, and checked.
    pub fn drain_device(&mut self, device: usize) {
        let Some(conn) = &self.devices[device].conn else { return };
        if conn.link.0.arrived.borrow().is_empty() {
            return;
        }
        let frames = Frame::decode_all(&mut conn.link.0.arrived.borrow_mut());
        for frame in frames {
            match frame {
                Frame::Signal(_) => {}
                Frame::Event(seen) => {
                    self.check_seen(device, &seen);
                    self.devices[device].event(&seen, &self.truth);
                    self.stats.seen += 1;
                }
                Frame::Answer(tag) => match self.replies.remove(&tag) {
                    Some(Reply::Command(op, answer)) => self.answered(op, answer),
                    Some(Reply::Inbox(events)) => self.devices[device].inbox_page(&events),
                    Some(Reply::Unsubscribed(conv)) => {
                        let follow = self.devices[device].conn.as_mut().and_then(|conn| conn.follows.get_mut(&conv));
                        follow.into_iter().for_each(|follow| follow.on = false);
                    }
                    // A subscription that could not be renewed is gone.
                    Some(Reply::Refused(conv)) => {
                        let follow = self.devices[device].conn.as_mut().and_then(|conn| conn.follows.get_mut(&conv));
                        follow.into_iter().for_each(|follow| (follow.on, follow.again) = (false, true));
                    }
                    None => {}
                    Some(subscribed) => {
                        if let Reply::Subscribed { events, .. } = &subscribed {
                            for seen in events {
                                self.check_seen(device, seen);
                            }
                        }
                        self.devices[device].subscribed(subscribed, &self.truth);
                    }
                },
            }
        }
    }
}
