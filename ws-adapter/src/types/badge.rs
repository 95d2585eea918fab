//! `badge.*`, `checkin.*` and `attendance.*`.

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::badges::CODE_BYTES_MAX;
use hallway_broker::canonical;
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::model::{BadgeCode, Direction, GivenBadge, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conversation::yes;
use super::{Time, at_most};
use crate::rpc::Fault;

/// What a scan does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum ModeWord {
    Checkin,
    Session,
    Meet,
    Lead,
    Announce,
}

impl From<ModeWord> for Mode {
    fn from(mode: ModeWord) -> Self {
        match mode {
            ModeWord::Checkin => Self::Checkin,
            ModeWord::Session => Self::Session,
            ModeWord::Meet => Self::Meet,
            ModeWord::Lead => Self::Lead,
            ModeWord::Announce => Self::Announce,
        }
    }
}

/// Which way somebody goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum DirectionWord {
    Enter,
    Exit,
}

impl From<DirectionWord> for Direction {
    fn from(direction: DirectionWord) -> Self {
        match direction {
            DirectionWord::Enter => Self::Enter,
            DirectionWord::Exit => Self::Exit,
        }
    }
}

/// Why a scan came to what it came to.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum ScanReasonWord {
    Ok,
    AlreadyCheckedIn,
    UnknownBadge,
    Revoked,
    NotAllowed,
    Full,
    Duplicate,
    Malformed,
}

/// What a badge is kept by.
///
/// # Errors
/// `invalid_params`: the text is empty or too long.
pub fn badge_code(text: &str) -> Result<BadgeCode, Fault> {
    BadgeCode::given(text).ok_or_else(|| Fault::invalid_params(format_args!("badge has 1 to {CODE_BYTES_MAX} bytes")))
}

/// A badge as it is given out.
///
/// # Errors
/// Those of [`badge_code`].
pub fn given_badge(text: &str) -> Result<GivenBadge, Fault> {
    GivenBadge::of(text).ok_or_else(|| Fault::invalid_params(format_args!("badge has 1 to {CODE_BYTES_MAX} bytes")))
}

/// Parameters of `badge.assign`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct AssignParams<'a> {
    /// The code: a chip's number in any writing, or what is printed.
    #[serde(borrow)]
    pub badge: Cow<'a, str>,
    /// Whose it is from now on.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
}

/// Result of `badge.assign`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Assigned {
    /// The code, as it was given.
    pub badge: String,
    /// Whose it is.
    #[schemars(with = "String")]
    pub user: Uid,
}

/// Parameters of `badge.revoke`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RevokeParams<'a> {
    /// The code, in any writing.
    #[serde(borrow)]
    pub badge: Cow<'a, str>,
    /// Revoke it, or take that back.
    #[serde(default = "yes")]
    pub on: bool,
}

/// Result of `badge.revoke`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Revoked {
    /// The code, as it was asked for.
    pub badge: String,
    /// It is revoked now.
    pub on: bool,
}

/// Parameters of `badge.list`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct BadgesParams<'a> {
    /// Whose; everybody's when it is not said.
    #[serde(borrow)]
    pub user: Option<Cow<'a, str>>,
    /// Go on behind this badge; not with a user.
    #[serde(borrow)]
    pub after: Option<Cow<'a, str>>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
}

/// A badge.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BadgeRow {
    /// The code, as it was given.
    #[schemars(with = "String")]
    pub badge: Arc<str>,
    /// Whose.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// It opens nothing any more.
    pub revoked: bool,
    /// Since when it is theirs.
    pub since: Time,
}

/// Result of `badge.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Badges {
    /// In an order of their own.
    pub badges: Vec<BadgeRow>,
    /// There are no more.
    pub complete: bool,
}

/// Result of `badge.mine`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnBadges {
    /// What to show as a QR code: good as a badge without having been given one.
    pub code: String,
    /// Badges that one was given and that are good.
    #[schemars(with = "Vec<String>")]
    pub badges: Vec<Arc<str>>,
}

/// Parameters of `badge.scan`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ScanParams<'a> {
    /// What was read: a chip's number, or what is printed.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// What for; what the asker's handheld is set to when it is not said.
    pub mode: Option<ModeWord>,
    /// The session, or where it is announced.
    #[serde(borrow)]
    pub conversation: Option<Cow<'a, str>>,
    /// The app's own id of the scan: it counts once, however often it is asked.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    /// When it was, when the app was offline: RFC 3339.
    #[serde(borrow)]
    pub at: Option<Cow<'a, str>>,
    /// Which way, at a session.
    pub direction: Option<DirectionWord>,
}

/// Longest id of a scan, in bytes.
const MAX_SCAN_ID_BYTES: usize = 128;

impl ScanParams<'_> {
    /// When it was, Unix ms; 0 when it is not said.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn at_ms(&self) -> Result<u64, Fault> {
        let Some(at) = &self.at else { return Ok(0) };
        canonical::parse_time(at).ok_or_else(|| Fault::invalid_params("at is no time of RFC 3339"))
    }

    /// The app's own id, empty when it is not said.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn own_id(&self) -> Result<&str, Fault> {
        let id = self.id.as_deref().unwrap_or("");
        at_most(id, MAX_SCAN_ID_BYTES, "id")?;
        Ok(id)
    }
}

/// Result of `badge.scan`, and what readers are told.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScanShape {
    /// Whether the bearer may pass.
    pub accepted: bool,
    /// Why.
    pub reason: ScanReasonWord,
    /// What was read.
    pub badge: String,
    /// The id that the reader, or the app, gave it; else what is made of its time and code, if it has a time of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whose badge it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Their display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it was scanned for.
    pub mode: ModeWord,
    /// The conversation that it opened or led into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The scan's number in the conference; none when it was not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<u64>,
    /// When.
    pub ts: Time,
}

/// Parameters of lists that go on above a uid.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PageParams {
    /// Uids above this one.
    pub after: Option<String>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
}

/// Somebody who has arrived.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckinRow {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// When.
    pub ts: Time,
    /// The reader, or who scanned.
    #[schemars(with = "String")]
    pub by: Uid,
    /// The scan's number.
    pub scan: u64,
}

/// Result of `checkin.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Checkins {
    /// By uid.
    pub people: Vec<CheckinRow>,
    /// There are no more.
    pub complete: bool,
}

/// Result of `checkin.count`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckinCount {
    /// People who have arrived.
    pub checked_in: u32,
    /// People who have a badge or a ticket, or have arrived without.
    pub attendees: u32,
}

/// Names somebody.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UserParams<'a> {
    /// Whom.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
}

/// Parameters of `attendance.list`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct AttendanceParams<'a> {
    /// The session.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// Uids above this one.
    #[serde(borrow)]
    pub after: Option<Cow<'a, str>>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
}

/// Somebody at a session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AttendanceRow {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// They are inside now.
    pub inside: bool,
    /// How often they came in.
    pub enters: u32,
    /// How long they were inside, until now when they are, in seconds.
    pub seconds: u64,
    /// When they first came.
    pub first: Time,
    /// When they were last scanned.
    pub last: Time,
}

/// Result of `attendance.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Attendances {
    /// The session.
    #[schemars(with = "String")]
    pub conversation: ConversationId,
    /// By uid.
    pub people: Vec<AttendanceRow>,
    /// People inside now.
    pub inside: u32,
    /// People who were inside at some time.
    pub came: u32,
    /// How many it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// There are no more in the list.
    pub complete: bool,
}
