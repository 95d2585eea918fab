//! Attached files in checks and backups; exports.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};

use hallway_broker::backup::{self, BackupError, Options};
use hallway_broker::command::{Action, Actor, Demanded, Outcome};
use hallway_broker::files::{Files, path};
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::{Access, MemberRole, NodeSettings, UserRole, Via};

use crate::venue::{Venue, flip, lobby};

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
