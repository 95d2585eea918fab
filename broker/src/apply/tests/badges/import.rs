//! What comes from the ticket shop.

use super::*;

#[test]
fn an_import_is_the_same_however_often() {
    let mut venue = Venue::new();
    let row = |company: &str, badge: &str| Action::ImportAttendee {
        uid: uid("dora"),
        name: "Dora".into(),
        attendee: Box::new(Attendee { external: "A1".into(), company: company.into(), ..Attendee::default() }),
        badges: vec![given(badge)],
        takes_account: false,
    };
    let done = |change| Ok(Outcome::Imported { uid: uid("dora"), change });
    assert_eq!(venue.does("alice", row("Acme", "b1")), Err(Reason::StaffOnly));
    assert_eq!(venue.does("stan", row("Acme", "b1")), done(Imported::Added));
    assert_eq!(venue.does("stan", row("Acme", "b1")), done(Imported::Unchanged));
    venue.does("dora", Action::UpdateProfile { name: Some("Dorothea".into()), about: None }).unwrap();
    assert_eq!(venue.does("stan", row("Bros", "b1")), done(Imported::Changed));
    assert_eq!(&*venue.reader().user(CONF, &uid("dora")).unwrap().unwrap().name, "Dorothea");
    assert_eq!(venue.does("stan", row("Bros", "b2")), done(Imported::Changed), "one more badge");
    venue.does("stan", Action::RevokeBadge { codes: vec![code("b1")], on: true }).unwrap();
    assert_eq!(venue.does("stan", row("Bros", "b1")), done(Imported::Unchanged));
    assert_eq!(venue.scan("gate", "b1"), ScanReason::Revoked, "an import revives nothing");
    assert_eq!(venue.does("stan", row("Else", "alice")), Err(Reason::Taken), "another's badge");
    assert_eq!(&*venue.reader().attendee(CONF, &uid("dora")).unwrap().unwrap().company, "Bros", "and nothing of the row is done");
    let other = |uid_: &str, external: &str| Action::ImportAttendee {
        uid: uid(uid_),
        name: "X".into(),
        attendee: Box::new(Attendee { external: external.into(), ..Attendee::default() }),
        badges: vec![],
        takes_account: true,
    };
    assert_eq!(venue.does("stan", other("dora", "A2")), Err(Reason::Taken), "another ticket wants the same uid");
    let thought_up = match other("alice", "A5") {
        Action::ImportAttendee { uid, name, attendee, badges, .. } => {
            Action::ImportAttendee { uid, name, attendee, badges, takes_account: false }
        }
        other => other,
    };
    assert_eq!(venue.does("stan", thought_up), Err(Reason::Taken), "alice made her account herself");
    assert_eq!(venue.does("stan", other("gate", "A3")), Err(Reason::Taken));
    assert_eq!(venue.does("stan", other("else", "A1")), done(Imported::Changed), "the ticket says who it is");
    assert_eq!(venue.does("stan", other("alice", "A4")), Ok(Outcome::Imported { uid: uid("alice"), change: Imported::Changed }));
    assert_eq!(venue.reader().attendee_of_ticket(CONF, "A4").unwrap(), Some(uid("alice")));
    assert_eq!(venue.reader().badge_totals(CONF).unwrap().attendees, 4);
    venue.erase("dora");
    assert_eq!(venue.reader().attendee(CONF, &uid("dora")).unwrap(), None);
    assert_eq!(venue.does("stan", row("Bros", "b1")), Err(Reason::Taken), "who was erased is not made again");
    assert_eq!(venue.reader().badge_totals(CONF).unwrap().attendees, 3);
}
