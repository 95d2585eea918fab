//! `conversation.*`.

use std::borrow::Cow;

use hallway_broker::command::Action;
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::limits::{MAX_FIRST_MEMBERS, MAX_TITLE_BYTES};
use hallway_broker::model::{Kind, MemberRole};
use hallway_broker::reject::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::EventShape;
use super::{Epoch, Time, at_most, conversation_id, user_id};
use crate::rpc::Fault;

/// What `#[serde(default)]` cannot say of a bool.
pub(super) fn yes() -> bool {
    true
}

/// Kinds of conversations.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum KindWord {
    Channel,
    Group,
    Direct,
    Announcements,
}

/// Kinds that can be created; a direct conversation is opened.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum NewKind {
    Channel,
    Group,
    Announcements,
}

impl From<NewKind> for Kind {
    fn from(kind: NewKind) -> Self {
        match kind {
            NewKind::Channel => Self::Channel,
            NewKind::Group => Self::Group,
            NewKind::Announcements => Self::Announcements,
        }
    }
}

/// Roles in a conversation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum MemberRoleWord {
    Member,
    Moderator,
    Owner,
}

impl From<MemberRoleWord> for MemberRole {
    fn from(role: MemberRoleWord) -> Self {
        match role {
            MemberRoleWord::Member => Self::Member,
            MemberRoleWord::Moderator => Self::Moderator,
            MemberRoleWord::Owner => Self::Owner,
        }
    }
}

/// Parameters of `conversation.list`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListParams {
    /// At most this many, up to 500.
    pub limit: Option<u64>,
}

/// One's own standing with a conversation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConversationRow {
    /// Its id.
    #[schemars(with = "String")]
    pub conversation: ConversationId,
    /// Its kind.
    #[schemars(with = "KindWord")]
    pub kind: &'static str,
    /// Its title.
    pub title: String,
    /// How many members it has.
    pub members: u32,
    /// Whether one is a member.
    pub member: bool,
    /// One's role in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<MemberRoleWord>")]
    pub role: Option<&'static str>,
    /// The last message, null when none is among the newest 256 events: a canonical event, already encoded.
    #[schemars(with = "Option<EventShape>")]
    pub last: Option<Box<serde_json::value::RawValue>>,
    /// The seq of the last event.
    pub seq: u64,
    /// The seq one has read up to.
    pub read: u64,
    /// Messages after it.
    pub unread: u64,
    /// No push, no badge.
    pub muted: bool,
    /// When that ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Time>,
}

/// Parameters of `conversation.open`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OpenParams<'a> {
    /// The other one.
    #[serde(borrow)]
    pub with: Cow<'a, str>,
}

impl OpenParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_user`.
    pub fn action(&self) -> Result<Action, Fault> {
        Ok(Action::Open { with: user_id(&self.with)? })
    }
}

/// Result of `conversation.open`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Opened {
    /// Its id.
    #[schemars(with = "String")]
    pub conversation: ConversationId,
    /// `direct`.
    #[schemars(with = "KindWord")]
    pub kind: &'static str,
    /// Its last seq.
    pub seq: u64,
    /// Whether it is new.
    pub created: bool,
}

/// Parameters of `conversation.create`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateParams {
    /// Its kind; channels and announcements: staff.
    pub kind: NewKind,
    /// Its id; the server makes one when there is none.
    pub id: Option<String>,
    /// Its title; the id when there is none.
    pub title: Option<String>,
    /// Its first members, at most 500.
    #[serde(default)]
    pub members: Vec<String>,
}

impl CreateParams {
    /// What to do; `fresh_id` makes an id that nothing has.
    ///
    /// # Errors
    /// `invalid_params`, `unknown_user`, `too_many_members`.
    pub fn action(self, fresh_id: impl FnOnce() -> ConversationId) -> Result<Action, Fault> {
        if self.members.len() > MAX_FIRST_MEMBERS {
            return Err(Reason::TooManyMembers.into());
        }
        let id = match self.id.as_deref().map(ConversationId::parse) {
            None => fresh_id(),
            Some(Ok(id)) if id.direct_pair().is_none() => id,
            Some(_) => return Err(Fault::invalid_params("id is not of [a-z0-9][a-z0-9_-]{0,63}")),
        };
        let title = self.title.unwrap_or_else(|| id.as_str().to_owned());
        check_title(&title)?;
        let members = self.members.iter().map(|uid| user_id(uid)).collect::<Result<Vec<Uid>, _>>()?;
        Ok(Action::Create { kind: self.kind.into(), id, title, members })
    }
}

fn check_title(title: &str) -> Result<(), Fault> {
    if title.trim().is_empty() {
        return Err(Fault::invalid_params("title is empty"));
    }
    at_most(title, MAX_TITLE_BYTES, "title")
}

/// Parameters of `conversation.update`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateParams<'a> {
    /// Its id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// The new title, 1 to 256 bytes.
    #[serde(borrow)]
    pub title: Cow<'a, str>,
}

impl UpdateParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_conversation`, `invalid_params`.
    pub fn action(&self) -> Result<Action, Fault> {
        check_title(&self.title)?;
        let conversation = conversation_id(&self.conversation)?;
        Ok(Action::Update { conversation, title: self.title.as_ref().into() })
    }
}

