//! Quiet hours: what falls into them waits for their end.

use super::*;
use crate::model::PushSettings;

const HOUR_MS: u64 = 3_600_000;
const DIRECT: &str = "dm~alice~bob";
/// The stories begin at 08:00 UTC.
const UNTIL_NINE: (u16, u16) = (7 * 60, 9 * 60);

fn is_quiet(story: &Story, quiet_minutes: (u16, u16)) {
    story.by("bob", Action::SetPush { settings: PushSettings { quiet_minutes, ..PushSettings::default() } });
}

/// When the only push that waits is due, since the story began.
fn due_after_ms(story: &Story) -> u64 {
    let rows = story.hub().reader().push_rows_due(CONF, Provider::Fcm, u64::MAX, 10, |_, _| true).unwrap();
    assert_eq!(rows.len(), 1);
    rows[0].0 - START_MS
}

/// Alice says it, and it is decided.
fn says(story: &Story, text: &str) {
    let pos = story.says("alice", DIRECT, text);
    story.passes(GRACE_MS);
    story.is_over(pos);
}

#[test]
fn who_is_away_is_told_once_when_they_end_whatever_the_time_to_live() {
    for time_to_live_s in [600, 24 * 3600] {
        let time_to_live = Duration::from_secs(time_to_live_s);
        let mut story = Story::with(&["alice", "bob"], PushOptions { time_to_live, ..PushOptions::default() });
        is_quiet(&story, UNTIL_NINE);
        says(&story, "are you up?");
        says(&story, "tell me");
        story.has_rows(1);
        assert_eq!(due_after_ms(&story), HOUR_MS);
        // It outlives the server.
        story.restart();
        assert_eq!(story.fake.count(), 0);
        story.passes(HOUR_MS);
        let pushes = story.fake.wait_for(1);
        story.has_rows(0);
        assert_eq!((&*pushes[0].1.text, pushes[0].1.unread), ("tell me", 2));
        assert!(pushes[0].1.time_to_live >= Duration::from_secs(3590), "{:?}", pushes[0].1.time_to_live);
        assert_eq!(story.fake.count(), 1);
    }
}

#[test]
fn who_reads_in_them_is_not_told() {
    let story = Story::of(&["alice", "bob"]);
    is_quiet(&story, UNTIL_NINE);
    let (seq, _) = story.names("alice", DIRECT, "hi", &[]);
    story.passes(GRACE_MS);
    story.has_rows(1);
    story.by("bob", Action::Read { conversation: id(DIRECT), seq });
    story.passes(HOUR_MS);
    story.has_rows(0);
    assert_eq!(story.fake.count(), 0);
}

#[test]
fn nothing_else_that_stands_against_a_push_is_put_off() {
    let story = Story::of(&["alice", "bob"]);
    is_quiet(&story, UNTIL_NINE);
    let (target, pos) = story.names("alice", DIRECT, "oops", &[]);
    story.by("alice", Action::Delete { conversation: id(DIRECT), target });
    story.passes(GRACE_MS);
    story.is_over(pos);
    story.by("bob", Action::Block { user: uid("alice"), on: true });
    let pos = story.names("alice", "lobby", "there?", &["bob"]).1;
    story.passes(GRACE_MS);
    story.is_over(pos);
    assert_eq!(story.hub().reader().push_state(CONF).unwrap().unwrap().rows, 0);
}

#[test]
fn what_is_tried_again_in_them_is_put_off_to_their_end() {
    let story = Story::of(&["alice", "bob"]);
    let after = Some(Duration::from_secs(300));
    story.fake.will_answer("bob", [Sent::Later { after, why: "503".into() }]);
    says(&story, "hi");
    story.fake.wait_for(1);
    story.has_rows(1);
    is_quiet(&story, UNTIL_NINE);
    story.passes(310_000);
    story.until("the end of quiet hours", |_| due_after_ms(&story) == HOUR_MS);
    assert_eq!(story.fake.count(), 1);
    story.passes(HOUR_MS);
    story.fake.wait_for(2);
    story.has_rows(0);
}

#[test]
fn who_ends_them_early_is_told_with_the_next_message() {
    let story = Story::of(&["alice", "bob"]);
    is_quiet(&story, UNTIL_NINE);
    says(&story, "are you up?");
    story.has_rows(1);
    is_quiet(&story, (0, 0));
    says(&story, "now?");
    let pushes = story.fake.wait_for(1);
    assert_eq!((&*pushes[0].1.text, pushes[0].1.unread), ("now?", 2));
    story.has_rows(0);
    story.passes(2 * HOUR_MS);
    says(&story, "more");
    assert_eq!(story.fake.wait_for(2).len(), 2);
}

#[test]
fn what_never_gets_through_does_not_live_from_one_day_to_the_next() {
    let story = Story::of(&["alice", "bob"]);
    // All day but for half an hour.
    is_quiet(&story, (9 * 60 + 30, 9 * 60));
    let after = Some(Duration::from_secs(45 * 60));
    story.fake.answers_all(Some(Sent::Later { after, why: "503".into() }));
    says(&story, "hi");
    story.has_rows(1);
    story.passes(HOUR_MS);
    for tries in 1..=2 {
        story.fake.wait_for(tries);
        story.until("another try", |_| !due_after_ms(&story).is_multiple_of(HOUR_MS));
        story.passes(50 * 60_000);
        let next_ms = HOUR_MS + tries as u64 * 24 * HOUR_MS;
        story.until("the end of quiet hours", |_| due_after_ms(&story) == next_ms);
        story.passes(24 * HOUR_MS - 50 * 60_000);
    }
    story.has_rows(0);
    assert_eq!(story.fake.count(), 2);
}
