//! Backups as an operator uses them: taken, restored, rebuilt from, checked, exported.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};

use hallway_broker::backup::{self, BackupError, Options};
use hallway_broker::clock::SystemClock;
use hallway_broker::command::{Action, Actor, Demanded, Draft, NewFile, Outcome, Reuse};
use hallway_broker::files::{Capability, Files, checksum, path};
use hallway_broker::hub::{Hub, HubOptions, OpenError, StoreOptions};
use hallway_broker::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{Access, Conference, Event, Kind, MediaType, MemberRole, NodeSettings, SignIn, UserRole, Via};
use hallway_broker::reader::Toward;
use hallway_broker::state::sled::{SledOptions, SledState};
use hallway_broker::view::Found;

/// A data directory and the hub that runs on it, or does not.
struct Venue {
    dir: tempfile::TempDir,
    hub: Option<Arc<Hub>>,
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lobby() -> ConversationId {
    ConversationId::parse("lobby").unwrap()
}

impl Venue {
    /// A conference with alice and a lobby.
    fn new() -> Self {
        let mut venue = Self { dir: tempfile::tempdir().unwrap(), hub: None };
        venue.start().unwrap();
        let demo = ConferenceId::parse("demo").unwrap();
        venue.call(Actor::system(), Action::AddConference { id: demo, title: "Demo".into(), sign_in: SignIn::Open, epoch: 77 });
        let alice = Uid::parse("alice").unwrap();
        venue
            .call(Actor::system(), Action::AddUser { uid: alice, name: Some("Alice".into()), role: UserRole::Attendee, credentials: None });
        venue.call(Actor::system(), Action::Create { kind: Kind::Channel, id: lobby(), title: "Lobby".into(), members: vec![] });
        venue
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn start(&mut self) -> Result<(), OpenError> {
        let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
        let store = StoreOptions { segment_bytes: 16 << 10, ..StoreOptions::default() };
        let options = HubOptions { store, limits, shards: 1, ..HubOptions::new(self.data()) };
        self.hub = Some(Hub::open(options, Arc::new(SystemClock::start()))?);
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.close();
            // The hub's threads are gone, so this is the last one.
            let state = Arc::downgrade(hub.reader().state());
            drop(hub);
            while state.strong_count() > 0 {
                std::thread::yield_now();
            }
            self.wait_until_closed();
        }
    }

    fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("the server runs")
    }

    fn call(&self, actor: Actor, action: Action) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.hub().call(ConfNo(1), actor, action)).unwrap()
    }

    fn say(&self, text: &str) -> Outcome {
        self.say_with(text, &[])
    }

    fn say_with(&self, text: &str, attachments: &[Arc<str>]) -> Outcome {
        let alice = Actor { uid: Uid::parse("alice").unwrap(), via: Via::Ws, session: 1 };
        let draft = Draft {
            conversation: lobby(),
            client_id: text.into(),
            reuse: Reuse::Conflict,
            text: text.into(),
            reply_to: None,
            mentions: vec![],
            attachments: attachments.to_vec(),
        };
        self.call(alice, Action::Send(draft))
    }

    /// A file of alice's.
    fn bring(&self, which: u8, bytes: &[u8]) -> Capability {
        let (capability, files) = (Capability::new(ConfNo(1), [which; 16]), self.hub().files());
        let incoming = files.begin().unwrap();
        (&*incoming.file).write_all(bytes).unwrap();
        files.keep(incoming, ConfNo(1), capability.id()).unwrap();
        let (length, crc) = checksum(&mut &bytes[..]).unwrap();
        let file =
            NewFile { name: "a.bin".into(), media: MediaType::Binary, bytes: length, crc, size: None, quota_bytes: 0, conference_bytes: 0 };
        let alice = Actor { uid: Uid::parse("alice").unwrap(), via: Via::Http, session: 0 };
        self.call(alice, Action::KeepFile { id: capability.id(), file });
        capability
    }

    /// Many small messages, so that the log has some segments.
    fn chat(&self, name: &str, count: usize) {
        for n in 0..count {
            self.say(&format!("{name} {n} {}", "x".repeat(200)));
        }
    }

    fn conference(&self) -> Conference {
        self.hub().reader().conference("demo").unwrap().unwrap()
    }

    fn pos(&self) -> u64 {
        self.hub().reader().conference_head(ConfNo(1)).unwrap().pos
    }

    fn found(&self) -> Found {
        self.hub().reader().conversation(ConfNo(1), &lobby()).unwrap().unwrap()
    }

    fn history(&self) -> Vec<Event> {
        let (found, mut events, mut last) = (self.found(), Vec::new(), 0);
        loop {
            let page = self.hub().reader().page(&found, Toward::Newer(last), 500, &[]).unwrap();
            last = page.events.last().map_or(last, |event| event.place.seq);
            events.extend(page.events);
            if page.complete {
                return events;
            }
        }
    }

    /// The history with the public ids, as a client would remember it.
    fn remembered(&self) -> Vec<(String, Event)> {
        let ids = self.hub().reader().ids();
        self.history().into_iter().map(|event| (ids.encode(event.place.conf, event.entry.pos), event)).collect()
    }

    /// Puts a store in its place that does not open: a newer program's.
    fn break_store(&self) {
        let store = self.data().join("store");
        fs::remove_dir_all(&store).unwrap();
        drop(SledState::open(SledOptions { schema: 99, ..SledOptions::new(store) }).unwrap());
        self.wait_until_closed();
    }

    /// The store's lock lives as long as its background writes.
    fn wait_until_closed(&self) {
        let db = fs::File::open(self.data().join("store/db")).unwrap();
        while db.try_lock().is_err() {
            std::thread::yield_now();
        }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data().join("log")).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
        segments.sort();
        segments
    }

    fn names(&self) -> BTreeSet<String> {
        fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn rebuild(&self, accept_loss: bool) -> Result<backup::RebuildReport, BackupError> {
        backup::rebuild(&self.data(), &Options { accept_loss, ..Options::default() })
    }

    fn is_good(&self) {
        let report = backup::check(&self.data()).unwrap();
        assert!(report.is_good(), "{report}");
    }
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
}

