//! MQTT in WebSocket (§6): binary messages, whose borders mean nothing.

use std::cell::RefCell;
use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::PIECE_BYTES;
use crate::frame::{self, Binary, Decoder, Event};

/// See the module's text.
pub struct WebSocket {
    stream: TcpStream,
    state: RefCell<State>,
}

struct State {
    decoder: Decoder,
    /// What arrived and did not fit into the reader's buffer.
    unread: Vec<u8>,
    /// What the socket did not take.
    pending: Vec<u8>,
    written: usize,
    /// The peer has closed, or was told that it must.
    ended: bool,
}

impl WebSocket {
    /// A socket that was opened; `leftover` came right behind the handshake. `max_message_bytes` bounds a message.
    #[must_use]
    pub fn new(stream: TcpStream, leftover: &[u8], max_message_bytes: usize) -> Self {
        let mut state = State {
            decoder: Decoder::new(max_message_bytes, Binary::Taken),
            unread: Vec::new(),
            pending: Vec::new(),
            written: 0,
            ended: false,
        };
        let mut leftover = leftover.to_vec();
        let mut taken = Vec::new();
        let _ = state.take(&mut leftover, &mut |bytes| taken.extend_from_slice(bytes));
        state.unread = taken;
        Self { stream, state: RefCell::new(state) }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if !state.unread.is_empty() {
            let taken = state.unread.len().min(buffer.len());
            buffer[..taken].copy_from_slice(&state.unread[..taken]);
            state.unread.drain(..taken);
            if state.unread.is_empty() {
                state.unread = Vec::new();
            }
            return Ok(taken);
        }
        let (plain, raw) = buffer.split_at_mut(buffer.len() / 2);
        while !state.ended {
            let read = self.stream.try_read(raw)?;
            if read == 0 {
                return Ok(0);
            }
            if read < raw.len() {
                let _ = self.stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
            }
            let (mut filled, mut rest) = (0, Vec::new());
            state.take(&mut raw[..read], &mut |bytes| {
                let fits = bytes.len().min(plain.len() - filled);
                plain[filled..filled + fits].copy_from_slice(&bytes[..fits]);
                filled += fits;
                rest.extend_from_slice(&bytes[fits..]);
            })?;
            state.unread = rest;
            // Pongs, and the answer to a close.
            state.write(&self.stream)?;
            if filled > 0 {
                return Ok(filled);
            }
        }
        Ok(0)
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if !state.write(&self.stream)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = &bytes[..bytes.len().min(PIECE_BYTES)];
        let mut header = Vec::with_capacity(10);
        frame::binary_frame_header(bytes.len(), &mut header);
        let written = match self.stream.try_write_vectored(&[io::IoSlice::new(&header), io::IoSlice::new(bytes)]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => return Err(error),
        };
        // What is begun must be finished.
        state.pending.extend_from_slice(header.get(written..).unwrap_or_default());
        state.pending.extend_from_slice(&bytes[written.saturating_sub(header.len())..]);
        Ok(bytes.len())
    }

    pub(super) fn flush(&self) -> io::Result<bool> {
        self.state.borrow_mut().write(&self.stream)
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.state.borrow().pending.is_empty()
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.state.borrow().unread.is_empty()
    }

    pub(super) fn shutdown(&self) {
        let mut state = self.state.borrow_mut();
        if !std::mem::replace(&mut state.ended, true) {
            frame::write_close(Some(1000), "", &mut state.pending);
        }
        // Who does not read it misses nothing.
        let _ = state.write(&self.stream);
    }
}

impl State {
    /// Hands on the payloads in what was read, and answers what is WebSocket's own.
    fn take(&mut self, read: &mut [u8], payload: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut input = read;
        let refused = loop {
            match self.decoder.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Binary(bytes))) => payload(bytes),
                Ok(Some(Event::Ping(bytes))) => frame::write_pong(bytes, &mut self.pending),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close { code, .. })) => {
                    frame::write_close(code, "", &mut self.pending);
                    self.ended = true;
                    return Ok(());
                }
                // [MQTT-6.0.0-1]
                Ok(Some(Event::Text(_))) => break (1003, "MQTT is spoken in binary messages"),
                Err(violation) => break (violation.close_code(), "malformed"),
            }
        };
        frame::write_close(Some(refused.0), refused.1, &mut self.pending);
        self.ended = true;
        Err(io::Error::new(io::ErrorKind::InvalidData, refused.1))
    }

    /// Writes what is pending; whether all of it.
    fn write(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.written < self.pending.len() {
            match stream.try_write(&self.pending[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        if self.pending.capacity() > 0 {
            self.pending = Vec::new();
            self.written = 0;
        }
        Ok(true)
    }
}
