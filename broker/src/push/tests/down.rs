//! Gateways that do not take what they are given.

use super::*;

fn later(after_s: Option<u64>) -> Sent {
    Sent::Later { after: after_s.map(Duration::from_secs), why: "503".into() }
}

/// Lets time go on until so many pushes came in all.
fn comes(story: &Story, count: usize, within_ms: u64) {
    let mut left = within_ms;
    while story.fake.count() < count && left > 0 {
        story.passes(100);
        left -= 100;
        std::thread::park_timeout(Duration::from_millis(30));
    }
    story.fake.wait_for(count);
}

#[test]
fn what_a_gateway_puts_off_is_tried_again_when_it_says() {
    let story = Story::of(&["alice", "bob"]);
    story.fake.will_answer("bob", [later(Some(100))]);
    let pos = story.says("alice", "dm~alice~bob", "hi");
    story.passes(GRACE_MS);
    story.fake.wait_for(1);
    story.is_over(pos);
    story.has_rows(1);
    story.passes(99_000);
    let due_ms = story.hub().reader().push_rows_due(CONF, Provider::Fcm, u64::MAX, 1, |_, _| true).unwrap()[0].0;
    assert!(due_ms >= START_MS + GRACE_MS + 100_000, "{due_ms}");
    story.passes(1_000);
    let pushes = story.fake.wait_for(2);
    assert_eq!((&pushes[0].1.collapse, &pushes[0].1.at), (&pushes[1].1.collapse, &pushes[1].1.at));
    story.has_rows(0);
}

#[test]
fn who_read_it_meanwhile_is_not_pushed_again() {
    let story = Story::of(&["alice", "bob"]);
    story.fake.will_answer("bob", [later(Some(100))]);
    let (seq, _) = story.names("alice", "dm~alice~bob", "hi", &[]);
    story.passes(GRACE_MS);
    story.fake.wait_for(1);
    story.has_rows(1);
    story.by("bob", Action::Read { conversation: id("dm~alice~bob"), seq });
    story.passes(100_000);
    story.has_rows(0);
    assert_eq!(story.fake.count(), 1);
}

#[test]
fn a_gateway_that_was_down_gets_the_newest_of_everything_once_it_is_back() {
    let people: Vec<String> = (0..12).map(|n| format!("user-{n:02}")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).chain(["alice"]).collect();
    let mut story = Story::with(&names, PushOptions { per_gateway: 1, ..PushOptions::default() });
    story.fake.answers_all(Some(later(None)));
    let mut pos = 0;
    for person in &people {
        pos = story.says("alice", &format!("dm~alice~{person}"), "first");
    }
    story.passes(GRACE_MS);
    story.is_over(pos);
    story.has_rows(12);
    // A newer message takes the older one's place, and it is the same after a restart.
    let pos = story.says("alice", "dm~alice~user-00", "second");
    story.passes(GRACE_MS);
    story.is_over(pos);
    story.has_rows(12);
    story.restart();
    story.passes(3_600_000);
    story.fake.begins_anew(None);
    comes(&story, 12, 3_600_000);
    story.has_rows(0);
    let pushes = story.fake.wait_for(12);
    assert_eq!(addresses(&pushes), people);
    assert!(pushes.iter().any(|(address, push)| address == "user-00" && &*push.text == "second"));
    assert!(story.hub().metrics().push_retried.load(Relaxed) < 40, "nobody hammers a gateway that is down");
}

#[test]
fn too_many_to_some_devices_hold_up_nobody_else() {
    let people: Vec<String> = (0..12).map(|n| format!("user-{n:02}")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).chain(["alice", "bob"]).collect();
    let story = Story::of(&names);
    for person in &people {
        let after = Some(Duration::from_secs(1000));
        story.fake.will_answer(person, [Sent::Throttled { after, why: "429".into() }]);
        story.says("alice", &format!("dm~alice~{person}"), "hi");
    }
    story.passes(500);
    let pos = story.says("alice", "dm~alice~bob", "hi");
    story.passes(GRACE_MS - 500);
    story.has_rows(12);
    story.passes(500);
    story.is_over(pos);
    assert_eq!(story.fake.wait_for(13)[12].0, "bob", "within the second for which a gateway is not asked that fails");
    story.passes(1000 * 1000 - 2 * GRACE_MS);
    let rows = story.hub().reader().push_rows_due(CONF, Provider::Fcm, u64::MAX, 100, |_, _| true).unwrap();
    assert!(rows.iter().all(|(due_ms, _)| *due_ms >= START_MS + 1000 * 1000), "each waits as long as it was told");
    story.passes(2 * GRACE_MS);
    story.fake.wait_for(25);
    story.has_rows(0);
}

