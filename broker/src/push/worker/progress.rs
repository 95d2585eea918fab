//! What is written down: where each conference is, what is to be tried again, what was given up.

use tokio::time::Instant;

use super::super::desk::{Change, Desk, action};
use super::{WRITE, WRITE_AGAIN, Worker};
use crate::command::{Action, Actor};
use crate::reject::{Reason, Reject};

impl Worker {
    /// Writes down where each conference is, and what is to be tried again.
    pub(super) async fn write(&mut self) {
        let is_time = Instant::now() >= self.write_at;
        let mut desks = std::mem::take(&mut self.desks);
        for desk in &mut desks {
            while desk.is_full() || (is_time && desk.has_news()) {
                if !self.write_some(desk).await {
                    self.write_at = Instant::now() + WRITE_AGAIN;
                    break;
                }
            }
            self.forget_gone(desk).await;
        }
        self.desks = desks;
        if is_time {
            self.write_at = self.write_at.max(Instant::now() + WRITE);
        }
    }

    /// One command's worth; whether it was taken.
    async fn write_some(&mut self, desk: &mut Desk) -> bool {
        let (cursor, changes) = desk.take_changes();
        match self.hub.call(desk.conf, Actor::system(), action(&cursor, &changes)).await {
            Ok(_) => {
                desk.is_written(cursor, &changes);
                changes.iter().for_each(|change: &Change| self.lanes.leave(&change.place(desk.conf)));
                true
            }
            Err(reject) => {
                if reject.reason != Reason::Draining {
                    tracing::warn!(%reject, "how far push is cannot be written down yet");
                }
                desk.is_not_written(changes);
                false
            }
        }
    }

    async fn forget_gone(&self, desk: &mut Desk) {
        for (uid, target, since_ms) in std::mem::take(&mut desk.gone) {
            let forget = Action::ForgetTarget { uid, target, since_ms: Some(since_ms) };
            // One that could not be forgotten is found gone again.
            if let Err(Reject { reason, .. }) = self.hub.call(desk.conf, Actor::system(), forget).await
                && reason != Reason::UnknownTarget
            {
                tracing::warn!(reason = reason.word(), "a push target that is gone could not be forgotten yet");
            }
        }
    }
}
