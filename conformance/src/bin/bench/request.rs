//! Requests as ready bytes: a `message.send` is built once per sender, and only its number is written anew.

use conformance::wire::Opcode;
use serde_json::{Value, json};

use crate::frame;
use crate::scan;

/// Numbers of `message.send` start here: ten digits, whatever is counted, so that a frame never changes its length. Every
/// number below is a request of the set-up.
pub const FIRST_NUMBER: u64 = 1_000_000_000;

/// The key before the number in an answer. The `1` keeps an event's own `"id":"…"` out; see [`FIRST_NUMBER`].
pub const ANSWER_KEY: &[u8] = b"\"id\":1";

/// One request in a frame.
pub fn call(id: u64, method: &str, params: &Value) -> Vec<u8> {
    let text = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
    frame::masked(Opcode::Text, text.as_bytes())
}

/// The number of the `message.send` that an answer belongs to.
pub fn answered(key: &mut scan::Key, answer: &[u8]) -> Option<u64> {
    // The key took the first digit, so that what follows is the distance from FIRST_NUMBER.
    key.number(answer).map(|below| FIRST_NUMBER + below)
}

/// A `message.send` to one conversation, its number in two places: the request's id, and the end of the client id.
#[derive(Debug, Clone)]
pub struct SendFrame {
    bytes: Vec<u8>,
    id_at: usize,
    client_id_at: usize,
}

impl SendFrame {
    /// `run` makes the client ids of this run new to a server that was used before.
    pub fn new(conversation: &str, run: &str, body: &str) -> SendFrame {
        // By hand, because the places of the numbers must be known. Ids and body need no escaping.
        let head = br#"{"jsonrpc":"2.0","id":"#;
        let text = format!(
            r#"{}{FIRST_NUMBER},"method":"message.send","params":{{"conversation":"{conversation}","id":"{run}-{FIRST_NUMBER}","text":"{body}"}}}}"#,
            String::from_utf8_lossy(head)
        );
        let bytes = frame::masked(Opcode::Text, text.as_bytes());
        let header = bytes.len() - text.len();
        let client_id = format!("\"{run}-{FIRST_NUMBER}\"");
        let client_id_at = text.find(&client_id).unwrap_or(0) + run.len() + 2;
        SendFrame { id_at: header + head.len(), client_id_at: header + client_id_at, bytes }
    }

    /// The frame with this number; ten digits.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        write_ten_digits(&mut self.bytes[self.id_at..], number);
        write_ten_digits(&mut self.bytes[self.client_id_at..], number);
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Where the frame has the request's id.
    pub fn id_at(&self) -> usize {
        self.id_at
    }
}

/// Overwrites ten bytes with a number of at most ten digits.
pub fn write_ten_digits(place: &mut [u8], number: u64) {
    let mut rest = number;
    for byte in place[..10].iter_mut().rev() {
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// A word that differs from run to run: the start's second in base 36.
pub fn run_word() -> String {
    let mut rest = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let mut word = String::from("b");
    while rest > 0 {
        word.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
        rest /= 36;
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_frame_is_the_json_that_it_seems() {
        let mut send = SendFrame::new("dm~a~b", "run7", "xyz");
        let frame = send.numbered(1_000_000_042).to_vec();
        let payload = &frame[frame.len() - (send.len() - 8)..];
        let value: Value = serde_json::from_slice(payload).expect("JSON");
        assert_eq!(value["id"], 1_000_000_042);
        assert_eq!(value["params"], json!({ "conversation": "dm~a~b", "id": "run7-1000000042", "text": "xyz" }));
    }

    #[test]
    fn an_answer_gives_its_number_whatever_the_order_of_its_fields() {
        let mut key = scan::Key::new(ANSWER_KEY);
        let first = br#"{"jsonrpc":"2.0","id":1000000042,"result":{"seq":7,"id":"1abc"}}"#;
        let last = br#"{"jsonrpc":"2.0","result":{"seq":7,"id":"1abc"},"id":1000000043}"#;
        assert_eq!(answered(&mut key, first), Some(1_000_000_042));
        assert_eq!(answered(&mut key, last), Some(1_000_000_043));
    }
}
