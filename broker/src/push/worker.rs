//! The push worker: follows what happens, decides who is away once the grace is over, sends, and writes down how far it is. One turn after another
//! on a thread of its own; requests of gateways go on meanwhile. What was put off is in [`rows`], what is written down in [`progress`].

mod progress;
mod rows;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::catch_up::CatchUp;
use super::compose::compose;
use super::decide::{When, Why};
use super::desk::{Desk, Fate, place};
use super::expand::{Expansion, Hold};
use super::gateway::{Gateway, Push, Sent};
use super::lanes::{Going, Lanes, Room};
use super::person::Person;
use super::retry::backoff_ms;
use super::tail::Tail;
use super::{Moment, PushOptions, ms};
use crate::hub::Hub;
use crate::ids::{ConfNo, Uid};
use crate::limits::beginning;
use crate::model::{Event, PushRow, Target, TargetId};
use crate::state::StateError;

/// Between two turns while there is something to do, and while there is not.
const TURN: Duration = Duration::from_millis(20);
const IDLE_TURN: Duration = Duration::from_millis(100);
/// Answers of gateways are waited for together.
const ANSWERS_WAIT: Duration = Duration::from_millis(5);
/// Between two looks at which conferences there are.
const VISIT: Duration = Duration::from_secs(1);
/// Between two writes of where a conference is, and after one that failed.
const WRITE: Duration = Duration::from_millis(250);
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// The longest that a gateway takes.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stop waits for what is on its way.
const STOP_WAIT: Duration = Duration::from_secs(1);
/// Events that are read in one turn.
const TURN_EVENTS: usize = 4096;
/// Conversations of one conference that are decided in one turn.
const TURN_CONVERSATIONS: usize = 256;
/// Expansions of one conference at the same time: with more the next due conversations wait.
const MAX_EXPANSIONS: usize = 256;
/// Bytes of a reason that are kept.
const MAX_WHY_BYTES: usize = 300;

/// Tells the worker to stop.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_set: AtomicBool,
    notify: Notify,
}

impl Stop {
    /// Stop.
    pub(crate) fn set(&self) {
        self.is_set.store(true, Relaxed);
        self.notify.notify_one();
    }
}

/// Runs until it is told to stop.
pub(crate) async fn run(hub: Arc<Hub>, gateways: Vec<Arc<dyn Gateway>>, options: PushOptions, stop: Arc<Stop>) {
    let mut worker = Worker::new(hub, &gateways, options);
    while !stop.is_set.load(Relaxed) {
        worker.turn().await;
        worker.wait(&stop).await;
    }
    worker.finish().await;
}

/// A push on its way.
struct Job {
    conf: ConfNo,
    row: PushRow,
    /// When it was due, when it is written down.
    was_due_ms: Option<u64>,
    going: Going,
    target_since_ms: u64,
    hold: Option<Hold>,
}

struct Worker {
    hub: Arc<Hub>,
    options: PushOptions,
    lanes: Lanes,
    desks: Vec<Desk>,
    flying: JoinSet<Sent>,
    jobs: HashMap<task::Id, Job>,
    /// How often a conference took something up that was put off.
    takings: u64,
    visit_at: Instant,
    write_at: Instant,
}

impl Worker {
    fn new(hub: Arc<Hub>, gateways: &[Arc<dyn Gateway>], options: PushOptions) -> Self {
        Self {
            lanes: Lanes::new(gateways, options.per_gateway),
            options,
            desks: Vec::new(),
            flying: JoinSet::new(),
            jobs: HashMap::new(),
            takings: 0,
            visit_at: Instant::now(),
            write_at: Instant::now(),
            hub,
        }
    }

    fn now_ms(&self) -> u64 {
        self.hub.clock().now_ms()
    }

    fn now(&self) -> Moment {
        Moment { wall_ms: self.now_ms(), elapsed_ms: ms(self.hub.clock().elapsed()) }
    }

