//! The snapshot: [`Snapshots`] stands in front of the real state and, while a backup is being taken, writes down every batch that was
//! committed. The walk over the records needs no lock: whatever it sees of a key is either still so at the end, or a batch that
//! was written down says better. (Saving the old values instead, to get the state at the beginning, would cost the apply thread a read for each
//! key and a list of all that was saved.)

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BackupError;
use super::file::{BackupContents, FileWriter, Part};
use super::{files, place};
use crate::files::{BUCKETS, Files};
use crate::hub::Hub;
use crate::keys;
use crate::state::{Batch, Direction, State, StateError, Visitor};

/// The walk looks at so many records at once, or so many bytes.
const CHUNK_RECORDS: usize = 256;
const CHUNK_BYTES: usize = 1 << 20;
/// Synced piece by piece, so that the log's own syncs never queue behind a whole backup.
const SYNC_BYTES: u64 = 8 << 20;
/// Above all keys.
pub(super) const END_OF_KEYS: [u8; 400] = [u8::MAX; 400];

/// A key and its value.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// What a backup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The file.
    pub file: PathBuf,
    /// What is in it.
    pub contents: BackupContents,
}

impl std::fmt::Display for BackupReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BackupContents { applied, records, changes, files, conferences, .. } = &self.contents;
        let file = self.file.display();
        write!(
            f,
            "{file}: {} conferences, {records} records and {changes} changes made meanwhile, {files} files, up to command {applied}",
            conferences.len()
        )
    }
}

/// Writes a backup of the running hub: the state exactly as some command left it. A bare file name goes to `<data>/backups/`.
///
/// # Errors
/// [`BackupError`]; no file is left then.
pub fn backup(hub: &Hub, file: &Path) -> Result<BackupReport, BackupError> {
    let data_dir = &hub.options().data_dir;
    let file = place::backup_file(data_dir, file)?;
    let room = Room::new(data_dir, &file, hub.limits().disk_reserve_bytes)?;
    let contents = hub.snapshots().write(&file, hub.files(), hub.clock().now_ms(), &room)?;
    tracing::info!(file = %file.display(), applied = contents.applied, bytes = contents.bytes, "backup written");
    Ok(BackupReport { file, contents })
}

/// How much of a disk has to stay free.
pub(super) struct Room {
    dir: PathBuf,
    reserve_bytes: u64,
}

impl Room {
    /// The reserve is the server's, so it counts only where the server's data are.
    pub(super) fn new(data_dir: &Path, file: &Path, reserve_bytes: u64) -> Result<Self, BackupError> {
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let device = |dir: &Path| std::fs::metadata(dir).map(|dir| dir.dev()).map_err(BackupError::io(dir));
        let same = device(&dir)? == device(data_dir)?;
        Ok(Self { dir, reserve_bytes: if same { reserve_bytes } else { 0 } })
    }

    fn check(&self) -> Result<(), BackupError> {
        let disk = rustix::fs::statvfs(&self.dir).map_err(|error| BackupError::io(&self.dir)(error.into()))?;
        self.suffices(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)
    }

    pub(super) fn suffices(&self, total: u64, free_bytes: u64) -> Result<(), BackupError> {
        // As the server itself counts it: a small disk's reserve is a tenth of it.
        let reserve_bytes = self.reserve_bytes.min(total / 10);
        if free_bytes < reserve_bytes + CHUNK_BYTES as u64 {
            return Err(BackupError::NoRoom { dir: self.dir.clone(), free_bytes, reserve_bytes });
        }
        Ok(())
    }
}

/// The file under way, and what went wrong with it.
struct Capture {
    writer: FileWriter,
    failed: Option<BackupError>,
}

impl Capture {
    /// Writes down a batch. A failure is the backup's own: the commit is done.
    fn take(&mut self, batch: &Batch) {
        if self.failed.is_some() {
            return;
        }
        for (key, value) in &batch.changes {
            if let Err(error) = self.writer.add(Part::Changes, key, value.as_deref()) {
                self.failed = Some(error);
                return;
            }
        }
    }

    fn fail(&mut self, why: &str) {
        self.failed.get_or_insert_with(|| BackupError::Interrupted(why.into()));
    }
}

/// See the module's text.
pub struct Snapshots {
    state: Arc<dyn State>,
    /// Held during a commit, so that each is before the begin of a backup, or in it.
    capture: Mutex<Option<Capture>>,
}

