//! `session.*` and `presence.set`.

use std::borrow::Cow;

use hallway_broker::edges::Shown;
use hallway_broker::ids::{ConferenceId, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{Status, UserRole};
use hallway_broker::reject::Reason;
use hallway_broker::session::Session;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::people::{RoleWord, StatusWord};
use super::{Epoch, Time, at_most};
use crate::rpc::Fault;

/// Longest `device`, in bytes.
pub const MAX_DEVICE_BYTES: usize = 128;
/// Longest presence text, in bytes.
pub const MAX_PRESENCE_TEXT_BYTES: usize = 200;

/// Parameters of `session.hello`.
#[derive(Deserialize, JsonSchema)]
pub struct HelloParams<'a> {
    /// The token from signing in, or one of the conference's identity provider.
    #[serde(borrow)]
    pub token: Option<Cow<'a, str>>,
    /// A ticket in its place.
    #[serde(borrow)]
    pub ticket: Option<Cow<'a, str>>,
    /// The conference that the client means; a token of another one is refused.
    #[serde(borrow)]
    pub conference: Option<Cow<'a, str>>,
    /// What the client calls itself in `session.list`.
    pub device: Option<String>,
}

impl std::fmt::Debug for HelloParams<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HelloParams(…, {:?})", self.device)
    }
}

impl HelloParams<'_> {
    /// What is shown: a token or a ticket.
    ///
    /// # Errors
    /// `invalid_params` for neither, and for both.
    pub fn shown(&self) -> Result<Shown<'_>, Fault> {
        match (&self.token, &self.ticket) {
            (Some(token), None) => Ok(Shown::Token(token)),
            (None, Some(ticket)) => Ok(Shown::Ticket(ticket)),
            _ => Err(Fault::invalid_params("one of token and ticket")),
        }
    }

    /// The device's name within its bound.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn device(&self) -> Result<Option<&str>, Fault> {
        checked_device(self.device.as_deref())
    }
}

/// What a client calls itself, within its bound.
///
/// # Errors
/// `invalid_params`.
pub fn checked_device(device: Option<&str>) -> Result<Option<&str>, Fault> {
    at_most(device.unwrap_or(""), MAX_DEVICE_BYTES, "device")?;
    Ok(device)
}

/// The bounds that a client should know.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HelloLimits {
    /// Longest text, in bytes of UTF-8.
    pub text_bytes: usize,
    /// Longest message on the wire, in bytes.
    pub frame_bytes: usize,
    /// Conversations that one session follows.
    pub subscriptions: usize,
    /// Requests that wait for their answer.
    pub requests: usize,
    /// Messages in a second, in the long run; 0: no bound.
    pub messages_per_second: u32,
    /// Messages at once before that holds.
    pub message_burst: u32,
    /// Longest file, in bytes.
    pub file_bytes: u64,
}

impl From<&Limits> for HelloLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            text_bytes: limits.text_bytes,
            frame_bytes: limits.frame_bytes,
            subscriptions: limits.subscriptions_per_session,
            requests: limits.requests_per_session,
            messages_per_second: limits.messages_per_second,
            message_burst: limits.message_burst,
            file_bytes: limits.file_bytes,
        }
    }
}

/// Result of `session.hello`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Hello {
    /// The session's user.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    pub name: String,
    /// Their role in the conference.
    #[schemars(with = "RoleWord")]
    pub role: &'static str,
    /// The conference's id.
    #[schemars(with = "String")]
    pub conference: ConferenceId,
    /// The session's id, opaque.
    pub session: String,
    /// The store's epoch, which goes with every `after`.
    pub epoch: Epoch,
    /// The server's bounds.
    pub limits: HelloLimits,
}

impl Hello {
    /// What the user of a session is told, whose role this is.
    #[must_use]
    pub fn of(session: &Session, role: UserRole, epoch: u64, limits: &Limits) -> Self {
        Self {
            user: session.who.uid.clone(),
            name: session.who.name.to_string(),
            role: role.word(),
            conference: session.who.conference.clone(),
            session: session.id.to_string(),
            epoch: Epoch(epoch),
            limits: limits.into(),
        }
    }
}

/// A live session.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionRow {
    /// Its id.
    pub session: String,
    /// Its protocol.
    pub protocol: &'static str,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// When it began.
    pub since: Time,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// Result of `session.list`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sessions {
    /// One's own live sessions, of every protocol.
    pub sessions: Vec<SessionRow>,
}

/// Parameters of `session.close`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CloseParams<'a> {
    /// The session to close.
    #[serde(borrow)]
    pub session: Cow<'a, str>,
    /// Whether the token that signed it in is revoked, too: nobody signs in with it any more, and all that was signed in with it ends. Tokens of an
    /// identity provider are its own to revoke.
    #[serde(default)]
    pub revoke: bool,
}

impl CloseParams<'_> {
    /// The session's number, as `session` in results is written.
    ///
    /// # Errors
    /// `unknown_session`.
    pub fn id(&self) -> Result<u64, Fault> {
        self.session.parse().map_err(|_| Reason::UnknownSession.into())
    }
}

/// Parameters of `presence.set`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PresenceParams {
    /// How one is.
    pub status: SetStatus,
    /// In one's own words, at most 200 bytes.
    pub text: Option<String>,
}

impl PresenceParams {
    /// What to set.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn presence(&self) -> Result<(Status, &str), Fault> {
        let text = self.text.as_deref().unwrap_or("");
        at_most(text, MAX_PRESENCE_TEXT_BYTES, "text")?;
        Ok((self.status.into(), text))
    }
}

/// What one can say of oneself; `offline` is said by going.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SetStatus {
    /// Here.
    Online,
    /// Not looking.
    Away,
    /// Do not disturb.
    Dnd,
}

impl From<SetStatus> for Status {
    fn from(status: SetStatus) -> Self {
        match status {
            SetStatus::Online => Self::Online,
            SetStatus::Away => Self::Away,
            SetStatus::Dnd => Self::Dnd,
        }
    }
}

/// What a `presence` notification carries.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PresenceSignal {
    /// Who.
    pub user: String,
    /// Their display name.
    pub name: String,
    /// How they are.
    #[schemars(with = "StatusWord")]
    pub status: &'static str,
    /// In their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