    async fn turn(&mut self) {
        self.take_answers();
        self.visit();
        let mut desks = std::mem::take(&mut self.desks);
        for desk in &mut desks {
            if let Err(error) = self.work_at(desk) {
                // What was not decided is looked at again.
                tracing::warn!(%error, "push waits for the store");
            }
        }
        self.retry_all(&mut desks);
        self.desks = desks;
        self.write().await;
    }

    /// Waits for the next turn: for a little, or until a gateway answers.
    async fn wait(&mut self, stop: &Stop) {
        let is_idle = self.desks.iter().all(|desk| !desk.is_reached && !desk.has_rows && desk.tail.is_empty() && desk.expansions() == 0);
        let next = Instant::now() + if is_idle { IDLE_TURN } else { TURN };
        tokio::select! {
            () = stop.notify.notified() => {}
            () = sleep_until(next) => {}
            Some(answer) = self.flying.join_next_with_id() => {
                self.answered(answer);
                // Others come with it.
                sleep(ANSWERS_WAIT).await;
            }
        }
    }

    /// Looks which conferences there are.
    fn visit(&mut self) {
        if Instant::now() < self.visit_at {
            return;
        }
        self.visit_at = Instant::now() + VISIT;
        let Ok(conferences) = self.hub.reader().conferences() else { return };
        let lanes = &mut self.lanes;
        self.desks.retain(|desk| {
            let is_there = conferences.iter().any(|(_, conference)| conference.no == desk.conf);
            if !is_there {
                // What was to be written down of it never is.
                lanes.leave_all(desk.conf);
            }
            is_there
        });
        let mut queued = 0;
        for (id, conference) in conferences {
            let reader = self.hub.reader();
            match self.desks.iter_mut().find(|desk| desk.conf == conference.no) {
                // Staff replays what was given up.
                Some(desk) => desk.has_rows = reader.has_push_rows(desk.conf).unwrap_or(true),
                None => match Desk::open(&self.hub, conference.no, id) {
                    Ok(desk) => self.desks.push(desk),
                    Err(error) => tracing::warn!(%error, "push does not know where it was"),
                },
            }
            queued += reader.push_state(conference.no).ok().flatten().map_or(0, |state| state.rows);
        }
        self.hub.metrics().push_queued.store(queued, Relaxed);
        self.take_departed();
    }

    /// Notes the targets that providers found gone later.
    fn take_departed(&mut self) {
        for departed in self.lanes.gateways().flat_map(|gateway| gateway.departed()) {
            if let Some(desk) = self.desks.iter_mut().find(|desk| desk.conference == departed.conference) {
                self.hub.metrics().push_gone.fetch_add(1, Relaxed);
                desk.gone.push((departed.user, departed.target, departed.since_ms));
            }
        }
    }

    fn work_at(&mut self, desk: &mut Desk) -> Result<(), StateError> {
        self.follow(desk)?;
        self.decide_due(desk)?;
        self.expand(desk)
    }

    /// Reads what happened since.
    fn follow(&self, desk: &mut Desk) -> Result<(), StateError> {
        let (hub, now, grace_ms) = (&self.hub, self.now(), ms(self.options.grace));
        if desk.tail.is_full() {
            return Ok(());
        }
        if let Some(catch_up) = &mut desk.catch_up {
            if catch_up.step(hub, desk.conf, &mut desk.tail, now, grace_ms)? {
                desk.catch_up = None;
            }
            return Ok(());
        }
        let end = hub.end(desk.conf);
        if end <= desk.tail.pos() {
            return Ok(());
        }
        // Looked at after the end: who was reached before a message was stored is found.
        let is_reached = hub.reader().has_targets(desk.conf)?;
        if is_reached && !desk.is_reached {
            // Whoever registered first learns of nothing that was said before, also when it was not looked at yet.
            desk.tail.reach(hub.reader().push_state(desk.conf)?.map_or(0, |state| state.cursor.pos));
        }
        desk.is_reached = is_reached;
        if !is_reached {
            desk.tail.reach(end);
        }
        let pos = desk.tail.pos();
        if end <= pos {
            return Ok(());
        }
        match hub.reader().lately(desk.conf, pos, TURN_EVENTS, Tail::concerns) {
            Some((events, through)) if through > pos => {
                events.iter().for_each(|published| desk.tail.note(&published.event, now, grace_ms));
                desk.tail.reach(through);
            }
            _ => desk.catch_up = Some(CatchUp::new(hub.reader().conference_head(desk.conf)?.pos)),
        }
        Ok(())
    }

