//! Writing responses. Notifications get none: who has an [`Id`] gets an answer.

use super::{Fault, Id};

/// Appends the response whose result `write` appends as JSON.
pub fn write_result_with(out: &mut Vec<u8>, id: &Id, write: impl FnOnce(&mut Vec<u8>)) {
    begin(out, id);
    out.extend_from_slice(b",\"result\":");
    write(out);
    out.push(b'}');
}

/// Appends the response with `fault`.
pub fn write_error(out: &mut Vec<u8>, id: &Id, fault: &Fault) {
    begin(out, id);
    out.extend_from_slice(b",\"error\":");
    fault.write(out);
    out.push(b'}');
}

fn begin(out: &mut Vec<u8>, id: &Id) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    id.write(out);
}

/// The array of a batch's answers (JSON-RPC 2.0 §6), none when there is no answer.
#[derive(Debug, Default)]
pub struct Batch {
    json: Vec<u8>,
}

impl Batch {
    /// No answers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer that `write` appends; nothing when it appends nothing.
    pub fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.json.len();
        self.json.push(if start == 0 { b'[' } else { b',' });
        write(&mut self.json);
        if self.json.len() == start + 1 {
            self.json.truncate(start);
        }
    }

    /// Bytes so far, for who bounds them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.json.len()
    }

    /// The array, `None` when all were notifications.
    #[must_use]
    pub fn finish(mut self) -> Option<Vec<u8>> {
        if self.json.is_empty() {
            return None;
        }
        self.json.push(b']');
        Some(self.json)
    }
}
