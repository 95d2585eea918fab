//! A good store, and one fault at a time planted in it.

use std::sync::{Arc, Mutex};

use super::*;
use crate::command::{Action, Actor, Command, Demanded, Draft, Reuse};
use crate::commit::ApplyStage;
use crate::ids::{ConvNo, ConversationId, Uid};
use crate::log::Log;
use crate::log::memory::MemoryDisk;
use crate::model::{
    Access, BadgeCode, BadgeTotals, Conversation, Entry, GivenBadge, Kind, Member, NodeSettings, Provider, Publication, PushRow, PushState,
    Realm, SignIn, Tap, Target, UserRole, Via,
};
use crate::recent::Recent;
use crate::state::Batch;
use crate::state::memory::{MemoryState, MemoryStore};
use crate::view::{decode, encode};

const CONF: ConfNo = ConfNo(1);
const LOBBY: ConvNo = ConvNo(1);
const TOPIC: &str = "conf/demo/topic/game";

fn alice() -> Uid {
    Uid::parse("alice").unwrap()
}

fn story() -> Vec<(Actor, Action)> {
    let lobby = ConversationId::parse("lobby").unwrap();
    let system = Actor::system;
    let people = ["alice", "bob"].map(|uid| Uid::parse(uid).unwrap());
    let as_user = |uid: &Uid| Actor { uid: uid.clone(), via: Via::Ws, session: 1 };
    let say = |conversation: &ConversationId, text: &str| {
        let (client_id, text) = (text.into(), text.into());
        Action::Send(Draft {
            conversation: conversation.clone(),
            client_id,
            reuse: Reuse::Conflict,
            text,
            reply_to: None,
            mentions: vec![],
            attachments: vec![],
        })
    };
    let demo = ConferenceId::parse("demo").unwrap();
    let mut story = vec![(system(), Action::AddConference { id: demo, title: "".into(), sign_in: SignIn::Open, epoch: 1 })];
    for uid in &people {
        story.push((system(), Action::AddUser { uid: uid.clone(), name: None, role: UserRole::Attendee, credentials: None }));
        story.push((system(), Action::IssueToken { uid: uid.clone(), hash: [uid.as_str().len() as u8; 16], expires_ms: 9 }));
    }
    story.push((system(), Action::Create { kind: Kind::Channel, id: lobby.clone(), title: "".into(), members: vec![] }));
    for n in 0..5 {
        story.push((as_user(&people[0]), say(&lobby, &format!("hi {n}"))));
    }
    let direct = ConversationId::direct(&people[0], &people[1]).unwrap();
    story.push((as_user(&people[1]), say(&direct, "psst")));
    story.push((as_user(&people[1]), Action::React { conversation: lobby.clone(), target: 2, emoji: "x".into(), on: true }));
    story.push((as_user(&people[0]), Action::Read { conversation: lobby, seq: 3 }));
    let publication = Publication {
        realm: Realm::Apps,
        topic: TOPIC.into(),
        payload: bytes::Bytes::from_static(b"1"),
        qos: 1,
        retain: false,
        expires_ms: u64::MAX,
        properties: None,
    };
    story.push((as_user(&people[0]), Action::Store(Arc::new(publication))));
    story.push((as_user(&people[0]), Action::Block { user: people[1].clone(), on: true }));
    story.push((
        as_user(&people[0]),
        Action::KeepItem {
            node: "n".into(),
            id: "i".into(),
            payload: "x".into(),
            settings: NodeSettings { access: Access::Open, max_items: 1 },
            demanded: Demanded::default(),
        },
    ));
    story.extend(of_pushes_and_badges());
    story
}

