//! The read-only look at a log for `hallway check`: every segment, every batch.

use super::frame::SEGMENT_HEADER_BYTES;
use super::recover::{self, Contents};
use super::segment::lock_for_reading;
use super::{LogError, Lsn};
use std::path::Path;

/// What [`verify`] found in a log that is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Segment files.
    pub segments: u64,
    /// Batches in them.
    pub batches: u64,
    /// The oldest kept record's number, `last + 1` when none is.
    pub first: Lsn,
    /// The newest record's number, 0 for an empty log.
    pub last: Lsn,
    /// Bytes of batches, without the zeros behind them.
    pub bytes: u64,
    /// The place of an unfinished last append. It was never acknowledged, and the next start cuts it.
    pub torn_tail: Option<String>,
}

/// Reads the whole log in `dir` and changes nothing.
///
/// # Errors
/// [`LogError::Damaged`] names the first damage, [`LogError::Locked`] means that a server is running on it.
pub fn verify(dir: &Path) -> Result<Report, LogError> {
    let _lock = lock_for_reading(dir)?;
    let segments = recover::list(dir)?;
    let mut report = Report { segments: segments.len() as u64, first: 1, ..Report::default() };
    let mut buffer = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let contents = Contents::read(segment, &mut buffer)?;
        if index == 0 {
            report.first = segment.header.first;
        }
        let Some(after) = segments.get(index + 1) else {
            let end = contents.end()?;
            report.last = end.next - 1;
            report.batches += end.batches;
            report.bytes += (end.offset - SEGMENT_HEADER_BYTES) as u64;
            report.torn_tail = end.torn_to.map(|_| format!("{} byte {}", segment.path.display(), end.offset));
            break;
        };
        contents.frames(after.header.first, &mut |frame| {
            report.batches += 1;
            report.bytes += frame.bytes as u64;
            true
        })?;
    }
    Ok(report)
}
