//! WebSocket's framing (RFC 6455 §5), the server's side, without IO: bytes in, events out, frames written into a vector.
//!
//! A connection's shard reads into one buffer that all its connections share and gives what it read to the connection's
//! [`Decoder`], which unmasks in place and hands out slices of that buffer. It copies only what cannot be handed out yet (the
//! first part of a frame, or of a fragmented message), and frees that as soon as it has been: an idle connection holds nothing.
//! Events are written by the shard as frames that all receivers share, which is why no stream object owns the socket.

mod head;
mod write;

#[cfg(test)]
mod tests;

use head::{Head, Opcode};

pub use write::{
    MAX_CONTROL_BYTES, binary_frame_header, text_frame_header, write_close, write_ping, write_pong, write_text, write_text_with,
};

/// What a peer did against the protocol or this server's bounds. The connection ends with its close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame that RFC 6455 does not allow.
    #[error("{0}")]
    Protocol(&'static str),
    /// A message of a type that is not spoken here.
    #[error("binary messages are not spoken here")]
    Binary,
    /// A text message or close reason that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A message over the bound.
    #[error("the message is over limits.frame_bytes")]
    TooBig,
}

impl Violation {
    /// The code to close with (RFC 6455 §7.4.1).
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Binary => 1003,
            Self::NotUtf8 => 1007,
            Self::TooBig => 1009,
        }
    }
}

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message; only from a decoder that takes them.
    Binary(&'a [u8]),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// A sign of life.
    Pong(&'a [u8]),
    /// The peer closes; nothing comes after it.
    Close {
        /// Its code, when it gave one.
        code: Option<u16>,
        /// Its reason.
        reason: &'a str,
    },
}

/// Whether binary messages are read or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// Close 1003, from the header on.
    Refused,
    /// Handed out.
    Taken,
}

/// Where the next frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Held,
    Input,
}

/// Reads frames from bytes as they come.
///
/// Memory: at most one frame or message of `max_message_bytes` and its header, plus what was given to [`Decoder::hold`].
#[derive(Debug)]
pub struct Decoder {
    max_message_bytes: usize,
    binary: Binary,
    /// Raw bytes that came before the input, from `held_from` on not handed out yet.
    held: Vec<u8>,
    held_from: usize,
    /// The fragments so far of a message that is not complete, or the whole message while it is handed out.
    message: Vec<u8>,
    /// The type of the message under way (§5.4).
    fragmented: Option<Opcode>,
    /// `message` was handed out with the last event.
    delivered: bool,
    ended: bool,
}

impl Decoder {
    /// A decoder for messages of at most `max_message_bytes`.
    #[must_use]
    pub fn new(max_message_bytes: usize, binary: Binary) -> Self {
        Self {
            max_message_bytes,
            binary,
            held: Vec::new(),
            held_from: 0,
            message: Vec::new(),
            fragmented: None,
            delivered: false,
            ended: false,
        }
    }

    /// Another bound on messages, from the next frame on.
    pub fn set_max_message_bytes(&mut self, max_message_bytes: usize) {
        self.max_message_bytes = max_message_bytes;
    }

