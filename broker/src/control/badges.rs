//! Badges, readers, attendees and leads, as the command line asks for them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::{ControlError, ControlReply, PAGE, Secret, find_conference, find_user, invalid, parse_uid, to_the_end};
use crate::attendees::import::{self, Done};
use crate::attendees::{Field, Format, MAX_SHEET_BYTES, Sheet, SheetError};
use crate::badges::{ReaderHealth, leads};
use crate::canonical::time_text;
use crate::command::{Action, Actor};
use crate::hub::Hub;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::model::{Badge, BadgeCode, GivenBadge, Mode, ReaderSettings};
use crate::reader::Named;
use crate::reject::{Reason, Reject};
use crate::session::blocking;

use serde::{Deserialize, Serialize};

/// Most bad rows in one answer.
const MAX_BAD: usize = 10_000;

/// A badge, listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadgeLine {
    /// The code, as it was given.
    pub badge: Secret,
    /// Whose.
    pub uid: String,
    /// Their display name.
    pub name: String,
    /// It opens nothing any more.
    pub revoked: bool,
}

/// A reader, listed; or what one is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderLine {
    /// Its uid.
    pub uid: String,
    /// What its scans do.
    pub mode: String,
    /// The session's channel, or where it announces.
    pub conversation: Option<String>,
    /// How its payloads are read.
    pub format: String,
    /// How many people the session takes; 0 for any number.
    pub capacity: u32,
    /// Whose the leads are.
    pub owner: Option<String>,
    /// What is announced.
    pub text: String,
    /// How it is, in words; nothing when it is to be set.
    #[serde(default)]
    pub health: String,
}

/// What an import did; `bad` is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportLines {
    /// Whose export it was.
    pub format: String,
    /// Rows in all.
    pub rows: usize,
    /// Accounts that were made.
    pub added: usize,
    /// People whose data or badges were brought up to date.
    pub changed: usize,
    /// People of whom all was known.
    pub unchanged: usize,
    /// Rows that were left out.
    pub left_out: usize,
    /// Those, as many as an answer holds.
    pub bad: Vec<crate::attendees::BadRow>,
}

fn parse_code(text: &str) -> Result<BadgeCode, ControlError> {
    BadgeCode::given(text).ok_or_else(no_code)
}

fn no_code() -> ControlError {
    invalid("a badge's code has 1 to 4096 bytes")
}

pub(super) async fn add(hub: &Hub, conference: &str, uid: &str, badge: &Secret) -> Result<ControlReply, ControlError> {
    let (conf, user) = find_user(hub, conference, uid)?;
    let badge = GivenBadge::of(&badge.0).ok_or_else(no_code)?;
    for code in badge.codes() {
        let Some(Badge { user, .. }) = hub.reader().badge(conf, code)?.filter(|badge| !badge.revoked && badge.user != user) else {
            continue;
        };
        let message = format!("the badge is {user}'s: 'hallway badge revoke {conference} CODE' takes it from them");
        return Err(ControlError::of(Reason::Taken, message));
    }
    to_the_end(hub, conf, Action::AssignBadge { badge, user }).await
}

pub(super) async fn revoke(hub: &Hub, conference: &str, badge: &Secret, on: bool) -> Result<ControlReply, ControlError> {
    let conf = find_conference(hub, conference)?.no;
    let codes = hub.reader().codes_of_badge(conf, &badge.0)?;
    if codes.is_empty() {
        return Err(no_code());
    }
    match to_the_end(hub, conf, Action::RevokeBadge { codes, on }).await {
        Err(error) if error.reason == Reason::UnknownBadge.word() => {
            let message = format!("nobody has this badge: 'hallway badge list {conference}' shows them");
            Err(ControlError::of(Reason::UnknownBadge, message))
        }
        done => done,
    }
}

