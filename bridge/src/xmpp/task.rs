//! A connection with a session: its task's loop, from the bound resource to the end.
//!
//! The shard writes events to the socket itself; this task reads stanzas, writes what the socket did not take at once, and refills the session
//! when it lags. Of a client with stream management it stays when the link is cut, until somebody resumes the session or its time is over.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::command::Action;
use hallway_broker::frame;
use hallway_broker::model::KeptSession;
use hallway_broker::outbox::Flushed;
use hallway_broker::queue::Submission;
use hallway_broker::session::Session;
use hallway_broker::shard::Ending;
use minidom::Element;
use tokio::io::Interest;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::connection::Connection;
use super::edge::{Edge, note_here};
use super::input::{Fault, Got, Input};
use super::muc::enter;
use super::presence;
use super::resume::{RESUME_WITHIN_S, Returning};
use super::rooms::Departure;
use super::stream::{Condition, Framing, Incoming, StreamError, write_close, write_error};
use super::write::Writer;

/// When a refill that failed is tried again.
const REFILL_RETRY: Duration = Duration::from_millis(200);
/// Silence after which the client is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(60);
/// And how long it may take to say so.
const PING_PATIENCE: Duration = Duration::from_secs(30);
/// How long a stanza may take from its first byte to its last.
const STANZA_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is put on record up to where direct conversations were told.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// How long the last words may take to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The name under which that is kept: beside the MQTT sessions of the user.
const KEPT_AS: &str = "\0xmpp"; // no MQTT client id holds a zero byte

/// A connection with a session.
pub(super) struct Task {
    pub edge: Arc<Edge>,
    pub connection: Rc<Connection>,
    pub session: Session,
    /// Messages of one read, for the queue.
    pub submissions: Vec<Submission>,
    /// Direct conversations are followed.
    pub follows: bool,
    input: Input,
    /// Bytes are held that were not looked at yet.
    unread: bool,
    last_seen: Instant,
    /// When the stanza that is not whole yet was begun.
    begun: Option<Instant>,
    asked: bool,
    save_at: Instant,
    timer: Pin<Box<Sleep>>,
}

/// Why a connection ends.
pub(super) enum End {
    /// The link is gone.
    Lost,
    /// The client closed the stream, or went over to another link.
    Closed,
    /// For this.
    With(StreamError),
    /// A WebSocket frame that cannot be.
    Frame(u16),
}

impl From<StreamError> for End {
    fn from(error: StreamError) -> Self {
        Self::With(error)
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Stream(error) => Self::With(error),
            Fault::Frame(violation) => Self::Frame(violation.close_code()),
        }
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        Self::With(match ending {
            Ending::Closed => StreamError::new(Condition::Conflict, "RFC 6120 §4.9.3.3", "another session closed this one"),
            Ending::TakenOver => StreamError::new(Condition::Conflict, "RFC 6120 §7.7.2.2", "another connection has this resource"),
            Ending::SignedOut => StreamError::new(Condition::NotAuthorized, "RFC 6120 §4.9.3.12", "the account is signed out"),
            Ending::Draining => StreamError::new(Condition::SystemShutdown, "RFC 6120 §4.9.3.20", "the server stops: connect again"),
        })
    }
}

/// What to do after the bytes that were read.
enum Next {
    /// Read on.
    More,
    /// A stanza that takes more time than there is while the buffer is lent, and its number.
    Later(Element, u32),
}

/// Serves a connection with a session until it ends.
pub(super) async fn serve(mut task: Box<Task>) {
    if task.connection.returning.borrow().is_some() {
        Box::pin(task.come_back()).await;
    }
    let end = loop {
        match task.turn().await {
            Ok(()) => {}
            Err(End::Lost) if task.connection.resumes() => break Box::pin(task.wait_for_link()).await,
            Err(end) => break end,
        }
        if task.connection.taken_over.borrow().is_some() {
            break Box::pin(task.hand_over()).await;
        }
    };
    Box::pin(task.finish(end)).await;
}

