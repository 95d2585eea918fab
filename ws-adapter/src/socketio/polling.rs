//! A session over long polling. It lives on one shard, which its id names: a GET waits for packets, a POST brings some. While no GET waits, the
//! session's lanes take what is to be said, and their bounds are the only ones; a POST is answered when what it brought has been taken, so
//! that who does not read is not heard either.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::bell::Bell;
use hallway_broker::outbox::{Link, Stamped};
use hallway_broker::peers::Unauthenticated;
use hallway_broker::queue::Answer;
use hallway_broker::recent::Published;
use hallway_broker::shard::{Ending, Peer, Shard};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::arrival::{self, Arrival};
use super::edge::{self, Edge};
use super::engine::{self, Version};
use super::exchange::{Answered, Ask};
use super::polled_task;
use super::pulse::Pulse;
use super::query::{BadRequest, Query};
use super::sid::Sid;
use super::speaker::Speaker;
use super::wire::{self, SOCKETIO_WIRE, texts};
use crate::rpc::Fault;

/// Bytes of one polling answer, about: with so many the next have to wait for the next poll.
const BODY_BYTES: usize = 128 * 1024;

/// What counts the connection that a request came on as one that nobody has signed in on. A session that takes the request lets go of it, since it is
/// counted itself, and has one GET and one POST at a time: so many people at one address may poll at once.
pub(crate) type Guard = Option<Unauthenticated>;

/// What came of a request.
pub(crate) struct Reply {
    pub answered: Answered,
    /// The connection's guard, if nothing took the request.
    pub guard: Guard,
    /// Somebody has signed in on its session.
    pub is_in: bool,
}

/// Where the answer goes: to the request's own shard.
pub(crate) struct ReplyTo {
    to: oneshot::Sender<Reply>,
    guard: Guard,
    is_in: bool,
}

impl ReplyTo {
    /// To `to`, of a connection with this guard.
    pub fn new(to: oneshot::Sender<Reply>, guard: Guard) -> Self {
        Self { to, guard, is_in: false }
    }

    fn send(self, answered: Answered) {
        self.try_send(answered);
    }

    /// Whether somebody is there to be answered.
    fn try_send(self, answered: Answered) -> bool {
        let Self { to, guard, is_in } = self;
        to.send(Reply { answered, guard, is_in }).is_ok()
    }

    fn is_closed(&self) -> bool {
        self.to.is_closed()
    }
}

/// See the module's text.
pub(crate) struct Polled {
    pub(super) sid: Sid,
    pub(super) version: Version,
    pub(super) speaker: Rc<Speaker>,
    pub(super) bell: Bell,
    /// Somebody has signed in.
    pub(super) is_in: Cell<bool>,
    pub(super) pulse: RefCell<Pulse>,
    /// The GET that waits.
    get: RefCell<Option<Get>>,
    /// The POST whose packets are being taken.
    post: RefCell<Option<Post>>,
    /// Frames from before there was a session.
    early: RefCell<Vec<u8>>,
    /// The end came by something that the client must not do.
    pub(super) is_broken: Cell<bool>,
    /// A WebSocket is about to take over: polls are answered at once.
    pub(super) probing: Cell<bool>,
    /// It takes over.
    pub(super) successor: RefCell<Option<oneshot::Sender<polled_task::Handover>>>,
}

struct Get {
    frames: Vec<u8>,
    reply: ReplyTo,
}

struct Post {
    packets: VecDeque<String>,
    reply: ReplyTo,
}

impl Link for Polled {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut get = self.get.borrow_mut();
        let Some(get) = get.as_mut() else { return Err(io::ErrorKind::WouldBlock.into()) };
        if get.frames.len() >= BODY_BYTES || self.probing.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        get.frames.extend_from_slice(bytes);
        self.bell.ring();
        Ok(bytes.len())
    }
    fn wake(&self) {
        self.bell.ring();
    }
    fn wire(&self) -> usize {
        SOCKETIO_WIRE
    }
    fn stamp(&self, published: &Published, _: &[u8], into: &mut Vec<u8>) -> Stamped {
        wire::stamp_notification(published, self.speaker.ids, into);
        Stamped::Given
    }
}

impl Peer for Polled {
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        self.speaker.answer(tag, answer, into);
        self.bell.answered();
    }
    fn end(&self, why: Ending) {
        self.bell.end(why);
    }
    fn companions_changed(&self, shard: &Rc<Shard>, slot: u32, id: u64) {
        self.speaker.tell_connections(shard, slot, id);
    }
}

/// Carries a request out on the session's own shard.
pub(crate) fn ask(shard: &Rc<Shard>, edge: &Arc<Edge>, ask: Ask, address: IpAddr, reply: ReplyTo) {
    match ask {
        Ask::Open(query) => reply.send(open(shard, edge, query, address)),
        Ask::Get(sid) => match edge::polled(&sid) {
            Some(polled) => polled.get(reply),
            None => reply.send(Answered::Bad(BadRequest::Session)),
        },
        Ask::Post(sid, body) => match edge::polled(&sid) {
            Some(polled) => polled.post(&body, reply),
            None => reply.send(Answered::Bad(BadRequest::Session)),
        },
    }
}

