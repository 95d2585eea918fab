//! The hub: opens the store, runs the stages of [`crate::commit`] and [`crate::dispatch`] in threads, the shards in others, and is what edges
//! and the control socket talk to.

mod attached;
mod badges;
mod health;
mod housekeeping;
mod kept;
mod options;
mod push;
mod sweep;
#[cfg(test)]
mod tests;
mod threads;
mod topics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::allowances::Webhook;
use crate::backbone::{self, Publisher, Subscription};
use crate::backup::{self, Snapshots};
use crate::badges::Badges;
use crate::clock::{self, Clock};
use crate::command::{Action, Actor, Command, Outcome};
use crate::commit::{ApplyStage, LogStage, SharedLog, StoreError};
use crate::dispatch::{Dispatch, Ends, Interest, telling_payload};
use crate::files::Files;
use crate::gatherings::Gatherings;
use crate::ids::ConfNo;
use crate::limits::Limits;
use crate::log::segment::{SegmentLog, SegmentOptions};
use crate::mailbox::{Job, Mailbox};
use crate::metrics::{Gauges, Metrics};
use crate::model::Signal;
use crate::outbox::Budget;
use crate::push::gateway::Gateway;
use crate::queue::{Queue, ReplyTo, Submission};
use crate::rates::Rates;
use crate::recent::Recent;
use crate::registry::Wires;
use crate::reject::Reject;
use crate::sessions::{Live, Sessions};
use crate::shard::{Audience, Ending};
use crate::shares::{Share, Shares};
use crate::state::State;
use crate::state::sled::{SledOptions, SledState};
use crate::topic::{Telling, Topic};
use health::Health;

pub use crate::reader::Reader;
pub use options::{HubOptions, OpenError, StoreOptions};

/// Batches that are durable and wait to be applied.
const PIPELINE_BATCHES: usize = 4;
/// How long a drain waits for sessions to go.
const DRAIN_WAIT: Duration = Duration::from_secs(3);
/// Shards at most: a topic's readers are a bit for each.
const MAX_SHARDS: usize = 64;

/// See the module's text.
pub struct Hub {
    options: HubOptions,
    clock: Arc<dyn Clock>,
    queue: Arc<Queue>,
    reader: Reader,
    sessions: Sessions,
    rates: Rates,
    interest: Arc<Interest>,
    shares: Arc<Shares>,
    gatherings: Gatherings,
    ends: Arc<Ends>,
    /// Where each conference was when the hub opened.
    started_at: OnceLock<HashMap<ConfNo, u64>>,
    recent: Arc<Recent>,
    metrics: Metrics,
    health: Health,
    budget: Arc<Budget>,
    /// The link that signals are published over; never waits.
    signals: Mutex<Box<dyn Publisher>>,
    /// Taken by dispatch when the shards start.
    subscription: Mutex<Option<Box<dyn Subscription>>>,
    log: SharedLog,
    /// The state, as backups see it.
    snapshots: Arc<Snapshots>,
    /// The bytes of attached files.
    files: Files,
    mailboxes: OnceLock<Vec<Arc<Mailbox>>>,
    audience: OnceLock<Arc<dyn Audience>>,
    topic_webhooks: OnceLock<HashMap<String, Arc<Webhook>>>,
    badges: Badges,
    /// Who delivers pushes.
    gateways: OnceLock<Vec<Arc<dyn Gateway>>>,
    push: push::Thread,
    next_shard: AtomicUsize,
    next_session: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stopped: AtomicBool,
}

