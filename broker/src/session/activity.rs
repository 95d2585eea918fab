//! When a session's user last did something with it: who is not away is not pushed to. Pings, acks, subscriptions and what things publish are no deeds.

use std::sync::atomic::Ordering::Relaxed;

use super::Session;
use crate::command::Action;
use crate::model::Status;

impl Session {
    /// Its user did something. Cheap, since every message says so.
    pub fn note_active(&self) {
        self.active_ms.store(self.shard.hub.clock().now_ms(), Relaxed);
    }

    /// An action is carried out with it.
    pub fn note(&self, action: &Action) {
        if action.is_deed() {
            self.note_active();
        }
    }

    pub(super) fn note_presence(&self, status: Status) {
        if status == Status::Online {
            self.note_active();
        }
    }
}
