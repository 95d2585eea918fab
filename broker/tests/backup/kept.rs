//! Badges, readers, attendance, and what is pushed where: it comes back as it was.

use hallway_broker::backup::{self, Options};
use hallway_broker::command::{Action, Actor, Reuse};
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::model::{BadgeCode, GivenBadge, Mode, Provider, PushRow, ReaderSettings, Tap, Target, UserRole, Via};

use crate::venue::{Venue, lobby};

const CONF: ConfNo = ConfNo(1);
const BADGE: &str = "04A1B2C3";

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

/// Everything of badges and pushes that is told of the venue, in words.
fn told(hub: &Hub) -> String {
    let reader = hub.reader();
    let talk = reader.conversation(CONF, &lobby()).unwrap().unwrap().record.no;
    let badges: Vec<_> = reader
        .badges(CONF, None, 10)
        .unwrap()
        .0
        .into_iter()
        .map(|(code, badge)| (code.as_str().to_owned(), badge.user, badge.revoked))
        .collect();
    let readers: Vec<_> = reader.readers(CONF, None, 10).unwrap().0.into_iter().map(|found| (found.uid, found.record)).collect();
    let totals = reader.badge_totals(CONF).unwrap();
    let targets = reader.targets(CONF, &uid("alice")).unwrap().into_iter();
    let due = Provider::ALL.into_iter().flat_map(|provider| reader.push_rows_due(CONF, provider, u64::MAX, 10, |_, _| true).unwrap());
    format!(
        "{badges:?} {readers:?} {totals:?} {:?} {:?} {:?} {:?} {:?}",
        reader.attendance(CONF, talk, &uid("alice")).unwrap(),
        targets.map(|(id, target)| (id, target.address, target.secret)).collect::<Vec<_>>(),
        reader.push_state(CONF).unwrap(),
        due.collect::<Vec<_>>(),
        reader.dead_letters(CONF, None, 10).unwrap(),
    )
}

fn furnish(venue: &Venue) {
    let (alice, gate) = (uid("alice"), uid("gate"));
    let target = Target {
        provider: Provider::Webhook,
        address: "https://push.example/1".into(),
        secret: vec![7; 32],
        topic: "".into(),
        is_sandbox: false,
        options: "".into(),
        device: "phone".into(),
        since_ms: 0,
    };
    let row = |conversation: ConversationId, seq| PushRow {
        user: alice.clone(),
        target: target.id(&alice),
        conversation,
        first_seq: 1,
        seq,
        tries: 3,
        since_ms: 1000,
        why: "503".into(),
    };
    let due = vec![(u64::MAX / 2, row(lobby(), 2))];
    let progress = Action::PushProgress { cursor: None, done: vec![], due, dead: vec![row(lobby(), 1)] };
    let settings = ReaderSettings { mode: Mode::Session, conversation: Some(lobby()), capacity: 5, ..ReaderSettings::default() };
    let tap = Tap { shown: BADGE.into(), codes: BadgeCode::candidates(BADGE), at_ms: 0, id: "".into(), direction: None };
    venue.say("hi");
    venue.call(Actor { uid: alice.clone(), via: Via::Ws, session: 1 }, Action::RegisterTarget { target: Box::new(target.clone()) });
    venue.call(Actor::system(), progress);
    for (badge, revoked) in [(BADGE, false), ("04FFFF", true)] {
        let badge = GivenBadge::of(badge).unwrap();
        let codes = [vec![badge.code.clone()], badge.same.clone()].concat();
        venue.call(Actor::system(), Action::AssignBadge { badge, user: alice.clone() });
        venue.call(Actor::system(), Action::RevokeBadge { codes, on: revoked });
    }
    venue.call(Actor::system(), Action::AddUser { uid: gate.clone(), name: None, role: UserRole::Device, credentials: None });
    venue.call(Actor::system(), Action::SetReader { reader: gate.clone(), settings: Some(Box::new(settings)) });
    let scan = Action::Scan { mode: None, conversation: None, taps: vec![tap], raw: None, packet: Reuse::NewMessage };
    venue.call(Actor { uid: gate, via: Via::Badge, session: 2 }, scan);
}

#[test]
fn badges_and_pushes_come_back_from_a_backup_and_from_the_log() {
    let mut venue = Venue::new();
    furnish(&venue);
    let before = told(venue.hub());
    for word in ["x:4a1b2c3", "true", "mode: Session", "push.example", "rows: 1, letters: 1", "inside_since_ms: Some"] {
        assert!(before.to_lowercase().contains(&word.to_lowercase()), "{word} in {before}");
    }
    let file = venue.dir.path().join("monday");
    backup::backup(venue.hub(), &file).unwrap();
    venue.stop();
    backup::restore(&venue.data(), &file, &Options::default()).unwrap();
    venue.is_good();
    venue.start().unwrap();
    assert_eq!(told(venue.hub()), before);
    venue.stop();
    venue.break_store();
    venue.rebuild(false).unwrap();
    venue.is_good();
    venue.start().unwrap();
    assert_eq!(told(venue.hub()), before);
}
