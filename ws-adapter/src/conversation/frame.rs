//! What comes out of a conversation's own WebSocket, and stands for a last message in REST: flat, with the text as `message`, as the clients
//! expect it that this endpoint is for.

use hallway_broker::frame::write_text_with;
use hallway_broker::ids::EventIds;
use hallway_broker::model::{Body, Change, Event, Signal};
use serde::Serialize;
use std::sync::Arc;

use crate::rpc::Fault;
use crate::types::Time;

fn is_false(value: &bool) -> bool {
    !value
}

/// An event of the conversation.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame<'a> {
    id: String,
    conversation: &'a str,
    seq: u64,
    /// The text; of an edit the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    sender_id: &'a str,
    sender: &'a str,
    #[serde(serialize_with = "time")]
    timestamp: u64,
    r#type: &'static str,
    /// The sender's own id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<u64>,
    #[serde(skip_serializing_if = "is_empty")]
    mentions: &'a [Arc<str>],
    #[serde(skip_serializing_if = "is_empty")]
    attachments: &'a [Arc<str>],
    #[serde(skip_serializing_if = "is_false")]
    edited: bool,
    #[serde(skip_serializing_if = "is_false")]
    deleted: bool,
    /// The seq of the message that is edited, deleted or reacted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
    /// Whose standing changed, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

fn is_empty(list: &[Arc<str>]) -> bool {
    list.is_empty()
}

fn time<S: serde::Serializer>(unix_ms: &u64, to: S) -> Result<S::Ok, S::Error> {
    Time(*unix_ms).serialize(to)
}

impl<'a> Frame<'a> {
    /// The frame of an event.
    #[must_use]
    pub fn of(event: &'a Event, ids: &EventIds) -> Self {
        let entry = &event.entry;
        let frame = Self {
            id: ids.encode(event.place.conf, entry.pos),
            conversation: event.place.conversation.as_str(),
            seq: event.place.seq,
            sender_id: entry.from.as_str(),
            sender: &entry.name,
            timestamp: entry.ts_ms,
            r#type: entry.body.kind(),
            ..Self::default()
        };
        match &entry.body {
            Body::Message(message) => Self {
                message: Some(&message.text),
                client_id: Some(&*message.client_id).filter(|id| !id.is_empty()),
                reply_to: message.reply_to,
                mentions: &message.mentions,
                attachments: &message.attachments,
                edited: !message.edits.is_empty(),
                deleted: message.deleted.is_some(),
                ..frame
            },
            Body::Edit { target, text } => Self { target: Some(*target), message: Some(text), ..frame },
            Body::Delete { target } => Self { target: Some(*target), ..frame },
            Body::React { target, emoji, on } => Self { target: Some(*target), emoji: Some(emoji), on: Some(*on), ..frame },
            Body::Member { user, change } => {
                let role = if let Change::Role(role) = change { Some(role.word()) } else { None };
                Self { user: Some(user.as_str()), change: Some(change.word()), role, ..frame }
            }
            Body::Settings { title } => Self { title: Some(title), ..frame },
            Body::Notice(_) | Body::Publication(_) | Body::Stored(_) => frame,
        }
    }
}

/// What is told of a conversation and not stored.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
}

impl<'a> Notice<'a> {
    fn new(kind: &'static str) -> Self {
        Self {
            r#type: kind,
            client_id: None,
            id: None,
            conversation: None,
            seq: None,
            timestamp: None,
            reason: None,
            detail: None,
            retry_after_ms: None,
            sender_id: None,
            sender: None,
            on: None,
        }
    }

    /// A message was refused. Its `message` is not so called, since clients show what is.
    #[must_use]
    pub fn error(client_id: Option<&'a str>, fault: &'a Fault) -> Self {
        let (reason, detail) = (Some(fault.reason), Some(&*fault.message));
        Self { client_id, reason, detail, retry_after_ms: fault.retry_after_ms, ..Self::new("error") }
    }

    /// A message with this client id was sent before, and stands there.
    #[must_use]
    pub fn sent(client_id: Option<&'a str>, id: &'a str, conversation: &'a str, seq: u64, ts_ms: u64) -> Self {
        let (id, conversation, seq) = (Some(id), Some(conversation), Some(seq));
        Self { client_id, id, conversation, seq, timestamp: Some(Time(ts_ms)), ..Self::new("sent") }
    }

    /// A signal, when it is one that is told here.
    #[must_use]
    pub fn of(signal: &'a Signal) -> Option<Self> {
        let Signal::Typing { conversation, from, name, on } = signal else { return None };
        let (sender_id, sender) = (Some(from.as_str()), Some(&**name));
        Some(Self { conversation: Some(conversation.as_str()), sender_id, sender, on: Some(*on), ..Self::new("typing") })
    }
}

/// Appends one as a WebSocket frame.
pub fn write_frame<T: Serialize>(frame: &T, into: &mut Vec<u8>) {
    write_text_with(into, |into| {
        if let Err(error) = serde_json::to_writer(into, frame) {
            tracing::error!(%error, "a frame that is not JSON");
        }
    });
}
