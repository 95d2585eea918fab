//! `hallway export`: all of a conference as JSON lines, for people and other programs. Passwords and tokens are left out; private conversations are
//! in it, so the file is readable by its owner only. One object per line, in this order; fields that say nothing are left out:
//!
//! | line | fields |
//! | --- | --- |
//! | the conference | `conference`, `title`, `sign_in`, `epoch` |
//! | each user | `user`, `name`, `role`, `about` |
//! | – whom they block | `user`, `blocks` |
//! | – what they keep | `user`, `node`, `item`, `ts_ms`, `payload` |
//! | – their files | `user`, `file` (where its bytes are, below `files/`), `name`, `type`, `bytes`, `ts_ms`, `messages` (how many have it) |
//! | – their badges | `user`, `badge`, `revoked`, `since_ms` |
//! | – their ticket | `user`, `ticket`, `external`, `email`, `company`, `job` |
//! | – when they arrived | `user`, `checked_in_ms`, `by` |
//! | – whom they know | `user`, `contact`, `state`, `since_ms` |
//! | – whose contacts they have | `user`, `lead`, `since_ms`, `last_ms`, `scans`, `rating`, `note`, `tags` |
//! | – what they scan for | `user`, `reader` (the mode), `conversation`, `format`, `capacity`, `owner`, `text` |
//! | each conversation | `conversation`, `kind`, `title`, `members` (how many) |
//! | – its members | `conversation`, `member`, `role` |
//! | – who was there | `conversation`, `attended` (who), `enters`, `inside_since_ms`, `total_ms`, `first_ms`, `last_ms` |
//! | – its events | `conversation`, `seq`, `id`, `kind`, `from`, `name`, `ts_ms`, `via` and, by kind: |
//! | | message: `client_id`, `text`, `reply_to`, `mentions`, `attachments`, `edited`, `deleted`, `reactions` (emoji → count) |
//! | | edit: `target`, `text`; delete: `target`; react: `target`, `emoji`, `on`; member: `user`, `change`, `role`; settings: `title` |
//! | | notice (in inboxes): `reason`, `about`, `target` |
//!
//! Texts are as they are now: a deleted message has none. The conference goes on meanwhile: what happens during an export may be in it or not.

mod badges;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use super::BackupError;
use super::place::{self, sync_dir};
use crate::accounts::invites::listed_as;
use crate::ids::{ConfNo, ConversationId, EventIds, Uid};
use crate::keys;
use crate::model::{Body, Change, Conference, Event, Message, Notice};
use crate::reader::{Membership, Reader, Toward};
use crate::state::{Direction, StateError};
use crate::view::{Found, decode};

/// Users, members or events that are read at once.
const PAGE: usize = 500;

/// What an export came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// The file.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Users in it.
    pub users: u64,
    /// Conversations in it.
    pub conversations: u64,
    /// Events in it.
    pub events: u64,
}

impl std::fmt::Display for ExportReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, users, conversations, events, .. } = self;
        write!(f, "{}: {users} users, {conversations} conversations, {events} events", file.display())
    }
}

/// Writes a conference to a file, which appears when it is whole.
///
/// # Errors
/// [`BackupError`]; no file is left then.
pub fn export(reader: &Reader, conference: &str, file: &Path) -> Result<ExportReport, BackupError> {
    let record = reader.conference(conference)?.ok_or_else(|| BackupError::UnknownConference(conference.to_owned()))?;
    if fs::symlink_metadata(file).is_ok() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let partial = place::partial(file);
    let written = Lines::create(reader, record.no, &partial).and_then(|lines| lines.write(conference, &record));
    let named = written.and_then(|report| {
        fs::rename(&partial, file).map_err(BackupError::io(file))?;
        sync_dir(file.parent().unwrap_or(Path::new("")))?;
        Ok(ExportReport { file: file.to_owned(), ..report })
    });
    if named.is_err() {
        drop(fs::remove_file(&partial));
    }
    named
}

/// A file under way.
struct Lines<'a> {
    reader: &'a Reader,
    ids: EventIds,
    conf: ConfNo,
    path: &'a Path,
    out: BufWriter<File>,
    report: ExportReport,
}

