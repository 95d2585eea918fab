//! A WebSocket connection's life: sign-in, then requests in and frames out until one side ends it.
//!
//! The shard writes events to the socket itself; this task reads requests, and writes what the socket did not take at once.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::accounts::Accounts;
use hallway_broker::ids::{ConfNo, EventIds};
use hallway_broker::model::Via;
use hallway_broker::outbox::{Flushed, Link};
use hallway_broker::peers::Unauthenticated;
use hallway_broker::queue::{Answer, Submission};
use hallway_broker::sending::Sending;
use hallway_broker::session::Session;
use hallway_broker::shard::{Ending, Peer, Shard};
use slab::Slab;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::methods::{self, Caller, send};
use crate::rpc::{self, Call, Id, Message};
use crate::table::MethodId;
use crate::wire::WS_WIRE;
use hallway_broker::frame::{self, Binary, Decoder, Event};

/// How long a connection may take to sign in.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages and pings that a connection may send before it has signed in.
const MAX_BEFORE_HELLO: usize = 100;
/// How often the server pings.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Pings that stay without any sign of life; with the next one due the connection is given up, after 90 s.
const MISSED_PINGS: u32 = 2;
/// When a refill that failed is tried again.
const REFILL_RETRY: Duration = Duration::from_millis(200);
/// How long a close frame may take to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection as the shard and its task share it.
pub(crate) struct Connection {
    stream: TcpStream,
    wake: Notify,
    /// Requests that wait for the hub's answer, by tag.
    waiting: RefCell<Slab<Id>>,
    ending: Cell<Option<Ending>>,
    ids: EventIds,
    /// The conference, once signed in.
    conf: Cell<ConfNo>,
    sending: Sending,
    /// The task waits for answers, or for the room that they leave.
    waits: Cell<bool>,
}

impl Link for Connection {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }
    fn wake(&self) {
        self.wake.notify_one();
    }
    fn wire(&self) -> usize {
        WS_WIRE
    }
}

impl Peer for Connection {
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        let mut waiting = self.waiting.borrow_mut();
        let Some(id) = waiting.try_remove(tag as usize) else { return };
        if waiting.is_empty() && waiting.capacity() > IDLE_REQUESTS {
            *waiting = Slab::new();
        }
        if answer.is_err() {
            self.sending.forget();
        }
        frame::write_text_with(into, |into| send::write_answer(&id, answer, self.conf.get(), &self.ids, into));
        if self.waits.get() {
            self.wake.notify_one();
        }
    }
    fn end(&self, why: Ending) {
        self.ending.set(Some(why));
        self.wake.notify_one();
    }
}

/// Waiting requests that an idle connection keeps room for.
const IDLE_REQUESTS: usize = 16;

