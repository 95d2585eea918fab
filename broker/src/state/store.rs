//! One open sled store: what [`super::sled`] needs of sled, with sled's errors, panics and omissions dealt with.

use super::chunk::{self, CHUNK_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, SCHEMA_KEY, Split, Stored};
use super::sled::SledOptions;
use super::{Batch, StateError};
use ::sled::{Db, IVec};
use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Less is no use to sled, whose cache has 256 shards.
const MIN_CACHE_BYTES: u64 = 1 << 20;
/// How often a flush looks whether a background write has failed.
const FLUSH_LOOK: Duration = Duration::from_millis(5);
/// After so many looks (a minute) a flush is given up.
const FLUSH_LOOKS: u32 = 12_000;
/// A reader that meets so many commits of the same long value gives up.
const CHUNK_READS: u32 = 100;

/// Buffers of the one writer.
#[derive(Default)]
pub(super) struct Writer {
    key: Vec<u8>,
    value: Vec<u8>,
}

thread_local! {
    /// Whether this thread is in [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread becomes an error that is told: a panic hook need not tell it, too.
#[must_use]
pub fn panic_is_told() -> bool {
    GUARDED.get()
}

/// Calls into sled; its panics are errors.
pub(super) fn guarded<T>(call: impl FnOnce() -> ::sled::Result<T>) -> ::sled::Result<T> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(::sled::Error::ReportableBug(format!("sled gave up: {}", text.unwrap_or("without a text"))))
    })
}

pub(super) fn io_error(error: &io::Error) -> StateError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StateError::Full(error.kind().to_string()),
        _ => StateError::Io(error.to_string()),
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> StateError {
    StateError::Damaged { path: path.display().to_string(), what: what.into() }
}

fn running_error(path: &Path, error: ::sled::Error) -> StateError {
    match error {
        ::sled::Error::Io(error) => io_error(&error),
        ::sled::Error::ReportableBug(what) => StateError::Io(what),
        error => damaged(path, error.to_string()),
    }
}

fn opening_error(path: &Path, error: ::sled::Error) -> StateError {
    match error {
        // Our own readers and background writes, during a reopen. sled's text for a failed flock, `config.rs:602`; it has no error kind of its own.
        ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => StateError::Locked(path.display().to_string()),
        ::sled::Error::Io(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
            damaged(path, error.to_string())
        }
        ::sled::Error::Io(error) => io_error(&error),
        // Its own text asks people to report it; here it is what a damaged file looks like.
        ::sled::Error::ReportableBug(text) => damaged(path, text),
        error => damaged(path, error.to_string()),
    }
}

/// sled's store, open.
pub(super) struct Store {
    /// `None` only while it is dropped.
    db: Option<Db>,
    /// The file that sled writes, to sync it.
    pub(super) file: File,
    path: PathBuf,
    pub(super) stored_schema: u32,
}

impl Drop for Store {
    /// sled's own drop unwraps an `fsync`.
    fn drop(&mut self) {
        let db = self.db.take();
        if let Err(error) = guarded(|| {
            drop(db);
            Ok(())
        }) {
            tracing::error!(%error, path = %self.path.display(), "the store did not close cleanly");
        }
    }
}

impl Store {
    pub(super) fn open(options: &SledOptions) -> Result<Self, StateError> {
        let path = &options.path;
        let fail = |error| opening_error(path, error);
        remove_unfinished(path).map_err(|error| io_error(&error))?;
        // A new `Config` each time: sled keeps the sticky error in it.
        let config = ::sled::Config::new().path(path).cache_capacity(options.cache_bytes.max(MIN_CACHE_BYTES)).flush_every_ms(None);
        let db = guarded(|| config.open()).map_err(fail)?;
        let file = File::open(path.join("db")).map_err(|error| io_error(&error))?;
        let mut open = Self { db: Some(db), file, path: path.clone(), stored_schema: options.schema };
        open.stored_schema = open.check_schema(options.schema)?;
        open.sync_names().map_err(|error| io_error(&error))?;
        Ok(open)
    }

    pub(super) fn db(&self) -> Result<&Db, StateError> {
        self.db.as_ref().ok_or_else(|| StateError::Io("the store is closed".into()))
    }

    pub(super) fn fail(&self, error: ::sled::Error) -> StateError {
        running_error(&self.path, error)
    }

