//! An XML element as a test looks at it: names with their namespaces, attributes, texts, children.

use std::fmt;

use anyhow::{Context, Result};

/// The content namespace of clients (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// The namespace of the stream itself (RFC 6120 §4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// The local name.
    pub name: String,
    /// The namespace.
    pub ns: String,
    /// Attributes; those of a namespace have its usual prefix (`xml:lang`) or the namespace in braces.
    pub attrs: Vec<(String, String)>,
    /// Child elements, in order.
    pub children: Vec<Element>,
    /// All text directly within it.
    pub text: String,
}

impl Element {
    /// The elements of `text`, as if they stood within a stream of `jabber:client`.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn parse_all(text: &str) -> Result<Vec<Element>> {
        let document = format!("<stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>{text}</stream>");
        let document = roxmltree::Document::parse(&document).with_context(|| format!("not well-formed: {text}"))?;
        Ok(document.root_element().children().filter(roxmltree::Node::is_element).map(Element::from_node).collect())
    }

    /// The one element of `text`.
    ///
    /// # Errors
    /// When it is not well-formed, or not one.
    pub fn parse(text: &str) -> Result<Element> {
        let mut all = Self::parse_all(text)?;
        anyhow::ensure!(all.len() == 1, "{} elements instead of one in {text}", all.len());
        all.pop().context("no element")
    }

    fn from_node(node: roxmltree::Node<'_, '_>) -> Element {
        let attr = |attr: roxmltree::Attribute<'_, '_>| {
            let name = match attr.namespace() {
                None => attr.name().to_owned(),
                Some("http://www.w3.org/XML/1998/namespace") => format!("xml:{}", attr.name()),
                Some(ns) => format!("{{{ns}}}{}", attr.name()),
            };
            (name, attr.value().to_owned())
        };
        Element {
            name: node.tag_name().name().to_owned(),
            ns: node.tag_name().namespace().unwrap_or_default().to_owned(),
            attrs: node.attributes().map(attr).collect(),
            children: node.children().filter(roxmltree::Node::is_element).map(Element::from_node).collect(),
            text: node.children().filter(roxmltree::Node::is_text).filter_map(|text| text.text()).collect(),
        }
    }

    /// Whether it has this name and namespace.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// An attribute's value.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attrs.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The first child of that name, in whatever namespace.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child of that name and namespace.
    #[must_use]
    pub fn child_of(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(name, ns))
    }

    /// Whether it is a stanza of that kind (`message`, `presence`, `iq`).
    #[must_use]
    pub fn is_stanza(&self) -> bool {
        self.ns == CLIENT && matches!(self.name.as_str(), "message" | "presence" | "iq")
    }

    fn write(&self, around: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        if self.ns != around {
            write!(f, " xmlns='{}'", escape(&self.ns))?;
        }
        for (name, value) in &self.attrs {
            write!(f, " {name}='{}'", escape(value))?;
        }
        if self.text.is_empty() && self.children.is_empty() {
            return f.write_str("/>");
        }
        write!(f, ">{}", escape(&self.text))?;
        for child in &self.children {
            child.write(&self.ns, f)?;
        }
        write!(f, "</{}>", self.name)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(CLIENT, f)
    }
}

/// Text as it stands in XML, within an attribute or without.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_resolved_and_written() {
        let element = Element::parse("<iq id='1'><query xmlns='a:b' xml:lang='en'><x>1 &lt; 2</x></query></iq>").expect("XML");
        assert!(element.is("iq", CLIENT) && element.is_stanza());
        let query = element.child_of("query", "a:b").expect("a child");
        assert_eq!(query.attr("xml:lang"), Some("en"));
        assert_eq!(query.child("x").map(|x| x.text.as_str()), Some("1 < 2"));
        assert_eq!(Element::parse(&element.to_string()).expect("again"), element);
        assert!(Element::parse("<a>").is_err() && Element::parse("<a/><b/>").is_err());
    }
}
