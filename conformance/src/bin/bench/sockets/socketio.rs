//! Socket.IO's bytes (protocol 5 on Engine.IO 4, over WebSocket alone) at the generator's price: a message is built once per sender, and only
//! its number is written anew.

use anyhow::{Result, bail, ensure};
use conformance::wire::Opcode;
use serde_json::json;

use crate::frame;
use crate::net::Conns;
use crate::request::{FIRST_NUMBER, write_ten_digits};
use crate::rpc::shown;
use crate::scan::digits;

/// Where a connection becomes a WebSocket without polling first.
pub const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// What stands before a message's text, which begins with its number. The event's own name has no colon behind it.
pub const TEXT: &[u8] = b"\"message\":\"";
/// How a message begins.
pub const MESSAGE: &[u8] = b"42[\"message\",";
/// The acknowledgement that a `join` asks for; no message has so short a number.
const JOIN: u64 = 1;

/// What a server's text is, to someone who is connected or about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Engine.IO is ready for a `CONNECT`.
    Open,
    /// The `CONNECT` is accepted.
    Connected,
    /// What was asked for with this number is done.
    Ack(u64),
    /// An event of whatever name.
    Event,
    Nothing,
}

/// Reads a text and answers a ping. Every refusal is an error.
pub fn heard(conns: &mut Conns, id: usize, payload: &[u8]) -> Result<Text> {
    match payload {
        [b'0', ..] => Ok(Text::Open),
        b"2" => {
            conns.queue(id, &frame::masked(Opcode::Text, b"3"));
            Ok(Text::Nothing)
        }
        b"6" => Ok(Text::Nothing),
        [b'4', b'0', ..] => Ok(Text::Connected),
        [b'4', b'2', ..] => Ok(Text::Event),
        [b'4', b'3', ack @ ..] => acked(ack),
        _ => bail!("connection {id} got {}", shown(payload)),
    }
}

/// `17[{"ok":true,…}]`
fn acked(ack: &[u8]) -> Result<Text> {
    let Some(number) = digits(ack) else { bail!("an acknowledgement of nothing: {}", shown(ack)) };
    let is_ok = memchr::memmem::find(ack, b"\"ok\":true").is_some() || ack.ends_with(b"[true]");
    ensure!(is_ok, "{number} is refused: {}", shown(ack));
    Ok(Text::Ack(number))
}

/// A `CONNECT` with a token.
pub fn connect(token: &str) -> Vec<u8> {
    frame::masked(Opcode::Text, format!("40{}", json!({ "token": token })).as_bytes())
}

pub fn join(conversation: &str) -> Vec<u8> {
    frame::masked(Opcode::Text, format!("42{JOIN}{}", json!(["join", conversation])).as_bytes())
}

/// To whom a message goes.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    Conversation(&'a str),
    Person(&'a str),
}

/// A `message` that asks to be acknowledged, its number in three places: the packet's, the text's first ten digits, the id's last.
#[derive(Debug, Clone)]
pub struct MessageFrame {
    bytes: Vec<u8>,
    numbers_at: [usize; 3],
}

impl MessageFrame {
    /// `run` makes the ids of this run new to a server that was used before.
    pub fn new(to: To<'_>, run: &str, body_bytes: usize) -> MessageFrame {
        let (key, name) = match to {
            To::Conversation(id) => ("conversation", id),
            To::Person(uid) => ("receiverId", uid),
        };
        // By hand, because the places of the numbers must be known. Names and texts need no escaping.
        let pad = "x".repeat(body_bytes.saturating_sub(10));
        let text =
            format!(r#"42{FIRST_NUMBER}["message",{{"{key}":"{name}","message":"{FIRST_NUMBER}{pad}","id":"{run}-{FIRST_NUMBER}"}}]"#);
        let bytes = frame::masked(Opcode::Text, text.as_bytes());
        let header = bytes.len() - text.len();
        let text_at = memchr::memmem::find(text.as_bytes(), TEXT).map_or(0, |at| at + TEXT.len());
        let id_at = text.len() - r#"1000000000"}]"#.len();
        MessageFrame { numbers_at: [2, text_at, id_at].map(|at| header + at), bytes }
    }

    /// The message with this number; ten digits.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        for at in self.numbers_at {
            write_ten_digits(&mut self.bytes[at..], number);
        }
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(payload: &str) -> Result<Text> {
        let mut net = crate::net::Net::new(([127, 0, 0, 1], 1).into())?;
        heard(net.conns(), 0, payload.as_bytes())
    }

    #[test]
    fn a_text_is_told_by_its_first_digits() {
        assert_eq!(of(r#"0{"sid":"a"}"#).expect("open"), Text::Open);
        assert_eq!(of(r#"40{"sid":"b"}"#).expect("connected"), Text::Connected);
        assert_eq!(of(r#"42["users",["a"]]"#).expect("an event"), Text::Event);
        assert_eq!(of(r#"431000000007[{"ok":true,"id":"x"}]"#).expect("an ack"), Text::Ack(1_000_000_007));
        assert_eq!(of("431[true]").expect("an ack"), Text::Ack(1));
        assert_eq!(of("6").expect("noop"), Text::Nothing);
        for refusal in [r#"44{"message":"Unauthorized"}"#, "41", "1", r#"431[{"ok":false,"reason":"forbidden"}]"#, "431[false]", "43[]"] {
            assert!(of(refusal).is_err(), "{refusal}");
        }
    }

    #[test]
    fn a_message_has_its_number_three_times_and_always_the_same_length() {
        for (to, head) in
            [(To::Conversation("lobby"), r#""conversation":"lobby""#), (To::Person("bench00001"), r#""receiverId":"bench00001""#)]
        {
            let mut frame = MessageFrame::new(to, "run", 12);
            let expected = format!(r#"421000000042["message",{{{head},"message":"1000000042xx","id":"run-1000000042"}}]"#);
            let bytes = frame.numbered(1_000_000_042).to_vec();
            assert!(bytes.ends_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
            assert_eq!(frame.len(), bytes.len());
        }
    }
}
