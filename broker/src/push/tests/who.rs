//! Who is pushed, and what.

use super::super::gateway::Where;
use super::*;
use crate::model::{Attention, BadgeCode, GivenBadge, Level, Mode, PushSettings, Tap};

/// What everybody is pushed who could be: each message of the story is decided before the next is sent.
fn pushed_to(story: &Story, send: impl FnOnce() -> u64) -> Vec<String> {
    let before = story.fake.count();
    let pos = send();
    story.passes(GRACE_MS);
    story.is_over(pos);
    let mut to: Vec<String> = story.fake.wait_for(before)[before..].iter().map(|(address, _)| address.clone()).collect();
    to.sort_unstable();
    to
}

#[test]
fn who_is_away_is_pushed_once_after_the_grace() {
    let story = Story::of(&["alice", "bob"]);
    let pos = story.says("alice", "dm~alice~bob", "are you coming?");
    story.passes(GRACE_MS - 1);
    let (seq, last) = story.names("alice", "dm~alice~bob", "the talk begins", &[]);
    assert_eq!(story.fake.count(), 0);
    story.passes(1);
    let pushes = story.fake.wait_for(1);
    let (address, push) = &pushes[0];
    assert_eq!((address.as_str(), push.unread, push.badge), ("bob", 2, 2));
    assert_eq!((&*push.from, &*push.title, &*push.text, push.kind), ("alice", "alice", "the talk begins", Kind::Direct));
    let public_id = story.hub().reader().ids().encode(CONF, last).into();
    assert_eq!(push.at, Some(Where { conversation: id("dm~alice~bob"), seq, id: public_id }));
    assert!(pos < last);
    // Another of the same conversation takes the first one's place.
    story.is_over(last);
    story.says("alice", "dm~alice~bob", "now");
    story.passes(GRACE_MS);
    let again = &story.fake.wait_for(2)[1].1;
    assert_eq!((&again.collapse, again.unread), (&push.collapse, 3));
}

#[test]
fn who_comes_back_or_reads_elsewhere_before_the_grace_is_over_is_not_pushed() {
    let story = Story::of(&["alice", "bob", "carol"]);
    let (seq, _) = story.names("alice", "dm~alice~bob", "hi", &[]);
    let pos = story.says("alice", "dm~alice~carol", "hi");
    story.by("bob", Action::Read { conversation: id("dm~alice~bob"), seq });
    story.is_there("carol", START_MS);
    story.passes(GRACE_MS);
    story.is_over(pos);
    assert_eq!(story.fake.count(), 0);
}

#[test]
fn an_idle_desktop_does_not_silence_the_phone() {
    let story = Story::of(&["alice", "bob"]);
    story.is_there("bob", START_MS);
    story.passes(60_001);
    assert_eq!(pushed_to(&story, || story.says("alice", "dm~alice~bob", "hi")), ["bob"]);
}

#[test]
fn a_channel_pushes_who_is_named_or_wants_everything_and_nobody_twice() {
    let story = Story::of(&["alice", "bob", "carol", "dave", "erin", "staff"]);
    let wants = |who: &str, level| {
        let attention = Attention { level, silent_until_ms: 0 };
        story.by(who, Action::SetAttention { conversation: id("lobby"), attention });
    };
    assert!(pushed_to(&story, || story.says("alice", "lobby", "hello all")).is_empty());
    assert_eq!(pushed_to(&story, || story.names("alice", "lobby", "hi bob", &["bob", "alice"]).1), ["bob"]);
    wants("carol", Level::All);
    story.by("dave", Action::SetPush { settings: PushSettings { level: Level::All, ..PushSettings::default() } });
    assert_eq!(pushed_to(&story, || story.says("alice", "lobby", "hello")), ["carol", "dave"]);
    assert_eq!(pushed_to(&story, || story.names("alice", "lobby", "hi", &["carol", "dave"]).1), ["carol", "dave"]);
    wants("dave", Level::None);
    wants("bob", Level::None);
    assert_eq!(pushed_to(&story, || story.names("alice", "lobby", "hi", &["bob", "dave", "erin"]).1), ["carol", "erin"]);
    assert_eq!(pushed_to(&story, || story.names("staff", "lobby", "all", &["*"]).1), ["alice", "carol", "erin"]);
    let everything = story.fake.wait_for(0);
    assert!(everything.iter().filter(|(_, push)| &*push.text == "all").all(|(_, push)| push.mentions));
    assert_eq!(&*everything[0].1.title, "alice · Lobby");
}

#[test]
fn nobody_is_pushed_their_own_arrival() {
    let story = Story::of(&["alice", "bob", "carol", "staff"]);
    let wants = |who: &str, conversation: &str| {
        let attention = Attention { level: Level::All, silent_until_ms: 0 };
        story.by(who, Action::SetAttention { conversation: id(conversation), attention });
    };
    wants("alice", "lobby");
    wants("carol", "lobby");
    for who in ["alice", "bob"] {
        story.by_system(Action::AssignBadge { badge: GivenBadge::of(&format!("badge-of-{who}")).unwrap(), user: uid(who) });
        let shown = format!("badge-of-{who}");
        let taps = vec![Tap { codes: BadgeCode::candidates(&shown), shown: shown.into(), at_ms: 0, id: "".into(), direction: None }];
        let (mode, conversation) = (Some(Mode::Announce), Some(id("lobby")));
        let before = story.fake.count();
        story.by("staff", Action::Scan { mode, conversation, taps, raw: None, packet: Reuse::NewMessage });
        // Said later in another conversation: when it is decided, so is what was announced.
        let later = story.says(who, &format!("dm~{who}~staff"), "here I am");
        story.passes(GRACE_MS);
        story.is_over(later);
        let told: Vec<_> = story.fake.wait_for(before + 1)[before..].iter().map(|(to, push)| (to.clone(), push.text.to_string())).collect();
        let mut arrivals: Vec<_> = told.iter().filter(|(_, text)| text.contains("is here")).map(|(to, _)| to.as_str()).collect();
        arrivals.sort_unstable();
        // Alice wants everything: others' arrivals, too.
        let expected: &[&str] = if who == "alice" { &["carol"] } else { &["alice", "carol"] };
        assert_eq!(arrivals, expected, "{who}: {told:?}");
    }
}