    /// Takes on what has waited for its grace.
    fn decide_due(&self, desk: &mut Desk) -> Result<(), StateError> {
        // Of a conversation that is read in steps nothing is decided before all of it is there, as long as that fits.
        if desk.catch_up.as_ref().is_some_and(CatchUp::is_within) && !desk.tail.is_full() {
            return Ok(());
        }
        for _ in 0..TURN_CONVERSATIONS {
            if desk.expansions() >= MAX_EXPANSIONS {
                break;
            }
            let Some(due) = desk.tail.take_due(self.now().elapsed_ms) else { break };
            match Expansion::of(self.hub.reader(), desk.conf, &due) {
                Ok(Some(expansion)) => desk.begin(expansion),
                Ok(None) => {}
                Err(error) => {
                    desk.tail.give_back(due);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Brings every expansion on by a page.
    fn expand(&mut self, desk: &mut Desk) -> Result<(), StateError> {
        for _ in 0..desk.expansions() {
            if desk.is_full() {
                break;
            }
            let Some(mut expansion) = desk.take_expansion() else { break };
            let went = self.expand_by_a_page(desk, &mut expansion);
            desk.put_back(expansion);
            went?;
        }
        Ok(())
    }

    fn expand_by_a_page(&mut self, desk: &mut Desk, expansion: &mut Expansion) -> Result<(), StateError> {
        let (people, next) = expansion.page(self.hub.reader())?;
        for uid in &people {
            self.consider(desk, expansion, uid)?;
        }
        expansion.go_on(&people, next);
        Ok(())
    }

    /// Decides whether somebody is pushed the newest of the messages that counts for them, and sends it to all their targets.
    fn consider(&mut self, desk: &mut Desk, expansion: &Expansion, uid: &Uid) -> Result<(), StateError> {
        let Some(person) = Person::find(&self.hub, &expansion.found, uid)? else { return Ok(()) };
        let (now_ms, active_ms) = (self.now_ms(), ms(self.options.active));
        let mut there = None;
        for event in expansion.messages(self.hub.reader(), uid)? {
            if now_ms.saturating_sub(event.entry.ts_ms) >= ms(self.options.time_to_live) {
                continue;
            }
            match person.decide(&self.hub, &event, now_ms, event.entry.ts_ms.saturating_sub(active_ms))? {
                Ok(when) => return self.tell(desk, expansion, &person, &event, when, now_ms),
                Err(Why::There) if there.is_none() => there = Some(event),
                Err(_) => {}
            }
        }
        if let Some(event) = there {
            self.look_again(desk, expansion, &person, &event, now_ms)?;
        }
        Ok(())
    }

    /// Sends somebody's targets a message, now or at the end of quiet hours.
    fn tell(
        &mut self,
        desk: &mut Desk,
        expansion: &Expansion,
        person: &Person,
        event: &Event,
        when: When,
        now_ms: u64,
    ) -> Result<(), StateError> {
        let mut push = None;
        for (target_id, target) in self.reached(desk, person, now_ms) {
            let row = row_of(expansion, event, person, *target_id, now_ms);
            let due_ms = self.has_to_wait(desk, &row, target, now_ms)?;
            if let When::From(until_ms) = when {
                self.wait_for_loud(desk, row, due_ms, until_ms, event, Some(expansion.hold()));
                continue;
            }
            if let Some(due_ms) = due_ms {
                self.put_off(desk, row, due_ms, Some(expansion.hold()));
                continue;
            }
            let push = match &push {
                Some(push) => Arc::clone(push),
                None => Arc::clone(push.insert(self.compose(desk, expansion, person, event, now_ms)?)),
            };
            self.send(desk, row, None, target, push, Some(expansion.hold()));
        }
        Ok(())
    }

    /// Who is there may go without having read it: that is looked at once more, when who does nothing until then has gone.
    fn look_again(
        &mut self,
        desk: &mut Desk,
        expansion: &Expansion,
        person: &Person,
        event: &Event,
        now_ms: u64,
    ) -> Result<(), StateError> {
        let again_ms = now_ms.saturating_add(ms(self.options.active));
        for (target_id, target) in self.reached(desk, person, now_ms) {
            let row = row_of(expansion, event, person, *target_id, now_ms);
            let due_ms = self.has_to_wait(desk, &row, target, now_ms)?.map_or(again_ms, |due_ms| due_ms.max(again_ms));
            self.put_off(desk, row, due_ms, Some(expansion.hold()));
        }
        Ok(())
    }

    /// Those of somebody's targets for which somebody delivers.
    fn reached<'a>(&mut self, desk: &Desk, person: &'a Person, now_ms: u64) -> Vec<&'a (TargetId, Target)> {
        let owner = (desk.conf, person.uid.clone());
        person.targets.iter().filter(|(_, target)| self.lanes.room(&owner, target, now_ms) != Room::NoGateway).collect()
    }

    fn compose(&self, desk: &Desk, expansion: &Expansion, person: &Person, event: &Event, now_ms: u64) -> Result<Arc<Push>, StateError> {
        let ttl = self.options.time_to_live;
        compose(&self.hub, &desk.conference, &expansion.found, person, event, now_ms, ttl).map(Arc::new)
    }

    /// When a push is to be tried, when that is not now: one of the same conversation is on its way there or waits, or the gateway has no room.
    fn has_to_wait(&mut self, desk: &Desk, row: &PushRow, target: &Target, now_ms: u64) -> Result<Option<u64>, StateError> {
        if self.lanes.is_busy(&place(desk.conf, row)) {
            return Ok(Some(now_ms));
        }
        let room_ms = match self.lanes.room_for_new(&(desk.conf, row.user.clone()), target, now_ms) {
            Room::From(due_ms) => Some(due_ms),
            Room::Free | Room::NoGateway => None,
        };
        if desk.has_rows
            && let Some((due_ms, there)) = self.hub.reader().push_row(desk.conf, row)?
        {
            // One that was never tried waited for room or for the end of quiet hours: they may be others now.
            return Ok(Some(if there.tries == 0 { room_ms.unwrap_or(now_ms) } else { due_ms }));
        }
        Ok(room_ms)
    }

    /// Has a push written down, to be tried then.
    fn put_off(&mut self, desk: &mut Desk, row: PushRow, due_ms: u64, hold: Option<Hold>) {
        self.change(desk, row, Fate::Due(due_ms), hold);
    }

    fn change(&mut self, desk: &mut Desk, row: PushRow, fate: Fate, hold: Option<Hold>) {
        self.lanes.occupy(place(desk.conf, &row));
        desk.change(row, fate, hold);
    }

    /// Hands a push to its gateway.
    fn send(&mut self, desk: &Desk, row: PushRow, was_due_ms: Option<u64>, target: &Target, push: Arc<Push>, hold: Option<Hold>) {
        let owner = (desk.conf, row.user.clone());
        let Some((gateway, going)) = self.lanes.begin(owner, target, was_due_ms.is_some(), self.hub.clock().elapsed()) else { return };
        self.lanes.occupy(place(desk.conf, &row));
        let job = Job { conf: desk.conf, row, was_due_ms, going, target_since_ms: target.since_ms, hold };
        let target = target.clone();
        let task = self.flying.spawn(async move {
            let late = |_| Sent::Later { after: None, why: "no answer in time".into() };
            timeout(SEND_TIMEOUT, gateway.send(&target, &push)).await.unwrap_or_else(late)
        });
        self.jobs.insert(task.id(), job);
    }

    fn take_answers(&mut self) {
        while let Some(answer) = self.flying.try_join_next_with_id() {
            self.answered(answer);
        }
    }

    fn answered(&mut self, answer: Result<(task::Id, Sent), JoinError>) {
        let (id, sent) = match answer {
            Ok(answered) => answered,
            Err(error) => (error.id(), Sent::Later { after: None, why: "the gateway failed".into() }),
        };
        let Some(job) = self.jobs.remove(&id) else { return };
        let now_ms = self.now_ms();
        let is_answer = !matches!(sent, Sent::Later { .. });
        if self.lanes.end(&job.going, is_answer, self.hub.clock().elapsed(), now_ms) {
            // Not which host of users: of an XMPP service it is a user's address.
            tracing::warn!(provider = job.going.host.0.word(), "a push gateway does not answer: pushes wait");
        }
        let mut desks = std::mem::take(&mut self.desks);
        // A conference that was removed has nothing to be written down.
        if let Some(desk) = desks.iter_mut().find(|desk| desk.conf == job.conf) {
            self.settle(desk, &job, sent, now_ms);
        }
        self.desks = desks;
        self.lanes.leave(&place(job.conf, &job.row));
    }

    /// What comes of a gateway's answer.
    fn settle(&mut self, desk: &mut Desk, job: &Job, sent: Sent, now_ms: u64) {
        let metrics = self.hub.metrics();
        let fate = match sent {
            Sent::Accepted => {
                metrics.push_sent.fetch_add(1, Relaxed);
                job.was_due_ms.map(|due_ms| (Fate::Done(due_ms), "".into()))
            }
            Sent::Gone => {
                metrics.push_gone.fetch_add(1, Relaxed);
                desk.gone.push((job.row.user.clone(), job.row.target, job.target_since_ms));
                job.was_due_ms.map(|due_ms| (Fate::Done(due_ms), "".into()))
            }
            Sent::Refused(why) => {
                metrics.push_dead.fetch_add(1, Relaxed);
                Some((Fate::Dead(job.was_due_ms), why))
            }
            Sent::Later { after, why } | Sent::Throttled { after, why } => {
                metrics.push_retried.fetch_add(1, Relaxed);
                let wait_ms = backoff_ms(job.row.tries + 1, spread(&job.row)).max(after.map_or(0, ms));
                // Whoever is asked for more patience than it is of use for has what is said after it wait no longer.
                Some((Fate::Due(now_ms.saturating_add(wait_ms).min(self.useless_ms(&job.row))), why))
            }
        };
        if let Some((fate, why)) = fate {
            let row = PushRow { tries: job.row.tries + 1, why: beginning(&why, MAX_WHY_BYTES).into(), ..job.row.clone() };
            self.change(desk, row, fate, job.hold.clone());
        }
    }

    /// Waits a little for what is on its way, and writes down where everything is. What is not over comes again after the start.
    async fn finish(&mut self) {
        let until = Instant::now() + STOP_WAIT;
        while let Ok(Some(answer)) = timeout_at(until, self.flying.join_next_with_id()).await {
            self.answered(answer);
        }
        self.write_at = Instant::now();
        if timeout(STOP_WAIT, self.write()).await.is_err() {
            tracing::warn!("how far push is was not written down: some pushes will come again");
        }
    }
}

fn row_of(expansion: &Expansion, event: &Event, person: &Person, target: TargetId, now_ms: u64) -> PushRow {
    let (user, conversation) = (person.uid.clone(), event.place.conversation.clone());
    let (first_seq, seq) = (expansion.first_seq, event.place.seq);
    PushRow { user, target, conversation, first_seq, seq, tries: 0, since_ms: now_ms, why: "".into() }
}

/// Spreads what failed together.
fn spread(row: &PushRow) -> u64 {
    let bytes = row.target.iter().chain(row.conversation.as_str().as_bytes());
    // FNV-1a.
    bytes.fold(0xcbf2_9ce4_8422_2325 ^ u64::from(row.tries), |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
