//! Each violated promise is caught, and a good history is not accused.

use super::*;
use serde_json::json;

fn message(seq: u64, n: u64, text: &str) -> Event {
    let (id, client_id) = (format!("id{seq}"), format!("c{seq}"));
    let json = json!({"seq": seq, "id": id, "kind": "message", "from": "alice", "ts": "t", "via": "ws", "n": n, "client_id": client_id, "text": text});
    Event::parse(&json).expect("a message")
}

fn about(seq: u64, kind: &str, target: u64, text: Option<&str>) -> Event {
    let json = json!({"seq": seq, "id": format!("id{seq}"), "kind": kind, "from": "alice", "ts": "t", "via": "ws", "target": target, "text": text});
    Event::parse(&json).expect("an event")
}

fn ack_of(event: &Event, kind: &'static str) -> Ack {
    let Event { seq, id, from, ts, client_id, text, target, .. } = event.clone();
    Ack { from, kind, seq, id, ts, client_id, text, target }
}

fn story() -> Vec<Event> {
    vec![message(1, 1, "a"), message(2, 2, "b"), about(3, "react", 1, None), message(4, 3, "c")]
}

#[test]
fn a_good_history_has_no_violation() {
    let stored = story();
    assert_eq!(history(&stored), vec![]);
    assert_eq!(agreement(&stored, &stored), vec![]);
    assert_eq!(reading(2, &stored[2..]), vec![]);
    assert_eq!(acks(&stored, &[ack_of(&stored[0], "message"), ack_of(&stored[2], "react")]), vec![]);
}

#[test]
fn what_is_no_event_is_an_error() {
    for json in [
        json!({}),
        json!({"seq": 1, "id": "x", "kind": "message", "from": "a", "ts": "t"}),
        json!({"seq": 1, "id": "x", "kind": "edit", "from": "a", "ts": "t"}),
    ] {
        assert!(Event::parse(&json).is_err(), "{json}");
    }
}

#[test]
fn a_hole_is_caught() {
    let mut stored = story();
    stored.remove(1);
    assert!(history(&stored).contains(&Violation::Hole { after: 1, next: 3 }));
    assert_eq!(reading(0, &story()[1..]), vec![Violation::Hole { after: 0, next: 2 }]);
}

#[test]
fn a_duplicate_is_caught() {
    let seen = [message(1, 1, "a"), message(2, 2, "b"), message(2, 2, "b")];
    assert_eq!(reading(0, &seen), vec![Violation::Duplicate { seq: 2 }]);
    assert_eq!(reading(2, &seen[1..2]), vec![Violation::Reordered { seq: 2, after: 2 }], "again after it was had");
}

#[test]
fn a_wrong_order_is_caught() {
    let seen = [message(1, 1, "a"), about(3, "react", 1, None), message(2, 2, "b")];
    assert_eq!(reading(0, &seen), vec![Violation::Hole { after: 1, next: 3 }, Violation::Reordered { seq: 2, after: 3 }]);
}

#[test]
fn a_lost_event_is_caught() {
    let stored = story();
    let lost = message(5, 4, "d");
    assert!(matches!(agreement(&stored, std::slice::from_ref(&lost))[..], [Violation::Lost { seq: 5, .. }]));
    assert!(matches!(acks(&stored, &[ack_of(&lost, "message")])[..], [Violation::Lost { seq: 5, .. }]));
}

#[test]
fn a_message_stored_twice_is_caught() {
    let mut stored = story();
    stored[3].client_id = Some("c1".into());
    assert!(matches!(history(&stored)[..], [Violation::StoredTwice { first: 1, second: 4, .. }]));
    stored[3].from = "bob".into();
    assert_eq!(history(&stored), vec![], "ids are unique per sender");
}

#[test]
fn changed_content_is_caught() {
    let seen = story();
    for change in [
        |e: &mut Event| e.id = "other".into(),
        |e: &mut Event| e.from = "bob".into(),
        |e: &mut Event| e.text = Some("z".into()),
        |e: &mut Event| e.ts = "u".into(),
        |e: &mut Event| e.n = Some(9),
        |e: &mut Event| {
            e.rest.insert("via".into(), "mqtt".into());
        },
    ] {
        let mut stored = story();
        change(&mut stored[1]);
        assert!(matches!(agreement(&stored, &seen)[..], [Violation::Changed { seq: 2, .. }]));
    }
    let mut acked = ack_of(&seen[1], "message");
    acked.text = Some("what was sent".into());
    assert!(matches!(acks(&seen, &[acked])[..], [Violation::Changed { seq: 2, field: "text", .. }]));
}

