//! The log of one machine: pre-zeroed segment files in one directory, one write and one `fdatasync` per batch.
//!
//! An append encodes the batch into one buffer, writes it over zeros behind the last batch and syncs. When it does not fit,
//! the log goes on in the next file, which [`super::prepare`] has ready. What is read at open is in [`super::recover`].

use super::frame::{self, MAX_SEGMENT_BYTES, SEGMENT_HEADER_BYTES, Salt, SegmentHeader};
use super::prepare::{self, LARGE_NAME, PREPARED_NAME, Preparing};
use super::recover::{self, Contents, Segment, file_name};
use super::{Log, LogError, Lsn};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment file's length, unless a batch needs more.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// Smaller segments make no sense.
const MIN_SEGMENT_BYTES: u64 = 4 << 10;
/// What the append buffer keeps of its room after an unusually large batch.
const KEPT_BUFFER_BYTES: usize = 2 << 20;
const LOCK_NAME: &str = "lock";

/// Tells the time as Unix milliseconds; it is written into each segment's header.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How to open a [`SegmentLog`].
#[derive(Clone)]
pub struct SegmentOptions {
    /// Where the files are; made when it is missing.
    pub dir: PathBuf,
    /// The length of the files that are made from now on.
    pub segment_bytes: u64,
    /// The first record's number in a log that has no file yet: 1, or what a restored state continues with.
    pub first_lsn: Lsn,
    /// The time.
    pub clock: Clock,
}

impl SegmentOptions {
    /// The defaults for the log in `dir`.
    pub fn new(dir: impl Into<PathBuf>, clock: Clock) -> Self {
        Self { dir: dir.into(), segment_bytes: SEGMENT_BYTES, first_lsn: 1, clock }
    }
}

/// The file that is being written.
#[derive(Debug)]
struct Active {
    file: File,
    salt: Salt,
    /// Where the next frame goes.
    offset: u64,
    file_bytes: u64,
    /// A failed append may have left something between `offset` and here.
    dirty_to: u64,
}

impl Active {
    /// Writes `bytes` behind the last frame and waits until they are on the disk.
    fn overwrite(&self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        super::tests::injected_fault(&self.file, bytes, self.offset)?;
        self.file.write_all_at(bytes, self.offset)?;
        self.file.sync_data()
    }
}

/// See the module's text.
pub struct SegmentLog {
    options: SegmentOptions,
    /// All files, the active one last.
    segments: Vec<Segment>,
    active: Option<Active>,
    end: Lsn,
    buffer: Vec<u8>,
    next: Option<Preparing>,
    directory: File,
    /// The newest file's name may not be durable yet.
    directory_dirty: bool,
    /// Last, so that it is let go when nothing else is held.
    _lock: File,
}

impl std::fmt::Debug for SegmentLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (dir, end) = (&self.options.dir, self.end);
        f.debug_struct("SegmentLog").field("dir", dir).field("end", &end).finish_non_exhaustive()
    }
}

/// Out of room, or broken.
fn failed(error: io::Error) -> LogError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::Full(error.to_string()),
        _ => LogError::Io(error),
    }
}

fn locked(dir: &Path, lock: Result<(), TryLockError>) -> Result<(), LogError> {
    lock.map_err(|error| match error {
        TryLockError::WouldBlock => LogError::Locked(dir.display().to_string()),
        TryLockError::Error(error) => LogError::Io(error),
    })
}

fn lock(dir: &Path) -> Result<File, LogError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK_NAME))?;
    locked(dir, file.try_lock())?;
    Ok(file)
}

