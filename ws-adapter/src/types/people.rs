//! `people.*`.

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::ids::Uid;
use hallway_broker::limits::{MAX_ABOUT_BYTES, MAX_NAME_BYTES};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::conversation::ConversationRow;
use super::event::EventShape;
use super::file::OwnFile;
use super::push::{Settings, TargetRow};
use super::scanned::OwnScanned;
use super::session::SessionRow;
use super::topic::TopicFrameShape;
use super::{at_most, user_id};
use crate::rpc::Fault;

/// Roles in a conference.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum RoleWord {
    Attendee,
    Staff,
    Organiser,
    Device,
    Service,
}

/// Somebody's availability.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum StatusWord {
    Online,
    Away,
    Dnd,
    Offline,
}

/// How somebody is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PresenceNow {
    /// In one word.
    #[schemars(with = "StatusWord")]
    pub status: &'static str,
    /// In theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Somebody.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Person {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    pub name: String,
    /// Their role in the conference.
    #[schemars(with = "RoleWord")]
    pub role: &'static str,
    /// What they say of themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// How they are.
    pub presence: PresenceNow,
}

/// Parameters of `people.list`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PeopleParams {
    /// A prefix of the uid or of a word of the name.
    pub query: Option<String>,
    /// Only those whom one has blocked; not with a query.
    #[serde(default)]
    pub blocked: bool,
    /// Uids above this one.
    pub after: Option<String>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
}

impl PeopleParams {
    /// The query within its bound; `None` for everybody.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn query(&self) -> Result<Option<&str>, Fault> {
        let query = self.query.as_deref().map(str::trim).filter(|query| !query.is_empty());
        at_most(query.unwrap_or(""), MAX_NAME_BYTES, "query")?;
        Ok(query)
    }
}

/// Result of `people.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct People {
    /// By uid.
    pub people: Vec<Person>,
    /// There are no more.
    pub complete: bool,
}

/// Parameters of `people.get`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetParams<'a> {
    /// Who.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
}

/// Parameters of `people.update`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ProfileParams {
    /// The new display name, 1 to 128 bytes.
    pub name: Option<String>,
    /// What one says of oneself, at most 1000 bytes.
    pub about: Option<String>,
}

impl ProfileParams {
    /// Checks the bounds. Whether the name is free is for the hub to say.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn check(&self) -> Result<(), Fault> {
        if let Some(name) = &self.name {
            at_most(name, MAX_NAME_BYTES, "name")?;
            if name.trim().is_empty() {
                return Err(Fault::invalid_params("name is empty"));
            }
            if name.chars().any(char::is_control) {
                return Err(Fault::invalid_params("name has control characters"));
            }
        }
        at_most(self.about.as_deref().unwrap_or(""), MAX_ABOUT_BYTES, "about")
    }
}

/// Parameters of `people.block`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct BlockParams<'a> {
    /// Whom.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    /// Block, or take it back.
    #[serde(default = "yes")]
    pub on: bool,
}

fn yes() -> bool {
    true
}

/// Result of `people.block`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Blocking {
    /// Whom.
    #[schemars(with = "String")]
    pub user: Uid,
    /// They are blocked now.
    pub on: bool,
}

/// Something that a person keeps on the server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeptItem {
    /// The node it is in.
    #[schemars(with = "String")]
    pub node: Arc<str>,
    /// Its id there.
    #[schemars(with = "String")]
    pub item: Arc<str>,
    /// What is kept, as XML.
    #[schemars(with = "String")]
    pub payload: Arc<str>,
}

/// What is kept of somebody's push; of what of a conversation they want, `muted` tells.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnPush {
    /// Where.
    pub targets: Vec<TargetRow>,
    /// What they want.
    pub settings: Settings,
}

/// Parameters of `people.export` and `people.erase`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OwnDataParams {
    /// Whose; one's own when it is not said, others' for staff.
    pub user: Option<String>,
}

impl OwnDataParams {
    /// Whose data; `me` when it is not said.
    ///
    /// # Errors
    /// `unknown_user`.
    pub fn whose(&self, me: &Uid) -> Result<Uid, Fault> {
        self.user.as_deref().map_or_else(|| Ok(me.clone()), user_id)
    }
}

/// Result of `people.export`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Export {
    /// The account.
    pub user: Person,
    /// The conversations they are in; `last` only when they ask for themselves.
    pub conversations: Vec<ConversationRow>,
    /// What they said and did, there and where they were before: canonical events, already encoded.
    #[schemars(with = "Vec<EventShape>")]
    pub events: Vec<Box<RawValue>>,
    /// That is all; more than an answer holds is for the organisers to export.
    pub complete: bool,
    /// Whom they block.
    #[schemars(with = "Vec<String>")]
    pub blocked: Vec<Uid>,
    /// What they keep on the server.
    pub items: Vec<KeptItem>,
    /// What they stored with applications' topics: as it came there, already encoded.
    #[schemars(with = "Vec<TopicFrameShape>")]
    pub topics: Vec<Box<RawValue>>,
    /// Files that they brought; where they are, the messages that have them say.
    pub files: Vec<OwnFile>,
    /// What is kept of them because of badges.
    pub scanned: OwnScanned,
    /// Where they are pushed to, and what they want.
    pub push: OwnPush,
    /// Their live sessions.
    pub sessions: Vec<SessionRow>,
}

/// Result of `people.erase`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Erased {
    /// True.
    pub erased: bool,
}
