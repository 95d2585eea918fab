//! Finding the one number that matters in a JSON text without parsing it.
//!
//! The same kind of message has its fields in the same places, so the place of the last find is tried first.

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// The decimal number at the beginning of `bytes`.
pub fn digits(bytes: &[u8]) -> Option<u64> {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > 19 {
        return None;
    }
    Some(bytes[..count].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A key such as `"seq":` and where it was last seen.
#[derive(Debug)]
pub struct Key {
    key: &'static [u8],
    last_at: usize,
}

impl Key {
    pub const fn new(key: &'static [u8]) -> Key {
        Key { key, last_at: 0 }
    }

    /// What follows the key in `json`, if the key is there.
    pub fn after<'a>(&mut self, json: &'a [u8]) -> Option<&'a [u8]> {
        let len = self.key.len();
        if json.get(self.last_at..self.last_at + len) != Some(self.key) {
            self.last_at = find(json, self.key)?;
        }
        Some(&json[self.last_at + len..])
    }

    /// The number that follows the key.
    pub fn number(&mut self, json: &[u8]) -> Option<u64> {
        self.after(json).and_then(digits)
    }
}

/// The beginning that all notifications of one conversation share, up to and with `"seq":`.
#[derive(Debug, Default)]
pub struct SeqPrefix {
    prefix: Vec<u8>,
}

impl SeqPrefix {
    /// Learns from a notification that was parsed and found to be of the right kind.
    pub fn learn(&mut self, notification: &[u8]) {
        let seq = b"\"seq\":";
        if let Some(at) = find(notification, seq) {
            self.prefix = notification[..at + seq.len()].to_vec();
        }
    }

    /// The seq, when the notification begins as the learned one did.
    pub fn seq(&self, notification: &[u8]) -> Option<u64> {
        if self.prefix.is_empty() {
            return None;
        }
        notification.strip_prefix(self.prefix.as_slice()).and_then(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_was_and_where_it_moved_to() {
        let mut key = Key::new(b"\"seq\":");
        assert_eq!(key.number(br#"{"a":1,"seq":42,"b":2}"#), Some(42));
        assert_eq!(key.number(br#"{"a":1,"seq":43,"b":2}"#), Some(43));
        assert_eq!(key.number(br#"{"abc":1,"seq":44}"#), Some(44));
        assert_eq!(key.number(br#"{"abc":1}"#), None);
        assert_eq!(key.number(br#"{"seq":"x"}"#), None);
    }

    #[test]
    fn a_prefix_tells_one_conversation_from_another() {
        let mut prefix = SeqPrefix::default();
        let first = br#"{"method":"message","params":{"conversation":"lobby","seq":9,"text":"x"}}"#;
        assert_eq!(prefix.seq(first), None);
        prefix.learn(first);
        assert_eq!(prefix.seq(first), Some(9));
        assert_eq!(prefix.seq(br#"{"method":"message","params":{"conversation":"help","seq":9}}"#), None);
    }
}