    /// The next event in what is held and `input`, `None` when more bytes are needed; then `input` is empty and what it held of
    /// a frame is kept. What an event refers to is unmasked in place. To stop before `None`, give the rest to [`Self::hold`].
    ///
    /// # Errors
    /// A [`Violation`]; nothing can be read after it.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8]) -> Result<Option<Event<'s>>, Violation> {
        if std::mem::take(&mut self.delivered) {
            self.message = Vec::new();
        }
        loop {
            if self.ended {
                // RFC 6455 §5.5.1: after a close frame nothing more is read; the same after a violation (§7.1.7).
                *input = &mut [];
                self.release();
                return Ok(None);
            }
            let found = self.find_frame(input).inspect_err(|_| self.ended = true)?;
            let Some((source, head)) = found else {
                self.keep(input);
                return Ok(None);
            };
            if head.fin || head.opcode.is_control() {
                // Taken apart here, not in a function, so that the event may borrow from either place.
                let whole = head.opcode.is_control() || self.fragmented.is_none();
                return match (source, whole) {
                    (Source::Input, true) => {
                        let payload = take_from(input, &head);
                        complete(head.opcode, payload, &mut self.ended).map(Some)
                    }
                    (Source::Held, true) => {
                        let payload = take_held(&mut self.held, &mut self.held_from, &head);
                        complete(head.opcode, payload, &mut self.ended).map(Some)
                    }
                    (_, false) => {
                        self.gather(source, input, &head);
                        let kind = self.fragmented.take().unwrap_or(Opcode::Text);
                        self.delivered = true;
                        complete(kind, &self.message, &mut self.ended).map(Some)
                    }
                };
            }
            self.gather(source, input, &head);
            if head.opcode != Opcode::Continuation {
                self.fragmented = Some(head.opcode);
            }
        }
    }

    /// Keeps `rest`, what [`Self::next`] has not read of its input, for the next call: the caller stops reading because its
    /// answers are not read.
    pub fn hold(&mut self, rest: &[u8]) {
        self.drop_read();
        self.held.extend_from_slice(rest);
    }

    /// Bytes that the decoder holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.capacity() + self.message.capacity()
    }

    /// Whether bytes are held that may make an event without more input.
    #[must_use]
    pub fn has_held(&self) -> bool {
        self.held_from < self.held.len()
    }

    /// Looks for a whole frame, moving from `input` to `held` what the frame that began there lacks.
    fn find_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<(Source, Head)>, Violation> {
        if !self.has_held() {
            self.release_held();
            return Ok(self.check(input)?.filter(|head| head.frame_bytes() <= input.len()).map(|head| (Source::Input, head)));
        }
        loop {
            let have = self.held.len() - self.held_from;
            let (want, head) = match self.check(&self.held[self.held_from..])? {
                None => (head::bytes_for_header(&self.held[self.held_from..]), None),
                Some(head) => (head.frame_bytes(), Some(head)),
            };
            if let Some(head) = head.filter(|_| want <= have) {
                return Ok(Some((Source::Held, head)));
            }
            if input.is_empty() {
                return Ok(None);
            }
            self.drop_read();
            let missing = (want - have).min(input.len());
            let (now, later) = std::mem::take(input).split_at_mut(missing);
            append(&mut self.held, now, want);
            *input = later;
        }
    }

    /// The header at the start of `bytes`, checked against the message under way and the bounds before any of its payload is
    /// taken in.
    fn check(&self, bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let Some(head) = head::parse(bytes)? else { return Ok(None) };
        match (head.opcode, self.fragmented) {
            (Opcode::Continuation, None) => {
                return Err(Violation::Protocol("a continuation of nothing")); // RFC 6455 §5.4
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::Protocol("a new message within a fragmented one")); // RFC 6455 §5.4
            }
            (Opcode::Binary, None) if self.binary == Binary::Refused => {
                return Err(Violation::Binary); // RFC 6455 §7.4.1, 1003
            }
            _ => {}
        }
        if head.opcode.is_control() {
            return Ok(Some(head)); // RFC 6455 §5.5 bounds it already
        }
        let before = if head.opcode == Opcode::Continuation { self.message.len() } else { 0 };
        if head.payload_bytes > self.max_message_bytes.saturating_sub(before) as u64 {
            return Err(Violation::TooBig); // RFC 6455 §7.4.1, 1009; §10.4
        }
        Ok(Some(head))
    }

    /// Adds a frame's payload to the message under way.
    fn gather(&mut self, source: Source, input: &mut &mut [u8], head: &Head) {
        let payload = match source {
            Source::Input => take_from(input, head),
            Source::Held => take_held(&mut self.held, &mut self.held_from, head),
        };
        append(&mut self.message, payload, self.max_message_bytes);
    }

    /// Keeps the whole input: it ends within a frame.
    fn keep(&mut self, input: &mut &mut [u8]) {
        let rest = std::mem::take(input);
        if !rest.is_empty() {
            // A header may promise up to the bound; room is made only for what comes.
            append(&mut self.held, rest, rest.len());
        }
    }

    /// Forgets what was handed out of `held`.
    fn drop_read(&mut self) {
        if !self.has_held() {
            self.release_held();
        } else if self.held_from > 0 {
            self.held.drain(..self.held_from);
            self.held_from = 0;
        }
    }

    fn release_held(&mut self) {
        self.held = Vec::new();
        self.held_from = 0;
    }

    fn release(&mut self) {
        self.release_held();
        self.message = Vec::new();
    }
}

/// Appends with room for at most `most` bytes in all, doubling until then, so that a bounded message has a bounded vector.
fn append(to: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let len = to.len() + bytes.len();
    if len > to.capacity() {
        let room = len.max(most.min(to.capacity() * 2));
        to.reserve_exact(room - to.len());
    }
    to.extend_from_slice(bytes);
}

/// Takes the frame at the start of `input` off it and unmasks it.
fn take_from<'i>(input: &mut &'i mut [u8], head: &Head) -> &'i [u8] {
    let (frame, rest) = std::mem::take(input).split_at_mut(head.frame_bytes());
    *input = rest;
    let payload = &mut frame[head.header_bytes..];
    unmask(payload, head.mask);
    payload
}

/// Takes the first held frame and unmasks it.
fn take_held<'h>(held: &'h mut [u8], from: &mut usize, head: &Head) -> &'h [u8] {
    let frame = &mut held[*from..*from + head.frame_bytes()];
    *from += frame.len();
    let payload = &mut frame[head.header_bytes..];
    unmask(payload, head.mask);
    payload
}

/// RFC 6455 §5.3, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for eight in words {
        *eight = (u64::from_ne_bytes(*eight) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// A whole message or control frame as an event.
fn complete<'a>(opcode: Opcode, payload: &'a [u8], ended: &mut bool) -> Result<Event<'a>, Violation> {
    let event = match opcode {
        // RFC 6455 §8.1: over the whole message, since a fragment may end within a character.
        Opcode::Text => std::str::from_utf8(payload).map(Event::Text).map_err(|_| Violation::NotUtf8),
        Opcode::Binary | Opcode::Continuation => Ok(Event::Binary(payload)),
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        Opcode::Close => {
            *ended = true;
            close(payload)
        }
    };
    event.inspect_err(|_| *ended = true)
}

fn close(payload: &[u8]) -> Result<Event<'_>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        // RFC 6455 §5.5.1: either nothing, or two bytes of code and a reason.
        return if payload.is_empty() {
            Ok(Event::Close { code: None, reason: "" })
        } else {
            Err(Violation::Protocol("a close frame with half a code"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(Violation::Protocol("a close code that is not for the wire"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?; // RFC 6455 §5.5.1
    Ok(Event::Close { code: Some(code), reason })
}

/// RFC 6455 §7.4: 1004 to 1006 and 1015 are never on the wire, 1016 to 2999 are for later versions; 1012 to 1014 were registered
/// with IANA since.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
