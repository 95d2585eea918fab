//! The log: where a command becomes durable. Two implementations of one small trait: [`segment`] files on one
//! machine, and [`memory`] with injectable failure for tests and the simulator.
//!
//! A log knows nothing of commands: it keeps numbered byte records. The unit of durability is the batch.
//!
//! Reading order: the trait here, `frame` (what a batch looks like on disk), `recover` (how the end is found again),
//! `prepare` (where the next file comes from), [`segment`] (the log itself), [`verify`].

mod frame;
pub mod memory;
mod prepare;
mod recover;
pub mod segment;
#[cfg(test)]
mod tests;
mod verify;

pub use verify::{Report, verify};

/// A record's number in the log: 1, 2, 3 … without gaps. 0 means "nothing".
pub type Lsn = u64;

/// Why the log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk has no room; nothing of the batch was kept. Making room is enough to go on.
    #[error("no room for the log: {0}")]
    Full(String),
    /// The disk failed; nothing of the batch counts as kept.
    #[error("log: {0}")]
    Io(#[from] std::io::Error),
    /// What is on the disk is not what was written. Nothing was changed.
    #[error(
        "the log is damaged at {place}: {what}. Nothing was deleted; 'hallway rebuild' restores the newest backup and replays what can be read"
    )]
    Damaged {
        /// File and byte offset.
        place: String,
        /// What was found there.
        what: String,
    },
    /// Another process holds the log.
    #[error("the log in {0} is in use by another process")]
    Locked(String),
}

/// Durable, ordered, append-only storage of byte records.
pub trait Log: Send {
    /// Appends the records as one batch: when this returns `Ok(first)`, all of them are durable, numbered `first`, `first + 1`, …
    /// After an error none of them is, and the next append may succeed. (One exception no disk can avoid: when the disk
    /// refuses the repair too and the process then ends before another append succeeded, the batch may be found again,
    /// as a whole.) No records: nothing happens, `end() + 1` is returned.
    ///
    /// # Errors
    /// [`LogError::Full`] and [`LogError::Io`].
    fn append(&mut self, records: &[&[u8]]) -> Result<Lsn, LogError>;

    /// Calls `each` with every kept record above `after`, in order, until it returns `false`.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when a record above `after` is missing or unreadable; `each` was called for those before it.
    fn replay(&self, after: Lsn, each: &mut dyn FnMut(Lsn, &[u8]) -> bool) -> Result<(), LogError>;

    /// The last durable record's number, 0 for an empty log.
    fn end(&self) -> Lsn;

    /// The oldest record still kept, `end() + 1` when none is.
    fn start(&self) -> Lsn;

    /// Lets whole segments go that hold only records up to `through` and were last written before `before_ms`
    /// (Unix time). Returns how many went.
    ///
    /// # Errors
    /// [`LogError::Io`].
    fn release(&mut self, through: Lsn, before_ms: u64) -> Result<usize, LogError>;
}
