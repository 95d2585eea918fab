//! Going back to a backup: a new store is built beside the old one, with the files that it names, renewed, given a new log, and then takes the
//! old one's place.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::file::{BackupContents, Part, read_contents, replay_part};
use super::files;
use super::place::{self, LOG, STORE};
use super::snapshot::{Room, Snapshots};
use super::{BackupError, GAP, Options, Renewed, unused_number};
use crate::clock;
use crate::command::{Action, Actor, Command};
use crate::files::{FILES, Files};
use crate::ids::ConfNo;
use crate::keys;
use crate::log::segment::{SegmentLog, SegmentOptions};
use crate::log::{Log, Lsn};
use crate::model::Conference;
use crate::state::sled::{SledOptions, SledState};
use crate::state::{Batch, Direction, State, StateError};
use crate::view::{ConferenceHead, StoreHead, decode, encode};

/// Epochs are JSON numbers in results: 53 bits.
const EPOCH_BITS: u64 = (1 << 53) - 1;
/// How long a closed store may hold on to its files, in steps.
const RELEASE_STEP: Duration = Duration::from_millis(10);
const RELEASE_STEPS: u32 = 500;

/// What a restore came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// What was in the backup.
    pub contents: BackupContents,
    /// The conferences, in their new epochs.
    pub renewed: Vec<Renewed>,
    /// Where the old log and store are now.
    pub aside: Option<PathBuf>,
    /// The first backup of the new timeline, from which it can be rebuilt; or why there is none.
    pub base: Result<PathBuf, String>,
}

impl std::fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "restored {} conferences as command {} left them", self.renewed.len(), self.contents.applied)?;
        if let Some(aside) = &self.aside {
            write!(f, "; what was there is in {}", aside.display())?;
        }
        write_base(f, &self.base)
    }
}

/// The part of a report that tells of the new timeline's first backup.
pub(super) fn write_base(f: &mut std::fmt::Formatter<'_>, base: &Result<PathBuf, String>) -> std::fmt::Result {
    match base {
        Ok(base) => write!(f, "; for a later rebuild there is {}", base.display()),
        Err(why) => write!(f, "; take a backup as soon as the server runs: one could not be made now ({why})"),
    }
}

/// Replaces the log and the store in `data_dir`, which no server may be using, by what the backup in `file` holds. The old ones are moved
/// aside. A crash leaves the old or the new.
///
/// # Errors
/// [`BackupError`]; the log and the store are as they were.
pub fn restore(data_dir: &Path, file: &Path, options: &Options) -> Result<RestoreReport, BackupError> {
    let contents = read_contents(file)?;
    place::make_private_dir(data_dir)?;
    place::finish_interrupted(data_dir)?;
    let _held = place::hold(data_dir)?;
    let built = Built::empty(data_dir, Files::at(place::fresh_partial(data_dir, FILES)?), options)?;
    built.fill(file)?;
    let head = built.head()?.ok_or_else(|| BackupError::Interrupted("it has no head record".into()))?;
    let (renewed, applied) = built.renew(head, unused_number(data_dir, options.clock.now_ms()))?;
    let base = built.finish(data_dir, Some(applied), options)?;
    let aside = place::replace(data_dir, &[STORE, LOG, FILES], options.clock.now_ms())?;
    tracing::info!(applied, file = %file.display(), "restored");
    Ok(RestoreReport { contents, renewed, aside, base })
}

/// A new store in `store.partial`.
pub(super) struct Built {
    pub(super) state: Snapshots,
    /// Where the bytes of files are that it names.
    files: Files,
    path: PathBuf,
}

impl Built {
    pub(super) fn empty(data_dir: &Path, files: Files, options: &Options) -> Result<Self, BackupError> {
        let path = place::fresh_partial(data_dir, STORE)?;
        let mut sled = SledOptions::new(&path);
        sled.cache_bytes = options.cache_bytes;
        Ok(Self { state: Snapshots::new(Arc::new(SledState::open(sled)?)), files, path })
    }

    /// Puts a backup in.
    pub(super) fn fill(&self, file: &Path) -> Result<(), BackupError> {
        for part in [Part::Records, Part::Changes] {
            replay_part(file, part, &mut |batch| Ok(self.state.commit(batch)?))?;
        }
        files::fill(file, &self.state, &self.files)
    }

    pub(super) fn head(&self) -> Result<Option<StoreHead>, StateError> {
        self.state.get(&keys::store_head())?.as_deref().map(decode).transpose()
    }

