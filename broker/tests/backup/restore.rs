//! Going back to a backup.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hallway_broker::backup::{self, BackupError, Options};
use hallway_broker::command::Outcome;

use crate::venue::{Venue, flip};

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
