//! The steps of the hub's threads, as `hub/threads.rs` and `hub/housekeeping.rs` do them, with the faults of the world around them.

use hallway_broker::commit::{Answered, refuse};
use hallway_broker::dispatch::{Item, event_payload, revoked_payload, telling_payload};
use hallway_broker::log::memory::Fault as LogFault;
use hallway_broker::queue::{Answer, ReplyTo};
use hallway_broker::reject::{Class, Reason};
use hallway_broker::state::{State, StateError, memory::Fault};

use crate::client::Reply;
use crate::link::Frame;
use crate::node::Node;
use crate::world::{World, secret};

/// Batches between log and apply at most.
const PIPELINE: usize = 4;

impl World {
    /// Takes what waits and makes it durable.
    pub fn step_log(&mut self) {
        if self.node.logged.len() > PIPELINE {
            return;
        }
        if self.node.queue.is_empty() {
            return;
        }
        let mut batch = Vec::new();
        assert!(self.node.queue.take(&mut batch), "the queue was closed");
        if self.node.failed {
            return self.answer(None, refuse(batch, Reason::StoreError));
        }
        if !self.calm && self.rng.chance(self.plan.log_fault) {
            let fault = [LogFault::Full, LogFault::Io, LogFault::Crash][self.rng.below(3)];
            self.note(|| format!("the log meets {fault:?} with {} commands", batch.len()));
            self.disk.fail_append(0, fault);
            let refused = self.node.log_stage.append(batch, self.now_ms).map(|_| ()).expect_err("an append that fails");
            if fault == LogFault::Crash {
                return self.crash();
            }
            return self.answer(None, refused.0);
        }
        let before = self.log_end();
        let logged = self.node.log_stage.append(batch, self.now_ms).map_err(|(_, error)| error).unwrap();
        assert_eq!(self.log_end(), before + logged.len() as u64, "a batch counts as durable and is not in the log");
        self.note(|| format!("logged {} to {}", before + 1, before + logged.len() as u64));
        self.node.logged.push_back((before + 1, logged));
        self.read_tape();
    }

    /// The log's last record.
    pub fn log_end(&self) -> u64 {
        self.node.log.lock().unwrap().end()
    }

    /// Tells the truth what has become durable.
    pub fn read_tape(&mut self) {
        let from = self.tape.0.len() as u64;
        let tape = &mut self.tape.0;
        self.node
            .log
            .lock()
            .unwrap()
            .replay(from, &mut |_, bytes| {
                tape.push(bytes.to_vec());
                true
            })
            .unwrap();
        for record in &self.tape.0[usize::try_from(from).unwrap()..] {
            self.truth.take(record);
        }
    }

    /// The apply thread: applies, then publishes, then answers; or opens the failed state again.
    pub fn step_apply(&mut self) {
        if self.node.failed {
            return self.recover();
        }
        match (&self.node.applied, self.node.published) {
            (None, _) => self.apply(),
            (Some(_), false) => self.publish(),
            (Some(_), true) => {
                let Some((first, applied)) = self.node.applied.take() else { return };
                self.node.published = false;
                self.answer(Some(first), applied.answers);
            }
        }
    }

    fn apply(&mut self) {
        let Some((first, mut logged)) = self.node.logged.pop_front() else { return };
        if !self.calm && self.rng.chance(self.plan.commit_fault) {
            let fault = [Fault::Full, Fault::Io][self.rng.below(2)];
            if self.rng.chance(400) { self.node.state.fail_commit_anyway(true) } else { self.store.fail_commit(0, fault) }
        }
        let count = logged.len();
        match self.node.apply.apply(&mut logged) {
            Ok(applied) => {
                self.note(|| format!("applied {first} to {}", first + count as u64 - 1));
                self.check_applied(first, count, &applied);
                self.stats.events += applied.events.len() as u64;
                self.node.applied = Some((first, applied));
            }
            Err(error) => {
                self.note(|| format!("the state does not take the batch from {first}: {error}"));
                let reason = if matches!(error, StateError::Full(_)) { Reason::DiskFull } else { Reason::StoreError };
                let given_up = logged.give_up(reason);
                self.node.failed = true;
                self.node.logged.push_front((first, logged));
                self.answer(None, given_up);
            }
        }
    }

