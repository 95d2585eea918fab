//! Messages by what other protocols call them: a pos, or the id that their sender gave them.

use std::sync::Arc;

use super::Reader;
use crate::apply::{Idempotency, idempotency_hash};
use crate::ids::{ConfNo, ConvNo, Uid};
use crate::keys;
use crate::model::Entry;
use crate::state::{Direction, StateError};
use crate::view::Found;

impl Reader {
    /// The seq of a conversation's event at `pos`; `None` when that is another conversation's, or nobody's.
    ///
    /// # Errors
    /// The state's.
    pub fn seq_at(&self, found: &Found, pos: u64) -> Result<Option<u64>, StateError> {
        let seq = self.seq_above(found, pos.saturating_sub(1))?;
        Ok(self.entry(found, seq)?.filter(|entry| entry.pos == pos).map(|_| seq))
    }

    /// The seq of the last message that `uid` sent with this client id, as long as the id is remembered.
    ///
    /// # Errors
    /// The state's.
    pub fn said_as(&self, found: &Found, uid: &Uid, client_id: &str) -> Result<Option<u64>, StateError> {
        if client_id.is_empty() {
            return Ok(None);
        }
        let hash = idempotency_hash(&self.secret, uid, client_id);
        let known: Option<Idempotency> = self.get(&keys::idempotency(found.conf, found.record.no, hash))?;
        Ok(known.map(|known| known.seq))
    }

    /// An entry of the conversation with this number.
    ///
    /// # Errors
    /// The state's.
    pub fn entry_of(&self, conf: ConfNo, conv: ConvNo, seq: u64) -> Result<Option<Entry>, StateError> {
        self.get(&keys::entry(conf, conv, seq))
    }

    /// The reactions that somebody has given to a message and not taken back.
    ///
    /// # Errors
    /// The state's.
    pub fn reactions_by(&self, conf: ConfNo, conv: ConvNo, target: u64, uid: &Uid) -> Result<Vec<Arc<str>>, StateError> {
        let prefix = keys::reactions(conf, conv, target, uid);
        let mut emojis = Vec::new();
        self.visit(&prefix, Direction::Ascending, |key, _| {
            emojis.push(String::from_utf8_lossy(&key[prefix.len()..]).into());
            Ok(true)
        })?;
        Ok(emojis)
    }
}
