//! The segment log and the memory log against a list of what was acknowledged: round trips, failed writes, and every kind of
//! damage that a disk can do.

mod any_damage;

use super::frame::{self, SEGMENT_HEADER_BYTES, Salt, SegmentHeader};
use super::memory::{Fault, MemoryDisk};
use super::recover::file_name;
use super::segment::{SegmentLog, SegmentOptions};
use super::{Log, LogError, Lsn, verify};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the disk does with one of this thread's next writes.
#[derive(Debug, Clone, Copy)]
enum Disk {
    Works,
    Full,
    /// So many bytes get there, then it fails.
    Breaks(usize),
}

thread_local! {
    static DISK: RefCell<VecDeque<Disk>> = const { RefCell::new(VecDeque::new()) };
}

/// Called before each write to the active file.
pub(super) fn injected_fault(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    match DISK.with_borrow_mut(VecDeque::pop_front) {
        None | Some(Disk::Works) => Ok(()),
        Some(Disk::Full) => Err(io::ErrorKind::StorageFull.into()),
        Some(Disk::Breaks(written)) => {
            file.write_all_at(&bytes[..written.min(bytes.len())], offset)?;
            Err(io::Error::other("injected"))
        }
    }
}

fn next_writes(disk: &[Disk]) {
    DISK.set(disk.iter().copied().collect());
}

/// A log directory, the time, and what was acknowledged.
struct Bench {
    dir: tempfile::TempDir,
    now_ms: Arc<AtomicU64>,
    acked: Vec<Vec<Vec<u8>>>,
}

impl Bench {
    fn new() -> Self {
        // In memory where there is such a place: these tests are not about the disk's speed.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { dir, now_ms: Arc::new(AtomicU64::new(1000)), acked: Vec::new() }
    }

    fn options(&self) -> SegmentOptions {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Arc::new(move || now_ms.load(Ordering::Relaxed));
        SegmentOptions { segment_bytes: 4096, ..SegmentOptions::new(self.dir.path(), clock) }
    }

    fn open(&self) -> SegmentLog {
        SegmentLog::open(self.options()).unwrap()
    }

    fn append(&mut self, log: &mut impl Log, batch: Vec<Vec<u8>>) {
        let slices: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        assert_eq!(log.append(&slices).unwrap(), self.records().len() as Lsn + 1);
        self.acked.push(batch);
    }

    /// Appends batches of 3 records of 100 bytes.
    fn fill(&mut self, log: &mut impl Log, batches: usize) {
        for _ in 0..batches {
            let name = self.acked.len() as u8;
            self.append(log, vec![vec![name; 100], vec![], vec![name; 101]]);
        }
    }

    fn records(&self) -> Vec<Vec<u8>> {
        self.acked.iter().flatten().cloned().collect()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "log")).collect();
        paths.sort();
        paths
    }

    /// The offset behind the last thing that was written to a segment.
    fn written(path: &Path) -> u64 {
        std::fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
    }

    fn check(&self, log: &impl Log) {
        assert_eq!(log.end(), self.records().len() as Lsn);
        assert_eq!(read(log, 0).unwrap(), self.records());
    }

    fn check_reopened(&self) {
        self.check(&self.open());
    }
}

type Records = Vec<Vec<u8>>;

/// What can be read, and why no more.
fn read(log: &impl Log, after: Lsn) -> Result<Records, (Records, LogError)> {
    let mut records = Vec::new();
    let result = log.replay(after, &mut |lsn, record| {
        records.push(record.to_vec());
        assert_eq!(lsn, after + records.len() as Lsn);
        true
    });
    match result {
        Ok(()) => Ok(records),
        Err(error) => Err((records, error)),
    }
}

fn flip(path: &Path, bit: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit / 8).unwrap();
}

fn damage(error: &LogError) -> (&str, &str) {
    match error {
        LogError::Damaged { place, what } => (place, what),
        other => panic!("{other}"),
    }
}

