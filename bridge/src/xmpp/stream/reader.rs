//! What a peer sends: headers, stanzas, and the end.

use minidom::Element;

use super::header::Header;
use super::scan::{Expected, Item, Scanner};
use super::tree::{Declaration, parse_element, parse_root};
use super::{Bounds, Condition, Framing, StreamError, declaration, ns};

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The stream begins, or begins again.
    Open(Header),
    /// A child of the stream: a stanza, or what the stream itself negotiates.
    Stanza(Element),
    /// The peer has ended its stream; nothing comes after it (RFC 6120 §4.4).
    Close,
}

/// How far the peer's stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No header yet; whether an XML declaration came.
    Start {
        declared: bool,
    },
    Open,
    /// It ended with its header.
    Ending,
    Closed,
}

/// Reads a stream from bytes as they come.
///
/// Memory: the bytes of one unfinished stanza or header, at most their bounds, and the namespace declarations of the header; while a
/// stanza is parsed, its tree.
#[derive(Debug)]
pub struct StreamReader {
    framing: Framing,
    phase: Phase,
    /// Over WebSocket, whether the message has had its element.
    message_is_full: bool,
    bounds: Bounds,
    scanner: Scanner,
    /// The item's bytes so far.
    kept: Vec<u8>,
    /// What the header declared, for all stanzas.
    declarations: Box<[Declaration]>,
    /// The root's name as the peer wrote it.
    root: Box<str>,
    /// The content namespace that is read as that of clients.
    read_as_client: Option<&'static str>,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// With line ends as XML has them (XML 1.0 §2.11); `None` when they are so already. The parser would stumble over a carriage return alone
/// in an attribute.
fn with_line_feeds(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.contains(&b'\r') {
        return None;
    }
    let mut normal = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'\r' => normal.push(b'\n'),
            byte => normal.push(*byte),
        }
    }
    Some(normal)
}

impl StreamReader {
    /// A reader before the stream's header.
    #[must_use]
    pub fn new(framing: Framing, bounds: Bounds) -> Self {
        Self {
            framing,
            phase: Phase::Start { declared: false },
            message_is_full: false,
            bounds,
            scanner: Scanner::new(),
            kept: Vec::new(),
            declarations: Box::default(),
            root: Box::default(),
            read_as_client: None,
        }
    }

    /// A reader of a stream with another content namespace, which stanzas are made of as if it were `jabber:client`: by servers they are
    /// taken from one to the other without it meaning anything (RFC 6120 §4.8.3, XEP-0114 §3).
    #[must_use]
    pub fn reading(mut self, content: &'static str) -> Self {
        self.read_as_client = Some(content);
        self
    }

    /// Other bounds, for what comes next: those of before the login are tighter.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Expects a new header, as after TLS and SASL (RFC 6120 §4.3.3, RFC 7395 §3.7). What is left of the input is the new stream's; after
    /// STARTTLS it is to be thrown away, since it came unprotected (RFC 6120 §5.4.3.3).
    pub fn reset(&mut self) {
        self.phase = Phase::Start { declared: false };
        self.scanner = Scanner::new();
        self.kept = Vec::new();
        self.declarations = Box::default();
        self.root = Box::default();
    }

