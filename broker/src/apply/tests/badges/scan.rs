//! What all modes have in common: who may scan for what, what comes again, and what is published.

use super::*;

#[test]
fn a_badge_that_is_taken_away_is_no_second_tap() {
    let mut venue = Venue::new();
    venue.set("hall", ReaderSettings { owner: Some(uid("stan")), ..settings(Mode::Lead, None) });
    let away = |badge: &str| Tap { direction: Some(Way::Exit), ..tap(badge) };
    assert_eq!(venue.scans("gate", vec![away("alice")])[0].reason, ScanReason::Ok);
    assert_eq!(venue.reader().checkin(CONF, &uid("alice")).unwrap(), None);
    for mode in [Mode::Meet, Mode::Announce] {
        venue.set("gate", settings(mode, Some("talk")));
        assert_eq!(venue.scans("gate", vec![away("alice"), away("bob")]).iter().filter(|scanned| scanned.accepted).count(), 2);
    }
    let leads = venue.scans("hall", vec![tap("alice"), away("alice"), away("nobody")]);
    let told: Vec<_> = leads.iter().map(|scanned| scanned.reason).collect();
    assert_eq!(told, [ScanReason::Ok, ScanReason::Ok, ScanReason::UnknownBadge]);
    assert_eq!(venue.reader().lead(CONF, &uid("stan"), &uid("alice")).unwrap().map(|lead| lead.scans), Some(1));
    assert_eq!((venue.said("talk").len(), venue.state("alice", "bob")), (0, None));
    venue.is_good();
}