/// What to do after the bytes that were read.
enum Next {
    /// Read on.
    More,
    /// A request that is not posted but carried out here.
    Request(String),
    /// Close, with a code and its reason.
    Close(u16, &'static str),
}

/// Runs a connection that was upgraded; `leftover` was read behind the upgrade request.
pub(crate) async fn run(accounts: Arc<Accounts>, shard: Rc<Shard>, stream: TcpStream, leftover: Vec<u8>, admitted: Unauthenticated) {
    let ids = shard.hub.reader().ids();
    let connection = Rc::new(Connection {
        stream,
        wake: Notify::new(),
        waiting: RefCell::new(Slab::new()),
        ending: Cell::new(None),
        ids,
        conf: Cell::new(ConfNo(0)),
        sending: Sending::default(),
        waits: Cell::new(false),
    });
    let mut decoder = Decoder::new(shard.hub.limits().frame_bytes, Binary::Refused);
    decoder.hold(&leftover);
    drop(leftover);
    let signed_in = Box::pin(tokio::time::timeout(HELLO_TIMEOUT, sign_in(&accounts, &shard, &connection, &mut decoder))).await;
    let session = match signed_in {
        Ok(Ok(session)) => session,
        Ok(Err(Closing { code, reason })) => return Box::pin(connection.close(code, reason)).await,
        Err(_) => return Box::pin(connection.close(1008, "hello_timeout")).await,
    };
    drop((admitted, accounts));
    connection.conf.set(session.who.conf);
    let task = Box::new(Task { connection, decoder, session, submissions: Vec::new(), unread: true, missed_pings: 0 });
    // A task of its own, since this one keeps the room that signing in took.
    tokio::task::spawn_local(serve(task));
}

/// Serves a connection with a session until it ends.
async fn serve(mut task: Box<Task>) {
    let Closing { code, reason } = task.serve().await;
    Box::pin(task.close(code, reason)).await;
}

/// Why a connection closes; code 0 when there is nobody to tell.
struct Closing {
    code: u16,
    reason: &'static str,
}

const GONE: Closing = Closing { code: 0, reason: "" };

/// Reads until `session.hello` has succeeded. Other methods are told to sign in first; a client that only talks on is sent away.
async fn sign_in(accounts: &Accounts, shard: &Rc<Shard>, connection: &Rc<Connection>, decoder: &mut Decoder) -> Result<Session, Closing> {
    let mut unread = true;
    let mut messages = 0;
    while messages < MAX_BEFORE_HELLO {
        let text = match connection.first(shard, decoder, &mut unread)? {
            First::Nothing => {
                connection.stream.readable().await.map_err(|_| GONE)?;
                continue;
            }
            First::Part => {
                tokio::task::yield_now().await;
                continue;
            }
            First::Control => None,
            First::Text(text) => Some(text),
        };
        messages += 1;
        if let Some(text) = text {
            let mut out = Vec::new();
            let peer: Rc<dyn Peer> = Rc::clone(connection) as Rc<dyn Peer>;
            let session = methods::hello(shard, accounts, peer, &text, &mut out);
            let mut framed = Vec::with_capacity(out.len() + 10);
            if !out.is_empty() {
                frame::write_text_with(&mut framed, |framed| framed.extend_from_slice(&out));
            }
            if let Some(session) = session {
                // By its lane: from now on the shard writes to the socket, too.
                session.push(|into| into.extend_from_slice(&framed));
                return Ok(session);
            }
            connection.write_all(&framed).await.map_err(|_| GONE)?;
        }
        // Others on the shard, and this connection's time limit, get their turn.
        tokio::task::yield_now().await;
    }
    Err(Closing { code: 1008, reason: "no_session" })
}

/// What a connection that has not signed in yet has sent.
enum First {
    /// A message.
    Text(String),
    /// A ping or pong: before sign-in not worth an answer.
    Control,
    /// Not yet a whole message.
    Part,
    /// Nothing more for now.
    Nothing,
}

impl Connection {
    /// The next that was sent. Reads only when `unread` says that nothing is held that was not looked at.
    fn first(&self, shard: &Shard, decoder: &mut Decoder, unread: &mut bool) -> Result<First, Closing> {
        shard.read_buffer(|buffer| {
            let read = if *unread { 0 } else { self.try_read(buffer)? };
            let mut input = &mut buffer[..read];
            let first = match decoder.next(&mut input) {
                Ok(Some(Event::Text(text))) => First::Text(text.to_owned()),
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => First::Control,
                Ok(Some(Event::Close { .. } | Event::Binary(_))) => return Err(Closing { code: 1000, reason: "" }),
                Ok(None) if read == 0 && !*unread => First::Nothing,
                Ok(None) => First::Part,
                Err(violation) => return Err(Closing { code: violation.close_code(), reason: violation_reason(violation) }),
            };
            *unread = matches!(first, First::Text(_) | First::Control);
            decoder.hold(input);
            Ok(first)
        })
    }

