//! What the events look like that clients send and get (DESIGN, "Socket.IO shapes").

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::admit::check_draft;
use hallway_broker::command::{Draft, Reuse};
use hallway_broker::ids::{ConversationId, EventIds, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{Event, Message};
use hallway_broker::reject::Reason;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::rpc::Fault;
use crate::types::{Time, conversation_id};

/// An id as clients make them: a string, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a>(pub Cow<'a, str>);

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string or a number")
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Borrowed(text)))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(text.to_owned())))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(number.to_string())))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(number.to_string())))
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(number.to_string())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

/// The argument of `message`: to a person or in a conversation. `timestamp` and `type` are the sender's own affair.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outgoing<'a> {
    /// The text.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// To whom.
    #[serde(borrow)]
    pub receiver_id: Option<Cow<'a, str>>,
    /// Or where.
    #[serde(borrow)]
    pub conversation: Option<Cow<'a, str>>,
    /// The sender's id for it: the same message sent again under it is stored once.
    #[serde(borrow)]
    pub id: Option<Word<'a>>,
    /// URLs of files.
    #[serde(default)]
    pub attachments: Vec<Arc<str>>,
}

impl Outgoing<'_> {
    /// The draft.
    ///
    /// # Errors
    /// `unknown_user`, `unknown_conversation`, `invalid_params`, `text_too_large`, `too_large`.
    pub fn draft(self, me: &Uid, limits: &Limits) -> Result<Draft, Fault> {
        let conversation = place(me, self.receiver_id.as_deref(), self.conversation.as_deref())?;
        let client_id: Arc<str> = self.id.map_or_else(|| "".into(), |id| id.0.as_ref().into());
        let draft = Draft {
            conversation,
            client_id,
            reuse: Reuse::Conflict,
            text: self.message.as_ref().into(),
            reply_to: None,
            mentions: Vec::new(),
            attachments: self.attachments,
        };
        check_draft(&draft, limits)?;
        Ok(draft)
    }
}

/// The conversation meant: the one named, or the direct one with the person named.
///
/// # Errors
/// `unknown_user`, `unknown_conversation`, `invalid_params` when neither is named.
pub fn place(me: &Uid, receiver: Option<&str>, conversation: Option<&str>) -> Result<ConversationId, Fault> {
    match (receiver.filter(|id| !id.is_empty()), conversation) {
        (_, Some(conversation)) => conversation_id(conversation),
        (Some(receiver), None) => {
            let receiver = Uid::parse(receiver).map_err(|_| Reason::UnknownUser)?;
            ConversationId::direct(me, &receiver).ok_or_else(|| Fault::invalid_params("receiverId is the sender"))
        }
        (None, None) => Err(Fault::invalid_params("neither receiverId nor conversation")),
    }
}

/// The argument of `typing`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Typing<'a> {
    /// Where.
    #[serde(borrow)]
    pub conversation: Option<Cow<'a, str>>,
    /// Or to whom.
    #[serde(borrow)]
    pub receiver_id: Option<Cow<'a, str>>,
    /// Typing or not.
    #[serde(default = "yes")]
    pub on: bool,
}

fn yes() -> bool {
    true
}

/// The argument of `join` and `leave`: a conversation's id, or an object with it.
#[derive(Debug)]
pub struct Room<'a> {
    /// Which.
    pub conversation: Cow<'a, str>,
    /// What is above this seq is to come, too.
    pub after: Option<u64>,
}

#[derive(Deserialize)]
struct RoomObject<'a> {
    #[serde(borrow)]
    conversation: Cow<'a, str>,
    after: Option<u64>,
}

impl<'a> Room<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// `invalid_params`.
    pub fn parse(argument: &'a RawValue) -> Result<Self, Fault> {
        let json = argument.get();
        if json.starts_with('{') {
            let RoomObject { conversation, after } = serde_json::from_str(json).map_err(Fault::invalid_params)?;
            return Ok(Self { conversation, after });
        }
        let Word(conversation) = serde_json::from_str(json).map_err(Fault::invalid_params)?;
        Ok(Self { conversation, after: None })
    }
}

/// The argument of `disconnectRequest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DisconnectRequest<'a> {
    /// One of one's own connections.
    #[serde(borrow)]
    pub socket_id: Word<'a>,
}

/// A message on its way to clients.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Incoming<'a> {
    message: &'a str,
    sender_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver_id: Option<&'a str>,
    id: Cow<'a, str>,
    timestamp: Time,
    #[serde(rename = "type")]
    kind: &'static str,
    conversation: &'a str,
    seq: u64,
    name: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attachments: &'a [Arc<str>],
    /// A message that was taken back before it came.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    /// Of a direct message: what `after` is in the next handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pos: Option<u64>,
}

