//! `contact.*`.

use std::sync::Arc;

use hallway_broker::ids::{ConversationId, Uid};
use schemars::JsonSchema;
use serde::Serialize;

use super::Time;

/// Where two people stand with each other.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum ContactStateWord {
    Asked,
    WasAsked,
    Met,
    None,
}

/// Somebody whom one knows, or may get to know.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ContactRow {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// Where one stands with them.
    #[schemars(with = "ContactStateWord")]
    pub state: &'static str,
    /// Since when.
    pub since: Time,
    /// What the ticket shop knows of them, when both want it.
    #[serde(flatten)]
    pub card: Card,
}

/// What is told of somebody whose contact one was given; what is not known is left out.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Card {
    /// E-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub email: Option<Arc<str>>,
    /// Company.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub company: Option<Arc<str>>,
    /// Job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub job: Option<Arc<str>>,
}

/// Result of `contact.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Contacts {
    /// By uid.
    pub contacts: Vec<ContactRow>,
    /// There are no more.
    pub complete: bool,
}

/// Where one stands with somebody after asking or answering.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ContactNow {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Where.
    #[schemars(with = "ContactStateWord")]
    pub state: &'static str,
    /// The direct conversation, when both want it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub conversation: Option<ConversationId>,
}