    fn try_read(&self, buffer: &mut [u8]) -> Result<usize, Closing> {
        match self.stream.try_read(buffer) {
            Ok(0) => Err(GONE),
            Ok(read) => {
                if read < buffer.len() {
                    // The socket is empty now: saying so saves the read that would find it out (tokio's own readers do the same).
                    let _ = self.stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
                }
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(GONE),
        }
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn close(&self, code: u16, reason: &str) {
        if code == 0 {
            return;
        }
        let mut frame = Vec::new();
        frame::write_close(Some(code), reason, &mut frame);
        // A peer that does not read its close frame gets none.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.write_all(&frame)).await;
    }
}

fn violation_reason(violation: frame::Violation) -> &'static str {
    match violation {
        frame::Violation::Protocol(what) => what,
        frame::Violation::Binary => "binary",
        frame::Violation::NotUtf8 => "not_utf8",
        frame::Violation::TooBig => "too_large",
    }
}

/// A connection with a session.
struct Task {
    connection: Rc<Connection>,
    decoder: Decoder,
    session: Session,
    /// Messages of one read, for the queue.
    submissions: Vec<Submission>,
    /// The decoder holds bytes that were not looked at yet.
    unread: bool,
    missed_pings: u32,
}

impl Task {
    /// The connection's loop: write what waits, refill when lagging, read when there is room.
    async fn serve(&mut self) -> Closing {
        let mut ping_at = Instant::now() + PING_EVERY;
        loop {
            let flushed = self.session.flush();
            if flushed == Flushed::Gone {
                return GONE;
            }
            if let Some(ending) = self.connection.ending.get() {
                return self.say_goodbye(ending);
            }
            if flushed == Flushed::Empty && self.session.lags() && Box::pin(self.session.refill()).await {
                continue;
            }
            let readable = if self.unread && self.has_room() {
                true
            } else {
                match self.wait(flushed, &mut ping_at).await {
                    Ok(readable) => readable,
                    Err(closing) => return closing,
                }
            };
            if readable && let Some(closing) = self.read().await {
                return closing;
            }
        }
    }

    /// Waits until there is something to do; whether it is to read.
    async fn wait(&mut self, flushed: Flushed, ping_at: &mut Instant) -> Result<bool, Closing> {
        // A refill that could not be read or took no room is tried again before long.
        let retries = flushed == Flushed::Empty && self.session.lags();
        let until = if retries { Instant::now() + REFILL_RETRY } else { *ping_at };
        let room = self.has_room();
        self.connection.waits.set(!room);
        let interest = match (room, flushed) {
            (true, Flushed::Blocked) => Interest::READABLE | Interest::WRITABLE,
            (true, _) => Interest::READABLE,
            (false, Flushed::Blocked) => Interest::WRITABLE,
            // Answers are on their way; then there is room.
            (false, _) => Interest::ERROR,
        };
        tokio::select! {
            biased;
            () = self.connection.wake.notified() => Ok(false),
            ready = self.connection.stream.ready(interest) => match ready {
                Ok(ready) if ready.is_readable() => Ok(true),
                Ok(ready) if ready.is_error() => Err(GONE),
                Ok(_) => Ok(false),
                Err(_) => Err(GONE),
            },
            () = tokio::time::sleep_until(until) => {
                if Instant::now() < *ping_at {
                    return Ok(false);
                }
                *ping_at = Instant::now() + PING_EVERY;
                if self.session.has_expired() {
                    self.connection.ending.set(Some(Ending::SignedOut));
                }
                if self.missed_pings >= MISSED_PINGS {
                    return Err(Closing { code: 1001, reason: "idle_timeout" });
                }
                self.missed_pings += 1;
                self.session.push(|into| frame::write_ping(b"", into));
                Ok(false)
            }
        }
    }

    fn has_room(&self) -> bool {
        let limits = self.session.shard.hub.limits();
        self.connection.waiting.borrow().len() < limits.requests_per_session && self.session.answers_bytes() < limits.answers_bytes
    }

    /// Reads once and carries out what was asked.
    async fn read(&mut self) -> Option<Closing> {
        let shard = Rc::clone(&self.session.shard);
        let next = shard.read_buffer(|buffer| {
            let read = if self.unread { 0 } else { self.connection.try_read(buffer)? };
            let mut input = &mut buffer[..read];
            let next = self.take(&mut input);
            if !input.is_empty() {
                self.decoder.hold(input);
            }
            Ok(next)
        });
        if !self.submissions.is_empty() {
            let submissions = std::mem::take(&mut self.submissions);
            // Boxed only when there is no room at once, so that an idle task holds no room for waiting.
            if let Err(back) = shard.hub.queue().push(submissions) {
                Box::pin(shard.hub.queue().submit(back)).await;
            }
        }
        match next {
            Err(closing) => Some(closing),
            Ok(Next::More) => None,
            Ok(Next::Close(code, reason)) => Some(Closing { code, reason }),
            Ok(Next::Request(text)) => {
                Box::pin(self.carry_out(&text)).await;
                None
            }
        }
    }

