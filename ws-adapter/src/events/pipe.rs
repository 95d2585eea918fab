//! The pipe between a session and the body of its response: the session writes into it as into a socket, and the connection takes out what is there
//! when it can send it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hallway_broker::bell::Bell;
use hallway_broker::outbox::Link;
use hallway_broker::queue::Answer;
use hallway_broker::reject::Reason;
use hallway_broker::shard::{Asked, Ending, Peer};

use super::SSE_WIRE;

/// Bytes that the pipe holds.
const PIPE_BYTES: usize = 64 << 10;
/// Requests that wait for the session.
const ASKED: usize = 16;

/// See the module's text.
#[derive(Default)]
pub(super) struct Pipe {
    bytes: RefCell<Vec<u8>>,
    /// Who takes out.
    reader: RefCell<Option<Waker>>,
    bell: Bell,
    /// Something did not fit in.
    is_full: Cell<bool>,
    /// Nobody takes out any more.
    is_closed: Cell<bool>,
    /// Nothing more comes.
    is_finished: Cell<bool>,
    asked: RefCell<VecDeque<Asked>>,
}

impl Pipe {
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.borrow().is_empty()
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        self.bell.ending()
    }

    pub(super) fn next_asked(&self) -> Option<Asked> {
        self.asked.borrow_mut().pop_front()
    }

    pub(super) async fn woken(&self) {
        self.bell.rung().await;
    }

    /// Nothing more comes.
    pub(super) fn finish(&self) {
        self.is_finished.set(true);
        // Who asked is told that the session has ended.
        self.asked.take();
        self.wake_reader();
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Link for Pipe {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut held = self.bytes.borrow_mut();
        let takes = bytes.len().min(PIPE_BYTES - held.len().min(PIPE_BYTES));
        self.is_full.set(takes < bytes.len());
        if takes == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        held.extend_from_slice(&bytes[..takes]);
        drop(held);
        self.wake_reader();
        Ok(takes)
    }

    fn wake(&self) {
        self.bell.ring();
    }

    fn wire(&self) -> usize {
        SSE_WIRE
    }
}

impl Peer for Pipe {
    fn answer(&self, _: u32, _: Answer, _: &mut Vec<u8>) {
        // Nothing is posted by tag here.
    }

    fn end(&self, why: Ending) {
        self.bell.end(why);
    }

    fn ask(&self, asked: Asked) {
        let mut waiting = self.asked.borrow_mut();
        if self.is_finished.get() || self.is_closed.get() {
            return;
        }
        if waiting.len() >= ASKED {
            drop(asked.reply.send(Err(Reason::Busy.into())));
            return;
        }
        waiting.push_back(asked);
        self.bell.ring();
    }
}

/// The body of a stream. Dropped, the session ends.
pub struct EventsBody(Rc<Pipe>);

impl EventsBody {
    pub(super) fn new(pipe: Rc<Pipe>) -> Self {
        Self(pipe)
    }

    /// What there is to be sent; `None` when nothing more comes.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let pipe = &self.0;
        let bytes = pipe.bytes.take();
        if !bytes.is_empty() {
            // There is room again, and a last word has gone out.
            if pipe.is_full.replace(false) || pipe.bell.ending().is_some() {
                pipe.bell.ring();
            }
            return Poll::Ready(Some(bytes.into()));
        }
        if pipe.is_finished.get() {
            return Poll::Ready(None);
        }
        pipe.reader.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for EventsBody {
    fn drop(&mut self) {
        self.0.is_closed.set(true);
        self.0.bytes.take();
        self.0.bell.ring();
    }
}
