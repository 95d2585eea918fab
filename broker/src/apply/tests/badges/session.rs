//! Doors of sessions: in, out, and how many there is room for.

use super::*;

#[test]
fn a_session_lets_people_in_and_out_and_into_its_channel() {
    let mut venue = Venue::new();
    venue.set("hall", ReaderSettings { capacity: 2, ..settings(Mode::Session, Some("talk")) });
    for who in ["alice", "bob"] {
        assert_eq!(venue.scan("hall", who), ScanReason::Ok);
    }
    assert_eq!((venue.scan("hall", "carol"), venue.inside()), (ScanReason::Full, 2));
    assert_eq!(venue.attendance("carol"), (false, 0, 0));
    venue.now_ms += 60_000;
    assert_eq!(venue.scan("hall", "alice"), ScanReason::Ok, "out");
    assert_eq!((venue.attendance("alice"), venue.inside()), ((false, 1, 63), 1));
    assert_eq!(venue.scan("hall", "carol"), ScanReason::Ok);
    assert_eq!(venue.scan("hall", "alice"), ScanReason::Full);
    let mut out = tap("bob");
    out.direction = Some(Way::Exit);
    for _ in 0..2 {
        assert_eq!(venue.scans("hall", vec![out.clone()])[0].conversation, Some(conversation("talk")));
    }
    assert_eq!(venue.inside(), 1);
    let talk = [("alice", "alice joined"), ("bob", "bob joined"), ("carol", "carol joined")].map(|(who, what)| pair(who, what));
    assert_eq!(venue.said("talk"), talk, "who goes out stays a member");
    let (list, _) = venue.reader().attendances(CONF, venue.found("talk").record.no, None, 10).unwrap();
    let inside: Vec<_> = list.iter().map(|one| (one.uid.as_str(), one.record.stay.inside_since_ms.is_some())).collect();
    assert_eq!(inside, [("alice", false), ("bob", false), ("carol", true)]);
    venue.does("stan", Action::Remove { conversation: conversation("talk"), user: uid("bob"), ban: true }).unwrap();
    assert_eq!(venue.scan("hall", "bob"), ScanReason::NotAllowed);
    venue.is_good();
}

#[test]
fn a_session_takes_as_many_as_one_of_its_doors_says() {
    let mut venue = Venue::new();
    venue.set("hall", ReaderSettings { capacity: 1, ..settings(Mode::Session, Some("talk")) });
    venue.set("gate", settings(Mode::Session, Some("talk")));
    assert_eq!((venue.scan("gate", "alice"), venue.scan("gate", "bob")), (ScanReason::Ok, ScanReason::Full));
    venue.set("hall", settings(Mode::Session, Some("talk")));
    assert_eq!(venue.scan("gate", "bob"), ScanReason::Ok);
    let set = |settings| Action::SetReader { reader: uid("hall"), settings };
    let wrong = |mode, id| set(Some(Box::new(settings(mode, id))));
    assert_eq!(venue.does("stan", wrong(Mode::Session, None)), Err(Reason::InvalidParams));
    assert_eq!(venue.does("stan", wrong(Mode::Announce, Some("nowhere"))), Err(Reason::UnknownConversation));
    assert_eq!(venue.does("stan", wrong(Mode::Announce, Some("inbox~alice"))), Err(Reason::UnknownConversation));
    assert_eq!(venue.does("alice", set(None)), Err(Reason::StaffOnly));
    venue.does("stan", set(None)).unwrap();
    assert_eq!(venue.does("stan", set(None)), Err(Reason::UnknownReader));
    assert_eq!(venue.scan("hall", "carol"), ScanReason::Ok, "a reader that nothing is said of checks in");
    venue.is_good();
}

#[test]
fn a_door_takes_what_it_said_along_and_nothing_else() {
    let mut venue = Venue::new();
    venue.system(Action::Create { kind: Kind::Channel, id: conversation("party"), title: String::new(), members: vec![] });
    let takes = |venue: &Venue, id: &str| venue.reader().occupancy(CONF, venue.found(id).record.no).unwrap().capacity;
    let of = |id: &str, capacity| ReaderSettings { capacity, ..settings(Mode::Session, Some(id)) };
    venue.set("gate", of("party", 100));
    venue.set("hall", of("talk", 50));
    venue.set("hall", of("party", 0));
    assert_eq!((takes(&venue, "talk"), takes(&venue, "party")), (0, 100), "it says nothing of where it moves to");
    venue.set("hall", of("party", 120));
    assert_eq!(takes(&venue, "party"), 120, "said last");
    venue.set("hall", settings(Mode::Checkin, None));
    assert_eq!(takes(&venue, "party"), 100, "what the other door says");
    venue.set("gate", of("party", 2));
    assert_eq!(takes(&venue, "party"), 2);
    venue.system(Action::SetReader { reader: uid("gate"), settings: None });
    venue.set("gate", of("party", 0));
    assert_eq!(takes(&venue, "party"), 0, "nobody says it any more");
    venue.is_good();
}
