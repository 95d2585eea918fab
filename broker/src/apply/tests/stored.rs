//! What is stored with topics: bounded, read in order, and gone with its author.

use bytes::Bytes;

use super::*;
use crate::limits::{MAX_STORED_BYTES, MAX_STORED_MESSAGE_BYTES, MAX_STORED_MESSAGES};
use crate::model::{Publication, Realm, StoredTotals};
use crate::view::decode;

const GAME: &str = "conf/demo/topic/game";

fn store(topic: &str, payload: Vec<u8>) -> Action {
    Action::Store(Arc::new(Publication {
        realm: Realm::Apps,
        topic: topic.into(),
        payload: Bytes::from(payload),
        qos: 1,
        retain: false,
        expires_ms: u64::MAX,
        properties: None,
    }))
}

impl World {
    fn stored(&self, topic: &str) -> Vec<Vec<u8>> {
        let stored = self.reader().stored(CONF, topic, 0, u64::MAX).unwrap();
        assert!(stored.is_sorted_by_key(|stored| stored.pos));
        stored.into_iter().map(|stored| stored.publication.payload.to_vec()).collect()
    }

    fn totals(&self, key: &[u8]) -> StoredTotals {
        self.state.get(key).unwrap().map_or(StoredTotals::default(), |bytes| decode(&bytes).unwrap())
    }

    /// The totals are those of what is there.
    fn check_totals(&self, topics: &[&str]) {
        let mut all = StoredTotals::default();
        for topic in topics {
            let stored = self.reader().stored(CONF, topic, 0, u64::MAX).unwrap();
            let bytes = stored.iter().map(|stored| stored.publication.bytes() as u64).sum();
            let wanted = StoredTotals { count: u32::try_from(stored.len()).unwrap(), bytes };
            assert_eq!(self.totals(&keys::stored_topic(CONF, topic)), wanted, "{topic}");
            all.count += u32::from(wanted.count > 0);
            all.bytes += bytes;
        }
        assert_eq!(self.totals(&keys::stored_totals(CONF)), all);
        let stored = self.count(b"q");
        assert_eq!(self.count(b"v"), stored, "each is known to be its author's");
    }
}

#[test]
fn a_topic_keeps_its_newest_messages() {
    let mut world = World::new();
    for n in 0..MAX_STORED_MESSAGES + 3 {
        let outcome = world.by("alice", store(GAME, n.to_string().into_bytes())).unwrap();
        assert!(matches!(outcome, Outcome::Added { fresh: true, .. }));
    }
    let stored = world.stored(GAME);
    assert_eq!((stored.len(), &*stored[0]), (MAX_STORED_MESSAGES as usize, &b"3"[..]));
    let large = vec![0; usize::try_from(MAX_STORED_MESSAGE_BYTES).unwrap() - GAME.len()];
    for _ in 0..9 {
        world.by("bob", store(GAME, large.clone())).unwrap();
    }
    let stored = world.stored(GAME);
    assert_eq!(stored.len() as u64, MAX_STORED_BYTES / MAX_STORED_MESSAGE_BYTES, "they went by their bytes");
    assert_eq!(world.by("bob", store(GAME, vec![0; large.len() + 1])), Err(Reason::TooLarge));
    world.by("bob", store("conf/demo/topic/other", b"x".to_vec())).unwrap();
    world.check_totals(&[GAME, "conf/demo/topic/other"]);
}

#[test]
fn who_is_erased_takes_along_what_they_stored() {
    let mut world = World::new();
    let other = "conf/demo/topic/other";
    for n in 0..300u32 {
        world.by("alice", store(GAME, n.to_be_bytes().to_vec())).unwrap();
    }
    world.by("alice", store(other, b"x".to_vec())).unwrap();
    world.by("bob", store(GAME, b"bob".to_vec())).unwrap();
    while let Outcome::Continue(_) = world.by("alice", Action::Erase { uid: uid("alice") }).unwrap() {}
    assert_eq!((world.stored(GAME), world.stored(other)), (vec![b"bob".to_vec()], vec![]));
    world.check_totals(&[GAME, other]);
}

#[test]
fn a_catch_up_reads_what_lies_between() {
    let mut world = World::new();
    for n in 0..5u32 {
        world.by("alice", store(GAME, n.to_string().into_bytes())).unwrap();
    }
    let all = world.reader().stored(CONF, GAME, 0, u64::MAX).unwrap();
    let between = world.reader().stored(CONF, GAME, all[1].pos, all[3].pos).unwrap();
    assert_eq!(between, all[2..=3]);
    assert!(world.reader().stored(CONF, "conf/demo/topic/gam", 0, u64::MAX).unwrap().is_empty());
}
