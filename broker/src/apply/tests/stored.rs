//! What is stored with topics: bounded, read in order, and gone with its author.

use bytes::Bytes;

use super::*;
use crate::limits::{
    MAX_DROPPED_TOPICS, MAX_STORED_BYTES, MAX_STORED_BYTES_PER_CONFERENCE, MAX_STORED_BYTES_PER_USER, MAX_STORED_MESSAGE_BYTES,
    MAX_STORED_MESSAGES, MAX_STORED_TOPICS, MAX_STORED_TOPICS_PER_USER,
};
use crate::model::{Publication, Realm, StoredTotals};
use crate::state::Batch;
use crate::view::{decode, encode};

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

    fn set_totals(&self, key: Vec<u8>, totals: StoredTotals) {
        self.state.commit(&Batch { changes: vec![(key, Some(encode(&totals)))] }).unwrap();
    }

    /// The totals are those of what is there.
    fn check_totals(&self, topics: &[&str]) {
        let mut all = StoredTotals::default();
        let mut of: BTreeMap<Uid, StoredTotals> = BTreeMap::new();
        for topic in topics {
            let stored = self.reader().stored(CONF, topic, 0, u64::MAX).unwrap();
            let bytes = stored.iter().map(|stored| stored.publication.bytes() as u64).sum();
            let wanted = StoredTotals { count: u32::try_from(stored.len()).unwrap(), bytes };
            assert_eq!(self.totals(&keys::stored_topic(CONF, topic)), wanted, "{topic}");
            all.count += u32::from(wanted.count > 0);
            all.bytes += bytes;
            for uid in stored.iter().map(|stored| &stored.from).collect::<std::collections::BTreeSet<_>>() {
                let own = of.entry(uid.clone()).or_default();
                own.count += 1;
                own.bytes +=
                    stored.iter().filter(|stored| stored.from == *uid).map(|stored| stored.publication.bytes() as u64).sum::<u64>();
            }
            if let Some(newest) = stored.last() {
                assert!(self.state.get(&keys::stored_at(CONF, newest.pos)).unwrap().is_some(), "{topic} has its age");
            }
        }
        assert_eq!(self.count(b"y"), all.count as usize, "one age for each topic");
        assert_eq!(self.count(b"V"), of.len());
        for (uid, own) in of {
            assert_eq!(self.totals(&keys::stored_totals_of(CONF, &uid)), own, "{uid}");
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
fn an_erasure_reaches_what_sessions_come_back_to() {
    let mut world = World::new();
    let publication = |payload: &[u8]| match store(GAME, payload.to_vec()) {
        Action::Store(publication) => publication,
        other => panic!("{other:?}"),
    };
    let reuse = crate::command::Reuse::NewMessage;
    for _ in 0..MAX_STORED_MESSAGES + 300 {
        world.by("alice", store(GAME, b"alice".to_vec())).unwrap();
    }
    world.by("alice", Action::Publish(publication(b"alice"), reuse)).unwrap();
    world.by("bob", Action::Publish(publication(b"bob"), reuse)).unwrap();
    world.by("bob", store(GAME, b"bob".to_vec())).unwrap();
    // The past of long ago is no more.
    world.system(Action::Trim { through: 100 });
    let mut steps = 0;
    while let Outcome::Continue(_) = world.by("alice", Action::Erase { uid: uid("alice") }).unwrap() {
        steps += 1;
    }
    assert!(steps > 4, "{steps} steps");
    let found = world.reader().conversation(CONF, &ConversationId::topics()).unwrap().unwrap();
    let (mut buried, mut bobs) = (0, 0);
    for seq in 1..=MAX_STORED_MESSAGES as u64 + 303 {
        let Some(entry) = world.reader().entry(&found, seq).unwrap() else { continue };
        let (Body::Publication(publication) | Body::Stored(publication)) = &entry.body else { panic!("{entry:?}") };
        if entry.from == uid("alice") {
            assert!(publication.payload.is_empty() && publication.is_expired(1) && entry.name.is_empty(), "{seq}");
            buried += 1;
        } else {
            assert_eq!(&publication.payload[..], b"bob");
            bobs += 1;
        }
    }
    assert_eq!((buried, bobs), (MAX_STORED_MESSAGES + 201, 2));
    assert_eq!(world.state.get(&keys::user_conversation(CONF, &uid("alice"), &ConversationId::topics())).unwrap(), None);
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

#[test]
fn a_full_conference_takes_new_topics_and_drops_the_oldest() {
    let mut world = World::new();
    let name = |n: u32| format!("conf/demo/topic/t{n}");
    for n in 0..3 {
        world.by("alice", store(&name(n), b"x".to_vec())).unwrap();
    }
    world.by("bob", store(&name(0), b"y".to_vec())).unwrap();
    let real = world.totals(&keys::stored_totals(CONF));
    world.set_totals(keys::stored_totals(CONF), StoredTotals { count: MAX_STORED_TOPICS, ..real });
    world.by("bob", store(&name(3), b"x".to_vec())).unwrap();
    assert_eq!(world.totals(&keys::stored_totals(CONF)).count, MAX_STORED_TOPICS);
    let left: Vec<usize> = (0..4).map(|n| world.stored(&name(n)).len()).collect();
    assert_eq!(left, [2, 0, 1, 1], "the one that was stored on least recently went, though another began before it");
    let real = StoredTotals { count: 3, ..world.totals(&keys::stored_totals(CONF)) };
    world.set_totals(keys::stored_totals(CONF), real);
    world.check_totals(&[&name(0), &name(2), &name(3)]);
    world.set_totals(keys::stored_totals(CONF), StoredTotals { bytes: MAX_STORED_BYTES_PER_CONFERENCE, ..real });
    world.by("bob", store(&name(0), b"z".to_vec())).unwrap();
    let left: Vec<usize> = (0..4).map(|n| world.stored(&name(n)).len()).collect();
    assert_eq!(left, [3, 0, 0, 1], "its bytes fit where the oldest topic's were");
}

#[test]
fn much_is_dropped_in_steps() {
    let mut world = World::new();
    for n in 0..2 * MAX_DROPPED_TOPICS {
        world.by("alice", store(&format!("conf/demo/topic/t{n}"), b"x".to_vec())).unwrap();
    }
    world.set_totals(keys::stored_totals(CONF), StoredTotals { count: 2 * MAX_STORED_TOPICS, bytes: 1 << 40 });
    world.by("bob", store(GAME, b"x".to_vec())).unwrap();
    assert_eq!(world.count(b"q"), MAX_DROPPED_TOPICS + 1);
    for _ in 0..2 {
        world.by("bob", store(GAME, b"x".to_vec())).unwrap();
    }
    assert_eq!((world.count(b"q"), world.stored(GAME).len()), (3, 3), "never the one that is stored on");
}

#[test]
fn an_attendee_stores_so_much_and_no_more() {
    let mut world = World::new();
    world.system(Action::AddUser { uid: uid("gate"), name: None, role: UserRole::Service, credentials: None });
    let name = |n: u32| format!("conf/demo/topic/t{n}");
    for n in 0..MAX_STORED_TOPICS_PER_USER {
        world.by("alice", store(&name(n), b"x".to_vec())).unwrap();
    }
    assert_eq!(world.by("alice", store(GAME, b"x".to_vec())), Err(Reason::Quota));
    world.by("alice", store(&name(7), b"x".to_vec())).unwrap();
    world.by("bob", store(GAME, b"x".to_vec())).unwrap();
    let full = StoredTotals { count: MAX_STORED_TOPICS_PER_USER, bytes: MAX_STORED_BYTES_PER_USER };
    for who in ["alice", "gate"] {
        world.set_totals(keys::stored_totals_of(CONF, &uid(who)), full);
    }
    assert_eq!(world.by("alice", store(&name(7), b"x".to_vec())), Err(Reason::Quota));
    world.by("gate", store(GAME, b"x".to_vec())).unwrap();
    // In a full topic one's own oldest make room, others' do not.
    world.set_totals(keys::stored_totals_of(CONF, &uid("alice")), StoredTotals { bytes: 0, ..full });
    for _ in 2..MAX_STORED_MESSAGES {
        world.by("gate", store(&name(7), b"x".to_vec())).unwrap();
    }
    world.set_totals(keys::stored_totals_of(CONF, &uid("alice")), full);
    for _ in 0..2 {
        world.by("alice", store(&name(7), b"x".to_vec())).unwrap();
    }
    assert_eq!(world.by("alice", store(&name(7), b"x".to_vec())), Err(Reason::Quota), "the oldest is the gate's");
    assert_eq!(world.stored(&name(7)).len(), MAX_STORED_MESSAGES as usize);
}
