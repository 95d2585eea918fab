//! The shapes of what [`hallway_broker::canonical`] writes by hand, for the OpenRPC document. A test holds the two together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conversation::EventKind;

/// A canonical event. Which of the optional members there are goes by `kind`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Event")]
#[serde(deny_unknown_fields)]
pub struct EventShape {
    /// The conversation's id; of a notice, the one it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Its number in its conversation: 1, 2, 3 … without gaps.
    pub seq: u64,
    /// Its id, opaque.
    pub id: String,
    /// What it is.
    pub kind: EventKind,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Their display name at the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When: RFC 3339 in UTC with milliseconds.
    pub ts: String,
    /// The protocol that it came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// `message`: the sender's own id for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `message`, `edit`: the text; empty once deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `message`: its ordinal among the conversation's messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// `message`: the seq that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// `message`: who is named in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Vec<String>>,
    /// `message`: URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<String>>,
    /// `message`: its text was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<bool>,
    /// `message`: it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// `message`: emoji and how many people gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reactions: Option<BTreeMap<String, u32>>,
    /// `edit`, `delete`, `react`, notice `mention`: the message's seq.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// `react`: which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// `react`: given or taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// `member`: whose standing changed. Notice `contact`: who has asked, or was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `member`: `joined`, `left`, `invited`, `removed`, `banned`, `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// `member` with `change: "role"`: the new role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Notice `refused`: the topic that was published to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Notice `refused`: the refusal's stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Notice `contact`: where one stands with them: `asked`, `was_asked`, `met`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Notice `lead`: the exhibitor who was given one's contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `settings`: the new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `notice`: `invited`, `mention`, `removed`, `refused`, `contact`, `lead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a `typing` notification carries.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TypingSignal {
    /// Where.
    pub conversation: String,
    /// Who.
    pub from: String,
    /// Their display name.
    pub name: String,
    /// Typing, or stopped.
    pub on: bool,
}

/// What a `read` notification carries.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadSignal {
    /// Where.
    pub conversation: String,
    /// Who.
    pub from: String,
    /// Up to this seq.
    pub seq: u64,
}
