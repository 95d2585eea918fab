//! Events as canonical JSON (PROTOCOL.md, "Events").

use std::sync::Arc;

use crate::ids::{ConversationId, EventIds};
use crate::model::{Body, Change, Event, Message, Notice};

use serde_json::value::RawValue;

use super::{Object, write_number, write_string};

/// Appends an event. An inbox entry is a notice, which has a shape of its own.
pub fn write_event(event: &Event, ids: &EventIds, out: &mut Vec<u8>) {
    let id = ids.encode(event.place.conf, event.entry.pos);
    let mut object = Object::begin(out);
    match &event.entry.body {
        Body::Notice(notice) => notice_members(&mut object, event, notice, &id),
        body => {
            common_members(&mut object, event, &id);
            body_members(&mut object, event, body);
        }
    }
    object.end();
}

/// Appends the answer of `message.send`, `.edit`, `.delete` and `.react`: where the event stands.
pub fn write_placed(conversation: &ConversationId, seq: u64, ts_ms: u64, id: &str, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.word("conversation", conversation.as_str());
    object.number("seq", seq);
    object.time("ts", ts_ms);
    object.word("id", id);
    object.end();
}

/// An event as a value inside a result that serde writes.
#[must_use]
pub fn raw_event(event: &Event, ids: &EventIds) -> Option<Box<RawValue>> {
    let mut json = Vec::new();
    write_event(event, ids, &mut json);
    // What `write_event` writes is JSON: the tests hold it to that. `None` would only leave the event out.
    String::from_utf8(json).ok().and_then(|json| RawValue::from_string(json).ok())
}

/// Appends the result of `conversation.history`: `next` is the seq to go on from, `None` when there is nothing more.
pub fn write_history<'e>(events: impl IntoIterator<Item = &'e Event>, next: Option<u64>, epoch: u64, ids: &EventIds, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    write_events(object.member("events"), events, ids);
    object.bool("complete", next.is_none());
    if let Some(seq) = next {
        object.number("next", seq);
    }
    object.epoch(epoch);
    object.end();
}

/// Appends the result of `conversation.subscribe`: `head` is the last seq as of now.
pub fn write_subscribed<'e>(
    conversation: &ConversationId,
    epoch: u64,
    head: u64,
    events: impl IntoIterator<Item = &'e Event>,
    complete: bool,
    ids: &EventIds,
    out: &mut Vec<u8>,
) {
    let mut object = Object::begin(out);
    object.word("conversation", conversation.as_str());
    object.epoch(epoch);
    object.number("seq", head);
    write_events(object.member("events"), events, ids);
    object.bool("complete", complete);
    object.end();
}

fn write_events<'e>(out: &mut Vec<u8>, events: impl IntoIterator<Item = &'e Event>, ids: &EventIds) {
    out.push(b'[');
    for (i, event) in events.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_event(event, ids, out);
    }
    out.push(b']');
}

fn common_members(object: &mut Object<'_>, event: &Event, id: &str) {
    let entry = &event.entry;
    object.word("conversation", event.place.conversation.as_str());
    object.number("seq", event.place.seq);
    object.word("id", id);
    object.word("kind", entry.body.kind());
    object.word("from", entry.from.as_str());
    object.string("name", &entry.name);
    object.time("ts", entry.ts_ms);
    object.word("via", entry.via.word());
}

fn body_members(object: &mut Object<'_>, event: &Event, body: &Body) {
    match body {
        Body::Message(message) => message_members(object, message, event.entry.n),
        Body::Edit { target, text } => {
            object.number("target", *target);
            object.string("text", text);
        }
        Body::Delete { target } => object.number("target", *target),
        Body::React { target, emoji, on } => {
            object.number("target", *target);
            object.string("emoji", emoji);
            object.bool("on", *on);
        }
        Body::Member { user, change } => {
            object.word("user", user.as_str());
            object.word("change", change.word());
            if let Change::Role(role) = change {
                object.word("role", role.word());
            }
        }
        Body::Settings { title } => object.string("title", title),
        Body::Notice(_) => {} // written by `notice_members`
        Body::Publication(publication) | Body::Stored(publication) => object.string("topic", &publication.topic),
    }
}

fn message_members(object: &mut Object<'_>, message: &Message, n: u64) {
    object.string("client_id", &message.client_id);
    object.string("text", &message.text);
    object.number("n", n);
    if let Some(seq) = message.reply_to {
        object.number("reply_to", seq);
    }
    if !message.mentions.is_empty() {
        object.strings("mentions", &message.mentions);
    }
    if !message.attachments.is_empty() {
        object.strings("attachments", &message.attachments);
    }
    if !message.edits.is_empty() {
        object.bool("edited", true);
    }
    if message.deleted.is_some() {
        object.bool("deleted", true);
    }
    if !message.reactions.is_empty() {
        reactions(object.member("reactions"), &message.reactions);
    }
}

fn reactions(out: &mut Vec<u8>, reactions: &[(Arc<str>, u32)]) {
    out.push(b'{');
    for (i, (emoji, people)) in reactions.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(emoji, out);
        out.push(b':');
        write_number((*people).into(), out);
    }
    out.push(b'}');
}

fn notice_members(object: &mut Object<'_>, event: &Event, notice: &Notice, id: &str) {
    object.word("kind", event.entry.body.kind());
    object.number("seq", event.place.seq);
    object.word("id", id);
    object.time("ts", event.entry.ts_ms);
    object.word("reason", notice.word());
    match notice {
        Notice::Invited { conversation } => {
            object.word("conversation", conversation.as_str());
            object.word("from", event.entry.from.as_str());
        }
        Notice::Mention { conversation, target } => {
            object.word("conversation", conversation.as_str());
            object.word("from", event.entry.from.as_str());
            object.number("target", *target);
        }
        Notice::Removed { conversation } => object.word("conversation", conversation.as_str()),
        Notice::Refused { topic, why } => {
            object.string("topic", topic);
            object.word("why", why);
        }
        Notice::Contact { user, state } => {
            object.word("user", user.as_str());
            object.word("state", state.word());
        }
        Notice::Lead { owner } => object.word("owner", owner.as_str()),
    }
}
