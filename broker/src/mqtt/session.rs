//! A connection with a session: its task's loop, from CONNACK to the end.
//!
//! The shard writes messages to the socket itself; this task reads packets, writes what the socket did not take at once, refills the session when
//! it lags, and keeps on record what must outlive the connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::time::{Instant, Sleep};

use super::clients::Claim;
use super::codec::{AckKind, Code, Decoder, Version, Violation, write_ack, write_disconnect};
use super::connection::Connection;
use super::inbound::Next;
use super::listen::Edge;
use super::retained::Job;
use super::topic::Shared;
use super::will::LastWill;
use crate::command::Action;
use crate::model::KeptSession;
use crate::outbox::Flushed;
use crate::queue::{ReplyTo, Submission};
use crate::reject::Reject;
use crate::session::Session;
use crate::shard::Ending;
use crate::shares::Member;

/// When a refill that failed is tried again.
const REFILL_RETRY: Duration = Duration::from_millis(200);
/// How often what changed of a kept session goes on record: what may come twice after a crash, at most.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often staff is told about the server.
pub(super) const SYS_EVERY: Duration = Duration::from_secs(10);
/// How long the last packets may take to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nothing is looked at when there is nothing to look at.
const IDLE: Duration = Duration::from_secs(3600);

/// A connection with a session.
pub(super) struct Task {
    pub edge: Arc<Edge>,
    pub connection: Rc<Connection>,
    pub decoder: Decoder,
    pub session: Session,
    pub claim: Claim,
    /// Silence after which the client is taken for dead [MQTT-3.1.2-22 / 3.1.2-24].
    pub patience: Option<Duration>,
    /// Seconds that the session is kept when the connection ends; `u32::MAX` for ever.
    pub expiry_s: u32,
    /// There is something on record of the session.
    pub is_on_record: bool,
    /// Another expiry, by the client's DISCONNECT.
    pub new_expiry_s: Option<u32>,
    pub will: Option<Box<LastWill>>,
    /// Topics by alias (MQTT 5 §3.3.2.3.4).
    pub aliases: Vec<Option<Arc<str>>>,
    /// What the client id comes to, for messages without an id of their own; `None` for an id that the server made up.
    pub client_hash: Option<u64>,
    /// Where the session went on when it came back; 0 for a new one.
    pub resumed_at: u64,
    /// Messages of one read, for the queue.
    pub submissions: Vec<Submission>,
    /// The decoder holds bytes that were not looked at yet.
    pub unread: bool,
    pub last_seen: Instant,
    /// Rings when something is to be looked at.
    pub timer: Pin<Box<Sleep>>,
    /// Retained messages that are to be sent.
    pub jobs: VecDeque<Job>,
    /// QoS 2 messages that have arrived, to be released when that is on record.
    pub releases: Vec<u16>,
    /// The session is told about the server at this time.
    pub sys_at: Option<Instant>,
    /// When it is looked whether something must go on record, and how much had changed when it last did.
    pub save_at: Instant,
    pub saved: u64,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// What an MQTT 5 client is told; `None`: it is gone, or said itself that it goes.
    pub code: Option<Code>,
    /// The clause or word that goes with it.
    pub reason: &'static str,
}

impl End {
    pub const GONE: Self = Self { code: None, reason: "" };

    pub fn with(code: Code, reason: &'static str) -> Self {
        Self { code: Some(code), reason }
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::with(violation.code, violation.clause)
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Closed => Self::with(Code::ADMINISTRATIVE_ACTION, "session_closed"),
            Ending::TakenOver => Self::with(Code::SESSION_TAKEN_OVER, "taken_over"),
            Ending::SignedOut => Self::with(Code::NOT_AUTHORIZED, "session_ended"),
            Ending::Draining => Self::with(Code::SERVER_SHUTTING_DOWN, "draining"),
        }
    }
}

/// Serves a connection with a session until it ends.
pub(super) async fn serve(mut task: Box<Task>) {
    let end = loop {
        if let Err(end) = task.turn().await {
            break end;
        }
    };
    Box::pin(task.finish(end)).await;
}

