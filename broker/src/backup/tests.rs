//! The snapshot is exact under writes, every damaged byte of a backup shows, the salvage reader reads what the log reads, and a crash divides no
//! replacement. The stories of whole commands are in `tests/backup.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::file::{FileReader, Part, read_contents, replay_part};
use super::snapshot::{END_OF_KEYS, Room, Snapshots};
use super::{BackupError, place, salvage};
use crate::clock::SystemClock;
use crate::command::{Action, Actor, Draft, Outcome, Reuse};
use crate::commit::ApplyStage;
use crate::files::Files;
use crate::hub::{Hub, HubOptions, StoreOptions};
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::keys;
use crate::limits::Limits;
use crate::log::memory::MemoryDisk;
use crate::log::segment::{SegmentLog, SegmentOptions};
use crate::log::{Log, LogError};
use crate::model::{Kind, SignIn};
use crate::recent::Recent;
use crate::state::memory::{Fault, MemoryStore};
use crate::state::watched::{Watch, Watched};
use crate::state::{Batch, Direction, State};
use crate::view::{SCHEMA, StoreHead, encode};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn contents_of(file: &Path) -> Records {
    let mut records = Records::new();
    for part in [Part::Records, Part::Changes] {
        replay_part(file, part, &mut |batch| {
            for (key, value) in &batch.changes {
                match value {
                    Some(value) => records.insert(key.clone(), value.clone()),
                    None => records.remove(key),
                };
            }
            Ok(())
        })
        .unwrap();
    }
    records
}

fn head(applied: u64) -> Vec<u8> {
    encode(&StoreHead { schema: SCHEMA, applied, secret: [7; 16], conferences: 0 })
}

fn batch(applied: u64, changes: &[(&str, Option<Vec<u8>>)]) -> Batch {
    let mut batch = Batch { changes: changes.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.clone())).collect() };
    batch.put(keys::store_head(), head(applied));
    batch
}

/// Lets a story happen between two pieces of a walk: after the first.
struct Interruption<F>(Mutex<Option<F>>);

impl<F: Fn() + Send + Sync> Watch for Interruption<F> {
    fn scanned(&self) {
        let meanwhile = self.0.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
    }
}

/// Takes a backup of 1,000 records; when the first 256 have been read, `meanwhile` happens.
fn backup_while(file: &Path, meanwhile: fn(&Snapshots, &MemoryStore)) -> (Result<super::BackupContents, BackupError>, Records) {
    let store = MemoryStore::new();
    let state = store.open().unwrap();
    let many: Vec<(String, Vec<u8>)> = (0..1000).map(|n| (format!("k{n:04}"), vec![1; n])).collect();
    state.commit(&Batch { changes: many.into_iter().map(|(key, value)| (key.into_bytes(), Some(value))).collect() }).unwrap();
    state.commit(&batch(1, &[])).unwrap();
    let slot: Arc<Mutex<Option<Arc<Snapshots>>>> = Arc::default();
    let (later, disk) = (Arc::clone(&slot), store.clone());
    let happens = move || meanwhile(later.lock().unwrap().as_ref().unwrap(), &disk);
    let snapshots = Arc::new(Snapshots::new(Arc::new(Watched { state: Arc::new(state), watch: Interruption(Mutex::new(Some(happens))) })));
    *slot.lock().unwrap() = Some(Arc::clone(&snapshots));
    let dir = file.parent().unwrap();
    let written = snapshots.write(file, &Files::new(dir), 5, &Room::new(dir, file, 0).unwrap());
    *slot.lock().unwrap() = None;
    (written, store.snapshot())
}

#[test]
fn what_is_committed_during_the_walk_counts_wherever_the_walk_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    let (written, now) = backup_while(&file, |state, _| {
        let new = |text: &str| Some(text.as_bytes().to_vec());
        // Behind the walk, before it, in the chunk that was read but not written; set, removed, made, and made and removed.
        let first =
            [("k0000", new("x")), ("k0001", None), ("k0900", new("y")), ("k0901", None), ("k0000a", new("new")), ("k0902a", new("new"))];
        state.commit(&batch(2, &first)).unwrap();
        state.commit(&batch(3, &[("k0000", None), ("k0001", new("again")), ("k0903", Some(vec![9; 300_000])), ("z", new("end"))])).unwrap();
        state.commit(&batch(4, &[("z", None)])).unwrap();
    });
    let written = written.unwrap();
    assert_eq!((written.applied, written.taken_ms, written.changes), (4, 5, 14));
    assert_eq!(read_contents(&file).unwrap(), written);
    assert_eq!(contents_of(&file), now);
    assert!(matches!(backup_while(&file, |_, _| {}).0, Err(BackupError::Exists(_))), "a file is never overwritten");
}

