//! The state on disk: sled 0.34.7, with the care that its source asks for (paths are in its `src/`).
//!
//! - `flush` only uses `sync_file_range` (`pagecache/iobuf.rs:736`), so a checkpoint adds an `fdatasync` of its own, through a
//!   file handle that stays open: the kernel reports a failed write to every handle once.
//! - There is no flush thread (`flush_every_ms(None)`); segments are cleaned by writers too (`pagecache/mod.rs:1207`).
//! - Errors of background writes stick (`config.rs:755`), and nothing is written after one, not even at close. But the thread
//!   that meets one does not always wake who waits for it (`pagecache/logger.rs:444`): see [`Store::flush`].
//! - A batch that fails midway is visible in part, and unless writing was what failed, its part would be written at
//!   close. So every record is read before the batch begins (which finds the old chunks as well), a failed store is closed
//!   to readers, and one that failed to read is never closed properly: see [`SledState::commit`].
//! - What an interrupted open leaves makes the next one fail: see `store::remove_unfinished`.
//! - It asserts a lot. A panic within sled becomes an error.
//! - Its lock lives as long as any clone of the `Db`, an iterator, or a background write.
//! - Idle, its seven threads each wake once a second, which is below what can be measured.

use super::chunk::{self, Stored};
use super::store::{self, Store, Writer, forget_cached, guarded, io_error};
use super::{Batch, Direction, State, StateError, Visitor};

pub use super::store::panic_is_told;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// How long to wait for sled's lock, in steps.
const LOCK_STEP: Duration = Duration::from_millis(10);
const LOCK_STEPS: u32 = 500;

/// How to open a [`SledState`].
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// The store's directory; made when it is missing.
    pub path: PathBuf,
    /// What sled may cache. It counts stored bytes and needs about twice that in memory.
    pub cache_bytes: u64,
    /// The version of the records that this program writes.
    pub schema: u32,
}

impl SledOptions {
    /// The defaults for the store in `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), cache_bytes: 16 << 20, schema: 1 }
    }
}

/// See the module's text.
pub struct SledState {
    options: SledOptions,
    slot: RwLock<Slot>,
    writer: Mutex<Writer>,
    /// Something was committed since the last checkpoint began.
    dirty: AtomicBool,
    /// Last, so that it is let go when the store is closed.
    _lock: File,
}

/// What there is to read, and whether it may be written.
struct Slot {
    open: Option<Arc<Store>>,
    /// What went wrong.
    failed: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SledState {
    /// Opens the store, or makes an empty one.
    ///
    /// # Errors
    /// All of [`StateError`]; nothing that was ever complete is deleted.
    pub fn open(options: SledOptions) -> Result<Self, StateError> {
        let lock = store::lock_directory(&options.path)?;
        let open = open_patiently(&options)?;
        let slot = RwLock::new(Slot { open: Some(Arc::new(open)), failed: None });
        Ok(Self { options, slot, writer: Mutex::default(), dirty: AtomicBool::new(true), _lock: lock })
    }

    /// The version of the records that are stored: at most [`SledOptions::schema`].
    ///
    /// # Errors
    /// [`StateError::Io`] while the store is closed after an error.
    pub fn stored_schema(&self) -> Result<u32, StateError> {
        Ok(self.readable()?.stored_schema)
    }

    fn slot(&self) -> std::sync::RwLockReadGuard<'_, Slot> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot_mut(&self) -> std::sync::RwLockWriteGuard<'_, Slot> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never locked while sled works, so a visitor may read and a reopen need not wait for a lock.
    fn readable(&self) -> Result<Arc<Store>, StateError> {
        let slot = self.slot();
        slot.open.clone().ok_or_else(|| refusal("the store is closed", slot.failed.as_deref()))
    }

    fn writable(&self) -> Result<Arc<Store>, StateError> {
        let slot = self.slot();
        match &slot.open {
            Some(open) if slot.failed.is_none() => Ok(Arc::clone(open)),
            _ => Err(refusal("the store takes no changes until it is reopened", slot.failed.as_deref())),
        }
    }

    /// From now on nothing is written.
    fn refuse(&self, error: StateError) -> StateError {
        self.slot_mut().failed.get_or_insert_with(|| error.to_string());
        error
    }

    /// From now on nothing is read either, since a part of a batch may be visible.
    fn close(&self, open: Arc<Store>, error: StateError) -> StateError {
        self.slot_mut().open = None;
        let writing_failed = open.check_background().is_err();
        if !writing_failed {
            // sled would write that part when it is closed. The lock is then kept until the process ends.
            tracing::error!(%error, "the store failed within a batch; only a restart helps");
            std::mem::forget(open);
        }
        self.refuse(error)
    }
}

/// Opens a store whose directory is locked. sled's own lock may still be held for a moment: by readers during a reopen, or
/// by background writes, even of a state that this process has just dropped.
fn open_patiently(options: &SledOptions) -> Result<Store, StateError> {
    for _ in 0..LOCK_STEPS {
        match Store::open(options) {
            Err(StateError::Locked(_)) => std::thread::park_timeout(LOCK_STEP),
            opened => return opened,
        }
    }
    Store::open(options)
}

fn refusal(what: &str, failed: Option<&str>) -> StateError {
    StateError::Io(format!("{what}: {}", failed.unwrap_or("it is being reopened")))
}

impl State for SledState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.readable()?.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visitor<'_>) -> Result<(), StateError> {
        if from >= to {
            return Ok(());
        }
        let open = self.readable()?;
        let (mut low, mut high) = (Vec::new(), Vec::new());
        chunk::record_key(&mut low, from);
        chunk::record_key(&mut high, to);
        let mut range = open.db()?.range(low..high);
        let mut step = || match direction {
            Direction::Ascending => range.next().transpose(),
            Direction::Descending => range.next_back().transpose(),
        };
        while let Some((key, found)) = guarded(&mut step).map_err(|error| open.fail(error))? {
            let flow = match open.decode(&found)? {
                Stored::Whole(value) => visit(&key[1..], value),
                Stored::Split(_) => match open.whole_value(&key, found)? {
                    Some(value) => visit(&key[1..], &value),
                    None => ControlFlow::Continue(()),
                },
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: &Batch) -> Result<(), StateError> {
        let mut writer = lock(&self.writer);
        let open = self.writable()?;
        let changes = open.translate(batch, &mut writer).map_err(|error| self.refuse(error))?;
        let db = open.db()?;
        match guarded(|| db.apply_batch(changes)) {
            Ok(()) => {
                self.dirty.store(true, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                let error = open.fail(error);
                Err(self.close(open, error))
            }
        }
    }

    fn checkpoint(&self) -> Result<(), StateError> {
        let open = self.writable()?;
        open.check_background().map_err(|error| self.refuse(error))?;
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let flushed = open.flush().and_then(|()| open.sync().map_err(|error| io_error(&error)));
        flushed.map_err(|error| self.refuse(error))
    }

    fn reopen(&self) -> Result<(), StateError> {
        let _writer = lock(&self.writer);
        let old = self.slot_mut().open.take();
        drop(old);
        forget_cached(&self.options.path);
        let open = open_patiently(&self.options).map_err(|error| self.refuse(error))?;
        self.dirty.store(true, Ordering::Release);
        *self.slot_mut() = Slot { open: Some(Arc::new(open)), failed: None };
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        let file = self.readable().and_then(|open| open.file.metadata().map_err(|error| io_error(&error)));
        file.map_or(0, |file| file.len())
    }
}