#[test]
fn who_scans_decides_what_for() {
    let mut venue = Venue::new();
    let scan = |mode, id: Option<&str>| Action::Scan {
        mode,
        conversation: id.map(conversation),
        taps: vec![tap("bob")],
        raw: None,
        packet: Reuse::NewMessage,
    };
    let refused = Err(Reason::NotAllowed);
    assert_eq!(venue.does("alice", scan(Some(Mode::Checkin), None)), refused);
    assert_eq!(venue.does("alice", scan(None, Some("talk"))), refused);
    assert_eq!(venue.does("gate", scan(Some(Mode::Lead), None)), refused);
    assert!(venue.does("gate", scan(Some(Mode::Checkin), None)).is_ok(), "what it is set to");
    assert!(venue.does("stan", scan(Some(Mode::Session), Some("talk"))).is_ok());
    assert_eq!(venue.attendance("bob"), (true, 1, 0));
    venue.set("alice", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    assert!(venue.does("alice", scan(None, None)).is_ok());
    assert_eq!(venue.reader().leads(CONF, &uid("carol"), None, 9).unwrap().0.len(), 1);
    assert!(venue.does("alice", scan(Some(Mode::Meet), None)).is_ok(), "who has a handheld meets people, too");
    assert_eq!(venue.state("alice", "bob"), Some(Acquaintance::Asked));
    venue.system(Action::AddUser { uid: uid("robot"), name: None, role: UserRole::Service, credentials: None });
    assert_eq!(venue.does("robot", scan(None, None)), refused);
    venue.system(assign("gates", "gate"));
    assert_eq!(venue.scan("hall", "gates"), ScanReason::NotAllowed, "readers do not come");
    assert_eq!(venue.does("alice", Action::Open { with: uid("gate") }), refused, "nor does one chat with them");
}

#[test]
fn what_is_uploaded_again_counts_once_and_gets_its_first_result() {
    let mut venue = Venue::new();
    venue.set("hall", settings(Mode::Session, Some("talk")));
    let with_id = Tap { id: "77".into(), ..tap("alice") };
    let with_time = Tap { at_ms: NOW_MS - 86_400_000, ..tap("bob") };
    for again in [false, true, true] {
        let results = venue.scans("hall", vec![with_id.clone(), with_time.clone()]);
        let told: Vec<_> = results.iter().map(|one| (one.reason, one.accepted, one.scan, &*one.name)).collect();
        let reason = if again { ScanReason::Duplicate } else { ScanReason::Ok };
        assert_eq!(told, [(reason, true, 1, "alice"), (reason, true, 2, "bob")]);
        assert_eq!(results[1].at_ms, NOW_MS - 86_400_000, "the reader's own time");
        venue.now_ms += 60_000;
    }
    assert_eq!((venue.attendance("alice").1, venue.attendance("bob").1, venue.inside()), (1, 1, 2));
    // A reader that counts from the beginning again.
    assert_eq!(venue.scans("hall", vec![Tap { id: "77".into(), ..tap("carol") }])[0].reason, ScanReason::Ok);
    // A clock that cannot be right.
    let wrong = Tap { at_ms: NOW_MS - 15 * 86_400_000, ..tap("alice") };
    assert_eq!(venue.scans("hall", vec![wrong.clone()])[0].at_ms, venue.now_ms);
    assert_eq!(venue.scans("hall", vec![wrong])[0].reason, ScanReason::Ok, "in again");
    assert_eq!(venue.scans("hall", vec![Tap { at_ms: venue.now_ms + 86_400_000, ..tap("bob") }])[0].at_ms, venue.now_ms);
    // Without id and time: what the protocol calls a repetition.
    venue.now_ms += 60_000;
    let packet = |dup| Action::Scan {
        mode: None,
        conversation: None,
        taps: vec![tap("carol")],
        raw: None,
        packet: Reuse::Packet { client: 1, id: 9, dup },
    };
    let reason = |outcome| match outcome {
        Ok(Outcome::Scanned(results)) => results[0].reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(venue.does("hall", packet(false))), ScanReason::Ok);
    assert_eq!(reason(venue.does("hall", packet(true))), ScanReason::Duplicate);
    assert_eq!(reason(venue.does("hall", packet(false))), ScanReason::Ok, "another packet with the id");
    assert_eq!(venue.world.count(b"1"), 5, "what has no id, and what was at no time that a clock can have, is not remembered");
    // Forgotten after a week.
    venue.now_ms += crate::limits::IDEMPOTENCY_MS + 1;
    let mut from = Vec::new();
    while let Outcome::Continue(next) = venue.system(Action::Sweep { from }) {
        from = next;
    }
    assert_eq!(venue.world.count(b"1"), 0);
    venue.is_good();
}

#[test]
fn what_is_nobodys_is_not_remembered() {
    let mut venue = Venue::new();
    let unknown = |n: u32| Tap { id: n.to_string().into(), ..tap(&format!("nobody-{n}")) };
    for _ in 0..2 {
        let told = venue.scans("gate", (0..9).map(unknown).collect());
        assert!(told.iter().all(|scanned| scanned.reason == ScanReason::UnknownBadge));
    }
    assert_eq!(venue.world.count(b"1"), 0);
    venue.does("stan", assign("nobody-1", "alice")).unwrap();
    let told: Vec<_> = (0..2).map(|_| venue.scans("gate", vec![unknown(1)]).remove(0).reason).collect();
    assert_eq!(told, [ScanReason::Ok, ScanReason::Duplicate], "it is somebody's now");
    venue.is_good();
}

#[test]
fn what_is_scanned_for_something_else_or_the_other_way_is_no_repetition() {
    let mut venue = Venue::new();
    venue.system(Action::Create { kind: Kind::Channel, id: conversation("party"), title: String::new(), members: vec![] });
    let scan = |mode, id: Option<&str>, direction, tap: Tap| Action::Scan {
        mode: Some(mode),
        conversation: id.map(conversation),
        taps: vec![Tap { direction, ..tap }],
        raw: None,
        packet: Reuse::NewMessage,
    };
    let with_id = Tap { id: "1".into(), ..tap("alice") };
    let with_time = Tap { at_ms: NOW_MS - 1, ..tap("bob") };
    for tap in [with_id, with_time] {
        for (mode, id, direction) in [
            (Mode::Checkin, None, None),
            (Mode::Session, Some("talk"), Some(Way::Enter)),
            (Mode::Session, Some("talk"), Some(Way::Exit)),
            (Mode::Session, Some("party"), Some(Way::Enter)),
        ] {
            for reason in [ScanReason::Ok, ScanReason::Duplicate] {
                let done = venue.does("stan", scan(mode, id, direction, tap.clone()));
                assert!(matches!(done, Ok(Outcome::Scanned(scanned)) if scanned[0].reason == reason), "{mode:?} {id:?} {direction:?}");
            }
        }
    }
}

#[test]
fn what_a_reader_sent_and_what_it_is_told_is_published_in_one_command() {
    let mut venue = Venue::new();
    let raw = Publication {
        realm: Realm::Badges,
        topic: "conf/demo/badge/gate/scan".into(),
        payload: bytes::Bytes::from_static(b"{}"),
        qos: 1,
        retain: false,
        expires_ms: u64::MAX,
        properties: None,
    };
    let taps = vec![tap("alice"), tap("nobody")];
    venue.does("gate", Action::Scan { mode: None, conversation: None, taps, raw: Some(Arc::new(raw)), packet: Reuse::NewMessage }).unwrap();
    let topics: Vec<_> = venue.said("topics~").into_iter().map(|(_, topic)| topic).collect();
    assert_eq!(topics, ["conf/demo/badge/gate/scan", "conf/demo/badge/gate/result", "conf/demo/badge/gate/result"]);
    let payload = |venue: &Venue, seq: usize| {
        let page = venue.reader().page(&venue.found("topics~"), crate::reader::Toward::Newer(0), 9, &[]).unwrap();
        match &page.events[seq].entry.body {
            Body::Publication(publication) => String::from_utf8(publication.payload.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        payload(&venue, 1),
        r#"{"accepted":true,"reason":"ok","badge":"alice","user":"alice","name":"alice","mode":"checkin","scan":1,"ts":"2027-01-15T08:00:00.000Z"}"#
    );
    let nobody =
        r#"{"accepted":false,"reason":"unknown_badge","badge":"nobody","mode":"checkin","scan":2,"ts":"2027-01-15T08:00:00.000Z"}"#;
    assert_eq!(payload(&venue, 2), nobody);
    venue.does("stan", scan_of(vec![tap("alice")])).unwrap();
    assert_eq!(venue.said("topics~").len(), 3, "people are answered");
    venue.erase("alice");
    assert_eq!(
        [0, 1, 2].map(|seq| payload(&venue, seq).len()),
        [0, 0, nobody.len()],
        "what names the erased is gone, and what it was made of"
    );
}
