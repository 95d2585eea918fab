//! The hub's threads: each runs one stage in a loop.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SendError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::{Hub, housekeeping};
use crate::backbone::{Publisher, Subscription};
use crate::command::Outcome;
use crate::commit::{Answered, Applied, ApplyStage, LogStage, Logged, refuse};
use crate::dispatch::{Dispatch, event_payload, revoked_payload, telling_payload};
use crate::mailbox::Mailbox;
use crate::model::Body;
use crate::queue::{Answer, BATCH_COMMANDS, ReplyTo, Submission, Ticket};
use crate::registry::Wires;
use crate::reject::Reason;
use crate::shard::Shard;
use crate::state::StateError;

/// How long dispatch waits before it looks whether the backbone dropped something.
const DISPATCH_IDLE: Duration = Duration::from_millis(50);
/// How long to wait before a failed state is opened again.
const RECOVER_WAIT: Duration = Duration::from_millis(200);

/// Ends the process when its thread panics: without one of its threads the hub would take requests and never answer.
struct EndsWithPanic(String);

impl Drop for EndsWithPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(thread = self.0, "a thread of the hub panicked: the process ends, the log is applied at the next start");
            std::process::abort();
        }
    }
}

/// Starts a thread of the hub.
pub(super) fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let guard = EndsWithPanic(name.clone());
    std::thread::Builder::new().name(name).spawn(move || {
        let _guard = guard;
        run();
    })
}

/// Takes what waits and makes it durable.
pub(super) fn log(hub: &Hub, mut stage: LogStage, logged: &SyncSender<Logged>) {
    let mut batch = Vec::with_capacity(BATCH_COMMANDS);
    while hub.queue.take(&mut batch) {
        let taken = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_COMMANDS));
        // Before each batch, since a fast sender fills the reserve faster than the housekeeping looks.
        housekeeping::watch_disk(hub);
        if let Err(reason) = hub.health.check()
            && reason != Reason::Draining
        {
            answer(hub, refuse(taken, reason));
            continue;
        }
        hub.metrics.batch.record(taken.len() as u64);
        let before = hub.elapsed_us();
        match stage.append(taken, hub.clock.now_ms()) {
            Ok(durable) => {
                hub.metrics.log_us.record(hub.elapsed_us().saturating_sub(before));
                if let Err(SendError(mut durable)) = logged.send(durable) {
                    // A drain that found the state failing: what is in the log is applied at the next start.
                    answer(hub, durable.give_up(Reason::Draining));
                    return refuse_the_rest(hub, batch);
                }
            }
            Err((answers, error)) => {
                tracing::error!(%error, "the log does not take the batch; its senders are told");
                answer(hub, answers);
            }
        }
    }
}

fn refuse_the_rest(hub: &Hub, mut batch: Vec<Submission>) {
    while hub.queue.take(&mut batch) {
        answer(hub, refuse(std::mem::take(&mut batch), Reason::Draining));
    }
}

/// Applies what is durable, answers, publishes.
pub(super) fn apply(hub: &Hub, mut stage: ApplyStage, mut publisher: Box<dyn Publisher>, logged: &Receiver<Logged>) {
    // Taken while the state failed.
    let mut held = VecDeque::new();
    while let Some(mut batch) = held.pop_front().or_else(|| logged.recv().ok()) {
        let before = hub.elapsed_us();
        let applied = loop {
            match stage.apply(&mut batch) {
                Ok(applied) => break applied,
                Err(error) => {
                    if !wait_for_state(hub, &mut stage, &mut batch, &error, || {
                        let mut taken: Vec<Logged> = logged.try_iter().collect();
                        let answers = taken.iter_mut().flat_map(|batch| batch.give_up(why(&error))).collect();
                        held.extend(taken);
                        answers
                    }) {
                        return;
                    }
                }
            }
        };
        hub.metrics.apply_us.record(hub.elapsed_us().saturating_sub(before));
        publish(hub, &mut publisher, &applied);
        answer(hub, applied.answers);
    }
}

/// The state fails: who waits is told so, and the state is opened again until it works. What the log has is not lost: when the hub drains, it is
/// applied at the next start, and this is `false`. `given_up` takes the batches that come meanwhile, and has the answers to who waits for them.
fn wait_for_state(
    hub: &Hub,
    stage: &mut ApplyStage,
    batch: &mut Logged,
    error: &StateError,
    mut given_up: impl FnMut() -> Vec<Answered>,
) -> bool {
    tracing::error!(%error, "the state does not take a batch; opening it again");
    hub.health.failed.store(true, Relaxed);
    answer(hub, batch.give_up(why(error)));
    loop {
        answer(hub, given_up());
        if hub.health.draining.load(Relaxed) {
            tracing::error!("the hub stops while the state fails: what the log has is applied at the next start");
            return false;
        }
        match stage.recover(batch) {
            Ok(()) => break,
            Err(error) => tracing::error!(%error, "the state is still failing"),
        }
        std::thread::park_timeout(RECOVER_WAIT);
    }
    hub.health.failed.store(false, Relaxed);
    tracing::info!("the state is open again");
    true
}

