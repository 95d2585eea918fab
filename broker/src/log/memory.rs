//! A log in memory for tests and the simulator, with failures on demand. No clock and no randomness: what happens
//! depends on the calls alone.
//!
//! [`MemoryDisk`] is what survives a crash, [`MemoryLog`] the process's handle on it:
//! ```ignore
//! let disk = MemoryDisk::new();
//! let mut log = disk.open()?;
//! disk.fail_append(2, Fault::Crash);           // two appends succeed, then the process dies within the third
//! …
//! disk.crash(true);                            // the third was written as a whole, nobody was told
//! let log = disk.open()?;
//! ```

use super::{Log, LogError, Lsn};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// After so many records a new "segment" begins: [`Log::release`] lets only whole ones go.
const SEGMENT_RECORDS: usize = 64;

/// What an append does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// [`LogError::Full`]; nothing is kept.
    Full,
    /// [`LogError::Io`]; nothing is kept.
    Io,
    /// The process dies in the middle: the handle is useless from now on, and [`MemoryDisk::crash`] decides whether
    /// the batch was written.
    Crash,
}

#[derive(Debug, Default)]
struct Segment {
    first: Lsn,
    records: Vec<Arc<[u8]>>,
    written_ms: u64,
}

#[derive(Debug, Default)]
struct Disk {
    segments: VecDeque<Segment>,
    end: Lsn,
    now_ms: u64,
    /// After that many more appends, this happens.
    faults: VecDeque<(u64, Fault)>,
    /// The batch within which the process died.
    unfinished: Vec<Arc<[u8]>>,
    damaged: Option<Lsn>,
    /// The handle with this number may write; 0 when there is none.
    holder: u64,
    opened: u64,
    appends: u64,
}

impl Disk {
    fn keep(&mut self, records: impl ExactSizeIterator<Item = Arc<[u8]>>) {
        let full = self.segments.back().is_none_or(|segment| segment.records.len() >= SEGMENT_RECORDS);
        if full {
            self.segments.push_back(Segment { first: self.end + 1, ..Segment::default() });
        }
        self.end += records.len() as u64;
        if let Some(segment) = self.segments.back_mut() {
            segment.records.extend(records);
            segment.written_ms = self.now_ms;
        }
    }

    /// The fault for this append, if one is due.
    fn fault(&mut self) -> Option<Fault> {
        let (wait, fault) = self.faults.front_mut()?;
        if *wait > 0 {
            *wait -= 1;
            return None;
        }
        let fault = *fault;
        self.faults.pop_front();
        Some(fault)
    }

    fn start(&self) -> Lsn {
        self.segments.front().map_or(self.end + 1, |segment| segment.first)
    }

    fn record(&self, lsn: Lsn) -> Option<Arc<[u8]>> {
        let index = self.segments.partition_point(|segment| segment.first <= lsn).checked_sub(1)?;
        let segment = self.segments.get(index)?;
        segment.records.get((lsn - segment.first) as usize).map(Arc::clone)
    }
}

/// The "disk": clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

impl MemoryDisk {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the log that lies on this disk.
    ///
    /// # Errors
    /// [`LogError::Locked`] while a handle is open.
    pub fn open(&self) -> Result<MemoryLog, LogError> {
        let mut disk = self.lock();
        if disk.holder != 0 {
            return Err(LogError::Locked("memory".into()));
        }
        disk.opened += 1;
        disk.holder = disk.opened;
        Ok(MemoryLog { disk: self.clone(), handle: disk.opened })
    }

    /// After `after` more appends that succeed, counted from the fault before this one, an append meets `fault`.
    pub fn fail_append(&self, after: u64, fault: Fault) {
        self.lock().faults.push_back((after, fault));
    }

    /// The process dies: open handles are useless, the log can be opened again. A batch within whose append it died is
    /// there as a whole when `unfinished_survives`, else not at all. Faults not yet met are forgotten.
    pub fn crash(&self, unfinished_survives: bool) {
        let mut disk = self.lock();
        disk.holder = 0;
        disk.faults.clear();
        let unfinished = std::mem::take(&mut disk.unfinished);
        if unfinished_survives && !unfinished.is_empty() {
            disk.keep(unfinished.into_iter());
        }
    }

    /// From now on this record cannot be read.
    pub fn damage(&self, lsn: Lsn) {
        self.lock().damaged = Some(lsn);
    }

    /// The time at which the following appends are written, for [`Log::release`].
    pub fn set_now_ms(&self, now_ms: u64) {
        self.lock().now_ms = now_ms;
    }

    /// How many batches were kept since the beginning.
    pub fn appends(&self) -> u64 {
        self.lock().appends
    }
}

/// A process's handle on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryLog {
    disk: MemoryDisk,
    handle: u64,
}

impl MemoryLog {
    /// The disk, unless the process of this handle is dead.
    fn held(&self) -> Result<MutexGuard<'_, Disk>, LogError> {
        let disk = self.disk.lock();
        if disk.holder == self.handle { Ok(disk) } else { Err(io::Error::other("this process is dead").into()) }
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        if disk.holder == self.handle {
            disk.holder = 0;
        }
    }
}

impl Log for MemoryLog {
    fn append(&mut self, records: &[&[u8]]) -> Result<Lsn, LogError> {
        let mut disk = self.held()?;
        if !disk.unfinished.is_empty() {
            return Err(io::Error::other("this process is dead").into());
        }
        let first = disk.end + 1;
        if records.is_empty() {
            return Ok(first);
        }
        match disk.fault() {
            None => {
                disk.keep(records.iter().map(|record| Arc::from(*record)));
                disk.appends += 1;
                Ok(first)
            }
            Some(Fault::Full) => Err(LogError::Full("injected".into())),
            Some(Fault::Io) => Err(io::Error::other("injected").into()),
            Some(Fault::Crash) => {
                disk.unfinished = records.iter().map(|record| Arc::from(*record)).collect();
                Err(io::Error::other("injected crash").into())
            }
        }
    }

    fn replay(&self, after: Lsn, each: &mut dyn FnMut(Lsn, &[u8]) -> bool) -> Result<(), LogError> {
        let (start, end) = (self.start(), self.end());
        let damaged = |what: String| LogError::Damaged { place: "memory".into(), what };
        if after < end && after + 1 < start {
            return Err(damaged(format!("records {} to {} are gone", after + 1, start - 1)));
        }
        for lsn in after + 1..=end {
            // Locked for one record only: `each` may well use the disk.
            let disk = self.disk.lock();
            let record = disk.record(lsn).filter(|_| disk.damaged != Some(lsn));
            drop(disk);
            let record = record.ok_or_else(|| damaged(format!("record {lsn} cannot be read")))?;
            if !each(lsn, &record) {
                break;
            }
        }
        Ok(())
    }

    fn end(&self) -> Lsn {
        self.disk.lock().end
    }

    fn start(&self) -> Lsn {
        self.disk.lock().start()
    }

    fn release(&mut self, through: Lsn, before_ms: u64) -> Result<usize, LogError> {
        let mut disk = self.held()?;
        let mut released = 0;
        // Never the last one, which is being written.
        while let Some(next) = disk.segments.get(1).map(|segment| segment.first) {
            let old = disk.segments.front().is_some_and(|segment| segment.written_ms < before_ms);
            if next > through + 1 || !old {
                break;
            }
            disk.segments.pop_front();
            released += 1;
        }
        Ok(released)
    }
}
