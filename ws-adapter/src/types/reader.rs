//! `reader.*`.

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::command::Action;
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::model::ReaderSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::badge::ModeWord;
use super::{Time, conversation_id, user_id};
use crate::rpc::Fault;

/// Parameters of `reader.set`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReaderParams<'a> {
    /// The device's uid, or that of a person with a handheld.
    #[serde(borrow)]
    pub reader: Cow<'a, str>,
    /// What its scans do.
    pub mode: ModeWord,
    /// The session's channel, or where it announces; with these modes it must be said.
    #[serde(borrow)]
    pub conversation: Option<Cow<'a, str>>,
    /// How its payloads are read (`auto`).
    #[serde(borrow)]
    pub format: Option<Cow<'a, str>>,
    /// How many people the session takes; any number when it is not said, or 0.
    pub capacity: Option<u32>,
    /// Whose the leads are; the reader's own when it is not said.
    #[serde(borrow)]
    pub owner: Option<Cow<'a, str>>,
    /// What is announced, with `{name}`.
    #[serde(borrow)]
    pub text: Option<Cow<'a, str>>,
}

impl ReaderParams<'_> {
    /// What is asked.
    ///
    /// # Errors
    /// `unknown_user`, `unknown_conversation`, `invalid_params`.
    pub fn action(&self, hub: &Hub) -> Result<Action, Fault> {
        let reader = user_id(&self.reader)?;
        let format = self.format.as_deref().unwrap_or("auto");
        // A server that knows no formats keeps what is said for one that does.
        if hub.badge_formats().is_some_and(|formats| formats.check(format).is_err()) {
            return Err(Fault::invalid_params("format is none that is known, and no template"));
        }
        let settings = ReaderSettings {
            mode: self.mode.into(),
            conversation: self.conversation.as_deref().map(conversation_id).transpose()?,
            format: format.into(),
            capacity: self.capacity.unwrap_or(0),
            owner: self.owner.as_deref().map(user_id).transpose()?,
            text: self.text.as_deref().unwrap_or("").into(),
        };
        Ok(Action::SetReader { reader, settings: Some(Box::new(settings)) })
    }
}

/// Names a reader.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReaderName<'a> {
    /// Its uid.
    #[serde(borrow)]
    pub reader: Cow<'a, str>,
}

/// A reader.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReaderRow {
    /// Its uid.
    #[schemars(with = "String")]
    pub reader: Uid,
    /// Its display name.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// What its scans do.
    #[schemars(with = "ModeWord")]
    pub mode: &'static str,
    /// The session's channel, or where it announces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub conversation: Option<ConversationId>,
    /// How its payloads are read.
    #[schemars(with = "String")]
    pub format: Arc<str>,
    /// How many people the session takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Whose the leads are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub owner: Option<Uid>,
    /// What is announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub text: Option<Arc<str>>,
    /// It is there.
    pub online: bool,
    /// Since when it is there, or gone; none when it was not heard of since the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub detail: Option<Arc<str>>,
    /// When it last scanned something, since the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<Time>,
}

/// Result of `reader.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Readers {
    /// By uid.
    pub readers: Vec<ReaderRow>,
    /// There are no more.
    pub complete: bool,
}