    fn recover(&mut self) {
        if !self.calm && self.rng.chance(600) {
            return;
        }
        let batches = self.store.uncheckpointed();
        let keep = if self.rng.chance(400) { usize::MAX } else { self.rng.below(batches + 1) };
        self.store.keep_at_reopen(keep);
        if keep < batches {
            self.node.state.lose_unseen();
        }
        if !self.calm && self.rng.chance(600) {
            self.store.fail_commit(self.rng.next() % 3, Fault::Io);
        }
        let Some((_, logged)) = self.node.logged.front() else { return };
        let recovered = self.node.apply.recover(logged);
        self.node.failed = recovered.is_err();
        self.stats.recoveries += 1;
        self.note(|| format!("opened the state again, keeping {keep}: {recovered:?}"));
        self.durable = self.durable.min(self.node.visible());
    }

    fn publish(&mut self) {
        let Some((_, applied)) = &self.node.applied else { return };
        for published in &applied.events {
            self.node.backbone.push_back(event_payload(&published.event).1);
        }
        for telling in &applied.made.signals {
            self.node.backbone.push_back(telling_payload(telling).1);
        }
        for (conf, uid) in &applied.made.revoked {
            self.node.backbone.push_back(revoked_payload(*conf, uid).1);
        }
        for published in &applied.events {
            self.node.ends.reached(published.event.place.conf, published.pos());
        }
        self.node.published = true;
    }

    /// Sends answers to their sessions; `first` is the lsn of the batch that they are the answers of.
    fn answer(&mut self, first: Option<u64>, answers: Vec<Answered>) {
        for (at, Answered { reply, answer, .. }) in answers.into_iter().enumerate() {
            if let Some(first) = first {
                self.check_answer(first + at as u64, &answer);
            }
            let ReplyTo::Session(ticket) = reply else { continue };
            let Some(op) = self.tags.remove(&ticket.tag) else { continue };
            self.check_answered(first.map(|first| first + at as u64), op, &answer);
            let tag = ticket.tag;
            let given = self.node.registry(usize::from(ticket.shard), |registry| {
                let Some((outbox, link)) = registry.outbox(ticket.slot, ticket.session) else { return false };
                outbox.answers().extend(Frame::Answer(tag).encode(0));
                hallway_broker::outbox::Link::wake(link);
                registry.flush(ticket.slot);
                true
            });
            self.note(|| format!("answer {tag}: {answer:?}{}", if given { "" } else { " (nobody is there)" }));
            if given {
                self.replies.insert(tag, Reply::Command(op, answer));
            }
        }
    }

    /// A command's answer has reached its device.
    pub fn answered(&mut self, op: usize, answer: Answer) {
        self.stats.acks += u64::from(answer.is_ok());
        self.stats.refused += u64::from(answer.is_err());
        let again = self.ops[op].retry && answer.as_ref().is_err_and(|reject| reject.reason.class() == Class::Unavailable);
        let op = &mut self.ops[op];
        op.waiting = None;
        op.done = !again;
        op.answer = Some(answer);
    }

    /// Carries messages over the backbone; some are lost.
    pub fn step_dispatch(&mut self) {
        let count = 1 + self.rng.below(6);
        if self.node.backbone.is_empty() {
            return;
        }
        let count = count.min(self.node.backbone.len());
        if !self.calm {
            for at in (0..count).rev() {
                // Revocations are no events: nothing tells of a lost one, so the backbone may not lose them.
                let revocation = is_revocation(&self.node.backbone[at]);
                if !revocation && self.rng.chance(self.plan.drop) {
                    self.node.backbone.remove(at);
                    self.note(|| "the backbone drops a message".into());
                }
            }
        }
        let count = count.min(self.node.backbone.len());
        if count > 0 {
            self.dispatch(count);
        }
    }

    /// What dispatch does when nothing comes.
    pub fn look_for_drops(&mut self) {
        if self.node.backbone.is_empty() {
            self.dispatch(0);
        }
    }