impl Hub {
    /// Opens the store in `data_dir`, replays what the log has and the state has not, and starts the threads of the way in.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was deleted.
    pub fn open(options: HubOptions, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        backup::finish_interrupted(&options.data_dir)?;
        let times = Arc::clone(&clock);
        let mut segments = SegmentOptions::new(options.data_dir.join("log"), Arc::new(move || times.now_ms()));
        segments.segment_bytes = options.store.segment_bytes;
        let log = SegmentLog::open(segments).map_err(StoreError::from)?;
        let mut sled = SledOptions::new(options.data_dir.join("store"));
        sled.cache_bytes = options.store.cache_bytes;
        let snapshots = Arc::new(Snapshots::new(Arc::new(SledState::open(sled).map_err(StoreError::from)?)));
        let state: Arc<dyn State> = Arc::clone(&snapshots) as _;
        let log: SharedLog = Arc::new(Mutex::new(Box::new(log)));
        let recent = Arc::new(Recent::default());
        let secret = backup::kept_secret(&options.data_dir).unwrap_or_else(clock::random);
        let apply = ApplyStage::open(Arc::clone(&log), Arc::clone(&state), Arc::clone(&recent), secret)?;
        backup::keep_secret(&options.data_dir, apply.head().secret)?;
        let files = Files::new(&options.data_dir);
        files.forget_incoming()?;
        let (publisher, signals, subscription) = backbone::embedded()?;
        let hub = Arc::new(Self {
            reader: Reader::new(state, Arc::clone(&recent), apply.head().secret),
            clock,
            queue: Arc::default(),
            sessions: Sessions::default(),
            rates: Rates::default(),
            interest: Arc::default(),
            shares: Arc::default(),
            gatherings: Gatherings::default(),
            ends: Arc::default(),
            started_at: OnceLock::new(),
            recent,
            metrics: Metrics::default(),
            health: Health::default(),
            budget: Budget::new(options.limits.outboxes_bytes),
            signals: Mutex::new(signals),
            subscription: Mutex::new(Some(subscription)),
            log: Arc::clone(&log),
            snapshots,
            files,
            mailboxes: OnceLock::new(),
            audience: OnceLock::new(),
            topic_webhooks: OnceLock::new(),
            badges: Badges::new(&options.badges),
            gateways: OnceLock::new(),
            push: push::Thread::default(),
            next_shard: AtomicUsize::new(0),
            // Ids of before a restart are nobody's: events remember the session that they came from.
            next_session: AtomicU64::new(u64::from_be_bytes(clock::random()) >> 16),
            threads: Mutex::default(),
            stopped: AtomicBool::new(false),
            options,
        });
        hub.note_ends()?;
        hub.start(LogStage::new(log), apply, publisher)?;
        Ok(hub)
    }

    /// Where each conference is, so that dispatch starts there.
    fn note_ends(&self) -> Result<(), OpenError> {
        let mut started_at = HashMap::new();
        for (_, conference) in self.reader.conferences().map_err(StoreError::from)? {
            let head = self.reader.conference_head(conference.no).map_err(StoreError::from)?;
            self.ends.reached(conference.no, head.pos);
            started_at.insert(conference.no, head.pos);
        }
        // Opened once.
        let _ = self.started_at.set(started_at);
        Ok(())
    }

    fn start(self: &Arc<Self>, log: LogStage, apply: ApplyStage, publisher: Box<dyn Publisher>) -> Result<(), OpenError> {
        let (logged, to_apply) = std::sync::mpsc::sync_channel(PIPELINE_BATCHES);
        let hub = Arc::clone(self);
        self.spawn("log", move || threads::log(&hub, log, &logged))?;
        let hub = Arc::clone(self);
        self.spawn("apply", move || threads::apply(&hub, apply, publisher, &to_apply))?;
        let hub = Arc::clone(self);
        self.spawn("housekeeping", move || housekeeping::run(&hub))
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let thread = threads::spawn(name.to_owned(), run)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Starts the shards and dispatch to them; `wires` are the wire forms of the edges.
    ///
    /// # Errors
    /// [`OpenError::System`].
    pub fn start_shards(self: &Arc<Self>, wires: &Arc<Wires>) -> Result<(), OpenError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if self.options.shards == 0 { cores } else { self.options.shards }.min(MAX_SHARDS);
        let runtimes = (0..count).map(|_| threads::runtime()).collect::<Result<Vec<_>, _>>()?;
        let mailboxes: Vec<Arc<Mailbox>> = (0..count).map(|_| Arc::default()).collect();
        if self.mailboxes.set(mailboxes.clone()).is_err() {
            return Ok(());
        }
        for ((index, mailbox), runtime) in (0u16..).zip(mailboxes.iter().cloned()).zip(runtimes) {
            let (hub, wires) = (Arc::clone(self), Arc::clone(wires));
            // Shards end with the process: their connections are ended by the drain.
            threads::spawn(format!("shard-{index}"), move || threads::shard(index, hub, mailbox, wires, &runtime))?;
        }
        let subscription = self.subscription.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(subscription) = subscription {
            let (recent, ends) = (Arc::clone(&self.recent), Arc::clone(&self.ends));
            let (interest, shares) = (Arc::clone(&self.interest), Arc::clone(&self.shares));
            let dispatch = Dispatch::new(self.reader.clone(), recent, ends, interest, shares, count);
            let hub = Arc::clone(self);
            self.spawn("dispatch", move || threads::dispatch(&hub, dispatch, subscription, &mailboxes))?;
        }
        Ok(())
    }