impl Task {
    /// One turn: writes what waits, refills when lagging, reads when there is room, waits when there is nothing to do.
    async fn turn(&mut self) -> Result<(), End> {
        let flushed = self.session.flush();
        if flushed == Flushed::Gone {
            return Err(End::GONE);
        }
        let is_written = self.connection.transport.flush().map_err(|_| End::GONE)?;
        if let Some(ending) = self.connection.bell.ending() {
            return Err(ending.into());
        }
        if self.connection.must_retry.get() {
            return Err(End::with(Code::UNSPECIFIED_ERROR, "unavailable"));
        }
        if !self.releases.is_empty() {
            return Box::pin(self.release()).await;
        }
        if !self.connection.reports.borrow().is_empty() {
            Box::pin(self.report()).await;
        }
        let mut is_empty = flushed == Flushed::Empty && is_written;
        if is_empty && self.session.lags() && Box::pin(self.refill()).await {
            return Ok(());
        }
        if is_empty && !self.jobs.is_empty() && self.connection.delivery.borrow().has_room() {
            if Box::pin(self.do_job()).await {
                return Ok(());
            }
            is_empty = self.session.flush() == Flushed::Empty && self.connection.transport.flush().map_err(|_| End::GONE)?;
        }
        if is_empty && !self.connection.shares.borrow().is_empty() && self.connection.delivery.borrow().has_room() {
            if self.give_shares() {
                return Ok(());
            }
            is_empty = self.session.flush() == Flushed::Empty && self.connection.transport.flush().map_err(|_| End::GONE)?;
        }
        let is_unread = self.unread || self.connection.transport.has_unread();
        if (is_unread && self.has_room()) || self.wait(is_empty).await? {
            return self.read().await;
        }
        Ok(())
    }

    /// Waits until there is something to do; whether it is to read.
    async fn wait(&mut self, is_empty: bool) -> Result<bool, End> {
        let now = Instant::now();
        let waits = self.session.lags() || !self.jobs.is_empty() || !self.connection.shares.borrow().is_empty();
        let retries = is_empty && waits && self.connection.delivery.borrow().has_room();
        let until = if retries { now + REFILL_RETRY } else { self.next_look(now) };
        // One timer for the connection's life, set back when it is too late: one that rings too early costs little.
        if until < self.timer.deadline() {
            self.timer.as_mut().reset(until);
        }
        let room = self.has_room();
        self.connection.bell.await_answers(!room);
        let interest = match (room, is_empty) {
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (true, true) => Interest::READABLE,
            (false, false) => Interest::WRITABLE,
            // Answers are on their way; then there is room.
            (false, true) => Interest::ERROR,
        };
        tokio::select! {
            biased;
            () = self.connection.bell.rung() => Ok(false),
            ready = self.connection.transport.ready(interest) => match ready {
                Ok(ready) if ready.is_readable() => Ok(true),
                Ok(ready) if ready.is_error() => Err(End::GONE),
                Ok(_) => Ok(false),
                Err(_) => Err(End::GONE),
            },
            () = self.timer.as_mut() => {
                self.timer.as_mut().reset(now + IDLE);
                self.look().await.map(|()| false)
            }
        }
    }

    /// When something is to be looked at next.
    fn next_look(&self, now: Instant) -> Instant {
        let mut next = now + IDLE;
        if let Some(patience) = self.patience {
            next = next.min(self.last_seen + patience);
        }
        if self.expiry_s > 0 && !self.connection.delivery.borrow().subscriptions.is_empty() {
            next = next.min(self.save_at);
        }
        if self.session.who.expires_ms != u64::MAX {
            let left_ms = self.session.who.expires_ms.saturating_sub(self.edge.hub.clock().now_ms());
            next = next.min(now + Duration::from_millis(left_ms));
        }
        self.sys_at.map_or(next, |sys_at| next.min(sys_at))
    }

