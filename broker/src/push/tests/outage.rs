//! A gateway that is away for an hour.

use super::*;

/// The longest that a gateway is not asked, and a little.
const BREAK_MS: u64 = 61_000;
const HOUR_MS: u64 = 3_600_000;
/// What was said before the last so many ms of the outage is of use after it.
const TIME_TO_LIVE_MS: u64 = 50 * 60_000;

fn refused() -> Sent {
    Sent::Later { after: None, why: "503".into() }
}

/// Time goes on by so much that the gateway is asked once more, and what comes of it is written down.
fn is_asked_again(story: &Story) {
    let before = story.fake.count();
    story.passes(BREAK_MS);
    let asked = story.fake.wait_for(before + 1).len();
    story.until("the answer", |hub| hub.metrics().push_retried.load(Relaxed) >= asked as u64);
}

/// Who waits, in the order in which they are due.
fn waiting(story: &Story) -> Vec<String> {
    let rows = story.hub().reader().push_rows_due(CONF, Provider::Fcm, u64::MAX, 100, |_, _| true).unwrap();
    rows.into_iter().map(|(_, row)| row.user.to_string()).collect()
}

#[test]
fn a_gateway_that_was_away_for_an_hour_gets_all_that_is_of_use_once_and_in_due_order() {
    let people: Vec<String> = (0..16).map(|n| format!("user-{n:02}")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).chain(["alice"]).collect();
    let time_to_live = Duration::from_millis(TIME_TO_LIVE_MS);
    let story = Story::with(&names, PushOptions { per_gateway: 1, time_to_live, ..PushOptions::default() });
    let is_told = |people: &[String], text: &str| {
        let pos = people.iter().map(|person| story.says("alice", &format!("dm~alice~{person}"), text)).last().unwrap();
        story.passes(GRACE_MS);
        story.is_over(pos);
    };
    story.fake.answers_all(Some(refused()));
    let (too_early, in_time) = people.split_at(4);
    is_told(too_early, "in the first minute");
    (0..15).for_each(|_| is_asked_again(&story));
    is_told(in_time, "after a quarter");
    (0..15).for_each(|_| is_asked_again(&story));
    is_told(&in_time[..2], "after a half");
    while story.clock.elapsed() < Duration::from_millis(HOUR_MS) {
        is_asked_again(&story);
    }
    // Five in a row close it, then it is asked once in a minute at most; each of those that were told of tries less and less.
    let tries = story.fake.count();
    assert!((59..80).contains(&tries), "{tries} tries in an hour");
    // What comes of the last try is written down with where this is.
    let pos = story.says("alice", "lobby", "is it back?");
    story.passes(GRACE_MS);
    story.is_over(pos);
    assert_eq!(story.fake.count(), tries);
    let mut order = waiting(&story);
    order.retain(|person| in_time.contains(person));
    assert_eq!(order.len(), in_time.len());
    story.fake.answers_all(None);
    while story.fake.count() < tries + in_time.len() {
        let before = story.fake.count();
        story.passes(BREAK_MS);
        story.fake.wait_for(before + 1);
        let now_ms = story.clock.now_ms();
        story.until("all that is due", |hub| hub.reader().push_rows_due(CONF, Provider::Fcm, now_ms, 1, |_, _| true).unwrap().is_empty());
    }
    story.has_rows(0);
    assert_eq!(story.hub().metrics().push_dropped.load(Relaxed), too_early.len() as u64, "they are of no use any more, and all others are");
    let pushes = story.fake.wait_for(tries + in_time.len());
    let came: Vec<String> = pushes[tries..].iter().map(|(address, _)| address.clone()).collect();
    assert_eq!(came, order, "each once, in due order");
    for (address, push) in &pushes[tries..] {
        let is_newer = in_time[..2].contains(address);
        assert_eq!((&*push.text, push.unread), if is_newer { ("after a half", 2) } else { ("after a quarter", 1) });
    }
}
