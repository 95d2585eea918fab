//! `hallway check`: looks at all of the log and the store and says what is wrong. Nothing is repaired and nothing is deleted; opening the store is
//! all that may change a file.
//!
//! In two walks: by conversation (`conversations`: entries and members), then over all keys (`records`: everything is of its kind and belongs
//! to something). In memory are a bit for each conversation of the store and one for each event of the conference under way.

mod badges;
mod bits;
mod conversations;
mod push;
mod records;

use std::collections::BTreeMap;
use std::path::Path;

use bits::Bits;
use serde::de::DeserializeOwned;

use super::BackupError;
use super::place::{self, LOG, STORE};
use crate::files::Files;
use crate::ids::{ConfNo, ConferenceId};
use crate::keys;
use crate::log::{self, LogError, Lsn};
use crate::model::Conference;
use crate::state::sled::{SledOptions, SledState};
use crate::state::{State, StateError};
use crate::view::{ConferenceHead, SCHEMA, StoreHead};

/// Problems that are told; the others are only counted.
const TOLD_PROBLEMS: usize = 100;

/// What [`check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The log, when it is whole.
    pub log: Option<log::Report>,
    /// The last command that is applied to the store.
    pub applied: Lsn,
    /// Records of the store, by the first byte of their keys.
    pub records: BTreeMap<char, u64>,
    /// Conferences.
    pub conferences: u64,
    /// Conversations.
    pub conversations: u64,
    /// Events.
    pub events: u64,
    /// Files that people attached to messages.
    pub files: u64,
    /// Records of conferences that were removed, but not to the end: the removal can be asked for again.
    pub left_over: u64,
    /// Problems, of which [`CheckReport::told`] has the first.
    pub problems: u64,
    /// What is wrong.
    pub told: Vec<String>,
}

impl CheckReport {
    /// Whether all is well.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems == 0
    }

    fn problem(&mut self, what: impl Into<String>) {
        self.problems += 1;
        if self.told.len() < TOLD_PROBLEMS {
            self.told.push(what.into());
        }
    }
}

impl std::fmt::Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(log) = &self.log {
            writeln!(f, "log: records {} to {} in {} segments, {} bytes", log.first, log.last, log.segments, log.bytes)?;
            if let Some(place) = &log.torn_tail {
                writeln!(f, "log: an append was not finished ({place}); it was never acknowledged, and the next start cuts it")?;
            }
        }
        let records: u64 = self.records.values().sum();
        let Self { applied, conferences, conversations, events, files, .. } = self;
        writeln!(
            f,
            "store: {records} records up to command {applied}: {conferences} conferences, {conversations} conversations, {events} events, {files} files"
        )?;
        if self.left_over > 0 {
            writeln!(f, "store: {} records are left over from removed conferences", self.left_over)?;
        }
        for problem in &self.told {
            writeln!(f, "problem: {problem}")?;
        }
        match self.problems {
            0 => write!(f, "all is well"),
            problems => write!(
                f,
                "{problems} problems. Nothing was changed; 'hallway rebuild' makes the store again from the newest backup and the log"
            ),
        }
    }
}

/// Looks at the data of a server that is not running.
///
/// # Errors
/// [`BackupError::InUse`] and [`BackupError::NoStore`]. Whatever is wrong with the data is in the report.
pub fn check(data_dir: &Path) -> Result<CheckReport, BackupError> {
    if !data_dir.join(LOG).is_dir() && !data_dir.join(STORE).is_dir() {
        return Err(BackupError::NoStore(data_dir.to_owned()));
    }
    place::finish_interrupted(data_dir)?;
    // Let go at once: the store takes its lock for itself.
    drop(place::hold(data_dir)?);
    let mut report = CheckReport::default();
    check_log(data_dir, &mut report)?;
    match open(data_dir) {
        Ok(state) => check_state(&state, Some(Files::new(data_dir)), &mut report),
        Err(StateError::Locked(_)) => return Err(BackupError::InUse(data_dir.to_owned())),
        Err(error) => report.problem(error.to_string()),
    }
    Ok(report)
}

fn check_log(data_dir: &Path, report: &mut CheckReport) -> Result<(), BackupError> {
    let dir = data_dir.join(LOG);
    if !dir.is_dir() {
        report.problem(format!("there is no log in {}", dir.display()));
        return Ok(());
    }
    match log::verify(&dir) {
        Ok(log) => report.log = Some(log),
        Err(LogError::Locked(_)) => return Err(BackupError::InUse(data_dir.to_owned())),
        Err(error) => report.problem(error.to_string()),
    }
    Ok(())
}

