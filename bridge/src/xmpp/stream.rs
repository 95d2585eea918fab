//! XML streams (RFC 6120 §4) and their framing over WebSocket (RFC 7395), without IO or clock: bytes in, headers and stanzas out,
//! elements written into a vector.
//!
//! Read `reader.rs` first. Bytes go through here twice: `scan.rs` finds where a stanza ends and holds every bound while its bytes come in,
//! so that what is kept of an unfinished stanza is its bytes and no more; only when it is whole, `rxml` parses it and `tree.rs` resolves
//! its namespaces into an [`Element`]. Between stanzas nothing is kept but the header's namespace declarations. `write.rs` is the way back.
//!
//! Strict: what the XML of a stream may not have (RFC 6120 §11) ends it with the stream error of §4.9.3. What a stanza means, whether the
//! addressed host is served, the content namespace is known or a version is too old, is the session's to say.
//!
//! ```
//! use hallway_bridge::xmpp::stream::{Bounds, Framing, Incoming, Opening, StreamReader, failure, ns, write_header};
//!
//! let opening = Opening { id: "7f3k", from: Some("localhost"), to: None, lang: "en", namespace: ns::CLIENT };
//! let mut reader = StreamReader::new(Framing::WebSocket, Bounds::default());
//! let (mut sent, mut has_header) = (Vec::new(), false);
//! let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>";
//! for message in [open, "<iq xmlns='jabber:client'/>", "<iq"] {
//!     let mut input = message.as_bytes();
//!     let ended = loop {
//!         match reader.next(&mut input) {
//!             Ok(Some(Incoming::Open(_header))) => {
//!                 write_header(Framing::WebSocket, &opening, &mut sent);
//!                 has_header = true;
//!             }
//!             Ok(Some(Incoming::Stanza(iq))) => assert_eq!(iq.name(), "iq"),
//!             Ok(Some(Incoming::Close)) => unreachable!("none was sent"),
//!             Ok(None) => break reader.end_message(),
//!             Err(error) => break Err(error),
//!         }
//!     };
//!     if let Err(error) = ended {
//!         let messages = failure(Framing::WebSocket, (!has_header).then_some(&opening), &error);
//!         assert_eq!(messages.len(), 2);
//!     }
//! }
//! ```

mod declaration;
mod error;
mod header;
mod reader;
mod scan;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub use error::{Condition, StreamError};
pub use header::Header;
pub use minidom::Element;
pub use reader::{Incoming, StreamReader};
pub use write::{Opening, failure, write_close, write_element, write_error, write_features, write_header};

/// The namespaces of the stream layer.
pub mod ns {
    /// Of the stream's root and of what is the stream's own (RFC 6120 §4.8.1).
    pub const STREAMS: &str = "http://etherx.jabber.org/streams";
    /// Of stream error conditions (RFC 6120 §4.9.2).
    pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
    /// Of `<open/>` and `<close/>` (RFC 7395 §3.3.2).
    pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
    /// The content namespace between client and server (RFC 6120 §4.8.2).
    pub const CLIENT: &str = "jabber:client";
}

/// How the elements of a stream follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One XML document for as long as the stream lasts; stanzas are children of its root (RFC 6120 §4.2).
    Tcp,
    /// Each message is one whole element with its own namespace declarations (RFC 7395 §3.3.3).
    WebSocket,
}

impl Framing {
    /// The default namespace that a stanza finds declared around it: the content namespace, or none.
    #[must_use]
    pub fn default_namespace(self) -> &'static str {
        match self {
            Self::Tcp => ns::CLIENT,
            Self::WebSocket => "",
        }
    }
}

/// What a peer may send. Each bound is checked before what exceeds it is kept; exceeding one is a `policy-violation`
/// (RFC 6120 §4.9.3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a stanza, from its `<` to its last `>`. RFC 6120 §13.12 wants 10,000 at least.
    pub stanza_bytes: usize,
    /// Elements within each other, the stanza being the first.
    pub depth: usize,
    /// Attributes of one element, namespace declarations included.
    pub attributes: usize,
    /// Bytes of an attribute's value, as they are sent.
    pub attribute_bytes: usize,
    /// Elements and attributes of a stanza. As a tree each takes 0.6 KiB, however few bytes it was.
    pub nodes: usize,
    /// Bytes of a stream header, or of the XML declaration before it.
    pub header_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { stanza_bytes: 262_144, depth: 64, attributes: 64, attribute_bytes: 8_192, nodes: 4_096, header_bytes: 4_096 }
    }
}