impl Task {
    pub fn new(edge: Arc<Edge>, connection: Rc<Connection>, input: Input, session: Session) -> Self {
        let now = Instant::now();
        Self {
            edge,
            connection,
            session,
            submissions: Vec::new(),
            follows: false,
            input,
            unread: true,
            last_seen: now,
            begun: None,
            asked: false,
            save_at: now + SAVE_EVERY,
            timer: Box::pin(tokio::time::sleep(PING_AFTER)),
        }
    }

    /// One turn: writes what waits, refills when lagging, reads when there is room, waits when there is nothing to do.
    async fn turn(&mut self) -> Result<(), End> {
        let flushed = self.session.flush();
        let is_written = self.connection.transport.flush().map_err(|_| End::Lost)?;
        if flushed == Flushed::Gone {
            return Err(End::Lost);
        }
        if let Some(ending) = self.connection.bell.ending() {
            return Err(ending.into());
        }
        if self.connection.keeps_too_much() {
            return Err(StreamError::new(Condition::ResourceConstraint, "RFC 6120 §4.9.3.17", "too much is not acknowledged").into());
        }
        for room in self.connection.left.take() {
            let _ = self.session.unsubscribe(&room);
        }
        if !self.connection.met.borrow().is_empty() {
            presence::meet(self);
        }
        let is_empty = flushed == Flushed::Empty && is_written;
        if is_empty && self.session.lags() && Box::pin(self.session.refill()).await {
            return Ok(());
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
        let retries = is_empty && self.session.lags() && self.connection.takes_events();
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
                Ok(ready) if ready.is_error() => Err(End::Lost),
                Ok(_) => Ok(false),
                Err(_) => Err(End::Lost),
            },
            () = self.timer.as_mut() => {
                self.timer.as_mut().reset(now + PING_AFTER);
                self.look().await.map(|()| false)
            }
        }
    }

    /// When something is to be looked at next.
    fn next_look(&self, now: Instant) -> Instant {
        let silent = if self.asked { PING_AFTER + PING_PATIENCE } else { PING_AFTER };
        let mut next = self.last_seen + silent;
        if let Some(begun) = self.begun {
            next = next.min(begun + STANZA_TIMEOUT);
        }
        if self.connection.touched.get() {
            next = next.min(self.save_at);
        }
        if self.session.who.expires_ms != u64::MAX {
            let left_ms = self.session.who.expires_ms.saturating_sub(self.edge.hub.clock().now_ms());
            next = next.min(now + Duration::from_millis(left_ms));
        }
        next
    }

    /// What is due: the client's silence, the token's expiry, what goes on record.
    async fn look(&mut self) -> Result<(), End> {
        let (now, silent) = (Instant::now(), self.last_seen.elapsed());
        let slow = self.begun.is_some_and(|begun| now >= begun + STANZA_TIMEOUT);
        if slow || (self.asked && silent >= PING_AFTER + PING_PATIENCE) {
            if self.connection.managed.borrow().is_some() {
                return Err(End::Lost);
            }
            return Err(StreamError::new(Condition::ConnectionTimeout, "RFC 6120 §4.9.3.4", "nothing came for too long").into());
        }
        if self.session.has_expired() {
            return Err(Ending::SignedOut.into());
        }
        if !self.asked && silent >= PING_AFTER {
            self.asked = true;
            self.ask();
        }
        if self.connection.touched.get() && now >= self.save_at {
            Box::pin(self.save()).await;
        }
        Ok(())
    }

    /// Asks whether the client is there: by what it must answer.
    fn ask(&self) {
        self.session.push(|into| {
            if self.connection.managed.borrow().is_some() {
                return self.connection.write_request(into);
            }
            let mut ping = Vec::new();
            let mut xml = Writer::new(&mut ping);
            xml.open("iq", super::stream::ns::CLIENT)
                .attr("from", &self.connection.domain.host.domain)
                .attr("to", &self.connection.me.full);
            xml.attr("type", "get").attr("id", "ping").inside().open("ping", "urn:xmpp:ping").empty().close("iq");
            self.connection.emit(&ping, into);
        });
    }

    /// Puts on record up to where direct conversations were told: who comes back later goes on from there.
    pub async fn save(&mut self) {
        self.save_at = Instant::now() + SAVE_EVERY;
        if !self.connection.touched.take() || self.connection.copies_since.get().is_some() {
            return;
        }
        let given = self.session.cursor();
        let cursor = self.connection.managed.borrow().as_ref().map_or(given, |managed| managed.unacknowledged.cursor(given));
        let session = KeptSession { expiry_s: u32::MAX, ended_ms: 0, cursor, in_flight: Vec::new() };
        if let Err(reject) = self.session.call(Action::KeepSession { client: KEPT_AS.into(), session }).await {
            tracing::debug!(%reject, "where a session is could not be put on record");
            self.connection.touched.set(true);
        }
    }

    /// Up to where the user's direct conversations were told over XMPP.
    pub fn kept_cursor(&self) -> Option<u64> {
        let who = &self.session.who;
        let kept = self.edge.hub.reader().kept_session(who.conf, &who.uid, KEPT_AS);
        kept.ok().flatten().map(|(session, _)| session.cursor)
    }

    /// Whether more is read now.
    pub fn has_room(&self) -> bool {
        let limits = self.session.shard.hub.limits();
        let waiting = self.connection.waiting.borrow().len();
        waiting < limits.requests_per_session && self.session.answers_bytes() < limits.answers_bytes
    }

    /// Reads once and carries out what was asked.
    async fn read(&mut self) -> Result<(), End> {
        let shard = Rc::clone(&self.session.shard);
        let next = shard.read_buffer(|buffer| {
            let read = match self.unread {
                true => 0,
                false => match self.connection.transport.try_read(buffer) {
                    Ok(0) => return Err(End::Lost),
                    Ok(read) => read,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
                    Err(_) => return Err(End::Lost),
                },
            };
            if read > 0 {
                (self.last_seen, self.asked) = (Instant::now(), false);
            }
            let mut input = &mut buffer[..read];
            let next = self.take(&mut input);
            if !input.is_empty() {
                self.input.hold(input);
            }
            next
        });
        self.begun = self.input.is_within_item().then(|| self.begun.unwrap_or(self.last_seen));
        if !self.submissions.is_empty() {
            let submissions = std::mem::take(&mut self.submissions);
            // Boxed only when there is no room at once, so that an idle task holds no room for waiting.
            if let Err(back) = shard.hub.queue().push(submissions) {
                Box::pin(shard.hub.queue().submit(back)).await;
            }
        }
        match next? {
            Next::More => Ok(()),
            Next::Later(element, number) => {
                // In the order in which they came (RFC 6120 §10.1).
                while !self.connection.waiting.borrow().is_empty() {
                    self.connection.bell.await_answers(true);
                    self.connection.bell.rung().await;
                }
                let done = Box::pin(self.carry_out(&element)).await;
                self.session.push(|into| self.connection.done(number, into));
                done
            }
        }
    }

    /// Takes stanzas out of what was read, until one needs more time than there is while the buffer is lent.
    fn take(&mut self, input: &mut &mut [u8]) -> Result<Next, End> {
        self.unread = true;
        while self.has_room() {
            match self.input.next(input)? {
                None => {
                    self.unread = false;
                    return Ok(Next::More);
                }
                Some(Got::Pong) => {}
                Some(Got::Ping(payload)) => drop(self.session.push(|into| frame::write_pong(&payload, into))),
                Some(Got::Closed | Got::Incoming(Incoming::Close)) => return Err(End::Closed),
                Some(Got::Incoming(Incoming::Open(_))) => return Err(StreamError::second_header().into()),
                Some(Got::Incoming(Incoming::Stanza(element))) => {
                    if let Some(number) = self.stanza(&element)? {
                        return Ok(Next::Later(element, number));
                    }
                }
            }
        }
        Ok(Next::More)
    }

    /// A session that was resumed follows again what it did, from where it was.
    async fn come_back(&mut self) {
        let Some(returning) = self.connection.returning.take() else { return };
        let Returning { before, cursor, rooms, presence, follows, release } = *returning;
        let me = &self.connection.me;
        if let Some((content, priority)) = presence {
            self.edge.directory.set_presence(me.conf, &me.uid, self.session.id, Some(content), priority);
        }
        if follows && let Err(error) = presence::follow_direct_from(self, cursor).await {
            tracing::debug!(text = %error.text, "a resumed session does not follow its conversations");
        }
        if let Err(error) = presence::see_contacts(self).await {
            tracing::debug!(text = %error.text, "a resumed session does not see its contacts");
        }
        enter::come_back(self, before, rooms, cursor).await;
        drop(release);
    }

    /// The link is gone: waits for the next one, for the session's end, or for its time to be over.
    async fn wait_for_link(&mut self) -> End {
        self.connection.detached.set(true);
        self.connection.bell.await_answers(true);
        let over = tokio::time::sleep(Duration::from_secs(RESUME_WITHIN_S));
        let mut over = std::pin::pin!(over);
        loop {
            if self.connection.taken_over.borrow().is_some() {
                return self.hand_over().await;
            }
            if self.connection.bell.ending().is_some() {
                return End::Lost;
            }
            tokio::select! {
                () = self.connection.bell.rung() => {}
                () = &mut over => return End::Lost,
            }
        }
    }

    /// Gives the session to its next link, when what it was asked is durable.
    async fn hand_over(&mut self) -> End {
        let has_link = !self.connection.detached.replace(true) && self.session.flush() == Flushed::Empty;
        self.connection.bell.await_answers(true);
        while self.connection.received.borrow().under_way() > 0 {
            self.connection.bell.rung().await;
        }
        // While it is known what the client has not acknowledged; the parcel takes that along.
        Box::pin(self.save()).await;
        let Some(next) = self.connection.taken_over.take() else { return End::Lost };
        let ((release, released), (leaving, gone)) = (oneshot::channel(), oneshot::channel::<()>());
        let Some(parcel) = self.connection.parcel(self.session.cursor(), self.follows, release, gone) else { return End::Lost };
        let rooms: Vec<_> = parcel.rooms.iter().map(|room| room.key).collect();
        let is_taken = next.send(parcel).is_ok();
        // Held as long as both are there, so that nobody sees the user go.
        let _ = released.await;
        for key in rooms {
            enter::left(&self.edge, key, self.session.id, Departure::Left);
        }
        drop(leaving);
        if !is_taken {
            return End::Lost;
        }
        self.session.silence();
        self.connection.detached.set(!has_link);
        Ending::TakenOver.into()
    }

    /// The end: others learn of it, what must outlive the connection goes on record, the client is told.
    async fn finish(mut self: Box<Self>, end: End) {
        if let Some(managed) = self.connection.managed.borrow().as_ref() {
            self.edge.resumable.remove(&managed.id);
        }
        Box::pin(self.save()).await;
        Box::pin(presence::gone(&self)).await;
        note_here(self.session.id, None);
        self.session.silence();
        self.say_goodbye(&end);
        if !matches!(end, End::Lost) && !self.connection.detached.get() {
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
    }

    fn say_goodbye(&self, end: &End) {
        let framing = self.connection.framing;
        let code = match end {
            End::Lost => return,
            End::Frame(code) => *code,
            End::Closed | End::With(_) => 1000,
        };
        self.session.push(|into| {
            if let End::With(error) = end {
                let mut element = Vec::new();
                write_error(framing, error, &mut element);
                self.connection.emit_uncounted(&element, into);
            }
            if !matches!(end, End::Frame(_)) {
                let mut element = Vec::new();
                write_close(framing, &mut element);
                self.connection.emit_uncounted(&element, into);
            }
            if framing == Framing::WebSocket {
                frame::write_close(Some(code), "", into);
            }
        });
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
        assert!(bytes <= 2048, "{bytes} bytes of task and connection");
    }
}
