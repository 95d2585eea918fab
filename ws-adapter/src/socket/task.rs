//! The loop of a connection that has a session: write what waits, refill when lagging, read when there is room.

use std::rc::Rc;
use std::time::Duration;

use hallway_broker::frame::{self, Decoder, Event};
use hallway_broker::outbox::Flushed;
use hallway_broker::queue::Submission;
use hallway_broker::session::Session;
use hallway_broker::shard::Ending;
use tokio::io::Interest;
use tokio::time::Instant;

use super::connection::CLOSE_TIMEOUT;
use super::{Closing, Connection, Dialect, Next};

/// When a refill that failed is tried again.
const REFILL_RETRY: Duration = Duration::from_millis(200);

/// A connection with a session.
struct Task<D> {
    connection: Rc<Connection<D>>,
    decoder: Decoder,
    session: Session,
    /// Messages of one read, for the queue.
    submissions: Vec<Submission>,
    /// The decoder holds bytes that were not looked at yet.
    unread: bool,
    missed_pings: u32,
}

/// Runs a connection with a session in a task of its own.
pub(super) fn spawn<D: Dialect>(connection: Rc<Connection<D>>, decoder: Decoder, session: Session) {
    let task = Box::new(Task { connection, decoder, session, submissions: Vec::new(), unread: true, missed_pings: 0 });
    tokio::task::spawn_local(serve(task));
}

/// Serves a connection with a session until it ends.
async fn serve<D: Dialect>(mut task: Box<Task<D>>) {
    let closing = task.serve().await;
    Box::pin(task.close(closing)).await;
}

impl<D: Dialect> Task<D> {
    async fn serve(&mut self) -> Closing {
        let mut ping_at = Instant::now() + self.connection.dialect.heartbeat().every;
        loop {
            let flushed = self.session.flush();
            if flushed == Flushed::Gone {
                return Closing::GONE;
            }
            if let Some(ending) = self.connection.bell.ending() {
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
        self.connection.bell.await_answers(!room);
        let interest = match (room, flushed) {
            (true, Flushed::Blocked) => Interest::READABLE | Interest::WRITABLE,
            (true, _) => Interest::READABLE,
            (false, Flushed::Blocked) => Interest::WRITABLE,
            // Answers are on their way; then there is room.
            (false, _) => Interest::ERROR,
        };
        tokio::select! {
            biased;
            () = self.connection.bell.rung() => Ok(false),
            ready = self.connection.stream.ready(interest) => match ready {
                Ok(ready) if ready.is_readable() => Ok(true),
                Ok(ready) if ready.is_error() => Err(Closing::GONE),
                Ok(_) => Ok(false),
                Err(_) => Err(Closing::GONE),
            },
            () = tokio::time::sleep_until(until) => self.tick(ping_at).map(|()| false),
        }
    }

    /// Some time has passed: when a sign of life is due, asks for one, or gives up.
    fn tick(&mut self, ping_at: &mut Instant) -> Result<(), Closing> {
        if Instant::now() < *ping_at {
            return Ok(());
        }
        let dialect = &self.connection.dialect;
        let heartbeat = dialect.heartbeat();
        *ping_at = Instant::now() + heartbeat.every;
        if self.session.has_expired() {
            self.connection.bell.end(Ending::SignedOut);
        }
        if let Some(closing) = dialect.look(&self.session) {
            return Err(closing);
        }
        if self.missed_pings >= heartbeat.missed {
            return Err(Closing { code: 1001, reason: "idle_timeout" });
        }
        self.missed_pings += 1;
        self.session.push(|into| dialect.ping(into));
        Ok(())
    }

    fn has_room(&self) -> bool {
        let limits = self.session.shard.hub.limits();
        self.connection.dialect.waiting() < limits.requests_per_session && self.session.answers_bytes() < limits.answers_bytes
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
            Err(closing) | Ok(Next::Close(closing)) => Some(closing),
            Ok(Next::More) => None,
            Ok(Next::Request(request)) => {
                Box::pin(self.carry_out(request)).await;
                None
            }
        }
    }

    /// Takes messages out of what was read, up to one that is to be carried out.
    fn take(&mut self, input: &mut &mut [u8]) -> Next<D::Request> {
        let limits = self.session.shard.hub.limits();
        let dialect = &self.connection.dialect;
        self.unread = true;
        while dialect.waiting() < limits.requests_per_session {
            match self.decoder.next(input) {
                Ok(None) => {
                    self.unread = false;
                    return Next::More;
                }
                Ok(Some(event)) => {
                    self.missed_pings = 0;
                    let next = match event {
                        Event::Text(text) => dialect.text(&self.session, text, &mut self.submissions),
                        Event::Ping(payload) => {
                            self.session.append(|into| frame::write_pong(payload, into));
                            Next::More
                        }
                        Event::Pong(_) => Next::More,
                        Event::Binary(_) => Next::Close(Closing { code: 1003, reason: "binary" }),
                        Event::Close { code, .. } => Next::Close(Closing { code: code.unwrap_or(1000), reason: "" }),
                    };
                    if !matches!(next, Next::More) {
                        return next;
                    }
                }
                Err(violation) => return Next::Close(violation.into()),
            }
        }
        Next::More
    }

    /// Carries out a message that is not just posted. What was posted before is answered first, so that messages of one connection see
    /// each other's effects in order.
    async fn carry_out(&mut self, request: D::Request) {
        let Self { connection, session, .. } = self;
        connection.bell.await_answers(true);
        while connection.dialect.waiting() > 0 && connection.bell.ending().is_none() {
            connection.bell.rung().await;
            if session.flush() == Flushed::Gone {
                return;
            }
        }
        connection.dialect.carry_out(session, request).await;
    }

    fn say_goodbye(&self, ending: Ending) -> Closing {
        let mut said = Vec::new();
        let closing = self.connection.dialect.goodbye(ending, &mut said);
        self.session.push(|into| into.extend_from_slice(&said));
        closing
    }

    /// Writes what waits and the close frame behind it, as far as the peer takes it in time.
    async fn close(&self, closing: Closing) {
        let Closing { code, reason } = closing;
        if code == 0 {
            return;
        }
        // Nothing follows a close frame (RFC 6455 §5.5.1), and whoever has read it does not find the session any more.
        self.session.silence();
        self.session.retire();
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

/// Bytes that an idle connection takes of the heap for its task and itself.
#[cfg(test)]
pub(crate) fn idle_bytes<D: Dialect>() -> usize {
    fn bytes_of<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }
    bytes_of(serve::<D>) + size_of::<Task<D>>() + size_of::<Connection<D>>()
}
