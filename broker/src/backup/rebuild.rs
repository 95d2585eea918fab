//! A store that does not open is made again: the newest readable backup, or nothing when the log still has everything, and what the log
//! has beyond it. When nothing that was acknowledged is missing, the timeline goes on as it was, and no client notices.

use std::path::{Path, PathBuf};

use super::file::{BackupContents, read_applied, read_contents};
use super::place::{self, LOG, STORE};
use super::restore::{Built, write_base};
use super::salvage::{self, Readable};
use super::{BackupError, Options, Renewed, unused_number};
use crate::apply::apply;
use crate::clock;
use crate::command::Command;
use crate::files::Files;
use crate::log::Lsn;
use crate::state::{State, StateError};
use crate::view::{Kept, SCHEMA, StoreHead, View, decode};

/// Commands that are committed together.
const BATCH_COMMANDS: usize = 256;

/// What a rebuild came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    /// The backup that it began with; `None`: the log had everything.
    pub backup: Option<PathBuf>,
    /// Commands of the log that were carried out on top.
    pub replayed: u64,
    /// The last command that is in the store.
    pub through: Lsn,
    /// What is missing; `None`: nothing.
    pub missing: Option<String>,
    /// The conferences in their new epochs; empty: all went on as they were.
    pub renewed: Vec<Renewed>,
    /// Backups that cannot be used, and why.
    pub unusable: Vec<String>,
    /// Where the old store (and log) are now.
    pub aside: Option<PathBuf>,
    /// When there is a new log: the backup that it goes on from; or why there is none.
    pub base: Option<Result<PathBuf, String>>,
}

impl std::fmt::Display for RebuildReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.backup {
            Some(backup) => write!(f, "rebuilt from {}", backup.display())?,
            None => write!(f, "rebuilt from the log")?,
        }
        write!(f, " and {} commands of the log, up to command {}; ", self.replayed, self.through)?;
        match &self.missing {
            Some(missing) => write!(f, "missing: {missing}")?,
            None => write!(f, "nothing is missing")?,
        }
        if !self.renewed.is_empty() {
            write!(f, "; {} conferences have a new epoch", self.renewed.len())?;
        }
        for unusable in &self.unusable {
            write!(f, "; not used: {unusable}")?;
        }
        if let Some(aside) = &self.aside {
            write!(f, "; what was there is in {}", aside.display())?;
        }
        self.base.as_ref().map_or(Ok(()), |base| write_base(f, base))
    }
}

/// Makes the store in `data_dir`, which no server may be using, again. The old one is moved aside, and the log too, when it is of no use any more.
/// What was acknowledged and cannot be brought back is given up only with [`Options::accept_loss`]; then every conference gets a new epoch.
///
/// # Errors
/// [`BackupError`]; the log and the store are as they were.
pub fn rebuild(data_dir: &Path, options: &Options) -> Result<RebuildReport, BackupError> {
    if !data_dir.is_dir() {
        return Err(BackupError::NoStore(data_dir.to_owned()));
    }
    place::finish_interrupted(data_dir)?;
    let _held = place::hold(data_dir)?;
    let plan = Plan::of(data_dir)?;
    if let Some(missing) = plan.missing.as_ref().filter(|_| !options.accept_loss) {
        return Err(BackupError::WouldLose(missing.clone()));
    }
    plan.carry_out(data_dir, options)
}

/// A backup and what is in it.
type Backup = (PathBuf, BackupContents);

/// What there is to rebuild from.
#[derive(Debug)]
struct Plan {
    backup: Option<Backup>,
    unusable: Vec<String>,
    log: Readable,
    /// The log can be opened as it is.
    log_opens: bool,
    missing: Option<String>,
    /// What events' ids are sealed with when there is no backup that knows it.
    secret: Option<[u8; 16]>,
}

impl Plan {
    fn of(data_dir: &Path) -> Result<Self, BackupError> {
        let (backup, unusable) = newest_backup(data_dir)?;
        let after = backup.as_ref().map_or(0, |(_, contents)| contents.applied);
        let dir = data_dir.join(LOG);
        // Only a look: what would be lost is known before anything is built.
        let log = salvage::read(&dir, after, &mut |_, _| Ok(()))?;
        if backup.is_none() && log.first != 1 {
            let unusable = if unusable.is_empty() { String::new() } else { format!(" ({})", unusable.join("; ")) };
            let what = if log.first == 0 { "no log either".into() } else { format!("the log begins with record {} only", log.first) };
            return Err(BackupError::NoBase(
                format!("there is no readable backup{unusable}, and {what}"),
                place::backups_dir(data_dir).display().to_string(),
            ));
        }
        let log_opens = log.damage.is_none() && crate::log::verify(&dir).is_ok();
        let missing = missing(after, &log);
        Ok(Self { backup, unusable, log, log_opens, missing, secret: place::kept_secret(data_dir) })
    }