#[test]
fn what_was_appended_is_read_again_in_order_from_anywhere() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    assert_eq!((log.start(), log.end()), (1, 0));
    assert_eq!(log.append(&[]).unwrap(), 1);
    bench.fill(&mut log, 40);
    bench.append(&mut log, vec![vec![7; 10_000]; 2]); // larger than a segment
    bench.fill(&mut log, 5);
    bench.check(&log);
    drop(log);

    assert!(bench.segments().len() > 3);
    let log = bench.open();
    let records = bench.records();
    for after in 0..=records.len() {
        assert_eq!(read(&log, after as Lsn).unwrap(), records[after..]);
    }
    assert_eq!(read(&log, records.len() as Lsn + 10).unwrap(), Vec::<Vec<u8>>::new());

    let mut some = 0;
    log.replay(0, &mut |_, _| {
        some += 1;
        some < 5
    })
    .unwrap();
    assert_eq!(some, 5);
}

#[test]
fn a_second_process_is_told_that_the_log_is_in_use() {
    let bench = Bench::new();
    let log = bench.open();
    assert!(matches!(SegmentLog::open(bench.options()), Err(LogError::Locked(_))));
    assert!(matches!(verify(bench.dir.path()), Err(LogError::Locked(_))));
    drop(log);
    bench.open();
}

#[test]
fn a_log_may_begin_with_any_number() {
    let bench = Bench::new();
    let options = || SegmentOptions { first_lsn: 1000, ..bench.options() };
    let mut log = SegmentLog::open(options()).unwrap();
    assert_eq!((log.start(), log.end()), (1000, 999));
    assert_eq!(log.append(&[b"a"]).unwrap(), 1000);
    drop(log);
    let log = SegmentLog::open(SegmentOptions { first_lsn: 1, ..bench.options() }).unwrap();
    assert_eq!((log.start(), log.end()), (1000, 1000));
    assert!(read(&log, 5).is_err());
}

#[test]
fn an_unfinished_last_append_is_cut_and_the_log_goes_on() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    bench.fill(&mut log, 5);
    drop(log);
    let last = bench.segments().pop().unwrap();
    // The sixth append: its middle reached the disk, its header did not.
    let end = Bench::written(&last).next_multiple_of(8);
    let file = OpenOptions::new().write(true).open(&last).unwrap();
    file.write_all_at(&[9; 50], end + 200).unwrap();

    let before = verify(bench.dir.path()).unwrap();
    assert_eq!((before.last, before.batches), (15, 5));
    assert!(before.torn_tail.is_some_and(|place| place.ends_with(&format!("byte {end}"))));
    let mut log = bench.open();
    bench.check(&log);
    assert_eq!(Bench::written(&last).next_multiple_of(8), end);
    bench.fill(&mut log, 30);
    drop(log);
    bench.check_reopened();
    assert_eq!(verify(bench.dir.path()).unwrap().torn_tail, None);
}

#[test]
fn a_text_that_looks_like_a_batch_is_not_taken_for_one() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    let mut forged = Vec::new();
    frame::encode(&mut forged, Salt::random(), 2, &[b"forged"]);
    // 28 bytes of framing before the record, so that the forgery is aligned.
    let text = [&[0; 4][..], &forged].concat();
    bench.fill(&mut log, 1);
    bench.append(&mut log, vec![text]);
    drop(log);
    let last = bench.segments().pop().unwrap();
    let forgery = std::fs::read(&last).unwrap().windows(6).position(|bytes| bytes == b"forged").unwrap() as u64;
    assert_eq!((forgery - 28) % 8, 0);
    flip(&last, (forgery + 6 - 60) * 8); // the header of the batch around it
    bench.acked.pop();
    bench.check_reopened();
}

#[test]
fn damage_names_its_place_and_nothing_is_deleted() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    bench.fill(&mut log, 40);
    drop(log);
    let paths = bench.segments();
    let before: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();

    // In the last segment it shows at open, in an older one when it is read.
    let frame = frame::frame_bytes(&[&[0; 100], &[], &[0; 101]]).unwrap();
    let second = SEGMENT_HEADER_BYTES + frame;
    flip(paths.last().unwrap(), second as u64 * 8 + 300);
    let error = SegmentLog::open(bench.options()).unwrap_err();
    let (place, what) = damage(&error);
    assert_eq!(place, format!("{} byte {second}", paths.last().unwrap().display()));
    assert!(what.contains("checksum") && what.contains("record"), "{what}");
    flip(paths.last().unwrap(), second as u64 * 8 + 300);

    flip(&paths[1], second as u64 * 8 + 300);
    let log = bench.open();
    let (records, error) = read(&log, 0).unwrap_err();
    assert_eq!(records, bench.records()[..records.len()]);
    assert_eq!(damage(&error).0, format!("{} byte {second}", paths[1].display()));
    assert!(read(&log, log.end() - 10).is_ok());
    drop(log);
    assert!(verify(bench.dir.path()).is_err());
    flip(&paths[1], second as u64 * 8 + 300);

    assert!(paths.iter().map(|path| std::fs::read(path).unwrap()).eq(before));
    bench.check_reopened();
}

