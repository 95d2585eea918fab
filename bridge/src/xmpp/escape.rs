//! Text as XML: one rule, used for whatever is written.
//!
//! What markup is made of becomes a reference; so do the carriage return, which a parser would turn into a line feed, and in attributes
//! the tab and the line feed, which it would turn into spaces. Characters that XML 1.0 has no way to say become U+FFFD.

/// Whether XML 1.0 has the character (§2.2, production 2).
#[must_use]
pub fn is_char(char: char) -> bool {
    !matches!(char, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}')
}

/// What to do with a byte of UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    /// A reference in attributes: quotes, tab and line feed.
    InAttributes,
    /// Always a reference.
    Markup,
    /// U+FFFD.
    Forbidden,
    /// 0xEF, with which U+FFFE and U+FFFF begin.
    Last,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = Class::Forbidden;
        byte += 1;
    }
    classes[b'\t' as usize] = Class::InAttributes;
    classes[b'\n' as usize] = Class::InAttributes;
    classes[b'\'' as usize] = Class::InAttributes;
    classes[b'"' as usize] = Class::InAttributes;
    classes[b'\r' as usize] = Class::Markup;
    classes[b'<' as usize] = Class::Markup;
    // So that `]]>` never appears (XML 1.0 §2.4).
    classes[b'>' as usize] = Class::Markup;
    classes[b'&' as usize] = Class::Markup;
    classes[0xEF] = Class::Last;
    classes
};

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

fn reference(byte: u8) -> &'static [u8] {
    match byte {
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'&' => b"&amp;",
        b'\'' => b"&apos;",
        b'"' => b"&quot;",
        b'\t' => b"&#x9;",
        b'\n' => b"&#xA;",
        _ => b"&#xD;",
    }
}

fn escape(text: &str, is_attribute: bool, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (mut plain_from, mut at) = (0, 0);
    while at < bytes.len() {
        let class = CLASSES[usize::from(bytes[at])];
        let (written, len): (&[u8], usize) = match class {
            Class::Plain => {
                at += 1;
                continue;
            }
            Class::InAttributes if is_attribute => (reference(bytes[at]), 1),
            Class::Markup => (reference(bytes[at]), 1),
            Class::Forbidden => (REPLACEMENT, 1),
            Class::Last if matches!(bytes[at..], [_, 0xBF, 0xBE | 0xBF, ..]) => (REPLACEMENT, 3),
            Class::InAttributes | Class::Last => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[plain_from..at]);
        out.extend_from_slice(written);
        at += len;
        plain_from = at;
    }
    out.extend_from_slice(&bytes[plain_from..]);
}

/// Appends character data (XML 1.0 §2.4).
pub fn escape_text(text: &str, out: &mut Vec<u8>) {
    escape(text, false, out);
}

/// Appends an attribute's value, without its quotes; either kind of quotes may stand around it (XML 1.0 §2.3, §3.3.3).
pub fn escape_attribute(value: &str, out: &mut Vec<u8>) {
    escape(value, true, out);
}
