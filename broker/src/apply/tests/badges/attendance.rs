//! Sessions whose readers upload late, in whatever order: what they come to is what happened.

use super::*;

fn minutes_ago(badge: &str, minutes: u64, direction: Option<Way>) -> Tap {
    Tap { at_ms: NOW_MS - minutes * 60_000, direction, ..tap(badge) }
}

fn with_doors() -> Venue {
    let mut venue = Venue::new();
    for door in ["hall", "gate"] {
        venue.set(door, settings(Mode::Session, Some("talk")));
    }
    venue
}

#[test]
fn a_door_that_was_offline_tells_its_part_of_the_story_later() {
    let mut venue = with_doors();
    venue.scans("gate", vec![minutes_ago("alice", 10, Some(Way::Exit))]);
    assert_eq!((venue.attendance("alice"), venue.inside()), ((false, 0, 0), 0), "not seen coming in");
    venue.is_good();
    venue.scans("hall", vec![minutes_ago("alice", 60, Some(Way::Enter))]);
    assert_eq!((venue.attendance("alice"), venue.inside()), ((false, 1, 50 * 60), 0));
    venue.scans("gate", vec![minutes_ago("bob", 5, Some(Way::Enter))]);
    venue.scans("hall", vec![minutes_ago("bob", 70, Some(Way::Enter)), minutes_ago("bob", 40, Some(Way::Exit))]);
    assert_eq!((venue.attendance("bob"), venue.inside()), ((true, 2, 30 * 60), 1), "an earlier visit");
    venue.scans("gate", vec![minutes_ago("carol", 3, None)]);
    venue.scans("hall", vec![minutes_ago("carol", 90, None)]);
    assert_eq!((venue.attendance("carol"), venue.inside()), ((false, 1, 87 * 60), 1), "each the other way than the one before it");
    let joined = ["alice", "bob", "carol"].map(|who| pair(who, &format!("{who} joined")));
    assert_eq!(venue.said("talk"), joined, "each once");
    venue.is_good();
}

#[test]
fn a_full_session_keeps_nobody_from_having_left_it() {
    let mut venue = with_doors();
    venue.set("hall", ReaderSettings { capacity: 1, ..settings(Mode::Session, Some("talk")) });
    assert_eq!(venue.scan("hall", "alice"), ScanReason::Ok);
    let visit = vec![minutes_ago("bob", 50, Some(Way::Exit)), minutes_ago("bob", 60, Some(Way::Enter)), minutes_ago("bob", 1, None)];
    let told: Vec<_> = venue.scans("gate", visit).iter().map(|scanned| scanned.reason).collect();
    assert_eq!(told, [ScanReason::Ok, ScanReason::Ok, ScanReason::Full]);
    assert_eq!((venue.attendance("bob"), venue.inside()), ((false, 1, 10 * 60), 1));
    venue.is_good();
}

#[test]
fn who_was_only_seen_going_out_is_forgotten_too() {
    let mut venue = with_doors();
    venue.scans("hall", vec![minutes_ago("alice", 10, Some(Way::Exit))]);
    assert_eq!(venue.world.count(b"N"), 1);
    venue.erase("alice");
    assert_eq!(venue.world.count(b"N"), 0);
}

/// A pass as small numbers: badge, direction, minutes ago.
type Told = (u8, u8, u64);

/// Passes in two orders.
fn passes() -> impl Strategy<Value = (Vec<Told>, Vec<Told>)> {
    let passes = prop::collection::vec((0..3u8, 0..3u8, 1..50u64), 1..30);
    passes.prop_flat_map(|passes| (Just(passes.clone()), Just(passes).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_the_same_passes_gives_the_same_attendance_and_occupancy((passes, shuffled) in passes()) {
        let told = |passes: &[Told]| {
            let mut venue = with_doors();
            for (at, (who, way, minutes)) in passes.iter().enumerate() {
                let direction = [None, Some(Way::Enter), Some(Way::Exit)][usize::from(*way)];
                let tap = minutes_ago(["alice", "bob", "carol"][usize::from(*who)], *minutes, direction);
                // Another tap of the same minute is another tap.
                venue.scans("hall", vec![Tap { id: format!("{minutes}-{way}-{at}").into(), ..tap }]);
            }
            venue.is_good();
            let no = venue.found("talk").record.no;
            let reader = venue.reader();
            let people = ["alice", "bob", "carol"].map(|who| reader.attendance(CONF, no, &uid(who)).unwrap());
            (people, reader.occupancy(CONF, no).unwrap())
        };
        prop_assert_eq!(told(&passes), told(&shuffled));
    }
}
