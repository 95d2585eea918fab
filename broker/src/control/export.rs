//! `hallway export`: all of a conference as JSON lines, for people and other programs. Passwords and tokens are left out; private
//! conversations are in it, so the file is readable by its owner only.
//!
//! The first line is the conference, then its users, then each conversation followed by its events in order.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{ControlError, ControlReply, PAGE};
use crate::accounts::conference_id;
use crate::hub::Hub;
use crate::ids::{ConfNo, ConversationId, EventIds};
use crate::keys;
use crate::model::{Body, Change, Event, Message, Notice};
use crate::reader::{Reader, Toward};
use crate::state::{Direction, StateError};
use crate::view::{Found, decode};

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("cannot write the file: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StateError),
    #[error("the conference is gone")]
    Gone,
}

/// Writes a conference to a file, which appears when it is whole.
///
/// # Errors
/// `export_failed`, with why. What was there under the name stays.
pub fn write(hub: &Hub, conf: ConfNo, file: &Path) -> Result<ControlReply, ControlError> {
    let partial = file.with_added_extension("partial");
    let written = write_all(hub.reader(), conf, &partial).and_then(|events| Ok((events, fs::rename(&partial, file)?)));
    match written {
        Ok((events, ())) => {
            let bytes = fs::metadata(file).map_or(0, |file| file.len());
            Ok(ControlReply::Written { bytes, what: format!("{events} events") })
        }
        Err(error) => {
            let _ = fs::remove_file(&partial);
            Err(ControlError::new("export_failed", format!("{}: {error}", file.display())))
        }
    }
}

fn write_all(reader: &Reader, conf: ConfNo, file: &Path) -> Result<u64, ExportError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    let mut out = BufWriter::new(file);
    write_conference(reader, conf, &mut out)?;
    write_users(reader, conf, &mut out)?;
    let events = write_conversations(reader, conf, &mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(events)
}

fn write_line(out: &mut BufWriter<File>, line: &Value) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn write_conference(reader: &Reader, conf: ConfNo, out: &mut BufWriter<File>) -> Result<(), ExportError> {
    let id = conference_id(reader, conf)?.ok_or(ExportError::Gone)?;
    let record = reader.conference(id.as_str())?.ok_or(ExportError::Gone)?;
    let line = json!({"conference": id, "title": record.title, "sign_in": record.sign_in, "epoch": record.epoch});
    Ok(write_line(out, &line)?)
}

fn write_users(reader: &Reader, conf: ConfNo, out: &mut BufWriter<File>) -> Result<(), ExportError> {
    let mut after = None;
    loop {
        let (page, complete) = reader.people(conf, after.as_ref(), PAGE)?;
        for person in &page {
            let user = &person.user;
            write_line(out, &json!({"user": person.uid, "name": user.name, "role": user.role.word(), "about": user.about}))?;
        }
        after = page.into_iter().last().map(|person| person.uid);
        if complete || after.is_none() {
            return Ok(());
        }
    }
}

fn write_conversations(reader: &Reader, conf: ConfNo, out: &mut BufWriter<File>) -> Result<u64, ExportError> {
    let (mut from, mut events) = (keys::conversations(conf), 0);
    while let Some(found) = conversation_from(reader, conf, &from)? {
        let record = &found.record;
        let line = json!({"conversation": found.id, "kind": record.kind.word(), "title": record.title, "members": record.members});
        write_line(out, &line)?;
        events += write_events(reader, &found, out)?;
        from = keys::conversation(conf, &found.id);
        from.push(0);
    }
    Ok(events)
}

/// The first conversation from a key on.
fn conversation_from(reader: &Reader, conf: ConfNo, from: &[u8]) -> Result<Option<Found>, StateError> {
    let prefix = keys::conversations(conf);
    let mut found = None;
    reader.state().scan(from, &keys::end_of(&prefix), Direction::Ascending, &mut |key, record| {
        found = Some((key[prefix.len()..].to_vec(), record.to_vec()));
        ControlFlow::Break(())
    })?;
    let Some((id, record)) = found else { return Ok(None) };
    // Keys are made of ids; inboxes, too, which no text parses to, but a record does.
    let id = serde_json::from_value::<ConversationId>(json!(String::from_utf8_lossy(&id)));
    let id = id.map_err(|error| StateError::Io(format!("a conversation's key: {error}")))?;
    Ok(Some(Found { conf, id, record: decode(&record)? }))
}

fn write_events(reader: &Reader, found: &Found, out: &mut BufWriter<File>) -> Result<u64, ExportError> {
    let (ids, mut last, mut events) = (reader.ids(), 0, 0);
    loop {
        let page = reader.page(found, Toward::Newer(last), PAGE, &[])?;
        for event in &page.events {
            write_line(out, &line(event, &ids))?;
            last = event.place.seq;
            events += 1;
        }
        if page.complete || page.events.is_empty() {
            return Ok(events);
        }
    }
}

fn line(event: &Event, ids: &EventIds) -> Value {
    let entry = &event.entry;
    let mut line = json!({
        "conversation": event.place.conversation, "seq": event.place.seq, "id": ids.encode(event.place.conf, entry.pos), "kind": entry.body.kind(),
        "from": entry.from, "name": entry.name, "ts_ms": entry.ts_ms, "via": entry.via.word(),
    });
    if let (Some(line), Value::Object(body)) = (line.as_object_mut(), body(&entry.body)) {
        line.extend(body);
    }
    line
}

fn body(body: &Body) -> Value {
    match body {
        Body::Message(message) => self::message(message),
        Body::Edit { target, text } => json!({"target": target, "text": text}),
        Body::Delete { target } => json!({"target": target}),
        Body::React { target, emoji, on } => json!({"target": target, "emoji": emoji, "on": on}),
        Body::Member { user, change } => match change {
            Change::Role(role) => json!({"user": user, "change": change.word(), "role": role.word()}),
            _ => json!({"user": user, "change": change.word()}),
        },
        Body::Settings { title } => json!({"title": title}),
        Body::Notice(notice) => match notice {
            Notice::Mention { conversation, target } => json!({"reason": notice.word(), "about": conversation, "target": target}),
            Notice::Invited { conversation } | Notice::Removed { conversation } => json!({"reason": notice.word(), "about": conversation}),
        },
    }
}

fn message(message: &Message) -> Value {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("client_id", json!(message.client_id));
    put("text", json!(message.text));
    if let Some(reply_to) = message.reply_to {
        put("reply_to", json!(reply_to));
    }
    if !message.mentions.is_empty() {
        put("mentions", json!(message.mentions));
    }
    if !message.attachments.is_empty() {
        put("attachments", json!(message.attachments));
    }
    if !message.edits.is_empty() {
        put("edited", json!(true));
    }
    if message.deleted.is_some() {
        put("deleted", json!(true));
    }
    if !message.reactions.is_empty() {
        put("reactions", message.reactions.iter().map(|(emoji, count)| (emoji.to_string(), json!(count))).collect());
    }
    Value::Object(fields)
}
