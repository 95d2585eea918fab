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
    /// What was read and, from `held_from` on, not looked at yet; of a WebSocket its decoder holds it.
    held: Vec<u8>,
    held_from: usize,
}

impl Input {
    pub fn new(framing: Framing, bounds: Bounds, leftover: &[u8]) -> Self {
        let frames = (framing == Framing::WebSocket).then(|| Box::new(Decoder::new(bounds.stanza_bytes, Binary::Refused)));
        let mut input = Self { reader: StreamReader::new(framing, bounds), frames, held: Vec::new(), held_from: 0 };
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
        (self.held, self.held_from) = (Vec::new(), 0);
    }

    /// Whether something has begun that is not whole.
    pub fn is_within_item(&self) -> bool {
        self.reader.is_within_item()
    }

    /// Keeps what is not looked at yet.
    pub fn hold(&mut self, rest: &[u8]) {
        match &mut self.frames {
            Some(frames) => frames.hold(rest),
            None => self.held.extend_from_slice(rest),
        }
    }

    /// The next of what is held and, after it, of `input`; `None` when more bytes are needed: then nothing is left of either.
    pub fn next(&mut self, input: &mut &mut [u8]) -> Result<Option<Got>, Fault> {
        if self.frames.is_some() {
            return self.next_framed(input);
        }
        if !self.held.is_empty() {
            let mut rest = self.held.get(self.held_from..).unwrap_or_default();
            let found = self.reader.next(&mut rest)?;
            self.held_from = self.held.len() - rest.len();
            if rest.is_empty() {
                (self.held, self.held_from) = (Vec::new(), 0);
            }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "<stream:stream to='x' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='x' version='1.0'/>";

    /// A client's frame, masked with zeros.
    fn framed(text: &str) -> Vec<u8> {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(len) if len < 126 => frame.push(0x80 | len),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        frame
    }

    /// What is read of `bytes` in pieces of these lengths; of each piece only so many items are taken before the rest is held.
    fn read(framing: Framing, bytes: &[u8], pieces: &[usize]) -> Result<Vec<String>, ()> {
        let mut input = Input::new(framing, Bounds::default(), &[]);
        let (mut names, mut rest, mut pieces) = (Vec::new(), bytes, pieces.iter().cycle());
        loop {
            let (piece, more) = rest.split_at(pieces.next().map_or(1, |len| len % 40 + 1).min(rest.len()));
            rest = more;
            let mut buffer = piece.to_vec();
            let mut lent = &mut buffer[..];
            let found = input.next(&mut lent).map_err(drop)?;
            input.hold(lent);
            match found {
                Some(Got::Incoming(Incoming::Open(_))) => names.push("open".to_owned()),
                Some(Got::Incoming(Incoming::Stanza(element))) => names.push(element.name().to_owned()),
                Some(Got::Incoming(Incoming::Close) | Got::Closed) => names.push("close".to_owned()),
                Some(Got::Ping(_)) => names.push("ping".to_owned()),
                Some(Got::Pong) => {}
                None if rest.is_empty() => return Ok(names),
                None => {}
            }
        }
    }

    proptest! {
        /// However the bytes come, and whatever of them is held: all that is in them comes out, once and in order.
        #[test]
        fn nothing_is_lost_or_doubled(kinds in prop::collection::vec(0..3usize, 0..20), pieces in prop::collection::vec(0..400usize, 1..10)) {
            let names = ["message", "presence", "iq"];
            let stanza = |kind: &usize| format!("<{} xmlns='jabber:client' id='{}'/>", names[*kind], "x".repeat(kind * 70));
            let tcp = kinds.iter().map(stanza).fold(HEADER.to_owned(), |all, one| all + &one);
            let web: Vec<u8> = [OPEN.to_owned()].into_iter().chain(kinds.iter().map(stanza)).flat_map(|text| framed(&text)).collect();
            let expected: Vec<String> = ["open"].into_iter().chain(kinds.iter().map(|kind| names[*kind])).map(Into::into).collect();
            prop_assert_eq!(read(Framing::Tcp, tcp.as_bytes(), &pieces), Ok(expected.clone()));
            prop_assert_eq!(read(Framing::WebSocket, &web, &pieces), Ok(expected));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), pieces in prop::collection::vec(0..400usize, 1..5)) {
            let _ = read(Framing::Tcp, &bytes, &pieces);
            let _ = read(Framing::WebSocket, &bytes, &pieces);
        }
    }

    #[test]
    fn one_element_a_message() {
        let two = [framed(OPEN), framed("<iq xmlns='jabber:client'/><iq xmlns='jabber:client'/>")].concat();
        assert_eq!(read(Framing::WebSocket, &two, &[1000]), Err(()));
        let half = [framed(OPEN), framed("<iq xmlns='jabber:client'>")].concat();
        assert_eq!(read(Framing::WebSocket, &half, &[1000]), Err(()));
    }
}
