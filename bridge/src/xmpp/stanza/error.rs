//! Stanza errors (RFC 6120 §8.3): how every refusal looks to a Jabber client.

use std::borrow::Cow;

use hallway_broker::reject::{Class, Reason, Reject};

use super::incoming::BadMessage;
use super::ns;
use crate::xmpp::names::NotAnAddress;
use crate::xmpp::write::Writer;

/// The defined conditions (RFC 6120 §8.3.3) that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Malformed.
    BadRequest,
    /// It contradicts what is there.
    Conflict,
    /// Known, but not done here.
    FeatureNotImplemented,
    /// Not with these rights.
    Forbidden,
    /// Not by our fault alone.
    InternalServerError,
    /// No such thing.
    ItemNotFound,
    /// Not a JID.
    JidMalformed,
    /// Not by the rules of this place.
    NotAcceptable,
    /// To nobody.
    NotAllowed,
    /// Sign in first.
    NotAuthorized,
    /// Over a bound.
    PolicyViolation,
    /// Another domain that there is no way to.
    RemoteServerNotFound,
    /// Become a member first.
    RegistrationRequired,
    /// Too much, or not now.
    ResourceConstraint,
    /// Nothing here takes this.
    ServiceUnavailable,
    /// `not-acceptable`: to somebody whom one has blocked oneself (XEP-0191 §3.4).
    Blocking,
    /// `not-allowed`: only the owner reads this node (XEP-0060 §6.5.9).
    ClosedNode,
    /// `bad-request`: which item? (XEP-0060 §7.2.3)
    ItemRequired,
    /// `bad-request`: which node? (XEP-0060 §7.2.3)
    NodeIdRequired,
    /// `bad-request`: an item holds one element (XEP-0060 §7.1.3).
    InvalidPayload,
    /// `conflict`: the node has other settings (XEP-0060 §7.1.5).
    PreconditionNotMet,
}

impl Condition {
    /// The element's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RegistrationRequired => "registration-required",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::Blocking => Self::NotAcceptable.name(),
            Self::ClosedNode => Self::NotAllowed.name(),
            Self::ItemRequired | Self::NodeIdRequired | Self::InvalidPayload => Self::BadRequest.name(),
            Self::PreconditionNotMet => Self::Conflict.name(),
        }
    }

    /// The condition that another protocol adds to it, with its namespace (RFC 6120 §8.3.4).
    #[must_use]
    pub fn specific(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Blocking => Some(("blocked", ns::BLOCKING_ERRORS)),
            Self::ClosedNode => Some(("closed-node", ns::PUBSUB_ERRORS)),
            Self::ItemRequired => Some(("item-required", ns::PUBSUB_ERRORS)),
            Self::NodeIdRequired => Some(("nodeid-required", ns::PUBSUB_ERRORS)),
            Self::InvalidPayload => Some(("invalid-payload", ns::PUBSUB_ERRORS)),
            Self::PreconditionNotMet => Some(("precondition-not-met", ns::PUBSUB_ERRORS)),
            _ => None,
        }
    }

    /// What the sender can do about it (RFC 6120 §8.3.2).
    #[must_use]
    pub fn error_type(self) -> &'static str {
        match self {
            Self::BadRequest | Self::JidMalformed | Self::NotAcceptable | Self::PolicyViolation => "modify",
            Self::ItemRequired | Self::NodeIdRequired | Self::InvalidPayload => "modify",
            Self::Forbidden | Self::NotAuthorized | Self::RegistrationRequired => "auth",
            Self::ResourceConstraint | Self::InternalServerError => "wait",
            _ => "cancel",
        }
    }
}

/// A refusal as it goes to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaError {
    /// What kind.
    pub condition: Condition,
    /// In words.
    pub text: Cow<'static, str>,
}

impl From<BadMessage> for StanzaError {
    fn from(error: BadMessage) -> Self {
        Self { condition: error.condition(), text: error.to_string().into() }
    }
}

impl From<&NotAnAddress> for StanzaError {
    fn from(error: &NotAnAddress) -> Self {
        Self { condition: error.condition(), text: error.to_string().into() }
    }
}

impl From<&Reject> for StanzaError {
    fn from(reject: &Reject) -> Self {
        let condition = match (reject.reason, reject.reason.class()) {
            (Reason::NotAllowed, _) => Condition::NotAllowed,
            // XEP-0191 §3.3, §3.4
            (Reason::Blocked, _) => Condition::ServiceUnavailable,
            (Reason::Blocking, _) => Condition::Blocking,
            (Reason::OtherSettings, _) => Condition::PreconditionNotMet,
            (Reason::StoreError, _) => Condition::InternalServerError,
            (_, Class::Unauthorized) => Condition::NotAuthorized,
            (_, Class::Forbidden) => Condition::Forbidden,
            (_, Class::NotFound) => Condition::ItemNotFound,
            (_, Class::Conflict) => Condition::Conflict,
            (_, Class::TooLarge) => Condition::PolicyViolation,
            (_, Class::RateLimited | Class::Unavailable) => Condition::ResourceConstraint,
            (_, Class::Invalid) => Condition::BadRequest,
        };
        Self { condition, text: reject.reason.text().into() }
    }
}

/// The stanza that is refused, as seen from where it goes back to.
#[derive(Debug, Clone, Copy)]
pub struct Returned<'a> {
    /// Its kind: `message`, `presence` or `iq`.
    pub kind: &'static str,
    /// Its `id`; `None` when it has none.
    pub id: Option<&'a str>,
    /// Whom it was for; `None` for the server.
    pub from: Option<&'a str>,
    /// Who sent it.
    pub to: &'a str,
}

/// Appends the answer to a stanza that is refused. What was in it does not come back (RFC 6120 §8.3.1 leaves that open).
pub fn write_error(returned: &Returned<'_>, error: &StanzaError, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open(returned.kind, ns::CLIENT);
    for (name, value) in [("from", returned.from), ("to", Some(returned.to)), ("id", returned.id)] {
        if let Some(value) = value {
            xml.attr(name, value);
        }
    }
    xml.attr("type", "error").inside();
    xml.open_child("error").attr("type", error.condition.error_type()).inside();
    xml.open(error.condition.name(), ns::STANZA_ERRORS).empty();
    xml.open("text", ns::STANZA_ERRORS).attr("xml:lang", "en").inside().text(&error.text).close("text");
    if let Some((name, namespace)) = error.condition.specific() {
        xml.open(name, namespace).empty();
    }
    xml.close("error").close(returned.kind);
}
