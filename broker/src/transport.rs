//! What protocols with lasting connections are spoken over: TCP, a unix socket, TLS, WebSocket. One way to read and write for all of them, without
//! waiting: whoever waits does so for readiness. Everything takes `&self`, since the shard writes while the connection's task may wait.

mod pending;
mod pipe;
#[cfg(test)]
mod tests;
mod tls;
mod websocket;

use std::io;

use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};

pub use pipe::{FarEnd, Pipe, pipe};
pub use tls::Tls;
pub use websocket::WebSocket;

/// See the module's text.
pub enum Transport {
    /// Plain.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<Tls>),
    /// WebSocket over TCP; TLS is in front of it, if any.
    WebSocket(Box<WebSocket>),
    /// To something in this process.
    Pipe(Box<Pipe>),
    /// None any more.
    Closed,
}

impl Transport {
    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, anything else when the connection is broken. `Ok(0)` is its end.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                let read = stream.try_read(buffer)?;
                said_empty(read, buffer.len(), |none| stream.try_io(Interest::READABLE, none));
                Ok(read)
            }
            Self::Unix(stream) => {
                let read = stream.try_read(buffer)?;
                said_empty(read, buffer.len(), |none| stream.try_io(Interest::READABLE, none));
                Ok(read)
            }
            Self::Tls(tls) => tls.try_read(buffer),
            Self::WebSocket(socket) => socket.try_read(buffer),
            Self::Pipe(pipe) => pipe.try_read(buffer),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes bytes. Of TLS and WebSocket a bounded rest that the socket did not take is kept, and nothing more is taken until it is written.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is taken, anything else when the connection is broken.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tls(tls) => tls.try_write(bytes),
            Self::WebSocket(socket) => socket.try_write(bytes),
            Self::Pipe(pipe) => pipe.try_write(bytes),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes what is kept, and moves a handshake on; whether nothing is kept any more.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&self) -> io::Result<bool> {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Pipe(_) | Self::Closed => Ok(true),
            Self::Tls(tls) => tls.flush(),
            Self::WebSocket(socket) => socket.flush(),
        }
    }

    /// Whether something is kept that the socket did not take.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Pipe(_) | Self::Closed => false,
            Self::Tls(tls) => tls.has_pending(),
            Self::WebSocket(socket) => socket.has_pending(),
        }
    }

    /// Whether bytes that arrived are here and not in the socket, which therefore will not say so.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Pipe(_) | Self::Closed => false,
            Self::Tls(tls) => tls.has_unread(),
            Self::WebSocket(socket) => socket.has_unread(),
        }
    }

    /// Waits until the transport may be read or the socket written.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if interest.is_readable() && self.has_unread() {
            return Ok(Ready::READABLE);
        }
        match self {
            Self::Tcp(stream) => stream.ready(interest).await,
            Self::Unix(stream) => stream.ready(interest).await,
            Self::Tls(tls) => tls.socket().ready(interest).await,
            Self::WebSocket(socket) => socket.socket().ready(interest).await,
            Self::Pipe(pipe) => Ok(pipe.ready(interest).await),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Says goodbye in the transport's own way, as far as the socket takes it.
    pub fn shutdown(&self) {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Pipe(_) | Self::Closed => {}
            Self::Tls(tls) => tls.shutdown(),
            Self::WebSocket(socket) => socket.shutdown(),
        }
    }

    /// Whether nobody on the way can read along.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Unix(_) | Self::Pipe(_))
    }
}

/// A short read has emptied the socket: saying so saves the read that would find it out (tokio's own readers do the same). Whether it was
/// said.
fn said_empty(read: usize, most: usize, say: impl FnOnce(fn() -> io::Result<()>) -> io::Result<()>) -> bool {
    let emptied = read > 0 && read < most;
    if emptied {
        let _ = say(|| Err(io::ErrorKind::WouldBlock.into()));
    }
    emptied
}
