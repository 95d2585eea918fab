//! WebSocket bytes of the client's side (RFC 6455), without IO, so that blocking and polling users share it.
//!
//! - [`upgrade_request`] and [`parse_response_head`] + [`check_upgrade`]: the HTTP part.
//! - [`encode`]: a client frame, masked. [`RawFrame`]: a frame that breaks any rule one likes.
//! - [`Decoder`]: feed it what was read, take whole frames out, without a copy.
//! - [`Assembler`]: frames to messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

/// The subprotocol of Hallway's JSON chat protocol.
pub const SUBPROTOCOL: &str = "hallway.v1";

/// What a server may not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The answer to the upgrade is not HTTP/1.1.
    #[error("not an HTTP response: {0}")]
    NotHttp(String),
    /// The server did not accept the upgrade.
    #[error("the upgrade was answered with HTTP status {0}")]
    Refused(u16),
    /// A header of the upgrade's answer is missing or wrong.
    #[error("the upgrade's answer has no good {0}")]
    BadUpgrade(&'static str),
    /// A frame breaks RFC 6455.
    #[error("bad frame from the server: {0}")]
    BadFrame(&'static str),
    /// A frame is larger than the decoder was told to accept.
    #[error("a frame of {0} bytes")]
    TooLarge(u64),
}

/// A frame's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The rest of a fragmented message.
    Continuation,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// Close, with an optional code and text.
    Close,
    /// Ping.
    Ping,
    /// Pong.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Opcode, WireError> {
        Ok(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return Err(WireError::BadFrame("reserved opcode")),
        })
    }

    /// The four bits on the wire.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

// ---- The upgrade ----

/// The bytes of an upgrade request. `headers` come after the standard ones; one named `Host` replaces the default.
#[must_use]
pub fn upgrade_request(host: &str, path: &str, nonce: [u8; 16], headers: &[(&str, &str)]) -> Vec<u8> {
    let own_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    if !own_host {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    request.push_str("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    request.push_str(&format!("Sec-WebSocket-Key: {}\r\n", BASE64.encode(nonce)));
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// Status and headers of an HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
}

impl ResponseHead {
    /// The first header of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a response's head: `None` while incomplete, else the head and how many bytes it took.
///
/// # Errors
/// [`WireError::NotHttp`].
pub fn parse_response_head(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, WireError> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > 65_536 { Err(WireError::NotHttp("a head over 64 KiB".into())) } else { Ok(None) };
    };
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| WireError::NotHttp(first.to_owned()))?;
    let headers = lines
        .map(|line| line.split_once(':').ok_or_else(|| WireError::NotHttp(line.to_owned())))
        .map(|pair| pair.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())))
        .collect::<Result<_, _>>()?;
    Ok(Some((ResponseHead { status, headers }, end + 4)))
}

/// Whether the head accepts the upgrade that was asked for with `nonce` (RFC 6455, 4.1).
///
/// # Errors
/// [`WireError::Refused`] and [`WireError::BadUpgrade`].
pub fn check_upgrade(head: &ResponseHead, nonce: [u8; 16]) -> Result<(), WireError> {
    if head.status != 101 {
        return Err(WireError::Refused(head.status));
    }
    let has = |name: &str, value: &str| head.header(name).is_some_and(|have| have.eq_ignore_ascii_case(value));
    if !has("upgrade", "websocket") {
        return Err(WireError::BadUpgrade("Upgrade"));
    }
    if !has("connection", "upgrade") {
        return Err(WireError::BadUpgrade("Connection"));
    }
    if head.header("sec-websocket-accept") != Some(accept_key(nonce).as_str()) {
        return Err(WireError::BadUpgrade("Sec-WebSocket-Accept"));
    }
    Ok(())
}

fn accept_key(nonce: [u8; 16]) -> String {
    let mut hash = Sha1::new();
    hash.update(BASE64.encode(nonce));
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(hash.finalize())
}

// ---- Client frames ----

/// Appends one whole, masked frame to `out`.
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    RawFrame { fin: true, reserved: 0, opcode: opcode.bits(), mask: Some(mask), payload, claimed: None }.encode(out);
}

/// The payload of a close frame.
#[must_use]
pub fn close_payload(code: u16, text: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(text.as_bytes());
    payload
}

/// A frame with every field free, for tests that break the rules.
#[derive(Debug, Clone, Copy)]
pub struct RawFrame<'a> {
    /// The last fragment of its message.
    pub fin: bool,
    /// The three reserved bits, 0 to 7.
    pub reserved: u8,
    /// Four bits.
    pub opcode: u8,
    /// `None` sends the payload bare, which a client must not.
    pub mask: Option<[u8; 4]>,
    /// What is sent.
    pub payload: &'a [u8],
    /// A length in the header that is not the payload's.
    pub claimed: Option<u64>,
}

