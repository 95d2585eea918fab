//! XMPP at the generator's price: stanzas are told apart by their ends, and numbers found where they were last time.
//!
//! This is no XML parser. It holds for what servers send to this generator, which asks for no stanza within a stanza (no carbons, no
//! archive), and whose names and texts have no `>`.

use anyhow::{Result, bail, ensure};
use memchr::{memchr, memmem};

use crate::request::{FIRST_NUMBER, write_ten_digits};

const MESSAGE_END: &[u8] = b"</message>";
/// Longest name of an element that a server opens a stanza with.
const NAME_MAX: usize = 64;

/// Something of the server's stream: a whole stanza, or its header (with the declaration, if any), or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stanza<'a> {
    pub bytes: &'a [u8],
    /// Bytes up to its end, with the white space before it.
    pub len: usize,
}

/// What comes first in `bytes`, or `None` when more must be read.
#[inline]
pub fn first(bytes: &[u8]) -> Result<Option<Stanza<'_>>> {
    let space = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let rest = &bytes[space..];
    let Some(len) = len_of_first(rest)? else {
        return Ok(None);
    };
    Ok(Some(Stanza { bytes: &rest[..len], len: space + len }))
}

#[inline]
fn len_of_first(bytes: &[u8]) -> Result<Option<usize>> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'<') => {}
        Some(_) => bail!("text between stanzas: {}", shown(bytes)),
    }
    let Some(head) = memchr(b'>', bytes).map(|at| at + 1) else {
        return Ok(None);
    };
    let is_whole = bytes[1] == b'?' || bytes[1] == b'/' || bytes[head - 2] == b'/' || bytes.starts_with(b"<stream:stream");
    if is_whole {
        return Ok(Some(head));
    }
    let end_of = |end: &[u8]| memmem::find(&bytes[head..], end).map(|at| head + at + end.len());
    if bytes.starts_with(b"<message") {
        return Ok(end_of(MESSAGE_END));
    }
    let name = bytes[1..head - 1].split(u8::is_ascii_whitespace).next().unwrap_or_default();
    ensure!(!name.is_empty() && name.len() <= NAME_MAX, "an element without a name: {}", shown(bytes));
    let mut end = [0; NAME_MAX + 3];
    end[..2].copy_from_slice(b"</");
    end[2..2 + name.len()].copy_from_slice(name);
    end[2 + name.len()] = b'>';
    Ok(end_of(&end[..name.len() + 3]))
}

impl<'a> Stanza<'a> {
    pub fn is(&self, name: &str) -> bool {
        let Some(rest) = self.bytes.strip_prefix(b"<").and_then(|rest| rest.strip_prefix(name.as_bytes())) else {
            return false;
        };
        rest.first().is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))
    }

    pub fn has(&self, part: &str) -> bool {
        memmem::find(self.bytes, part.as_bytes()).is_some()
    }

    /// The value of an attribute of the stanza itself, as it is written there.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        let head = &self.bytes[..memchr(b'>', self.bytes)?];
        let mut from = 0;
        loop {
            let at = from + memmem::find(&head[from..], name.as_bytes())?;
            from = at + name.len();
            let (&[b'=', quote @ (b'"' | b'\''), ref value @ ..], true) = (head.get(from..)?, head[at - 1].is_ascii_whitespace()) else {
                continue;
            };
            let end = memchr(quote, value)?;
            return std::str::from_utf8(&value[..end]).ok();
        }
    }

    pub fn is_error(&self) -> bool {
        self.is("stream:error") || self.attribute("type") == Some("error")
    }

    /// The text between the first element's head and its end.
    pub fn text(&self) -> &'a [u8] {
        let from = memchr(b'>', self.bytes).map_or(self.bytes.len(), |at| at + 1);
        let len = memchr(b'<', &self.bytes[from..]).unwrap_or(0);
        &self.bytes[from..from + len]
    }

    pub fn shown(&self) -> String {
        shown(self.bytes)
    }
}

/// The beginning, for errors.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(1_000)]).into_owned()
}