    /// Runs a job on the next shard in turn: how a listener hands over a new connection.
    pub fn run_on_next_shard(&self, job: Job) {
        let Some(mailboxes) = self.mailboxes.get() else { return };
        let next = self.next_shard.fetch_add(1, Relaxed) % mailboxes.len();
        mailboxes[next].run(job);
    }

    /// Runs a job on a shard: how something reaches the connections that live there.
    pub fn run_on_shard(&self, shard: u16, job: Job) {
        if let Some(mailbox) = self.mailboxes.get().and_then(|mailboxes| mailboxes.get(usize::from(shard))) {
            mailbox.run(job);
        }
    }

    /// Runs a job on the first shard: where listeners live.
    pub fn run_on_first_shard(&self, job: Job) {
        if let Some(first) = self.mailboxes.get().and_then(|mailboxes| mailboxes.first()) {
            first.run(job);
        }
    }

    /// Whom the shards tell of who follows the topics that are watched; once. `false` when there is somebody already.
    pub fn set_audience(&self, audience: Arc<dyn Audience>) -> bool {
        self.audience.set(audience).is_ok()
    }

    /// Whom the shards tell of who follows the topics that are watched.
    #[must_use]
    pub fn audience(&self) -> Option<&Arc<dyn Audience>> {
        self.audience.get()
    }

    /// Tells the shards that a topic is now to be watched, or is not any more: what [`Audience::wants`] says when they come to it. Those who
    /// follow it already are told of as if they came.
    pub fn watch(&self, topic: &Topic) {
        for mailbox in self.mailboxes.get().into_iter().flatten() {
            let topic = topic.clone();
            mailbox.run(Box::new(move |shard| shard.watch(&topic)));
        }
    }

    /// Carries out an action: durable and applied when it returns.
    ///
    /// # Errors
    /// The refusal.
    pub async fn call(&self, conf: ConfNo, actor: Actor, action: Action) -> Result<Outcome, Reject> {
        self.writable()?;
        self.queue.call(Command { conf, actor, at_ms: 0, action }, self.elapsed_us()).await
    }

    /// Carries out an action that goes in bounded steps, to its end.
    ///
    /// # Errors
    /// The refusal.
    pub async fn call_to_end(&self, conf: ConfNo, actor: Actor, action: Action) -> Result<Outcome, Reject> {
        loop {
            match self.call(conf, actor.clone(), action.clone()).await? {
                Outcome::Continue(_) => {}
                done => return Ok(done),
            }
        }
    }