#[test]
fn a_restore_goes_back_in_a_new_epoch_and_no_id_comes_twice() {
    let mut venue = Venue::new();
    venue.chat("before", 30);
    let file = venue.dir.path().join("monday");
    let report = backup::backup(venue.hub(), &file).unwrap();
    assert_eq!(report.contents.conferences, ["demo"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (kept, mut given, mut epochs) = (venue.remembered(), BTreeSet::new(), BTreeSet::from([venue.conference().epoch]));
    assert!(matches!(backup::restore(&venue.data(), &file, &Options::default()), Err(BackupError::InUse(_))), "while the server runs");
    let mut asides = BTreeSet::new();
    // The same backup twice: the second time the ids of the first must not come again either.
    for round in ["first", "second"] {
        venue.chat(round, 20);
        given.extend(venue.remembered().into_iter().map(|(id, _)| id));
        let (before, backed_up) = (venue.pos(), kept.last().map_or(0, |(_, event)| event.entry.pos));
        venue.stop();
        let report = backup::restore(&venue.data(), &file, &Options::default()).unwrap();
        assert!(asides.insert(report.aside.clone().unwrap()));
        assert!(report.aside.unwrap().join("store/db").is_file() && report.base.unwrap().is_file());
        venue.is_good();
        venue.start().unwrap();
        assert!(venue.remembered() == kept, "what the backup had, with its ids");
        assert!(epochs.insert(venue.conference().epoch), "a new epoch");
        assert!(venue.pos() >= before.max(backed_up) + (1 << 32), "a gap in the pos");
        assert_eq!(report.renewed[0].epoch, venue.conference().epoch);
    }
    venue.chat("after", 20);
    for (id, event) in venue.remembered().split_off(kept.len()) {
        assert!(given.insert(id), "given twice: {event:?}");
    }
    let Outcome::Added { fresh, .. } = venue.say(&format!("before 3 {}", "x".repeat(200))) else { panic!() };
    assert!(!fresh, "a retry of what the backup has is still known");
    venue.stop();
    venue.is_good();
}

#[test]
fn a_restore_into_an_empty_directory_is_a_server() {
    let mut venue = Venue::new();
    venue.chat("hi", 5);
    let file = venue.dir.path().join("b");
    backup::backup(venue.hub(), &file).unwrap();
    let kept = venue.remembered();
    venue.stop();
    fs::rename(venue.data(), venue.dir.path().join("lost")).unwrap();
    let report = backup::restore(&venue.data(), &file, &Options::default()).unwrap();
    assert_eq!(report.aside, None);
    venue.start().unwrap();
    assert!(venue.remembered() == kept);
}

#[test]
fn a_damaged_backup_changes_nothing() {
    let mut venue = Venue::new();
    venue.chat("hi", 5);
    let file = venue.dir.path().join("b");
    backup::backup(venue.hub(), &file).unwrap();
    assert!(matches!(backup::backup(venue.hub(), &file), Err(BackupError::Exists(_))));
    venue.chat("later", 5);
    let kept = venue.remembered();
    venue.stop();
    let (names, bytes) = (venue.names(), fs::read(&file).unwrap());
    for at in [0, 9, 13, 20, 30, 64, 70, 100, bytes.len() / 2, bytes.len() - 1] {
        flip(&file, at as u64);
        let error = backup::restore(&venue.data(), &file, &Options::default()).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("Nothing was changed"));
        fs::write(&file, &bytes[..at]).unwrap();
        assert!(matches!(backup::restore(&venue.data(), &file, &Options::default()), Err(BackupError::Damaged { .. })));
        fs::write(&file, &bytes).unwrap();
    }
    assert!(matches!(backup::restore(&venue.data(), Path::new("/nowhere"), &Options::default()), Err(BackupError::Io { .. })));
    assert_eq!(venue.names(), names);
    venue.start().unwrap();
    assert!(venue.remembered() == kept);
}

#[test]
fn what_an_interrupted_restore_left_is_of_no_account() {
    let mut venue = Venue::new();
    venue.chat("hi", 5);
    let file = venue.dir.path().join("b");
    backup::backup(venue.hub(), &file).unwrap();
    let kept = venue.remembered();
    venue.stop();
    fs::create_dir_all(venue.data().join("store.partial/blobs")).unwrap();
    fs::write(venue.data().join("store.partial/db"), "half").unwrap();
    venue.start().unwrap();
    assert!(venue.remembered() == kept, "the old");
    venue.stop();
    backup::restore(&venue.data(), &file, &Options::default()).unwrap();
    venue.start().unwrap();
    assert!(venue.remembered() == kept, "a second restore works");
}

#[test]
fn a_restore_that_was_decided_is_finished_by_the_next_start() {
    let mut venue = Venue::new();
    venue.chat("hi", 5);
    let file = venue.dir.path().join("b");
    backup::backup(venue.hub(), &file).unwrap();
    let kept = venue.remembered();
    venue.chat("later", 5);
    venue.stop();
    // What a restore has done when it is killed between its two renamings of the store.
    let other = venue.dir.path().join("other");
    backup::restore(&other, &file, &Options::default()).unwrap();
    for part in ["log", "store"] {
        fs::rename(other.join(part), venue.data().join(format!("{part}.partial"))).unwrap();
    }
    fs::write(venue.data().join("replace.journal"), "replaced-7\nstore\nlog\n").unwrap();
    fs::create_dir(venue.data().join("replaced-7")).unwrap();
    fs::rename(venue.data().join("store"), venue.data().join("replaced-7/store")).unwrap();
    venue.start().unwrap();
    assert!(venue.remembered() == kept);
    assert!(venue.data().join("replaced-7/log").is_dir() && !venue.data().join("replace.journal").exists());
}

#[test]
fn a_rebuild_from_backup_and_log_loses_nothing_and_nobody_notices() {
    let mut venue = Venue::new();
    venue.chat("one", 40);
    backup::backup(venue.hub(), Path::new("one")).unwrap();
    venue.chat("two", 40);
    backup::backup(venue.hub(), Path::new("two.hallway-backup")).unwrap();
    venue.chat("three", 40);
    let (kept, conference, pos) = (venue.remembered(), venue.conference(), venue.pos());
    venue.stop();
    venue.break_store();
    assert!(venue.start().is_err(), "it does not open");
    assert!(!backup::check(&venue.data()).unwrap().is_good());
    let report = venue.rebuild(false).unwrap();
    assert!(report.backup.clone().unwrap().ends_with("backups/two.hallway-backup"), "{report}");
    assert_eq!((report.replayed, &report.missing, report.renewed.len()), (40, &None, 0));
    assert!(report.aside.unwrap().join("store/db").is_file());
    venue.is_good();
    venue.start().unwrap();
    assert!(venue.remembered() == kept);
    assert_eq!((venue.conference(), venue.pos()), (conference, pos));
    venue.say("and on");
}

#[test]
fn an_unreadable_backup_is_passed_over() {
    let mut venue = Venue::new();
    backup::backup(venue.hub(), Path::new("old")).unwrap();
    venue.chat("hi", 10);
    let newer = backup::backup(venue.hub(), Path::new("newer")).unwrap().file;
    let kept = venue.remembered();
    venue.stop();
    venue.break_store();
    flip(&newer, fs::metadata(&newer).unwrap().len() / 2);
    let report = venue.rebuild(false).unwrap();
    assert!(report.backup.unwrap().ends_with("old.hallway-backup") && report.unusable.len() == 1);
    venue.start().unwrap();
    assert!(venue.remembered() == kept);
}

#[test]
fn a_rebuild_without_a_backup_takes_the_whole_log() {
    let mut venue = Venue::new();
    venue.chat("hi", 100);
    let (kept, conference) = (venue.remembered(), venue.conference());
    venue.stop();
    assert!(venue.segments().len() > 2);
    venue.break_store();
    let report = venue.rebuild(false).unwrap();
    assert_eq!((&report.backup, &report.missing, report.base), (&None, &None, None));
    venue.start().unwrap();
    assert!(venue.remembered() == kept, "the same ids too: the secret is kept beside the store");
    assert_eq!(venue.conference(), conference);

    // Without that secret, the ids are others, and clients must know.
    venue.stop();
    fs::remove_file(venue.data().join("secret")).unwrap();
    let report = venue.rebuild(false).unwrap();
    assert_eq!((report.renewed.len(), &report.missing), (1, &None));
    venue.start().unwrap();
    assert!(venue.history() == kept.into_iter().map(|(_, event)| event).collect::<Vec<_>>());
    assert_ne!(venue.conference().epoch, conference.epoch);

    // And without the log's beginning there is nothing to begin with.
    venue.stop();
    fs::remove_dir_all(venue.data().join("backups")).unwrap();
    let names = venue.names();
    assert!(matches!(venue.rebuild(true), Err(BackupError::NoBase(..))));
    assert_eq!(venue.names(), names);
}

#[test]
fn after_a_restore_a_rebuild_stays_on_the_new_timeline() {
    let mut venue = Venue::new();
    venue.chat("old", 10);
    let file = backup::backup(venue.hub(), Path::new("early")).unwrap().file;
    venue.chat("abandoned", 60);
    backup::backup(venue.hub(), Path::new("late")).unwrap();
    venue.stop();
    backup::restore(&venue.data(), &file, &Options::default()).unwrap();
    venue.start().unwrap();
    venue.chat("new", 30);
    let (kept, conference) = (venue.remembered(), venue.conference());
    venue.stop();
    venue.break_store();
    let report = venue.rebuild(false).unwrap();
    assert!(report.missing.is_none() && report.renewed.is_empty(), "{report}");
    venue.start().unwrap();
    assert!(venue.remembered() == kept);
    assert_eq!(venue.conference(), conference);
}

#[test]
fn what_a_damaged_log_loses_is_given_up_only_when_told_to() {
    let mut venue = Venue::new();
    venue.chat("one", 60);
    backup::backup(venue.hub(), Path::new("one")).unwrap();
    venue.chat("two", 200);
    let (kept, epoch) = (venue.remembered(), venue.conference().epoch);
    venue.stop();
    let segments = venue.segments();
    flip(&segments[segments.len() - 2], 5000);
    venue.break_store();
    let names = venue.names();
    let error = venue.rebuild(false).unwrap_err();
    assert!(matches!(error, BackupError::WouldLose(_)) && error.to_string().contains("--accept-loss"), "{error}");
    assert_eq!(venue.names(), names, "nothing was changed");
    let report = venue.rebuild(true).unwrap();
    assert!(report.missing.is_some() && report.replayed > 0 && report.renewed.len() == 1, "{report}");
    assert!(report.aside.as_ref().unwrap().join("log").is_dir());
    venue.is_good();
    venue.start().unwrap();
    let rebuilt = venue.remembered();
    assert!(rebuilt.len() > 61 && rebuilt.len() < kept.len() && kept.starts_with(&rebuilt));
    assert_ne!(venue.conference().epoch, epoch);
    venue.chat("on", 3);
    let going_on = venue.remembered();
    // The new timeline can be rebuilt as well.
    venue.stop();
    venue.break_store();
    assert_eq!(venue.rebuild(false).unwrap().missing, None);
    venue.start().unwrap();
    assert!(venue.remembered() == going_on);
}

#[test]
fn damage_that_the_backup_covers_loses_nothing() {
    let mut venue = Venue::new();
    venue.chat("one", 100);
    backup::backup(venue.hub(), Path::new("one")).unwrap();
    venue.chat("two", 20);
    let (kept, epoch) = (venue.remembered(), venue.conference().epoch);
    venue.stop();
    flip(&venue.segments()[0], 20);
    venue.break_store();
    let report = venue.rebuild(false).unwrap();
    assert!(report.missing.is_none() && report.renewed.is_empty() && report.base.as_ref().is_some_and(Result::is_ok), "{report}");
    venue.is_good();
    venue.start().unwrap();
    assert!(venue.remembered() == kept && venue.conference().epoch == epoch);
}

#[test]
fn a_gap_between_backup_and_log_is_told() {
    let mut venue = Venue::new();
    backup::backup(venue.hub(), Path::new("one")).unwrap();
    venue.chat("two", 100);
    venue.stop();
    fs::remove_file(&venue.segments()[0]).unwrap();
    venue.break_store();
    let error = venue.rebuild(false).unwrap_err();
    assert!(error.to_string().contains("the log begins with"), "{error}");
    assert_eq!(venue.rebuild(true).unwrap().replayed, 0);
    venue.start().unwrap();
    assert_eq!(venue.history().len(), 0);
}

#[test]
fn check_tells_what_is_wrong_with_files() {
    let mut venue = Venue::new();
    venue.chat("hi", 50);
    assert!(matches!(backup::check(&venue.data()), Err(BackupError::InUse(_))));
    venue.stop();
    venue.is_good();
    flip(&venue.segments()[0], 3000);
    let report = backup::check(&venue.data()).unwrap();
    assert!(report.to_string().contains("damaged at"), "{report}");
    flip(&venue.segments()[0], 3000);
    fs::rename(venue.data().join("store"), venue.data().join("elsewhere")).unwrap();
    assert!(!backup::check(&venue.data()).unwrap().is_good());
    assert!(!venue.data().join("store").exists(), "looking makes nothing");
    assert!(matches!(backup::check(Path::new("/nowhere")), Err(BackupError::NoStore(_))));
}

#[test]
fn an_export_is_lines_of_json_without_credentials() {
    let venue = Venue::new();
    venue.chat("hi", 600);
    let role = Action::SetRole { conversation: lobby(), user: Uid::parse("alice").unwrap(), role: MemberRole::Owner };
    venue.call(Actor::system(), role);
    let bob = Uid::parse("bob").unwrap();
    venue.call(Actor::system(), Action::AddUser { uid: bob.clone(), name: None, role: UserRole::Attendee, credentials: None });
    let alice = Actor { uid: Uid::parse("alice").unwrap(), via: Via::Xmpp, session: 0 };
    venue.call(alice.clone(), Action::Block { user: bob, on: true });
    let settings = NodeSettings { access: Access::Private, max_items: 1 };
    let (node, id, payload) = ("bookmarks".into(), "lobby".into(), "<conference/>".into());
    venue.call(alice, Action::KeepItem { node, id, payload, settings, demanded: Demanded::default() });
    let file = venue.dir.path().join("demo.jsonl");
    let report = backup::export(venue.hub().reader(), "demo", &file).unwrap();
    assert_eq!((report.users, report.conversations, report.bytes), (2, 1, fs::metadata(&file).unwrap().len()));
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], serde_json::json!({"conference": "demo", "title": "Demo", "sign_in": "open", "epoch": 77}));
    assert_eq!(lines[1], serde_json::json!({"user": "alice", "name": "Alice", "role": "attendee", "about": ""}));
    assert_eq!(lines[2], serde_json::json!({"user": "alice", "blocks": "bob"}));
    assert_eq!(
        (&lines[3]["node"], &lines[3]["item"], &lines[3]["payload"]),
        (&"bookmarks".into(), &"lobby".into(), &"<conference/>".into())
    );
    assert!(lines.contains(&serde_json::json!({"conversation": "lobby", "member": "alice", "role": "owner"})));
    let said: Vec<_> = lines.iter().filter(|line| line["kind"] == "message").collect();
    assert_eq!((said.len(), &said[599]["seq"], &said[599]["from"]), (600, &601.into(), &"alice".into()));
    assert!(said[599]["text"].as_str().unwrap().starts_with("hi 599") && said[599].get("mentions").is_none());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(backup::export(venue.hub().reader(), "demo", &file), Err(BackupError::Exists(_))));
    assert!(matches!(backup::export(venue.hub().reader(), "nobody", Path::new("x")), Err(BackupError::UnknownConference(_))));
}

