//! A conference that has everything of somebody, and what is left of it when they are erased.

use super::*;
use crate::command::Draft;
use crate::model::{Attention, KeptSession, KeptSubscription, Level, Provider, PushSettings, Target};

/// What nothing may hold any more.
const SECRETS: [&str; 6] = ["Quine", "her-chip", "TICKET-4711", "x@mail.example", "phone-of-x", "words-of-x"];

/// Kinds of records that go on naming somebody: accounts, whose subject and whose ticket it was, so that nobody comes back; conversations, with who
/// did what in them; and whom others block.
const NAMING: &[u8] = b"Uj5cemruxb";

/// Records that hold a text, by their kinds.
fn holding(venue: &Venue, text: &str) -> String {
    let mut kinds = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()));
        if (holds(key) || holds(value)) && !kinds.contains(&char::from(key[0])) {
            kinds.push(char::from(key[0]));
        }
        ControlFlow::Continue(())
    };
    venue.world.state.scan(&[], &[255], Direction::Ascending, visit).unwrap();
    kinds.into_iter().collect()
}

fn says(venue: &mut Venue, who: &str, text: &str) -> u64 {
    let draft = Draft {
        conversation: conversation("talk"),
        client_id: "".into(),
        reuse: Reuse::NewMessage,
        text: text.into(),
        reply_to: None,
        mentions: vec![],
        attachments: vec![],
    };
    match venue.does(who, Action::Send(draft)) {
        Ok(Outcome::Added { seq, .. }) => seq,
        other => panic!("{other:?}"),
    }
}

/// An account with all that it can have.
fn furnish(venue: &mut Venue) {
    venue.system(Action::AddSubject { subject: [9; 32], uid: uid("xenia"), name: Some("Quine".into()), role: None, issued_ms: 0 });
    venue.system(assign("her-chip", "xenia"));
    venue.system(Action::ImportAttendee {
        uid: uid("xenia"),
        name: "Quine".into(),
        attendee: Box::new(Attendee { external: "TICKET-4711".into(), email: "x@mail.example".into(), ..Attendee::default() }),
        badges: vec![],
        takes_account: true,
    });
    let target = Target {
        provider: Provider::Fcm,
        address: "phone-of-x".into(),
        secret: vec![],
        topic: "".into(),
        is_sandbox: false,
        options: "".into(),
        device: "phone-of-x".into(),
        since_ms: 0,
    };
    let session = KeptSession { expiry_s: 9, ended_ms: 1, cursor: 1, in_flight: vec![] };
    let filter = KeptSubscription {
        filter: "conf/demo/user/xenia/inbox".into(),
        qos: 1,
        no_local: false,
        retain_as_published: false,
        identifier: 0,
        since_pos: 0,
    };
    let publication = |topic: &str, retain| {
        Arc::new(Publication {
            realm: Realm::Apps,
            topic: format!("conf/demo/topic/{topic}").into(),
            payload: bytes::Bytes::from_static(b"words-of-x"),
            qos: 1,
            retain,
            expires_ms: u64::MAX,
            properties: None,
        })
    };
    for action in [
        Action::UpdateProfile { name: Some("W. Quine".into()), about: Some("words-of-x".into()) },
        Action::IssueToken { uid: uid("xenia"), hash: [3; 16], expires_ms: u64::MAX },
        Action::RegisterTarget { target: Box::new(target) },
        Action::SetPush { settings: PushSettings { level: Level::All, ..PushSettings::default() } },
        Action::Join { conversation: conversation("talk") },
        Action::SetAttention { conversation: conversation("talk"), attention: Attention { level: Level::All, silent_until_ms: 0 } },
        Action::KeepSession { client: "xenia/phone-of-x".into(), session },
        Action::KeepSubscriptions { client: "xenia/phone-of-x".into(), remove: vec![], add: vec![filter] },
        Action::Publish(publication("a", true), Reuse::NewMessage),
        Action::Store(publication("b", false)),
        keep("node", "1", "words-of-x"),
        Action::Block { user: uid("stan"), on: true },
    ] {
        let who = if matches!(action, Action::IssueToken { .. }) { Actor::system() } else { actor("xenia") };
        venue.by(who, action).unwrap();
    }
    let seq = says(venue, "xenia", "words-of-x");
    venue.does("xenia", Action::Edit { conversation: conversation("talk"), target: seq, text: "words-of-x!".into() }).unwrap();
    venue.does("xenia", Action::React { conversation: conversation("talk"), target: seq, emoji: "+".into(), on: true }).unwrap();
    venue.does("xenia", Action::Read { conversation: conversation("talk"), seq }).unwrap();
    venue.does("stan", Action::Block { user: uid("xenia"), on: true }).unwrap();
}

