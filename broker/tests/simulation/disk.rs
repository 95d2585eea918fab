//! What the simulated machine stores on: the state with failures that [`MemoryState`] has not (reads that fail, a commit that fails but had
//! reached the disk), and the tape, a log of all that was ever durable.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use hallway_broker::log::{Log, LogError, Lsn};
use hallway_broker::state::memory::MemoryState;
use hallway_broker::state::{Batch, Direction, State, StateError, Visitor};

/// A state that can fail in more ways.
pub struct SimState {
    inner: MemoryState,
    /// So many reads succeed, then one fails; below zero for never.
    read_fault: AtomicI64,
    /// The next commit fails, but its changes are found when the state is opened again.
    commit_anyway: AtomicBool,
    unseen: Mutex<Option<Batch>>,
    failed: AtomicBool,
}

impl SimState {
    /// Around an open state.
    pub fn new(inner: MemoryState) -> Self {
        Self {
            inner,
            read_fault: AtomicI64::new(-1),
            commit_anyway: AtomicBool::new(false),
            unseen: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    /// After `reads` more reads one fails; never, below zero.
    pub fn fail_read(&self, reads: i64) {
        self.read_fault.store(reads, Relaxed);
    }

    /// The next commit fails, although its changes reach the disk.
    pub fn fail_commit_anyway(&self, fail: bool) {
        self.commit_anyway.store(fail, Relaxed);
    }

    /// A commit that failed is not found after all.
    pub fn lose_unseen(&self) {
        self.unseen.lock().unwrap().take();
    }

    fn read(&self) -> Result<(), StateError> {
        let left = self.read_fault.load(Relaxed);
        if left >= 0 {
            self.read_fault.store(left - 1, Relaxed);
        }
        if left == 0 { Err(StateError::Io("injected: a read".into())) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), StateError> {
        if self.failed.load(Relaxed) { Err(StateError::Io("refused until reopened".into())) } else { Ok(()) }
    }
}

impl State for SimState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.read()?;
        self.inner.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visitor<'_>) -> Result<(), StateError> {
        self.read()?;
        self.inner.scan(from, to, direction, visit)
    }

    fn commit(&self, batch: &Batch) -> Result<(), StateError> {
        self.check()?;
        if self.commit_anyway.swap(false, Relaxed) {
            self.failed.store(true, Relaxed);
            *self.unseen.lock().unwrap() = Some(batch.clone());
            return Err(StateError::Io("injected: a commit that reached the disk".into()));
        }
        self.inner.commit(batch)
    }

    fn checkpoint(&self) -> Result<(), StateError> {
        self.check()?;
        self.inner.checkpoint()
    }

    fn reopen(&self) -> Result<(), StateError> {
        self.failed.store(false, Relaxed);
        self.inner.reopen()?;
        match self.unseen.lock().unwrap().take() {
            Some(batch) => self.inner.commit(&batch),
            None => Ok(()),
        }
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }
}

/// All records that were ever durable, to replay from the beginning.
#[derive(Default, Clone)]
pub struct Tape(pub Vec<Vec<u8>>);

impl Log for Tape {
    fn append(&mut self, _: &[&[u8]]) -> Result<Lsn, LogError> {
        Err(std::io::Error::other("a tape is read").into())
    }

    fn replay(&self, after: Lsn, each: &mut dyn FnMut(Lsn, &[u8]) -> bool) -> Result<(), LogError> {
        for (lsn, record) in (1..).zip(&self.0).skip(usize::try_from(after).unwrap()) {
            if !each(lsn, record) {
                break;
            }
        }
        Ok(())
    }

    fn end(&self) -> Lsn {
        self.0.len() as Lsn
    }

    fn start(&self) -> Lsn {
        1
    }

    fn release(&mut self, _: Lsn, _: u64) -> Result<usize, LogError> {
        Ok(0)
    }
}
