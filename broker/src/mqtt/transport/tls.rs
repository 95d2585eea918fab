//! TLS without waiting: rustls keeps what was received and what is to be sent, the socket gives and takes what it can.

use std::cell::{Cell, RefCell};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use tokio::net::TcpStream;

use super::{PIECE_BYTES, Raw};

/// See the module's text.
pub struct Tls {
    stream: TcpStream,
    connection: RefCell<ServerConnection>,
    /// The last read filled the caller's buffer: there may be more.
    unread: Cell<bool>,
}

impl Tls {
    /// A connection whose handshake goes on with the first reads.
    ///
    /// # Errors
    /// The configuration is not usable.
    pub fn new(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(PIECE_BYTES));
        Ok(Self { stream, connection: RefCell::new(connection), unread: Cell::new(false) })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        loop {
            match connection.reader().read(buffer) {
                Ok(read) => {
                    self.unread.set(read == buffer.len());
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.unread.set(false),
                // The peer went without a word: what it sent is whole or not by MQTT's own lengths.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            if connection.read_tls(&mut Raw(&self.stream))? == 0 {
                return Ok(0);
            }
            let processed = connection.process_new_packets();
            // The handshake's answers, or the alert.
            let written = write(&mut connection, &self.stream);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            written?;
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        if !write(&mut connection, &self.stream)? || connection.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = connection.writer().write(&bytes[..bytes.len().min(PIECE_BYTES)])?;
        write(&mut connection, &self.stream)?;
        Ok(taken)
    }

    pub(super) fn flush(&self) -> io::Result<bool> {
        write(&mut self.connection.borrow_mut(), &self.stream)
    }

    pub(super) fn has_pending(&self) -> bool {
        self.connection.borrow().wants_write()
    }

    pub(super) fn has_unread(&self) -> bool {
        self.unread.get()
    }

    pub(super) fn shutdown(&self) {
        let mut connection = self.connection.borrow_mut();
        connection.send_close_notify();
        // Who does not read it misses nothing.
        let _ = write(&mut connection, &self.stream);
    }
}

/// Writes what is to be sent; whether all of it.
fn write(connection: &mut ServerConnection, stream: &TcpStream) -> io::Result<bool> {
    while connection.wants_write() {
        match connection.write_tls(&mut Raw(stream)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