#[test]
fn a_store_that_fails_meanwhile_ends_the_backup_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let stories: [fn(&Snapshots, &MemoryStore); 2] = [
        |state, disk| {
            disk.fail_commit(0, Fault::Io);
            state.commit(&batch(2, &[])).unwrap_err();
        },
        |state, _| state.reopen().unwrap(),
    ];
    for story in stories {
        let (written, _) = backup_while(&dir.path().join("b"), story);
        assert!(matches!(written, Err(BackupError::Interrupted(_))), "{written:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn one_backup_at_a_time_and_only_with_room() {
    let dir = tempfile::tempdir().unwrap();
    let (written, _) = backup_while(&dir.path().join("b"), |state, _| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("second");
        let room = Room::new(dir.path(), &file, 0).unwrap();
        assert!(matches!(state.write(&file, &Files::new(dir.path()), 1, &room), Err(BackupError::Busy)));
    });
    written.unwrap();
    let room = Room::new(dir.path(), &dir.path().join("c"), 100 << 20).unwrap();
    assert!(room.suffices(10 << 30, 200 << 20).is_ok());
    assert!(matches!(room.suffices(10 << 30, 100 << 20), Err(BackupError::NoRoom { reserve_bytes: 104_857_600, .. })));
    assert!(room.suffices(100 << 20, 12 << 20).is_ok(), "a small disk's reserve is a tenth");
    assert!(room.suffices(100 << 20, 10 << 20).is_err());
}

#[test]
fn every_damaged_byte_and_every_cut_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    let state = Snapshots::new(Arc::new(MemoryStore::new().open().unwrap()));
    let some = |text: &str| Some(text.as_bytes().to_vec());
    state.commit(&batch(9, &[("Cdemo", some("d")), ("e1", some("text")), ("e2", some(&"long ".repeat(50)))])).unwrap();
    let written = state.write(&good, &Files::new(dir.path()), 5, &Room::new(dir.path(), &good, 0).unwrap()).unwrap();
    assert_eq!(written.conferences, ["demo"]);
    let bytes = fs::read(&good).unwrap();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            fs::write(&bad, &damaged).unwrap();
            let error = read_contents(&bad).unwrap_err();
            assert!(matches!(error, BackupError::Damaged { .. }), "byte {at}: {error}");
        }
        fs::write(&bad, &bytes[..at]).unwrap();
        let error = read_contents(&bad).unwrap_err();
        assert!(error.to_string().contains("cut off") || error.to_string().contains("missing"), "cut at {at}: {error}");
    }
    fs::write(&bad, [&bytes[..], b"x"].concat()).unwrap();
    assert!(matches!(read_contents(&bad).unwrap_err(), BackupError::Damaged { .. }));
    assert!(FileReader::open(dir.path()).is_err(), "a directory is no backup");
}

fn open(dir: &Path) -> Arc<Hub> {
    let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
    let store = StoreOptions { segment_bytes: 256 << 10, ..StoreOptions::default() };
    let options = HubOptions { store, limits, shards: 1, ..HubOptions::new(dir) };
    Hub::open(options, Arc::new(SystemClock::start())).unwrap()
}

fn send(conversation: &str, text: &str, id: &str) -> Action {
    let conversation = ConversationId::parse(conversation).unwrap();
    let text = text.into();
    Action::Send(Draft {
        conversation,
        client_id: id.into(),
        reuse: Reuse::Conflict,
        text,
        reply_to: None,
        mentions: vec![],
        attachments: vec![],
    })
}

/// A conference with two channels.
fn begin(hub: &Hub) -> ConfNo {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let call = |conf, action| runtime.block_on(hub.call(conf, Actor::system(), action)).unwrap();
    let id = ConferenceId::parse("demo").unwrap();
    let Outcome::Conference(conf) = call(ConfNo(0), Action::AddConference { id, title: "Demo".into(), sign_in: SignIn::Open, epoch: 77 })
    else {
        panic!()
    };
    for channel in ["lobby", "help"] {
        let id = ConversationId::parse(channel).unwrap();
        call(conf, Action::Create { kind: Kind::Channel, id, title: channel.into(), members: vec![] });
    }
    conf
}