    fn dispatch(&mut self, count: usize) {
        self.arm_read_fault();
        if !self.calm && self.rng.chance(self.plan.forget) {
            // What is in memory may be let go at any time.
            self.node.recent.clear();
        }
        let done = self.node.dispatch(count);
        self.node.state.fail_read(-1);
        self.note(|| format!("dispatch takes {count}{}", if done { "" } else { ": a hole that cannot be filled yet" }));
    }

    /// Maybe a read of what comes next fails.
    pub fn arm_read_fault(&mut self) {
        if !self.calm && self.rng.chance(self.plan.read_fault) {
            let after = i64::try_from(self.rng.below(12)).unwrap();
            self.node.state.fail_read(after);
        }
    }

    /// A shard carries its walk on, or begins the next.
    pub fn step_shard(&mut self) {
        let shard = self.rng.below(self.node.shards.len());
        let readers = if self.rng.chance(300) { 256 } else { 1 + self.rng.below(3) };
        if let Some(mut walk) = self.node.shards[shard].walk.take() {
            if !self.node.registry(shard, |registry| registry.step(&mut walk, readers)) {
                self.node.shards[shard].walk = Some(walk);
            }
            return;
        }
        let most = if self.rng.chance(500) { 256 } else { 1 + self.rng.below(5) };
        let batch = self.node.next_batch(shard, most);
        if let Some(first) = batch.first() {
            self.join_followers(shard, &first.event);
            self.note(|| format!("shard {shard} walks {:?}", batch.iter().map(|p| (p.event.place.conf.0, p.pos())).collect::<Vec<_>>()));
            let walk = self.node.registry(shard, |registry| registry.begin(&batch));
            self.node.shards[shard].walk = Some(walk);
            return;
        }
        match self.node.shards[shard].mail.pop_front() {
            Some(Item::Telling(telling)) => self.node.registry(shard, |registry| registry.tell(&telling)),
            Some(Item::Revoked(conf, uid)) => {
                for device in 0..self.devices.len() {
                    let its = &self.devices[device];
                    if its.conf == conf.0 && its.uid == uid && its.conn.as_ref().is_some_and(|conn| conn.shard == shard) {
                        self.disconnect(device);
                    }
                }
            }
            _ => {}
        }
    }

    /// The housekeeping's checkpoint; then the log lets go.
    pub fn checkpoint(&mut self) {
        if !self.rng.chance(self.plan.checkpoint) {
            return;
        }
        if !self.calm && self.rng.chance(self.plan.commit_fault / 2) {
            self.store.fail_checkpoint(0, Fault::Io);
        }
        let applied = self.node.visible();
        let done = self.node.state.checkpoint();
        self.note(|| format!("checkpoint at {applied}: {done:?}"));
        if done.is_ok() {
            self.durable = applied;
        }
        if self.rng.chance(300) {
            self.node.log.lock().unwrap().release(self.durable, u64::MAX).unwrap();
        }
    }

    /// The machine stops and starts again: what was not durable may be gone, connections are.
    pub fn crash(&mut self) {
        self.stats.crashes += 1;
        let survives = self.rng.chance(500);
        let keep = self.rng.below(self.store.uncheckpointed() + 1);
        let visible_before = self.tape.0.len();
        for device in 0..self.devices.len() {
            self.forget_connection(device);
        }
        self.tags.clear();
        self.replies.clear();
        self.disk.crash(survives);
        self.store.crash(keep);
        self.store.keep_at_reopen(0);
        let new = secret(&mut self.rng);
        self.node = Node::open(&self.disk, &self.store, new, self.plan.shards, self.plan.budget, self.node.next_session);
        self.read_tape();
        self.note(|| format!("CRASH at lsn {visible_before}, the state keeps {keep} batches, an unfinished batch survives: {survives}"));
        self.check_replayed();
    }
}

/// Whether a message of the backbone is a revocation: conference and pos go first, then the kind.
fn is_revocation(message: &[u8]) -> bool {
    message.get(12) == Some(&2)
}
