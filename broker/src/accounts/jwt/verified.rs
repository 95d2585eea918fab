//! Tokens that were checked, as keyed hashes in memory, so that a reconnect storm costs no signatures and no look-ups of subjects.

use std::sync::{Mutex, PoisonError};

use ring::hmac;

use crate::clock;
use crate::generations::Generations;
use crate::ids::{ConfNo, Uid};

/// Tokens that are remembered at least; at most twice as many are.
const REMEMBERED: usize = 16_384;

/// Whom a token was found to be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The number of the provider.
    pub provider: usize,
    /// The generation of the keys by which it was found.
    pub generation: u64,
    /// In which conference: one that is made anew under the same id is another.
    pub conf: ConfNo,
    /// Who.
    pub uid: Uid,
    /// Until when, Unix ms.
    pub expires_ms: u64,
}

/// See the module's text.
pub struct Verified {
    key: hmac::Key,
    known: Mutex<Generations<[u8; 32], Known>>,
}

impl Default for Verified {
    fn default() -> Self {
        let key: [u8; 32] = clock::random();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), known: Mutex::new(Generations::new(REMEMBERED)) }
    }
}

impl Verified {
    /// What stands for a token that was presented for a conference.
    fn mark(&self, token: &str, conference: Option<&str>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // No id of a conference holds a zero byte.
        context.update(conference.unwrap_or_default().as_bytes());
        context.update(&[0]);
        context.update(token.as_bytes());
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    /// Whom it was found to be of.
    pub fn find(&self, token: &str, conference: Option<&str>) -> Option<Known> {
        let mark = self.mark(token, conference);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&mark).cloned()
    }

    /// It was found to be of somebody.
    pub fn remember(&self, token: &str, conference: Option<&str>, known: Known) {
        let mark = self.mark(token, conference);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(mark, known);
    }
}