/// The answer that keeps a connection: to a ping of the server (XEP-0199).
pub fn pong(stanza: &Stanza<'_>) -> Option<Vec<u8>> {
    if !stanza.is("iq") || stanza.attribute("type") != Some("get") || !stanza.has("urn:xmpp:ping") {
        return None;
    }
    let id = stanza.attribute("id").unwrap_or_default();
    let to = stanza.attribute("from").map_or_else(String::new, |from| format!(" to='{from}'"));
    Some(format!("<iq type='result' id='{id}'{to}/>").into_bytes())
}

/// A message whose number of ten digits is written anew: at the end of its id, and at the beginning of its text.
#[derive(Debug, Clone)]
pub struct MessageFrame {
    bytes: Vec<u8>,
    id_at: usize,
    text_at: usize,
}

impl MessageFrame {
    /// `run` makes the ids of this run new to a server that was used before.
    pub fn new(to: &str, kind: &str, run: &str, body_bytes: usize) -> MessageFrame {
        let head = format!("<message to='{to}' type='{kind}' id='{run}-");
        let middle = format!("{head}{FIRST_NUMBER}'><body>");
        let pad = "x".repeat(body_bytes.saturating_sub(10));
        let bytes = format!("{middle}{FIRST_NUMBER}{pad}</body></message>").into_bytes();
        MessageFrame { bytes, id_at: head.len(), text_at: middle.len() }
    }

    /// The message with this number.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        write_ten_digits(&mut self.bytes[self.id_at..], number);
        write_ten_digits(&mut self.bytes[self.text_at..], number);
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(stanza) = first(bytes).expect("a stream") {
            all.push(stanza.shown());
            bytes = &bytes[stanza.len..];
        }
        all
    }

    #[test]
    fn a_stream_comes_apart_at_the_stanzas_ends() {
        let parts = [
            "<?xml version='1.0'?>",
            "<stream:stream xmlns='jabber:client' from='localhost'>",
            "<stream:features><mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            "<message from='a@b/c'><body>1000000000</body></message>",
            "<presence/>",
            "<iq type='result' id='1'><query><item/></query></iq>",
            "</stream:stream>",
        ];
        assert_eq!(all(parts.concat().as_bytes()), parts);
        assert_eq!(all(parts.join(" \n").as_bytes()), parts, "with keep-alives in between");
        let whole = parts.concat();
        for cut in 0..whole.len() {
            let began = all(&whole.as_bytes()[..cut]);
            assert_eq!(began, parts[..began.len()], "cut at {cut}");
            assert!(began.concat().len() <= cut);
        }
        assert!(first(b"text").is_err());
    }

    #[test]
    fn names_and_attributes_are_whole() {
        let bytes = br#"<message to="a@b/c" xml:lang='en' from="lobby@rooms" type='error' xid="7"><body id="9">x</body></message>"#;
        let stanza = first(bytes).expect("XML").expect("whole");
        assert!(stanza.is("message") && !stanza.is("mess"));
        assert_eq!(stanza.attribute("from"), Some("lobby@rooms"));
        assert_eq!(stanza.attribute("id"), None);
        assert!(stanza.is_error());
        let challenge = first(b"<challenge xmlns='x'>cj1h</challenge>").expect("XML").expect("whole");
        assert_eq!(challenge.text(), b"cj1h");
    }

    #[test]
    fn only_pings_are_answered() {
        let of = |bytes: &'static str| pong(&first(bytes.as_bytes()).expect("XML").expect("whole"));
        let ping = r#"<iq from="localhost" to="a@localhost/b" type="get" id="p1"><ping xmlns="urn:xmpp:ping"/></iq>"#;
        assert_eq!(of(ping).expect("a ping"), b"<iq type='result' id='p1' to='localhost'/>");
        assert_eq!(of("<iq type='result' id='p1'/>"), None);
    }

    #[test]
    fn a_message_has_its_number_twice_and_always_the_same_length() {
        let mut frame = MessageFrame::new("lobby@rooms.localhost", "groupchat", "run", 20);
        let text = String::from_utf8(frame.numbered(1_000_000_042).to_vec()).expect("UTF-8");
        let expected =
            "<message to='lobby@rooms.localhost' type='groupchat' id='run-1000000042'><body>1000000042xxxxxxxxxx</body></message>";
        assert_eq!(text, expected);
        assert_eq!(frame.len(), expected.len());
    }
}
