//! A connection as its shard and its task share it: the shard writes events to it and brings the hub's answers, the task does all else.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use hallway_broker::bell::Bell;
use hallway_broker::frame;
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::outbox::{Link, Stamped};
use hallway_broker::queue::Answer;
use hallway_broker::recent::Published;
use hallway_broker::reject::Reject;
use hallway_broker::sending::Sending;
use hallway_broker::shard::{Ending, Peer};
use hallway_broker::topic::Telling;
use hallway_broker::transport::Transport;
use slab::Slab;
use tokio::sync::oneshot;

use super::deliver::{self, Catching};
use super::edge::{Domain, Edge};
use super::management::{self, Received, Sent, Unacknowledged};
use super::resume::{Parcel, Returning};
use super::rooms::RoomKey;
use super::stanza::{Returned, StanzaError, write_error};
use super::stream::Framing;
use super::wire::XMPP_WIRE;
use super::write::Writer;

/// Stanzas that a client may leave unacknowledged before it is given nothing more.
const MAX_UNACKNOWLEDGED: usize = 1024;
/// Of these, the bytes of those that are kept for it.
const MAX_KEPT_BYTES: usize = 1 << 20;
/// Messages whose answer is awaited that an idle connection keeps room for.
const IDLE_REQUESTS: usize = 16;

/// Who is connected.
pub(super) struct Me {
    pub conf: ConfNo,
    pub uid: Uid,
    pub name: Arc<str>,
    pub bare: Arc<str>,
    pub full: Arc<str>,
}

impl Me {
    /// The resource.
    pub fn resource(&self) -> &str {
        self.full.get(self.bare.len() + 1..).unwrap_or_default()
    }
}

/// A message that the hub was asked to take.
pub(super) struct Waiting {
    /// Its number among the client's stanzas.
    pub number: u32,
    /// What it would come back with if it is refused.
    pub id: Option<Box<str>>,
    pub to: Box<str>,
}

/// A room that the session is in.
pub(super) struct InRoom {
    pub key: RoomKey,
    pub id: ConversationId,
    /// What it has been told of the occupants.
    pub version: u64,
    /// What is at or below this pos was of the past when it entered.
    pub since: u64,
}

/// Stream management, once the client has enabled it.
pub(super) struct Managed {
    /// The name by which the session is resumed.
    pub id: Box<str>,
    /// The client wants to resume it.
    pub resumes: bool,
    pub unacknowledged: Unacknowledged,
    /// The client was asked what it has had, and has not said.
    pub asked: bool,
    /// The client wants to know, as soon as this many of its stanzas are done.
    pub wants: Option<u32>,
    /// The client's stanzas before it enabled this, which do not count.
    pub before: u32,
    /// Events that it had before the session was resumed, ascending.
    pub had: Vec<u64>,
}

impl Managed {
    /// How many stanzas of the client are done that count.
    pub fn handled(&self, received: &Received) -> u32 {
        let handled = received.handled();
        if management::reached(handled, self.before) { handled.wrapping_sub(self.before) } else { 0 }
    }
}

/// See the module's text.
pub(super) struct Connection {
    pub edge: Arc<Edge>,
    pub domain: Arc<Domain>,
    pub transport: Transport,
    pub framing: Framing,
    pub me: Me,
    /// ` to="…"`, as it goes into every copy.
    to_attr: Box<[u8]>,
    /// The session's id and its slot on its shard, once it is open.
    pub session: Cell<u64>,
    pub slot: Cell<u32>,
    pub waiting: RefCell<Slab<Waiting>>,
    pub received: RefCell<Received>,
    pub managed: RefCell<Option<Box<Managed>>>,
    pub sending: Sending,
    /// Copies of what one's other sessions say and hear are wanted (XEP-0280).
    pub carbons: Cell<bool>,
    /// What is for one session of its user is for this one: it stands for all that they have elsewhere.
    pub stands_for_all: Cell<bool>,
    /// Nobody looks at the client (XEP-0352).
    pub inactive: Cell<bool>,
    /// The hash of its capabilities, and the nodes that its client wants news of.
    pub caps: RefCell<Box<str>>,
    /// The id of the question which they are, until it is answered.
    pub question: RefCell<Box<str>>,
    pub notified: RefCell<Vec<Box<str>>>,
    /// The block list was asked for: its changes are told (XEP-0191 §3.3).
    pub sees_blocks: Cell<bool>,
    /// The roster was asked for: its changes are told (RFC 6121 §2.1.6).
    pub interested: Cell<bool>,
    /// The link is gone, and the session waits to be resumed.
    pub detached: Cell<bool>,
    pub rooms: RefCell<Vec<InRoom>>,
    /// While direct conversations are caught up with.
    pub catching: RefCell<Option<Box<Catching>>>,
    /// People who are shown as being here by other protocols.
    pub elsewhere: RefCell<HashSet<Uid>>,
    /// Rooms that it was put out of, and follows still.
    pub left: RefCell<Vec<ConversationId>>,
    /// People with whom a conversation has begun: contacts from now on.
    pub met: RefCell<Vec<Uid>>,
    /// Direct conversations are followed from this pos on, for copies alone: what was said while nobody was here is still to be caught up with.
    pub copies_since: Cell<Option<u64>>,
    /// An event of a direct conversation was given since that was last put on record.
    pub touched: Cell<bool>,
    /// Another link wants to go on with the session.
    pub taken_over: RefCell<Option<oneshot::Sender<Parcel>>>,
    /// What is to be followed again, of a session that was resumed.
    pub returning: RefCell<Option<Box<Returning>>>,
    pub bell: Bell,
}

