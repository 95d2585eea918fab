//! What the command line can ask of a store, running or not: one closed request type, carried out by [`handle`]. A running server
//! takes requests over its control socket ([`socket`]); without one, the command line opens the store and calls [`handle`] itself.

mod badges;
mod invites;
mod push;
pub mod socket;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task;

pub use badges::{BadgeLine, ImportLines, ReaderLine};

use crate::accounts::{self, names, scram::Password};
use crate::backup::{self, BackupError};
use crate::clock;
use crate::command::{Action, Actor};
use crate::hub::Hub;
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::limits::{MAX_NAME_BYTES, MAX_TITLE_BYTES};
use crate::model::{Conference, Kind, SignIn, UserRole};
use crate::reader::Person;
use crate::reject::{Reason, Reject};

pub use push::LetterLine;

/// Most users or conferences in one answer.
const PAGE: usize = 500;

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A request. Ids come as text and are parsed by [`handle`], since the socket is a border like any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say what they hold")]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlRequest {
    /// Make an account.
    UserAdd { conference: String, uid: String, password: Secret, name: Option<String>, role: String },
    /// List accounts, in the order of their uids, from the one after `after` on.
    UserList { conference: String, after: Option<String> },
    /// Erase an account and what it said.
    UserRemove { conference: String, uid: String },
    /// Change a password; tokens and sessions end.
    UserPassword { conference: String, uid: String, password: Secret },
    /// Make a bearer token.
    Token { conference: String, uid: String },
    /// Make an invitation; 0 uses are any number.
    InviteAdd { conference: String, uses: u32, days: u32, role: String },
    /// List the invitations.
    InviteList { conference: String },
    /// Take an invitation back: its code, or what it is listed by.
    InviteRemove { conference: String, invite: Secret },
    /// Make a conference.
    ConferenceAdd { conference: String, title: Option<String>, sign_in: SignIn },
    /// List the conferences.
    ConferenceList,
    /// Forget a conference.
    ConferenceRemove { conference: String },
    /// Make a channel or announcements.
    ChannelAdd { conference: String, conversation: String, title: Option<String>, kind: String },
    /// Write a backup to a file of the server's machine: an absolute path, or a bare name in the data directory's `backups`.
    Backup { file: PathBuf },
    /// Write all of a conference as JSON lines to a file of the server's machine; the path is absolute.
    Export { conference: String, file: PathBuf },
    /// Say what runs.
    Status,
    /// List pushes that were given up, newest first, from the one before `before` on.
    PushDead { conference: String, before: Option<u64> },
    /// Try pushes that were given up once more, all when none are named.
    PushReplay { conference: String, letters: Vec<u64> },
    /// Give somebody a badge.
    BadgeAdd { conference: String, uid: String, badge: Secret },
    /// List badges, of one user or of all from the one after `after` on.
    BadgeList { conference: String, uid: Option<String>, after: Option<Secret> },
    /// Make a badge worth nothing, or take that back.
    BadgeRevoke { conference: String, badge: Secret, on: bool },
    /// Say what a reader scans for.
    ReaderSet { conference: String, reader: ReaderLine },
    /// List readers, from the one after `after` on.
    ReaderList { conference: String, after: Option<String> },
    /// Forget what a reader scans for.
    ReaderRemove { conference: String, uid: String },
    /// Bring attendees in from a file of the server's machine; the path is absolute.
    AttendeesImport { conference: String, file: PathBuf, format: String, map: Vec<(String, String)>, dry_run: bool },
    /// Give the leads of an owner as a table, from the one after `after` on.
    LeadsExport { conference: String, owner: String, after: Option<String> },
}

impl ControlRequest {
    /// Whether the answer may take as long as the store is large.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(
            self,
            Self::UserRemove { .. }
                | Self::ConferenceRemove { .. }
                | Self::Backup { .. }
                | Self::Export { .. }
                | Self::AttendeesImport { .. }
        )
    }
}

/// An account, listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLine {
    /// Its uid.
    pub uid: String,
    /// Its display name.
    pub name: String,
    /// Its role.
    pub role: String,
}

/// An invitation, listed; without its code, which nobody can show again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteLine {
    /// What it is taken back by.
    pub invite: String,
    /// The role that accounts made with it have.
    pub role: String,
    /// How many were made.
    pub used: u32,
    /// How many may be; 0 for any number.
    pub uses: u32,
    /// When it expires, Unix ms.
    pub expires_at_ms: u64,
}

