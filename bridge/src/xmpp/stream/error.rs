//! Stream errors (RFC 6120 §4.9): why a stream ends.

use std::fmt;

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $element:literal,)*) => {
        /// The defined conditions that this server sends (RFC 6120 §4.9.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Condition {
            $($(#[$doc])* $name,)*
        }

        impl Condition {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name of its element.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $element,)* }
            }
        }
    };
}

conditions! {
    /// §4.9.3.1: a header that is none: another root than `<stream/>` or `<open/>`.
    BadFormat = "bad-format",
    /// §4.9.3.2: a prefix that is not bound, is reserved, or is missing on the root.
    BadNamespacePrefix = "bad-namespace-prefix",
    /// §4.9.3.3: another stream took this one's place. The session's.
    Conflict = "conflict",
    /// §4.9.3.4: nothing came for too long. The session's.
    ConnectionTimeout = "connection-timeout",
    /// §4.9.3.6: the header's `to` is not served here. The session's.
    HostUnknown = "host-unknown",
    /// §4.9.3.7: a stanza between servers without `to` or `from`. The session's.
    ImproperAddressing = "improper-addressing",
    /// §4.9.3.8: a fault of this server. The session's.
    InternalServerError = "internal-server-error",
    /// §4.9.3.9: a `from` that is not the peer's. The session's.
    InvalidFrom = "invalid-from",
    /// §4.9.3.10: a root in another namespace than the stream's, a second header; and, the session's, an unknown content namespace.
    InvalidNamespace = "invalid-namespace",
    /// §4.9.3.11: a stanza that its schema does not allow. The session's.
    InvalidXml = "invalid-xml",
    /// §4.9.3.12: a stanza before the login. The session's.
    NotAuthorized = "not-authorized",
    /// §4.9.3.13: what is no XML; text between stanzas; a WebSocket message that is not one element.
    NotWellFormed = "not-well-formed",
    /// §4.9.3.14: a bound was exceeded.
    PolicyViolation = "policy-violation",
    /// §4.9.3.16: log in again, the rights have changed. The session's.
    Reset = "reset",
    /// §4.9.3.17: not now. The session's.
    ResourceConstraint = "resource-constraint",
    /// §4.9.3.18: a comment, a processing instruction, a DTD, an entity beyond the five.
    RestrictedXml = "restricted-xml",
    /// §4.9.3.20: the server stops. The session's.
    SystemShutdown = "system-shutdown",
    /// §4.9.3.21: none of the others. The session's.
    UndefinedCondition = "undefined-condition",
    /// §4.9.3.22: bytes that are not UTF-8, or an XML declaration of another encoding.
    UnsupportedEncoding = "unsupported-encoding",
    /// §4.9.3.23: a feature that was required of this server. The session's.
    UnsupportedFeature = "unsupported-feature",
    /// §4.9.3.24: a child of the stream that is not known. The session's.
    UnsupportedStanzaType = "unsupported-stanza-type",
    /// §4.9.3.25: a header's `version` that is no version; and, the session's, one that is too old.
    UnsupportedVersion = "unsupported-version",
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What ends a stream. It is written with [`write_error`](super::write_error), after our header: when that was not sent, use
/// [`failure`](super::failure).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{condition}: {text} [{clause}]")]
pub struct StreamError {
    /// Its element.
    pub condition: Condition,
    /// The clause that was broken; stays here.
    pub clause: &'static str,
    /// What was wrong, in English, for the peer's developer; empty for none.
    pub text: &'static str,
}

impl StreamError {
    /// One with a clause and a text.
    #[must_use]
    pub fn new(condition: Condition, clause: &'static str, text: &'static str) -> Self {
        Self { condition, clause, text }
    }

    pub(super) fn not_well_formed(clause: &'static str, text: &'static str) -> Self {
        Self::new(Condition::NotWellFormed, clause, text)
    }

    pub(super) fn bad_prefix(text: &'static str) -> Self {
        Self::new(Condition::BadNamespacePrefix, "XML-NAMES §3, §5", text)
    }

    pub(super) fn restricted(text: &'static str) -> Self {
        Self::new(Condition::RestrictedXml, "RFC 6120 §11.1", text)
    }

    pub(super) fn encoding(text: &'static str) -> Self {
        Self::new(Condition::UnsupportedEncoding, "RFC 6120 §11.6", text)
    }

    pub(super) fn policy(text: &'static str) -> Self {
        Self::new(Condition::PolicyViolation, "RFC 6120 §4.9.3.14", text)
    }

    /// A header where a stanza should be.
    #[must_use]
    pub fn second_header() -> Self {
        Self::new(Condition::InvalidNamespace, "RFC 6120 §4.9.3.10", "a second stream header")
    }
}

impl From<rxml::Error> for StreamError {
    /// The stream error for what the parser refuses. Comments, processing instructions and DTDs do not come so far: the scan refuses them.
    fn from(error: rxml::Error) -> Self {
        match error {
            rxml::Error::InvalidUtf8Byte(_) => Self::encoding("not UTF-8"),
            rxml::Error::UndeclaredEntity => Self::restricted("an entity beyond the five"),
            rxml::Error::ReservedNamespacePrefix | rxml::Error::ReservedNamespaceName => Self::bad_prefix("a reserved prefix or namespace"),
            rxml::Error::EmptyNamespaceUri => Self::bad_prefix("a prefix bound to nothing"),
            rxml::Error::RestrictedXml(_) => Self::restricted("restricted XML"),
            rxml::Error::InvalidChar(..) => Self::not_well_formed("XML 1.0 §2.2", "a character that XML does not have"),
            rxml::Error::ElementMismatch => Self::not_well_formed("XML 1.0 §3", "start and end tag differ"),
            rxml::Error::MultiColonName(_) | rxml::Error::EmptyNamePart(_) | rxml::Error::InvalidLocalName(_) => {
                Self::not_well_formed("XML-NAMES §4", "not a qualified name")
            }
            _ => Self::not_well_formed("XML 1.0 §2.1", "not well-formed"),
        }
    }
}