    fn check_schema(&self, known: u32) -> Result<u32, StateError> {
        let db = self.db()?;
        let fail = |error| opening_error(&self.path, error);
        let Some(found) = guarded(|| db.get(SCHEMA_KEY)).map_err(fail)? else {
            if guarded(|| db.first()).map_err(fail)?.is_some() {
                return Err(damaged(&self.path, "it has records but no schema record"));
            }
            guarded(|| db.insert(SCHEMA_KEY, &chunk::encode_schema(known))).map_err(fail)?;
            return Ok(known);
        };
        match chunk::decode_schema(&found) {
            Some((chunk::LAYOUT, schema)) if schema <= known => Ok(schema),
            Some((layout, schema)) => {
                let (ours, what) = (chunk::LAYOUT, "it was written by a newer version of this program");
                Err(damaged(&self.path, format!("{what}: schema {layout}.{schema}, this one knows {ours}.{known}")))
            }
            None => Err(damaged(&self.path, "its schema record makes no sense")),
        }
    }

    /// sled syncs neither its settings file nor any directory.
    fn sync_names(&self) -> io::Result<()> {
        for name in ["conf", "db", "blobs", ""] {
            File::open(self.path.join(name))?.sync_all()?;
        }
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let mut buffer = Vec::with_capacity(1 + key.len() + 4);
        chunk::record_key(&mut buffer, key);
        match self.get_stored(&buffer)? {
            Some(found) => self.whole_value(&buffer, found),
            None => Ok(None),
        }
    }

    fn get_stored(&self, record_key: &[u8]) -> Result<Option<IVec>, StateError> {
        let db = self.db()?;
        guarded(|| db.get(record_key)).map_err(|error| self.fail(error))
    }

    pub(super) fn decode<'a>(&self, found: &'a [u8]) -> Result<Stored<'a>, StateError> {
        chunk::stored(found).ok_or_else(|| damaged(&self.path, "a record is neither whole nor split"))
    }

    /// The value whose stored form was `found`.
    pub(super) fn whole_value(&self, record_key: &[u8], mut found: IVec) -> Result<Option<Vec<u8>>, StateError> {
        for _ in 0..CHUNK_READS {
            let split = match self.decode(&found)? {
                Stored::Whole(value) => return Ok(Some(value.to_vec())),
                Stored::Split(split) => split,
            };
            if let Some(value) = self.joined(&record_key[1..], split)? {
                return Ok(Some(value));
            }
            // A commit came between: see what it left.
            match self.get_stored(record_key)? {
                Some(again) => found = again,
                None => return Ok(None),
            }
        }
        Err(damaged(&self.path, "the parts of a long record do not fit together"))
    }

    fn joined(&self, key: &[u8], split: Split) -> Result<Option<Vec<u8>>, StateError> {
        let (mut value, mut buffer) = (Vec::new(), Vec::with_capacity(1 + key.len() + 4));
        for number in 0..split.chunks() {
            chunk::chunk_key(&mut buffer, key, number);
            match self.get_stored(&buffer)? {
                Some(part) if part.len() <= CHUNK_BYTES => value.extend_from_slice(&part),
                _ => return Ok(None),
            }
        }
        Ok(Some(value).filter(|value| split.is_of(value)))
    }

    /// Translates a batch. Reads every record that it changes: their chunks have to go, and a page that cannot be read
    /// must show before the batch begins.
    pub(super) fn translate(&self, batch: &Batch, writer: &mut Writer) -> Result<::sled::Batch, StateError> {
        let mut out = ::sled::Batch::default();
        // Keys that this batch has split already, for when it changes one twice.
        let mut split_before: Vec<(&[u8], u32)> = Vec::new();
        for (key, value) in &batch.changes {
            if key.len() > MAX_KEY_BYTES || value.as_ref().is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
                return Err(StateError::Io(format!("a record is too large, its key has {} bytes", key.len())));
            }
            chunk::record_key(&mut writer.key, key);
            let mut old_chunks = match self.get_stored(&writer.key)? {
                Some(found) => match self.decode(&found)? {
                    Stored::Whole(_) => 0,
                    Stored::Split(split) => split.chunks(),
                },
                None => 0,
            };
            let same_key = split_before.iter().filter(|(before, _)| before == key);
            old_chunks = same_key.map(|(_, chunks)| *chunks).fold(old_chunks, u32::max);
            let new_chunks = put(&mut out, writer, value.as_deref());
            if new_chunks > 0 {
                split_before.push((key, new_chunks));
                for (number, part) in (0..).zip(value.iter().flat_map(|value| value.chunks(CHUNK_BYTES))) {
                    chunk::chunk_key(&mut writer.key, key, number);
                    out.insert(writer.key.as_slice(), part);
                }
            }
            for number in new_chunks..old_chunks {
                chunk::chunk_key(&mut writer.key, key, number);
                out.remove(writer.key.as_slice());
            }
        }
        Ok(out)
    }

    /// Fails when a background write has failed, and wakes whoever waits for it (see [`Store::flush`]).
    pub(super) fn check_background(&self) -> Result<(), StateError> {
        let context = &self.db()?.context;
        context.global_error().map_err(|error| {
            // With an error set, this notifies all waiting threads and returns at once.
            drop(guarded(|| context.pagecache.log.make_stable(i64::MAX)));
            self.fail(error)
        })
    }

    /// sled's flush waits without a time limit for its writing threads, and one of those that fails does not always wake
    /// it. So it runs in a thread of its own, and this one looks after it.
    pub(super) fn flush(self: &Arc<Self>) -> Result<(), StateError> {
        let (done, result) = sync_channel(1);
        let open = Arc::clone(self);
        let work = move || {
            let flushed = open.db().and_then(|db| guarded(|| db.flush()).map_err(|error| open.fail(error)));
            drop(open);
            // Nobody listens any more after the time limit.
            drop(done.send(flushed.map(drop)));
        };
        std::thread::Builder::new().name("state-flush".into()).spawn(work).map_err(|error| io_error(&error))?;
        for _ in 0..FLUSH_LOOKS {
            match result.recv_timeout(FLUSH_LOOK) {
                Ok(flushed) => return flushed,
                Err(RecvTimeoutError::Timeout) => drop(self.check_background()),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(StateError::Io("the flush thread died".into()));
                }
            }
        }
        Err(StateError::Io("the store did not finish a flush within a minute; only a restart helps".into()))
    }

    /// What sled wrote, made durable. There should be no file in `blobs`, but sled syncs none of them.
    pub(super) fn sync(&self) -> io::Result<()> {
        let blobs = self.path.join("blobs");
        let mut any = false;
        for blob in std::fs::read_dir(&blobs)? {
            any = true;
            match File::open(blob?.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                file => file?.sync_all()?,
            }
        }
        if any {
            File::open(&blobs)?.sync_all()?;
        }
        self.file.sync_data()
    }
}

