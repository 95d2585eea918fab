//! The sled state and the memory state against a `BTreeMap`, and what each promises about crashes, errors, locks and
//! readers.

use super::memory::{Fault, MemoryStore};
use super::sled::{SledOptions, SledState};
use super::{Batch, Direction, State, StateError};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn directory() -> tempfile::TempDir {
    // In memory where there is such a place: these tests are not about the disk's speed.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn options(path: &Path) -> SledOptions {
    SledOptions { cache_bytes: 1 << 20, ..SledOptions::new(path) }
}

fn batch(changes: &[(&str, Option<&[u8]>)]) -> Batch {
    let owned = |(key, value): &(&str, Option<&[u8]>)| (key.as_bytes().to_vec(), value.map(<[u8]>::to_vec));
    Batch { changes: changes.iter().map(owned).collect() }
}

fn all(state: &dyn State, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
    range(state, b"", &[255; 40], direction, usize::MAX)
}

fn range(state: &dyn State, from: &[u8], to: &[u8], direction: Direction, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    state
        .scan(from, to, direction, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    found
}

/// A copy of the files as they are now: what a killed process leaves.
fn crash_image(path: &Path) -> tempfile::TempDir {
    let copy = directory();
    for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let dir = directory();
    let state = SledState::open(options(dir.path())).unwrap();
    assert!(matches!(SledState::open(options(dir.path())), Err(StateError::Locked(_))));
    drop(state);
    SledState::open(options(dir.path())).unwrap();
}

#[test]
fn records_of_a_newer_program_are_refused() {
    let dir = directory();
    let with = |schema| SledState::open(SledOptions { schema, ..options(dir.path()) });
    drop(with(3).unwrap());
    let error = with(2).err().unwrap().to_string();
    assert!(error.contains("newer version of this program: schema 1.3, this one knows 1.2"), "{error}");
    assert_eq!(with(4).unwrap().stored_schema().unwrap(), 3);
}

#[test]
fn a_store_that_is_not_ours_or_broken_is_refused_and_left_alone() {
    let dir = directory();
    let db = ::sled::open(dir.path()).unwrap();
    db.insert("a", "b").unwrap();
    drop(db);
    let error = SledState::open(options(dir.path())).err().unwrap();
    assert!(matches!(error, StateError::Damaged { .. }), "{error}");

    let dir = directory();
    drop(SledState::open(options(dir.path())).unwrap());
    let snapshot = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap"));
    let victim = snapshot.unwrap_or(dir.path().join("conf"));
    std::fs::write(&victim, b"segment_size: what").unwrap();
    let error = SledState::open(options(dir.path())).err().unwrap();
    assert!(matches!(error, StateError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(victim).unwrap(), b"segment_size: what");
}

#[test]
fn long_values_come_back_whole_and_leave_nothing_behind() {
    let dir = directory();
    let state = SledState::open(options(dir.path())).unwrap();
    let long = |length: usize, byte: u8| vec![byte; length];
    for length in [0, 1, 2047, 2048, 2049, 4096, 4097, 100_000] {
        state.commit(&batch(&[("a", Some(&long(length, 1))), ("a\0\0\0\0", Some(b"next"))])).unwrap();
        assert_eq!(state.get(b"a").unwrap().unwrap(), long(length, 1));
        assert_eq!(all(&state, Direction::Ascending).len(), 2);
    }
    // Twice in one batch, longer and shorter and gone.
    state.commit(&batch(&[("a", Some(&long(50_000, 2))), ("a", Some(&long(9_000, 3)))])).unwrap();
    assert_eq!(state.get(b"a").unwrap().unwrap(), long(9_000, 3));
    state.commit(&batch(&[("a", Some(&long(70_000, 4))), ("a", None), ("a\0\0\0\0", None)])).unwrap();
    assert_eq!(all(&state, Direction::Descending), []);
    drop(state);
    // sled's threads let go of its lock a moment after that.
    let db = std::iter::repeat_with(|| ::sled::open(dir.path())).take(100_000).find_map(Result::ok).unwrap();
    assert_eq!(db.iter().count(), 1, "only the schema record is left");
    assert_eq!(std::fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
}

#[test]
fn what_is_too_large_is_refused() {
    let dir = directory();
    let state = SledState::open(options(dir.path())).unwrap();
    let mut change = Batch::default();
    change.put(vec![1; 385], vec![]);
    assert!(matches!(state.commit(&change), Err(StateError::Io(_))));
    assert!(matches!(state.commit(&batch(&[("a", None)])), Err(StateError::Io(_))));
    state.reopen().unwrap();
    state.commit(&batch(&[("a", None)])).unwrap();
}

#[test]
fn nodes_of_the_largest_records_never_become_files_of_their_own() {
    let dir = directory();
    let state = SledState::open(options(dir.path())).unwrap();
    for round in 0_u8..3 {
        for group in 0_u16..40 {
            let mut change = Batch::default();
            for number in 0_u16..30 {
                let mut key = vec![9; 384];
                key[..4].copy_from_slice(&[(number % 7) as u8, (group >> 8) as u8, group as u8, number as u8]);
                change.put(key, vec![round; 2048]);
            }
            state.commit(&change).unwrap();
        }
        state.checkpoint().unwrap();
    }
    assert_eq!(std::fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
    assert_eq!(all(&state, Direction::Ascending).len(), 1200);
}

#[test]
fn readers_see_whole_long_values_while_they_are_replaced() {
    let dir = directory();
    let state = SledState::open(options(dir.path())).unwrap();
    state.commit(&batch(&[("a", Some(&[0; 9000]))])).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for direction in [Direction::Ascending, Direction::Descending] {
            let (state, stop) = (&state, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let value = state.get(b"a").unwrap().unwrap();
                    assert!(value.iter().all(|byte| *byte == value[0]));
                    for (_, value) in all(state, direction) {
                        assert!(value.iter().all(|byte| *byte == value[0]));
                    }
                }
            });
        }
        for round in 0..300_usize {
            state.commit(&batch(&[("a", Some(&vec![round as u8; 9000 + round % 3 * 2000]))])).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_visitor_may_read_and_a_reopen_waits_for_it() {
    let dir = directory();
    let state = SledState::open(options(dir.path())).unwrap();
    state.commit(&batch(&[("a", Some(b"1")), ("b", Some(b"2"))])).unwrap();
    let (inside, outside) = (std::sync::Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut met = false;
            let scanned = state.scan(b"a", b"z", Direction::Ascending, &mut |key, _| {
                assert!(state.get(key).unwrap().is_some());
                if !met {
                    met = true;
                    inside.wait();
                    while state.get(key).is_ok() {
                        std::thread::yield_now();
                    }
                }
                outside.store(true, Ordering::SeqCst);
                ControlFlow::Break(())
            });
            scanned.unwrap();
        });
        inside.wait();
        state.reopen().unwrap();
        assert!(outside.load(Ordering::SeqCst));
    });
    assert_eq!(all(&state, Direction::Ascending).len(), 2);
}

#[test]
fn a_checkpoint_survives_a_kill_and_batches_are_whole() {
    let dir = directory();
    let state = SledState::open(options(dir.path())).unwrap();
    let mut images = Vec::new();
    for round in 0_u32..60 {
        let mut change = Batch::default();
        for key in 0..40_u32 {
            change.put((key * 7919 % 1000).to_be_bytes().to_vec(), [&round.to_be_bytes()[..], &[7; 300]].concat());
        }
        change.put(b"position".to_vec(), round.to_be_bytes().to_vec());
        state.commit(&change).unwrap();
        if round % 10 == 0 {
            state.checkpoint().unwrap();
            images.push((round, crash_image(dir.path())));
        }
    }
    for (round, image) in images {
        let state = SledState::open(options(image.path())).unwrap();
        assert_eq!(state.get(b"position").unwrap().unwrap(), round.to_be_bytes());
        for (_, value) in all(&state, Direction::Ascending) {
            assert_eq!(value[..4], round.to_be_bytes());
        }
    }
}

#[test]
fn the_memory_state_crashes_and_fails_as_it_is_told() {
    let store = MemoryStore::new();
    let mut state = store.open().unwrap();
    assert!(matches!(store.open(), Err(StateError::Locked(_))));
    state.commit(&batch(&[("a", Some(b"1")), ("b", Some(b"1"))])).unwrap();
    state.checkpoint().unwrap();
    for keep in 0..=3 {
        state.commit(&batch(&[("a", Some(b"2")), ("c", Some(b"2")), ("a", Some(b"3"))])).unwrap();
        state.commit(&batch(&[("a", None)])).unwrap();
        assert_eq!(store.uncheckpointed(), 2);
        store.crash(keep);
        assert!(state.get(b"a").is_err() && state.commit(&Batch::default()).is_err());
        state = store.open().unwrap();
        let (a, c): (Option<&[u8]>, _) = [(Some(&b"1"[..]), false), (Some(b"3"), true), (None, true)][keep.min(2)];
        assert_eq!((state.get(b"a").unwrap().as_deref(), state.get(b"c").unwrap().is_some()), (a, c));
        state.commit(&batch(&[("a", Some(b"1")), ("c", None)])).unwrap();
        state.checkpoint().unwrap();
        assert_eq!(state.size_bytes(), 4);
    }

    store.fail_commit(1, Fault::Full);
    state.commit(&batch(&[("d", Some(b"1"))])).unwrap();
    assert!(matches!(state.commit(&batch(&[("e", Some(b"1"))])), Err(StateError::Full(_))));
    assert!(matches!(state.commit(&batch(&[("e", Some(b"1"))])), Err(StateError::Io(_))));
    assert!(state.get(b"d").unwrap().is_some() && state.get(b"e").unwrap().is_none());
    state.reopen().unwrap();
    assert_eq!(state.get(b"d").unwrap(), None, "it was not durable");

    store.keep_at_reopen(1);
    store.fail_checkpoint(0, Fault::Io);
    state.commit(&batch(&[("d", Some(b"1"))])).unwrap();
    state.commit(&batch(&[("e", Some(b"1"))])).unwrap();
    assert!(matches!(state.checkpoint(), Err(StateError::Io(_))));
    assert!(state.commit(&Batch::default()).is_err());
    state.reopen().unwrap();
    assert!(state.get(b"d").unwrap().is_some() && state.get(b"e").unwrap().is_none());
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Scan {
        from: Vec<u8>,
        to: Vec<u8>,
        descending: bool,
        limit: usize,
    },
    Checkpoint,
    Reopen,
    /// The sled store's files are copied as they are and opened beside.
    Kill,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(1), Just(2), Just(255), any::<u8>()];
    prop::collection::vec(byte, 0..6)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 1500_usize..12_000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let change = (key(), prop::option::weighted(0.7, value()));
    prop_oneof![
        8 => prop::collection::vec(change, 0..20).prop_map(Step::Commit),
        4 => (key(), key(), any::<bool>(), 1_usize..30)
            .prop_map(|(from, to, descending, limit)| Step::Scan { from, to, descending, limit }),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

fn model_range(model: &Model, from: &[u8], to: &[u8], descending: bool, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let within = model.iter().filter(|(key, _)| from <= key.as_slice() && key.as_slice() < to);
    let mut found: Vec<_> = within.map(|(key, value)| (key.clone(), value.clone())).collect();
    if descending {
        found.reverse();
    }
    found.truncate(limit);
    found
}

/// Runs the steps on a state; `kill` opens a crash image and returns its records.
fn follow(state: &dyn State, steps: &[Step], kill: &dyn Fn() -> Model) {
    let mut model = Model::new();
    // What a crash may leave: the model at the last checkpoint and after each batch since.
    let mut possible = vec![model.clone()];
    for step in steps {
        match step {
            Step::Commit(changes) => {
                state.commit(&Batch { changes: changes.clone() }).unwrap();
                for (key, value) in changes {
                    match value {
                        Some(value) => drop(model.insert(key.clone(), value.clone())),
                        None => drop(model.remove(key)),
                    }
                }
                possible.push(model.clone());
                for (key, _) in changes {
                    assert_eq!(state.get(key).unwrap().as_ref(), model.get(key));
                }
            }
            Step::Scan { from, to, descending, limit } => {
                let direction = if *descending { Direction::Descending } else { Direction::Ascending };
                let expected = model_range(&model, from, to, *descending, *limit);
                assert_eq!(range(state, from, to, direction, *limit), expected);
            }
            Step::Checkpoint => {
                state.checkpoint().unwrap();
                possible = vec![model.clone()];
            }
            Step::Reopen => {
                state.reopen().unwrap();
                assert!(all(state, Direction::Ascending).into_iter().eq(model.clone()));
            }
            Step::Kill => assert!(possible.contains(&kill())),
        }
    }
    assert!(all(state, Direction::Ascending).into_iter().eq(model.clone()));
    assert!(all(state, Direction::Descending).into_iter().eq(model.into_iter().rev()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_does_what_a_map_does(steps in prop::collection::vec(step(), 1..40)) {
        let dir = directory();
        let state = SledState::open(options(dir.path())).unwrap();
        follow(&state, &steps, &|| {
            let image = crash_image(dir.path());
            let state = SledState::open(options(image.path())).unwrap();
            all(&state, Direction::Ascending).into_iter().collect()
        });
    }

    #[test]
    fn memory_does_what_a_map_does(steps in prop::collection::vec(step(), 1..60)) {
        let store = MemoryStore::new();
        store.keep_at_reopen(usize::MAX);
        follow(&store.open().unwrap(), &steps, &|| store.snapshot());
    }
}