#[test]
fn files_are_in_a_backup_and_come_back_with_it() {
    let mut venue = Venue::new();
    let bytes = (0..700_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    let (old, unread) = (venue.bring(1, &bytes), venue.bring(2, b"x"));
    let attached = path(&old, "a.bin");
    venue.say_with("look", &[attached.into()]);
    let backup = venue.data().join("b.hallway-backup");
    let report = backup::backup(venue.hub(), &backup).unwrap();
    assert_eq!(report.contents.files, 2);
    let later = venue.bring(3, b"later");
    venue.stop();
    let checked = backup::check(&venue.data()).unwrap();
    assert!(checked.is_good() && checked.files == 3, "{checked}");
    // What came later is aside with the state that knew it.
    let restored = backup::restore(&venue.data(), &backup, &Options::default()).unwrap();
    let aside = restored.aside.unwrap();
    assert!(Files::new(&aside).open(ConfNo(1), later.id()).is_ok());
    let checked = backup::check(&venue.data()).unwrap();
    assert!(checked.is_good() && checked.files == 2, "{checked}");
    venue.start().unwrap();
    let mut back = Vec::new();
    venue.hub().files().open(ConfNo(1), old.id()).unwrap().read_to_end(&mut back).unwrap();
    assert!(back == bytes && venue.hub().files().open(ConfNo(1), later.id()).is_err());
    venue.stop();
    // Bytes that are gone or others are problems, and the backup has them.
    let files = Files::new(&venue.data());
    files.remove(ConfNo(1), unread.id());
    let checked = backup::check(&venue.data()).unwrap();
    assert!(checked.problems == 1 && checked.told[0].contains("'a.bin' of alice"), "{checked}");
    fs::remove_dir_all(venue.data().join("store")).unwrap();
    backup::rebuild(&venue.data(), &Options::default()).unwrap();
    let checked = backup::check(&venue.data()).unwrap();
    assert!(checked.is_good() && checked.files == 2, "{checked}");
}

/// Whatever comes and goes while a backup is taken: every file that a restored record names is there.
#[test]
fn files_come_and_go_while_backups_are_taken() {
    let venue = Arc::new(Venue::new());
    let (bringing, stop) = (Arc::clone(&venue), Arc::new(AtomicBool::new(false)));
    let (stopped, begun) = (Arc::clone(&stop), Arc::new(AtomicU64::new(0)));
    let backups = Arc::clone(&begun);
    let people = std::thread::spawn(move || {
        let mut forgotten = Vec::new();
        for which in 1..=u8::MAX {
            let capability = bringing.bring(which, &vec![which; usize::from(which) * 3000]);
            let brought_in = backups.load(SeqCst);
            let Outcome::Added { seq, .. } = bringing.say_with(&which.to_string(), &[path(&capability, "a.bin").into()]) else { panic!() };
            if which % 2 == 0 {
                let alice = Actor { uid: Uid::parse("alice").unwrap(), via: Via::Ws, session: 1 };
                bringing.call(alice, Action::Delete { conversation: lobby(), target: seq });
                bringing.call(Actor::system(), Action::CollectFiles { before_ms: u64::MAX });
                forgotten.push((brought_in, capability));
            }
            // The sweep spares bytes that have not been there for an hour: here, those that came since the backup under way was begun.
            let settled = forgotten.extract_if(.., |(brought_in, _)| *brought_in < backups.load(SeqCst));
            settled.for_each(|(_, capability)| bringing.hub().files().remove(ConfNo(1), capability.id()));
            if stopped.load(Relaxed) {
                return;
            }
        }
    });
    for n in 0..4 {
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join(format!("{n}.hallway-backup"));
        begun.store(n + 1, SeqCst);
        let taken = backup::backup(venue.hub(), &file).unwrap();
        let restored = elsewhere.path().join("restored");
        backup::restore(&restored, &file, &Options::default()).unwrap();
        let checked = backup::check(&restored).unwrap();
        assert!(checked.is_good(), "{checked}");
        assert!(n == 0 || taken.contents.files > 0);
        while n == 0 && venue.hub().reader().uploads(ConfNo(1), &Uid::parse("alice").unwrap()).unwrap().files < 3 {
            std::thread::yield_now();
        }
    }
    stop.store(true, Relaxed);
    people.join().unwrap();
}