pub(super) fn list(hub: &Hub, conference: &str, uid: Option<&str>, after: Option<&Secret>) -> Result<ControlReply, ControlError> {
    let reader = hub.reader();
    let (conf, found, complete) = match uid {
        Some(uid) => {
            let (conf, uid) = find_user(hub, conference, uid)?;
            (conf, reader.badges_of(conf, &uid)?, true)
        }
        None => {
            let conf = find_conference(hub, conference)?.no;
            let after = after.map(|after| parse_code(&after.0)).transpose()?;
            let (found, complete) = reader.badges(conf, after.as_ref(), PAGE)?;
            (conf, found, complete)
        }
    };
    let mut badges = Vec::with_capacity(found.len());
    for (_, Badge { user, shown, revoked, .. }) in found {
        let name = reader.user(conf, &user)?.map_or_else(String::new, |user| user.name.to_string());
        badges.push(BadgeLine { badge: Secret(shown.to_string()), uid: user.to_string(), name, revoked });
    }
    Ok(ControlReply::Badges { badges, complete })
}

pub(super) async fn set_reader(hub: &Hub, conference: &str, wanted: ReaderLine) -> Result<ControlReply, ControlError> {
    let (conf, reader) = find_user(hub, conference, &wanted.uid).map_err(|error| no_device(error, conference, &wanted.uid))?;
    let mode = Mode::from_word(&wanted.mode).ok_or_else(|| invalid("a mode is checkin, session, meet, lead or announce"))?;
    let conversation = wanted.conversation.as_deref().map(|id| find_conversation(hub, conf, conference, id)).transpose()?;
    if conversation.is_none() && matches!(mode, Mode::Session | Mode::Announce) {
        return Err(invalid(format!("with --mode {} say which conversation, as --conversation hall-1", mode.word())));
    }
    if wanted.capacity > 0 && mode != Mode::Session {
        return Err(invalid(format!("--capacity is of a session, with --mode session: --mode {} lets in whoever comes", mode.word())));
    }
    let owner = wanted.owner.as_deref().map(|owner| find_user(hub, conference, owner)).transpose()?.map(|(_, owner)| owner);
    let format = if wanted.format.is_empty() { "auto" } else { wanted.format.as_str() };
    if let Some(formats) = hub.badge_formats().filter(|formats| formats.check(format).is_err()) {
        return Err(invalid(no_format(format, &formats.names())));
    }
    let settings =
        ReaderSettings { mode, conversation, format: format.into(), capacity: wanted.capacity, owner, text: wanted.text.as_str().into() };
    to_the_end(hub, conf, Action::SetReader { reader, settings: Some(Box::new(settings)) }).await
}

fn no_format(format: &str, names: &[&str]) -> String {
    if format.starts_with('{') {
        let hint = r#"it is JSON of at most 1,024 bytes that says with JSON pointers where things are, as {"code": "/uid", "at": "/time"}"#;
        return format!("'{format}' is no template: {hint}; 'code' must be in it");
    }
    format!(r#"there is no format '{format}': take one of {}, or a template, as '{{"code": "/uid"}}'"#, names.join(", "))
}

fn no_device(error: ControlError, conference: &str, uid: &str) -> ControlError {
    if error.reason != Reason::UnknownUser.word() {
        return error;
    }
    ControlError::of(Reason::UnknownUser, format!("{}; 'hallway user add {conference}/{uid} --role device' makes a reader", error.message))
}

fn find_conversation(hub: &Hub, conf: ConfNo, conference: &str, id: &str) -> Result<ConversationId, ControlError> {
    let id = ConversationId::parse(id).map_err(|error| invalid(format!("'{id}' is {error}")))?;
    match hub.reader().conversation(conf, &id)? {
        Some(_) => Ok(id),
        None => {
            let message = format!("there is no conversation '{id}' in '{conference}': 'hallway channel add {conference}/{id}' makes it");
            Err(ControlError::of(Reason::UnknownConversation, message))
        }
    }
}

pub(super) async fn remove_reader(hub: &Hub, conference: &str, uid: &str) -> Result<ControlReply, ControlError> {
    let (conf, reader) = (find_conference(hub, conference)?.no, parse_uid(uid)?);
    if hub.reader().reader_settings(conf, &reader)?.is_none() {
        let message = format!("'{uid}' is no reader: 'hallway reader list {conference}' shows them");
        return Err(ControlError::of(Reason::UnknownReader, message));
    }
    to_the_end(hub, conf, Action::SetReader { reader, settings: None }).await
}

pub(super) fn list_readers(hub: &Hub, conference: &str, after: Option<&str>) -> Result<ControlReply, ControlError> {
    let conf = find_conference(hub, conference)?.no;
    let after = after.map(parse_uid).transpose()?;
    let (found, complete) = hub.reader().readers(conf, after.as_ref(), PAGE)?;
    let line = |Named { uid, record, .. }: Named<ReaderSettings>| {
        let health = in_words(&hub.reader_health(conf, &uid));
        ReaderLine {
            uid: uid.to_string(),
            mode: record.mode.word().to_owned(),
            conversation: record.conversation.map(|id| id.to_string()),
            format: record.format.to_string(),
            capacity: record.capacity,
            owner: record.owner.map(|owner| owner.to_string()),
            text: record.text.to_string(),
            health,
        }
    };
    Ok(ControlReply::Readers { readers: found.into_iter().map(line).collect(), complete })
}

fn in_words(health: &ReaderHealth) -> String {
    let mut words = if health.online { "online" } else { "offline" }.to_owned();
    if let Some(since_ms) = health.since_ms {
        words = format!("{words} since {}", time_text(since_ms));
    }
    if let Some(scan_ms) = health.last_scan_ms {
        words = format!("{words}, last scan {}", time_text(scan_ms));
    }
    if !health.detail.is_empty() {
        words = format!("{words}, {}", health.detail);
    }
    words
}

/// An import as it is asked for.
pub(super) struct Import<'a> {
    pub conference: &'a str,
    pub file: &'a Path,
    pub format: &'a str,
    pub map: &'a [(String, String)],
    pub is_dry_run: bool,
}

