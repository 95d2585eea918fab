//! What came, bounded before anything is made of it.

use hallway_broker::reject::{Reason, Reject};
use serde_json::Value;

/// Longest payload in bytes: an offline reader's upload of as many taps as one message may have.
pub const PAYLOAD_BYTES_MAX: usize = 131_072;

/// A reader's message: text.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'p>(&'p str);

impl<'p> Payload<'p> {
    /// # Errors
    /// It is too long, or no text.
    pub fn new(bytes: &'p [u8]) -> Result<Self, Reject> {
        let text = Some(bytes).filter(|bytes| bytes.len() <= PAYLOAD_BYTES_MAX).and_then(|bytes| std::str::from_utf8(bytes).ok());
        // Serial lines and C programs leave NULs and line ends.
        text.map(|text| Self(text.trim_matches(|c: char| c.is_whitespace() || c.is_control()))).ok_or_else(|| Reason::InvalidParams.into())
    }

    /// Somebody took a retained message away.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub fn text(self) -> &'p str {
        self.0
    }

    /// An object or an array; a bare number or string is a code.
    pub fn looks_like_json(self) -> bool {
        self.0.starts_with(['{', '['])
    }

    /// # Errors
    /// It is no JSON, or cut off. `serde_json` goes 128 levels deep at most.
    pub fn json(self) -> Result<Value, Reject> {
        serde_json::from_str(self.0).map_err(|_| Reason::InvalidParams.into())
    }
}