/// What those are told who wait while the state fails.
fn why(error: &StateError) -> Reason {
    if matches!(error, StateError::Full(_)) { Reason::DiskFull } else { Reason::StoreError }
}

fn publish(hub: &Hub, publisher: &mut Box<dyn Publisher>, applied: &Applied) {
    let mut messages = Vec::with_capacity(applied.events.len());
    let mut sent = 0;
    for published in &applied.events {
        let event = &published.event;
        sent += u64::from(matches!(event.entry.body, Body::Message(_)));
        messages.push(event_payload(event));
    }
    hub.metrics.events.fetch_add(messages.len() as u64, Relaxed);
    hub.metrics.messages.fetch_add(sent, Relaxed);
    messages.extend(applied.made.signals.iter().map(telling_payload));
    for (conf, uid) in &applied.made.revoked {
        messages.push(revoked_payload(*conf, uid));
        // The backbone may drop it, and nothing would make up for that: the shards here are told directly, too.
        for mailbox in hub.mailboxes.get().into_iter().flatten() {
            let (conf, uid) = (*conf, uid.clone());
            mailbox.run(Box::new(move |shard| shard.revoke(conf, &uid)));
        }
    }
    // First the ends: who sees a message must find that dispatch may expect it.
    for published in &applied.events {
        hub.ends.reached(published.event.place.conf, published.pos());
    }
    if let Err(error) = publisher.publish(&mut messages) {
        tracing::error!(%error, "readers are served from the store");
    }
    hub.leave_topics(&applied.events);
}

/// Sends answers to where they go: one push for each shard.
fn answer(hub: &Hub, answers: Vec<Answered>) {
    let mailboxes = hub.mailboxes.get().map_or(&[][..], Vec::as_slice);
    let mut by_shard: Vec<Vec<(Ticket, Answer)>> = vec![Vec::new(); mailboxes.len()];
    let now = hub.elapsed_us();
    hub.queue.note_answered(answers.len());
    for Answered { reply, since_us, answer } in answers {
        hub.metrics.ack_us.record(now.saturating_sub(since_us));
        match &answer {
            Ok(Outcome::Scanned(results)) => {
                hub.metrics.doors.scan_us.record(now.saturating_sub(since_us));
                results.iter().for_each(|scanned| hub.metrics.doors.scanned(scanned));
            }
            Ok(_) => {}
            Err(_) => {
                hub.metrics.refused.fetch_add(1, Relaxed);
            }
        }
        match reply {
            ReplyTo::Nobody => {}
            // A caller that no longer waits has gone with its connection.
            ReplyTo::Caller(caller) => drop(caller.send(answer)),
            ReplyTo::Session(ticket) => {
                if let Some(line) = by_shard.get_mut(ticket.shard as usize) {
                    line.push((ticket, answer));
                }
            }
        }
    }
    for (mailbox, mut answers) in mailboxes.iter().zip(by_shard) {
        if !answers.is_empty() {
            mailbox.answer(&mut answers);
        }
    }
}

/// Takes from the backbone and hands to the shards.
pub(super) fn dispatch(hub: &Hub, mut dispatch: Dispatch, mut subscription: Box<dyn Subscription>, mailboxes: &[Arc<Mailbox>]) {
    let mut messages = Vec::new();
    while !hub.stopped.load(Relaxed) {
        if let Err(error) = subscription.receive(&mut messages, DISPATCH_IDLE) {
            tracing::error!(%error, "readers are served from the store");
            std::thread::park_timeout(DISPATCH_IDLE);
        }
        match dispatch.receive(&mut messages) {
            Ok(out) => {
                for (mailbox, items) in mailboxes.iter().zip(out) {
                    if !items.is_empty() {
                        mailbox.deliver(items);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "a hole cannot be filled yet"),
        }
        hub.metrics.holes.store(dispatch.holes, Relaxed);
    }
}

/// What a shard runs on.
pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()
}

/// Runs a shard until the process ends.
pub(super) fn shard(index: u16, hub: Arc<Hub>, mailbox: Arc<Mailbox>, wires: Arc<Wires>, runtime: &Runtime) {
    let shard = Shard::new(index, hub, mailbox, wires);
    let local = tokio::task::LocalSet::new();
    local.block_on(runtime, Rc::clone(&shard).run());
}