#[test]
fn silence_blocks_and_leaving_are_kept() {
    let story = Story::of(&["alice", "bob", "dave"]);
    let direct = |who: &str| format!("dm~alice~{who}");
    for who in ["bob", "dave"] {
        story.by("alice", Action::Open { with: uid(who) });
    }
    let attention = Attention { level: Level::Default, silent_until_ms: START_MS + 3_600_000 };
    story.by("bob", Action::SetAttention { conversation: id(&direct("bob")), attention });
    story.by("dave", Action::Leave { conversation: id("lobby") });
    assert!(pushed_to(&story, || story.says("alice", &direct("bob"), "hi")).is_empty());
    assert!(pushed_to(&story, || story.names("alice", "lobby", "hi", &["dave"]).1).is_empty());
    story.by("dave", Action::Join { conversation: id("lobby") });
    story.by("dave", Action::Block { user: uid("alice"), on: true });
    assert!(pushed_to(&story, || story.names("alice", "lobby", "hi", &["dave"]).1).is_empty());
    story.passes(3_600_000);
    assert_eq!(pushed_to(&story, || story.says("alice", &direct("bob"), "hi")), ["bob"]);
}

#[test]
fn what_is_pushed_is_the_present_and_only_what_somebody_wants_shown() {
    let story = Story::of(&["alice", "bob"]);
    let settings = PushSettings { content: false, ..PushSettings::default() };
    let conversation = id("dm~alice~bob");
    let (target, _) = story.names("alice", "dm~alice~bob", "meat at five", &[]);
    story.by("alice", Action::Edit { conversation: conversation.clone(), target, text: "meet at five".into() });
    let (oops, pos) = story.names("alice", "dm~alice~bob", "oops", &[]);
    story.by("alice", Action::Delete { conversation, target: oops });
    story.passes(GRACE_MS);
    story.is_over(pos);
    let pushes = story.fake.wait_for(1);
    let seq = pushes[0].1.at.as_ref().map(|at| at.seq);
    assert_eq!((pushes.len(), &*pushes[0].1.text, seq), (1, "meet at five", Some(target)));
    story.by("bob", Action::SetPush { settings });
    story.says("alice", "dm~alice~bob", "a secret");
    story.passes(GRACE_MS);
    let hidden = &story.fake.wait_for(2)[1].1;
    assert_eq!((&*hidden.from, &*hidden.title, &*hidden.text), ("", "The Demo", "New message"));
    // The id of a direct conversation is two names; a channel's is none.
    assert_eq!((&hidden.at, &hidden.collapse), (&None, &pushes[0].1.collapse));
    story.names("alice", "lobby", "another secret", &["bob"]);
    story.passes(GRACE_MS);
    let in_lobby = &story.fake.wait_for(3)[2].1;
    assert_eq!((&*in_lobby.from, &*in_lobby.title, &*in_lobby.text), ("", "The Demo", "New message"));
    assert_eq!(in_lobby.at.as_ref().map(|at| at.conversation.as_str()), Some("lobby"));
}

#[test]
fn a_device_is_its_last_users_and_a_user_has_the_newest_sixteen() {
    let story = Story::of(&["alice", "bob", "carol"]);
    story.has_phone("carol", "bob");
    assert_eq!(pushed_to(&story, || story.says("alice", "dm~alice~bob", "hi")), [""; 0]);
    assert_eq!(pushed_to(&story, || story.says("alice", "dm~alice~carol", "hi")), ["bob", "carol"]);
    for n in 0..16 {
        story.passes(1);
        story.has_phone("bob", &format!("tablet-{n}"));
    }
    assert_eq!(pushed_to(&story, || story.says("alice", "dm~alice~bob", "hi")).len(), 16);
    story.has_phone("bob", "watch");
    let targets = story.hub().reader().targets(CONF, &uid("bob")).unwrap();
    assert_eq!(targets.len(), 16);
    assert!(targets.iter().all(|(_, target)| &*target.address != "tablet-0"));
    // As many when the device was another's before.
    story.has_phone("bob", "alice");
    story.by_system(Action::ForgetTarget { uid: uid("bob"), target: target("alice").id(&uid("bob")), since_ms: None });
    assert_eq!(story.hub().reader().targets(CONF, &uid("bob")).unwrap().len(), 15, "one went for it");
}

#[test]
fn who_is_signed_out_everywhere_or_erased_is_reached_nowhere() {
    let story = Story::of(&["alice", "bob"]);
    story.by("bob", Action::SetPush { settings: PushSettings { level: Level::All, ..PushSettings::default() } });
    story.by_system(Action::Erase { uid: uid("bob") });
    while let Outcome::Continue(_) = story.by_system(Action::Erase { uid: uid("bob") }) {}
    assert!(story.target_of("bob").is_none());
    assert!(story.hub().reader().who_wants_all(CONF, None, 10).unwrap().is_empty());
    assert_eq!(story.hub().reader().push_settings(CONF, &uid("bob")).unwrap(), PushSettings::default());
}