impl Connection {
    pub fn new(edge: Arc<Edge>, domain: Arc<Domain>, transport: Transport, framing: Framing, me: Me) -> Self {
        let mut to_attr = Vec::new();
        Writer::new(&mut to_attr).attr("to", &me.full);
        Self {
            edge,
            domain,
            transport,
            framing,
            me,
            to_attr: to_attr.into(),
            session: Cell::new(0),
            slot: Cell::new(0),
            waiting: RefCell::default(),
            received: RefCell::default(),
            managed: RefCell::default(),
            sending: Sending::default(),
            carbons: Cell::new(false),
            stands_for_all: Cell::new(false),
            inactive: Cell::new(false),
            caps: RefCell::default(),
            question: RefCell::default(),
            notified: RefCell::default(),
            sees_blocks: Cell::new(false),
            interested: Cell::new(false),
            detached: Cell::new(false),
            rooms: RefCell::default(),
            catching: RefCell::default(),
            elsewhere: RefCell::default(),
            left: RefCell::default(),
            met: RefCell::default(),
            copies_since: Cell::new(None),
            touched: Cell::new(false),
            taken_over: RefCell::default(),
            returning: RefCell::default(),
            bell: Bell::default(),
        }
    }

    /// Appends a stanza that is nowhere else.
    pub fn emit(&self, stanza: &[u8], into: &mut Vec<u8>) {
        self.write_framed(stanza.len(), into, |into| into.extend_from_slice(stanza));
        self.note_sent(|| Sent::Own(stanza.into()), into);
    }

    /// Appends what is no stanza: it is not counted.
    pub fn emit_uncounted(&self, element: &[u8], into: &mut Vec<u8>) {
        self.write_framed(element.len(), into, |into| into.extend_from_slice(element));
    }

    /// Appends a stanza of the event at `pos`, whose attribute `to` is not there yet and is to be this session's ([`super::stanza::TO_AT`]).
    pub fn emit_event(&self, pos: u64, form: &[u8], into: &mut Vec<u8>) {
        let (head, tail) = form.split_at(super::stanza::TO_AT.min(form.len()));
        self.write_framed(form.len() + self.to_attr.len(), into, |into| {
            into.extend_from_slice(head);
            into.extend_from_slice(&self.to_attr);
            into.extend_from_slice(tail);
        });
        self.note_sent(|| Sent::Event(pos), into);
    }

    /// The same of a stanza that is nowhere else; `name` is its kind.
    pub fn emit_addressed(&self, form: &[u8], into: &mut Vec<u8>) {
        let at = form.iter().position(|byte| *byte == b' ').unwrap_or(0);
        let (head, tail) = form.split_at(at);
        let stanza = [head, &self.to_attr, tail].concat();
        self.emit(&stanza, into);
    }

    /// The same of a stanza of an event that names its receiver already.
    pub fn emit_own_event(&self, pos: u64, stanza: &[u8], into: &mut Vec<u8>) {
        self.write_framed(stanza.len(), into, |into| into.extend_from_slice(stanza));
        self.note_sent(|| Sent::Event(pos), into);
    }

    fn write_framed(&self, len: usize, into: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.framing == Framing::WebSocket {
            frame::text_frame_header(len, into);
        }
        write(into);
    }

    /// A stanza is on its way: it is remembered until the client has had it, and the client is asked when it has not been.
    fn note_sent(&self, sent: impl FnOnce() -> Sent, into: &mut Vec<u8>) {
        let mut managed = self.managed.borrow_mut();
        let Some(managed) = managed.as_mut() else { return };
        managed.unacknowledged.push(sent());
        if !std::mem::replace(&mut managed.asked, true) {
            self.write_request(into);
        }
    }

    /// Asks what the client has had (XEP-0198 §4).
    pub fn write_request(&self, into: &mut Vec<u8>) {
        let mut request = Vec::with_capacity(32);
        Writer::new(&mut request).open("r", management::NS).empty();
        self.emit_uncounted(&request, into);
    }

    /// Whether the session takes events: not when too much is unacknowledged, nor while it has no link.
    pub fn takes_events(&self) -> bool {
        let fits =
            |managed: &Managed| managed.unacknowledged.len() < MAX_UNACKNOWLEDGED && managed.unacknowledged.own_bytes() < MAX_KEPT_BYTES;
        !self.detached.get() && self.managed.borrow().as_deref().is_none_or(fits)
    }

