//! What a session's connection is in the simulation: a pipe that takes as many bytes as it is given room for, and the frames on it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use hallway_broker::model::Body;
use hallway_broker::outbox::Link;
use hallway_broker::recent::Published;
use hallway_broker::registry::Wire;
use hallway_broker::topic::Telling;
use serde::{Deserialize, Serialize};

/// The server's end of a connection.
#[derive(Default)]
pub struct Pipe {
    /// Bytes that it takes before it blocks.
    pub room: Cell<usize>,
    /// What came out at the client's end and is not decoded yet.
    pub arrived: RefCell<Vec<u8>>,
    /// The session's task has been woken.
    pub woken: Cell<bool>,
    /// The client is gone.
    pub gone: Cell<bool>,
    /// The wire form.
    pub wire: Cell<usize>,
}

/// A shared [`Pipe`].
#[derive(Clone, Default)]
pub struct SimLink(pub Rc<Pipe>);

impl Link for SimLink {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.gone.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let takes = bytes.len().min(self.0.room.get());
        if takes == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.room.set(self.0.room.get() - takes);
        self.0.arrived.borrow_mut().extend_from_slice(&bytes[..takes]);
        Ok(takes)
    }

    fn wake(&self) {
        self.0.woken.set(true);
    }

    fn wire(&self) -> usize {
        self.0.wire.get()
    }
}

/// An event as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub conf: u32,
    pub conv: u32,
    pub seq: u64,
    pub pos: u64,
    pub ts_ms: u64,
    pub from: String,
    pub kind: String,
    pub content: String,
}

/// What goes over a connection.
#[derive(Debug, Serialize, Deserialize)]
pub enum Frame {
    /// An event.
    Event(Seen),
    /// The answer to the request with this tag.
    Answer(u32),
    /// A signal; the padding makes wire forms differ in length.
    Signal(Vec<u8>),
}

impl Frame {
    /// The frame with its length in front, and so many bytes more behind.
    pub fn encode(&self, padding: usize) -> Vec<u8> {
        let mut bytes = vec![0; 2];
        bytes = postcard::to_extend(self, bytes).unwrap();
        bytes.resize(bytes.len() + padding, 0xEE);
        let length = u16::try_from(bytes.len() - 2).unwrap();
        bytes[..2].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    /// Takes the whole frames out of what arrived.
    pub fn decode_all(arrived: &mut Vec<u8>) -> Vec<Self> {
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(head) = arrived.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
            let Some(body) = arrived.get(at + 2..at + 2 + length) else { break };
            frames.push(postcard::take_from_bytes(body).unwrap_or_else(|error| panic!("a torn or mixed frame on the wire: {error}")).0);
            at += 2 + length;
        }
        arrived.drain(..at);
        frames
    }
}

/// What an event says, so that two who saw it can compare.
pub fn content(body: &Body) -> String {
    match body {
        Body::Message(message) => message.text.to_string(),
        Body::Edit { text, .. } => text.to_string(),
        other => format!("{other:?}"),
    }
}

/// An event as clients see it.
pub fn seen(event: &hallway_broker::model::Event) -> Seen {
    Seen {
        conf: event.place.conf.0,
        conv: event.place.conv.0,
        seq: event.place.seq,
        pos: event.entry.pos,
        ts_ms: event.entry.ts_ms,
        from: event.entry.from.to_string(),
        kind: event.entry.body.kind().into(),
        content: content(&event.entry.body),
    }
}

/// A wire form that differs from others in its padding.
pub struct SimWire {
    pub padding: usize,
}

impl Wire for SimWire {
    fn event(&self, published: &Published) -> Bytes {
        Frame::Event(seen(&published.event)).encode(self.padding).into()
    }

    fn signal(&self, _: &Telling) -> Bytes {
        Frame::Signal(Vec::new()).encode(self.padding).into()
    }
}