/// Appends a message as its receivers get it.
pub fn write_message(event: &Event, message: &Message, ids: &EventIds, out: &mut Vec<u8>) {
    let (place, entry) = (&event.place, &event.entry);
    let receiver = place.conversation.partner(&entry.from);
    let id = match &*message.client_id {
        "" => Cow::Owned(ids.encode(place.conf, entry.pos)),
        id => Cow::Borrowed(id),
    };
    let incoming = Incoming {
        message: &message.text,
        sender_id: entry.from.as_str(),
        receiver_id: receiver.as_ref().map(Uid::as_str),
        id,
        timestamp: Time(entry.ts_ms),
        kind: "RECEIVED",
        conversation: place.conversation.as_str(),
        seq: place.seq,
        name: &entry.name,
        attachments: &message.attachments,
        deleted: message.deleted.is_some(),
        pos: receiver.is_some().then_some(entry.pos),
    };
    write(&incoming, out);
}

/// Appends a value; what is written here is always JSON.
pub fn write<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    if let Err(error) = serde_json::to_writer(out, value) {
        tracing::error!(%error, "a value that is not JSON");
    }
}

/// The answer to what was done.
#[derive(Debug, Default, Serialize)]
pub struct Done<'a> {
    /// Always.
    pub ok: bool,
    /// Of a message: the sender's id for it, or else the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<&'a str>,
    /// The message's seq, or the last one of a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When it was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refused<'a> {
    ok: bool,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// Appends the answer to what was refused.
pub fn write_refusal(fault: &Fault, out: &mut Vec<u8>) {
    write(&Refused { ok: false, reason: fault.reason, message: &fault.message, retry_after_ms: fault.retry_after_ms }, out);
}

/// The first event on a connection.
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// Who one is.
    pub user: &'a str,
    /// One's display name.
    pub name: &'a str,
    /// Where.
    pub conference: &'a str,
    /// This connection among `connections`.
    pub session: String,
    /// What `after` is of: a string, as JavaScript's numbers would round it.
    pub epoch: String,
    /// Where the conference is: direct messages above it come, and came.
    pub after: u64,
    /// What lets a guest back in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
    /// `after` could not be gone on from: read the history.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resync: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn me() -> Uid {
        Uid::parse("alice").unwrap()
    }

    fn draft(json: &str) -> Result<Draft, &'static str> {
        let outgoing: Outgoing<'_> = serde_json::from_str(json).map_err(|_| "shape")?;
        outgoing.draft(&me(), &Limits::default()).map_err(|fault| fault.reason)
    }

    #[test]
    fn a_message_is_to_a_person_or_in_a_room() {
        let sent = r#"{"message":"hi","receiverId":"bob","id":7,"timestamp":1,"type":"SENT"}"#;
        let found = draft(sent).unwrap();
        assert_eq!((found.conversation.as_str(), &*found.client_id, &*found.text), ("dm~alice~bob", "7", "hi"));
        assert_eq!(draft(r#"{"message":"hi","conversation":"lobby"}"#).unwrap().conversation.as_str(), "lobby");
        let rows = [
            (r#"{"message":"hi","receiverId":"alice"}"#, "invalid_params"),
            (r#"{"message":"hi","receiverId":"Bob"}"#, "unknown_user"),
            (r#"{"message":"hi","conversation":"no room"}"#, "unknown_conversation"),
            (r#"{"message":"hi"}"#, "invalid_params"),
            (r#"{"message":"","receiverId":"bob"}"#, "invalid_params"),
            (r#"{"message":{},"receiverId":"bob"}"#, "shape"),
            (r#"{"message":"hi","receiverId":"bob","id":{}}"#, "shape"),
        ];
        for (json, why) in rows {
            assert_eq!(draft(json).unwrap_err(), why, "{json}");
        }
    }

    #[test]
    fn a_room_is_a_word_or_an_object() {
        let room = |json: &'static str| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            Room::parse(raw).map(|room| (room.conversation.into_owned(), room.after)).map_err(|fault| fault.reason)
        };
        assert_eq!(room("\"lobby\""), Ok(("lobby".into(), None)));
        assert_eq!(room(r#"{"conversation":"lobby","after":3}"#), Ok(("lobby".into(), Some(3))));
        assert_eq!(room("[]"), Err("invalid_params"));
    }

    proptest! {
        #[test]
        fn anything_can_be_an_argument(json in "[{\\[\"a-z:,0-9}\\]\\\\]{0,40}") {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&json) {
                let _ = (Room::parse(raw).is_ok(), serde_json::from_str::<Outgoing<'_>>(raw.get()).is_ok());
                let _ = serde_json::from_str::<Typing<'_>>(raw.get()).is_ok();
            }
        }
    }
}