    /// Begins a new timeline (see [`super`]) above a number that no older one has given. Returns what its conferences are now, and the lsn that it goes on after.
    pub(super) fn renew(&self, mut head: StoreHead, unused: u64) -> Result<(Vec<Renewed>, Lsn), BackupError> {
        let mut renewed = Vec::new();
        for (id, conference) in self.conferences()? {
            let mut batch = Batch::default();
            renewed.push(self.renew_conference(id, conference, unused, &mut batch)?);
            self.state.commit(&batch)?;
        }
        head.applied = (head.applied + GAP).max(unused);
        let mut batch = Batch::default();
        batch.put(keys::store_head(), encode(&head));
        self.state.commit(&batch)?;
        Ok((renewed, head.applied))
    }

    fn conferences(&self) -> Result<Vec<(String, Conference)>, StateError> {
        let prefix = keys::conference("");
        let mut found = Vec::new();
        self.state.scan(&prefix, &keys::end_of(&prefix), Direction::Ascending, &mut |key, value| {
            found.push((String::from_utf8_lossy(&key[prefix.len()..]).into_owned(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        found.into_iter().map(|(id, value)| Ok((id, decode(&value)?))).collect()
    }

    fn renew_conference(&self, id: String, mut conference: Conference, unused: u64, batch: &mut Batch) -> Result<Renewed, StateError> {
        let key = keys::conference_head(conference.no);
        let mut head: ConferenceHead = self.state.get(&key)?.as_deref().map(decode).transpose()?.unwrap_or_default();
        let before = conference.epoch;
        while conference.epoch == before {
            conference.epoch = u64::from_be_bytes(clock::random()) & EPOCH_BITS;
        }
        // The same backup may be restored twice, so a gap alone does not do.
        head.pos = (head.pos + GAP).max(unused);
        batch.put(key, encode(&head));
        batch.put(keys::conference(&id), encode(&conference));
        Ok(Renewed { conference: id, epoch: conference.epoch, pos: head.pos })
    }

    /// Makes the store durable and closes it. With `log_after`, there is also a new log that goes on after this lsn, and a backup to
    /// rebuild from, since no older one fits that log.
    pub(super) fn finish(self, data_dir: &Path, log_after: Option<Lsn>, options: &Options) -> Result<Result<PathBuf, String>, BackupError> {
        let mut base = Err("none is needed".into());
        if let Some(after) = log_after {
            begin_log(data_dir, after, options)?;
            base = self.write_base(data_dir, options).map_err(|error| error.to_string());
        }
        self.state.checkpoint()?;
        let Self { state, path, .. } = self;
        drop(state);
        wait_until_closed(&path);
        Ok(base)
    }

    fn write_base(&self, data_dir: &Path, options: &Options) -> Result<PathBuf, BackupError> {
        let now_ms = options.clock.now_ms();
        let name = format!("base-{now_ms}.{}", place::BACKUP_EXTENSION);
        let file = place::backup_file(data_dir, Path::new(&name))?;
        let room = Room::new(data_dir, &file, crate::limits::Limits::default().disk_reserve_bytes)?;
        self.state.write(&file, &self.files, now_ms, &room)?;
        Ok(file)
    }
}

/// A new log in `log.partial` whose first record comes after `after`. An empty log would begin at 1, so it gets a record that changes nothing: it
/// revokes a token that nobody has.
fn begin_log(data_dir: &Path, after: Lsn, options: &Options) -> Result<(), BackupError> {
    let dir = place::fresh_partial(data_dir, LOG)?;
    let clock = Arc::clone(&options.clock);
    let mut segments = SegmentOptions::new(dir, Arc::new(move || clock.now_ms()));
    segments.first_lsn = after + 1;
    let mut log = SegmentLog::open(segments)?;
    let action = Action::RevokeToken { hash: [0; 16] };
    let nothing = Command { conf: ConfNo(0), actor: Actor::system(), at_ms: options.clock.now_ms(), action };
    log.append(&[&encode(&nothing)])?;
    Ok(())
}

/// The store's lock lives as long as its background writes: none of them may come after the renaming.
fn wait_until_closed(path: &Path) {
    let Ok(file) = File::open(path.join("db")) else { return };
    for _ in 0..RELEASE_STEPS {
        if file.try_lock().is_ok() {
            return;
        }
        std::thread::park_timeout(RELEASE_STEP);
    }
}
