//! A state in memory for tests and the simulator, with failures and crashes on demand. No clock and no randomness.
//!
//! [`MemoryStore`] is what survives a crash, [`MemoryState`] the process's handle on it. A batch is undone by the old values
//! that it replaced, so a checkpoint costs nothing and a crash only as much as it loses.

use super::{Batch, Direction, State, StateError, Visitor};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A scan copies so many records at first, then more and more: most scans stop early.
const FIRST_PIECE: usize = 8;
const LAST_PIECE: usize = 256;

type Key = Arc<[u8]>;
type Value = Arc<[u8]>;

/// What an operation does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// [`StateError::Full`].
    Full,
    /// [`StateError::Io`].
    Io,
}

impl Fault {
    fn error(self) -> StateError {
        match self {
            Fault::Full => StateError::Full("injected".into()),
            Fault::Io => StateError::Io("injected".into()),
        }
    }
}

/// The values that one batch replaced, in the order of its changes.
type Undo = Vec<(Key, Option<Value>)>;

#[derive(Debug, Default)]
struct Store {
    records: BTreeMap<Key, Value>,
    bytes: u64,
    /// The batches since the last checkpoint.
    since: Vec<Undo>,
    commit_fault: Option<(u64, Fault)>,
    checkpoint_fault: Option<(u64, Fault)>,
    /// How many un-checkpointed batches the next reopen keeps.
    reopen_keeps: usize,
    /// A failure after which only a reopen helps.
    failed: bool,
    holder: u64,
    opened: u64,
}

/// Counts down to a fault.
fn due(fault: &mut Option<(u64, Fault)>) -> Result<(), StateError> {
    match fault {
        Some((0, met)) => {
            let met = *met;
            *fault = None;
            Err(met.error())
        }
        Some((wait, _)) => {
            *wait -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl Store {
    fn set(&mut self, key: Key, value: Option<Value>) -> Option<Value> {
        let size = |value: &Value| (key.len() + value.len()) as u64;
        self.bytes += value.as_ref().map_or(0, size);
        let old = match value {
            Some(value) => self.records.insert(Arc::clone(&key), value),
            None => self.records.remove(&key),
        };
        self.bytes -= old.as_ref().map_or(0, size);
        old
    }

    fn keep(&mut self, batches: usize) {
        while self.since.len() > batches {
            for (key, old) in self.since.pop().into_iter().flat_map(|undo| undo.into_iter().rev()) {
                self.set(key, old);
            }
        }
        // What is kept was on the disk.
        self.since.clear();
        self.failed = false;
    }
}

/// The "disk": clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<RwLock<Store>>);

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the state that lies here.
    ///
    /// # Errors
    /// [`StateError::Locked`] while a handle is open.
    pub fn open(&self) -> Result<MemoryState, StateError> {
        let mut store = self.write();
        if store.holder != 0 {
            return Err(StateError::Locked("memory".into()));
        }
        store.opened += 1;
        store.holder = store.opened;
        Ok(MemoryState { store: self.clone(), handle: store.opened })
    }

    /// The process dies: open handles are useless, and what is found at the next open is the last checkpoint and the
    /// first `keep` batches since. Faults not yet met are forgotten.
    pub fn crash(&self, keep: usize) {
        let mut store = self.write();
        store.holder = 0;
        (store.commit_fault, store.checkpoint_fault) = (None, None);
        store.keep(keep);
    }

    /// Batches that a crash may take: those since the last checkpoint.
    pub fn uncheckpointed(&self) -> usize {
        self.read().since.len()
    }

    /// After `after` more commits that succeed, one meets `fault`.
    pub fn fail_commit(&self, after: u64, fault: Fault) {
        self.write().commit_fault = Some((after, fault));
    }

    /// After `after` more checkpoints that succeed, one meets `fault`.
    pub fn fail_checkpoint(&self, after: u64, fault: Fault) {
        self.write().checkpoint_fault = Some((after, fault));
    }

    /// How many un-checkpointed batches [`State::reopen`] keeps; 0, the worst that may happen, when this is not called.
    pub fn keep_at_reopen(&self, batches: usize) {
        self.write().reopen_keeps = batches;
    }

    /// All records, to compare stores.
    pub fn snapshot(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.read().records.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }
}

/// A process's handle on a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryState {
    store: MemoryStore,
    handle: u64,
}

impl MemoryState {
    fn check(&self, store: &Store) -> Result<(), StateError> {
        if store.holder == self.handle { Ok(()) } else { Err(StateError::Io("this process is dead".into())) }
    }

    /// The next records of a scan within the bounds.
    fn piece(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>), direction: Direction, count: usize) -> Result<Vec<(Key, Value)>, StateError> {
        let store = self.store.read();
        self.check(&store)?;
        let range = store.records.range::<[u8], _>(bounds);
        let copy = |(key, value): (&Key, &Value)| (Arc::clone(key), Arc::clone(value));
        Ok(match direction {
            Direction::Ascending => range.take(count).map(copy).collect(),
            Direction::Descending => range.rev().take(count).map(copy).collect(),
        })
    }
}

impl Drop for MemoryState {
    fn drop(&mut self) {
        let mut store = self.store.write();
        if store.holder == self.handle {
            store.holder = 0;
        }
    }
}

impl State for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let store = self.store.read();
        self.check(&store)?;
        Ok(store.records.get(key).map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visitor<'_>) -> Result<(), StateError> {
        let (mut low, mut high) = (Bound::Included(Key::from(from)), Bound::Excluded(Key::from(to)));
        let mut count = FIRST_PIECE;
        // Unlocked while visiting: the visitor may read, and another thread may wait to write.
        while bound_key(&low) < bound_key(&high) {
            let piece = self.piece((as_slice(&low), as_slice(&high)), direction, count)?;
            for (key, value) in &piece {
                if let ControlFlow::Break(()) = visit(key, value) {
                    return Ok(());
                }
            }
            let Some((last, _)) = piece.last().filter(|_| piece.len() == count) else {
                break;
            };
            match direction {
                Direction::Ascending => low = Bound::Excluded(Arc::clone(last)),
                Direction::Descending => high = Bound::Excluded(Arc::clone(last)),
            }
            count = (count * 2).min(LAST_PIECE);
        }
        Ok(())
    }

    fn commit(&self, batch: &Batch) -> Result<(), StateError> {
        let mut store = self.store.write();
        self.check(&store)?;
        if store.failed {
            return Err(StateError::Io("refused after an error until it is reopened".into()));
        }
        if let Err(error) = due(&mut store.commit_fault) {
            store.failed = true;
            return Err(error);
        }
        let mut undo = Undo::with_capacity(batch.changes.len());
        for (key, value) in &batch.changes {
            let key = Key::from(key.as_slice());
            let old = store.set(Arc::clone(&key), value.as_deref().map(Value::from));
            undo.push((key, old));
        }
        store.since.push(undo);
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), StateError> {
        let mut store = self.store.write();
        self.check(&store)?;
        if store.failed {
            return Err(StateError::Io("refused after an error until it is reopened".into()));
        }
        if let Err(error) = due(&mut store.checkpoint_fault) {
            store.failed = true;
            return Err(error);
        }
        store.since.clear();
        Ok(())
    }

    fn reopen(&self) -> Result<(), StateError> {
        let mut store = self.store.write();
        self.check(&store)?;
        let keep = store.reopen_keeps;
        store.keep(keep);
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.store.read().bytes
    }
}

fn bound_key(bound: &Bound<Key>) -> &[u8] {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    }
}

fn as_slice(bound: &Bound<Key>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}
