//! MQTT in WebSocket (MQTT §6): binary messages whose borders mean nothing [MQTT-6.0.0-2]. Pings and closes are answered here.

use std::cell::RefCell;
use std::io;
use std::ops::Range;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::pending::{Pending, Unread};
use super::said_empty;
use crate::frame::{self, Binary, Decoder, Event, Violation};

/// One frame's payload at most: a frame that is begun must be finished, so what the socket did not take of it is kept.
const FRAME_BYTES: usize = 16 * 1024;
/// Beyond this many bytes that wait, only the latest ping is answered (RFC 6455 §5.5.3).
const PONGS_BYTES: usize = 1024;

/// See the module's text.
pub struct WebSocket {
    stream: TcpStream,
    state: RefCell<State>,
}

struct State {
    decoder: Decoder,
    /// The decoder holds what came right behind the request, not looked at yet.
    held: bool,
    unread: Unread,
    pending: Pending,
    /// The pong that is sent when nothing waits any more.
    pong: Vec<u8>,
    /// How it ended, if it did.
    end: Option<End>,
    /// Our close frame is written or pending: nothing follows it (RFC 6455 §5.5.1).
    closed: bool,
}

/// How a WebSocket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer closed or left.
    Closed,
    /// It sent what may not be sent.
    Refused(&'static str),
}

/// What the decoder found next.
enum Found {
    /// Nothing more: all of the input is taken in.
    Nothing,
    /// A payload, at this place of the buffer.
    Here(Range<usize>),
    /// A payload, which is unread now.
    Apart,
    /// Something of WebSocket's own, answered.
    Control,
}

impl WebSocket {
    /// A socket that was upgraded; `leftover` came right behind the request. A message has at most `max_message_bytes`.
    #[must_use]
    pub fn new(stream: TcpStream, leftover: &[u8], max_message_bytes: usize) -> Self {
        let mut decoder = Decoder::new(max_message_bytes, Binary::Taken);
        decoder.hold(leftover);
        let state = State {
            held: decoder.has_held(),
            decoder,
            unread: Unread::default(),
            pending: Pending::default(),
            pong: Vec::new(),
            end: None,
            closed: false,
        };
        Self { stream, state: RefCell::new(state) }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The heap memory that this holds, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let state = self.state.borrow();
        state.decoder.held_bytes() + state.unread.held_bytes() + state.pending.held_bytes() + state.pong.capacity()
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        loop {
            if !state.unread.is_empty() {
                return Ok(state.unread.take(buffer));
            }
            let read = match state.end {
                Some(End::Closed) => return Ok(0),
                Some(End::Refused(why)) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
                None if state.held => 0,
                None => match self.stream.try_read(buffer)? {
                    0 => {
                        state.end = Some(End::Closed);
                        continue;
                    }
                    read => read,
                },
            };
            let emptied = said_empty(read, buffer.len(), |none| self.stream.try_io(Interest::READABLE, none));
            let filled = state.receive(read, buffer);
            // Pongs, and the answer to a close.
            let written = state.write(&self.stream);
            if filled > 0 {
                return Ok(filled);
            }
            written?;
            if emptied && !state.has_unread() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !state.write(&self.stream)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        for payload in bytes.chunks(FRAME_BYTES) {
            let (header, used) = frame::binary_frame_header(payload.len());
            let header = &header[..used];
            let written = match self.stream.try_write_vectored(&[io::IoSlice::new(header), io::IoSlice::new(payload)]) {
                Ok(written) => written,
                // The frames before this one are written.
                Err(error) if taken > 0 && error.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
                Err(error) => return Err(error),
            };
            taken += payload.len();
            if written < header.len() + payload.len() {
                state.pending.bytes().extend_from_slice(&header[written.min(used)..]);
                state.pending.bytes().extend_from_slice(&payload[written.saturating_sub(used)..]);
                break;
            }
        }
        Ok(taken)
    }

    pub(super) fn flush(&self) -> io::Result<bool> {
        self.state.borrow_mut().write(&self.stream)
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.state.borrow().pending.is_empty()
    }

    pub(super) fn has_unread(&self) -> bool {
        self.state.borrow().has_unread()
    }

    pub(super) fn shutdown(&self) {
        let mut state = self.state.borrow_mut();
        state.close(Some(1000), "");
        // Who does not read it misses nothing.
        let _ = state.write(&self.stream);
    }
}

impl State {
    fn has_unread(&self) -> bool {
        !self.unread.is_empty() || self.held || self.end.is_some()
    }

