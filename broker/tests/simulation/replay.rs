//! A log applied from nothing, as a rebuild does it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hallway_broker::commit::ApplyStage;
use hallway_broker::recent::Recent;
use hallway_broker::state::memory::MemoryStore;

use crate::disk::Tape;

/// All records that come of it, and the last lsn.
pub fn fresh(tape: Tape, secret: [u8; 16]) -> (BTreeMap<Vec<u8>, Vec<u8>>, u64) {
    let store = MemoryStore::new();
    let state = Arc::new(store.open().unwrap());
    let stage = ApplyStage::open(Arc::new(Mutex::new(Box::new(tape))), state, Arc::new(Recent::default()), secret).unwrap();
    (store.snapshot(), stage.head().applied)
}
