//! What a chatter says and what it hears: its senders' numbered messages as bytes, and the numbers in what comes back.

use anyhow::{Result, bail};

use crate::mqtt::packet::Packet;
use crate::net::Conns;
use crate::request::{self, ANSWER_KEY, SendFrame};
use crate::rpc::{self, Message};
use crate::scan::{self, Key};
use crate::xmpp::stanza::Stanza;

/// A notification names its method this early, or the slower way finds it.
const METHOD_WITHIN: usize = 48;

/// What the bytes for one sender mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The sender's message with this number is acked.
    Ack(u64),
    /// The message with this number is delivered.
    Told(u64),
    /// Not what is measured.
    Nothing,
}

/// A protocol, as far as a chatter needs it.
pub trait Speech {
    /// Whether senders are told their own messages too.
    const HAS_ECHO: bool;
    /// Whether the server tells senders that it has their messages.
    const HAS_ACKS: bool = true;

    fn senders(&self) -> usize;

    /// Who is told what a sender says: its partner.
    fn listener(&self, sender: usize) -> usize {
        sender ^ 1
    }

    /// The sender's message with this number.
    fn say(&mut self, sender: usize, number: u64) -> &[u8];

    /// A WebSocket text for a sender, on connection `_id`.
    fn text(&mut self, _conns: &mut Conns, _id: usize, sender: usize, _payload: &[u8]) -> Result<Heard> {
        bail!("sender {sender} got a WebSocket text")
    }

    /// A stanza for a sender, on connection `_id`.
    fn stanza(&mut self, _conns: &mut Conns, _id: usize, sender: usize, stanza: &Stanza<'_>) -> Result<Heard> {
        bail!("sender {sender} got a stanza: {}", stanza.shown())
    }

    /// An MQTT packet for a sender, on connection `_id`.
    fn packet(&mut self, _conns: &mut Conns, _id: usize, sender: usize, packet: &Packet<'_>) -> Result<Heard> {
        bail!("sender {sender} got an MQTT packet {:#04x}", packet.first)
    }
}

/// JSON-RPC.
pub struct WebSocket {
    frames: Vec<SendFrame>,
    has_partners: bool,
    answer_key: Key,
    seq_key: Key,
    client_id_key: Key,
    /// An answer and a notification as they came, for the bare relay.
    pub sample_answer: String,
    pub sample_notification: String,
}

impl WebSocket {
    pub fn new(frames: Vec<SendFrame>, has_partners: bool) -> WebSocket {
        WebSocket {
            frames,
            has_partners,
            answer_key: Key::new(ANSWER_KEY),
            seq_key: Key::new(b"\"seq\":"),
            client_id_key: Key::new(b"\"client_id\":\""),
            sample_answer: String::new(),
            sample_notification: String::new(),
        }
    }

    /// The number in a notification's client id, `<run>-<number>`.
    fn told_number(&mut self, payload: &[u8]) -> Option<u64> {
        let client_id = self.client_id_key.after(payload)?;
        let dash = client_id.iter().position(|&byte| byte == b'-')?;
        scan::digits(&client_id[dash + 1..])
    }
}

impl Speech for WebSocket {
    const HAS_ECHO: bool = false;

    fn senders(&self) -> usize {
        self.frames.len()
    }

    fn say(&mut self, sender: usize, number: u64) -> &[u8] {
        self.frames[sender].numbered(number)
    }

    fn text(&mut self, _conns: &mut Conns, _id: usize, sender: usize, payload: &[u8]) -> Result<Heard> {
        let head = &payload[..payload.len().min(METHOD_WITHIN)];
        if scan::find(head, b"\"method\"").is_none()
            && let Some(number) = request::answered(&mut self.answer_key, payload)
            && self.seq_key.number(payload).is_some()
        {
            if self.sample_answer.is_empty() {
                self.sample_answer = String::from_utf8_lossy(payload).into_owned();
            }
            return Ok(Heard::Ack(number));
        }
        match self.told_number(payload) {
            Some(number) if self.has_partners => {
                if self.sample_notification.is_empty() {
                    self.sample_notification = String::from_utf8_lossy(payload).into_owned();
                }
                Ok(Heard::Told(number))
            }
            _ => match rpc::parse(payload)? {
                Message::Refusal { reason, .. } => bail!("sender {sender} was refused: {reason}"),
                // Presence, inbox, membership: not what is measured.
                Message::Notification { .. } | Message::Answer { .. } => Ok(Heard::Nothing),
            },
        }
    }
}
