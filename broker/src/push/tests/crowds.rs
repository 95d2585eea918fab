//! Many people, many messages.

use super::super::Moment;
use super::super::catch_up::CatchUp;
use super::super::desk::Desk;
use super::super::expand::Expansion;
use super::super::tail::{Tail, Undecided};
use super::*;
use crate::limits::MAX_UNDER_WAY;
use crate::model::{Attention, Body, Level};

/// Announcements with so many members, who all are away.
fn announcements(story: &Story, members: usize) {
    for n in 0..members {
        let who = format!("member-{n:05}");
        story.by_system(Action::AddUser { uid: uid(&who), name: None, role: UserRole::Attendee, credentials: None });
        story.has_phone(&who, &who);
    }
    story.by_system(Action::Create { kind: Kind::Announcements, id: id("news"), title: "News".into(), members: Vec::new() });
    for n in 0..members {
        story.by(&format!("member-{n:05}"), Action::Join { conversation: id("news") });
    }
}

/// How many people the tests have: each is three commands, one after the other.
const CROWD: usize = 600;

#[test]
fn an_announcement_reaches_everybody_once_with_few_on_their_way_at_a_time() {
    let story = Story::of(&["staff"]);
    announcements(&story, CROWD);
    story.says("staff", "news", "dinner is served");
    story.passes(GRACE_MS);
    let pushes = story.fake.wait_for(CROWD);
    story.has_rows(0);
    let pushes_at_the_end = story.fake.count();
    assert_eq!((pushes.len(), pushes_at_the_end), (CROWD, CROWD));
    let mut to = addresses(&pushes);
    to.dedup();
    assert_eq!(to.len(), CROWD);
    assert!(story.fake.said.lock().unwrap().most_in_flight <= 32);
}

#[test]
fn an_announcement_goes_on_after_a_restart_and_whoever_comes_twice_comes_as_the_same() {
    let mut story = Story::of(&["staff"]);
    announcements(&story, CROWD);
    story.fake.speaks(true);
    let pos = story.says("staff", "news", "dinner is served");
    story.passes(GRACE_MS);
    // All that fits is on its way, the rest waits; nobody is answered before the end.
    story.fake.wait_for(32);
    story.restart();
    story.fake.speaks(false);
    story.until("everybody", |_| {
        let said = story.fake.said.lock().unwrap();
        let mut to = addresses(&said.pushes);
        to.dedup();
        to.len() == CROWD
    });
    story.is_over(pos);
    story.has_rows(0);
    let mut by_address = HashMap::new();
    for (address, push) in story.fake.wait_for(CROWD) {
        let known = by_address.entry(address).or_insert_with(|| (push.collapse.clone(), push.at.clone()));
        assert_eq!(*known, (push.collapse, push.at));
    }
    assert!(story.fake.count() <= CROWD + 64, "only what was on its way comes again");
}

#[test]
fn messages_of_while_nobody_looked_are_decided_after_the_start() {
    let mut story = Story::of(&["alice", "bob", "carol"]);
    story.says("alice", "dm~alice~bob", "one");
    story.names("alice", "lobby", "two", &["carol"]);
    // Before the grace is over.
    story.restart();
    story.passes(GRACE_MS);
    assert_eq!(addresses(&story.fake.wait_for(2)), ["bob", "carol"]);
}

/// Staff names all, and others talk on before it is decided who is away.
fn all_are_named_and_talk_goes_on(story: &Story, messages: usize) -> u64 {
    story.names("staff", "lobby", "the bus leaves", &["*"]);
    let pos = (0..messages).map(|n| story.says("alice", "lobby", &format!("chatter {n}"))).last().unwrap();
    story.passes(GRACE_MS);
    pos
}

#[test]
fn who_is_named_with_all_learns_of_it_however_much_is_said_after_it() {
    let story = Story::of(&["alice", "bob", "staff"]);
    all_are_named_and_talk_goes_on(&story, 65);
    let pushes = story.fake.wait_for(2);
    assert_eq!(addresses(&pushes), ["alice", "bob"]);
    assert!(pushes.iter().all(|(_, push)| &*push.text == "the bus leaves" && push.mentions));
}

#[test]
fn who_is_named_with_all_learns_of_it_after_a_restart_though_others_talk_on() {
    for messages in [1, 65] {
        let mut story = Story::of(&["alice", "bob", "staff"]);
        story.fake.speaks(true);
        let pos = all_are_named_and_talk_goes_on(&story, messages);
        story.fake.wait_for(2);
        story.is_over(pos);
        story.restart();
        let pushes = story.fake.wait_for(4);
        assert_eq!(addresses(&pushes[2..]), ["alice", "bob"]);
        assert!(pushes.iter().all(|(_, push)| &*push.text == "the bus leaves"));
    }
}

