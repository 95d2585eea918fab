//! Backups and what is done when a store is broken: `hallway backup | restore | rebuild | check | export`.
//!
//! A backup is one file (its format is in `file`). It is taken from the running server by [`backup`]: the records are walked without
//! stopping anybody, and every batch that is committed meanwhile is written into the file as well; the last word on a key is that
//! of the last batch, so together they are exactly the state after that batch (`snapshot`).
//!
//! Timelines: going back to an older state makes every later number of the old timeline invalid, and none of them may be given
//! again. So a restored state is *renewed* (`restore`): each conference gets a new epoch, and its pos, as well as the store's lsn, goes on
//! far above all that were ever given. The highest lsn is then always the newest timeline, which is how [`rebuild`] chooses a backup.
//!
//! What is replaced is moved aside, never deleted, and the change from old to new is one step that a crash does not divide (`place`).
//!
//! Convention: backups are `<data>/backups/*.hallway-backup`, where [`rebuild`] looks for them; a bare file name given to [`backup`] goes there.
//!
//! Reading order: `file`, `files`, `snapshot`, `place`, `restore`, `salvage`, `rebuild`; `check` and `export` stand for themselves.

pub(crate) mod check;
mod export;
mod file;
mod files;
mod place;
mod rebuild;
mod restore;
mod salvage;
mod snapshot;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::log::{LogError, Lsn};
use crate::state::StateError;
use crate::view::SCHEMA;

pub use check::{CheckReport, check};
pub use export::{ExportReport, export};
pub use file::{BackupContents, read_contents};
pub use place::{BACKUP_EXTENSION, backups_dir, finish_interrupted, keep_secret, kept_secret};
pub use rebuild::{RebuildReport, rebuild};
pub use restore::{RestoreReport, restore};
pub use snapshot::{BackupReport, Snapshots, backup};

/// Why a backup, or something that is done with one, did not work.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or directory.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The target is there already.
    #[error("{} is there already: take another name, or move it away first", .0.display())]
    Exists(PathBuf),
    /// One at a time.
    #[error("a backup is being taken already: wait until it is done")]
    Busy,
    /// The disk would get below its reserve.
    #[error("no room in {}: {free_bytes} bytes are free, {reserve_bytes} are kept for the server. Make room, or write to another disk", dir.display())]
    NoRoom {
        /// The target's directory.
        dir: PathBuf,
        /// What is free.
        free_bytes: u64,
        /// What has to stay free.
        reserve_bytes: u64,
    },
    /// The store failed meanwhile.
    #[error("the store failed while the backup was taken ({0}); take it again")]
    Interrupted(String),
    /// Not what was written.
    #[error("the backup {} is damaged at byte {offset}: {what}. Nothing was changed; use another backup", file.display())]
    Damaged {
        /// The backup.
        file: PathBuf,
        /// Where.
        offset: u64,
        /// What was found there.
        what: String,
    },
    /// Of another version of this program.
    #[error("the backup {} has record schema {found}, this build reads {SCHEMA}: use the build that wrote it. Nothing was changed", file.display())]
    Schema {
        /// The backup.
        file: PathBuf,
        /// What it says.
        found: u32,
    },
    /// Something else works on the data.
    #[error("{} is in use by a running server or command: stop it first (SIGTERM), then try again", .0.display())]
    InUse(PathBuf),
    /// Nothing is there.
    #[error("there is no store in {}: is --data right?", .0.display())]
    NoStore(PathBuf),
    /// There is nothing to begin with.
    #[error("nothing to rebuild from: {0}. Put a backup into {1}, or use 'hallway restore FILE'. Nothing was changed")]
    NoBase(String, String),
    /// What was acknowledged would not come back.
    #[error(
        "not everything can be brought back: {0}. Nothing was changed. If there is a newer backup or a better copy of the log, put it in its \
         place; to go on without what is missing: 'hallway rebuild --accept-loss'"
    )]
    WouldLose(String),
    /// There is no such conference.
    #[error("there is no conference '{0}': 'hallway conference list' shows them")]
    UnknownConference(String),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl BackupError {
    /// An IO error with its path.
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}

/// How [`restore`] and [`rebuild`] go about it.
#[derive(Clone)]
pub struct Options {
    /// The time: for names of what is moved aside, and for numbers that were never given before.
    pub clock: Arc<dyn Clock>,
    /// What the new store may keep in memory while it is filled.
    pub cache_bytes: u64,
    /// [`rebuild`] only: go on although something that was acknowledged will be missing.
    pub accept_loss: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::start()), cache_bytes: 16 << 20, accept_loss: false }
    }
}

/// A conference that goes on in a new epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Its id.
    pub conference: String,
    /// The new epoch.
    pub epoch: u64,
    /// The pos that its next event comes after.
    pub pos: u64,
}

/// How far numbers go on at least when a timeline begins.
const GAP: u64 = 1 << 32;

/// A number above every lsn and pos that any timeline of the store in `data_dir` has given: by the time (2048 numbers for each millisecond,
/// below 2^53 until the year 2109), and by the end of the log, in case that the clock was set back.
fn unused_number(data_dir: &Path, now_ms: u64) -> u64 {
    let log = salvage::read(&data_dir.join(place::LOG), Lsn::MAX - 1, &mut |_, _| Ok(()));
    let end = log.map_or(0, |log| log.last);
    (now_ms << 11).max(end.saturating_add(GAP))
}

#[cfg(test)]
mod tests;
