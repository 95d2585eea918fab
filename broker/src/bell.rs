//! How a connection's task learns that there is something to do. Its shard writes to it and answers it without the task; what only the task can do, the
//! shard rings for.

use std::cell::Cell;

use tokio::sync::Notify;

use crate::shard::Ending;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Notify,
    ending: Cell<Option<Ending>>,
    awaits_answers: Cell<bool>,
}

impl Bell {
    /// There is something to do.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// Waits until there is; at once when it was rung since the last time.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// An answer was written: something to do for a task that waits for it.
    pub fn answered(&self) {
        if self.awaits_answers.get() {
            self.ring();
        }
    }

    /// Whether the task waits for answers, or for the room that they leave.
    pub fn await_answers(&self, awaits: bool) {
        self.awaits_answers.set(awaits);
    }

    /// The session must end.
    pub fn end(&self, why: Ending) {
        self.ending.set(Some(why));
        self.ring();
    }

    /// Why the session must end; `None` while it need not.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get()
    }
}
