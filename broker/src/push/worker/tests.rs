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

/// An XMPP service's node of a user of one's own, registered.
fn has_node(worker: &Worker, runtime: &Runtime, who: &str, address: &str) -> Target {
    let (uid, service) = (Uid::parse(who).unwrap(), Target { provider: Provider::Xmpp, topic: who.into(), ..target(address) });
    let call = |actor, action| runtime.block_on(worker.hub.call(CONF, actor, action)).unwrap();
    call(Actor::system(), Action::AddUser { uid: uid.clone(), name: None, role: UserRole::Attendee, credentials: None });
    call(Actor { uid, via: Via::Ws, session: 0 }, Action::RegisterTarget { target: Box::new(service.clone()) });
    service
}

/// More than are looked at in some turns.
const ROWS: u64 = 2000;

/// As many are on their way to a host as may be.
fn crowd(worker: &mut Worker, service: &Target) -> Vec<Going> {
    let mut going = Vec::new();
    for n in 0.. {
        let somebody = (CONF, Uid::parse(&format!("somebody-{n}")).unwrap());
        if worker.lanes.room(&somebody, service, worker.now_ms()) != Room::Free {
            break;
        }
        going.push(worker.lanes.begin(somebody, service, false, worker.hub.clock().elapsed()).unwrap().1);
    }
    going
}

#[test]
fn what_waits_for_a_crowded_host_stays_where_it_is_and_others_behind_it_have_their_turn() {
    let (_dir, runtime, _, mut worker) = worker();
    let _enter = runtime.enter();
    let crowded = has_node(&worker, &runtime, "bob", "push.example");
    let other = has_node(&worker, &runtime, "carol", "other.example");
    let id_of = |who: &str, service: &Target| service.id(&Uid::parse(who).unwrap());
    let since_ms = worker.now_ms();
    let about = |n| PushRow { conversation: ConversationId::parse(&format!("gone-{n}")).unwrap(), since_ms, ..row(id_of("bob", &crowded)) };
    let behind = PushRow { user: Uid::parse("carol").unwrap(), since_ms, ..row(id_of("carol", &other)) };
    let mut due: Vec<(u64, PushRow)> = (0..ROWS).map(|n| (n, about(n))).collect();
    due.push((ROWS, behind.clone()));
    for due in due.chunks(256) {
        let action = Action::PushProgress { cursor: None, done: Vec::new(), due: due.to_vec(), dead: Vec::new() };
        runtime.block_on(worker.hub.call(CONF, Actor::system(), action)).unwrap();
    }
    worker.visit_at = Instant::now();
    worker.visit();
    let going = crowd(&mut worker, &crowded);
    assert_eq!(going.len(), 24);
    let mut desks = std::mem::take(&mut worker.desks);
    let touched = |worker: &Worker| (0..ROWS).filter(|n| worker.lanes.is_busy(&place(CONF, &about(*n)))).count();
    let mut turns = 0;
    while !worker.lanes.is_busy(&place(CONF, &behind)) {
        worker.retry_all(&mut desks);
        turns += 1;
        assert!(turns <= 16, "who is behind the others never has a turn");
        assert_eq!(touched(&worker), 0, "rewritten, in turn {turns}");
    }
    // The first in line goes first, not whoever is looked at just now.
    worker.lanes.end(&going[0], true, worker.hub.clock().elapsed(), worker.now_ms());
    worker.retry_all(&mut desks);
    assert!(worker.lanes.is_busy(&place(CONF, &about(0))));
    worker.hub.close();
}

#[test]
fn to_one_host_goes_first_what_was_due_first_and_conferences_take_turns() {
    let (_dir, runtime, _, mut worker) = worker();
    let _enter = runtime.enter();
    let id = ConferenceId::parse("other").unwrap();
    let add = Action::AddConference { id, title: "Another".into(), sign_in: SignIn::Open, epoch: 1 };
    runtime.block_on(worker.hub.call(ConfNo(0), Actor::system(), add)).unwrap();
    let names = ["zoe", "yan", "xia", "will"];
    let mut rows = Vec::new();
    for conf in [CONF, ConfNo(2)] {
        let call = |actor, action| runtime.block_on(worker.hub.call(conf, actor, action)).unwrap();
        call(
            Actor::system(),
            Action::AddUser { uid: Uid::parse("alice").unwrap(), name: None, role: UserRole::Attendee, credentials: None },
        );
        for (n, who) in (0..).zip(names) {
            let uid = Uid::parse(who).unwrap();
            let service = Target { provider: Provider::Xmpp, topic: who.into(), ..target("push.example") };
            call(Actor::system(), Action::AddUser { uid: uid.clone(), name: None, role: UserRole::Attendee, credentials: None });
            let conversation = ConversationId::parse(&format!("dm~alice~{who}")).unwrap();
            let draft = Draft {
                conversation: conversation.clone(),
                client_id: who.into(),
                reuse: Reuse::Conflict,
                text: "hi".into(),
                reply_to: None,
                mentions: Vec::new(),
                attachments: Vec::new(),
            };
            call(Actor { uid: Uid::parse("alice").unwrap(), via: Via::Ws, session: 0 }, Action::Send(draft));
            call(Actor { uid: uid.clone(), via: Via::Ws, session: 0 }, Action::RegisterTarget { target: Box::new(service.clone()) });
            let now_ms = worker.now_ms();
            let row = PushRow { user: uid.clone(), conversation, since_ms: now_ms, ..row(service.id(&uid)) };
            let due = vec![(now_ms - 100 + n, row.clone())];
            call(Actor::system(), Action::PushProgress { cursor: None, done: Vec::new(), due, dead: Vec::new() });
            rows.push((conf, row));
        }
    }
    worker.visit_at = Instant::now();
    worker.visit();
    let going = crowd(&mut worker, &Target { provider: Provider::Xmpp, ..target("push.example") });
    let mut desks = std::mem::take(&mut worker.desks);
    assert_eq!(desks.len(), 2);
    let mut came = Vec::new();
    for (freed, going) in (1..).zip(going.iter().take(rows.len())) {
        worker.retry_all(&mut desks);
        worker.lanes.end(going, true, worker.hub.clock().elapsed(), worker.now_ms());
        worker.retry_all(&mut desks);
        came.extend(
            rows.iter().filter(|(conf, row)| worker.lanes.is_busy(&place(*conf, row))).map(|(conf, row)| (*conf, row.user.to_string())),
        );
        came.sort();
        came.dedup();
        assert_eq!(came.len(), freed, "what is crowded out stays where it is");
        let of = |conf| came.iter().filter(|(of, _)| *of == conf).count();
        assert!(of(CONF).abs_diff(of(ConfNo(2))) <= 1, "{came:?}");
        for conf in [CONF, ConfNo(2)] {
            let mut first: Vec<(ConfNo, String)> = names[..of(conf)].iter().map(|name| (conf, (*name).to_owned())).collect();
            first.sort();
            assert_eq!(came.iter().filter(|(of, _)| *of == conf).cloned().collect::<Vec<_>>(), first, "in due order");
        }
    }
    assert_eq!(came.len(), rows.len());
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