/// Somebody who talks, edits, reacts, deletes and comes and goes until told to stop.
fn talk(hub: &Hub, conf: ConfNo, name: &str, stop: &AtomicBool, said: &AtomicU64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let uid = Uid::parse(name).unwrap();
    let add = Action::AddUser { uid: uid.clone(), name: None, role: crate::model::UserRole::Attendee, credentials: None };
    runtime.block_on(hub.call(conf, Actor::system(), add)).unwrap();
    let actor = Actor { uid, via: crate::model::Via::Ws, session: 1 };
    let call = |action| runtime.block_on(hub.call(conf, actor.clone(), action));
    for n in 0u64.. {
        let channel = if n % 3 == 0 { "help" } else { "lobby" };
        let Outcome::Added { seq, .. } =
            call(send(channel, &format!("{name} says {n} {}", "x".repeat(n as usize % 5000)), &n.to_string())).unwrap()
        else {
            panic!()
        };
        let conversation = ConversationId::parse(channel).unwrap();
        match n % 7 {
            0 => drop(call(Action::React { conversation, target: seq, emoji: "👍".into(), on: true }).unwrap()),
            1 => drop(call(Action::Edit { conversation, target: seq, text: "edited".into() }).unwrap()),
            2 => drop(call(Action::Delete { conversation, target: seq }).unwrap()),
            3 => drop(call(Action::Read { conversation, seq }).unwrap()),
            4 => drop(call(Action::Leave { conversation }).unwrap()),
            _ => {}
        }
        said.fetch_add(1, Relaxed);
        if stop.load(Relaxed) {
            return;
        }
    }
}

/// The state that the log's first `applied` commands make, by the hub's own stage.
fn replayed(data_dir: &Path, applied: u64) -> Records {
    let mut log = MemoryDisk::new().open().unwrap();
    salvage::read(&data_dir.join("log"), 0, &mut |lsn, record| {
        if lsn <= applied {
            assert_eq!(log.append(&[record]).unwrap(), lsn);
        }
        Ok(())
    })
    .unwrap();
    let store = MemoryStore::new();
    let secret = place::kept_secret(data_dir).unwrap();
    let stage = ApplyStage::open(Arc::new(Mutex::new(Box::new(log))), Arc::new(store.open().unwrap()), Arc::new(Recent::default()), secret);
    assert_eq!(stage.unwrap().head().applied, applied);
    store.snapshot()
}

#[test]
fn a_backup_under_load_is_the_state_at_its_lsn() {
    let dir = tempfile::tempdir().unwrap();
    let hub = open(&dir.path().join("data"));
    let conf = begin(&hub);
    let (stop, said) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut taken = Vec::new();
    std::thread::scope(|scope| {
        for name in ["alice", "bob", "carol", "dave"] {
            let (hub, stop, said) = (&hub, &stop, &said);
            scope.spawn(move || talk(hub, conf, name, stop, said));
        }
        // Until enough was written during one, with ever more to walk over.
        for n in 1.. {
            while said.load(Relaxed) < 300 * n {
                std::thread::yield_now();
            }
            let report = super::backup(&hub, Path::new(&format!("n{n}"))).unwrap();
            let enough = n > 2 && report.contents.changes > 50;
            taken.push(report);
            if enough {
                break;
            }
        }
        stop.store(true, Relaxed);
    });
    hub.close();
    drop(hub);
    let data_dir = dir.path().join("data");
    for report in taken {
        assert_eq!(report.file.parent().unwrap(), data_dir.join("backups"));
        assert_eq!(read_contents(&report.file).unwrap(), report.contents);
        let expected = replayed(&data_dir, report.contents.applied);
        assert!(contents_of(&report.file) == expected, "{report}");
    }
}