#[test]
fn who_is_named_alone_long_before_the_end_learns_of_it_after_a_restart() {
    let mut story = Story::of(&["alice", "bob", "staff"]);
    announcements(&story, 0);
    for who in ["alice", "bob"] {
        story.by(who, Action::Join { conversation: id("news") });
    }
    let attention = Attention { level: Level::Mentions, silent_until_ms: 0 };
    story.by("bob", Action::SetAttention { conversation: id("news"), attention });
    story.fake.speaks(true);
    story.names("staff", "news", "bob, come to the desk", &["bob"]);
    let pos = (0..600).map(|n| story.says("staff", "news", &format!("news {n}"))).last().unwrap();
    story.passes(GRACE_MS);
    assert_eq!(addresses(&story.fake.wait_for(2)), ["alice", "bob"]);
    story.is_over(pos);
    story.restart();
    let pushes = story.fake.wait_for(4);
    assert_eq!(addresses(&pushes[2..]), ["alice", "bob"]);
    assert!(pushes.iter().all(|(to, push)| (to == "bob") == (&*push.text == "bob, come to the desk")));
}

#[test]
fn what_is_taken_back_while_a_crowd_is_told_is_told_to_nobody_else() {
    let story = Story::of(&["staff"]);
    announcements(&story, 70);
    let (target, first_pos) = story.names("staff", "news", "the hall is on fire", &[]);
    let found = story.hub().reader().conversation(CONF, &id("news")).unwrap().unwrap();
    let (conversation, named) = (id("news"), std::collections::BTreeMap::new());
    let (first_seq, last_seq, kind) = (target, target, Kind::Announcements);
    let due = Undecided { conv: found.record.no, conversation, kind, first_seq, first_pos, last_seq, due_ms: 0, named, names_all: None };
    let reader = story.hub().reader();
    let mut expansion = Expansion::of(reader, CONF, &due).unwrap().unwrap();
    let (people, next) = expansion.page(reader).unwrap();
    assert_eq!(expansion.messages(reader, &people[0]).unwrap().len(), 1);
    expansion.go_on(&people, next);
    story.by("staff", Action::Delete { conversation: id("news"), target });
    let (people, _) = expansion.page(reader).unwrap();
    for event in expansion.messages(reader, &people[0]).unwrap() {
        let Body::Message(message) = &event.entry.body else { panic!("{event:?}") };
        assert!(message.deleted.is_some() && message.text.is_empty());
    }
}

#[test]
fn a_long_backlog_of_one_conversation_is_taken_in_steps() {
    let story = Story::with(&["alice", "bob"], PushOptions { grace: Duration::from_secs(3600), ..PushOptions::default() });
    let pos = (0..2100).map(|n| story.says("alice", "lobby", &n.to_string())).last().unwrap();
    let (mut tail, mut catch_up) = (Tail::new(0), CatchUp::new(pos));
    let now = Moment { wall_ms: START_MS, elapsed_ms: 0 };
    assert!(!catch_up.step(story.hub(), CONF, &mut tail, now, 0).unwrap());
    assert!(tail.pos() < pos, "what is behind the step is not passed");
    while !catch_up.step(story.hub(), CONF, &mut tail, now, 0).unwrap() {}
    let all = tail.take_due(0).unwrap();
    assert_eq!((all.last_seq - all.first_seq, tail.pos(), tail.is_empty()), (2099, pos, true));
}

#[test]
fn what_a_restart_goes_on_with_is_never_left_out_for_what_came_later() {
    let story = Story::of(&["staff"]);
    announcements(&story, 1);
    story.fake.speaks(true);
    let pos = story.says("staff", "news", "dinner is served");
    story.passes(GRACE_MS);
    story.is_over(pos);
    let demo = ConferenceId::parse("demo").unwrap();
    let found = story.hub().reader().conversation(CONF, &id("news")).unwrap().unwrap();
    let mut desk = Desk::open(story.hub(), CONF, demo).unwrap();
    for n in 1..=MAX_UNDER_WAY as u64 {
        let (conv, conversation, named) = (found.record.no, id("news"), std::collections::BTreeMap::new());
        let (first_seq, first_pos, kind, names_all) = (100 + n, pos + n, Kind::Announcements, None);
        let due = Undecided { conv, conversation, kind, first_seq, first_pos, last_seq: first_seq, due_ms: 0, named, names_all };
        desk.begin(Expansion::of(story.hub().reader(), CONF, &due).unwrap().unwrap());
    }
    let resumed = desk.take_expansion().unwrap();
    desk.put_back(resumed);
    let cursor = desk.take_changes().0;
    assert_eq!(cursor.under_way.len(), MAX_UNDER_WAY);
    assert!(cursor.under_way.iter().any(|at| at.first_seq < 100));
    assert!(cursor.pos < pos + MAX_UNDER_WAY as u64, "the one without a place is read again");
}

#[test]
fn who_registers_first_is_pushed_nothing_of_before() {
    let story = Story::with(&[], PushOptions { grace: Duration::ZERO, ..PushOptions::default() });
    for who in ["alice", "bob"] {
        story.by_system(Action::AddUser { uid: uid(who), name: None, role: UserRole::Attendee, credentials: None });
    }
    for n in 0..50 {
        story.says("alice", "dm~alice~bob", &format!("old {n}"));
    }
    story.has_phone("bob", "bob");
    story.says("alice", "dm~alice~bob", "new");
    assert_eq!(&*story.fake.wait_for(1)[0].1.text, "new");
}