/// What alice is pushed at, with a push that waits and one that was given up; her badge, and her arrival.
fn of_pushes_and_badges() -> Vec<(Actor, Action)> {
    let as_alice = || Actor { uid: alice(), via: Via::Ws, session: 1 };
    let target = target();
    let row = |conversation: &str| PushRow {
        user: alice(),
        target: target.id(&alice()),
        conversation: ConversationId::parse(conversation).unwrap(),
        first_seq: 1,
        seq: 2,
        tries: 1,
        since_ms: 1000,
        why: "503".into(),
    };
    let progress = Action::PushProgress { cursor: None, done: vec![], due: vec![(5000, row("lobby"))], dead: vec![row("lobby")] };
    let badge = GivenBadge::of("04A1B2C3").unwrap();
    let tap = Tap { shown: "04A1B2C3".into(), codes: BadgeCode::candidates("04A1B2C3"), at_ms: 0, id: "".into(), direction: None };
    let gate = Uid::parse("gate").unwrap();
    vec![
        (as_alice(), Action::RegisterTarget { target: Box::new(target.clone()) }),
        (Actor::system(), progress),
        (Actor::system(), Action::AssignBadge { badge, user: alice() }),
        (Actor::system(), Action::AddUser { uid: gate.clone(), name: None, role: UserRole::Device, credentials: None }),
        (
            Actor { uid: gate, via: Via::Badge, session: 2 },
            Action::Scan { mode: None, conversation: None, taps: vec![tap], raw: None, packet: Reuse::NewMessage },
        ),
    ]
}

fn target() -> Target {
    Target {
        provider: Provider::Webhook,
        address: "https://push.example/1".into(),
        secret: vec![7; 32],
        topic: "".into(),
        is_sandbox: false,
        options: "".into(),
        device: "".into(),
        since_ms: 0,
    }
}

fn store() -> (MemoryStore, MemoryState) {
    let mut log = MemoryDisk::new().open().unwrap();
    for (actor, action) in story() {
        log.append(&[&encode(&Command { conf: CONF, actor, at_ms: 1000, action })]).unwrap();
    }
    let store = MemoryStore::new();
    let state = Arc::new(store.open().unwrap());
    ApplyStage::open(Arc::new(Mutex::new(Box::new(log))), Arc::clone(&state) as _, Arc::new(Recent::default()), [1; 16]).unwrap();
    (store, Arc::into_inner(state).unwrap())
}

#[test]
fn a_good_store_is_good() {
    let (_, state) = store();
    let report = checked(&state);
    assert!(report.is_good(), "{report}");
    // The lobby, the direct conversation, alice's inbox, topics; joined, 5 messages, a reaction; psst; the notice; a publication; what the gate is told.
    assert_eq!((report.conferences, report.conversations, report.events), (1, 4, 11), "{report}");
    assert!(report.to_string().ends_with("all is well"));
}

/// Changes a record.
fn change<T: serde::Serialize + DeserializeOwned>(state: &MemoryState, batch: &mut Batch, key: Vec<u8>, change: impl FnOnce(&mut T)) {
    let mut record: T = decode(&state.get(&key).unwrap().expect("the record is there")).unwrap();
    change(&mut record);
    batch.put(key, encode(&record));
}

