//! A WebSocket connection's life, whatever is spoken in it: sign-in, then messages in and frames out until one side ends it.
//!
//! The shard writes events to the socket itself; a connection's task reads messages, and writes what the socket did not take at once. What
//! is said is a [`Dialect`]'s; what is the same for all is here and beside it: [`Connection`] (what the shard and the task share),
//! [`Entering`] (before sign-in) and `task` (the loop).

mod connection;
mod entering;
mod task;

use std::rc::Rc;
use std::time::Duration;

use hallway_broker::frame::{self, Binary, Decoder};
use hallway_broker::outbox::Stamped;
use hallway_broker::peers::Unauthenticated;
use hallway_broker::queue::{Answer, Submission};
use hallway_broker::recent::Published;
use hallway_broker::reject::{Class, Reject};
use hallway_broker::session::Session;
use hallway_broker::shard::{Ending, Shard};
use tokio::net::TcpStream;

pub(crate) use connection::Connection;
pub(crate) use entering::Entering;
#[cfg(test)]
pub(crate) use task::idle_bytes;

/// How long a connection may take to sign in.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the server pings.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Pings that stay without any sign of life; with the next one due the connection is given up, after 90 s.
const MISSED_PINGS: u32 = 2;

/// What is said over a connection. Its value is a part of the connection, so that both the shard (with an answer) and the task use it.
pub(crate) trait Dialect: Sized + 'static {
    /// What the connection's request brought along for signing in.
    type Entrance;
    /// A message that is carried out, not just posted.
    type Request;

    /// The number of its form among the hub's wires.
    fn wire(&self) -> usize;

    /// How long signing in may take.
    fn patience(&self) -> Duration {
        HELLO_TIMEOUT
    }

    /// How often a sign of life is asked for.
    fn heartbeat(&self) -> Heartbeat {
        Heartbeat { every: PING_EVERY, missed: MISSED_PINGS }
    }

    /// Signs in: with what the request brought along, or what [`Entering::next_text`] reads. What it has to say goes by
    /// [`Entering::write`] until the session is open, and by the session's lane from then on, since the shard writes to the socket, too.
    async fn sign_in(entering: &mut Entering<'_, Self>, entrance: Self::Entrance) -> Result<Session, Closing>;

    /// A message: prepared for the queue, answered at once by [`Session::append`], or something to be carried out.
    fn text(&self, session: &Session, text: &str, submissions: &mut Vec<Submission>) -> Next<Self::Request>;

    /// Carries out a message that is not just posted. What was posted before has been answered.
    async fn carry_out(&self, session: &Session, request: Self::Request);

    /// Looked at as often as the heart beats: why the connection closes, if it is to.
    fn look(&self, _session: &Session) -> Option<Closing> {
        None
    }

    /// Messages that wait for the hub's answer.
    fn waiting(&self) -> usize;

    /// Appends the hub's answer to message `tag`, as a frame.
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>);

    /// Appends what asks for a sign of life.
    fn ping(&self, into: &mut Vec<u8>) {
        frame::write_ping(b"", into);
    }

    /// Makes the session's own copy of an event that it reads so ([`hallway_broker::topic::How::stamped`]).
    fn stamp(&self, _published: &Published, _into: &mut Vec<u8>) -> Stamped {
        Stamped::Unwanted
    }

    /// Another session of the same user has begun or ended.
    fn companions_changed(&self, _shard: &Rc<Shard>, _slot: u32, _id: u64) {}

    /// Appends what is said before a session ends, and why the connection closes then.
    fn goodbye(&self, ending: Ending, into: &mut Vec<u8>) -> Closing;
}

/// How often a sign of life is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    /// How often.
    pub every: Duration,
    /// How many stay without any; with the next one due the connection is given up.
    pub missed: u32,
}

/// What to do after a message.
pub(crate) enum Next<R> {
    /// Read on.
    More,
    /// A message that is not posted but carried out.
    Request(R),
    /// Close.
    Close(Closing),
}

/// Why a connection closes; code 0 when there is nobody to tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing {
    pub code: u16,
    pub reason: &'static str,
}

impl Closing {
    /// The peer is gone.
    pub const GONE: Self = Self { code: 0, reason: "" };
    /// RFC 6455 §7.4.1: done.
    pub const NORMAL: Self = Self { code: 1000, reason: "" };

    /// When no session could be opened, or what it was for cannot be had.
    pub fn refused(reject: &Reject) -> Self {
        let code = match reject.reason.class() {
            Class::RateLimited | Class::Unavailable => 1013,
            Class::Unauthorized => 4001,
            Class::NotFound => 4004,
            _ => 4003,
        };
        Self { code, reason: reject.reason.word() }
    }

    /// How all dialects close when a session ends.
    pub fn of(ending: Ending) -> Self {
        let (code, reason) = match ending {
            Ending::Closed | Ending::TakenOver => (4001, "session_closed"),
            Ending::SignedOut => (4001, "session_ended"),
            Ending::Draining => (1012, "draining"),
        };
        Self { code, reason }
    }
}

impl From<frame::Violation> for Closing {
    fn from(violation: frame::Violation) -> Self {
        let reason = match violation {
            frame::Violation::Protocol(what) => what,
            frame::Violation::Binary => "binary",
            frame::Violation::NotUtf8 => "not_utf8",
            frame::Violation::TooBig => "too_large",
        };
        Self { code: violation.close_code(), reason }
    }
}

/// A connection that was upgraded.
pub(crate) struct Opened {
    pub shard: Rc<Shard>,
    pub stream: TcpStream,
    /// What was read behind the upgrade request.
    pub leftover: Vec<u8>,
    /// Counts the connection until somebody has signed in on it.
    pub admitted: Unauthenticated,
}

/// Runs a connection.
pub(crate) async fn run<D: Dialect>(opened: Opened, dialect: D, entrance: D::Entrance) {
    let Opened { shard, stream, leftover, admitted } = opened;
    let connection = Rc::new(Connection::new(stream, dialect));
    let mut decoder = Decoder::new(shard.hub.limits().frame_bytes, Binary::Refused);
    decoder.hold(&leftover);
    drop(leftover);
    let mut entering = Entering::new(&shard, &connection, &mut decoder);
    let signed_in = Box::pin(tokio::time::timeout(connection.dialect.patience(), D::sign_in(&mut entering, entrance))).await;
    let session = match signed_in {
        Ok(Ok(session)) => session,
        Ok(Err(closing)) => return Box::pin(connection.close(closing)).await,
        Err(_) => return Box::pin(connection.close(Closing { code: 1008, reason: "hello_timeout" })).await,
    };
    drop(admitted);
    // A task of its own, since this one keeps the room that signing in took.
    task::spawn(connection, decoder, session);
}