#[test]
fn missing_cut_and_foreign_files_are_damage() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    bench.fill(&mut log, 60);
    drop(log);
    let paths = bench.segments();
    let open_error = || damage(&SegmentLog::open(bench.options()).unwrap_err()).1.to_owned();

    let away = bench.dir.path().join("away");
    std::fs::rename(&paths[1], &away).unwrap();
    let (_, name) = (open_error(), paths[1].file_name().unwrap().to_str().unwrap());
    assert!(open_error().contains(&format!("{name} should come before it and is missing")));
    std::fs::rename(&away, &paths[1]).unwrap();

    for length in [0, 10, 64, 1000, 4095, 5000] {
        let whole = std::fs::read(&paths[1]).unwrap();
        OpenOptions::new().write(true).open(&paths[1]).unwrap().set_len(length).unwrap();
        let what = open_error();
        assert!(what.contains("cut off") || what.contains("bytes instead of 4096"), "{what}");
        std::fs::write(&paths[1], whole).unwrap();
    }

    let file = OpenOptions::new().write(true).read(true).open(&paths[2]).unwrap();
    file.write_all_at(&7_u32.to_le_bytes(), 8).unwrap();
    assert_eq!(open_error(), "unknown format version 7, this program knows 1");
    file.write_all_at(b"GARBAGE!", 0).unwrap();
    assert_eq!(open_error(), "this is not a log segment");
    file.write_all_at(b"HALLWLOG", 0).unwrap();
    file.write_all_at(&1_u32.to_le_bytes(), 8).unwrap();
    bench.check_reopened();

    std::fs::copy(&paths[0], bench.dir.path().join(file_name(100_000))).unwrap();
    assert!(open_error().contains("begins with record 1"));
}

#[test]
fn a_crash_between_two_files_leaves_an_empty_one_or_a_prepared_one() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    bench.fill(&mut log, 20);
    let (first, previous) = (log.end() + 1, bench.segments().len());
    drop(log);
    let last = bench.segments().pop().unwrap();
    let last_first: Lsn = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let header = SegmentHeader { salt: Salt::random(), first, previous: last_first, created_ms: 5, file_bytes: 4096 }.encode();
    let mut bytes = vec![0; 4096];
    bytes[..SEGMENT_HEADER_BYTES].copy_from_slice(&header);
    std::fs::write(bench.dir.path().join(file_name(first)), bytes).unwrap();
    std::fs::write(bench.dir.path().join("next.tmp"), b"half").unwrap();
    bench.check_reopened();

    // A batch that is too large for the empty file takes its place.
    let mut log = bench.open();
    bench.append(&mut log, vec![vec![1; 9000]]);
    bench.fill(&mut log, 20);
    drop(log);
    assert!(bench.segments().len() > previous);
    bench.check_reopened();
}

#[test]
fn after_a_failed_append_nothing_of_it_is_kept_and_the_next_succeeds() {
    use Disk::{Breaks, Full, Works};
    let whole = usize::MAX;
    // What the write does, and what the repair after it does, and the one before the next append.
    let plans: [&[Disk]; 6] = [&[Full], &[Breaks(30)], &[Breaks(whole)], &[Breaks(whole), Full], &[Breaks(whole), Breaks(5)], &[Works]];
    for plan in plans {
        for larger in [1, 3, 40] {
            let mut bench = Bench::new();
            let mut log = bench.open();
            bench.fill(&mut log, 3);
            next_writes(plan);
            let lost = vec![b'x'; 100 * larger];
            let result = log.append(&[&lost, &lost]);
            match (plan[0], result) {
                (Full, Err(LogError::Full(_))) | (Breaks(_), Err(LogError::Io(_))) => {}
                (Works, Ok(_)) => bench.acked.push(vec![lost.clone(), lost]),
                other => panic!("{other:?}"),
            }
            bench.check(&log);
            if plan.len() == 1 {
                // The repair succeeded: a crash now finds nothing of it.
                drop(log);
                log = bench.open();
                bench.check(&log);
            }
            bench.fill(&mut log, 30);
            bench.check(&log);
            drop(log);
            bench.check_reopened();
            assert!(verify(bench.dir.path()).unwrap().torn_tail.is_none());
        }
    }
}

