//! WebSocket frames at the generator's price: requests are masked with a zero key, answers are read where they lie.
//!
//! Writing is `conformance::wire`'s; reading is a fast path of its own that copies nothing and refuses what a load never meets.

use anyhow::{Result, bail, ensure};
use conformance::wire::{self, Opcode};

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// A frame of the server, its payload still in the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Bytes of header and payload.
    pub len: usize,
}

/// The first frame of `bytes`, or `None` when more must be read.
pub fn first(bytes: &[u8]) -> Result<Option<Frame<'_>>> {
    let [flags, short, ..] = *bytes else {
        return Ok(None);
    };
    ensure!(flags & 0xF0 == 0x80, "a fragmented or extended frame ({flags:#x}); the generator reads whole messages");
    ensure!(short & 0x80 == 0, "a masked frame from the server");
    let (header, length): (usize, usize) = match short {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (4, usize::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
            Some(eight) => (10, usize::try_from(u64::from_be_bytes(eight))?),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    let Some(len) = header.checked_add(length) else { bail!("a frame of {length} bytes") };
    Ok(bytes.get(header..len).map(|payload| Frame { opcode: flags & 0x0F, payload, len }))
}

/// A client's frame. A zero masking key is legal (RFC 6455 5.3 asks for an unpredictable one for the sake of proxies,
/// of which loopback has none) and leaves the payload as it is.
pub fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    wire::encode(&mut frame, opcode, payload, [0; 4]);
    frame
}

/// A server's text frame, for the bare writer.
pub fn unmasked_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    let opcode = TEXT;
    wire::RawFrame { fin: true, reserved: 0, opcode, mask: None, payload, claimed: None }.encode(&mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_form_comes_back_whole_and_never_early() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let bytes = unmasked_text(&payload);
            assert_eq!(first(&bytes[..bytes.len() - 1]).expect("legal"), None, "{length} bytes less one");
            let frame = first(&bytes).expect("legal").expect("whole");
            assert_eq!((frame.opcode, frame.payload, frame.len), (TEXT, payload.as_slice(), bytes.len()));
        }
    }

    #[test]
    fn a_fragment_is_refused() {
        assert!(first(&[0x01, 0x00]).is_err());
    }
}
