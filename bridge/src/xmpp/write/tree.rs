//! Elements that came in and go out again: kept for somebody, or handed on.

use minidom::{Element, Node};
use rxml::XMLNS_XML;

use super::Writer;
use crate::xmpp::escape::{escape_attribute, escape_text};

impl Writer<'_> {
    /// Appends an element with all that is in it, in a place where `within` is the default namespace. Its depth is bounded by the stream that it
    /// came by.
    pub fn element(&mut self, element: &Element, within: Option<&str>) -> &mut Self {
        let namespace = element.ns();
        self.out.push(b'<');
        self.out.extend_from_slice(element.name().as_bytes());
        if within != Some(namespace.as_str()) {
            self.attr("xmlns", &namespace);
        }
        for (number, ((of, name), value)) in element.attrs().iter().enumerate() {
            self.out.push(b' ');
            match of.as_namespace_name() {
                None => {}
                Some(XMLNS_XML) => self.out.extend_from_slice(b"xml:"),
                Some(other) => {
                    let prefix = format!("a{number}");
                    self.out.extend_from_slice(format!("xmlns:{prefix}=\"").as_bytes());
                    escape_attribute(other, self.out);
                    self.out.extend_from_slice(format!("\" {prefix}:").as_bytes());
                }
            }
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"=\"");
            escape_attribute(value, self.out);
            self.out.push(b'"');
        }
        if element.nodes().next().is_none() {
            return self.empty();
        }
        self.inside();
        for node in element.nodes() {
            match node {
                Node::Element(child) => {
                    self.element(child, Some(&namespace));
                }
                Node::Text(text) => escape_text(text, self.out),
            }
        }
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(element.name().as_bytes());
        self.inside()
    }
}