#[test]
fn a_file_is_not_left_behind_with_a_failed_append_in_it() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    bench.fill(&mut log, 3);
    next_writes(&[Disk::Breaks(usize::MAX), Disk::Full, Disk::Full]);
    assert!(log.append(&[b"lost"]).is_err());
    // The next one needs another file, but the repair of this one fails again.
    assert!(matches!(log.append(&[&[1; 4000]]), Err(LogError::Full(_))));
    bench.append(&mut log, vec![vec![1; 4000]]);
    drop(log);
    bench.check_reopened();
}

#[test]
fn whole_old_files_are_released_but_never_the_last() {
    let mut bench = Bench::new();
    let mut log = bench.open();
    for now_ms in [1000, 2000, 3000, 4000] {
        bench.now_ms.store(now_ms, Ordering::Relaxed);
        bench.fill(&mut log, 20);
    }
    let files = bench.segments().len();
    assert_eq!(log.release(0, u64::MAX).unwrap(), 0);
    assert_eq!(log.release(log.end(), 1000).unwrap(), 0);
    assert_eq!(log.release(50, u64::MAX).unwrap(), files - bench.segments().len());
    assert!(log.start() > 1 && log.start() <= 51);

    let start = log.start();
    assert_eq!(read(&log, start - 1).unwrap(), bench.records()[start as usize - 1..]);
    let (none, error) = read(&log, start - 2).unwrap_err();
    assert!(none.is_empty());
    assert!(damage(&error).1.contains("are gone"));

    log.release(log.end(), 2001).unwrap();
    assert!(log.start() > start);
    assert!(bench.segments().len() > 1);
    log.release(log.end(), u64::MAX).unwrap();
    assert_eq!(bench.segments().len(), 1);
    bench.fill(&mut log, 20);
    let start = log.start();
    drop(log);
    let log = bench.open();
    assert_eq!(log.start(), start);
    assert_eq!(read(&log, start - 1).unwrap(), bench.records()[start as usize - 1..]);
}

#[test]
fn the_memory_log_fails_and_crashes_as_it_is_told() {
    let disk = MemoryDisk::new();
    let mut bench = Bench::new();
    let mut log = disk.open().unwrap();
    assert!(matches!(disk.open(), Err(LogError::Locked(_))));
    disk.fail_append(2, Fault::Full);
    disk.fail_append(1, Fault::Io);
    bench.fill(&mut log, 2);
    assert!(matches!(log.append(&[b"no"]), Err(LogError::Full(_))));
    bench.fill(&mut log, 1);
    assert!(matches!(log.append(&[b"no"]), Err(LogError::Io(_))));
    bench.check(&log);

    for survives in [false, true] {
        disk.fail_append(0, Fault::Crash);
        assert!(log.append(&[b"torn", b"whole"]).is_err());
        assert!(log.append(&[b"dead"]).is_err());
        disk.crash(survives);
        assert!(log.append(&[b"dead"]).is_err());
        log = disk.open().unwrap();
        if survives {
            bench.acked.push(vec![b"torn".to_vec(), b"whole".to_vec()]);
        }
        bench.check(&log);
    }

    disk.set_now_ms(50);
    bench.fill(&mut log, 100);
    assert_eq!(log.release(150, 50).unwrap(), 0);
    assert!(log.release(150, 51).unwrap() > 0);
    assert!(log.start() > 60 && log.start() <= 151);
    assert!(read(&log, 0).is_err());
    disk.damage(200);
    let (records, _) = read(&log, 180).unwrap_err();
    assert_eq!(records.len(), 19);
}
