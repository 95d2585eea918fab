//! A store that is made again from a backup and the log.

use std::fs;
use std::path::Path;

use hallway_broker::backup::{self, BackupError, Options};

use crate::venue::{Venue, flip};

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
