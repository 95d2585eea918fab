//! Writing XML straight into a buffer: escaping, and nothing that knows of stanzas. What XML 1.0 cannot say at all (§2.2: control
//! characters other than tab and line ends, U+FFFE, U+FFFF) becomes U+FFFD, here and nowhere else.

use hallway_broker::canonical;

/// Appends elements. Names and namespaces are ours and need no escapes.
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    /// Writes to the end of `out`.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// `<name xmlns="namespace"`
    pub fn open(&mut self, name: &'static str, namespace: &'static str) -> &mut Self {
        self.open_child(name).attr("xmlns", namespace)
    }

    /// `<name`, in its parent's namespace.
    pub fn open_child(&mut self, name: &'static str) -> &mut Self {
        self.raw("<").raw(name)
    }

    /// `>`: content follows, then [`close`](Self::close).
    pub fn inside(&mut self) -> &mut Self {
        self.raw(">")
    }

    /// `/>`
    pub fn empty(&mut self) -> &mut Self {
        self.raw("/>")
    }

    /// `</name>`
    pub fn close(&mut self, name: &'static str) -> &mut Self {
        self.raw("</").raw(name).raw(">")
    }

    /// `<name>text</name>`, in its parent's namespace.
    pub fn child(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.open_child(name).inside().text(text).close(name)
    }

    /// Elements that were written before.
    pub fn written(&mut self, elements: &[u8]) -> &mut Self {
        self.out.extend_from_slice(elements);
        self
    }

    fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.extend_from_slice(markup.as_bytes());
        self
    }

    /// ` name="value"`, inside a start tag.
    pub fn attr(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.attr_of(name, &[value])
    }

    /// ` name="…"` with a value in several pieces.
    pub fn attr_of(&mut self, name: &'static str, pieces: &[&str]) -> &mut Self {
        self.begin_attr(name).push(b'"');
        for piece in pieces {
            write_escaped(piece, In::Attribute, self.out);
        }
        self.out.push(b'"');
        self
    }

    /// ` name="2026-11-20T18:00:00.123Z"`: a Unix time in ms, as XEP-0082 §3.2 has it.
    pub fn time_attr(&mut self, name: &'static str, unix_ms: u64) -> &mut Self {
        // A JSON string of digits and signs in quotation marks is an attribute's value just so.
        canonical::write_time(unix_ms, self.begin_attr(name));
        self
    }

    /// ` name="12"`.
    pub fn number_attr(&mut self, name: &'static str, value: usize) -> &mut Self {
        let out = self.begin_attr(name);
        out.push(b'"');
        canonical::write_number(value as u64, out);
        out.push(b'"');
        self
    }

    fn begin_attr(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.out.push(b' ');
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'=');
        self.out
    }

    /// Character data.
    pub fn text(&mut self, text: &str) -> &mut Self {
        write_escaped(text, In::Text, self.out);
        self
    }
}

/// Where a text stands: attributes lose their tabs and line feeds unless they are escaped (XML 1.0 §3.3.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum In {
    /// Between tags.
    Text,
    /// Between quotation marks.
    Attribute,
}

/// Appends `text` so that a parser reads it back as it is, but for characters that XML cannot say: those become U+FFFD.
pub fn write_escaped(text: &str, place: In, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let Some((instead, length)) = escape(&bytes[at..], place) else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&bytes[from..at]);
        out.extend_from_slice(instead.as_bytes());
        at += length;
        from = at;
    }
    out.extend_from_slice(&bytes[from..]);
}

/// What stands for the character at the beginning of `rest`, and its bytes; `None` when it stands for itself.
fn escape(rest: &[u8], place: In) -> Option<(&'static str, usize)> {
    const REPLACEMENT: &str = "\u{FFFD}";
    let instead = match *rest.first()? {
        b'&' => "&amp;",
        b'<' => "&lt;",
        b'>' => "&gt;", // so that no `]]>` is left (XML 1.0 §2.4)
        b'"' if place == In::Attribute => "&quot;",
        b'\t' if place == In::Attribute => "&#9;",
        b'\n' if place == In::Attribute => "&#10;",
        b'\t' | b'\n' => return None,
        b'\r' => "&#13;", // a bare one is read as a line feed (XML 1.0 §2.11)
        0x00..0x20 => REPLACEMENT,
        0xEF if matches!(rest, [_, 0xBF, 0xBE | 0xBF, ..]) => return Some((REPLACEMENT, 3)), // U+FFFE, U+FFFF
        _ => return None,
    };
    Some((instead, 1))
}
