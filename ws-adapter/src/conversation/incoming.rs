//! What comes in over a conversation's own WebSocket. Members that are not known are ignored, since clients have their own.

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::admit::check_draft;
use hallway_broker::command::{Draft, Reuse};
use hallway_broker::ids::ConversationId;
use hallway_broker::limits::{Limits, MAX_CLIENT_ID_BYTES};
use hallway_broker::reject::Reject;
use serde::Deserialize;

use crate::rpc::{Fault, check_depth};

/// A frame.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incoming<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    /// The sender's own id: the same message twice is stored once.
    #[serde(borrow, alias = "clientId")]
    id: Option<Cow<'a, str>>,
    reply_to: Option<u64>,
    #[serde(default)]
    mentions: Vec<Arc<str>>,
    #[serde(default)]
    attachments: Vec<Arc<str>>,
    /// One types, or stopped.
    pub typing: Option<bool>,
    /// One has read up to here.
    pub read: Option<u64>,
}

impl<'a> Incoming<'a> {
    /// Reads a frame. One says one thing.
    ///
    /// # Errors
    /// `parse_error`, `invalid_params`.
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        check_depth(text)?;
        let incoming: Self = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Fault::invalid_params(error),
            _ => Fault::parse_error(&error),
        })?;
        let said = usize::from(incoming.message.is_some()) + usize::from(incoming.typing.is_some()) + usize::from(incoming.read.is_some());
        if said != 1 {
            return Err(Fault::invalid_params("a frame has one of message, typing and read"));
        }
        if incoming.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES) {
            return Err(Fault::invalid_params(format_args!("id has 1 to {MAX_CLIENT_ID_BYTES} bytes")));
        }
        Ok(incoming)
    }

    /// The sender's own id, for an answer.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        self.id.as_deref().map(Into::into)
    }

    /// The message as the hub takes it.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn draft(self, conversation: &ConversationId, limits: &Limits) -> Result<Draft, Reject> {
        let Self { message, id, reply_to, mentions, attachments, .. } = self;
        let draft = Draft {
            conversation: conversation.clone(),
            client_id: id.as_deref().unwrap_or_default().into(),
            reuse: if id.is_some() { Reuse::Conflict } else { Reuse::NewMessage },
            text: message.unwrap_or_default().as_ref().into(),
            reply_to,
            mentions,
            attachments,
        };
        check_draft(&draft, limits)?;
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_says_one_thing() {
        let lobby = ConversationId::parse("lobby").unwrap();
        let draft = Incoming::parse(r#"{"message":"hi","replyTo":3,"mine":[1]}"#).unwrap().draft(&lobby, &Limits::default()).unwrap();
        assert_eq!((&*draft.text, &*draft.client_id, draft.reply_to, draft.reuse), ("hi", "", Some(3), Reuse::NewMessage));
        let draft = Incoming::parse(r#"{"message":"see","clientId":"a","attachments":["/x"]}"#).unwrap();
        assert_eq!(draft.draft(&lobby, &Limits::default()).map(|draft| draft.reuse), Ok(Reuse::Conflict));
        assert_eq!(Incoming::parse(r#"{"typing":true}"#).unwrap().typing, Some(true));
        for (bad, reason) in [
            ("hi", "parse_error"),
            ("", "parse_error"),
            ("{", "parse_error"),
            ("{}", "invalid_params"),
            ("[]", "invalid_params"),
            (r#"{"message":{"text":"hi"}}"#, "invalid_params"),
            (r#"{"message":"hi","typing":true}"#, "invalid_params"),
            (r#"{"message":"hi","id":""}"#, "invalid_params"),
            (r#"{"message":"hi","id":7}"#, "invalid_params"),
            (r#"{"read":-1}"#, "invalid_params"),
        ] {
            assert_eq!(Incoming::parse(bad).unwrap_err().reason, reason, "{bad}");
        }
        let deep = format!(r#"{{"message":"hi","x":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
        assert_eq!(Incoming::parse(&deep).unwrap_err().reason, "too_deep");
    }

    proptest! {
        #[test]
        fn anything_can_come(text in "\\PC{0,200}") {
            let _ = Incoming::parse(&text);
        }

        #[test]
        fn any_message_can_be_said(text in "\\PC{0,200}", id in "\\PC{1,20}") {
            let json = serde_json::json!({ "message": text, "id": id }).to_string();
            let draft = Incoming::parse(&json).unwrap().draft(&ConversationId::parse("lobby").unwrap(), &Limits::default());
            if let Ok(draft) = draft {
                prop_assert_eq!((&*draft.text, &*draft.client_id), (&*text, &*id));
            }
        }
    }
}