    /// What is due: the client's silence, the token's expiry, what goes on record, what staff is told.
    async fn look(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.patience.is_some_and(|patience| now >= self.last_seen + patience) {
            return Err(End::with(Code::KEEP_ALIVE_TIMEOUT, "keep_alive")); // [MQTT-3.1.2-22 / 3.1.2-24]
        }
        if self.session.has_expired() {
            return Err(Ending::SignedOut.into());
        }
        if self.sys_at.is_some_and(|sys_at| now >= sys_at) {
            self.tell_sys();
        }
        if now >= self.save_at {
            self.save_at = now + SAVE_EVERY;
            if self.expiry_s > 0 && self.has_changed() && Box::pin(self.save(false)).await.is_err() {
                self.connection.touched.set(true);
            }
        }
        Ok(())
    }

    fn has_changed(&self) -> bool {
        self.connection.touched.take() || self.connection.delivery.borrow().changes() != self.saved
    }

    /// Whether more is read now.
    pub fn has_room(&self) -> bool {
        let limits = self.session.shard.hub.limits();
        self.connection.acks.borrow().len() < limits.requests_per_session && self.session.answers_bytes() < limits.answers_bytes
    }

    /// Gives the session what passed it by; of a kept session, what it gets with QoS 2 goes on record first.
    async fn refill(&mut self) -> bool {
        let Some((events, through)) = self.session.missed().await else { return false };
        let fresh = self.connection.delivery.borrow_mut().reserve(self.session.who.conference.as_str(), &events);
        if fresh && self.save(false).await.is_err() {
            self.session.give_later();
            return false;
        }
        self.session.give(&events, through)
    }

    /// Gives the session what waits of its groups, in order; whether any of it went.
    fn give_shares(&self) -> bool {
        let mut shares = self.connection.shares.take();
        let before = shares.len();
        self.connection.gives_shares.set(true);
        while self.connection.shares.borrow().is_empty()
            && let Some(share) = shares.pop_front()
        {
            self.session.shard.share(&share);
        }
        self.connection.gives_shares.set(false);
        let mut kept = self.connection.shares.borrow_mut();
        kept.append(&mut shares);
        kept.len() < before
    }

    /// Puts on record where the session is. `is_over`: its connection has ended.
    pub async fn save(&mut self, is_over: bool) -> Result<(), Reject> {
        let record = {
            let delivery = self.connection.delivery.borrow();
            self.saved = delivery.changes();
            let ended_ms = if is_over { self.edge.hub.clock().now_ms().max(1) } else { 0 };
            KeptSession { expiry_s: self.expiry_s, ended_ms, cursor: self.session.cursor(), in_flight: delivery.record() }
        };
        let client = Arc::clone(&self.claim.key().2);
        self.session.call(Action::KeepSession { client, session: record }).await.map(drop)
    }

    /// Leaves its groups; what it was given as one of them and has not sent is for another.
    fn leave_shares(&self) {
        for subscription in self.connection.delivery.borrow().subscriptions.iter() {
            if let Ok(Some(shared)) = Shared::parse(&subscription.filter) {
                self.leave_share(&subscription.filter, shared.filter);
            }
        }
        let hub = &self.edge.hub;
        for share in self.connection.shares.take() {
            if let Some(another) = hub.shares().another(&share) {
                hub.give_share(another);
            }
        }
    }

    /// The session as one of a group.
    pub fn member(&self) -> Member {
        Member { shard: self.session.shard.index, slot: self.session.slot, session: self.session.id }
    }

    async fn forget(&self) -> Result<(), Reject> {
        let (conf, uid, client) = self.claim.key().clone();
        let action = Action::ForgetSession { uid, client, ended_ms: None };
        self.edge.hub.call_to_end(conf, self.session.actor(), action).await.map(drop)
    }

    /// Releases QoS 2 messages; of a kept session when it is on record that they have arrived, so that they are never sent again.
    async fn release(&mut self) -> Result<(), End> {
        if self.expiry_s > 0 && self.save(false).await.is_err() {
            return Err(End::with(Code::UNSPECIFIED_ERROR, "unavailable"));
        }
        let (releases, version) = (std::mem::take(&mut self.releases), self.connection.version);
        self.session.push(|into| {
            for id in releases {
                write_ack(version, AckKind::PubRel, id, Code::SUCCESS, None, into);
            }
        });
        Ok(())
    }