    /// A command with where its answer goes, ready for the queue.
    #[must_use]
    pub fn submission(&self, command: Command, reply: ReplyTo) -> Submission {
        Submission { command, reply, since_us: self.elapsed_us() }
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Tells a signal to its topic's readers. Signals may be dropped.
    pub fn tell(&self, telling: &Telling) {
        let is_shared = matches!(telling.signal, Signal::Published { .. }) && !self.shares.is_empty();
        if !is_shared && !telling.topic().into_iter().chain(telling.everybodys()).any(|topic| self.interest.has(&topic)) {
            return;
        }
        // Who has blocked somebody is not told that they type.
        if let Signal::Typing { conversation, from, .. } = &telling.signal
            && !matches!(self.reader.block_in(telling.conf, from, conversation), Ok(None))
        {
            return;
        }
        let (conf, payload) = telling_payload(telling);
        self.signals.lock().unwrap_or_else(PoisonError::into_inner).offer(conf, payload);
    }

    /// Ends a session, wherever it is.
    pub fn end_session(&self, live: &Live, why: Ending) {
        self.end_session_at(live.shard, live.slot, live.id, why);
    }

    /// The same by shard, slot and id.
    pub fn end_session_at(&self, shard: u16, slot: u32, id: u64, why: Ending) {
        if let Some(mailbox) = self.mailboxes.get().and_then(|mailboxes| mailboxes.get(usize::from(shard))) {
            mailbox.end(slot, id, why);
        }
    }

    /// A new session's id.
    #[must_use]
    pub fn next_session_id(&self) -> u64 {
        self.next_session.fetch_add(1, Relaxed)
    }

    /// What is committed.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// What the hub was opened with.
    #[must_use]
    pub fn options(&self) -> &HubOptions {
        &self.options
    }

    /// The state, as backups see it.
    #[must_use]
    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The bytes of attached files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The way in.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The live sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// How fast users send.
    #[must_use]
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// How far the state is in a conference.
    #[must_use]
    pub fn end(&self, conf: ConfNo) -> u64 {
        self.ends.of(conf)
    }

    /// How far a conference was when the hub opened: what is above was first told by this process.
    #[must_use]
    pub fn started_at(&self, conf: ConfNo) -> u64 {
        self.started_at.get().and_then(|ends| ends.get(&conf)).copied().unwrap_or(0)
    }

    /// The groups of shared subscriptions.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Gives a message to the session that it is for, wherever that is.
    pub fn give_share(&self, share: Arc<Share>) {
        if let Some(mailbox) = self.mailboxes.get().and_then(|mailboxes| mailboxes.get(usize::from(share.to.shard))) {
            mailbox.run(Box::new(move |shard| shard.share(&share)));
        }
    }

    /// Which shards have readers of what.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The bound on all outboxes.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What staff is told about the server over MQTT: topic and value.
    #[must_use]
    pub fn about(&self) -> Vec<(&'static str, String)> {
        let sessions: usize = self.sessions.count().iter().map(|(_, count)| count).sum();
        vec![
            ("$SYS/broker/version", format!("hallway {}", env!("CARGO_PKG_VERSION"))),
            ("$SYS/broker/uptime", format!("{} seconds", self.clock.elapsed().as_secs())),
            ("$SYS/broker/clients/connected", sessions.to_string()),
            ("$SYS/broker/messages/stored", self.metrics.messages.load(Relaxed).to_string()),
            ("$SYS/broker/messages/delivered", self.metrics.deliveries.load(Relaxed).to_string()),
            ("$SYS/broker/events/stored", self.metrics.events.load(Relaxed).to_string()),
            ("$SYS/broker/sessions/lagging", self.budget.lagging().to_string()),
            ("$SYS/broker/outbox/bytes", self.budget.used().to_string()),
        ]
    }

    /// All figures as Prometheus text.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        self.metrics.render(&Gauges {
            sessions: self.sessions.count(),
            lagging: self.budget.lagging(),
            outbox_bytes: self.budget.used(),
            queue: self.queue.len(),
            store_bytes: self.reader.state().size_bytes(),
            writable: self.health.check().is_ok(),
            doors: self.door_gauges(),
        })
    }

    /// Takes no more commands, answers those that were taken, tells every session to come back later, and waits a little for them to go.
    /// Then closes the store.
    pub fn drain(&self) {
        self.stop_push();
        self.health.draining.store(true, Relaxed);
        self.finish_commands();
        for mailbox in self.mailboxes.get().into_iter().flatten() {
            mailbox.run(Box::new(|shard| shard.end_all(Ending::Draining)));
        }
        let until = self.clock.elapsed() + DRAIN_WAIT;
        while self.clock.elapsed() < until && self.sessions.count().iter().any(|(_, count)| *count > 0) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.close();
    }

    fn finish_commands(&self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let (first, rest): (Vec<_>, Vec<_>) =
            threads.into_iter().partition(|thread| matches!(thread.thread().name(), Some("log" | "apply")));
        for thread in first {
            if thread.join().is_err() {
                tracing::error!("a thread of the hub panicked");
            }
        }
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(rest);
    }

    /// Stops after what was taken is applied, and makes it durable in the state. When the state fails, what the log has is applied at the next start.
    pub fn close(&self) {
        self.stop_push();
        self.health.draining.store(true, Relaxed);
        self.finish_commands();
        self.stopped.store(true, Relaxed);
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread of the hub panicked");
            }
        }
        if let Err(error) = self.reader.state().checkpoint() {
            tracing::error!(%error, "the last checkpoint failed; the log will be replayed");
        }
    }
}