    /// Takes messages out of what was read: `message.send` is prepared for the queue, anything else stops the taking.
    fn take(&mut self, input: &mut &mut [u8]) -> Next {
        let limits = self.session.shard.hub.limits();
        self.unread = true;
        while self.connection.waiting.borrow().len() < limits.requests_per_session {
            match self.decoder.next(input) {
                Ok(None) => {
                    self.unread = false;
                    return Next::More;
                }
                Ok(Some(event)) => {
                    self.missed_pings = 0;
                    let next = match event {
                        Event::Text(text) => Self::text(&self.connection, &self.session, &mut self.submissions, text),
                        Event::Ping(payload) => {
                            self.session.append(|into| frame::write_pong(payload, into));
                            Next::More
                        }
                        Event::Pong(_) => Next::More,
                        Event::Binary(_) => Next::Close(1003, "binary"),
                        Event::Close { code, .. } => Next::Close(code.unwrap_or(1000), ""),
                    };
                    if !matches!(next, Next::More) {
                        return next;
                    }
                }
                Err(violation) => return Next::Close(violation.close_code(), violation_reason(violation)),
            }
        }
        Next::More
    }

    /// A single `message.send` goes to the queue without a detour; its answer comes through the shard's mailbox.
    fn text(connection: &Connection, session: &Session, submissions: &mut Vec<Submission>, text: &str) -> Next {
        match rpc::parse(text) {
            Ok(Message::One(Call { id: Some(id), method, params })) if MethodId::named(&method) == Some(MethodId::MessageSend) => {
                match send::prepare(&session.shard.hub, &session.who, &connection.sending, params) {
                    Ok(action) => {
                        let tag = u32::try_from(connection.waiting.borrow_mut().insert(id)).unwrap_or(u32::MAX);
                        submissions.push(session.submission(tag, action));
                    }
                    Err(early) => {
                        session
                            .append(|into| frame::write_text_with(into, |into| early.write(&id, session.who.conf, &connection.ids, into)));
                    }
                }
                Next::More
            }
            Ok(_) => Next::Request(text.to_owned()),
            Err((id, fault)) => {
                session.append(|into| frame::write_text_with(into, |into| rpc::write_error(into, &id, &fault)));
                Next::More
            }
        }
    }

    /// Carries out a request that is not just posted. What was posted before is answered first, so that requests of one connection see
    /// each other's effects in order.
    async fn carry_out(&mut self, text: &str) {
        self.connection.waits.set(true);
        while !self.connection.waiting.borrow().is_empty() && self.connection.ending.get().is_none() {
            self.connection.wake.notified().await;
            if self.session.flush() == Flushed::Gone {
                return;
            }
        }
        let Task { session, connection, .. } = self;
        let caller = Caller {
            hub: &session.shard.hub,
            who: &session.who,
            via: Via::Ws,
            sending: &connection.sending,
            session: Some(session),
            is_guest: false,
        };
        let mut out = Vec::new();
        methods::message(&caller, text, &mut out).await;
        if !out.is_empty() {
            session.push(|into| frame::write_text_with(into, |into| into.extend_from_slice(&out)));
        }
    }

    fn say_goodbye(&self, ending: Ending) -> Closing {
        let (code, reason) = match ending {
            Ending::Closed | Ending::TakenOver => (4001, "session_closed"),
            Ending::SignedOut => (4001, "session_ended"),
            Ending::Draining => (1012, "draining"),
        };
        self.session.push(|into| frame::write_text_with(into, |into| crate::wire::write_session_notice(ending, into)));
        Closing { code, reason }
    }

    /// Writes what waits and the close frame behind it, as far as the peer takes it in time.
    async fn close(&self, code: u16, reason: &str) {
        if code == 0 {
            return;
        }
        // Nothing follows a close frame (RFC 6455 §5.5.1).
        self.session.silence();
        self.session.push(|into| frame::write_close(Some(code), reason, into));
        let written = async {
            while self.session.flush() == Flushed::Blocked {
                if self.connection.stream.writable().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, written).await;
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
        assert!(bytes <= 1024, "{bytes} bytes of task and connection");
    }
}
