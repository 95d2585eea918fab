//! The way of one command from the queue to everybody, top to bottom:
//!
//! 1. [`LogStage::append`]: a batch is stamped with the time and made durable in the log;
//! 2. [`ApplyStage::apply`]: `apply` turns each command into events and changes, and the changes of the batch become
//!    visible in the state as one;
//! 3. only then [`ApplyStage::apply`] returns the answers, and the events go to the backbone, in pos order.
//!
//! The stages do no threading of their own: [`crate::hub`] runs each in a thread, the simulator steps them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::apply::apply;
use crate::command::{Action, Command};
use crate::keys;
use crate::log::{Log, LogError, Lsn};
use crate::model::Body;
use crate::queue::{Answer, BATCH_COMMANDS, ReplyTo, Submission};
use crate::reader::Reader;
use crate::recent::{Published, Recent};
use crate::reject::{Reason, Reject};
use crate::state::{Batch, State, StateError};
use crate::view::{Kept, Made, SCHEMA, StoreHead, View, decode, encode};

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The log's side.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state's side.
    #[error(transparent)]
    State(#[from] StateError),
    /// Written by another version.
    #[error(
        "the store has record schema {found}, this build reads {SCHEMA}: use the build that wrote it, or 'hallway export' there and import here"
    )]
    Schema {
        /// What the store says.
        found: u32,
    },
    /// Log and state do not belong together.
    #[error(
        "the log ends at {log_end}, but the state has applied {applied}: the log was cut or belongs to another store. Nothing was changed; \
             'hallway rebuild' goes back to the newest backup"
    )]
    LogBehind {
        /// The log's last record.
        log_end: Lsn,
        /// The state's last.
        applied: Lsn,
    },
}

/// Commands that are durable, not yet applied.
#[derive(Debug)]
pub struct Logged {
    first: Lsn,
    batch: Vec<Submission>,
}

impl Logged {
    /// Gives those who wait for the batch's answers a refusal, since it will take longer.
    #[must_use]
    pub fn give_up(&mut self, reason: Reason) -> Vec<Answered> {
        let give_up = |submission: &mut Submission| Answered {
            reply: std::mem::replace(&mut submission.reply, ReplyTo::Nobody),
            since_us: submission.since_us,
            answer: Err(Reject::from(reason)),
        };
        self.batch.iter_mut().map(give_up).collect()
    }

    /// Commands in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }
}

/// An answer and where it goes.
#[derive(Debug)]
pub struct Answered {
    /// Where.
    pub reply: ReplyTo,
    /// Since when it was waited for, µs of the hub's clock.
    pub since_us: u64,
    /// The answer.
    pub answer: Answer,
}

/// The log, shared between the stage that appends and the one that may have to read again what it lost.
pub type SharedLog = Arc<Mutex<Box<dyn Log>>>;

/// Makes batches durable.
pub struct LogStage {
    log: SharedLog,
    /// The encoded commands of a batch, one after the other, and where each ends.
    encoded: Vec<u8>,
    ends: Vec<usize>,
}

impl LogStage {
    /// A stage in front of `log`.
    #[must_use]
    pub fn new(log: SharedLog) -> Self {
        Self { log, encoded: Vec::new(), ends: Vec::new() }
    }

