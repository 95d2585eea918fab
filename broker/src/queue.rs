//! Commands on their way to the log: one bounded queue, fair between conferences. A full queue is not an error: who submits waits,
//! and its socket is not read meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::command::{Action, Command, Outcome};
use crate::ids::ConfNo;
use crate::reject::{Reason, Reject};

/// Commands of one batch.
pub const BATCH_COMMANDS: usize = 256;
/// Bytes of one batch, about.
pub const BATCH_BYTES: usize = 1 << 20;
/// Commands that wait at most.
const QUEUE_COMMANDS: usize = 8192;
/// Bytes that wait at most, about.
const QUEUE_BYTES: usize = 16 << 20;

/// What came of a command, as its asker gets it.
pub type Answer = Result<Outcome, Reject>;

/// Where an answer goes.
#[derive(Debug)]
pub enum ReplyTo {
    /// Nobody waits.
    Nobody,
    /// A task that awaits it.
    Caller(oneshot::Sender<Answer>),
    /// A session, through its shard's mailbox.
    Session(Ticket),
}

/// A request of a session that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The session's shard.
    pub shard: u16,
    /// Its slot there.
    pub slot: u32,
    /// Its id: slots are used again, ids are not.
    pub session: u64,
    /// The session's own number for the request.
    pub tag: u32,
}

/// A command and where its answer goes.
#[derive(Debug)]
pub struct Submission {
    /// What is asked.
    pub command: Command,
    /// Who waits.
    pub reply: ReplyTo,
    /// Since when, µs of the hub's clock.
    pub since_us: u64,
}

impl Submission {
    /// About how many bytes the command takes in the log.
    fn bytes(&self) -> usize {
        64 + match &self.command.action {
            Action::Send(draft) => {
                let lists = draft.attachments.iter().chain(&draft.mentions);
                draft.text.len() + draft.client_id.len() + lists.map(|text| text.len()).sum::<usize>()
            }
            Action::Edit { text, .. } => text.len(),
            Action::Create { members, .. } => members.len() * 32,
            Action::KeepItem { payload, .. } => 512 + payload.len(),
            _ => 512,
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    /// A line per conference with something waiting; the first is next.
    lines: VecDeque<(ConfNo, VecDeque<Submission>)>,
    commands: usize,
    bytes: usize,
    closed: bool,
}

/// The queue in front of the log.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    room: Notify,
    /// How many were ever put in, and how many of them were answered.
    pushed: AtomicU64,
    answered: AtomicU64,
    settled: Notify,
}

impl Queue {
    /// Puts the submissions in, all or none.
    ///
    /// # Errors
    /// Gives them back when there is no room. When the queue is closed, they are dropped: the drain tells everybody.
    pub fn push(&self, submissions: Vec<Submission>) -> Result<(), Vec<Submission>> {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            // Dropping a caller's channel tells it the same; sessions are told by the drain.
            return Ok(());
        }
        if waiting.commands >= QUEUE_COMMANDS || waiting.bytes >= QUEUE_BYTES {
            return Err(submissions);
        }
        self.pushed.fetch_add(submissions.len() as u64, Relaxed);
        for submission in submissions {
            waiting.commands += 1;
            waiting.bytes += submission.bytes();
            let conf = submission.command.conf;
            match waiting.lines.iter_mut().find(|(line, _)| *line == conf) {
                Some((_, line)) => line.push_back(submission),
                None => waiting.lines.push_back((conf, VecDeque::from([submission]))),
            }
        }
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Puts the submissions in, waiting while there is no room.
    pub async fn submit(&self, mut submissions: Vec<Submission>) {
        loop {
            let room = self.room.notified();
            match self.push(submissions) {
                Ok(()) => return,
                Err(back) => submissions = back,
            }
            room.await;
        }
    }

    /// Submits one command and waits for its answer.
    ///
    /// # Errors
    /// The refusal.
    pub async fn call(&self, command: Command, since_us: u64) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.submit(vec![Submission { command, reply: ReplyTo::Caller(reply), since_us }]).await;
        answer.await.unwrap_or(Err(Reason::Draining.into()))
    }

    /// Takes the next batch, waiting until there is one; `false` when the queue is closed and empty. Conferences take turns.
    pub fn take(&self, batch: &mut Vec<Submission>) -> bool {
        let mut waiting = self.lock();
        while waiting.commands == 0 {
            if waiting.closed {
                return false;
            }
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.fill(batch);
        drop(waiting);
        self.room.notify_waiters();
        true
    }

    /// So many more were answered.
    pub fn note_answered(&self, count: usize) {
        self.answered.fetch_add(count as u64, Relaxed);
        self.settled.notify_waiters();
    }

    /// Waits until all that is in now has been answered: who reads the state then finds what came of it.
    pub async fn settle(&self) {
        let pushed = self.pushed.load(Relaxed);
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            // From now on it is told, also before it is awaited.
            settled.as_mut().enable();
            if self.answered.load(Relaxed) >= pushed {
                return;
            }
            settled.await;
        }
    }

    /// Lets nothing more in; what is in still comes out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.room.notify_waiters();
    }

    /// Commands that wait.
    pub fn len(&self) -> usize {
        self.lock().commands
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock; a poisoned one is as good as any.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Each conference in turn gives a share of what room is left, so that a busy one cannot starve the others.
    fn fill(&mut self, batch: &mut Vec<Submission>) {
        let mut bytes = 0;
        while batch.len() < BATCH_COMMANDS && bytes < BATCH_BYTES {
            let share = (BATCH_COMMANDS - batch.len()).div_ceil(self.lines.len().max(1));
            let Some((conf, mut line)) = self.lines.pop_front() else { break };
            for _ in 0..share {
                let Some(submission) = line.pop_front() else { break };
                bytes += submission.bytes();
                self.commands -= 1;
                self.bytes -= submission.bytes();
                batch.push(submission);
                if bytes >= BATCH_BYTES {
                    break;
                }
            }
            if !line.is_empty() {
                self.lines.push_back((conf, line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Actor;

    fn submission(conf: u32, at_ms: u64) -> Submission {
        let command = Command { conf: ConfNo(conf), actor: Actor::system(), at_ms, action: Action::RemoveConference };
        Submission { command, reply: ReplyTo::Nobody, since_us: 0 }
    }

    #[test]
    fn conferences_share_a_batch_and_keep_their_order() {
        let queue = Queue::default();
        queue.push((0..1000).map(|i| submission(1, i)).collect()).unwrap();
        queue.push((0..10).map(|i| submission(2, i)).collect()).unwrap();
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch));
        assert_eq!(batch.len(), BATCH_COMMANDS);
        for conf in [1, 2] {
            let times: Vec<u64> = batch.iter().filter(|s| s.command.conf == ConfNo(conf)).map(|s| s.command.at_ms).collect();
            assert!(times.is_sorted());
            assert!(times.len() >= 10, "conference {conf} got {}", times.len());
        }
    }

    #[test]
    fn is_bounded_and_ends() {
        let queue = Queue::default();
        let mut taken = 0;
        while queue.push((0..100).map(|i| submission(1, i)).collect()).is_ok() {
            taken += 100;
            assert!(taken <= QUEUE_COMMANDS + 100);
        }
        queue.close();
        let mut count = 0;
        let mut batch = Vec::new();
        while queue.take(&mut batch) {
            count += batch.drain(..).count();
        }
        assert_eq!(count, taken);
    }
}
