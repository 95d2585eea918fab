//! Where the elements of a stream begin and end, and that none is larger than its bounds: a look at each byte as it comes, without
//! keeping any.
//!
//! It knows just enough XML to count. What it lets through may still be no XML: the parser that reads the whole stanza refuses that. Both
//! go through the same bytes from the same start, so where they disagree about one construct, the parser has an error.

use super::{Bounds, StreamError};

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// An XML declaration, or some other processing instruction.
    Declaration,
    /// The root's start tag.
    Header,
    /// An element at stream level.
    Element,
    /// The root's end tag.
    End,
}

/// What may come next at stream level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    /// The root's start tag, instead of elements.
    pub header: bool,
    /// An XML declaration.
    pub declaration: bool,
    /// The root's end tag.
    pub end: bool,
    /// Bytes of the whole item.
    pub bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before an item's `<`.
    Between,
    /// In the character data of an element.
    Text,
    /// After `<`.
    Markup,
    /// After `<!` and so many bytes of `[CDATA[`.
    Bang(u8),
    /// In a CDATA section, after so many `]`, two at most.
    Cdata(u8),
    /// After `<?`; whether the last byte was a `?`.
    Declaration(bool),
    /// In a start tag; whether the last byte was a `/`.
    Start(bool),
    /// In an attribute's value: its quote.
    Value(u8),
    /// In an end tag.
    End,
}

/// Finds where items end, over as many pieces as they come in.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    depth: usize,
    attributes: usize,
    nodes: usize,
    /// Bytes of the item so far.
    item_bytes: usize,
    /// Bytes of the attribute's value so far.
    value_bytes: usize,
}

const CDATA: &[u8] = b"[CDATA[";

/// The first of `bytes` for which `is_stop`, and how many come before it.
fn until(bytes: &[u8], is_stop: impl Fn(u8) -> bool) -> Option<(usize, u8)> {
    bytes.iter().position(|byte| is_stop(*byte)).map(|at| (at, bytes[at]))
}