    /// Stamps the batch and appends it to the log. On failure all of it is refused, and nothing of it will ever be applied.
    ///
    /// # Errors
    /// The answers to send, and what the log said.
    pub fn append(&mut self, mut batch: Vec<Submission>, now_ms: u64) -> Result<Logged, (Vec<Answered>, LogError)> {
        self.encoded.clear();
        self.ends.clear();
        for submission in &mut batch {
            submission.command.at_ms = now_ms;
            let buffer = std::mem::take(&mut self.encoded);
            // A command holds nothing that postcard cannot write.
            self.encoded = postcard::to_extend(&submission.command, buffer).unwrap_or_default();
            self.ends.push(self.encoded.len());
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let records: Vec<&[u8]> = starts.zip(&self.ends).map(|(start, end)| &self.encoded[start..*end]).collect();
        let appended = self.log.lock().unwrap_or_else(PoisonError::into_inner).append(&records);
        match appended {
            Ok(first) => Ok(Logged { first, batch }),
            Err(error) => {
                let reason = if matches!(error, LogError::Full(_)) { Reason::DiskFull } else { Reason::StoreError };
                Err((refuse(batch, reason), error))
            }
        }
    }
}

/// Answers a batch with a refusal.
#[must_use]
pub fn refuse(batch: Vec<Submission>, reason: Reason) -> Vec<Answered> {
    let refused = |Submission { reply, since_us, .. }| Answered { reply, since_us, answer: Err(Reject::from(reason)) };
    batch.into_iter().map(refused).collect()
}

/// What a batch came to: send the answers, publish the rest.
#[derive(Debug, Default)]
pub struct Applied {
    /// Answers of the batch, in its order.
    pub answers: Vec<Answered>,
    /// Its events as they go out, in pos order in each conference.
    pub events: Vec<Arc<Published>>,
    /// What else it made.
    pub made: Made,
}

/// What a batch came to, answers without their askers.
struct Committed {
    answers: Vec<Answer>,
    events: Vec<Arc<Published>>,
    made: Made,
}

/// Applies durable batches to the state.
pub struct ApplyStage {
    log: SharedLog,
    state: Arc<dyn State>,
    recent: Arc<Recent>,
    kept: Kept,
    head: StoreHead,
}

impl ApplyStage {
    /// Opens the state: a new one is sealed with `secret`; then the log is applied from where the state is.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was deleted.
    pub fn open(log: SharedLog, state: Arc<dyn State>, recent: Arc<Recent>, secret: [u8; 16]) -> Result<Self, StoreError> {
        let head = StoreHead { schema: SCHEMA, applied: 0, secret, conferences: 0 };
        let mut stage = Self { log, state, recent, kept: Kept::default(), head };
        stage.read_head()?;
        stage.seal()?;
        let log_end = stage.log.lock().unwrap_or_else(PoisonError::into_inner).end();
        if log_end < stage.head.applied {
            return Err(StoreError::LogBehind { log_end, applied: stage.head.applied });
        }
        stage.catch_up(log_end)?;
        Ok(stage)
    }

    /// Makes a new store's secret durable before anything is told that it goes into: else a crash before the first checkpoint would change the
    /// ids of events.
    fn seal(&self) -> Result<(), StateError> {
        if self.state.get(&keys::store_head())?.is_some() {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.put(keys::store_head(), encode(&self.head));
        self.state.commit(&batch)?;
        self.state.checkpoint()
    }

    /// The store's head.
    #[must_use]
    pub fn head(&self) -> &StoreHead {
        &self.head
    }

    fn read_head(&mut self) -> Result<(), StoreError> {
        self.kept = Kept::default();
        self.head = match self.state.get(&keys::store_head())? {
            Some(bytes) => decode(&bytes)?,
            None => StoreHead { applied: 0, conferences: 0, ..self.head.clone() },
        };
        if self.head.schema == SCHEMA { Ok(()) } else { Err(StoreError::Schema { found: self.head.schema }) }
    }

    /// Applies what the log has up to `through` and the state has not. Nobody waits for these answers any more: they were given
    /// before, or will be when the command is sent again; readers resume by cursor.
    fn catch_up(&mut self, through: Lsn) -> Result<(), StoreError> {
        while self.head.applied < through {
            let limit = BATCH_COMMANDS.min(usize::try_from(through - self.head.applied).unwrap_or(usize::MAX));
            let commands = self.read_log(limit)?;
            let last = self.head.applied + commands.len() as Lsn;
            self.commit(&commands, last)?;
        }
        Ok(())
    }

    fn read_log(&self, limit: usize) -> Result<Vec<Command>, StoreError> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut commands = Vec::new();
        let mut damage = None;
        log.replay(self.head.applied, &mut |lsn, bytes| {
            match decode(bytes) {
                Ok(command) => commands.push(command),
                Err(error) => damage = Some(LogError::Damaged { place: format!("record {lsn}"), what: error.to_string() }),
            }
            damage.is_none() && commands.len() < limit
        })?;
        if commands.is_empty() && damage.is_none() {
            damage = Some(LogError::Damaged { place: format!("record {}", self.head.applied + 1), what: "not there".into() });
        }
        match damage {
            Some(damage) => Err(damage.into()),
            None => Ok(commands),
        }
    }

