//! The header of a frame (RFC 6455 §5.2), checked as far as it has come.

use super::Violation;

/// Most bytes of a control frame's payload (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD_BYTES: u64 = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A client's frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub fin: bool,
    pub opcode: Opcode,
    pub mask: [u8; 4],
    pub header_bytes: usize,
    /// Checked against the bound before it is trusted as a `usize`.
    pub payload_bytes: u64,
}

impl Head {
    /// The whole frame. Only of a header whose length was checked against the bound.
    pub fn frame_bytes(&self) -> usize {
        self.header_bytes.saturating_add(usize::try_from(self.payload_bytes).unwrap_or(usize::MAX))
    }
}

/// How many bytes the header has that starts with `bytes`, as far as that is known from them; more than there are.
pub fn bytes_for_header(bytes: &[u8]) -> usize {
    match bytes.get(1).map(|second| second & 0x7F) {
        None => 2,
        Some(126) => 8,
        Some(127) => 14,
        Some(_) => 6,
    }
}

/// The header at the start of `bytes`, `None` while it is not all there.
pub fn parse(bytes: &[u8]) -> Result<Option<Head>, Violation> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Violation::Protocol("a reserved bit without an extension")); // RFC 6455 §5.2, RSV1-3
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or(Violation::Protocol("a reserved opcode"))?; // RFC 6455 §5.2
    let fin = first & 0x80 != 0;
    if opcode.is_control() && !fin {
        return Err(Violation::Protocol("a fragmented control frame")); // RFC 6455 §5.5
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Violation::Protocol("an unmasked frame")); // RFC 6455 §5.1
    }
    if opcode.is_control() && u64::from(second & 0x7F) > MAX_CONTROL_PAYLOAD_BYTES {
        return Err(Violation::Protocol("a control frame over 125 bytes")); // RFC 6455 §5.5
    }
    let header_bytes = bytes_for_header(bytes);
    if bytes.len() < header_bytes {
        return Ok(None);
    }
    let payload_bytes = payload_bytes(bytes, second & 0x7F)?;
    let mut mask = [0; 4];
    mask.copy_from_slice(&bytes[header_bytes - 4..header_bytes]);
    Ok(Some(Head { fin, opcode, mask, header_bytes, payload_bytes }))
}

/// RFC 6455 §5.2, payload length: in the fewest bytes, and below 2^63.
fn payload_bytes(header: &[u8], short: u8) -> Result<u64, Violation> {
    let long = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let (bytes, least) = match short {
        126 => (long(&header[2..4]), 126),
        127 => (long(&header[2..10]), 1 << 16),
        _ => (u64::from(short), 0),
    };
    if bytes < least {
        return Err(Violation::Protocol("a length in more bytes than it needs"));
    }
    if bytes >> 63 != 0 {
        return Err(Violation::Protocol("a length with its highest bit set"));
    }
    Ok(bytes)
}