/// A conference, listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConferenceLine {
    /// Its id.
    pub conference: String,
    /// Its title.
    pub title: String,
    /// How one gets in.
    pub sign_in: SignIn,
    /// Its accounts.
    pub users: u32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say what they hold")]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum ControlReply {
    /// It is done.
    Done,
    /// Accounts.
    Users { users: Vec<UserLine>, complete: bool },
    /// Conferences.
    Conferences { conferences: Vec<ConferenceLine> },
    /// A token.
    Token { token: Secret, expires_at_ms: u64 },
    /// An invitation's code.
    Invite { code: Secret, expires_at_ms: u64 },
    /// Invitations.
    Invites { invites: Vec<InviteLine> },
    /// A file was written.
    Written { what: String },
    /// What runs.
    Status { version: String, pid: u32, conferences: usize },
    /// Badges.
    Badges { badges: Vec<BadgeLine>, complete: bool },
    /// Pushes that were given up.
    Letters { letters: Vec<LetterLine>, complete: bool },
    /// Readers.
    Readers { readers: Vec<ReaderLine>, complete: bool },
    /// What an import did.
    Imported { import: ImportLines },
    /// A table, or a part of one: `next` is what to go on after.
    Table { csv: String, next: Option<String> },
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// A stable word; those of [`Reason`] and a few of the socket's.
    pub reason: String,
    /// What happened and what to do.
    pub message: String,
}

impl ControlError {
    /// An error with this word and text.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }

    fn of(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(reason.word(), message)
    }
}

impl From<Reject> for ControlError {
    fn from(reject: Reject) -> Self {
        Self::of(reject.reason, reject.reason.text())
    }
}

impl From<crate::state::StateError> for ControlError {
    fn from(error: crate::state::StateError) -> Self {
        let message = error.to_string();
        Self::of(Reject::from(error).reason, message)
    }
}

impl From<BackupError> for ControlError {
    fn from(error: BackupError) -> Self {
        let reason = match &error {
            BackupError::Exists(_) => Reason::Taken.word(),
            BackupError::Busy => Reason::Busy.word(),
            BackupError::NoRoom { .. } => Reason::DiskFull.word(),
            BackupError::UnknownConference(_) => Reason::UnknownConference.word(),
            _ => "backup_failed",
        };
        Self::new(reason, error.to_string())
    }
}

