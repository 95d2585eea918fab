//! Reads what can be read of a log, also where [`crate::log::segment`] refuses it as a whole: up to the first damage above a given lsn. Changes
//! nothing. The format is that of `log/frame.rs`.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crc32c::{crc32c, crc32c_append};

use super::BackupError;
use crate::log::Lsn;

const SEGMENT_MAGIC: &[u8] = b"HALLWLOG\x01\0\0\0";
const SEGMENT_HEADER_BYTES: usize = 64;
const MAX_SEGMENT_BYTES: u64 = 1 << 30;
const FRAME_MAGIC: u32 = 0x4841_4C46;
const FRAME_HEADER_BYTES: usize = 24;
const ALIGN: usize = 8;

/// What [`read`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Readable {
    /// The first record kept, 0 when there is no file.
    pub(super) first: Lsn,
    /// The last record that can be read without a gap from the asked one on (or from the first, when that is later).
    pub(super) last: Lsn,
    /// What stands in the way of more.
    pub(super) damage: Option<String>,
}

/// What is called with each record.
pub(super) type Each<'a> = &'a mut dyn FnMut(Lsn, &[u8]) -> Result<(), BackupError>;

/// Calls `each` with every record above `after`, in order, as far as it can be read.
pub(super) fn read(dir: &Path, after: Lsn, each: Each<'_>) -> Result<Readable, BackupError> {
    let files = files(dir)?;
    let mut readable = Readable { first: files.first().map_or(0, |(first, _)| *first), ..Readable::default() };
    let from = files.partition_point(|(first, _)| *first <= after + 1).saturating_sub(1);
    let mut bytes = Vec::new();
    for (index, (first, path)) in files.iter().enumerate().skip(from) {
        if index > from && *first != readable.last + 1 {
            // A file ends early, or the one behind it is missing.
            readable.damage = Some(format!("records {} to {} are missing before {}", readable.last + 1, first - 1, path.display()));
            return Ok(readable);
        }
        bytes.clear();
        File::open(path).and_then(|file| file.take(MAX_SEGMENT_BYTES).read_to_end(&mut bytes)).map_err(BackupError::io(path))?;
        let segment = match Segment::of(&bytes, *first) {
            Ok(segment) => segment,
            Err(what) => {
                readable.last = readable.last.max(first - 1);
                readable.damage = Some(format!("{}: {what}", path.display()));
                return Ok(readable);
            }
        };
        let (last, what) = segment.read(after, each)?;
        readable.last = last;
        let next = files.get(index + 1).map(|(next, _)| *next);
        if let Some(what) = what.filter(|_| next != Some(last + 1)) {
            readable.damage = Some(format!("{} {what}, where record {} should be", path.display(), last + 1));
            return Ok(readable);
        }
    }
    Ok(readable)
}

/// Segment files by their first record.
fn files(dir: &Path) -> Result<Vec<(Lsn, PathBuf)>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(BackupError::io(dir))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(BackupError::io(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20);
        if let Some(first) = digits.and_then(|digits| digits.parse().ok()).filter(|first| *first > 0) {
            files.push((first, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// A segment whose header is good.
struct Segment<'a> {
    bytes: &'a [u8],
    salt: u64,
    first: Lsn,
    file_bytes: u64,
}

/// A whole batch.
struct Frame<'a> {
    first: Lsn,
    count: u32,
    bytes: usize,
    payload: &'a [u8],
}

impl<'a> Segment<'a> {
    fn of(bytes: &'a [u8], first: Lsn) -> Result<Self, &'static str> {
        let header = bytes.get(..SEGMENT_HEADER_BYTES).ok_or("the file is cut off within its header")?;
        if header[..12] != *SEGMENT_MAGIC {
            return Err("this is not a log segment of a known version");
        }
        if u32_at(header, 12) != crc32c(&header[16..]) || u64_at(header, 24) != first {
            return Err("the segment header is damaged");
        }
        Ok(Self { bytes, salt: u64_at(header, 16), first, file_bytes: u64_at(header, 48) })
    }

    fn mark(&self) -> u32 {
        FRAME_MAGIC ^ self.salt as u32
    }

    fn frame_at(&self, offset: usize) -> Option<Frame<'a>> {
        let rest = self.bytes.get(offset..)?;
        let header = rest.get(..FRAME_HEADER_BYTES).filter(|header| u32_at(header, 0) == self.mark())?;
        let frame = rest.get(..FRAME_HEADER_BYTES + u32_at(header, 8) as usize)?;
        let crc = crc32c_append(crc32c_append((self.salt >> 32) as u32, &frame[..4]), &frame[8..]);
        let (count, first) = (u32_at(header, 12), u64_at(header, 16));
        let good = crc == u32_at(header, 4) && count > 0 && first.checked_add(u64::from(count)).is_some();
        let bytes = frame.len().next_multiple_of(ALIGN);
        good.then_some(Frame { first, count, bytes, payload: &frame[FRAME_HEADER_BYTES..] })
    }

    /// Reads the batches; the last record's number, and what ends them when it is not the end of the log.
    fn read(&self, after: Lsn, each: Each<'_>) -> Result<(Lsn, Option<String>), BackupError> {
        let (mut offset, mut next) = (SEGMENT_HEADER_BYTES, self.first);
        while let Some(frame) = self.frame_at(offset).filter(|frame| frame.first == next) {
            if frame.first + u64::from(frame.count) > after + 1 && !frame.records(after, each)? {
                break;
            }
            offset += frame.bytes;
            next += u64::from(frame.count);
        }
        Ok((next - 1, self.unread(offset).map(|what| format!("byte {offset}: {what}"))))
    }

    /// What is behind the last batch. An append that was not finished is nothing: it was never acknowledged.
    fn unread(&self, offset: usize) -> Option<&'static str> {
        if self.bytes.len() as u64 != self.file_bytes {
            return Some("the file is cut off");
        }
        let behind = (offset..self.bytes.len()).step_by(ALIGN).any(|place| self.frame_at(place).is_some());
        behind.then_some("a batch is damaged")
    }
}

impl Frame<'_> {
    /// Calls `each` with the records above `after`; false when the batch contradicts itself.
    fn records(&self, after: Lsn, each: Each<'_>) -> Result<bool, BackupError> {
        let mut rest = self.payload;
        for lsn in self.first..self.first + u64::from(self.count) {
            let Some((length, behind)) = rest.split_at_checked(4) else { return Ok(false) };
            let Some((record, behind)) = behind.split_at_checked(u32_at(length, 0) as usize) else { return Ok(false) };
            if lsn > after {
                each(lsn, record)?;
            }
            rest = behind;
        }
        Ok(true)
    }
}
