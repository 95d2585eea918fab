//! What a chatter says and hears over Socket.IO: a message to its partner, acknowledged, and told to the partner.

use anyhow::{Result, bail};

use super::socketio::{self, MESSAGE, MessageFrame, TEXT, Text};
use crate::net::Conns;
use crate::scan::Key;
use crate::speech::{Heard, Speech};

pub struct SocketIo {
    frames: Vec<MessageFrame>,
    text: Key,
}

impl SocketIo {
    /// By sender.
    pub fn new(frames: Vec<MessageFrame>) -> SocketIo {
        SocketIo { frames, text: Key::new(TEXT) }
    }
}

impl Speech for SocketIo {
    const HAS_ECHO: bool = false;

    fn senders(&self) -> usize {
        self.frames.len()
    }

    fn say(&mut self, sender: usize, number: u64) -> &[u8] {
        self.frames[sender].numbered(number)
    }

    fn text(&mut self, conns: &mut Conns, id: usize, sender: usize, payload: &[u8]) -> Result<Heard> {
        if payload.starts_with(MESSAGE)
            && let Some(number) = self.text.number(payload)
        {
            return Ok(Heard::Told(number));
        }
        match socketio::heard(conns, id, payload)? {
            Text::Ack(number) => Ok(Heard::Ack(number)),
            // Who is there.
            Text::Event | Text::Nothing => Ok(Heard::Nothing),
            text @ (Text::Open | Text::Connected) => bail!("sender {sender} got {text:?}"),
        }
    }
}
