//! A state that a test looks over the shoulder of: it does what another does, and says what is read.

use std::sync::Arc;

use super::{Batch, Direction, State, StateError, Visitor};

/// What a test does while a state is read.
pub(crate) trait Watch: Send + Sync {
    /// A record was looked up or visited.
    fn record_read(&self) {}
    /// A scan is over.
    fn scanned(&self) {}
}

/// The state, and who watches it.
pub(crate) struct Watched<W> {
    pub state: Arc<dyn State>,
    pub watch: W,
}

impl<W: Watch> State for Watched<W> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.watch.record_read();
        self.state.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visitor<'_>) -> Result<(), StateError> {
        let watched = &mut |key: &[u8], value: &[u8]| {
            self.watch.record_read();
            visit(key, value)
        };
        self.state.scan(from, to, direction, watched)?;
        self.watch.scanned();
        Ok(())
    }
    fn commit(&self, batch: &Batch) -> Result<(), StateError> {
        self.state.commit(batch)
    }
    fn checkpoint(&self) -> Result<(), StateError> {
        self.state.checkpoint()
    }
    fn reopen(&self) -> Result<(), StateError> {
        self.state.reopen()
    }
    fn size_bytes(&self) -> u64 {
        self.state.size_bytes()
    }
}
