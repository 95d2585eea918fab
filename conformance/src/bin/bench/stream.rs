//! A connection's bytes: plain TCP, or TLS that trusts whatever certificate it is shown (loopback, and made minutes ago).

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// `tls`: with this configuration; the handshake goes on with every read and write.
    pub fn new(socket: TcpStream, tls: Option<&Arc<ClientConfig>>, server: IpAddr) -> Result<Stream> {
        Ok(match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let session = ClientConnection::new(Arc::clone(config), ServerName::from(server))?;
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        })
    }

    /// Whether nothing is left in the socket when a read brought less than there was room for. True of plain TCP
    /// (epoll(7)); a read of TLS brings one record.
    pub fn is_emptied_by_short_read(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(session) => session.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            // Before the handshake is over rustls would keep the bytes itself, without a bound.
            Stream::Tls(session) if session.conn.is_handshaking() => {
                session.conn.complete_io(&mut session.sock)?;
                if session.conn.is_handshaking() { Err(io::ErrorKind::WouldBlock.into()) } else { session.write(bytes) }
            }
            Stream::Tls(session) => session.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
