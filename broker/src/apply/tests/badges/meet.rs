//! Who meets whom, at a reader and by asking.

use super::*;

#[test]
fn two_badges_at_one_reader_within_moments_introduce_two_people() {
    let mut venue = Venue::new();
    venue.set("gate", settings(Mode::Meet, None));
    venue.system(Action::ImportAttendee {
        uid: uid("bob"),
        name: "bob".into(),
        attendee: Box::new(Attendee { external: "7".into(), company: "Acme".into(), job: "Baker".into(), ..Attendee::default() }),
        badges: vec![],
        takes_account: true,
    });
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok, "waits");
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok, "nobody meets themselves");
    venue.now_ms += 9_000;
    let met = venue.scans("gate", vec![tap("bob")]).remove(0);
    assert_eq!((met.reason, met.conversation), (ScanReason::Ok, Some(conversation("dm~alice~bob"))));
    assert_eq!(venue.said("dm~alice~bob"), [pair("alice", "alice"), pair("bob", "bob\nBaker, Acme")]);
    assert_eq!(venue.said("inbox~bob"), [pair("alice", "invited"), pair("alice", "contact alice met")]);
    assert_eq!(venue.said("inbox~alice"), [pair("bob", "invited"), pair("bob", "contact bob met")]);
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Met), Some(Acquaintance::Met)));
    assert_eq!((venue.scan("gate", "bob"), venue.scan("gate", "alice")), (ScanReason::Ok, ScanReason::Ok));
    assert_eq!(venue.said("dm~alice~bob").len(), 2, "they know each other");
    venue.scan("gate", "alice");
    venue.now_ms += 10_001;
    assert_eq!(venue.scans("gate", vec![tap("carol")]).remove(0).conversation, None, "too late: carol waits");
    venue.does("alice", Action::Block { user: uid("carol"), on: true }).unwrap();
    assert_eq!(venue.scan("gate", "alice"), ScanReason::NotAllowed);
    assert_eq!(venue.state("carol", "alice"), None);
    venue.is_good();
}

#[test]
fn the_times_of_the_taps_decide_who_meets() {
    let mut venue = Venue::new();
    venue.set("gate", settings(Mode::Meet, None));
    let at = |badge: &str, at_ms: u64| Tap { at_ms, ..tap(badge) };
    // Uploaded at once, after an hour offline.
    let then = NOW_MS - 3_600_000;
    let taps = vec![
        at("alice", then),
        at("bob", then + 10_000),
        at("carol", then + 30_000),
        at("alice", then + 41_000),
        at("carol", then + 50_000),
    ];
    let met: Vec<_> = venue.scans("gate", taps).into_iter().map(|scanned| scanned.conversation.map(|id| id.to_string())).collect();
    let met: Vec<_> = met.iter().map(Option::as_deref).collect();
    assert_eq!(met, [None, Some("dm~alice~bob"), None, None, Some("dm~alice~carol")]);
}

#[test]
fn one_asks_and_the_other_says_yes() {
    use ContactDeed::{Accept, Ask as AskFor, Decline, Remove};
    let mut venue = Venue::new();
    let deed = |user: &str, deed| Action::Contact { user: uid(user), deed };
    assert_eq!(venue.scan("alice", "bob"), ScanReason::Ok);
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Asked), Some(Acquaintance::WasAsked)));
    assert_eq!(venue.said("inbox~bob"), [pair("alice", "contact alice was_asked")]);
    venue.scan("alice", "bob");
    assert_eq!(venue.said("inbox~bob").len(), 1, "asked once");
    assert_eq!(venue.does("alice", deed("bob", Accept)), Err(Reason::NotAsked));
    assert_eq!(venue.does("carol", deed("bob", Decline)), Err(Reason::NotAsked));
    assert_eq!(venue.does("alice", deed("alice", AskFor)), Err(Reason::InvalidParams));
    assert_eq!(venue.does("alice", deed("gate", AskFor)), Err(Reason::NotAllowed));
    assert_eq!(venue.does("gate", deed("alice", AskFor)), Err(Reason::NotAllowed));
    venue.does("bob", deed("alice", Decline)).unwrap();
    venue.does("alice", deed("bob", AskFor)).unwrap();
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Asked), None), "not told, nor asked again");
    assert_eq!(venue.said("inbox~bob").len(), 1);
    let back = venue.scans("bob", vec![tap("alice")]).remove(0);
    assert_eq!(back.conversation, Some(conversation("dm~alice~bob")), "bob wants it after all");
    assert_eq!(venue.said("dm~alice~bob").len(), 2);
    assert_eq!(venue.reader().contacts(CONF, &uid("alice"), None, 10).unwrap().0.len(), 1);
    venue.does("alice", deed("bob", Remove)).unwrap();
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (None, None));
    venue.does("carol", deed("bob", AskFor)).unwrap();
    let met = venue.does("bob", deed("carol", Accept)).unwrap();
    assert!(matches!(met, Outcome::Added { conversation, .. } if conversation.as_str() == "dm~bob~carol"));
    venue.does("alice", Action::Block { user: uid("carol"), on: true }).unwrap();
    assert_eq!((venue.scan("carol", "alice"), venue.scan("alice", "alice")), (ScanReason::NotAllowed, ScanReason::NotAllowed));
    venue.is_good();
}

#[test]
fn nobody_is_asked_again_and_again() {
    use ContactDeed::{Accept, Ask as AskFor, Decline, Remove};
    let mut venue = Venue::new();
    let deed = |user: &str, deed| Action::Contact { user: uid(user), deed };
    venue.does("alice", deed("bob", AskFor)).unwrap();
    let told = |venue: &Venue, who: &str| venue.said(&format!("inbox~{who}")).len();
    for _ in 0..3 {
        venue.does("alice", deed("bob", Remove)).unwrap();
        venue.does("alice", deed("bob", Remove)).unwrap();
        assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (None, None), "taken back");
        assert!(venue.reader().contacts(CONF, &uid("bob"), None, 10).unwrap().0.is_empty());
        assert_eq!(venue.does("bob", deed("alice", Accept)), Err(Reason::NotAsked));
        venue.does("alice", deed("bob", AskFor)).unwrap();
        assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Asked), Some(Acquaintance::WasAsked)));
    }
    venue.does("bob", deed("alice", Decline)).unwrap();
    for _ in 0..3 {
        venue.does("alice", deed("bob", Remove)).unwrap();
        venue.does("alice", deed("bob", AskFor)).unwrap();
        assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Asked), None), "declined");
    }
    assert_eq!(told(&venue, "bob"), 1, "told once");
    venue.does("alice", deed("bob", Remove)).unwrap();
    venue.does("bob", deed("alice", AskFor)).unwrap();
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::WasAsked), Some(Acquaintance::Asked)));
    assert_eq!(told(&venue, "alice"), 1, "what was taken back is no yes");
    venue.does("alice", deed("bob", Accept)).unwrap();
    assert_eq!(venue.state("bob", "alice"), Some(Acquaintance::Met));
    venue.is_good();
}
