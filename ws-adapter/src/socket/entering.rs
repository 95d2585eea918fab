//! A connection that has not signed in yet: it may say a little, within a time, and what it is told is written at once.

use std::rc::Rc;

use hallway_broker::frame::{Decoder, Event};
use hallway_broker::shard::{Peer, Shard};

use super::{Closing, Connection, Dialect};

/// Messages and pings that a connection may send before it has signed in.
const MAX_BEFORE_HELLO: usize = 100;

/// See the module's text.
pub(crate) struct Entering<'a, D> {
    /// Where the connection lives.
    pub shard: &'a Rc<Shard>,
    connection: &'a Rc<Connection<D>>,
    decoder: &'a mut Decoder,
    /// The decoder holds bytes that were not looked at yet.
    unread: bool,
    messages: usize,
}

/// What a connection that has not signed in yet has sent.
enum First {
    /// A message.
    Text(String),
    /// A ping or pong: before sign-in not worth an answer.
    Control,
    /// Not yet a whole message.
    Part,
    /// Nothing more for now.
    Nothing,
}

impl<'a, D: Dialect> Entering<'a, D> {
    pub(super) fn new(shard: &'a Rc<Shard>, connection: &'a Rc<Connection<D>>, decoder: &'a mut Decoder) -> Self {
        Self { shard, connection, decoder, unread: true, messages: 0 }
    }

    /// The connection as a session's peer.
    pub fn peer(&self) -> Rc<dyn Peer> {
        Rc::clone(self.connection) as Rc<dyn Peer>
    }

    /// What is said.
    pub fn dialect(&self) -> &D {
        &self.connection.dialect
    }

    /// The next message. Who only talks on is sent away.
    pub async fn next_text(&mut self) -> Result<String, Closing> {
        while self.messages < MAX_BEFORE_HELLO {
            if self.messages > 0 {
                // Others on the shard, and this connection's time limit, get their turn.
                tokio::task::yield_now().await;
            }
            match self.first()? {
                First::Nothing => self.connection.stream.readable().await.map_err(|_| Closing::GONE)?,
                First::Part => tokio::task::yield_now().await,
                First::Control => self.messages += 1,
                First::Text(text) => {
                    self.messages += 1;
                    return Ok(text);
                }
            }
        }
        Err(Closing { code: 1008, reason: "no_session" })
    }

    /// Writes whole frames, while there is no session.
    pub async fn write(&self, frames: &[u8]) -> Result<(), Closing> {
        self.connection.write_all(frames).await.map_err(|_| Closing::GONE)
    }

    /// The next that was sent. Reads only when nothing is held that was not looked at.
    fn first(&mut self) -> Result<First, Closing> {
        let Self { shard, connection, decoder, unread, .. } = self;
        shard.read_buffer(|buffer| {
            let read = if *unread { 0 } else { connection.try_read(buffer)? };
            let mut input = &mut buffer[..read];
            let first = match decoder.next(&mut input) {
                Ok(Some(Event::Text(text))) => First::Text(text.to_owned()),
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => First::Control,
                Ok(Some(Event::Close { .. } | Event::Binary(_))) => return Err(Closing::NORMAL),
                Ok(None) if read == 0 && !*unread => First::Nothing,
                Ok(None) => First::Part,
                Err(violation) => return Err(violation.into()),
            };
            *unread = matches!(first, First::Text(_) | First::Control);
            decoder.hold(input);
            Ok(first)
        })
    }
}