impl<'a> Lines<'a> {
    fn create(reader: &'a Reader, conf: ConfNo, path: &'a Path) -> Result<Self, BackupError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(BackupError::io(path)(error)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(BackupError::io(path))?;
        Ok(Self { reader, ids: reader.ids(), conf, path, out: BufWriter::new(file), report: ExportReport::default() })
    }

    fn write(mut self, id: &str, record: &Conference) -> Result<ExportReport, BackupError> {
        self.line(&json!({"conference": id, "title": record.title, "sign_in": record.sign_in, "epoch": record.epoch}))?;
        self.users()?;
        self.sign_ins()?;
        let (prefix, mut after) = (keys::conversations(self.conf), None);
        while let Some(found) = self.next_conversation(&prefix, after.as_deref())? {
            self.conversation(&found)?;
            after = Some(keys::conversation(self.conf, &found.id));
        }
        let file = self.out.into_inner().map_err(|error| BackupError::io(self.path)(error.into_error()))?;
        file.sync_all().map_err(BackupError::io(self.path))?;
        let bytes = file.metadata().map_err(BackupError::io(self.path))?.len();
        Ok(ExportReport { bytes, ..self.report })
    }

    fn line(&mut self, line: &Value) -> Result<(), BackupError> {
        let written = serde_json::to_writer(&mut self.out, line).map_err(io::Error::from).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(BackupError::io(self.path))
    }

    fn users(&mut self) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let (page, complete) = self.reader.people(self.conf, after.as_ref(), PAGE, |_| true)?;
            for person in &page {
                let user = &person.user;
                self.line(&json!({"user": person.uid, "name": user.name, "role": user.role.word(), "about": user.about}))?;
                self.blocked(&person.uid)?;
                self.items(&person.uid)?;
                self.files(&person.uid)?;
                self.scanned(&person.uid)?;
            }
            self.report.users += page.len() as u64;
            after = page.into_iter().next_back().map(|person| person.uid);
            if complete || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Invitations, and who people are at their identity providers: both as hashes, which is what is known of them.
    fn sign_ins(&mut self) -> Result<(), BackupError> {
        for (code, invite) in self.reader.invites(self.conf)? {
            let (id, role) = (listed_as(&code), invite.role.word());
            self.line(&json!({"invite": id, "role": role, "used": invite.used, "uses": invite.uses, "expires_ms": invite.expires_ms}))?;
        }
        let mut after = None;
        while let Some((subject, known)) = self.reader.next_subject(self.conf, after.as_ref())? {
            self.line(&json!({"user": known.uid, "subject_sha256": HEXLOWER.encode(&subject)}))?;
            after = Some(subject);
        }
        Ok(())
    }

