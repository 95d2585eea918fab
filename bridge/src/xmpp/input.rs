//! What comes in on a connection: bytes, out of WebSocket's frames if it is one, into what XMPP is made of.

use hallway_broker::frame::{Binary, Decoder, Event, Violation};

use super::stream::{Bounds, Framing, Incoming, StreamError, StreamReader};

/// What was read.
pub(super) enum Got {
    /// A header, stanza or close.
    Incoming(Incoming),
    /// A WebSocket ping, to be answered with the same.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// The peer closes the WebSocket.
    Closed,
}

/// What the peer did wrong.
pub(super) enum Fault {
    /// In XMPP.
    Stream(StreamError),
    /// In WebSocket.
    Frame(Violation),
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// See the module's text.
pub(super) struct Input {
    reader: StreamReader,
    /// The frames of a WebSocket.
    frames: Option<Box<Decoder>>,
    /// What was read and not looked at yet; of a WebSocket its decoder holds it.
    held: Vec<u8>,
}

impl Input {
    pub fn new(framing: Framing, bounds: Bounds, leftover: &[u8]) -> Self {
        let frames = (framing == Framing::WebSocket).then(|| Box::new(Decoder::new(bounds.stanza_bytes, Binary::Refused)));
        let mut input = Self { reader: StreamReader::new(framing, bounds), frames, held: Vec::new() };
        input.hold(leftover);
        input
    }

    /// Other bounds from now on.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.reader.set_bounds(bounds);
        if let Some(frames) = &mut self.frames {
            frames.set_max_message_bytes(bounds.stanza_bytes);
        }
    }

    /// A new header is to come.
    pub fn restart(&mut self) {
        self.reader.reset();
    }

    /// A new header is to come, and what came before it does not count (RFC 6120 §5.4.3.3).
    pub fn discard(&mut self) {
        self.reader.reset();
        self.held = Vec::new();
    }

    /// Whether something has begun that is not whole.
    pub fn is_within_item(&self) -> bool {
        self.reader.is_within_item()
    }

    /// Keeps what is not looked at yet.
    pub fn hold(&mut self, rest: &[u8]) {
        match &mut self.frames {
            Some(frames) => frames.hold(rest),
            None if self.held.is_empty() => self.held = rest.to_vec(),
            None => self.held.extend_from_slice(rest),
        }
    }

    /// The next of what is held and, after it, of `input`; `None` when more bytes are needed: then nothing is left of either.
    pub fn next(&mut self, input: &mut &mut [u8]) -> Result<Option<Got>, Fault> {
        if self.frames.is_some() {
            return self.next_framed(input);
        }
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let mut rest = held.as_slice();
            let found = self.reader.next(&mut rest)?;
            self.held = rest.to_vec();
            if let Some(incoming) = found {
                return Ok(Some(Got::Incoming(incoming)));
            }
        }
        let mut rest: &[u8] = input;
        let found = self.reader.next(&mut rest)?;
        let left = rest.len();
        let at = input.len() - left;
        *input = &mut std::mem::take(input)[at..];
        Ok(found.map(Got::Incoming))
    }

    fn next_framed(&mut self, input: &mut &mut [u8]) -> Result<Option<Got>, Fault> {
        let Some(frames) = &mut self.frames else { return Ok(None) };
        loop {
            match frames.next(input).map_err(Fault::Frame)? {
                Some(Event::Text(text)) => {
                    let mut bytes = text.as_bytes();
                    let first = self.reader.next(&mut bytes)?;
                    if !bytes.is_empty() {
                        // Whitespace may follow; what else does is for the reader to refuse.
                        self.reader.next(&mut bytes)?;
                    }
                    self.reader.end_message()?;
                    // Whitespace alone is a sign of life.
                    return Ok(Some(first.map_or(Got::Pong, Got::Incoming)));
                }
                Some(Event::Ping(payload)) => return Ok(Some(Got::Ping(payload.to_vec()))),
                Some(Event::Pong(_)) => return Ok(Some(Got::Pong)),
                Some(Event::Close { .. }) => return Ok(Some(Got::Closed)),
                Some(Event::Binary(_)) => {}
                None => return Ok(None),
            }
        }
    }
}