    /// Puts refusals into the user's inbox that could not be told otherwise.
    async fn report(&mut self) {
        let reports = self.connection.reports.take();
        if self.edge.hub.writable().is_err() {
            return;
        }
        for (topic, why) in reports {
            let action = Action::Report { topic, why: why.into() };
            let hub = &self.session.shard.hub;
            let command = crate::command::Command { conf: self.session.who.conf, actor: self.session.actor(), at_ms: 0, action };
            hub.queue().submit(vec![hub.submission(command, ReplyTo::Nobody)]).await;
        }
    }

    /// Reads once and carries out what was asked.
    async fn read(&mut self) -> Result<(), End> {
        let shard = Rc::clone(&self.session.shard);
        // Out of the way while what it hands out is looked at.
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(0));
        let next = shard.read_buffer(|buffer| {
            let read = match self.unread {
                true => 0,
                false => match self.connection.transport.try_read(buffer) {
                    Ok(0) => return Err(End::GONE),
                    Ok(read) => read,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
                    Err(_) => return Err(End::GONE),
                },
            };
            let mut input = &buffer[..read];
            let next = self.take(&mut decoder, &mut input);
            decoder.hold(input);
            next
        });
        self.decoder = decoder;
        if !self.submissions.is_empty() {
            let submissions = std::mem::take(&mut self.submissions);
            // Boxed only when there is no room at once, so that an idle task holds no room for waiting.
            if let Err(back) = shard.hub.queue().push(submissions) {
                Box::pin(shard.hub.queue().submit(back)).await;
            }
        }
        match next? {
            Next::More => Ok(()),
            Next::Later(later) => Box::pin(self.carry_out(later)).await,
        }
    }

    /// Takes packets out of what was read, until one needs more time than there is while the buffer is lent.
    fn take(&mut self, decoder: &mut Decoder, input: &mut &[u8]) -> Result<Next, End> {
        self.unread = true;
        let mut now = None;
        while self.has_room() {
            let Some(raw) = decoder.next(input)? else {
                self.unread = false;
                return Ok(Next::More);
            };
            // Whole packets count, once for each read.
            self.last_seen = *now.get_or_insert_with(Instant::now);
            if let Next::Later(later) = self.packet(raw)? {
                return Ok(Next::Later(later));
            }
        }
        Ok(Next::More)
    }

    /// The end: what must outlive the connection goes on record, the client is told, its will is done.
    async fn finish(mut self: Box<Self>, end: End) {
        // While the session still knows what it has been given.
        self.leave_shares();
        self.connection.delivery.borrow_mut().forget_reserved();
        self.expiry_s = self.new_expiry_s.unwrap_or(self.expiry_s);
        let over = match (self.is_on_record, self.expiry_s) {
            (false, _) => Ok(()),
            (true, 0) => self.forget().await,
            (true, _) => self.save(true).await,
        };
        if let Err(reject) = over {
            tracing::debug!(%reject, "a session's end is not on record: it goes on from where it was last");
        }
        self.session.silence();
        if let Some(code) = end.code.filter(|_| self.connection.version == Version::V5) {
            let reason = Some(end.reason).filter(|reason| self.connection.wants_reasons && !reason.is_empty());
            self.session.push(|into| write_disconnect(code, reason, into));
        }
        if end != End::GONE || self.will.is_none() {
            let written = async {
                while self.session.flush() == Flushed::Blocked || !self.connection.transport.flush().unwrap_or(true) {
                    if self.connection.transport.ready(Interest::WRITABLE).await.is_err() {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, written).await;
        }
        self.connection.transport.shutdown();
        if let Some(will) = self.will.take() {
            let expiry_s = self.expiry_s;
            will.leave(&self.edge, &self.session, self.claim.key(), expiry_s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_costs_little() {
        let bytes = bytes_of(serve) + size_of::<Task>() + size_of::<Connection>();
        assert!(bytes <= 1536, "{bytes} bytes of task and connection");
    }
}