pub(super) async fn import(hub: &Arc<Hub>, import: Import<'_>) -> Result<ControlReply, ControlError> {
    let conf = find_conference(hub, import.conference)?.no;
    let format = match import.format {
        "auto" => None,
        word => Some(Format::from_word(word).ok_or_else(|| invalid("a format is auto, pretix, eventbrite or generic"))?),
    };
    let field = |word: &str| {
        let known = || Field::ALL.map(Field::word).join(", ");
        Field::from_word(word).ok_or_else(|| invalid(format!("there is no field '{word}'; the fields are: {}", known())))
    };
    let map = import.map.iter().map(|(word, column)| Ok((field(word)?, column.clone()))).collect::<Result<Vec<_>, ControlError>>()?;
    let file = import.file.to_owned();
    let sheet = blocking(move || Ok(read(&file).and_then(|bytes| Sheet::read(&bytes, format, &map).map_err(|error| no_sheet(&error)))));
    let sheet = sheet.await.map_err(ControlError::from)??;
    let done = import::import(hub, conf, &Actor::system(), sheet, import.is_dry_run).await?;
    Ok(ControlReply::Imported { import: lines(done) })
}

fn read(file: &Path) -> Result<Vec<u8>, ControlError> {
    let failed = |error: std::io::Error| invalid(format!("cannot read {}: {error} (a server that runs reads it itself)", file.display()));
    let mut bytes = Vec::new();
    let most = MAX_SHEET_BYTES as u64 + 1; // one more than is taken, so that it is told
    File::open(file).map_err(failed)?.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn no_sheet(error: &SheetError) -> ControlError {
    invalid(match error {
        SheetError::NotRecognised { field, known } => {
            format!("no column for {field} is recognised: say which with --map {field}=COLUMN; the columns are: {known}")
        }
        error => error.to_string(),
    })
}

fn lines(done: Done) -> ImportLines {
    let Done { format, rows, added, changed, unchanged, mut bad } = done;
    let left_out = bad.len();
    bad.truncate(MAX_BAD);
    ImportLines { format: format.word().to_owned(), rows, added, changed, unchanged, left_out, bad }
}

pub(super) async fn export_leads(hub: &Hub, conference: &str, owner: &str, after: Option<&str>) -> Result<ControlReply, ControlError> {
    let (conf, owner) = find_user(hub, conference, owner)?;
    let after: Option<Uid> = after.map(parse_uid).transpose()?;
    let reader = hub.reader().clone();
    let part = blocking(move || leads::table(&reader, conf, &owner, after.as_ref()).map_err(Reject::from)).await?;
    Ok(ControlReply::Table { csv: part.csv, next: part.last.filter(|_| !part.complete).map(|uid| uid.to_string()) })
}
