//! What a server sends, appended to a vector. Over WebSocket what one function writes is one message (RFC 7395 §3.3.3).

use std::borrow::Cow;

use minidom::{Element, Node};
use rxml::{Namespace, XMLNS_XML};

use super::{Framing, StreamError, ns};
use crate::xmpp::escape::{escape_attribute, escape_text};
use crate::xmpp::write::Writer;

/// Our header (RFC 6120 §4.7); its version is always 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening<'a> {
    /// The stream's id: unique and not to be guessed (§4.7.3).
    pub id: &'a str,
    /// The host that was asked for; another of ours when that is not served or not known (§4.9.1.3).
    pub from: Option<&'a str>,
    /// Who the peer said it is (§4.7.2).
    pub to: Option<&'a str>,
    /// The language of what we say (§4.7.4).
    pub lang: &'a str,
    /// The content namespace, that of the peer's header (§4.8.2). Over WebSocket there is none.
    pub namespace: &'a str,
}

/// Appends our header.
pub fn write_header(framing: Framing, opening: &Opening<'_>, out: &mut Vec<u8>) {
    let (mut xml, framing_ends) = (Writer::new(out), framing == Framing::WebSocket);
    match framing {
        Framing::Tcp => {
            xml.written(b"<?xml version='1.0'?>").open("stream:stream", opening.namespace).attr("xmlns:stream", ns::STREAMS);
        }
        Framing::WebSocket => drop(xml.open("open", ns::FRAMING)),
    }
    xml.attr("id", opening.id).attr_if("from", opening.from).attr_if("to", opening.to);
    xml.attr("version", "1.0").attr("xml:lang", opening.lang);
    if framing_ends {
        xml.empty()
    } else {
        xml.inside()
    };
}

/// Appends the stream's features (RFC 6120 §4.3.2): `features` is their XML, each with its namespace; empty when nothing is to negotiate.
pub fn write_features(framing: Framing, features: &str, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    open_of_stream(framing, "stream:features", &mut xml);
    match features {
        "" => xml.empty(),
        _ => xml.inside().written(features.as_bytes()).close("stream:features"),
    };
}

/// Appends a stream error (RFC 6120 §4.9.2). Our header comes before it, the end after it: see [`failure`].
pub fn write_error(framing: Framing, error: &StreamError, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    open_of_stream(framing, "stream:error", &mut xml);
    xml.inside().open(error.condition.name(), ns::STREAM_ERRORS).empty();
    if !error.text.is_empty() {
        xml.open("text", ns::STREAM_ERRORS).attr("xml:lang", "en").inside().text(error.text).close("text");
    }
    xml.close("stream:error");
}

/// Begins an element of the stream's own.
fn open_of_stream(framing: Framing, name: &'static str, xml: &mut Writer<'_>) {
    xml.open_child(name);
    if framing == Framing::WebSocket {
        xml.attr("xmlns:stream", ns::STREAMS);
    }
}

/// Appends the end of our stream (RFC 6120 §4.4, RFC 7395 §3.6).
pub fn write_close(framing: Framing, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    match framing {
        Framing::Tcp => xml.close("stream:stream"),
        Framing::WebSocket => xml.open("close", ns::FRAMING).empty(),
    };
}

/// All that ends a stream with an error, each part a message of its own over WebSocket: our header first when it was not yet sent
/// (`unsent`; RFC 6120 §4.9.1.2, RFC 7395 §3.5), the error, the end. Then the connection is closed (RFC 6120 §4.9.1.1).
#[must_use]
pub fn failure(framing: Framing, unsent: Option<&Opening<'_>>, error: &StreamError) -> Vec<Vec<u8>> {
    let mut messages = Vec::with_capacity(3);
    let mut part = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        messages.push(out);
    };
    if let Some(opening) = unsent {
        part(&|out| write_header(framing, opening, out));
    }
    part(&|out| write_error(framing, error, out));
    part(&|out| write_close(framing, out));
    messages
}

/// Appends a child of the stream. Its names are taken to be names: those that were read are, others are this server's own.
pub fn write_element(framing: Framing, element: &Element, out: &mut Vec<u8>) {
    let around = framing.default_namespace();
    if !element.has_ns(ns::STREAMS) {
        return write_within(element, around, out);
    }
    // Clients look for the usual prefix (RFC 6120 §4.8.5).
    out.extend_from_slice(b"<stream:");
    out.extend_from_slice(element.name().as_bytes());
    if framing == Framing::WebSocket {
        put_attribute("xmlns:stream", ns::STREAMS, out);
    }
    put_attributes(element, out);
    put_children(element, "stream:", around, out);
}

/// An element where `around` is the default namespace. As deep in calls as the tree is in elements, which the reader bounds.
fn write_within(element: &Element, around: &str, out: &mut Vec<u8>) {
    // That of `xml` is bound to its prefix and may not be another's (XML-NAMES §3).
    let prefix = if element.has_ns(XMLNS_XML) { "xml:" } else { "" };
    out.push(b'<');
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(element.name().as_bytes());
    if !prefix.is_empty() || element.has_ns(around) {
        put_attributes(element, out);
        return put_children(element, prefix, around, out);
    }
    let namespace = element.ns();
    put_attribute("xmlns", &namespace, out);
    put_attributes(element, out);
    put_children(element, prefix, &namespace, out);
}

fn put_attribute(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    put_assignment(name, value, out);
}

fn put_assignment(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape_attribute(value, out);
    out.push(b'"');
}

fn put_attributes(element: &Element, out: &mut Vec<u8>) {
    // Attributes come in the order of their namespaces, each of which gets a prefix here.
    let mut prefix = Cow::Borrowed("");
    let mut declared: Option<&Namespace<'_>> = None;
    let mut count = 0;
    for ((namespace, name), value) in element.attrs() {
        if namespace.is_some() && declared != Some(namespace) {
            declared = Some(namespace);
            if *namespace == *XMLNS_XML {
                prefix = "xml:".into();
            } else {
                count += 1;
                prefix = format!("a{count}:").into();
                put_attribute(&format!("xmlns:a{count}"), namespace, out);
            }
        }
        out.push(b' ');
        if namespace.is_some() {
            out.extend_from_slice(prefix.as_bytes());
        }
        put_assignment(name.as_str(), value, out);
    }
}

/// The rest of an element, after its attributes; `around` is the default namespace within.
fn put_children(element: &Element, prefix: &str, around: &str, out: &mut Vec<u8>) {
    let mut nodes = element.nodes().peekable();
    if nodes.peek().is_none() {
        return out.extend_from_slice(b"/>");
    }
    out.push(b'>');
    for node in nodes {
        match node {
            Node::Element(child) => write_within(child, around, out),
            Node::Text(text) => escape_text(text, out),
        }
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(element.name().as_bytes());
    out.push(b'>');
}