/// What is stored with the topic: its key and record.
fn stored(state: &MemoryState) -> (Vec<u8>, Vec<u8>) {
    let (prefix, mut found) = (keys::stored_of(CONF, TOPIC), None);
    let mut visit = |key: &[u8], value: &[u8]| {
        found = Some((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    };
    state.scan(&prefix, &keys::end_of(&prefix), crate::state::Direction::Ascending, &mut visit).unwrap();
    found.expect("it is stored")
}

#[test]
fn planted_faults_are_found() {
    let lobby = || keys::conversation(CONF, &ConversationId::parse("lobby").unwrap());
    let entry = |seq| keys::entry(CONF, LOBBY, seq);
    type Plant<'a> = Box<dyn Fn(&MemoryState, &mut Batch) + 'a>;
    let cases: Vec<(&str, Plant<'_>)> = vec![
        ("follows event 2", Box::new(|_, batch| batch.remove(entry(3)))),
        ("message number is 9 instead of 2", Box::new(|state, batch| change(state, batch, entry(3), |entry: &mut Entry| entry.n = 9))),
        ("is not above", Box::new(|state, batch| change(state, batch, entry(4), |entry: &mut Entry| entry.pos = 1))),
        ("another event's", Box::new(|state, batch| change(state, batch, entry(4), |entry: &mut Entry| entry.pos = 1))),
        ("above the conference's", Box::new(|state, batch| change(state, batch, entry(6), |entry: &mut Entry| entry.pos = 1 << 40))),
        ("its time is before", Box::new(|state, batch| change(state, batch, entry(6), |entry: &mut Entry| entry.ts_ms = 1))),
        ("another shape", Box::new(|_, batch| batch.put(entry(2), vec![255; 3]))),
        ("another shape", Box::new(|state, batch| batch.put(entry(2), [state.get(&entry(2)).unwrap().unwrap(), vec![0]].concat()))),
        ("but counts 7 members", Box::new(move |state, batch| change(state, batch, lobby(), |lobby: &mut Conversation| lobby.members = 7))),
        ("it has 0 members", Box::new(|_, batch| batch.remove(keys::member(CONF, LOBBY, &alice())))),
        ("was never given", Box::new(move |state, batch| change(state, batch, lobby(), |lobby: &mut Conversation| lobby.no = ConvNo(99)))),
        (
            "another conversation's",
            Box::new(move |state, batch| change(state, batch, lobby(), |lobby: &mut Conversation| lobby.no = ConvNo(2))),
        ),
        ("belongs to is not there", Box::new(move |_, batch| batch.remove(lobby()))),
        (
            "but counts 1",
            Box::new(|state, batch| change(state, batch, keys::conference_head(CONF), |head: &mut ConferenceHead| head.users = 1)),
        ),
        ("of no conference", Box::new(|_, batch| batch.put(keys::entry(ConfNo(9), LOBBY, 1), vec![]))),
        ("of no known kind", Box::new(|_, batch| batch.put(b"~".to_vec(), vec![]))),
        ("cut off", Box::new(|_, batch| batch.put(b"e\0\0".to_vec(), vec![]))),
        ("belongs to is not there", Box::new(|_, batch| batch.remove(keys::token(&[5; 16])))),
        ("is not its own", Box::new(|_, batch| batch.remove(keys::conference_id(CONF)))),
        ("belongs to is not there", Box::new(|_, batch| batch.remove(keys::node(CONF, &alice(), "n")))),
        ("belongs to is not there", Box::new(|_, batch| batch.remove(keys::item(CONF, &alice(), "n", "i")))),
        ("belongs to is not there", Box::new(|_, batch| batch.put(keys::block(CONF, &alice(), &Uid::parse("nobody").unwrap()), vec![]))),
        ("another shape", Box::new(|_, batch| batch.put(keys::belongings(CONF, &alice()), vec![255; 3]))),
        ("belongs to is not there", Box::new(|state, batch| batch.remove(stored(state).0))),
        ("belongs to is not there", Box::new(|state, batch| batch.put(keys::stored(CONF, "another", 1), stored(state).1))),
        (
            "1 pushes are to be tried again, but it counts 7",
            Box::new(|state, batch| change(state, batch, keys::push_state(CONF), |push: &mut PushState| push.rows = 7)),
        ),
        (
            "given up is number 1, but it counts 0",
            Box::new(|state, batch| change(state, batch, keys::push_state(CONF), |push: &mut PushState| push.letters = 0)),
        ),
        ("belongs to is not there", Box::new(|_, batch| batch.remove(keys::target(CONF, &alice(), &target().id(&alice()))))),
        (
            "1 are checked in and 1 expected, but it counts 7",
            Box::new(|state, batch| change(state, batch, keys::badge_totals(CONF), |totals: &mut BadgeTotals| totals.checked_in = 7)),
        ),
        (
            "belongs to is not there",
            Box::new(|_, batch| batch.remove(keys::user_badge(CONF, &alice(), &BadgeCode::candidates("04A1B2C3")[0]))),
        ),
        ("no head", Box::new(|_, batch| batch.remove(keys::store_head()))),
        ("record schema 9", Box::new(|state, batch| change(state, batch, keys::store_head(), |head: &mut StoreHead| head.schema = 9))),
    ];
    for (expected, plant) in cases {
        let (_, state) = store();
        let mut batch = Batch::default();
        plant(&state, &mut batch);
        state.commit(&batch).unwrap();
        let report = checked(&state);
        assert!(!report.is_good() && report.told.iter().any(|problem| problem.contains(expected)), "{expected}: {report}");
    }
}

#[test]
fn the_list_of_problems_is_bounded() {
    let (_, state) = store();
    let mut batch = Batch::default();
    for n in 0..500u32 {
        batch.put(keys::entry(ConfNo(70), ConvNo(n), 1), vec![]);
        batch.put(
            keys::member(CONF, LOBBY, &Uid::parse(&format!("u{n}")).unwrap()),
            encode(&Member { standing: crate::model::Standing::Left, since_pos: 1, muted: false }),
        );
    }
    state.commit(&batch).unwrap();
    let report = checked(&state);
    assert_eq!((report.problems, report.told.len()), (1000, TOLD_PROBLEMS));
}