impl RawFrame<'_> {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.fin) << 7 | (self.reserved & 7) << 4 | self.opcode & 0xF);
        let masked = u8::from(self.mask.is_some()) << 7;
        let length = self.claimed.unwrap_or(self.payload.len() as u64);
        match length {
            0..=125 => out.push(masked | length as u8),
            126..=0xFFFF => {
                out.push(masked | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        match self.mask {
            None => out.extend_from_slice(self.payload),
            Some(mask) => {
                out.extend_from_slice(&mask);
                out.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
            }
        }
    }
}

// ---- Server frames ----

/// One frame of the server; the payload lies in the decoder's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The last fragment of its message.
    pub fin: bool,
    /// Its type.
    pub opcode: Opcode,
    /// Its payload.
    pub payload: &'a [u8],
}

/// Cuts the server's bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    taken: usize,
    max_payload_bytes: u64,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new(16 << 20)
    }
}

impl Decoder {
    /// Accepts frames with payloads up to `max_payload_bytes`.
    #[must_use]
    pub fn new(max_payload_bytes: u64) -> Decoder {
        Decoder { buffer: Vec::new(), taken: 0, max_payload_bytes }
    }

    /// Adds what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
        } else if self.taken > 1 << 16 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their frame.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// The next whole frame, `None` until more is fed.
    ///
    /// # Errors
    /// [`WireError::BadFrame`] and [`WireError::TooLarge`]; the decoder is of no use after that.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, WireError> {
        let Some(header) = Header::parse(&self.buffer[self.taken..])? else {
            return Ok(None);
        };
        if header.payload_bytes > self.max_payload_bytes {
            return Err(WireError::TooLarge(header.payload_bytes));
        }
        let start = self.taken + header.header_bytes;
        let end = start + header.payload_bytes as usize;
        if end > self.buffer.len() {
            return Ok(None);
        }
        self.taken = end;
        Ok(Some(Frame { fin: header.fin, opcode: header.opcode, payload: &self.buffer[start..end] }))
    }
}

struct Header {
    fin: bool,
    opcode: Opcode,
    header_bytes: usize,
    payload_bytes: u64,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Option<Header>, WireError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(WireError::BadFrame("reserved bits without an extension"));
        }
        if second & 0x80 != 0 {
            return Err(WireError::BadFrame("a server must not mask")); // [RFC6455-5.1]
        }
        let opcode = Opcode::from_bits(first & 0xF)?;
        let fin = first & 0x80 != 0;
        let (header_bytes, payload_bytes) = match second & 0x7F {
            126 => match rest.first_chunk::<2>() {
                Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(length) => (10, u64::from_be_bytes(*length)),
                None => return Ok(None),
            },
            length => (2, u64::from(length)),
        };
        if opcode.is_control() && (!fin || payload_bytes > 125) {
            return Err(WireError::BadFrame("a long or fragmented control frame")); // [RFC6455-5.5]
        }
        Ok(Some(Header { fin, opcode, header_bytes, payload_bytes }))
    }
}

// ---- Messages ----

/// A whole message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Asks for a pong with the same payload.
    Ping(Vec<u8>),
    /// Answers a ping.
    Pong(Vec<u8>),
    /// The end: code (1005 when there was none) and text.
    Close(u16, String),
}

/// Puts fragments together.
#[derive(Debug, Default)]
pub struct Assembler {
    started: Option<Opcode>,
    partial: Vec<u8>,
}

impl Assembler {
    /// Takes a frame; gives the message that it completes.
    ///
    /// # Errors
    /// [`WireError::BadFrame`] for fragments out of order and text that is not UTF-8.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<Option<Message>, WireError> {
        match frame.opcode {
            Opcode::Ping => return Ok(Some(Message::Ping(frame.payload.to_vec()))),
            Opcode::Pong => return Ok(Some(Message::Pong(frame.payload.to_vec()))),
            Opcode::Close => return close(frame.payload).map(Some),
            Opcode::Continuation if self.started.is_none() => {
                return Err(WireError::BadFrame("a continuation of nothing"));
            }
            Opcode::Continuation => {}
            Opcode::Text | Opcode::Binary if self.started.is_some() => {
                return Err(WireError::BadFrame("a new message within a fragmented one"));
            }
            Opcode::Text | Opcode::Binary => self.started = Some(frame.opcode),
        }
        self.partial.extend_from_slice(frame.payload);
        if !frame.fin {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.partial);
        match self.started.take() {
            Some(Opcode::Text) => text(payload).map(|text| Some(Message::Text(text))),
            _ => Ok(Some(Message::Binary(payload))),
        }
    }
}

fn text(payload: Vec<u8>) -> Result<String, WireError> {
    String::from_utf8(payload).map_err(|_| WireError::BadFrame("text that is not UTF-8"))
}