    /// Takes in the first `read` bytes of `buffer` and puts the payloads in them at its front; how many bytes those are. What does not fit
    /// is unread.
    fn receive(&mut self, read: usize, buffer: &mut [u8]) -> usize {
        self.held = false;
        let (mut at, mut filled) = (0, 0);
        while self.end.is_none() {
            match self.next(&mut at, read, buffer) {
                Ok(Found::Nothing) => break,
                Ok(Found::Apart | Found::Control) => {}
                Ok(Found::Here(payload)) if self.unread.is_empty() => {
                    let len = payload.len();
                    buffer.copy_within(payload, filled);
                    filled += len;
                }
                // It comes behind one that began with an earlier read.
                Ok(Found::Here(payload)) => self.unread.push(&buffer[payload]),
                Err((code, why)) => {
                    self.close(Some(code), why);
                    self.end = Some(End::Refused(why));
                }
            }
        }
        filled + self.unread.take(&mut buffer[filled..])
    }

    /// The next thing in what the decoder holds and `buffer[at..read]`; or the code and reason to close with.
    fn next(&mut self, at: &mut usize, read: usize, buffer: &mut [u8]) -> Result<Found, (u16, &'static str)> {
        let start = buffer.as_ptr() as usize;
        let here = start..start + buffer.len();
        let mut input = &mut buffer[*at..read];
        let found = self.decoder.next(&mut input);
        *at = read - input.len();
        Ok(match found {
            Ok(None) => Found::Nothing,
            Ok(Some(Event::Binary(payload))) => {
                let place = payload.as_ptr() as usize;
                if here.contains(&place) {
                    Found::Here(place - start..place - start + payload.len())
                } else if payload.is_empty() {
                    Found::Control
                } else {
                    self.unread.push(payload);
                    Found::Apart
                }
            }
            Ok(Some(Event::Ping(payload))) => {
                // The latest one replaces those that wait.
                self.pong.clear();
                frame::write_pong(payload, &mut self.pong);
                if self.pending.len() < PONGS_BYTES {
                    self.send_pong();
                }
                Found::Control
            }
            Ok(Some(Event::Pong(_))) => Found::Control,
            Ok(Some(Event::Close { code, .. })) => {
                self.close(code, "");
                self.end = Some(End::Closed);
                Found::Control
            }
            Ok(Some(Event::Text(_))) => return Err((1003, "MQTT is spoken in binary messages")), // [MQTT-6.0.0-1]
            Err(violation) => return Err((violation.close_code(), reason(violation))),
        })
    }

    fn send_pong(&mut self) {
        if !self.closed {
            self.pending.bytes().extend_from_slice(&self.pong);
        }
        self.pong = Vec::new();
    }

    fn close(&mut self, code: Option<u16>, why: &str) {
        if !std::mem::replace(&mut self.closed, true) {
            frame::write_close(code, why, self.pending.bytes());
        }
    }

    /// Writes what is pending; whether all of it.
    fn write(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.pending.write(stream)? {
            if self.pong.is_empty() {
                return Ok(true);
            }
            self.send_pong();
        }
        Ok(false)
    }
}

fn reason(violation: Violation) -> &'static str {
    match violation {
        Violation::Protocol(what) => what,
        Violation::Binary => "binary",
        Violation::NotUtf8 => "not UTF-8",
        Violation::TooBig => "too large",
    }
}
