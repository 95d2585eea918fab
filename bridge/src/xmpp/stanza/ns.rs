//! Namespaces, each with the document that defines it.

pub use crate::xmpp::stream::ns::CLIENT;

/// Conditions of stanza errors (RFC 6120 §8.3.2).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Conditions of the blocking command (XEP-0191 §3.4).
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// Conditions of publishing and subscribing (XEP-0060 §16.4.4).
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// Multi-user chat, for users (XEP-0045 §7).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Out-of-band data (XEP-0066).
pub const OOB: &str = "jabber:x:oob";
/// Chat states (XEP-0085).
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Nicknames (XEP-0172).
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// Delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Direct invitations (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";
/// Message carbons (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Forwarding (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// Message correction (XEP-0308).
pub const CORRECT: &str = "urn:xmpp:message-correct:0";
/// Archives (XEP-0313).
pub const ARCHIVE: &str = "urn:xmpp:mam:2";
/// Displayed markers (XEP-0333).
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Processing hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Stanza ids (XEP-0359).
pub const STANZA_IDS: &str = "urn:xmpp:sid:0";
/// References (XEP-0372).
pub const REFERENCE: &str = "urn:xmpp:reference:0";
/// Occupant ids (XEP-0421).
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// Message retraction (XEP-0424).
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// Moderation (XEP-0425).
pub const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// Fallback indication (XEP-0428).
pub const FALLBACK: &str = "urn:xmpp:fallback:0";
/// Reactions (XEP-0444).
pub const REACTIONS: &str = "urn:xmpp:reactions:0";
/// Replies (XEP-0461).
pub const REPLY: &str = "urn:xmpp:reply:0";