    /// The next of what came, `None` when more bytes are needed; then `input` is empty and what it held of a stanza is kept. Over
    /// WebSocket `input` is of one message, whole or in pieces, and [`Self::end_message`] follows. Whitespace between stanzas is passed
    /// over: it keeps connections alive (RFC 6120 §11.7, RFC 7395 §3.8).
    ///
    /// # Errors
    /// What the peer did wrong; nothing can be read after it.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, StreamError> {
        let result = self.read(input);
        if result.is_err() {
            self.fail();
        }
        result
    }

    /// A WebSocket message ended.
    ///
    /// # Errors
    /// It was not one whole element (RFC 7395 §3.3.3).
    pub fn end_message(&mut self) -> Result<(), StreamError> {
        self.message_is_full = false;
        if self.scanner.is_between() {
            return Ok(());
        }
        self.fail();
        Err(StreamError::not_well_formed("RFC 7395 §3.3.3", "a message that ends within an element"))
    }

    /// Whether a stanza or header has begun and is not whole: the peer may be given a time for the rest of it.
    #[must_use]
    pub fn is_within_item(&self) -> bool {
        !self.scanner.is_between()
    }

    /// How the stream is framed.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Bytes of memory that are held, besides the reader itself.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity() + size_of_val::<[_]>(&self.declarations) + self.root.len()
    }

    fn fail(&mut self) {
        self.phase = Phase::Closed;
        self.scanner = Scanner::new();
        self.kept = Vec::new();
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, StreamError> {
        loop {
            if matches!(self.phase, Phase::Ending | Phase::Closed) {
                *input = &[];
                let is_ending = std::mem::replace(&mut self.phase, Phase::Closed) == Phase::Ending;
                return Ok(is_ending.then_some(Incoming::Close));
            }
            if self.scanner.is_between() {
                let spaces = input.iter().take_while(|byte| is_space(**byte)).count();
                *input = &input[spaces..];
            }
            if input.is_empty() {
                return Ok(None);
            }
            let (len, item) = self.scanner.scan(input, self.expected()?, &self.bounds)?;
            let (piece, rest) = input.split_at(len);
            *input = rest;
            let Some(item) = item else {
                self.keep(piece)?;
                return Ok(None);
            };
            let incoming = if self.kept.is_empty() {
                self.take(item, piece)?
            } else {
                self.keep(piece)?;
                let kept = std::mem::take(&mut self.kept);
                self.take(item, &kept)?
            };
            if incoming.is_some() {
                return Ok(incoming);
            }
        }
    }

    /// What may come next at stream level.
    fn expected(&self) -> Result<Expected, StreamError> {
        let bytes = if self.phase == Phase::Open { self.bounds.stanza_bytes } else { self.bounds.header_bytes };
        let can_declare = self.phase == Phase::Start { declared: false };
        match self.framing {
            Framing::Tcp => {
                let header = self.phase != Phase::Open;
                Ok(Expected { header, declaration: can_declare, end: !header, bytes })
            }
            Framing::WebSocket if self.message_is_full => {
                Err(StreamError::not_well_formed("RFC 7395 §3.3.3", "more than one element in a message"))
            }
            // Against advice (RFC 7395 §3.3.3).
            Framing::WebSocket => Ok(Expected { header: false, declaration: true, end: false, bytes }),
        }
    }

    fn take(&mut self, item: Item, bytes: &[u8]) -> Result<Option<Incoming>, StreamError> {
        let normal = with_line_feeds(bytes);
        let bytes = normal.as_deref().unwrap_or(bytes);
        match item {
            Item::Declaration => {
                declaration::check(bytes)?;
                if self.framing == Framing::Tcp {
                    self.phase = Phase::Start { declared: true };
                }
                Ok(None)
            }
            Item::Header => self.open(bytes).map(Some),
            Item::Element => self.element(bytes).map(Some),
            Item::End => self.close(bytes).map(Some),
        }
    }

    /// The root's start tag.
    fn open(&mut self, bytes: &[u8]) -> Result<Incoming, StreamError> {
        let mut root = parse_root(bytes)?;
        let header = Header::of_root(&root)?;
        if let Some(content) = self.read_as_client {
            root.read_as(content, ns::CLIENT);
        }
        self.phase = if root.is_closed { Phase::Ending } else { Phase::Open };
        (self.declarations, self.root) = (root.declarations, root.qualified_name);
        Ok(Incoming::Open(header))
    }

    fn element(&mut self, bytes: &[u8]) -> Result<Incoming, StreamError> {
        let element = parse_element(bytes, &self.declarations)?;
        self.message_is_full = true;
        if self.framing == Framing::Tcp {
            // RFC 6120 §4.9.3.10
            return if element.is("stream", ns::STREAMS) { Err(StreamError::second_header()) } else { Ok(Incoming::Stanza(element)) };
        }
        match (element.has_ns(ns::FRAMING), element.name(), self.phase) {
            (true, "open", Phase::Open) => Err(StreamError::second_header()),
            (true, "open", _) => {
                self.phase = Phase::Open;
                Header::of(&element).map(Incoming::Open)
            }
            // RFC 7395 §3.6
            (true, "close", _) => {
                self.phase = Phase::Closed;
                Ok(Incoming::Close)
            }
            (true, _, _) => Err(StreamError::new(Condition::BadFormat, "RFC 7395 §3.3.2", "neither open nor close")),
            (false, _, Phase::Open) => Ok(Incoming::Stanza(element)),
            // RFC 7395 §3.3.2
            (false, _, _) => Err(StreamError::new(Condition::InvalidNamespace, "RFC 7395 §3.3.2", "not in the namespace of framing")),
        }
    }

    /// The root's end tag (RFC 6120 §4.4).
    fn close(&mut self, bytes: &[u8]) -> Result<Incoming, StreamError> {
        let name = bytes.strip_prefix(b"</").and_then(|tag| tag.strip_suffix(b">")).map(<[u8]>::trim_ascii_end);
        // XML 1.0 §3, element type match
        if name != Some(self.root.as_bytes()) {
            return Err(StreamError::not_well_formed("XML 1.0 §3", "an end tag that is not the stream's"));
        }
        self.phase = Phase::Closed;
        Ok(Incoming::Close)
    }

    /// Keeps a piece of an item. Grows by doubling, but not beyond the bound that the scan has held.
    fn keep(&mut self, piece: &[u8]) -> Result<(), StreamError> {
        let need = self.kept.len() + piece.len();
        if need > self.kept.capacity() {
            let bound = if self.phase == Phase::Open { self.bounds.stanza_bytes } else { self.bounds.header_bytes };
            let room = need.max((self.kept.capacity() * 2).min(bound));
            self.kept.reserve_exact(room - self.kept.len());
        }
        self.kept.extend_from_slice(piece);
        // Not when it ends: it would hold all stanzas within it (RFC 6120 §4.9.3.10).
        if self.is_second_header() { Err(StreamError::second_header()) } else { Ok(()) }
    }

    fn is_second_header(&self) -> bool {
        let is_delimiter = |byte: &u8| is_space(*byte) || matches!(byte, b'/' | b'>');
        let name = self.kept.get(1..).and_then(|tag| tag.strip_prefix(self.root.as_bytes()));
        !self.root.is_empty() && name.and_then(<[u8]>::first).is_some_and(is_delimiter)
    }
}