    /// After a failed [`ApplyStage::apply`]: opens the state again and brings it to just before the failed batch.
    ///
    /// # Errors
    /// It fails still: wait, then try again.
    pub fn recover(&mut self, failed: &Logged) -> Result<(), StoreError> {
        self.recent.state_falls_behind();
        self.state.reopen()?;
        self.read_head()?;
        self.catch_up(failed.first - 1)?;
        if self.head.applied >= failed.first {
            // The failed commit had reached the disk after all: what it took back is in memory still.
            self.recent.clear();
        }
        self.recent.state_has_caught_up();
        Ok(())
    }

    /// Applies a batch and commits its changes.
    ///
    /// # Errors
    /// The state's: nothing of the batch is visible, and nothing may be answered. Call [`ApplyStage::recover`], then again.
    pub fn apply(&mut self, logged: &mut Logged) -> Result<Applied, StateError> {
        let last = logged.first + logged.batch.len() as Lsn - 1;
        if self.head.applied >= last {
            return self.find_applied(logged);
        }
        let Committed { answers, events, made } = self.commit(logged.batch.iter().map(|submission| &submission.command), last)?;
        let answered = |(Submission { reply, since_us, .. }, answer)| Answered { reply, since_us, answer };
        Ok(Applied { answers: logged.batch.drain(..).zip(answers).map(answered).collect(), events, made })
    }

    /// A commit that failed had reached the disk after all. What came of it is in the state: a retry will find it. Of each conference only the last
    /// event is told: dispatch fills the hole before it from the store.
    fn find_applied(&self, logged: &mut Logged) -> Result<Applied, StateError> {
        let reader = Reader::new(Arc::clone(&self.state), Arc::clone(&self.recent), self.head.secret);
        let mut conferences: Vec<_> = logged.batch.iter().map(|submission| submission.command.conf).collect();
        conferences.sort_unstable();
        conferences.dedup();
        let mut applied = Applied::default();
        for conf in conferences {
            let end = reader.conference_head(conf)?.pos;
            applied.events.append(&mut reader.range(conf, end.saturating_sub(1), end, 1)?);
        }
        for Submission { command, .. } in &logged.batch {
            if let Action::SetPassword { uid, .. } | Action::Erase { uid } = &command.action {
                applied.made.revoked.push((command.conf, uid.clone()));
            }
        }
        // What the batch took back is not known here.
        self.recent.clear();
        for event in &applied.events {
            self.recent.push(Arc::clone(event));
        }
        applied.answers = refuse(std::mem::take(&mut logged.batch), Reason::StoreError);
        Ok(applied)
    }

    fn commit<'c>(&mut self, commands: impl IntoIterator<Item = &'c Command>, last: Lsn) -> Result<Committed, StateError> {
        let mut view = View::new(&*self.state, &mut self.kept, self.head.clone());
        let mut answers = Vec::new();
        for command in commands {
            match apply(&mut view, command) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    self.kept = Kept::default();
                    return Err(error);
                }
            }
        }
        view.head.applied = last;
        let (batch, head, mut made) = view.finish();
        if let Err(error) = self.state.commit(&batch) {
            self.kept = Kept::default();
            return Err(error);
        }
        self.head = head;
        let events = self.remember(&mut made);
        Ok(Committed { answers, events, made })
    }

    /// Puts the new events among the recent ones, and tombstones in the place of what was taken back.
    fn remember(&self, made: &mut Made) -> Vec<Arc<Published>> {
        let events: Vec<_> = made.events.drain(..).map(Published::new).collect();
        for event in &events {
            self.recent.push(Arc::clone(event));
        }
        for (conf, pos) in &made.tombstones {
            self.recent.replace(*conf, *pos, tombstone);
        }
        events
    }
}

/// The event without its text.
fn tombstone(event: &Published) -> Option<Arc<Published>> {
    let mut event = (*event.event).clone();
    match &mut event.entry.body {
        Body::Message(message) => {
            message.text = "".into();
            message.mentions.clear();
            message.attachments.clear();
            message.deleted.get_or_insert(0);
        }
        Body::Edit { text, .. } => *text = "".into(),
        Body::Publication(publication) | Body::Stored(publication) => *publication = Arc::new(publication.buried()),
        _ => return None,
    }
    Some(Published::new(event))
}
