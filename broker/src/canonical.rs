//! Canonical JSON: how events, signals and notices look to every client that reads JSON, and the notifications that carry them.
//! Written by hand straight into the shared buffer: an event is encoded once for all its receivers, and thousands a second.

mod event;
mod notification;
mod number;
mod scan;
mod time;
mod topic;

#[cfg(test)]
mod tests;

pub use event::{raw_event, write_event, write_history, write_placed, write_subscribed};
pub use notification::{
    SessionNotice, event_method, signal_method, write_event_notification, write_event_params, write_session_notice,
    write_session_notice_params, write_signal, write_signal_notification,
};
pub use number::{time_text, write_number, write_time};
pub use scan::{names, write_scanned};
pub use time::parse_time;
pub use topic::{MAX_ACTION_BYTES, Said, Welcome, is_action, write_publication, write_topic_error, write_topic_event, write_topic_signal};

/// Appends `text` as a JSON string (RFC 8259 §7).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        write_escape(byte, out);
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xF)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes the members of one object in the order they are called for.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Begins a member whose value the caller appends. `name` is one of ours or an id, and needs no escapes.
    fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn string(&mut self, name: &str, value: &str) {
        write_string(value, self.member(name));
    }

    /// A word of ours or an id, which never needs escapes.
    fn word(&mut self, name: &'static str, value: &str) {
        let out = self.member(name);
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }

    fn number(&mut self, name: &'static str, value: u64) {
        write_number(value, self.member(name));
    }

    /// A string, as JavaScript's numbers would round it.
    fn epoch(&mut self, epoch: u64) {
        let out = self.member("epoch");
        out.push(b'"');
        write_number(epoch, out);
        out.push(b'"');
    }

    fn bool(&mut self, name: &'static str, value: bool) {
        self.member(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn time(&mut self, name: &'static str, unix_ms: u64) {
        write_time(unix_ms, self.member(name));
    }

    fn strings<T: AsRef<str>>(&mut self, name: &'static str, values: &[T]) {
        let out = self.member(name);
        out.push(b'[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_string(value.as_ref(), out);
        }
        out.push(b']');
    }

    fn end(self) {
        self.out.push(b'}');
    }
}