/// Opens a session, and answers with what tells the client its id.
fn open(shard: &Rc<Shard>, edge: &Arc<Edge>, query: Query, address: IpAddr) -> Answered {
    use hallway_broker::reject::Reason;
    let refusal = match (edge.hub.writable(), edge.arrivals.admit(address)) {
        (Err(reject), _) => Err(reject.into()),
        (Ok(()), None) => Err(Fault::from(Reason::TooManySessions)),
        (Ok(()), Some(admitted)) => Ok(admitted),
    };
    let admitted: Unauthenticated = match refusal {
        Ok(admitted) => admitted,
        Err(fault) => return Answered::Refused(fault),
    };
    let Query { version, claims, .. } = query;
    let sid = Sid::new(shard.index);
    let opening = engine::open(version, &sid.text(), true, edge.heartbeat, edge.hub.limits().frame_bytes);
    let polled = Rc::new(Polled {
        sid,
        version,
        speaker: arrival::speaker(edge, version),
        bell: Bell::default(),
        is_in: Cell::new(false),
        pulse: RefCell::new(Pulse::new(version, edge.heartbeat, Instant::now())),
        get: RefCell::default(),
        post: RefCell::default(),
        early: RefCell::default(),
        is_broken: Cell::new(false),
        probing: Cell::new(false),
        successor: RefCell::default(),
    });
    edge::note_polled(sid, Rc::clone(&polled));
    let mut body = Vec::new();
    engine::append(version, &opening, &mut body);
    let arrival = Arrival::new(Rc::clone(shard), claims, address, Some(admitted));
    tokio::task::spawn_local(polled_task::run(polled, arrival));
    Answered::Packets(body)
}

impl Polled {
    /// What answers a request of this session, which counts in its connection's place.
    fn ours(&self, reply: ReplyTo) -> ReplyTo {
        ReplyTo { guard: None, is_in: self.is_in.get(), ..reply }
    }

    fn get(&self, reply: ReplyTo) {
        let reply = self.ours(reply);
        let mut get = self.get.borrow_mut();
        // A client that has lost its request asks again; one that asks twice at once is confused, and Engine.IO ends its session.
        if get.as_ref().is_some_and(|get| !(get.reply.is_closed() && get.frames.is_empty())) {
            drop(get);
            reply.send(Answered::Bad(BadRequest::Overlap));
            return self.breaks();
        }
        *get = Some(Get { frames: self.early.take(), reply });
        self.bell.ring();
    }

    fn post(&self, body: &str, reply: ReplyTo) {
        let reply = self.ours(reply);
        if self.post.borrow().is_some() {
            reply.send(Answered::Bad(BadRequest::Overlap));
            return self.breaks();
        }
        match engine::payload(self.version, body) {
            Ok(packets) => {
                let packets = packets.into_iter().map(str::to_owned).collect();
                *self.post.borrow_mut() = Some(Post { packets, reply });
                self.bell.ring();
            }
            Err(malformed) => {
                reply.send(Answered::Bad(BadRequest::Malformed(malformed)));
                self.breaks();
            }
        }
    }

    fn breaks(&self) {
        self.is_broken.set(true);
        self.bell.ring();
    }

    /// The next packet that was brought.
    pub(super) fn next_packet(&self) -> Option<String> {
        let packet = self.post.borrow_mut().as_mut()?.packets.pop_front()?;
        self.pulse.borrow_mut().heard(Instant::now());
        Some(packet)
    }

    /// Answers the POST whose packets have all been taken, or (`broken`) whose last one cannot be.
    pub(super) fn answer_post(&self, broken: Option<&'static str>) {
        let mut post = self.post.borrow_mut();
        if broken.is_some() || post.as_ref().is_some_and(|post| post.packets.is_empty()) {
            let Some(Post { reply, .. }) = post.take() else { return };
            self.ours(reply).send(broken.map_or(Answered::Taken, Answered::Broken));
        }
    }

    /// Says something while there is no session.
    pub(super) fn say(&self, frames: &[u8]) {
        match self.get.borrow_mut().as_mut() {
            Some(get) => get.frames.extend_from_slice(frames),
            None => self.early.borrow_mut().extend_from_slice(frames),
        }
    }

    /// Frames that wait for a GET while there is no session.
    pub(super) fn early_bytes(&self) -> usize {
        self.early.borrow().len()
    }

    /// Frames that were not taken, for who takes over.
    pub(super) fn take_early(&self) -> Vec<u8> {
        self.early.take()
    }

    /// Whether a GET waits.
    pub(super) fn has_get(&self) -> bool {
        self.get.borrow().is_some()
    }

    /// Whether a POST waits.
    pub(super) fn has_post(&self) -> bool {
        self.post.borrow().is_some()
    }

    /// Answers the GET when there is something to be told, with `last` in any case and behind all else. `false` when its client has gone, and
    /// what it was to be told is lost.
    pub(super) fn answer_get(&self, last: Option<&str>) -> bool {
        let mut waiting = self.get.borrow_mut();
        let ready = waiting.as_ref().is_some_and(|get| last.is_some() || !get.frames.is_empty());
        let Some(Get { frames, reply }) = waiting.take_if(|_| ready) else { return true };
        let mut body = Vec::with_capacity(frames.len());
        for text in texts(&frames).chain(last) {
            engine::append(self.version, text, &mut body);
        }
        self.pulse.borrow_mut().polled(Instant::now());
        self.ours(reply).try_send(Answered::Packets(body))
    }
}
