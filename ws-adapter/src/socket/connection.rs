//! A connection as the shard and its task share it: the socket, who wakes the task, and what is said over it.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use hallway_broker::bell::Bell;
use hallway_broker::frame;
use hallway_broker::outbox::{Link, Stamped};
use hallway_broker::queue::Answer;
use hallway_broker::recent::Published;
use hallway_broker::shard::{Ending, Peer, Shard};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Closing, Dialect};

/// How long a close frame may take to be written.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module's text.
pub(crate) struct Connection<D> {
    pub(super) stream: TcpStream,
    pub(super) bell: Bell,
    /// What is said.
    pub dialect: D,
}

impl<D: Dialect> Link for Connection<D> {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }
    fn wake(&self) {
        self.bell.ring();
    }
    fn wire(&self) -> usize {
        self.dialect.wire()
    }
    fn stamp(&self, published: &Published, _: &[u8], into: &mut Vec<u8>) -> Stamped {
        self.dialect.stamp(published, into)
    }
}

impl<D: Dialect> Peer for Connection<D> {
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        self.dialect.answer(tag, answer, into);
        self.bell.answered();
    }
    fn end(&self, why: Ending) {
        self.bell.end(why);
    }
    fn companions_changed(&self, shard: &Rc<Shard>, slot: u32, id: u64) {
        self.dialect.companions_changed(shard, slot, id);
    }
}

impl<D> Connection<D> {
    pub(super) fn new(stream: TcpStream, dialect: D) -> Self {
        Self { stream, bell: Bell::default(), dialect }
    }

    /// Reads what is there, which may be nothing.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> Result<usize, Closing> {
        match self.stream.try_read(buffer) {
            Ok(0) => Err(Closing::GONE),
            Ok(read) => {
                if read < buffer.len() {
                    // The socket is empty now: saying so saves the read that would find it out (tokio's own readers do the same).
                    let _ = self.stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
                }
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(Closing::GONE),
        }
    }

    /// Writes all of it: only while there is no session, whose lane the shard writes, too.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes a close frame where there is no session.
    pub(super) async fn close(&self, closing: Closing) {
        let Closing { code, reason } = closing;
        if code == 0 {
            return;
        }
        let mut frame = Vec::new();
        frame::write_close(Some(code), reason, &mut frame);
        // A peer that does not read its close frame gets none.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.write_all(&frame)).await;
    }
}