/// Carries a request out.
///
/// # Errors
/// [`ControlError`], with what to do about it.
pub async fn handle(hub: &Arc<Hub>, request: ControlRequest) -> Result<ControlReply, ControlError> {
    match request {
        ControlRequest::UserAdd { conference, uid, password, name, role } => {
            let (conf, uid) = (find_conference(hub, &conference)?.no, parse_uid(&uid)?);
            add_user(hub, conf, uid, &password, name, &role).await
        }
        ControlRequest::UserList { conference, after } => list_users(hub, &conference, after.as_deref()),
        ControlRequest::UserRemove { conference, uid } => {
            let (conf, uid) = find_user(hub, &conference, &uid)?;
            to_the_end(hub, conf, Action::Erase { uid }).await
        }
        ControlRequest::UserPassword { conference, uid, password } => {
            let (conf, uid) = find_user(hub, &conference, &uid)?;
            let credentials = accounts::credentials(parse_password(&password)?).await?;
            to_the_end(hub, conf, Action::SetPassword { uid, credentials }).await
        }
        ControlRequest::Token { conference, uid } => {
            let (conf, uid) = find_user(hub, &conference, &uid)?;
            let signed_in = accounts::issue(hub, conf, &uid).await?;
            Ok(ControlReply::Token { token: Secret(signed_in.token), expires_at_ms: signed_in.expires_at_ms })
        }
        ControlRequest::InviteAdd { conference, uses, days, role } => {
            let conf = find_conference(hub, &conference)?.no;
            invites::add(hub, conf, uses, days, &role).await
        }
        ControlRequest::InviteList { conference } => invites::list(hub, find_conference(hub, &conference)?.no),
        ControlRequest::InviteRemove { conference, invite } => {
            let conf = find_conference(hub, &conference)?.no;
            invites::remove(hub, conf, &invite.0).await
        }
        ControlRequest::ConferenceAdd { conference, title, sign_in } => add_conference(hub, &conference, title, sign_in).await,
        ControlRequest::ConferenceList => list_conferences(hub),
        ControlRequest::ConferenceRemove { conference } => {
            let conf = find_conference(hub, &conference)?.no;
            to_the_end(hub, conf, Action::RemoveConference).await
        }
        ControlRequest::ChannelAdd { conference, conversation, title, kind } => {
            let conf = find_conference(hub, &conference)?.no;
            add_channel(hub, conf, &conversation, title, &kind).await
        }
        ControlRequest::Backup { file } => blocking(hub, move |hub| back_up(hub, &file)).await,
        ControlRequest::Export { conference, file } => blocking(hub, move |hub| export(hub, &conference, &file)).await,
        ControlRequest::Status => status(hub),
        ControlRequest::PushDead { conference, before } => push::dead(hub, find_conference(hub, &conference)?.no, before),
        ControlRequest::PushReplay { conference, letters } => push::replay(hub, &conference, letters).await,
        ControlRequest::BadgeAdd { conference, uid, badge } => badges::add(hub, &conference, &uid, &badge).await,
        ControlRequest::BadgeList { conference, uid, after } => badges::list(hub, &conference, uid.as_deref(), after.as_ref()),
        ControlRequest::BadgeRevoke { conference, badge, on } => badges::revoke(hub, &conference, &badge, on).await,
        ControlRequest::ReaderSet { conference, reader } => badges::set_reader(hub, &conference, reader).await,
        ControlRequest::ReaderList { conference, after } => badges::list_readers(hub, &conference, after.as_deref()),
        ControlRequest::ReaderRemove { conference, uid } => badges::remove_reader(hub, &conference, &uid).await,
        ControlRequest::AttendeesImport { conference, file, format, map, dry_run } => {
            let import = badges::Import { conference: &conference, file: &file, format: &format, map: &map, is_dry_run: dry_run };
            badges::import(hub, import).await
        }
        ControlRequest::LeadsExport { conference, owner, after } => badges::export_leads(hub, &conference, &owner, after.as_deref()).await,
    }
}

/// Has the server itself do something, in steps if it goes in steps.
async fn to_the_end(hub: &Hub, conf: ConfNo, action: Action) -> Result<ControlReply, ControlError> {
    hub.call_to_end(conf, Actor::system(), action).await?;
    Ok(ControlReply::Done)
}

async fn blocking(
    hub: &Arc<Hub>,
    work: impl FnOnce(&Hub) -> Result<ControlReply, ControlError> + Send + 'static,
) -> Result<ControlReply, ControlError> {
    let hub = Arc::clone(hub);
    let done = task::spawn_blocking(move || work(&hub)).await;
    done.unwrap_or_else(|_| Err(ControlError::of(Reason::Draining, "the server stopped before it was done: try again")))
}

fn find_conference(hub: &Hub, id: &str) -> Result<Conference, ControlError> {
    hub.reader().conference(id)?.ok_or_else(|| {
        let message =
            format!("there is no conference '{id}': 'hallway conference list' shows them, 'hallway conference add {id}' makes it");
        ControlError::of(Reason::UnknownConference, message)
    })
}

fn find_user(hub: &Hub, conference: &str, uid: &str) -> Result<(ConfNo, Uid), ControlError> {
    let (conf, uid) = (find_conference(hub, conference)?.no, parse_uid(uid)?);
    match hub.reader().user(conf, &uid)? {
        Some(_) => Ok((conf, uid)),
        None => {
            let message = format!("there is no user '{uid}' in '{conference}': 'hallway user list {conference}' shows them");
            Err(ControlError::of(Reason::UnknownUser, message))
        }
    }
}

fn invalid(message: impl Into<String>) -> ControlError {
    ControlError::of(Reason::InvalidParams, message)
}

fn parse_uid(text: &str) -> Result<Uid, ControlError> {
    let uid = Uid::parse(text).map_err(|error| invalid(format!("'{text}' is {error}")))?;
    if names::is_the_servers(&uid) {
        return Err(ControlError::of(Reason::Reserved, format!("'{uid}' is the server itself: take another uid")));
    }
    Ok(uid)
}

fn parse_password(password: &Secret) -> Result<Password, ControlError> {
    Password::parse(&password.0).ok_or_else(|| invalid("a password has 1 to 1024 bytes of UTF-8 and no NUL"))
}

