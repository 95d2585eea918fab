//! How fast each user sends by whatever connection, so that connecting anew is no way to send more at once.

use std::sync::{Arc, Mutex, PoisonError};

use crate::admit::Rate;
use crate::generations::Generations;
use crate::ids::{ConfNo, Uid};

/// Users whose rate is remembered without a connection that uses it.
const REMEMBERED: usize = 10_000;

/// By user.
type Remembered = Generations<(ConfNo, Uid), Arc<Mutex<Rate>>>;

/// See the module's text.
#[derive(Debug)]
pub struct Rates {
    of: Mutex<Remembered>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { of: Mutex::new(Remembered::new(REMEMBERED)) }
    }
}

impl Rates {
    /// The rate of all that a user sends. A connection asks once, when it sends first.
    #[must_use]
    pub fn of(&self, conf: ConfNo, uid: &Uid) -> Arc<Mutex<Rate>> {
        let key = (conf, uid.clone());
        let mut rates = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rate) = rates.get(&key) {
            return Arc::clone(rate);
        }
        let rate = Arc::default();
        rates.insert(key, Arc::clone(&rate));
        rate
    }
}
