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

/// A badge as it is given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenBadge {
    /// What it is kept by.
    pub code: BadgeCode,
    /// What it would be kept by in other writings of the same number.
    pub same: Vec<BadgeCode>,
    /// As it was written.
    pub shown: Arc<str>,
}

impl GivenBadge {
    /// What it is kept by in whatever writing.
    pub fn codes(&self) -> impl Iterator<Item = &BadgeCode> {
        std::iter::once(&self.code).chain(&self.same)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// In.
    Enter,
    /// Out.
    Exit,
}

impl Direction {
    /// The word in requests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Exit => "exit",
        }
    }

    /// The direction named by `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Enter, Self::Exit].into_iter().find(|direction| direction.word() == word)
    }
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
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::AlreadyCheckedIn,
        Self::UnknownBadge,
        Self::Revoked,
        Self::NotAllowed,
        Self::Full,
        Self::Duplicate,
        Self::Malformed,
    ];

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
    /// The tap's id, empty when it had none.
    pub id: Arc<str>,
}

impl Scanned {
    /// Nobody passes, and nothing is stored: of nobody's badge, unless more is said of it.
    #[must_use]
    pub fn refused(reason: ScanReason, mode: Mode, shown: &Arc<str>, at_ms: u64) -> Self {
        let (shown, name, id) = (Arc::clone(shown), Arc::default(), Arc::default());
        Self { accepted: false, reason, shown, user: None, name, mode, scan: 0, at_ms, conversation: None, id }
    }
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

impl Acquaintance {
    /// The word in results and notices.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::WasAsked => "was_asked",
            Self::Met => "met",
        }
    }
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

/// What an import did about an attendee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// Made an account.
    Added,
    /// Brought what is known of somebody up to date.
    Changed,
    /// Nothing: all of it was known.
    Unchanged,
}

/// Record: what somebody is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bearer {
    /// Their badges, revoked ones too.
    pub badges: u32,
    /// There is an [`Attendee`].
    pub has_ticket: bool,
    /// There is a [`Checkin`].
    pub is_checked_in: bool,
}

impl Bearer {
    /// Whether they are expected: they have a badge or a ticket, or came without.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.badges > 0 || self.has_ticket || self.is_checked_in
    }
}

/// Record: what a conference's badges come to, so that nobody has to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BadgeTotals {
    /// Scans so far: the last one's number.
    pub scans: u64,
    /// People who are checked in.
    pub checked_in: u32,
    /// People who are expected.
    pub attendees: u32,
}

/// Record: somebody has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkin {
    /// When, Unix ms.
    pub at_ms: u64,
    /// The reader, or who scanned.
    pub by: Uid,
    /// The scan's number.
    pub scan: u64,
}

/// Record: who is inside a session, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Occupancy {
    /// People inside.
    pub inside: u32,
    /// People who were inside at some time.
    pub people: u32,
    /// How many it takes; 0 for any number.
    pub capacity: u32,
}

/// Record: where somebody stands with somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Where.
    pub state: Acquaintance,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// Who asked took it back: nobody is shown it, but the other is not told of it a second time.
    pub is_withdrawn: bool,
}

/// Record: an exhibitor was given somebody's contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// First scan, Unix ms.
    pub since_ms: u64,
    /// Last scan, Unix ms.
    pub last_ms: u64,
    /// How often they were scanned.
    pub scans: u32,
    /// Who scanned them last.
    pub by: Uid,
    /// What was written to it.
    pub notes: LeadNotes,
}

/// Record: the tap at a reader that waits for a second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Whose.
    pub user: Uid,
    /// When it was, Unix ms.
    pub at_ms: u64,
}

/// Record: what a scan came to that may be uploaded again. Holds neither a name nor a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownScan {
    /// When the command came, Unix ms: it is forgotten [`IDEMPOTENCY_MS`](crate::limits::IDEMPOTENCY_MS) later.
    pub came_ms: u64,
    /// The scan's number.
    pub scan: u64,
    /// Whether the bearer might pass.
    pub accepted: bool,
    /// Whose badge it was.
    pub user: Option<Uid>,
    /// When it was, Unix ms.
    pub at_ms: u64,
    /// Where it led.
    pub conversation: Option<ConversationId>,
}

impl KnownScan {
    /// Whether it is to be forgotten.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.came_ms) > crate::limits::IDEMPOTENCY_MS
    }
}