    /// Whether the client wants to go on with the session when its link is cut.
    pub fn resumes(&self) -> bool {
        self.managed.borrow().as_ref().is_some_and(|managed| managed.resumes)
    }

    /// Whether the client leaves so much unacknowledged that it cannot be kept for it.
    pub fn keeps_too_much(&self) -> bool {
        self.managed.borrow().as_ref().is_some_and(|managed| managed.unacknowledged.is_too_much())
    }

    /// A stanza of the client came; its number.
    pub fn begin(&self) -> u32 {
        self.received.borrow_mut().begin()
    }

    /// What it asked for is durable, or refused: when the client wants to know, it is told.
    pub fn done(&self, number: u32, into: &mut Vec<u8>) {
        self.received.borrow_mut().done(number);
        self.acknowledge_if_due(into);
    }

    /// Says what is done, if the client waits for it (XEP-0198 §4).
    pub fn acknowledge_if_due(&self, into: &mut Vec<u8>) {
        let mut managed = self.managed.borrow_mut();
        let received = self.received.borrow();
        let is_due = |managed: &Managed| managed.wants.is_some_and(|wants| management::reached(received.handled(), wants));
        let Some(managed) = managed.as_mut().filter(|managed| is_due(managed)) else { return };
        managed.wants = None;
        let handled = managed.handled(&received);
        let mut answer = Vec::with_capacity(48);
        Writer::new(&mut answer).open("a", management::NS).number_attr("h", handled as usize).empty();
        self.emit_uncounted(&answer, into);
    }

    /// Appends a refusal.
    pub fn refuse(&self, kind: &'static str, id: Option<&str>, from: Option<&str>, error: &StanzaError, into: &mut Vec<u8>) {
        let mut stanza = Vec::with_capacity(256);
        write_error(&Returned { kind, id, from, to: &self.me.full }, error, &mut stanza);
        self.emit(&stanza, into);
    }

    /// The answer to a message: none when it was taken, since a room reflects it and a person's client is not told.
    fn settle(&self, tag: u32, answer: Result<(), Reject>, into: &mut Vec<u8>) {
        let mut waiting = self.waiting.borrow_mut();
        let Some(Waiting { number, id, to }) = waiting.try_remove(tag as usize) else { return };
        if waiting.is_empty() && waiting.capacity() > IDLE_REQUESTS {
            *waiting = Slab::new();
        }
        drop(waiting);
        if let Err(reject) = answer {
            self.sending.forget();
            self.refuse("message", id.as_deref(), Some(&to), &StanzaError::from(&reject), into);
        }
        self.done(number, into);
        self.bell.answered();
    }

    /// Somebody is here by another protocol than XMPP, or is not; whether that is to be told: not that who was not shown is not.
    pub fn show_elsewhere(&self, uid: &Uid, is_elsewhere: bool) -> bool {
        let mut shown = self.elsewhere.borrow_mut();
        if is_elsewhere {
            shown.insert(uid.clone());
            return true;
        }
        shown.remove(uid)
    }

    /// Whether the session is in the room with this number.
    pub fn occupies(&self, key: RoomKey) -> bool {
        self.rooms.borrow().iter().any(|room| room.key == key)
    }

    /// Whether the session is in this room.
    pub fn is_in(&self, id: &ConversationId) -> bool {
        self.rooms.borrow().iter().any(|room| room.id == *id)
    }

    /// The session is no longer in a room; whether it was.
    pub fn forget_room(&self, key: RoomKey) -> bool {
        let mut rooms = self.rooms.borrow_mut();
        let before = rooms.len();
        rooms.retain(|room| room.key != key);
        rooms.len() < before
    }
}

impl Link for Connection {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.detached.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.transport.try_write(bytes);
        if self.transport.has_pending() {
            // What the transport keeps is all taken for the outbox: only the task can write it when the socket takes more.
            self.bell.ring();
        }
        taken
    }
    fn wake(&self) {
        self.bell.ring();
    }
    fn wire(&self) -> usize {
        XMPP_WIRE
    }
    fn stamp(&self, published: &Published, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        deliver::event(self, &published.event, form, into)
    }
    fn stamp_signal(&self, telling: &Telling, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        deliver::signal(self, telling, form, into)
    }
    fn stamps(&self) -> usize {
        self.managed.borrow().as_ref().map_or(0, |managed| managed.unacknowledged.len())
    }
    fn unstamp(&self, since: usize) {
        if let Some(managed) = self.managed.borrow_mut().as_mut() {
            managed.unacknowledged.truncate(since);
            // The question went with them.
            managed.asked &= since > 0;
        }
    }
    fn has_room(&self) -> bool {
        self.takes_events()
    }
}

impl Peer for Connection {
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        self.settle(tag, answer.map(drop), into);
    }
    fn end(&self, why: Ending) {
        self.bell.end(why);
    }
}
