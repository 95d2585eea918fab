//! What is counted is what a count gives.

use super::*;

/// Scans at three readers, as small numbers: reader, badge, direction, id, seconds.
fn story() -> impl Strategy<Value = Vec<(u8, u8, u8, u8, u16)>> {
    prop::collection::vec((0..3u8, 0..5u8, 0..3u8, 0..4u8, 0..20u16), 1..60)
}

fn told(story: &[(u8, u8, u8, u8, u16)]) -> Vec<(Actor, Action)> {
    let tap_of = |(_, badge, way, id, _): &(u8, u8, u8, u8, u16)| Tap {
        direction: [None, Some(Way::Enter), Some(Way::Exit)][usize::from(*way)],
        id: if *id == 0 { "".into() } else { id.to_string().into() },
        ..tap(["alice", "bob", "carol", "nobody", "lost"][usize::from(*badge)])
    };
    let reader = |n: u8| actor(["gate", "hall", "bob"][usize::from(n)]);
    story.iter().map(|one| (reader(one.0), scan_of(vec![tap_of(one)]))).collect()
}

proptest! {
    #[test]
    fn what_is_counted_is_what_a_count_gives_whatever_the_batches(story in story(), cut in 1..60usize) {
        let prepared = || {
            let mut venue = Venue::new();
            venue.set("hall", ReaderSettings { capacity: 2, ..settings(Mode::Session, Some("talk")) });
            venue.set("bob", ReaderSettings { owner: Some(uid("stan")), ..settings(Mode::Lead, None) });
            venue.does("stan", assign("lost", "carol")).unwrap();
            venue.does("stan", Action::RevokeBadge { codes: vec![code("lost")], on: true }).unwrap();
            venue.world
        };
        let (mut world, commands) = (prepared(), told(&story));
        let mut results = Vec::new();
        for command in &commands {
            match world.batch(vec![command.clone()]).remove(0) {
                Ok(Outcome::Scanned(mut scanned)) => results.append(&mut scanned),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let reader = world.reader();
        let totals = reader.badge_totals(CONF).unwrap();
        let comes = |mode| {
            let all = results.iter().zip(&story).filter(move |(one, told)| one.mode == mode && told.2 != 2);
            all.filter(|(one, _)| one.reason == ScanReason::Ok).count()
        };
        prop_assert_eq!(totals.checked_in as usize, comes(Mode::Checkin));
        prop_assert_eq!(totals.scans as usize, results.iter().filter(|one| one.reason != ScanReason::Duplicate).count());
        let leads: u32 = reader.leads(CONF, &uid("stan"), None, 99).unwrap().0.iter().map(|lead| lead.record.scans).sum();
        prop_assert_eq!(leads as usize, comes(Mode::Lead));
        let talk = reader.conversation(CONF, &conversation("talk")).unwrap().unwrap();
        prop_assert!(reader.occupancy(CONF, talk.record.no).unwrap().inside <= 2);
        let report = crate::backup::check::checked(&*world.state);
        prop_assert!(report.is_good(), "{}", report);
        // A replay has other batches.
        let mut again = prepared();
        for batch in commands.chunks(cut) {
            again.batch(batch.to_vec());
        }
        prop_assert_eq!(again.store.snapshot(), world.store.snapshot());
    }
}
