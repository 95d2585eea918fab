//! The worker alone: what it takes note of and what it logs.

use std::sync::Mutex;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use super::super::gateway::Sending;
use super::super::tests::{CONF, Standing, open, target};
use super::*;
use crate::clock::Clock;
use crate::command::{Action, Actor, Draft, Reuse};
use crate::ids::{ConferenceId, ConversationId};
use crate::model::{Kind, Provider, SignIn, UserRole, Via};
use crate::reject::Reject;

/// Takes four seconds to accept a push.
struct Slow(Arc<Standing>);

impl Gateway for Slow {
    fn provider(&self) -> Provider {
        Provider::Xmpp
    }

    fn check(&self, _: &Target) -> Result<(), Reject> {
        Ok(())
    }

    fn send<'a>(&'a self, _: &'a Target, _: &'a Push) -> Sending<'a> {
        Box::pin(async move {
            self.0.moved_ms.fetch_add(4000, Relaxed);
            Sent::Accepted
        })
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A worker that knows of one conference.
fn worker() -> (TempDir, Runtime, Arc<Standing>, Worker) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(Standing::default()));
    let (hub, runtime) = (open(&dir, &clock), Builder::new_current_thread().enable_all().build().unwrap());
    let id = ConferenceId::parse("demo").unwrap();
    let add = Action::AddConference { id, title: "The Demo".into(), sign_in: SignIn::Open, epoch: 1 };
    runtime.block_on(hub.call(ConfNo(0), Actor::system(), add)).unwrap();
    let gateways: [Arc<dyn Gateway>; 1] = [Arc::new(Slow(Arc::clone(&clock)))];
    let mut worker = Worker::new(hub, &gateways, PushOptions::default());
    worker.visit();
    (dir, runtime, clock, worker)
}

fn row(target: TargetId) -> PushRow {
    let (user, conversation) = (Uid::parse("bob").unwrap(), ConversationId::parse("lobby").unwrap());
    PushRow { user, target, conversation, first_seq: 1, seq: 1, tries: 0, since_ms: 0, why: "".into() }
}

fn push() -> Push {
    Push {
        conference: ConferenceId::parse("demo").unwrap(),
        user: Uid::parse("bob").unwrap(),
        at: None,
        kind: Kind::Channel,
        from: "".into(),
        title: "The Demo".into(),
        text: "New message".into(),
        unread: 1,
        badge: 1,
        collapse: "c".into(),
        mentions: false,
        ts_ms: 0,
        time_to_live: Duration::from_secs(60),
    }
}

#[test]
fn what_was_to_be_written_down_of_a_conference_that_is_removed_is_not_kept() {
    let (_dir, runtime, _, mut worker) = worker();
    let mut desk = worker.desks.pop().unwrap();
    let row = row(target("phone").id(&Uid::parse("bob").unwrap()));
    worker.change(&mut desk, row.clone(), Fate::Due(1), None);
    worker.desks.push(desk);
    worker.visit_at = Instant::now();
    worker.visit();
    assert!(worker.lanes.is_busy(&place(CONF, &row)));
    runtime.block_on(worker.hub.call_to_end(CONF, Actor::system(), Action::RemoveConference)).unwrap();
    worker.visit_at = Instant::now();
    worker.visit();
    assert!(worker.desks.is_empty() && !worker.lanes.is_busy(&place(CONF, &row)));
    worker.hub.close();
}

#[test]
fn what_waits_and_is_over_takes_nobodys_place() {
    let (_dir, runtime, _, mut worker) = worker();
    let (uid, service) = (Uid::parse("bob").unwrap(), Target { provider: Provider::Xmpp, ..target("push.example") });
    let hub = Arc::clone(&worker.hub);
    let call = |actor, action| runtime.block_on(hub.call(CONF, actor, action)).unwrap();
    call(Actor::system(), Action::AddUser { uid: uid.clone(), name: None, role: UserRole::Attendee, credentials: None });
    call(Actor { uid: uid.clone(), via: Via::Ws, session: 0 }, Action::RegisterTarget { target: Box::new(service.clone()) });
    let about = |n| PushRow { conversation: ConversationId::parse(&format!("gone-{n}")).unwrap(), ..row(service.id(&uid)) };
    let due = (0..200).map(|n| (1, about(n))).collect();
    call(Actor::system(), Action::PushProgress { cursor: None, done: Vec::new(), due, dead: Vec::new() });
    worker.visit_at = Instant::now();
    worker.visit();
    let mut desks = std::mem::take(&mut worker.desks);
    worker.retry_all(&mut desks);
    assert_eq!((0..200).filter(|n| worker.lanes.is_busy(&place(CONF, &about(*n)))).count(), 200, "more than the lane is wide");
    worker.hub.close();
}

#[test]
fn who_registers_first_is_pushed_nothing_of_what_the_worker_had_not_looked_at() {
    let (_dir, runtime, _, mut worker) = worker();
    let hub = Arc::clone(&worker.hub);
    let [alice, bob] = ["alice", "bob"].map(|name| Actor { uid: Uid::parse(name).unwrap(), via: Via::Ws, session: 0 });
    let call = |actor: &Actor, action| runtime.block_on(hub.call(CONF, actor.clone(), action)).unwrap();
    for Actor { uid, .. } in [&alice, &bob] {
        call(&Actor::system(), Action::AddUser { uid: uid.clone(), name: None, role: UserRole::Attendee, credentials: None });
    }
    let says = |text: &str| {
        let draft = Draft {
            conversation: ConversationId::parse("dm~alice~bob").unwrap(),
            client_id: text.into(),
            reuse: Reuse::Conflict,
            text: text.into(),
            reply_to: None,
            mentions: Vec::new(),
            attachments: Vec::new(),
        };
        call(&alice, Action::Send(draft));
    };
    says("old");
    call(&bob, Action::RegisterTarget { target: Box::new(target("phone")) });
    let mut desk = worker.desks.pop().unwrap();
    worker.follow(&mut desk).unwrap();
    assert!(desk.is_reached && desk.tail.is_empty() && desk.catch_up.is_none());
    says("new");
    worker.follow(&mut desk).unwrap();
    assert_eq!(desk.tail.take_due(u64::MAX).unwrap().first_seq, 2);
    worker.hub.close();
}

#[test]
fn a_service_of_users_that_is_slow_is_not_asked_for_a_while_and_no_log_has_its_address() {
    let (_dir, runtime, clock, mut worker) = worker();
    let service = Target { provider: Provider::Xmpp, ..target("bobs-own@push.example") };
    let log = Log::default();
    // With one subscriber alone, a thread that has none decides for all whether a line is wanted that it comes to first.
    let _another = tracing::Dispatch::new(Log::default());
    tracing::subscriber::with_default(log.clone(), || {
        runtime.block_on(async {
            let desk = worker.desks.pop().unwrap();
            for _ in 0..5 {
                worker.send(&desk, row(service.id(&Uid::parse("bob").unwrap())), None, &service, Arc::new(push()), None);
                let answer = worker.flying.join_next_with_id().await.unwrap();
                worker.answered(answer);
            }
        });
    });
    let owner = (CONF, Uid::parse("bob").unwrap());
    assert!(matches!(worker.lanes.room(&owner, &service, clock.now_ms()), Room::From(_)));
    let log = log.0.lock().unwrap();
    assert!(log.contains("a push gateway does not answer") && !log.contains("bobs-own"), "{log}");
    worker.hub.close();
}