#[test]
fn another_event_under_an_acked_seq_is_caught() {
    let stored = story();
    let other = ack_of(&about(2, "delete", 1, None), "delete");
    assert!(acks(&stored, &[other]).iter().any(|violation| matches!(violation, Violation::Changed { field: "kind", .. })));
}

#[test]
fn ordinals_must_be_dense() {
    let mut stored = story();
    stored[3].n = Some(4);
    assert_eq!(history(&stored), vec![Violation::Ordinal { seq: 4, n: 4, expected: 3 }]);
}

#[test]
fn an_edit_shows_and_is_the_only_way_to_change_a_text() {
    let seen = story();
    let mut stored = story();
    stored.push(about(5, "edit", 2, Some("B")));
    assert!(matches!(history(&stored)[..], [Violation::Changed { seq: 2, field: "text", .. }]), "not shown");
    stored[1].text = Some("B".into());
    assert_eq!(history(&stored), vec![]);
    assert_eq!(agreement(&stored, &seen), vec![]);
}

#[test]
fn a_deletion_takes_the_texts_of_the_message_and_its_edits() {
    let seen = [story(), vec![about(5, "edit", 2, Some("B"))]].concat();
    let mut stored = seen.clone();
    stored.push(about(6, "delete", 2, None));
    let is_unmarked = |violation: &Violation| matches!(violation, Violation::Changed { seq: 2, field: "deleted", .. });
    assert!(history(&stored).iter().any(is_unmarked));
    stored[1].deleted = true;
    stored[1].text = None;
    stored[4].text = None;
    assert_eq!(history(&stored), vec![]);
    assert_eq!(agreement(&stored, &seen), vec![]);
}

#[test]
fn an_edited_message_had_only_one_other_text() {
    let mut stored = story();
    stored.push(about(5, "edit", 2, Some("B")));
    stored[1].text = Some("B".into());
    let saw = |text: &str| message(2, 2, text);
    assert_eq!(agreement(&stored, &[saw("b"), saw("B"), saw("b")]), vec![]);
    assert!(matches!(agreement(&stored, &[saw("b"), saw("x")])[..], [Violation::Changed { seq: 2, field: "text", .. }]));
}

#[test]
fn a_deletion_that_nobody_asked_for_is_caught() {
    let mut stored = story();
    stored[1].deleted = true;
    assert!(matches!(deletions(&stored)[..], [Violation::Changed { seq: 2, field: "deleted", .. }]));
    stored.push(about(5, "delete", 2, None));
    assert_eq!(deletions(&stored), vec![]);
}

#[test]
fn an_event_about_nothing_is_caught() {
    let stored = [message(1, 1, "a"), about(2, "react", 7, None)];
    assert_eq!(history(&stored), vec![Violation::Dangling { seq: 2, target: 7 }]);
}

#[test]
fn a_broken_promise_is_caught() {
    let stored = story();
    let promise = |client_id: &str, text: &str, id: Option<&str>| Promise {
        from: "alice".into(),
        client_id: client_id.into(),
        text: text.into(),
        id: id.map(str::to_owned),
    };
    assert_eq!(promises(&stored, &[promise("c1", "a", None), promise("c2", "b", Some("id2"))]), vec![]);
    assert!(matches!(promises(&stored, &[promise("c9", "a", None)])[..], [Violation::LostPromise { .. }]));
    assert!(matches!(promises(&stored, &[promise("c1", "z", None)])[..], [Violation::Changed { field: "text", .. }]));
    assert!(matches!(promises(&stored, &[promise("c1", "a", Some("id2"))])[..], [Violation::Changed { field: "id", .. }]));
}

#[test]
fn a_listener_without_seqs_is_judged() {
    let stored = story();
    let heard = |id: &str, text: &str| Heard { id: id.into(), text: Some(text.into()) };
    let all = [heard("id1", "a"), heard("id2", "b"), heard("id4", "c")];
    assert_eq!(listening(&stored, &all), vec![]);
    assert_eq!(listening(&stored, &all[1..]), vec![], "the first may be any");
    assert_eq!(listening(&stored, &[all[0].clone(), all[2].clone()]), vec![Violation::Hole { after: 1, next: 4 }]);
    assert_eq!(listening(&stored, &[all[0].clone(), all[0].clone()]), vec![Violation::Duplicate { seq: 1 }]);
    assert_eq!(listening(&stored, &[all[1].clone(), all[0].clone()]), vec![Violation::Reordered { seq: 1, after: 2 }]);
    assert_eq!(listening(&stored, &[heard("id9", "a")]), vec![Violation::UnknownId { id: "id9".into() }]);
    assert!(matches!(listening(&stored, &[heard("id1", "z")])[..], [Violation::Changed { field: "text", .. }]));
}
