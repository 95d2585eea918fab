//! TLS without waiting, over rustls' unbuffered connection: it keeps no buffers of its own, so what an idle connection holds is its keys
//! and counters. Part of a record, and what a socket did not take, are kept here as long as they are there.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use tokio::net::TcpStream;

use super::pending::{Pending, Unread};
use super::said_empty;

/// Plaintext of one record at most (RFC 8446 §5.1): what one write takes before it looks whether the socket has taken it.
const RECORD_BYTES: usize = 16 * 1024;
/// Room for a record's header, tag and nonce, and for a key update before it; when it is not enough rustls says so.
const RECORD_EXTRA_BYTES: usize = 128;
/// A handshake message may come in parts: rustls takes at most 64 KiB of it, plus the records' headers and what came with its last part.
const MAX_RECEIVED_BYTES: usize = 144 * 1024;

/// See the module's text.
pub struct Tls {
    stream: TcpStream,
    state: RefCell<State>,
}

struct State {
    tls: UnbufferedServerConnection,
    /// Records as they arrived, not whole yet.
    received: Vec<u8>,
    /// Decrypted.
    unread: Unread,
    /// Encrypted.
    pending: Pending,
    /// The handshake is done.
    open: bool,
    /// We have said that nothing more comes from us.
    closed: bool,
    /// Nothing more comes: the peer said so, or left.
    ended: bool,
    /// What the peer did is an error, which is said once what came before it was read.
    failed: Option<rustls::Error>,
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Tls {
    /// The server's side; the handshake goes on with the reads.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let state = State {
            tls,
            received: Vec::new(),
            unread: Unread::default(),
            pending: Pending::default(),
            open: false,
            closed: false,
            ended: false,
            failed: None,
        };
        Ok(Self { stream, state: RefCell::new(state) })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The heap memory that this holds itself, in bytes; rustls' own is not counted.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let state = self.state.borrow();
        state.received.capacity() + state.unread.held_bytes() + state.pending.held_bytes()
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        loop {
            if !state.unread.is_empty() {
                return Ok(state.unread.take(buffer));
            }
            if let Some(error) = state.failed.clone() {
                return Err(broken(error));
            }
            if state.ended {
                return Ok(0);
            }
            let read = self.stream.try_read(buffer)?;
            if read == 0 {
                // Without a close_notify: what was sent is whole or not by MQTT's own lengths.
                state.ended = true;
                return Ok(0);
            }
            let emptied = said_empty(read, buffer.len(), |none| self.stream.try_io(tokio::io::Interest::READABLE, none));
            let filled = state.receive(read, buffer)?;
            // The handshake's answers, or the alert.
            let written = state.pending.write(&self.stream);
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
        if state.failed.is_some() || state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !state.pending.write(&self.stream)? || !state.open {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        for record in bytes.chunks(RECORD_BYTES) {
            state.encrypt(record)?;
            taken += record.len();
            if !state.pending.write(&self.stream)? {
                break;
            }
        }
        Ok(taken)
    }

    pub(super) fn flush(&self) -> io::Result<bool> {
        self.state.borrow_mut().pending.write(&self.stream)
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.state.borrow().pending.is_empty()
    }

    pub(super) fn has_unread(&self) -> bool {
        self.state.borrow().has_unread()
    }

    pub(super) fn shutdown(&self) {
        let mut state = self.state.borrow_mut();
        if state.open && !state.closed {
            state.close();
        }
        // Who does not read it misses nothing.
        let _ = state.pending.write(&self.stream);
    }
}

impl State {
    fn has_unread(&self) -> bool {
        !self.unread.is_empty() || self.ended || self.failed.is_some()
    }

    /// Takes in the first `read` bytes of `buffer` and puts what they say into it instead; how many bytes that is. What does not fit is
    /// unread.
    fn receive(&mut self, read: usize, buffer: &mut [u8]) -> io::Result<usize> {
        if self.received.len() + read > MAX_RECEIVED_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.received.reserve_exact(read);
        self.received.extend_from_slice(&buffer[..read]);
        let (mut at, mut filled) = (0, 0);
        let mut goes_on = true;
        while goes_on {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.received[at..]);
            goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = record.map_err(broken)?.payload;
                        let fits = if self.unread.is_empty() { payload.len().min(buffer.len() - filled) } else { 0 };
                        buffer[filled..filled + fits].copy_from_slice(&payload[..fits]);
                        filled += fits;
                        self.unread.push(&payload[fits..]);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(encode)) => {
                    append(encode, self.pending.bytes())?;
                    true
                }
                Ok(ConnectionState::TransmitTlsData(transmit)) => {
                    // It is pending, and written in order.
                    transmit.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    true
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.open = true;
                    false
                }
                Ok(ConnectionState::BlockedHandshake) => false,
                Ok(_) => {
                    self.ended = true;
                    false
                }
                Err(error) => {
                    self.fail(error, at + discard)?;
                    return Ok(filled);
                }
            };
            at += discard;
        }
        if at > 0 {
            self.received.drain(..at);
            self.received.shrink_to_fit();
        }
        Ok(filled)
    }

    /// The peer did something wrong: it is told so with an alert, and nothing more is asked of rustls.
    fn fail(&mut self, error: rustls::Error, at: usize) -> io::Result<()> {
        self.open = false;
        self.failed = Some(error);
        let mut received = std::mem::take(&mut self.received);
        match self.tls.process_tls_records(&mut received[at..]).state {
            Ok(ConnectionState::EncodeTlsData(alert)) => append(alert, self.pending.bytes()),
            _ => Ok(()),
        }
    }

    /// Appends one record to what is pending.
    fn encrypt(&mut self, plaintext: &[u8]) -> io::Result<()> {
        let state = self.tls.process_tls_records(&mut self.received).state.map_err(broken)?;
        let ConnectionState::WriteTraffic(mut traffic) = state else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let out = self.pending.bytes();
        let start = out.len();
        let mut room = plaintext.len() + RECORD_EXTRA_BYTES;
        loop {
            out.resize(start + room, 0);
            match traffic.encrypt(plaintext, &mut out[start..]) {
                Ok(written) => {
                    out.truncate(start + written);
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(needed)) if needed.required_size > room => room = needed.required_size,
                Err(error) => {
                    out.truncate(start);
                    return Err(io::Error::other(error));
                }
            }
        }
    }

    /// Appends the close_notify; nothing is written after it.
    fn close(&mut self) {
        self.closed = true;
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = self.tls.process_tls_records(&mut self.received).state else { return };
        let out = self.pending.bytes();
        let start = out.len();
        out.resize(start + RECORD_EXTRA_BYTES, 0);
        let written = traffic.queue_close_notify(&mut out[start..]).unwrap_or(0);
        out.truncate(start + written);
    }
}

/// Appends what the handshake has to say.
fn append<Data>(mut encode: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    let mut room = 0;
    loop {
        out.resize(start + room, 0);
        match encode.encode(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) if needed.required_size > room => room = needed.required_size,
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}