/// Keeps writers away, without making anything.
pub(super) fn lock_for_reading(dir: &Path) -> Result<Option<File>, LogError> {
    match File::open(dir.join(LOCK_NAME)) {
        Ok(file) => {
            locked(dir, file.try_lock_shared())?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the directory and its name durable.
fn make_directory(dir: &Path) -> io::Result<File> {
    if !dir.is_dir() {
        std::fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
    }
    File::open(dir)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl SegmentLog {
    /// Opens the log, or makes an empty one. An unfinished last append is cut.
    ///
    /// # Errors
    /// [`LogError::Locked`], [`LogError::Damaged`], [`LogError::Io`].
    pub fn open(mut options: SegmentOptions) -> Result<Self, LogError> {
        options.segment_bytes = options.segment_bytes.clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES);
        options.first_lsn = options.first_lsn.max(1);
        let directory = make_directory(&options.dir)?;
        let lock = lock(&options.dir)?;
        for name in [PREPARED_NAME, LARGE_NAME] {
            remove_if_there(&options.dir.join(name))?;
        }
        let segments = recover::list(&options.dir)?;
        let mut log = Self {
            end: options.first_lsn - 1,
            options,
            segments,
            active: None,
            buffer: Vec::new(),
            next: None,
            directory,
            // A crash may have come between a file's naming and the directory's sync.
            directory_dirty: true,
            _lock: lock,
        };
        log.find_end()?;
        log.prepare_when_due();
        Ok(log)
    }

    fn find_end(&mut self) -> Result<(), LogError> {
        let Some(last) = self.segments.last() else {
            return Ok(());
        };
        let mut buffer = Vec::new();
        let end = Contents::read(last, &mut buffer)?.end()?;
        self.end = end.next - 1;
        let mut active = Active {
            file: OpenOptions::new().read(true).write(true).open(&last.path)?,
            salt: last.header.salt,
            offset: end.offset as u64,
            file_bytes: last.header.file_bytes,
            dirty_to: end.offset as u64,
        };
        if let Some(torn_to) = end.torn_to {
            tracing::warn!(
                segment = %last.path.display(), offset = end.offset, bytes = torn_to - end.offset, end = self.end,
                "the last append was not finished, it is cut"
            );
            active.dirty_to = torn_to as u64;
        }
        self.active = Some(active);
        self.clean().map_err(failed)
    }

    /// Makes sure that the active file has `bytes` of room.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let fits = self.active.as_ref().is_some_and(|active| active.file_bytes - active.offset >= bytes);
        if !fits {
            // What is in the finished file stays there, so nothing but whole batches may be in it.
            self.clean()?;
            self.go_on_in_next_file(bytes)?;
        }
        if self.directory_dirty {
            self.directory.sync_all()?;
            self.directory_dirty = false;
        }
        Ok(())
    }

    fn go_on_in_next_file(&mut self, bytes: u64) -> io::Result<()> {
        let needed = SEGMENT_HEADER_BYTES as u64 + bytes;
        let (file, path) = if needed > self.options.segment_bytes {
            prepare::make_now(&self.options.dir, LARGE_NAME, needed)?
        } else {
            self.take_prepared()?
        };
        let first = self.end + 1;
        // A last file that holds no record yet has the same name, and gives way to this one.
        let kept = self.segments.partition_point(|segment| segment.header.first < first);
        let header = SegmentHeader {
            salt: Salt::random(),
            first,
            previous: self.segments[..kept].last().map_or(0, |last| last.header.first),
            created_ms: (self.options.clock)(),
            file_bytes: needed.max(self.options.segment_bytes),
        };
        // Synced before the file gets its name: a named file always has a valid header.
        file.write_all_at(&header.encode(), 0)?;
        file.sync_data()?;
        let named = self.options.dir.join(file_name(first));
        std::fs::rename(path, &named)?;
        self.directory_dirty = true;
        let offset = SEGMENT_HEADER_BYTES as u64;
        let (salt, file_bytes) = (header.salt, header.file_bytes);
        self.segments.truncate(kept);
        self.segments.push(Segment { path: named, header });
        self.active = Some(Active { file, salt, offset, file_bytes, dirty_to: offset });
        Ok(())
    }

    fn take_prepared(&mut self) -> io::Result<(File, PathBuf)> {
        // When preparing failed for want of room there may be some by now.
        if let Some(Ok(file)) = self.next.take().map(Preparing::finish) {
            return Ok((file, self.options.dir.join(PREPARED_NAME)));
        }
        prepare::make_now(&self.options.dir, PREPARED_NAME, self.options.segment_bytes)
    }

    /// Begins the next file when the active one is half full. A failure is of no account: it is tried again when needed.
    fn prepare_when_due(&mut self) {
        let due = self.active.as_ref().is_none_or(|active| active.offset >= active.file_bytes / 2);
        if due && self.next.is_none() {
            self.next = Preparing::start(&self.options.dir, self.options.segment_bytes).ok();
        }
    }

    /// Puts zeros where a failed or unfinished append may have left something, so that it is never read as a batch.
    ///
    /// After a failed `fdatasync` nobody knows which of its pages are on the disk, and the kernel takes them all for clean:
    /// a second `fdatasync` alone would succeed without writing anything. Rewriting every byte makes every page dirty
    /// again, so when the sync after that succeeds, the disk holds what was rewritten. The first page also holds the end of
    /// the batch before; that was on the disk already, is written again as it was, and a disk does not lose a sector's
    /// old content by writing the same again.
    fn clean(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_mut().filter(|active| active.dirty_to > active.offset) else {
            return Ok(());
        };
        self.buffer.clear();
        self.buffer.resize((active.dirty_to - active.offset) as usize, 0);
        active.overwrite(&self.buffer)?;
        active.dirty_to = active.offset;
        Ok(())
    }

    /// Writes the encoded batch behind the last one.
    fn write(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_mut() else {
            return Err(io::Error::other("the log has no file"));
        };
        let frame_end = active.offset + self.buffer.len() as u64;
        // If `clean` failed after an earlier append, this write does its work.
        let dirty = active.dirty_to.saturating_sub(active.offset) as usize;
        self.buffer.resize(self.buffer.len().max(dirty), 0);
        active.dirty_to = active.dirty_to.max(frame_end);
        active.overwrite(&self.buffer)?;
        (active.offset, active.dirty_to) = (frame_end, frame_end);
        Ok(())
    }
}

impl Log for SegmentLog {
    fn append(&mut self, records: &[&[u8]]) -> Result<Lsn, LogError> {
        let first = self.end + 1;
        if records.is_empty() {
            return Ok(first);
        }
        let Some(bytes) = frame::frame_bytes(records) else {
            return Err(LogError::Io(io::Error::new(io::ErrorKind::InvalidInput, "the batch is too large")));
        };
        self.make_room(bytes as u64).map_err(failed)?;
        if let Some(active) = &self.active {
            frame::encode(&mut self.buffer, active.salt, first, records);
        }
        if let Err(error) = self.write() {
            // The caller hears that nothing was kept, so a crash from here on must not find it.
            if let Err(again) = self.clean() {
                tracing::error!(%again, "a failed append cannot be undone now; it is tried again with the next append");
            }
            return Err(failed(error));
        }
        self.end += records.len() as u64;
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        }
        self.prepare_when_due();
        Ok(first)
    }

    fn replay(&self, after: Lsn, each: &mut dyn FnMut(Lsn, &[u8]) -> bool) -> Result<(), LogError> {
        if after >= self.end {
            return Ok(());
        }
        if after + 1 < self.start() {
            let what = format!("records {} to {} are gone", after + 1, self.start() - 1);
            return Err(recover::damaged(&self.options.dir, 0, what));
        }
        let from = self.segments.partition_point(|segment| segment.header.first <= after + 1).saturating_sub(1);
        let mut buffer = Vec::new();
        for (index, segment) in self.segments.iter().enumerate().skip(from) {
            let until = self.segments.get(index + 1).map_or(self.end + 1, |next| next.header.first);
            let wanted = Contents::read(segment, &mut buffer)?
                .frames(until, &mut |frame| frame.records().filter(|(lsn, _)| *lsn > after).all(|(lsn, record)| each(lsn, record)))?;
            if !wanted {
                break;
            }
        }
        Ok(())
    }

    fn end(&self) -> Lsn {
        self.end
    }

    fn start(&self) -> Lsn {
        self.segments.first().map_or(self.end + 1, |segment| segment.header.first)
    }

    fn release(&mut self, through: Lsn, before_ms: u64) -> Result<usize, LogError> {
        // A file was last written before the next one was created.
        let old = |pair: &&[Segment]| pair[1].header.first - 1 <= through && pair[1].header.created_ms < before_ms;
        let count = self.segments.windows(2).take_while(|pair| old(pair)).count();
        for released in 0..count {
            // The oldest first, so that a crash in between leaves no hole.
            if let Err(error) = remove_if_there(&self.segments[released].path) {
                self.segments.drain(..released);
                return Err(error.into());
            }
        }
        self.segments.drain(..count);
        if count > 0 {
            self.directory.sync_all()?;
        }
        Ok(count)
    }
}
