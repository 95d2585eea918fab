//! Exhibitors' contacts.

use super::*;

#[test]
fn an_exhibitor_has_a_visitors_contact_until_it_is_withdrawn() {
    let mut venue = Venue::new();
    venue.set("hall", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    venue.set("bob", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    assert_eq!((venue.scan("hall", "alice"), venue.scan("bob", "alice")), (ScanReason::Ok, ScanReason::Ok));
    assert_eq!(venue.said("inbox~alice"), [pair("hall", "lead carol")], "told once");
    assert_eq!(venue.scan("hall", "carol"), ScanReason::NotAllowed, "nobody is their own lead");
    let lead = venue.reader().lead(CONF, &uid("carol"), &uid("alice")).unwrap().unwrap();
    assert_eq!((lead.scans, lead.by.as_str(), lead.last_ms - lead.since_ms), (2, "bob", 1000));
    let notes = LeadNotes { rating: 5, note: "call back".into(), tags: vec!["hot".into()] };
    let note = |notes: &LeadNotes| Action::NoteLead { owner: Some(uid("carol")), user: uid("alice"), notes: notes.clone() };
    assert_eq!(venue.does("alice", note(&notes)), Err(Reason::NotAllowed));
    for (who, rating) in [("carol", 3), ("stan", 4), ("bob", 5)] {
        venue.does(who, note(&LeadNotes { rating, ..notes.clone() })).unwrap();
    }
    assert_eq!(venue.does("bob", note(&LeadNotes { rating: 6, ..notes.clone() })), Err(Reason::InvalidParams));
    assert_eq!(venue.does("bob", note(&LeadNotes { tags: vec!["x".into(); 17], ..notes.clone() })), Err(Reason::TooLarge));
    venue.scan("hall", "alice");
    let (leads, _) = venue.reader().leads(CONF, &uid("carol"), None, 10).unwrap();
    assert_eq!((leads.len(), &leads[0].record.notes), (1, &notes), "notes stay");
    let (holders, _) = venue.reader().holders(CONF, &uid("alice"), None, 10).unwrap();
    assert_eq!((holders.len(), &*holders[0].name, holders[0].record.scans), (1, "carol", 3));
    let release = Action::DropLead { owner: uid("carol"), user: uid("alice") };
    assert_eq!(venue.does("hall", Action::DropLead { owner: uid("stan"), user: uid("alice") }), Err(Reason::NotAllowed));
    venue.does("alice", release.clone()).unwrap();
    assert_eq!(venue.does("alice", release), Err(Reason::UnknownLead));
    assert!(venue.reader().leads(CONF, &uid("carol"), None, 10).unwrap().0.is_empty());
    venue.does("alice", Action::Block { user: uid("carol"), on: true }).unwrap();
    assert_eq!(venue.scan("hall", "alice"), ScanReason::NotAllowed);
    venue.is_good();
}

#[test]
fn what_is_scanned_for_another_owner_is_no_repetition() {
    let mut venue = Venue::new();
    let scanned = Tap { id: "1".into(), ..tap("carol") };
    for owner in ["alice", "bob"] {
        venue.set("hall", ReaderSettings { owner: Some(uid(owner)), ..settings(Mode::Lead, None) });
        for reason in [ScanReason::Ok, ScanReason::Duplicate] {
            assert_eq!(venue.scans("hall", vec![scanned.clone()])[0].reason, reason, "{owner}");
        }
        assert!(venue.reader().lead(CONF, &uid(owner), &uid("carol")).unwrap().is_some());
    }
    venue.is_good();
}
