//! What other threads hand to a shard: one push per batch, and one wake-up however many pushes.

use std::rc::Rc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::dispatch::Item;
use crate::queue::{Answer, Ticket};
use crate::shard::{Ending, Shard};

/// Deliveries that wait at most; dispatch waits for room, since a shard never waits for anybody.
const MAX_ITEMS: usize = 16_384;

/// Something to be run on a shard.
pub type Job = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// What a shard finds in its mailbox.
#[derive(Default)]
pub struct Mail {
    /// From dispatch, in order.
    pub items: Vec<Item>,
    /// Answers to its sessions' requests.
    pub answers: Vec<(Ticket, Answer)>,
    /// Sessions to end: slot, id, why.
    pub endings: Vec<(u32, u64, Ending)>,
    /// New connections and other things to start.
    pub jobs: Vec<Job>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.answers.is_empty() && self.endings.is_empty() && self.jobs.is_empty()
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Notify,
    taken: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Mail> {
        // Nothing panics while it holds the lock.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, put: impl FnOnce(&mut Mail)) {
        let mut mail = self.lock();
        let wake = mail.is_empty();
        put(&mut mail);
        drop(mail);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Hands over what dispatch has; waits while the shard has too much already.
    pub fn deliver(&self, items: &mut Vec<Item>) {
        let mut mail = self.lock();
        while mail.items.len() >= MAX_ITEMS {
            mail = self.taken.wait(mail).unwrap_or_else(PoisonError::into_inner);
        }
        let wake = mail.is_empty();
        mail.items.append(items);
        drop(mail);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Hands over answers. Their number is bounded by the requests that sessions may have open.
    pub fn answer(&self, answers: &mut Vec<(Ticket, Answer)>) {
        self.put(|mail| mail.answers.append(answers));
    }

    /// Ends a session.
    pub fn end(&self, slot: u32, id: u64, why: Ending) {
        self.put(|mail| mail.endings.push((slot, id, why)));
    }

    /// Runs something on the shard.
    pub fn run(&self, job: Job) {
        self.put(|mail| mail.jobs.push(job));
    }

    /// Waits for mail and takes all of it.
    pub async fn take(&self, into: &mut Mail) {
        loop {
            std::mem::swap(&mut *self.lock(), into);
            if !into.is_empty() {
                self.taken.notify_all();
                return;
            }
            self.arrived.notified().await;
        }
    }
}