fn malformed(text: &'static str) -> StreamError {
    StreamError::not_well_formed("XML 1.0 §3.1", text)
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { state: State::Between, depth: 0, attributes: 0, nodes: 0, item_bytes: 0, value_bytes: 0 }
    }

    /// Whether no item has begun.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Reads on in an item. Returns how many bytes of `bytes` are the item's, and what it is when it is whole; then the next call begins
    /// the next one.
    ///
    /// # Errors
    /// What can be told from the bytes so far.
    pub(super) fn scan(&mut self, bytes: &[u8], expected: Expected, bounds: &Bounds) -> Result<(usize, Option<Item>), StreamError> {
        let (mut at, mut found) = (0, None);
        while at < bytes.len() && found.is_none() {
            let (len, item) = self.step(&bytes[at..], expected, bounds)?;
            at += len;
            found = item;
        }
        self.item_bytes += at;
        // Before anything of it is kept.
        if self.item_bytes > expected.bytes {
            return Err(StreamError::policy("a stanza or header of too many bytes"));
        }
        if found.is_some() {
            *self = Self::new();
        }
        Ok((at, found))
    }

    /// Reads up to the next byte that changes the state. `bytes` is not empty.
    fn step(&mut self, bytes: &[u8], expected: Expected, bounds: &Bounds) -> Result<(usize, Option<Item>), StreamError> {
        let mut found = None;
        let mut len = 1;
        match self.state {
            State::Between => self.state = begin(bytes[0])?,
            State::Text => match until(bytes, |byte| byte == b'<') {
                Some((at, _)) => (len, self.state) = (at + 1, State::Markup),
                None => len = bytes.len(),
            },
            State::Markup => self.state = self.markup(bytes[0], expected, bounds)?,
            State::Bang(matched) => self.state = bang(bytes[0], matched, self.depth)?,
            State::Cdata(brackets) => len = self.cdata(bytes, brackets),
            State::Declaration(after_question) => {
                self.state = State::Declaration(bytes[0] == b'?');
                found = (after_question && bytes[0] == b'>').then_some(Item::Declaration);
            }
            State::Start(after_slash) => (len, found) = self.start_tag(bytes, after_slash, expected, bounds)?,
            State::Value(quote) => len = self.value(bytes, quote, bounds)?,
            State::End => match until(bytes, |byte| matches!(byte, b'>' | b'<')) {
                Some((_, b'<')) => return Err(malformed("a tag within a tag")),
                Some((at, _)) => (len, found) = (at + 1, self.end_tag()),
                None => len = bytes.len(),
            },
        }
        Ok((len, found))
    }

    /// After a `<`.
    fn markup(&mut self, byte: u8, expected: Expected, bounds: &Bounds) -> Result<State, StreamError> {
        match byte {
            b'/' if self.depth > 0 || expected.end => Ok(State::End),
            b'/' => Err(malformed("an end tag without its start tag")),
            b'!' => Ok(State::Bang(0)),
            b'?' if self.depth == 0 && expected.declaration => Ok(State::Declaration(false)),
            // RFC 6120 §11.1
            b'?' => Err(StreamError::restricted("a processing instruction")),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | b':' | 0x80.. => {
                // Before the element is anything but a name: trees within trees overflow stacks.
                if self.depth >= bounds.depth {
                    return Err(StreamError::policy("elements too deep within each other"));
                }
                self.attributes = 0;
                self.count_node(bounds)?;
                Ok(State::Start(false))
            }
            _ => Err(malformed("not a tag")),
        }
    }

    /// In a start tag, outside of values.
    fn start_tag(
        &mut self,
        bytes: &[u8],
        after_slash: bool,
        expected: Expected,
        bounds: &Bounds,
    ) -> Result<(usize, Option<Item>), StreamError> {
        if after_slash {
            return if bytes[0] == b'>' { Ok((1, self.element_ends(expected))) } else { Err(malformed("a stray slash")) };
        }
        let Some((at, stop)) = until(bytes, |byte| matches!(byte, b'>' | b'/' | b'"' | b'\'' | b'<')) else {
            return Ok((bytes.len(), None));
        };
        let mut found = None;
        match stop {
            b'>' if expected.header => found = Some(Item::Header),
            b'>' => (self.depth, self.state) = (self.depth + 1, State::Text),
            b'/' => self.state = State::Start(true),
            b'<' => return Err(malformed("a tag within a tag")),
            quote => {
                self.attributes += 1;
                if self.attributes > bounds.attributes {
                    return Err(StreamError::policy("too many attributes"));
                }
                self.count_node(bounds)?;
                (self.value_bytes, self.state) = (0, State::Value(quote));
            }
        }
        Ok((at + 1, found))
    }

    /// In an attribute's value; returns how many bytes are read.
    fn value(&mut self, bytes: &[u8], quote: u8, bounds: &Bounds) -> Result<usize, StreamError> {
        let stop = until(bytes, |byte| byte == quote || byte == b'<');
        self.value_bytes += stop.map_or(bytes.len(), |(at, _)| at);
        if self.value_bytes > bounds.attribute_bytes {
            return Err(StreamError::policy("an attribute of too many bytes"));
        }
        match stop {
            // XML 1.0 §2.3, production 10
            Some((_, b'<')) => Err(malformed("a tag within an attribute")),
            Some((at, _)) => {
                self.state = State::Start(false);
                Ok(at + 1)
            }
            None => Ok(bytes.len()),
        }
    }

    /// In a CDATA section; returns how many bytes are read.
    fn cdata(&mut self, bytes: &[u8], brackets: u8) -> usize {
        self.state = match bytes[0] {
            b']' => State::Cdata((brackets + 1).min(2)),
            b'>' if brackets == 2 => State::Text,
            _ => State::Cdata(0),
        };
        if self.state == State::Cdata(0) { until(bytes, |byte| byte == b']').map_or(bytes.len(), |(at, _)| at) } else { 1 }
    }

    fn end_tag(&mut self) -> Option<Item> {
        match self.depth {
            0 => Some(Item::End),
            1 => Some(Item::Element),
            _ => {
                (self.depth, self.state) = (self.depth - 1, State::Text);
                None
            }
        }
    }

    /// At the end of an empty-element tag.
    fn element_ends(&mut self, expected: Expected) -> Option<Item> {
        self.state = State::Text;
        match self.depth {
            0 if expected.header => Some(Item::Header),
            0 => Some(Item::Element),
            _ => None,
        }
    }

    fn count_node(&mut self, bounds: &Bounds) -> Result<(), StreamError> {
        self.nodes += 1;
        if self.nodes > bounds.nodes { Err(StreamError::policy("too many elements and attributes")) } else { Ok(()) }
    }
}

/// The first byte of an item.
fn begin(byte: u8) -> Result<State, StreamError> {
    match byte {
        b'<' => Ok(State::Markup),
        // Bytes that UTF-8 never begins a character with, those of a UTF-16 BOM among them (RFC 6120 §11.6).
        0x80..=0xC1 | 0xF5.. => Err(StreamError::encoding("not UTF-8")),
        // A U+FEFF is text as well (RFC 6120 §11.6).
        _ => Err(StreamError::not_well_formed("RFC 6120 §4.9.3.13", "text outside of stanzas")),
    }
}

/// After `<!` and `matched` bytes of `[CDATA[`.
fn bang(byte: u8, matched: u8, depth: usize) -> Result<State, StreamError> {
    match (byte, CDATA.get(usize::from(matched))) {
        (b'[', _) if depth == 0 => Err(malformed("text outside of stanzas")),
        (byte, Some(wanted)) if byte == *wanted => {
            let matched = matched + 1;
            Ok(if usize::from(matched) == CDATA.len() { State::Cdata(0) } else { State::Bang(matched) })
        }
        // RFC 6120 §11.1
        (b'-', _) if matched == 0 => Err(StreamError::restricted("a comment")),
        (b'A'..=b'Z' | b'a'..=b'z', _) if matched == 0 => Err(StreamError::restricted("a DTD")),
        _ => Err(malformed("not a CDATA section")),
    }
}
