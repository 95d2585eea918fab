//! Bytes that a socket did not take yet. Where nothing waits there is no memory either: idle connections are many.

use std::io;

use tokio::net::TcpStream;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Pending {
    bytes: Vec<u8>,
    written: usize,
}

impl Pending {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Where to append.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes what the socket takes; whether nothing waits any more.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.written < self.bytes.len() {
            match stream.try_write(&self.bytes[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !self.bytes.is_empty() {
            *self = Self::default();
        }
        Ok(true)
    }

    /// The memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Bytes that arrived and did not fit into the reader's buffer.
#[derive(Debug, Default)]
pub struct Unread {
    bytes: Vec<u8>,
    read: usize,
}

impl Unread {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Puts bytes behind the others.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Moves the first that fit into `buffer`; how many.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let waiting = &self.bytes[self.read..];
        let taken = waiting.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&waiting[..taken]);
        self.read += taken;
        if self.read == self.bytes.len() {
            *self = Self::default();
        }
        taken
    }

    /// The memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