fn open(data_dir: &Path) -> Result<SledState, StateError> {
    let path = data_dir.join(STORE);
    if !path.join("db").is_file() {
        // Opening would make one.
        return Err(StateError::Damaged { path: path.display().to_string(), what: "it is not there".into() });
    }
    SledState::open(SledOptions::new(path))
}

/// Checks the records, and the bytes of `files`; a state that cannot be read is a problem as well.
pub(super) fn check_state(state: &dyn State, files: Option<Files>, report: &mut CheckReport) {
    let mut walk = Walk { state, files, report, conferences: BTreeMap::new() };
    if let Err(error) = walk.all() {
        walk.report.problem(error.to_string());
    }
}

/// A conference as far as it was looked at.
#[derive(Default)]
struct Checked {
    id: String,
    head: ConferenceHead,
    /// Numbers of its conversations.
    conversations: Bits,
    users: u32,
}

struct Walk<'a> {
    state: &'a dyn State,
    /// Where files' bytes are; none for a state without a disk.
    files: Option<Files>,
    report: &'a mut CheckReport,
    conferences: BTreeMap<ConfNo, Checked>,
}

/// Decodes a whole record: bytes behind it are as wrong as bytes that are missing.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(record, _)| record)
}

/// A key, for people.
fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

impl Walk<'_> {
    fn all(&mut self) -> Result<(), StateError> {
        let Some(head) = self.store_head()? else { return Ok(()) };
        self.conferences(head.conferences)?;
        for conf in self.conferences.keys().copied().collect::<Vec<_>>() {
            self.check_conversations(conf)?;
            self.check_badge_counts(conf)?;
            self.check_push_counts(conf)?;
        }
        self.check_records(head.conferences)?;
        self.check_users();
        Ok(())
    }

    fn get<T: DeserializeOwned>(&mut self, key: &[u8]) -> Result<Option<T>, StateError> {
        let Some(bytes) = self.state.get(key)? else { return Ok(None) };
        let record = whole(&bytes);
        if record.is_none() {
            self.report.problem(format!("the record {} is of another shape", shown(key)));
        }
        Ok(record)
    }

    fn store_head(&mut self) -> Result<Option<StoreHead>, StateError> {
        let Some(head) = self.get::<StoreHead>(&keys::store_head())? else {
            self.report.problem("the store has no head");
            return Ok(None);
        };
        self.report.applied = head.applied;
        if head.schema != SCHEMA {
            self.report.problem(format!("the store has record schema {}, this build reads {SCHEMA}", head.schema));
            return Ok(None);
        }
        let Some(log) = self.report.log.clone() else { return Ok(Some(head)) };
        if log.last < head.applied {
            self.report.problem(format!("the log ends with record {}, but the store has applied {}", log.last, head.applied));
        } else if log.last >= log.first && log.first > head.applied + 1 {
            self.report.problem(format!("the log begins with record {}, but the store has applied {} only", log.first, head.applied));
        }
        Ok(Some(head))
    }

    fn conferences(&mut self, made: u32) -> Result<(), StateError> {
        let prefix = keys::conference("");
        let mut found: Vec<(String, Option<Conference>)> = Vec::new();
        self.scan(&prefix, &mut |key, value| found.push((String::from_utf8_lossy(&key[prefix.len()..]).into_owned(), whole(value))))?;
        self.report.conferences = found.len() as u64;
        for (id, conference) in found {
            let Some(conference) = conference else {
                self.report.problem(format!("conference {id}: its record is of another shape"));
                continue;
            };
            let no = conference.no;
            let named: Option<ConferenceId> = self.get(&keys::conference_id(no))?;
            if no.0 == 0 || no.0 > made || named.is_none_or(|named| named.as_str() != id) {
                self.report.problem(format!("conference {id}: its number {} is not its own", no.0));
            }
            let head = self.get(&keys::conference_head(no))?.unwrap_or_default();
            self.conferences.insert(no, Checked { id, head, ..Checked::default() });
        }
        Ok(())
    }

    fn check_users(&mut self) {
        let Self { report, conferences, .. } = self;
        for checked in conferences.values().filter(|checked| checked.users != checked.head.users) {
            report.problem(format!("conference {}: it has {} accounts, but counts {}", checked.id, checked.users, checked.head.users));
        }
    }

    /// Visits all records that begin with `prefix`.
    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StateError> {
        let end = keys::end_of(prefix);
        self.state.scan(prefix, &end, crate::state::Direction::Ascending, &mut |key, value| {
            visit(key, value);
            std::ops::ControlFlow::Continue(())
        })
    }
}

/// A report on a state, for tests.
#[cfg(test)]
pub(crate) fn checked(state: &dyn State) -> CheckReport {
    let mut report = CheckReport::default();
    check_state(state, None, &mut report);
    report
}

#[cfg(test)]
mod tests;