/// Everybody scans everybody, for everything.
fn scan_all(venue: &mut Venue) {
    let leads = |owner: &str| ReaderSettings { owner: Some(uid(owner)), ..settings(Mode::Lead, None) };
    let at_all = |venue: &mut Venue, reader: &str| {
        for badge in ["her-chip", "bob"] {
            venue.now_ms += 60_000;
            venue.scans(reader, vec![Tap { id: "7".into(), ..tap(badge) }]);
        }
    };
    for reader in ["xenia", "bob"] {
        for settings in [settings(Mode::Checkin, None), leads("xenia"), leads("carol"), leads(reader)] {
            venue.set(reader, settings);
            at_all(venue, reader);
        }
    }
    for settings in [settings(Mode::Session, Some("talk")), settings(Mode::Announce, Some("talk")), leads("xenia")] {
        venue.set("hall", settings);
        at_all(venue, "hall");
    }
    venue.set("gate", settings(Mode::Meet, None));
    at_all(venue, "gate");
    venue.set("bob", leads("xenia"));
    // Who waits at a reader.
    venue.now_ms += 60_000;
    venue.scans("gate", vec![tap("her-chip")]);
}

#[test]
fn nothing_names_who_was_erased_but_what_they_took_part_in() {
    let mut venue = Venue::new();
    furnish(&mut venue);
    scan_all(&mut venue);
    let deed = |user: &str, deed| Action::Contact { user: uid(user), deed };
    for (who, whom, what) in [
        ("xenia", "alice", ContactDeed::Ask),
        ("carol", "xenia", ContactDeed::Ask),
        ("xenia", "carol", ContactDeed::Decline),
        ("bob", "xenia", ContactDeed::Ask),
        ("xenia", "bob", ContactDeed::Accept),
    ] {
        venue.does(who, deed(whom, what)).unwrap();
    }
    assert_eq!(venue.state("carol", "xenia"), Some(Acquaintance::Asked), "for her the question stays open");
    let before = (holding(&venue, "xenia"), SECRETS.map(|secret| holding(&venue, secret)));
    for kind in "12459bdHJLMNO".chars() {
        assert!(before.0.contains(kind), "{kind} names her before: {before:?}");
    }
    assert!(before.1.iter().all(|kinds| !kinds.is_empty()), "{before:?}");
    venue.erase("xenia");
    assert_eq!(SECRETS.map(|secret| holding(&venue, secret)), [""; 6]);
    let naming = holding(&venue, "xenia");
    assert!(naming.bytes().all(|kind| NAMING.contains(&kind)), "{naming}");
    // Of the others nothing is lost.
    assert!(venue.reader().checkin(CONF, &uid("bob")).unwrap().is_some());
    assert!(venue.reader().lead(CONF, &uid("carol"), &uid("bob")).unwrap().is_some());
    let hall = venue.scans("hall", vec![tap("alice")]).remove(0);
    assert_eq!(hall.reason, ScanReason::NotAllowed, "whose leads it scanned is gone: it scans for nobody");
}