impl Snapshots {
    /// In front of `state`, which nobody else writes.
    #[must_use]
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, capture: Mutex::default() }
    }

    fn capture(&self) -> MutexGuard<'_, Option<Capture>> {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the state, and the files that it names, to `target`.
    pub(super) fn write(&self, target: &Path, files: &Files, now_ms: u64, room: &Room) -> Result<BackupContents, BackupError> {
        room.check()?;
        let active = Active::begin(self, || FileWriter::create(target, now_ms))?;
        self.walk(room)?;
        self.walk_files(files, room)?;
        let Some(Capture { mut writer, failed: None }) = active.end()? else { return Err(BackupError::Busy) };
        files::add_new(&mut writer, files)?;
        writer.finish()
    }

    fn walk(&self, room: &Room) -> Result<(), BackupError> {
        let (mut from, mut synced) = (Vec::new(), 0);
        loop {
            let chunk = self.chunk(&from)?;
            let (file, written) = self.put(&chunk)?;
            let Some((last, _)) = chunk.last() else { return Ok(()) };
            from.clone_from(last);
            from.push(0);
            room.check()?;
            if written - synced >= SYNC_BYTES {
                synced = written;
                file.sync_data().map_err(BackupError::io(&room.dir))?;
            }
        }
    }

    /// The bytes of all files that have a record now.
    fn walk_files(&self, files: &Files, room: &Room) -> Result<(), BackupError> {
        for bucket in 0..BUCKETS {
            for (conf, id) in files.bucket_files(bucket).map_err(BackupError::io(&room.dir))? {
                if self.state.get(&keys::file(conf, id))?.is_none() {
                    continue;
                }
                files::pieces(files, (conf, id), &mut |piece| {
                    room.check()?;
                    let mut capture = self.capture();
                    let Some(Capture { writer, failed }) = capture.as_mut() else { return Err(BackupError::Busy) };
                    failed.take().map_or(Ok(()), Err)?;
                    writer.add_piece(&piece)
                })?;
            }
        }
        Ok(())
    }

    /// The next records.
    fn chunk(&self, from: &[u8]) -> Result<Vec<Record>, StateError> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        self.state.scan(from, &END_OF_KEYS, Direction::Ascending, &mut |key, value| {
            bytes += key.len() + value.len();
            chunk.push((key.to_vec(), value.to_vec()));
            if chunk.len() < CHUNK_RECORDS && bytes < CHUNK_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(chunk)
    }

    /// Writes records; the file, and how long it is.
    fn put(&self, chunk: &[Record]) -> Result<(Arc<std::fs::File>, u64), BackupError> {
        let mut capture = self.capture();
        let Some(Capture { writer, failed }) = capture.as_mut() else { return Err(BackupError::Busy) };
        if let Some(error) = failed.take() {
            return Err(error);
        }
        for (key, value) in chunk {
            writer.add(Part::Records, key, Some(value))?;
        }
        Ok((writer.file(), writer.written()))
    }
}

/// A backup under way; dropped, it is given up.
struct Active<'a>(&'a Snapshots);

impl<'a> Active<'a> {
    fn begin(snapshots: &'a Snapshots, create: impl FnOnce() -> Result<FileWriter, BackupError>) -> Result<Self, BackupError> {
        let mut capture = snapshots.capture();
        if capture.is_some() {
            return Err(BackupError::Busy);
        }
        *capture = Some(Capture { writer: create()?, failed: None });
        Ok(Self(snapshots))
    }

    /// From here on nothing is written down: this moment is the snapshot's.
    fn end(self) -> Result<Option<Capture>, BackupError> {
        let capture = self.0.capture().take();
        match capture {
            Some(Capture { failed: Some(error), .. }) => Err(error),
            capture => Ok(capture),
        }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        let given_up = self.0.capture().take();
        // Removes the file, outside of the lock.
        drop(given_up);
    }
}

impl State for Snapshots {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.state.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visitor<'_>) -> Result<(), StateError> {
        self.state.scan(from, to, direction, visit)
    }

    fn commit(&self, batch: &Batch) -> Result<(), StateError> {
        let mut capture = self.capture();
        let committed = self.state.commit(batch);
        if let Some(capture) = capture.as_mut() {
            match &committed {
                Ok(()) => capture.take(batch),
                // It may have become visible in part.
                Err(error) => capture.fail(&error.to_string()),
            }
        }
        committed
    }

    fn checkpoint(&self) -> Result<(), StateError> {
        self.state.checkpoint()
    }

    fn reopen(&self) -> Result<(), StateError> {
        if let Some(capture) = self.capture().as_mut() {
            // What was written down may be gone from the state, until the log is replayed.
            capture.fail("it was opened again");
        }
        self.state.reopen()
    }

    fn size_bytes(&self) -> u64 {
        self.state.size_bytes()
    }
}
