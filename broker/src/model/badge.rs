//! What is kept of badges and of the readers that they are held to. Records of the state, as those beside this file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, Uid};

/// What a badge is found by: one canonical text for all ways in which readers write the same code. `x:` and hexadecimal digits for a chip's
/// number, `t:` and the text for what is printed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BadgeCode(pub(crate) Arc<str>);

impl BadgeCode {
    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for BadgeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever knows it can pass as its bearer.
        f.write_str("BadgeCode(…)")
    }
}

/// Record: a badge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Badge {
    /// Whose.
    pub user: Uid,
    /// As it was written when it was given out.
    pub shown: Arc<str>,
    /// It opens nothing any more.
    pub revoked: bool,
    /// When it was given out, Unix ms.
    pub since_ms: u64,
}

/// What a scan does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Says that somebody has arrived.
    #[default]
    Checkin,
    /// Lets somebody in and out of a session, and into its channel.
    Session,
    /// Introduces two people.
    Meet,
    /// Gives an exhibitor somebody's contact.
    Lead,
    /// Tells a conversation who is there.
    Announce,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Checkin, Self::Session, Self::Meet, Self::Lead, Self::Announce];

    /// The word in requests and results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Checkin => "checkin",
            Self::Session => "session",
            Self::Meet => "meet",
            Self::Lead => "lead",
            Self::Announce => "announce",
        }
    }

    /// The mode named by `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }
}

/// Record: what a reader, or a person with a handheld, scans for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReaderSettings {
    /// What its scans do.
    pub mode: Mode,
    /// The session's channel, or where it announces.
    pub conversation: Option<ConversationId>,
    /// How its payloads are read: `auto`, the name of a format, or a template (JSON pointers).
    pub format: Arc<str>,
    /// How many people the session takes; 0 for any number.
    pub capacity: u32,
    /// Whose the leads are; the reader's own when nobody is named.
    pub owner: Option<Uid>,
    /// What is announced, with `{name}`.
    pub text: Arc<str>,
}

/// Which way somebody went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// In.
    Enter,
    /// Out.
    Exit,
}

/// A badge held to a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tap {
    /// What the reader said it read, for the result.
    pub shown: Arc<str>,
    /// What it may mean, likeliest first; the first that is known is meant.
    pub codes: Vec<BadgeCode>,
    /// When, by the reader's clock, Unix ms; 0 when it has none.
    pub at_ms: u64,
    /// The reader's own id for it, empty when it has none: a repeated upload is stored once.
    pub id: Arc<str>,
    /// Which way, when the reader knows.
    pub direction: Option<Direction>,
}

/// Why a scan came to what it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScanReason {
    /// Done.
    Ok,
    /// They were here before.
    AlreadyCheckedIn,
    /// Nobody's badge.
    UnknownBadge,
    /// The badge is not good any more.
    Revoked,
    /// They may not, or the reader may not.
    NotAllowed,
    /// The session is full.
    Full,
    /// The same badge again within moments, or the same upload.
    Duplicate,
    /// Not a scan.
    Malformed,
}

impl ScanReason {
    /// The word in results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::AlreadyCheckedIn => "already_checked_in",
            Self::UnknownBadge => "unknown_badge",
            Self::Revoked => "revoked",
            Self::NotAllowed => "not_allowed",
            Self::Full => "full",
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
        }
    }
}

/// What a scan came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// Whether the bearer may pass.
    pub accepted: bool,
    /// Why.
    pub reason: ScanReason,
    /// What the reader said it read.
    pub shown: Arc<str>,
    /// Whose badge it is.
    pub user: Option<Uid>,
    /// Their display name.
    pub name: Arc<str>,
    /// What the reader scans for.
    pub mode: Mode,
    /// The scan's number in the conference; 0 when it was not stored.
    pub scan: u64,
    /// When it was, Unix ms.
    pub at_ms: u64,
    /// The conversation that it opened or led into.
    pub conversation: Option<ConversationId>,
}

/// Where two people stand with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acquaintance {
    /// The owner of the record has asked.
    Asked,
    /// The other has asked.
    WasAsked,
    /// Both want it: contacts are exchanged.
    Met,
}

/// What is done about an acquaintance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContactDeed {
    /// Ask; or say yes to who has asked.
    Ask,
    /// Say yes.
    Accept,
    /// Say no; the other is not told.
    Decline,
    /// Forget each other.
    Remove,
}

/// What an exhibitor writes to a lead.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeadNotes {
    /// 0 for none, else 1 to 5.
    pub rating: u8,
    /// Free text.
    pub note: Arc<str>,
    /// Words to sort by.
    pub tags: Vec<Arc<str>>,
}

/// What the organisers know of an attendee beyond the account: from a ticket shop. Only staff sees it, and who was given the contact.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attendee {
    /// What the ticket shop calls the ticket: tells whether a row was imported before.
    pub external: Arc<str>,
    /// E-mail.
    pub email: Arc<str>,
    /// Company.
    pub company: Arc<str>,
    /// Job.
    pub job: Arc<str>,
    /// Kind of ticket.
    pub ticket: Arc<str>,
}

impl std::fmt::Debug for Attendee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attendee(…)")
    }
}