fn close(payload: &[u8]) -> Result<Message, WireError> {
    match payload {
        [] => Ok(Message::Close(1005, String::new())),
        [_] => Err(WireError::BadFrame("a close frame with half a code")),
        [high, low, reason @ ..] => Ok(Message::Close(u16::from_be_bytes([*high, *low]), text(reason.to_vec())?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server_frame(out: &mut Vec<u8>, fin: bool, opcode: Opcode, payload: &[u8]) {
        RawFrame { fin, reserved: 0, opcode: opcode.bits(), mask: None, payload, claimed: None }.encode(out);
    }

    #[test]
    fn the_key_of_the_rfc_is_accepted() {
        let nonce: [u8; 16] = BASE64.decode("dGhlIHNhbXBsZSBub25jZQ==").expect("base64").try_into().expect("16 bytes");
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nrest";
        let (head, taken) = parse_response_head(answer).expect("HTTP").expect("whole");
        assert_eq!(&answer[taken..], b"rest");
        assert_eq!(check_upgrade(&head, nonce), Ok(()));
        assert_eq!(check_upgrade(&head, [0; 16]), Err(WireError::BadUpgrade("Sec-WebSocket-Accept")));
        assert_eq!(parse_response_head(&answer[..40]), Ok(None));
    }

    #[test]
    fn a_host_of_ones_own_replaces_the_default() {
        let request = upgrade_request("127.0.0.1:80", "/ws", [0; 16], &[("Host", "evil.example")]);
        let text = String::from_utf8(request).expect("ASCII");
        assert_eq!(text.matches("Host:").count(), 1);
        assert!(text.contains("Host: evil.example\r\n"));
    }

    #[test]
    fn the_server_may_not_break_the_rules() {
        for (bytes, rule) in [
            (&[0x81, 0x80, 0, 0, 0, 0][..], "masked"),
            (&[0xC1, 0][..], "reserved bit"),
            (&[0x83, 0][..], "reserved opcode"),
            (&[0x09, 0][..], "fragmented ping"),
            (&[0x88, 126, 0, 126][..], "long close"),
        ] {
            let mut decoder = Decoder::default();
            decoder.feed(bytes);
            assert!(matches!(decoder.next_frame(), Err(WireError::BadFrame(_))), "{rule}");
        }
        let mut decoder = Decoder::new(10);
        decoder.feed(&[0x81, 11]);
        assert_eq!(decoder.next_frame(), Err(WireError::TooLarge(11)));
    }

    #[test]
    fn fragments_in_a_wrong_order_are_errors() {
        let frame = |fin, opcode| Frame { fin, opcode, payload: b"x" };
        assert!(Assembler::default().push(frame(true, Opcode::Continuation)).is_err());
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(frame(false, Opcode::Text)), Ok(None));
        assert!(assembler.push(frame(true, Opcode::Text)).is_err());
    }

    proptest! {
        /// However the bytes are cut, the same messages come out; pings may come between fragments.
        #[test]
        fn any_chunking_gives_the_same_messages(
            texts in prop::collection::vec("\\PC{0,300}", 1..8),
            fragment_bytes in 1..200_usize,
            chunk_bytes in 1..500_usize,
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                let parts: Vec<&[u8]> = text.as_bytes().chunks(fragment_bytes).collect();
                if parts.is_empty() {
                    server_frame(&mut bytes, true, Opcode::Text, b"");
                }
                for (at, part) in parts.iter().enumerate() {
                    let opcode = if at == 0 { Opcode::Text } else { Opcode::Continuation };
                    server_frame(&mut bytes, at + 1 == parts.len(), opcode, part);
                    server_frame(&mut bytes, true, Opcode::Ping, b"p");
                }
            }
            server_frame(&mut bytes, true, Opcode::Close, &close_payload(1012, "draining"));

            let (mut decoder, mut assembler, mut messages) = (Decoder::default(), Assembler::default(), Vec::new());
            for chunk in bytes.chunks(chunk_bytes) {
                decoder.feed(chunk);
                while let Some(frame) = decoder.next_frame().expect("good frames") {
                    messages.extend(assembler.push(frame).expect("good fragments"));
                }
            }
            prop_assert_eq!(decoder.pending_bytes(), 0);
            messages.retain(|message| !matches!(message, Message::Ping(_)));
            let close = Message::Close(1012, "draining".into());
            let expected: Vec<Message> = texts.into_iter().map(Message::Text).chain([close]).collect();
            prop_assert_eq!(messages, expected);
        }

        /// A client frame unmasks to what was given, at every length form.
        #[test]
        fn client_frames_unmask(length in prop_oneof![0..130_usize, 65_530..65_540_usize], mask: [u8; 4]) {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut bytes = Vec::new();
            encode(&mut bytes, Opcode::Text, &payload, mask);
            let header_bytes = match length { 0..=125 => 2, 126..=0xFFFF => 4, _ => 10 };
            prop_assert_eq!(bytes.len(), header_bytes + 4 + length);
            prop_assert_eq!(bytes[1] & 0x80, 0x80);
            let unmasked: Vec<u8> = bytes[header_bytes + 4..].iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            prop_assert_eq!(unmasked, payload);
        }

        /// Nothing that a server sends makes the decoder panic.
        #[test]
        fn garbage_is_an_error_at_worst(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (mut decoder, mut assembler) = (Decoder::new(100), Assembler::default());
            decoder.feed(&bytes);
            while let Ok(Some(frame)) = decoder.next_frame() {
                if assembler.push(frame).is_err() {
                    break;
                }
            }
        }
    }
}