/// Makes the directory, and takes the lock that is held as long as the [`super::sled::SledState`] lives: sled's own is let
/// go during a reopen, and taken too late for [`remove_unfinished`].
pub(super) fn lock_directory(path: &Path) -> Result<File, StateError> {
    let made = std::fs::create_dir_all(path);
    let opened = made.and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock")));
    let file = opened.map_err(|error| io_error(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::Locked(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(io_error(&error)),
    }
}

/// Removes what an interrupted open left half written, and what sled would then take for damage.
///
/// - `snap.….generating`: sled renames a snapshot when it is complete and synced, and removes the one before only after that
///   (`pagecache/snapshot.rs:561`). But when it looks for the newest, it skips another suffix (`config.rs:838`), reads the
///   half one and refuses to open.
/// - `conf` without a `db`: sled writes the settings first and not at once, and there is nothing that they describe.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    let (mut settings, mut others) = (None, false);
    for entry in std::fs::read_dir(path)? {
        let (name, file) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        let name = name.to_string_lossy();
        match &*name {
            "conf" => settings = Some(file),
            "blobs" | "lock" => {}
            name if name.starts_with("snap.") && name.ends_with(".generating") => std::fs::remove_file(file)?,
            _ => others = true,
        }
    }
    match settings.filter(|_| !others) {
        Some(settings) => std::fs::remove_file(settings),
        None => Ok(()),
    }
}

/// After a failed sync the kernel's cache has what the disk does not have: let what is read next come from the disk.
pub(super) fn forget_cached(path: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(file) = File::open(path.join("db"))
        && let Err(error) = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
    {
        tracing::warn!(%error, "the store is read again from the kernel's cache, not from the disk");
    }
}

/// Adds the record of `writer.key` to the batch; returns into how many chunks its value has to be split.
fn put(out: &mut ::sled::Batch, writer: &mut Writer, value: Option<&[u8]>) -> u32 {
    match value {
        None => out.remove(writer.key.as_slice()),
        Some(value) if value.len() <= CHUNK_BYTES => {
            chunk::whole(&mut writer.value, value);
            out.insert(writer.key.as_slice(), writer.value.as_slice());
        }
        Some(value) => {
            let split = Split::of(value);
            out.insert(writer.key.as_slice(), &split.encode());
            return split.chunks();
        }
    }
    0
}