/// A conference with these people, each with a phone of an address that begins like this, and announcements that they are in.
fn has_another(story: &Story, conf: ConfNo, people: &[String], begins: &str) {
    for person in people {
        let actor = Actor { uid: uid(person), via: Via::Ws, session: 0 };
        let address = format!("{begins}-{person}");
        let too_many = Sent::Throttled { after: Some(Duration::from_secs(1000)), why: "429".into() };
        story.fake.will_answer(&address, [too_many]);
        let role = if person == "staff" { UserRole::Staff } else { UserRole::Attendee };
        story.call_in(conf, Actor::system(), Action::AddUser { uid: uid(person), name: None, role, credentials: None });
        if person != "staff" {
            story.call_in(conf, actor, Action::RegisterTarget { target: Box::new(target(&address)) });
        }
    }
    let create = Action::Create { kind: Kind::Announcements, id: id("news"), title: "News".into(), members: Vec::new() };
    story.call_in(conf, Actor::system(), create);
    for person in people {
        let actor = Actor { uid: uid(person), via: Via::Ws, session: 0 };
        story.call_in(conf, actor, Action::Join { conversation: id("news") });
    }
}

#[test]
fn of_several_conferences_none_waits_for_all_of_another() {
    let people: Vec<String> = (0..6).map(|n| format!("user-{n}")).chain(["staff".to_owned()]).collect();
    let story = Story::with(&[], PushOptions { per_gateway: 1, ..PushOptions::default() });
    let (other, other_id) = (ConfNo(2), ConferenceId::parse("other").unwrap());
    let add = Action::AddConference { id: other_id, title: "Another".into(), sign_in: SignIn::Open, epoch: 1 };
    story.call_in(ConfNo(0), Actor::system(), add);
    for (conf, begins) in [(CONF, "a"), (other, "b")] {
        has_another(&story, conf, &people, begins);
        let draft = Draft {
            conversation: id("news"),
            client_id: "n".into(),
            reuse: Reuse::Conflict,
            text: "dinner is served".into(),
            reply_to: None,
            mentions: Vec::new(),
            attachments: Vec::new(),
        };
        story.call_in(conf, Actor { uid: uid("staff"), via: Via::Ws, session: 0 }, Action::Send(draft));
    }
    story.passes(GRACE_MS);
    story.fake.wait_for(12);
    for conf in [CONF, other] {
        story.until("rows", |hub| {
            let rows = hub.reader().push_rows_due(conf, Provider::Fcm, u64::MAX, 10, |_, row| row.tries == 1).unwrap();
            rows.len() == 6
        });
    }
    story.passes(2_000_000);
    let pushes = story.fake.wait_for(24);
    let first = addresses(&pushes[12..18]);
    assert!(first.iter().filter(|address| address.starts_with('a')).count().abs_diff(3) <= 1, "{first:?}");
}

#[test]
fn what_was_newest_and_is_taken_back_leaves_what_was_said_before_it() {
    let story = Story::of(&["alice", "bob"]);
    story.fake.will_answer("bob", [later(Some(100))]);
    story.says("alice", "dm~alice~bob", "one");
    story.passes(GRACE_MS);
    story.fake.wait_for(1);
    story.has_rows(1);
    for text in ["two", "three"] {
        let (target, pos) = story.names("alice", "dm~alice~bob", text, &[]);
        story.passes(GRACE_MS);
        story.is_over(pos);
        story.by("alice", Action::Delete { conversation: id("dm~alice~bob"), target });
    }
    story.passes(100_000);
    assert_eq!(&*story.fake.wait_for(2)[1].1.text, "one");
    story.has_rows(0);
}

