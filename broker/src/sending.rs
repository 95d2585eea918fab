//! How somebody sends: at what rate, and where they were let in before. An edge has one for each connection; the rate is the connection's, or the
//! user's over all of theirs.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::admit::Rate;
use crate::command::Draft;
use crate::hub::Hub;
use crate::ids::ConversationId;
use crate::reject::Reject;
use crate::session::Who;

/// Conversations that a connection is known to be allowed to post in.
const KNOWN_CONVERSATIONS: usize = 16;

/// How fast somebody sends.
enum Bucket {
    /// A connection's own.
    Own(Cell<Rate>),
    /// One for all connections and requests of a user, found when the first is sent: who only listens costs nothing.
    OfUser(OnceCell<Arc<Mutex<Rate>>>),
}

/// See the module's text.
pub struct Sending {
    rate: Bucket,
    /// Where its last messages were taken: not asked again before `apply` decides.
    known: RefCell<Vec<ConversationId>>,
}

impl Default for Sending {
    fn default() -> Self {
        Self { rate: Bucket::Own(Cell::default()), known: RefCell::default() }
    }
}

impl Sending {
    /// Sends at the rate of its user, see [`crate::rates`].
    #[must_use]
    pub fn of_user() -> Self {
        Self { rate: Bucket::OfUser(OnceCell::new()), known: RefCell::default() }
    }

    /// Counts one message or change.
    ///
    /// # Errors
    /// [`crate::reject::Reason::MessageRate`], with the time to wait.
    pub fn take(&self, hub: &Hub, who: &Who) -> Result<(), Reject> {
        let limits = hub.limits();
        let take = |rate: &mut Rate| rate.take(hub.clock().elapsed(), limits.messages_per_second, limits.message_burst);
        match &self.rate {
            Bucket::Own(own) => {
                let mut rate = own.get();
                let taken = take(&mut rate);
                own.set(rate);
                taken
            }
            Bucket::OfUser(rate) => {
                let rate = rate.get_or_init(|| hub.rates().of(who.conf, &who.uid));
                take(&mut rate.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// Counts one message or change as soon as it may be.
    pub async fn wait(&self, hub: &Hub, who: &Who) {
        while let Err(reject) = self.take(hub, who) {
            tokio::time::sleep(Duration::from_millis(reject.retry_after_ms.unwrap_or(100).max(1))).await;
        }
    }

    /// Whether the user may post there: asked of the store once, and again when something was refused.
    ///
    /// # Errors
    /// Why not.
    pub fn may_post(&self, hub: &Hub, who: &Who, id: &ConversationId) -> Result<(), Reject> {
        if !self.known.borrow().contains(id) {
            hub.reader().may_post(who.conf, &who.uid, id)?;
            let mut known = self.known.borrow_mut();
            if known.len() >= KNOWN_CONVERSATIONS {
                known.remove(0);
            }
            known.push(id.clone());
        }
        Ok(())
    }

    /// Admission of a message: what is refused here costs no disk.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn admit(&self, hub: &Hub, who: &Who, draft: &Draft) -> Result<(), Reject> {
        hub.writable()?;
        self.take(hub, who)?;
        self.may_post(hub, who, &draft.conversation)
    }

    /// Something was refused: ask again from now on.
    pub fn forget(&self) {
        self.known.borrow_mut().clear();
    }
}
