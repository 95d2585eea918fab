//! The data directory: where backups lie, who may work on it, and how new files take the place of the old.
//!
//! | name | what |
//! | --- | --- |
//! | `log/`, `store/`, `files/` | the hub's |
//! | `log.partial/`, `store.partial/`, `files.partial/` | being built; count for nothing until the journal names them |
//! | `replace.journal` | names the directory for what is moved aside, and what is replaced: from its appearance on, the new counts |
//! | `replaced-<unix ms>/` | what was moved aside |
//! | `secret` | the key that event ids are sealed with, so that a store that is rebuilt from its log alone gives the same ids |
//! | `backups/` | backups |

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::BackupError;
use crate::files::FILES;

/// How backups' names end.
pub const BACKUP_EXTENSION: &str = "hallway-backup";
/// The hub's directories.
pub(super) const LOG: &str = "log";
pub(super) const STORE: &str = "store";
const JOURNAL: &str = "replace.journal";
const SECRET: &str = "secret";

/// Where backups are that have no other place.
#[must_use]
pub fn backups_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("backups")
}

/// Where a backup goes: a bare name is one in [`backups_dir`], which is made then.
pub(super) fn backup_file(data_dir: &Path, file: &Path) -> Result<PathBuf, BackupError> {
    if file.components().count() != 1 || file.is_absolute() {
        return Ok(file.to_owned());
    }
    let dir = backups_dir(data_dir);
    make_private_dir(&dir)?;
    let named = dir.join(file);
    Ok(if file.extension().is_some_and(|extension| extension == BACKUP_EXTENSION) { named } else { with_suffix(&named, BACKUP_EXTENSION) })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// What a file is called until it is whole.
pub(super) fn partial(path: &Path) -> PathBuf {
    with_suffix(path, "partial")
}

/// The backups in [`backups_dir`].
pub(super) fn backups(data_dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let dir = backups_dir(data_dir);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(BackupError::io(&dir))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(BackupError::io(&dir))?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == BACKUP_EXTENSION)).collect())
}

/// Makes a directory that only its owner enters.
pub(super) fn make_private_dir(dir: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(BackupError::io(dir))?;
    sync_dir(dir.parent().unwrap_or(Path::new("")))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(BackupError::io(dir))
}

/// Keeps servers away from a data directory.
#[derive(Debug)]
pub(super) struct Held {
    _locks: Vec<File>,
}

/// Takes the locks that the log and the store take when they are opened; shared, so that the log can be read. And one of the directory itself,
/// against a second restore.
pub(super) fn hold(data_dir: &Path) -> Result<Held, BackupError> {
    let dir = File::open(data_dir).map_err(BackupError::io(data_dir))?;
    locked(data_dir, data_dir, dir.try_lock())?;
    let mut locks = vec![dir];
    for path in [data_dir.join(LOG).join("lock"), data_dir.join(STORE).join("db")] {
        let file = match File::open(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            file => file.map_err(BackupError::io(&path))?,
        };
        locked(data_dir, &path, file.try_lock_shared())?;
        locks.push(file);
    }
    Ok(Held { _locks: locks })
}

fn locked(data_dir: &Path, path: &Path, lock: Result<(), TryLockError>) -> Result<(), BackupError> {
    lock.map_err(|error| match error {
        TryLockError::WouldBlock => BackupError::InUse(data_dir.to_owned()),
        TryLockError::Error(error) => BackupError::io(path)(error),
    })
}

/// Where the new `part` is built; what an earlier attempt left there is removed.
pub(super) fn fresh_partial(data_dir: &Path, part: &str) -> Result<PathBuf, BackupError> {
    let path = data_dir.join(format!("{part}.partial"));
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(BackupError::io(&path)(error)),
        _ => {}
    }
    make_private_dir(&path)?;
    Ok(path)
}

/// Puts the built parts in the place of the old, which are moved aside. Returns where to, when there were any.
pub(super) fn replace(data_dir: &Path, parts: &[&str], now_ms: u64) -> Result<Option<PathBuf>, BackupError> {
    let aside = free_name(data_dir, now_ms);
    let journal = data_dir.join(JOURNAL);
    let text = format!("{aside}\n{}\n", parts.join("\n"));
    // Locked before it appears: nobody else begins to carry it out.
    let file = write_durably(&journal, text.as_bytes())?;
    carry_out(data_dir, &text)?;
    drop(file);
    let aside = data_dir.join(aside);
    Ok(Some(aside).filter(|aside| aside.is_dir()))
}

fn free_name(data_dir: &Path, now_ms: u64) -> String {
    let name = |ms: u64| format!("replaced-{ms}");
    let free = (now_ms..).find(|ms| !data_dir.join(name(*ms)).exists());
    name(free.unwrap_or(now_ms))
}

/// Writes a small file that is there as a whole or not at all; locked, and readable by its owner only.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<File, BackupError> {
    let partial = partial(path);
    let write = || -> io::Result<File> {
        drop(fs::remove_file(&partial));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.lock()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        Ok(file)
    };
    let file = write().map_err(BackupError::io(path))?;
    sync_dir(path.parent().unwrap_or(Path::new("")))?;
    Ok(file)
}

/// Carries out what an interrupted restore or rebuild had decided. To be called before the log and the store are opened.
///
/// # Errors
/// [`BackupError::InUse`] when it is still being carried out, [`BackupError::Io`].
pub fn finish_interrupted(data_dir: &Path) -> Result<(), BackupError> {
    let journal = data_dir.join(JOURNAL);
    let file = match File::open(&journal) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.map_err(BackupError::io(&journal))?,
    };
    locked(data_dir, &journal, file.try_lock())?;
    let text = match fs::read_to_string(&journal) {
        // Done between the opening and the lock.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.map_err(BackupError::io(&journal))?,
    };
    tracing::warn!("an interrupted restore is being finished");
    carry_out(data_dir, &text)
}

/// Each step can be repeated: a part whose new files are gone from `.partial` is in place.
fn carry_out(data_dir: &Path, journal: &str) -> Result<(), BackupError> {
    let mut lines = journal.lines();
    let aside = data_dir.join(lines.next().unwrap_or_default());
    for part in lines.filter(|part| [LOG, STORE, FILES].contains(part)) {
        let (new, place) = (data_dir.join(format!("{part}.partial")), data_dir.join(part));
        if !new.exists() {
            continue;
        }
        if place.exists() {
            make_private_dir(&aside)?;
            let old = aside.join(part);
            fs::rename(&place, &old).map_err(BackupError::io(&old))?;
            sync_dir(&aside)?;
        }
        fs::rename(&new, &place).map_err(BackupError::io(&place))?;
    }
    sync_dir(data_dir)?;
    let journal = data_dir.join(JOURNAL);
    fs::remove_file(&journal).map_err(BackupError::io(&journal))?;
    sync_dir(data_dir)
}

/// Keeps the store's secret beside it, for [`super::rebuild`].
///
/// # Errors
/// [`BackupError::Io`].
pub fn keep_secret(data_dir: &Path, secret: [u8; 16]) -> Result<(), BackupError> {
    if kept_secret(data_dir) == Some(secret) {
        return Ok(());
    }
    write_durably(&data_dir.join(SECRET), &secret).map(drop)
}

/// The secret that was kept: what a store that has none yet must take, since ids under it may have been given before a crash.
#[must_use]
pub fn kept_secret(data_dir: &Path) -> Option<[u8; 16]> {
    fs::read(data_dir.join(SECRET)).ok()?.try_into().ok()
}