    fn blocked(&mut self, of: &Uid) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let (page, complete) = self.reader.blocked(self.conf, of, after.as_ref(), PAGE)?;
            for blocked in &page {
                self.line(&json!({"user": of, "blocks": blocked}))?;
            }
            after = page.into_iter().next_back();
            if complete || after.is_none() {
                return Ok(());
            }
        }
    }

    fn items(&mut self, of: &Uid) -> Result<(), BackupError> {
        for (node, _) in self.reader.item_nodes(self.conf, of)? {
            for id in self.reader.item_ids(self.conf, of, &node, usize::MAX)? {
                if let Some(item) = self.reader.item(self.conf, of, &node, &id)? {
                    self.line(&json!({"user": of, "node": node, "item": id, "ts_ms": item.at_ms, "payload": item.payload}))?;
                }
            }
        }
        Ok(())
    }

    fn files(&mut self, of: &Uid) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let page = self.reader.files_of(self.conf, of, after, PAGE)?;
            for (id, file) in &page {
                let (place, media) = (crate::files::place(self.conf, *id), file.media.word());
                self.line(&json!({"user": of, "file": place, "name": file.name, "type": media, "bytes": file.bytes, "ts_ms": file.at_ms, "messages": file.uses}))?;
            }
            after = page.last().map(|(id, _)| *id);
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    fn next_conversation(&self, prefix: &[u8], after: Option<&[u8]>) -> Result<Option<Found>, StateError> {
        let from = after.map_or(prefix.to_vec(), |after| [after, &[0]].concat());
        let mut found = None;
        self.reader.state().scan(&from, &keys::end_of(prefix), Direction::Ascending, &mut |key, value| {
            found = Some((String::from_utf8_lossy(&key[prefix.len()..]).into_owned(), value.to_vec()));
            ControlFlow::Break(())
        })?;
        let found = found.map(|(id, value)| Ok(Found { conf: self.conf, id: ConversationId::stored(&id), record: decode(&value)? }));
        found.transpose()
    }

    fn conversation(&mut self, found: &Found) -> Result<(), BackupError> {
        let record = &found.record;
        self.line(&json!({"conversation": found.id, "kind": record.kind.word(), "title": record.title, "members": record.members}))?;
        self.report.conversations += 1;
        self.members(found)?;
        self.attendances(found)?;
        self.events(found)
    }

    fn members(&mut self, found: &Found) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let (page, complete) = self.reader.members(found, after.as_ref(), PAGE)?;
            for Membership { uid, role, .. } in &page {
                self.line(&json!({"conversation": found.id, "member": uid, "role": role.word()}))?;
            }
            after = page.into_iter().next_back().map(|member| member.uid);
            if complete || after.is_none() {
                return Ok(());
            }
        }
    }

    fn events(&mut self, found: &Found) -> Result<(), BackupError> {
        let mut last = 0;
        loop {
            let page = self.reader.page(found, Toward::Newer(last), PAGE, &[])?;
            for event in &page.events {
                self.line(&event_line(event, &self.ids))?;
                last = event.place.seq;
            }
            self.report.events += page.events.len() as u64;
            if page.complete || page.events.is_empty() {
                return Ok(());
            }
        }
    }
}

fn event_line(event: &Event, ids: &EventIds) -> Value {
    let (place, entry) = (&event.place, &event.entry);
    let mut line = json!({
        "conversation": place.conversation, "seq": place.seq, "id": ids.encode(place.conf, entry.pos), "kind": entry.body.kind(),
        "from": entry.from, "name": entry.name, "ts_ms": entry.ts_ms, "via": entry.via.word(),
    });
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), body_fields(&entry.body)) {
        line.extend(fields);
    }
    line
}

fn body_fields(body: &Body) -> Value {
    match body {
        Body::Message(message) => message_fields(message),
        Body::Edit { target, text } => json!({"target": target, "text": text}),
        Body::Delete { target } => json!({"target": target}),
        Body::React { target, emoji, on } => json!({"target": target, "emoji": emoji, "on": on}),
        Body::Member { user, change: Change::Role(role) } => json!({"user": user, "change": "role", "role": role.word()}),
        Body::Member { user, change } => json!({"user": user, "change": change.word()}),
        Body::Settings { title } => json!({"title": title}),
        Body::Publication(publication) | Body::Stored(publication) => json!({"topic": publication.topic}),
        Body::Notice(notice) => match notice {
            Notice::Mention { conversation, target } => json!({"reason": notice.word(), "about": conversation, "target": target}),
            Notice::Refused { topic, why } => json!({"reason": notice.word(), "topic": topic, "why": why}),
            Notice::Contact { user, state } => json!({"reason": notice.word(), "user": user, "state": state.word()}),
            Notice::Lead { owner } => json!({"reason": notice.word(), "owner": owner}),
            Notice::Invited { conversation } | Notice::Removed { conversation } => json!({"reason": notice.word(), "about": conversation}),
        },
    }
}

fn message_fields(message: &Message) -> Value {
    let all = [
        ("client_id", json!(message.client_id)),
        ("text", json!(message.text)),
        ("reply_to", json!(message.reply_to)),
        ("mentions", json!(message.mentions)),
        ("attachments", json!(message.attachments)),
        ("edited", json!((!message.edits.is_empty()).then_some(true))),
        ("deleted", json!(message.deleted.map(|_| true))),
        ("reactions", message.reactions.iter().map(|(emoji, count)| (emoji.to_string(), json!(count))).collect::<Map<_, _>>().into()),
    ];
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    all.into_iter().filter(|(_, value)| !says_nothing(value)).map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
}
