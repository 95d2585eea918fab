//! Writing XML straight into a buffer: tags, attributes and text, and nothing that knows of stanzas.

mod tree;

#[cfg(test)]
mod tests;

use hallway_broker::canonical;

use super::escape::{escape_attribute, escape_text};

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
    pub fn open(&mut self, name: &'static str, namespace: &str) -> &mut Self {
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

    /// The same if there is a value.
    pub fn attr_if(&mut self, name: &'static str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// ` name="…"` with a value in several pieces.
    pub fn attr_of(&mut self, name: &'static str, pieces: &[&str]) -> &mut Self {
        self.begin_attr(name).push(b'"');
        for piece in pieces {
            escape_attribute(piece, self.out);
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
        escape_text(text, self.out);
        self
    }
}
