//! Writing frames: a server's are never masked (RFC 6455 §5.1) and ours never fragmented.

use crate::limits::beginning;

/// Most bytes of a ping's, pong's or close's payload (RFC 6455 §5.5).
pub const MAX_CONTROL_BYTES: usize = 125;

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// The header's bytes for a payload of `len` bytes, in the shortest form (RFC 6455 §5.2), and how many they are.
fn header(opcode: u8, len: usize) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    bytes[0] = FIN | opcode;
    let long = (len as u64).to_be_bytes();
    let used = match len {
        0..=125 => {
            bytes[1] = long[7];
            2
        }
        126..=0xFFFF => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&long[6..]);
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&long);
            10
        }
    };
    (bytes, used)
}

/// The header of a binary message of `len` bytes, and how many bytes of it count: written beside the payload, not before a copy of it.
#[must_use]
pub fn binary_frame_header(len: usize) -> ([u8; 10], usize) {
    header(BINARY, len)
}

/// Writes the header of a text message of `len` bytes.
pub fn text_frame_header(len: usize, out: &mut Vec<u8>) {
    let (bytes, used) = header(TEXT, len);
    out.extend_from_slice(&bytes[..used]);
}

/// Writes a text message.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    text_frame_header(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a text message whose text `write` appends. It must append UTF-8 only.
pub fn write_text_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    /// What most messages need; others are moved.
    const ROOM: usize = 4;
    let start = out.len();
    out.extend_from_slice(&[0; ROOM]);
    write(out);
    let text = start + ROOM;
    let (bytes, used) = header(TEXT, out.len() - text);
    out.splice(start..text, bytes[..used].iter().copied());
}

/// Writes a ping; of a longer payload only the first [`MAX_CONTROL_BYTES`].
pub fn write_ping(payload: &[u8], out: &mut Vec<u8>) {
    write_control(PING, payload, out);
}

/// Writes the pong to a ping's payload (RFC 6455 §5.5.3).
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_control(PONG, payload, out);
}

/// Writes a close frame; `None` answers a close without a code (RFC 6455 §5.5.1). A long reason is cut at a character.
pub fn write_close(code: Option<u16>, reason: &str, out: &mut Vec<u8>) {
    let Some(code) = code else { return write_control(CLOSE, b"", out) };
    let reason = beginning(reason, MAX_CONTROL_BYTES - 2);
    let (bytes, used) = header(CLOSE, 2 + reason.len());
    out.extend_from_slice(&bytes[..used]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

fn write_control(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(MAX_CONTROL_BYTES)];
    let (bytes, used) = header(opcode, payload.len());
    out.extend_from_slice(&bytes[..used]);
    out.extend_from_slice(payload);
}
