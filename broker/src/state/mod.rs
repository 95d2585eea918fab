//! The state: the ordered key-value records that `apply` reads and changes and that readers query. [`sled`] on disk,
//! [`memory`] with injectable failure and crash for tests and the simulator.
//!
//! One writer (the apply thread), many readers. A batch is atomic, and visible to readers as a whole before it is
//! durable; [`State::checkpoint`] makes durable what was committed before it. After a crash the state is some prefix of the
//! committed batches, at least up to the last checkpoint.

mod chunk;
pub mod memory;
pub mod sled;
mod store;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod watched;

use std::ops::ControlFlow;

/// Why the state could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk has no room.
    #[error("no room for the store: {0}")]
    Full(String),
    /// The disk failed.
    #[error("store: {0}")]
    Io(String),
    /// What is on the disk cannot be used. Nothing was changed.
    #[error(
        "the store in {path} does not open: {what}. Nothing was deleted; 'hallway check' looks closer, 'hallway rebuild' restores the newest backup and replays the kept log"
    )]
    Damaged {
        /// The store's directory.
        path: String,
        /// What the store said.
        what: String,
    },
    /// Another process holds the store.
    #[error("the store in {0} is in use by another process")]
    Locked(String),
}

/// Changes that become visible and durable together. Later changes of one key win.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// Key and new value; `None` removes the key.
    pub changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets `key` to `value`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((key, Some(value)));
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.changes.push((key, None));
    }
}

/// Which way a scan walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key up.
    Ascending,
    /// From the largest key down.
    Descending,
}

/// What a scan calls with each key and value; it says whether to go on.
pub type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Ordered key-value records; see the module's text for what is atomic and durable when.
pub trait State: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StateError::Io`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// Visits the records with `from <= key < to` in the given direction until the visitor breaks. Each record is as some
    /// one commit left it; commits made meanwhile may show in the records not yet visited. The visitor may read the state,
    /// but not change or reopen it.
    ///
    /// # Errors
    /// [`StateError::Io`].
    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visitor<'_>) -> Result<(), StateError>;

    /// Makes the batch visible to readers, atomically.
    ///
    /// # Errors
    /// [`StateError::Full`], [`StateError::Io`]: the batch is not visible, and the state refuses further commits (and may
    /// refuse to be read) until [`State::reopen`].
    fn commit(&self, batch: &Batch) -> Result<(), StateError>;

    /// Makes everything committed before this call durable. To be called about twice a second from a thread of its own,
    /// also when nothing is committed: this is where the failures of background writes are noticed.
    ///
    /// # Errors
    /// [`StateError::Full`], [`StateError::Io`]: the state can be read, but refuses commits until [`State::reopen`].
    fn checkpoint(&self) -> Result<(), StateError>;

    /// Closes and opens the store again after an error. Committed batches that were not yet durable may be gone:
    /// the caller reads its applied position again and replays the log from there.
    ///
    /// # Errors
    /// As for opening.
    fn reopen(&self) -> Result<(), StateError>;

    /// Bytes on disk (or in memory), for the metrics.
    fn size_bytes(&self) -> u64;
}
