//! Where the next segment file comes from: zero-filled and synced by a short-lived thread before it is needed, so that
//! an append only overwrites blocks that the file system has already given out (an `fdatasync` then writes no metadata).
//!
//! A prepared file has a temporary name and holds nothing that counts; what a crash leaves of it is removed at open.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

/// The name of the file that is being prepared, in the log's directory.
pub(super) const PREPARED_NAME: &str = "next.tmp";
/// The name of one that is made for a batch larger than a segment.
pub(super) const LARGE_NAME: &str = "large.tmp";

/// Synced piece by piece with a pause after each, so that the appends' own syncs never queue behind a whole segment.
const PIECE_BYTES: u64 = 256 << 10;
const PAUSE: Duration = Duration::from_millis(4);

/// How the thread that prepares a file is to go on.
const CALMLY: u8 = 0;
const HURRIEDLY: u8 = 1;
const NOT_AT_ALL: u8 = 2;

/// A segment file that is being prepared.
#[derive(Debug)]
pub(super) struct Preparing {
    thread: Option<JoinHandle<io::Result<File>>>,
    pace: Arc<AtomicU8>,
}

impl Preparing {
    /// Begins in the background.
    pub(super) fn start(dir: &Path, bytes: u64) -> io::Result<Self> {
        let pace = Arc::new(AtomicU8::new(CALMLY));
        let (path, asked) = (dir.join(PREPARED_NAME), Arc::clone(&pace));
        let work = move || zeroed_file(&path, bytes, &asked);
        let thread = Builder::new().name("log-prepare".into()).spawn(work)?;
        Ok(Self { thread: Some(thread), pace })
    }

    /// Waits for it, which takes no time when it was begun early enough.
    pub(super) fn finish(mut self) -> io::Result<File> {
        match self.end(HURRIEDLY) {
            Some(Ok(made)) => made,
            _ => Err(io::Error::other("the thread that prepares log segments failed")),
        }
    }

    fn end(&mut self, pace: u8) -> Option<thread::Result<io::Result<File>>> {
        let thread = self.thread.take()?;
        self.pace.store(pace, Ordering::Relaxed);
        thread.thread().unpark();
        Some(thread.join())
    }
}

impl Drop for Preparing {
    /// The directory's lock is let go after this: nobody may write there any more.
    fn drop(&mut self) {
        drop(self.end(NOT_AT_ALL));
    }
}

/// Makes one in this thread, for when there was no time to prepare it.
pub(super) fn make_now(dir: &Path, name: &str, bytes: u64) -> io::Result<(File, PathBuf)> {
    let path = dir.join(name);
    Ok((zeroed_file(&path, bytes, &AtomicU8::new(HURRIEDLY))?, path))
}

/// A file of zeros, on the disk when this returns. After an error there is no file.
fn zeroed_file(path: &Path, bytes: u64, pace: &AtomicU8) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    fill(&file, bytes, pace).inspect_err(|_| drop(std::fs::remove_file(path)))?;
    Ok(file)
}

fn fill(mut file: &File, bytes: u64, pace: &AtomicU8) -> io::Result<()> {
    reserve(file, bytes)?;
    let zeros = vec![0; bytes.min(PIECE_BYTES) as usize];
    let mut left = bytes;
    while left > 0 {
        match pace.load(Ordering::Relaxed) {
            NOT_AT_ALL => return Err(io::ErrorKind::Interrupted.into()),
            CALMLY if left < bytes => thread::park_timeout(PAUSE),
            _ => {}
        }
        let piece = left.min(PIECE_BYTES);
        file.write_all(&zeros[..piece as usize])?;
        file.sync_data()?;
        left -= piece;
    }
    file.sync_all()
}

/// Learns at once, without writing, that there is no room. A file system that cannot tell is asked by writing.
#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, bytes).map_err(io::Error::from) {
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}