fn fits(what: &str, text: Option<&str>, most: usize) -> Result<(), ControlError> {
    match text {
        Some(text) if text.trim().is_empty() || text.len() > most || text.chars().any(char::is_control) => {
            Err(invalid(format!("a {what} has 1 to {most} bytes of UTF-8 and no control characters")))
        }
        _ => Ok(()),
    }
}

async fn add_user(
    hub: &Hub,
    conf: ConfNo,
    uid: Uid,
    password: &Secret,
    name: Option<String>,
    role: &str,
) -> Result<ControlReply, ControlError> {
    fits("name", name.as_deref(), MAX_NAME_BYTES)?;
    let role =
        UserRole::from_word(role).filter(|role| *role != UserRole::Remote).ok_or_else(|| invalid(format!("there is no role '{role}'")))?;
    if hub.reader().user(conf, &uid)?.is_some() {
        let message = format!("the uid '{uid}' is taken: 'hallway user password' changes a password");
        return Err(ControlError::of(Reason::Taken, message));
    }
    let credentials = Some(accounts::credentials(parse_password(password)?).await?);
    to_the_end(hub, conf, Action::AddUser { uid, name, role, credentials }).await
}

fn list_users(hub: &Hub, conference: &str, after: Option<&str>) -> Result<ControlReply, ControlError> {
    let conf = find_conference(hub, conference)?.no;
    let after = after.map(parse_uid).transpose()?;
    let (people, complete) = hub.reader().people(conf, after.as_ref(), PAGE, |_| true)?;
    let line = |person: Person| UserLine {
        uid: person.uid.to_string(),
        name: person.user.name.to_string(),
        role: person.user.role.word().to_owned(),
    };
    Ok(ControlReply::Users { users: people.into_iter().map(line).collect(), complete })
}

async fn add_conference(hub: &Hub, id: &str, title: Option<String>, sign_in: SignIn) -> Result<ControlReply, ControlError> {
    let id = ConferenceId::parse(id).map_err(|error| invalid(format!("'{id}' is {error}")))?;
    fits("title", title.as_deref(), MAX_TITLE_BYTES)?;
    if hub.reader().conference(id.as_str())?.is_some() {
        return Err(ControlError::of(Reason::Taken, format!("there is a conference '{id}' already")));
    }
    let title = title.unwrap_or_else(|| id.to_string());
    let epoch = u64::from_be_bytes(clock::random());
    to_the_end(hub, ConfNo(0), Action::AddConference { id, title, sign_in, epoch }).await
}

fn list_conferences(hub: &Hub) -> Result<ControlReply, ControlError> {
    let mut conferences = Vec::new();
    for (id, conference) in hub.reader().conferences()? {
        let users = hub.reader().conference_head(conference.no)?.users;
        conferences.push(ConferenceLine { conference: id.to_string(), title: conference.title, sign_in: conference.sign_in, users });
    }
    Ok(ControlReply::Conferences { conferences })
}

async fn add_channel(hub: &Hub, conf: ConfNo, id: &str, title: Option<String>, kind: &str) -> Result<ControlReply, ControlError> {
    let id = ConversationId::parse(id).map_err(|error| invalid(format!("'{id}' is {error}")))?;
    fits("title", title.as_deref(), MAX_TITLE_BYTES)?;
    let kind = [Kind::Channel, Kind::Announcements].into_iter().find(|known| known.word() == kind);
    let kind = kind.ok_or_else(|| invalid("a channel's kind is channel or announcements"))?;
    if hub.reader().conversation(conf, &id)?.is_some() {
        return Err(ControlError::of(Reason::Taken, format!("there is a conversation '{id}' already")));
    }
    let title = title.unwrap_or_else(|| id.to_string());
    to_the_end(hub, conf, Action::Create { kind, id, title, members: Vec::new() }).await
}

fn status(hub: &Hub) -> Result<ControlReply, ControlError> {
    let conferences = hub.reader().conferences()?.len();
    Ok(ControlReply::Status { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id(), conferences })
}

fn back_up(hub: &Hub, file: &Path) -> Result<ControlReply, ControlError> {
    let report = backup::backup(hub, file)?;
    Ok(ControlReply::Written { what: report.to_string() })
}

fn export(hub: &Hub, conference: &str, file: &Path) -> Result<ControlReply, ControlError> {
    let report = backup::export(hub.reader(), conference, file)?;
    Ok(ControlReply::Written { what: report.to_string() })
}

#[cfg(test)]
mod tests;