#[test]
fn the_salvage_reader_reads_what_the_log_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut options = SegmentOptions::new(&path, Arc::new(|| 1));
    (options.segment_bytes, options.first_lsn) = (4096, 11);
    let mut log = SegmentLog::open(options).unwrap();
    for n in 0..200u8 {
        let records: Vec<Vec<u8>> = (0..n % 4 + 1).map(|r| vec![n; usize::from(n) * 3 + usize::from(r)]).collect();
        log.append(&records.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    }
    for after in [10, 11, 57, 300, log.end() - 1, log.end()] {
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let each = &mut |lsn, record: &[u8]| {
            expected.push((lsn, record.to_vec()));
            true
        };
        log.replay(after, each).unwrap();
        let readable = salvage::read(&path, after, &mut |lsn, record| {
            found.push((lsn, record.to_vec()));
            Ok(())
        });
        assert_eq!(readable.unwrap(), salvage::Readable { first: 11, last: log.end(), damage: None });
        assert!(found == expected, "after {after}");
    }
}

#[test]
fn a_damaged_log_is_read_up_to_the_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = SegmentOptions::new(dir.path(), Arc::new(|| 1));
    options.segment_bytes = 4096;
    let mut log = SegmentLog::open(options.clone()).unwrap();
    for n in 0..100u8 {
        log.append(&[&[n; 200]]).unwrap();
    }
    drop(log);
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let read = |after| salvage::read(dir.path(), after, &mut |_, _| Ok(())).unwrap();
    let second: u64 = files[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let last: u64 = files[files.len() - 1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let with = |path: &Path, change: &dyn Fn(&mut Vec<u8>), look: &dyn Fn()| {
        let bytes = fs::read(path).unwrap();
        let mut changed = bytes.clone();
        change(&mut changed);
        fs::write(path, changed).unwrap();
        look();
        fs::write(path, bytes).unwrap();
    };
    let frame = (24usize + 4 + 200).next_multiple_of(8);
    with(&files[1], &|bytes| bytes[64 + frame * 2 + 100] ^= 1, &|| {
        assert_eq!(read(0).last, second + 1);
        assert!(read(0).damage.is_some());
        assert_eq!(read(99), salvage::Readable { first: 1, last: 100, damage: None }, "damage below what is asked for is of no account");
    });
    with(&files[1], &|bytes| bytes[20] ^= 1, &|| assert_eq!(read(0).last, second - 1));
    with(&files[files.len() - 1], &|bytes| bytes.truncate(64 + frame + 10), &|| {
        assert_eq!(read(0).last, last);
        assert!(read(0).damage.unwrap().contains("cut off"));
    });
    with(&files[files.len() - 1], &|bytes| bytes[64 + 30] ^= 1, &|| assert_eq!((read(0).last, read(0).damage.is_some()), (last - 1, true)));
    fs::remove_file(&files[1]).unwrap();
    assert_eq!(read(0).last, second - 1);
    assert!(matches!(SegmentLog::open(options), Err(LogError::Damaged { .. })));
}

/// What is in a directory, a level deep.
fn tree(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match fs::read_dir(entry.path()) {
            Ok(inner) => names.extend(inner.map(|inner| format!("{name}/{}", inner.unwrap().file_name().to_str().unwrap()))),
            Err(_) => names.push(name),
        }
    }
    names.sort();
    names
}

#[test]
fn a_crash_at_any_step_of_a_replacement_leaves_the_old_or_the_new() {
    for steps in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        for (part, file) in [("log", "old"), ("store", "old"), ("log.partial", "new"), ("store.partial", "new")] {
            fs::create_dir(data.join(part)).unwrap();
            fs::write(data.join(part).join(file), "").unwrap();
        }
        let moves = [("store", "replaced-5/store"), ("store.partial", "store"), ("log", "replaced-5/log"), ("log.partial", "log")];
        fs::write(data.join("replace.journal"), "replaced-5\nstore\nlog\n").unwrap();
        for (from, to) in &moves[..steps] {
            fs::create_dir_all(data.join(to).parent().unwrap()).unwrap();
            fs::rename(data.join(from), data.join(to)).unwrap();
        }
        place::finish_interrupted(data).unwrap();
        place::finish_interrupted(data).unwrap();
        assert_eq!(tree(data), ["log/new", "replaced-5/log", "replaced-5/store", "store/new"], "after {steps} steps");
    }
}

#[test]
fn a_walk_reaches_every_key() {
    let state = MemoryStore::new().open().unwrap();
    state.commit(&Batch { changes: vec![(vec![255; 384], Some(vec![]))] }).unwrap();
    let mut found = 0;
    state
        .scan(b"", &END_OF_KEYS, Direction::Ascending, &mut |_, _| {
            found += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(found, 1);
}
