//! The header that opens a stream: the root's start tag (RFC 6120 §4.7), or `<open/>` (RFC 7395 §3.4).

use minidom::Element;
use rxml::Namespace;

use super::tree::Root;
use super::{Condition, StreamError, ns};

/// A peer's header. Nothing of it is checked but its form: addresses are not yet JIDs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The host that is wanted (§4.7.2).
    pub to: Option<String>,
    /// Who the peer says it is (§4.7.1).
    pub from: Option<String>,
    /// The stream's id, which only the receiving side gives (§4.7.3).
    pub id: Option<String>,
    /// The language of what has none of its own (§4.7.4).
    pub lang: Option<String>,
    /// Major and minor version; `None` is "0.0", a peer of before RFC 3920 (§4.7.5).
    pub version: Option<(u16, u16)>,
    /// The content namespace, when the default namespace is one (§4.8.2); over WebSocket each stanza names its own.
    pub namespace: Option<String>,
}

fn version(text: &str) -> Option<(u16, u16)> {
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let (major, minor) = text.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

impl Header {
    /// That of a root's start tag.
    ///
    /// # Errors
    /// The root is no `<stream/>`, or not in the namespace for it.
    pub(super) fn of_root(root: &Root) -> Result<Self, StreamError> {
        let element = &root.element;
        if !element.has_ns(ns::STREAMS) {
            // A `<stream/>` that lacks the prefix which it has bound (§4.9.3.2).
            let lacks_prefix = element.name() == "stream" && root.binds_prefix_to(ns::STREAMS);
            let condition = if lacks_prefix { Condition::BadNamespacePrefix } else { Condition::InvalidNamespace };
            return Err(StreamError::new(condition, "RFC 6120 §4.8.1", "the root is not in the namespace of streams"));
        }
        if element.name() != "stream" {
            return Err(StreamError::new(Condition::BadFormat, "RFC 6120 §4.2", "the root is not a stream"));
        }
        Ok(Self { namespace: root.default_namespace().filter(|name| *name != ns::STREAMS).map(str::to_owned), ..Self::of(element)? })
    }

    /// That of an `<open/>`.
    ///
    /// # Errors
    /// Its version is none.
    pub(super) fn of(element: &Element) -> Result<Self, StreamError> {
        let attribute = |name: &str| element.attr(name).map(str::to_owned);
        let version = match element.attr("version") {
            None => None,
            Some(text) => Some(version(text).ok_or(StreamError::new(
                Condition::UnsupportedVersion,
                "RFC 6120 §4.7.5",
                "a version is two numbers with a dot between them",
            ))?),
        };
        let lang = element.attr_ns(&Namespace::XML, "lang").map(str::to_owned);
        Ok(Self { to: attribute("to"), from: attribute("from"), id: attribute("id"), lang, version, namespace: None })
    }
}