    fn carry_out(self, data_dir: &Path, options: &Options) -> Result<RebuildReport, BackupError> {
        // The files stay where they are; the backup gives those that are missing.
        let built = Built::empty(data_dir, Files::new(data_dir), options)?;
        if let Some((file, _)) = &self.backup {
            built.fill(file)?;
        }
        let secret = self.secret.unwrap_or_else(clock::random);
        let head = built.head()?.unwrap_or(StoreHead { schema: SCHEMA, applied: 0, secret, conferences: 0 });
        let after = head.applied;
        let head = if self.log_continues(after) { replay(data_dir, &built.state, head)? } else { head };
        let through = head.applied;
        // Without the old secret all ids are new, so what clients remember is of no use.
        let renews = self.missing.is_some() || (self.backup.is_none() && self.secret.is_none());
        let (renewed, log_after) =
            if renews { built.renew(head, unused_number(data_dir, options.clock.now_ms()))? } else { (Vec::new(), through) };
        let new_log = renews || !self.log_opens;
        let base = built.finish(data_dir, new_log.then_some(log_after), options)?;
        let parts: &[&str] = if new_log { &[STORE, LOG] } else { &[STORE] };
        let aside = place::replace(data_dir, parts, options.clock.now_ms())?;
        tracing::info!(through, "rebuilt");
        Ok(RebuildReport {
            backup: self.backup.map(|(file, _)| file),
            replayed: through - after,
            through,
            missing: self.missing,
            renewed,
            unusable: self.unusable,
            aside,
            base: new_log.then_some(base),
        })
    }

    fn log_continues(&self, after: Lsn) -> bool {
        self.log.first != 0 && self.log.first <= after + 1
    }
}

/// What a rebuild from `after` on would not bring back.
fn missing(after: Lsn, log: &Readable) -> Option<String> {
    if log.first == 0 {
        return Some(format!("there is no log: what came after record {after} (the backup's last) is not known"));
    }
    if log.first > after + 1 {
        return Some(format!("the backup ends with record {after} and the log begins with {}: nothing of the log can be used", log.first));
    }
    if let Some(damage) = &log.damage {
        return Some(format!("what the log has after record {}: {damage}", log.last.max(after)));
    }
    (log.last < after)
        .then(|| format!("the log ends with record {}, before the backup does ({after}): what came later is not known", log.last))
}

/// The newest readable backup by what is applied in it; and those that are newer, but cannot be read.
fn newest_backup(data_dir: &Path) -> Result<(Option<Backup>, Vec<String>), BackupError> {
    let mut unusable = Vec::new();
    let mut found = Vec::new();
    for path in place::backups(data_dir)? {
        match read_applied(&path) {
            Ok(applied) => found.push((applied, path)),
            Err(error) => unusable.push(error.to_string()),
        }
    }
    found.sort_unstable();
    while let Some((_, path)) = found.pop() {
        match read_contents(&path) {
            Ok(contents) => return Ok((Some((path, contents)), unusable)),
            Err(error) => unusable.push(error.to_string()),
        }
    }
    Ok((None, unusable))
}

/// Carries out what the log has and the state has not.
fn replay(data_dir: &Path, state: &dyn State, head: StoreHead) -> Result<StoreHead, BackupError> {
    let after = head.applied;
    let mut replay = Replay { state, kept: Kept::default(), head, commands: Vec::new() };
    salvage::read(&data_dir.join(LOG), after, &mut |lsn, bytes| {
        let command = decode(bytes).map_err(|error| StateError::Io(format!("record {lsn} of the log: {error}")))?;
        replay.commands.push(command);
        if replay.commands.len() < BATCH_COMMANDS { Ok(()) } else { replay.commit() }
    })?;
    replay.commit()?;
    Ok(replay.head)
}

/// The state on its way through the log.
struct Replay<'a> {
    state: &'a dyn State,
    kept: Kept,
    head: StoreHead,
    commands: Vec<Command>,
}

impl Replay<'_> {
    fn commit(&mut self) -> Result<(), BackupError> {
        let mut view = View::new(self.state, &mut self.kept, self.head.clone());
        view.head.applied += self.commands.len() as Lsn;
        for command in self.commands.drain(..) {
            // The answer was given long ago.
            drop(apply(&mut view, &command)?);
        }
        let (batch, head, _) = view.finish();
        self.state.commit(&batch)?;
        self.head = head;
        Ok(())
    }
}
