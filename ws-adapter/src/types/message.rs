//! `message.*`.

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::admit::{check_draft, check_text};
use hallway_broker::command::{Action, Draft, Reuse};
use hallway_broker::limits::{Limits, MAX_EMOJI_BYTES};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event::EventShape;
use super::{Time, conversation_id};
use crate::rpc::Fault;

/// Parameters of `message.send`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SendParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// The sender's own id for it, 1 to 128 bytes: the same message sent again under it is stored once.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The text, 1 byte to `limits.text_bytes`.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// The seq of the message that it answers.
    pub reply_to: Option<u64>,
    /// Who is named in it, at most 50 uids; `*` for all (staff).
    #[serde(default)]
    pub mentions: Vec<Arc<str>>,
    /// At most 10 URLs that `POST /files` gave.
    #[serde(default)]
    pub attachments: Vec<Arc<str>>,
}

impl SendParams<'_> {
    /// The draft.
    ///
    /// # Errors
    /// `unknown_conversation`, `invalid_params`, `text_too_large`, `too_large`.
    pub fn draft(self, limits: &Limits) -> Result<Draft, Fault> {
        let draft = Draft {
            conversation: conversation_id(&self.conversation)?,
            client_id: self.id.as_ref().into(),
            reuse: Reuse::Conflict,
            text: self.text.as_ref().into(),
            reply_to: self.reply_to,
            mentions: self.mentions,
            attachments: self.attachments,
        };
        if draft.client_id.is_empty() {
            return Err(Fault::invalid_params("id is empty"));
        }
        check_draft(&draft, limits)?;
        Ok(draft)
    }
}

/// Parameters of `message.edit`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct EditParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// The message's seq.
    pub seq: u64,
    /// The new text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

impl EditParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_conversation`, `invalid_params`, `text_too_large`.
    pub fn action(&self, limits: &Limits) -> Result<Action, Fault> {
        check_text(&self.text, limits)?;
        let conversation = conversation_id(&self.conversation)?;
        Ok(Action::Edit { conversation, target: self.seq, text: self.text.as_ref().into() })
    }
}

/// Parameters of `message.delete`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// The message's seq.
    pub seq: u64,
}

impl DeleteParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_conversation`.
    pub fn action(&self) -> Result<Action, Fault> {
        Ok(Action::Delete { conversation: conversation_id(&self.conversation)?, target: self.seq })
    }
}

/// Parameters of `message.react`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReactParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// The message's seq.
    pub seq: u64,
    /// The emoji, 1 to 32 bytes.
    #[serde(borrow)]
    pub emoji: Cow<'a, str>,
    /// Given, or taken back.
    #[serde(default = "super::conversation::yes")]
    pub on: bool,
}

impl ReactParams<'_> {
    /// What to do.
    ///
    /// # Errors
    /// `unknown_conversation`, `invalid_params`.
    pub fn action(&self) -> Result<Action, Fault> {
        if self.emoji.is_empty() {
            return Err(Fault::invalid_params("emoji is empty"));
        }
        super::at_most(&self.emoji, MAX_EMOJI_BYTES, "emoji")?;
        let conversation = conversation_id(&self.conversation)?;
        Ok(Action::React { conversation, target: self.seq, emoji: self.emoji.as_ref().into(), on: self.on })
    }
}

/// Result of `message.send`, `.edit`, `.delete`, `.react`: where the event stands. Written by
/// [`hallway_broker::canonical::write_placed`].
#[derive(Debug, Serialize, JsonSchema)]
pub struct Placed {
    /// The conversation's id.
    pub conversation: String,
    /// The event's seq.
    pub seq: u64,
    /// Its time.
    pub ts: Time,
    /// Its id, opaque.
    pub id: String,
}

/// Longest `query` of `message.search`, in bytes.
pub const MAX_QUERY_BYTES: usize = 256;

/// Parameters of `message.search`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SearchParams<'a> {
    /// Up to 8 words, without regard to case and accents; each must begin a word of the message.
    #[serde(borrow)]
    pub query: Cow<'a, str>,
    /// Only in this conversation; in all that one may read when it is not said.
    #[serde(borrow)]
    pub conversation: Option<Cow<'a, str>>,
    /// Where the search goes on: what the last one answered.
    pub before: Option<String>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
}

impl SearchParams<'_> {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn check(&self) -> Result<(), Fault> {
        super::at_most(&self.query, MAX_QUERY_BYTES, "query")
    }
}

/// Result of `message.search`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    /// Newest first, as they are now: canonical events, already encoded. May be empty although there is more.
    #[schemars(with = "Vec<EventShape>")]
    pub messages: Vec<Box<RawValue>>,
    /// Where to go on, opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// There is nothing more.
    pub complete: bool,
}