#[test]
fn rows_go_out_in_due_order() {
    let people: Vec<String> = (0..12).map(|n| format!("user-{n:02}")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).chain(["alice"]).collect();
    let story = Story::with(&names, PushOptions { per_gateway: 1, ..PushOptions::default() });
    // Each is to be tried again later than the next.
    for (n, person) in people.iter().enumerate() {
        story.fake.will_answer(person, [later(Some(1000 - 10 * n as u64))]);
        let pos = story.says("alice", &format!("dm~alice~{person}"), "hi");
        story.passes(GRACE_MS);
        story.fake.wait_for(n + 1);
        story.is_over(pos);
        story.has_rows(n as u64 + 1);
        story.passes(60_000 - GRACE_MS);
        // One of five failures in a row would close the gateway for a while.
        if n % 3 == 2 {
            story.has_phone("alice", "alice");
        }
    }
    let rows = story.hub().reader().push_rows_due(CONF, Provider::Fcm, u64::MAX, 100, |_, _| true).unwrap();
    let order: Vec<String> = rows.iter().map(|(_, row)| row.user.to_string()).collect();
    story.passes(3_600_000);
    let pushes = story.fake.wait_for(24);
    let came: Vec<String> = pushes[12..].iter().map(|(address, _)| address.clone()).collect();
    assert_eq!(came, order);
    story.has_rows(0);
}

#[test]
fn a_device_that_is_gone_is_forgotten_and_one_that_came_back_is_not() {
    let story = Story::of(&["alice", "bob", "carol"]);
    for who in ["bob", "carol"] {
        story.fake.will_answer(who, [Sent::Gone]);
    }
    story.fake.speaks(true);
    story.says("alice", "dm~alice~bob", "hi");
    story.says("alice", "dm~alice~carol", "hi");
    story.passes(GRACE_MS);
    story.fake.wait_for(2);
    // The app registers again while the push is on its way.
    story.has_phone("carol", "carol");
    story.fake.speaks(false);
    story.until("bob's phone to be forgotten", |_| story.target_of("bob").is_none());
    assert!(story.target_of("carol").is_some());
}

#[test]
fn a_device_that_is_found_gone_later_is_forgotten_and_one_that_came_back_is_not() {
    let story = Story::of(&["alice", "bob", "carol"]);
    let departed = |who: &str| {
        let (target, Target { since_ms, .. }) = story.target_of(who).unwrap();
        Departed { conference: ConferenceId::parse("demo").unwrap(), user: uid(who), target, since_ms }
    };
    let (bob, carol) = (departed("bob"), departed("carol"));
    story.passes(1000);
    story.has_phone("carol", "carol");
    story.fake.said.lock().unwrap().departed = vec![carol, bob];
    story.until("bob's phone to be forgotten", |_| story.target_of("bob").is_none());
    assert!(story.target_of("carol").is_some());
    assert_eq!(story.hub().metrics().push_gone.load(Relaxed), 2);
}

#[test]
fn what_is_refused_is_kept_for_staff_and_tried_once_more_when_they_say() {
    let story = Story::of(&["alice", "bob", "staff"]);
    let refused = || Sent::Refused("400 BadTopic".into());
    story.fake.will_answer("bob", [refused(), refused()]);
    let (seq, pos) = story.names("alice", "dm~alice~bob", "hi", &[]);
    story.passes(GRACE_MS);
    story.fake.wait_for(1);
    story.is_over(pos);
    let letters = || story.hub().reader().dead_letters(CONF, None, 10).unwrap();
    story.until("the letter", |_| !letters().is_empty());
    let (number, letter) = letters().remove(0);
    assert_eq!((letter.user.as_str(), letter.seq, letter.tries, &*letter.why), ("bob", seq, 1, "400 BadTopic"));
    let replay = Action::ReplayPushes { letters: Some(vec![number, 99]) };
    let by_alice = Actor { uid: uid("alice"), via: Via::Ws, session: 0 };
    assert!(story.runtime.block_on(story.hub().call(CONF, by_alice, replay.clone())).is_err());
    assert!(matches!(story.by("staff", replay), Outcome::Replayed(1, false)));
    story.until("the next letter", |_| !letters().is_empty());
    // Whoever still has the list from before names no other by it.
    let next = letters().remove(0).0;
    assert!(next > number, "{next} after {number}");
    assert!(matches!(story.by("staff", Action::ReplayPushes { letters: Some(vec![next]) }), Outcome::Replayed(1, false)));
    story.fake.wait_for(3);
    story.has_rows(0);
    assert!(letters().is_empty());
}

