//! Arriving.

use super::*;

#[test]
fn somebody_arrives_once_whatever_the_door() {
    let mut venue = Venue::new();
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok);
    assert_eq!(venue.scan("gate", "alice"), ScanReason::AlreadyCheckedIn);
    assert_eq!(venue.scan("hall", "alice"), ScanReason::AlreadyCheckedIn);
    assert_eq!(venue.scan("gate", "nobody"), ScanReason::UnknownBadge);
    let totals = venue.reader().badge_totals(CONF).unwrap();
    assert_eq!((totals.scans, totals.checked_in, totals.attendees), (4, 1, 3));
    let (list, complete) = venue.reader().checkins(CONF, None, 10).unwrap();
    assert_eq!((list.len(), &*list[0].name, list[0].record.by.as_str(), list[0].record.scan, complete), (1, "alice", "gate", 1, true));
    assert_eq!(venue.does("bob", Action::UndoCheckin { user: uid("alice") }), Err(Reason::StaffOnly));
    venue.does("stan", Action::UndoCheckin { user: uid("alice") }).unwrap();
    assert_eq!(venue.reader().badge_totals(CONF).unwrap().checked_in, 0);
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok);
    venue.is_good();
}