/// Where a conversation is after a change: result of `conversation.create`, `.update`, `.join`, `.leave`, `.invite`, `.remove`, `.role`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct At {
    /// Its id.
    #[schemars(with = "String")]
    pub conversation: ConversationId,
    /// The change's seq, or the last one when nothing changed.
    pub seq: u64,
}

/// Parameters of `conversation.invite`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct InviteParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// Who.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
}

impl InviteParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_conversation`, `unknown_user`.
    pub fn action(&self) -> Result<Action, Fault> {
        Ok(Action::Invite { conversation: conversation_id(&self.conversation)?, user: user_id(&self.user)? })
    }
}

/// Parameters of `conversation.remove`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RemoveParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// Who.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    /// Not to come back.
    #[serde(default)]
    pub ban: bool,
}

impl RemoveParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_conversation`, `unknown_user`.
    pub fn action(&self) -> Result<Action, Fault> {
        let conversation = conversation_id(&self.conversation)?;
        Ok(Action::Remove { conversation, user: user_id(&self.user)?, ban: self.ban })
    }
}

/// Parameters of `conversation.role`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RoleParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// Who.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    /// Their new role.
    pub role: MemberRoleWord,
}

impl RoleParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_conversation`, `unknown_user`.
    pub fn action(&self) -> Result<Action, Fault> {
        let conversation = conversation_id(&self.conversation)?;
        Ok(Action::SetRole { conversation, user: user_id(&self.user)?, role: self.role.into() })
    }
}

/// Parameters of `conversation.members`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct MembersParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// Uids above this one.
    pub after: Option<String>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
}

/// A member.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MemberRow {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    pub name: String,
    /// Their role in the conversation.
    #[schemars(with = "MemberRoleWord")]
    pub role: &'static str,
}

/// Result of `conversation.members`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Members {
    /// By uid.
    pub members: Vec<MemberRow>,
    /// There are no more.
    pub complete: bool,
}

/// Parameters of `conversation.subscribe`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SubscribeParams<'a> {
    /// The conversation's id, or `*` for everything that one may read, now and later.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// The last seq that one has: what came after it is caught up.
    pub after: Option<u64>,
    /// The epoch that `after` is of.
    pub epoch: Option<Epoch>,
    /// Whether one's own events come back, too.
    #[serde(default = "yes")]
    pub echo: bool,
}

impl SubscribeParams<'_> {
    /// Refuses a cursor of another epoch than `now`.
    ///
    /// # Errors
    /// `resync`.
    pub fn check_epoch(&self, now: u64) -> Result<(), Fault> {
        match self.epoch {
            Some(Epoch(epoch)) if epoch != now => Err(Fault::resync(now)),
            _ => Ok(()),
        }
    }
}

/// Result of `conversation.subscribe`. Written by [`hallway_broker::canonical::write_subscribed`].
#[derive(Debug, Serialize, JsonSchema)]
pub struct Subscribed {
    /// The conversation's id.
    pub conversation: String,
    /// The store's epoch.
    pub epoch: Epoch,
    /// The head: the last seq as of now.
    pub seq: u64,
    /// What was missed, up to 500.
    pub events: Vec<EventShape>,
    /// False: the rest follows as notifications, in order, before anything live.
    pub complete: bool,
}

/// Parameters of `conversation.history`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct HistoryParams<'a> {
    /// The conversation's id, or `inbox`.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// The newest below this seq.
    pub before: Option<u64>,
    /// The oldest above this seq.
    pub after: Option<u64>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
    /// These kinds only.
    pub kinds: Option<Vec<EventKind>>,
}

impl HistoryParams<'_> {
    /// Refuses to look both ways at once.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn check(&self) -> Result<(), Fault> {
        if self.before.is_some() && self.after.is_some() {
            return Err(Fault::invalid_params("either before or after"));
        }
        Ok(())
    }

    /// The words of the kinds asked for; empty: all.
    #[must_use]
    pub fn kind_words(&self) -> Vec<&'static str> {
        self.kinds.iter().flatten().map(|kind| kind.word()).collect()
    }
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum EventKind {
    Message,
    Edit,
    Delete,
    React,
    Member,
    Settings,
    Notice,
}

impl EventKind {
    /// As `Body::kind` says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::React => "react",
            Self::Member => "member",
            Self::Settings => "settings",
            Self::Notice => "notice",
        }
    }
}

/// Result of `conversation.history`. Written by [`hallway_broker::canonical::write_history`].
#[derive(Debug, Serialize, JsonSchema)]
pub struct History {
    /// Ascending.
    pub events: Vec<EventShape>,
    /// There is nothing more in that direction.
    pub complete: bool,
    /// When it is not complete: what to go on from, as `after` or `before`. Of some kinds there may be no event before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The store's epoch.
    pub epoch: Epoch,
}

/// Parameters of `conversation.read`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReadParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// Read up to this seq.
    pub seq: u64,
}

/// Result of `conversation.read`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadMark {
    /// The conversation's id.
    #[schemars(with = "String")]
    pub conversation: ConversationId,
    /// Read up to here; never goes back.
    pub seq: u64,
    /// Messages after it.
    pub unread: u64,
}

/// Parameters of `conversation.typing`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TypingParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// Typing, or stopped.
    pub on: bool,
}