#[test]
fn a_push_that_nobody_takes_for_a_day_is_of_no_use_any_more() {
    let story = Story::of(&["alice", "bob"]);
    story.fake.answers_all(Some(later(None)));
    story.says("alice", "dm~alice~bob", "hi");
    story.passes(GRACE_MS);
    story.fake.wait_for(1);
    story.has_rows(1);
    story.passes(24 * 3_600_000);
    story.has_rows(0);
    assert_eq!(story.hub().metrics().push_dropped.load(Relaxed), 1);
}

#[test]
fn of_who_is_erased_nothing_waits_and_nothing_is_kept() {
    let story = Story::of(&["alice", "bob", "staff"]);
    story.fake.will_answer("bob", [Sent::Refused("400".into()), later(Some(1000))]);
    for (count, conversation) in [(1, "dm~alice~bob"), (2, "dm~bob~staff")] {
        let from = if count == 1 { "alice" } else { "staff" };
        let pos = story.says(from, conversation, "hi");
        story.passes(GRACE_MS);
        story.fake.wait_for(count);
        story.is_over(pos);
    }
    story.has_rows(1);
    let letters = || story.hub().reader().dead_letters(CONF, None, 10).unwrap();
    assert_eq!(letters().len(), 1);
    while let Outcome::Continue(_) = story.by_system(Action::Erase { uid: uid("bob") }) {}
    assert!(letters().is_empty() && story.target_of("bob").is_none());
    story.has_rows(0);
    assert!(!story.hub().reader().has_push_rows(CONF).unwrap());
}

#[test]
fn who_is_erased_while_a_push_is_on_its_way_leaves_no_letter() {
    let story = Story::of(&["alice", "bob"]);
    story.fake.will_answer("bob", [Sent::Refused("400".into())]);
    story.fake.speaks(true);
    let pos = story.says("alice", "dm~alice~bob", "hi");
    story.passes(GRACE_MS);
    story.fake.wait_for(1);
    while let Outcome::Continue(_) = story.by_system(Action::Erase { uid: uid("bob") }) {}
    story.fake.speaks(false);
    story.is_over(pos);
    assert!(story.hub().reader().dead_letters(CONF, None, 10).unwrap().is_empty());
}

#[test]
fn who_asks_for_a_year_is_asked_again_with_what_is_said_after_the_time_to_live() {
    let story = Story::with(&["alice", "bob"], PushOptions { time_to_live: Duration::from_secs(600), ..PushOptions::default() });
    story.fake.will_answer("bob", [Sent::Throttled { after: Some(Duration::from_secs(365 * 24 * 3600)), why: "429".into() }]);
    story.says("alice", "dm~alice~bob", "one");
    story.passes(GRACE_MS);
    story.fake.wait_for(1);
    story.has_rows(1);
    story.passes(600_000);
    let pos = story.says("alice", "dm~alice~bob", "two");
    story.passes(GRACE_MS);
    assert_eq!(&*story.fake.wait_for(2)[1].1.text, "two");
    story.is_over(pos);
    story.has_rows(0);
}

#[test]
fn a_clock_that_is_set_back_holds_nobody_up() {
    let story = Story::of(&["alice", "bob"]);
    story.fake.answers_all(Some(later(None)));
    for text in ["a", "b", "c", "d", "e", "f"] {
        let pos = story.says("alice", "dm~alice~bob", text);
        story.passes(GRACE_MS);
        story.is_over(pos);
        // A device that is registered anew is another one, as far as what waits goes.
        story.by_system(Action::ForgetTarget { uid: uid("bob"), target: target("bob").id(&uid("bob")), since_ms: None });
        story.has_phone("bob", "bob");
    }
    assert_eq!(story.fake.count(), 6, "now it is not asked any more for two seconds");
    story.fake.answers_all(None);
    story.says("alice", "dm~alice~bob", "is the clock right?");
    story.clock.set_back_ms.store(3_600_000, Relaxed);
    comes(&story, 7, 10 * GRACE_MS);
    assert_eq!(&*story.fake.wait_for(7)[6].1.text, "is the clock right?");
}
