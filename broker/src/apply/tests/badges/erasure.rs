//! What an erasure finds of what was scanned.

use super::*;

/// What a reader sends of a badge that says who its bearer is.
fn card(reader: &str, badges: &[&str]) -> Action {
    let raw = Publication {
        realm: Realm::Badges,
        topic: format!("conf/demo/badge/{reader}/scan").into(),
        payload: bytes::Bytes::from(format!("MECARD:N:{};;", badges.join(" "))),
        qos: 1,
        retain: false,
        expires_ms: u64::MAX,
        properties: None,
    };
    let taps = badges.iter().map(|badge| tap(badge)).collect();
    Action::Scan { mode: None, conversation: None, taps, raw: Some(Arc::new(raw)), packet: Reuse::NewMessage }
}

/// All that is kept of what is published and said there.
fn words(venue: &Venue, id: &str) -> Vec<String> {
    let page = venue.reader().page(&venue.found(id), crate::reader::Toward::Newer(0), 500, &[]).unwrap();
    let text = |body: &Body| match body {
        Body::Publication(publication) => String::from_utf8(publication.payload.to_vec()).unwrap(),
        Body::Message(message) => message.text.to_string(),
        _ => String::new(),
    };
    page.events.iter().map(|event| text(&event.entry.body)).collect()
}

#[test]
fn what_a_reader_sent_of_somebody_goes_and_of_others_stays() {
    let mut venue = Venue::new();
    for (reader, badges) in [
        ("gate", &["bob"][..]),
        ("gate", &["alice"][..]),
        ("hall", &["bob", "carol", "alice"][..]),
        ("hall", &["bob"][..]),
        ("gate", &["nobody"][..]),
    ] {
        venue.does(reader, card(reader, badges)).unwrap();
    }
    let before = words(&venue, "topics~");
    venue.erase("alice");
    let after = words(&venue, "topics~");
    let gone: Vec<_> = before.iter().zip(&after).enumerate().filter(|(_, (was, is))| was != is).map(|(at, _)| at).collect();
    assert_eq!(gone, [2, 3, 4, 7], "each message with alice in it, and what was told of her");
    assert!(gone.iter().all(|at| after[*at].is_empty()) && !after.concat().contains("alice"));
}

#[test]
fn what_was_announced_of_somebody_goes_and_of_others_stays() {
    let mut venue = Venue::new();
    venue.set("gate", settings(Mode::Announce, Some("talk")));
    for who in ["alice", "bob"] {
        assert_eq!(venue.scan("gate", who), ScanReason::Ok);
    }
    let mentions = vec!["alice".into()];
    let draft = crate::command::Draft {
        conversation: conversation("talk"),
        client_id: "".into(),
        reuse: Reuse::NewMessage,
        text: "Hi alice".into(),
        reply_to: None,
        mentions,
        attachments: vec![],
    };
    venue.does("bob", Action::Join { conversation: conversation("talk") }).unwrap();
    venue.does("bob", Action::Send(draft)).unwrap();
    venue.erase("alice");
    assert_eq!(words(&venue, "talk"), ["", "bob is here.", "", "Hi alice"], "what others wrote is theirs");
}

#[test]
fn an_erasure_takes_everything_along() {
    let mut venue = Venue::new();
    venue.set("hall", settings(Mode::Session, Some("talk")));
    venue.set("bob", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    venue.set("alice", ReaderSettings { owner: Some(uid("alice")), ..settings(Mode::Lead, None) });
    venue.system(Action::ImportAttendee {
        uid: uid("alice"),
        name: "x".into(),
        attendee: Box::new(Attendee { external: "7".into(), ..Attendee::default() }),
        badges: vec![],
        takes_account: true,
    });
    for (reader, badge) in [("gate", "alice"), ("hall", "alice"), ("hall", "bob"), ("bob", "alice"), ("alice", "bob")] {
        assert_eq!(venue.scan(reader, badge), ScanReason::Ok);
    }
    venue.does("alice", Action::Contact { user: uid("bob"), deed: ContactDeed::Ask }).unwrap();
    venue.does("bob", Action::Contact { user: uid("alice"), deed: ContactDeed::Accept }).unwrap();
    venue.does("carol", Action::Contact { user: uid("alice"), deed: ContactDeed::Ask }).unwrap();
    venue.erase("alice");
    let (inside, totals) = (venue.inside(), venue.reader().badge_totals(CONF).unwrap());
    assert_eq!((inside, totals.checked_in, totals.attendees), (1, 0, 2));
    // bob's and carol's badges; two readers; nothing of the others; bob at the session and in the counts.
    let left: Vec<_> = b"AJdHLMNO456".iter().map(|kind| venue.world.count(&[*kind])).collect();
    assert_eq!(left, [2, 2, 2, 0, 0, 0, 1, 0, 0, 1, 2], "and whose ticket it was, as a hash");
    assert_eq!(venue.scan("gate", "alice"), ScanReason::UnknownBadge);
}
