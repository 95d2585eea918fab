//! Reading segment files back: which there are, whether one is missing, and where the last one ends.
//!
//! What a crash may leave, and what is made of it:
//!
//! | found | meaning |
//! | --- | --- |
//! | the last segment ends in something that is no whole batch, and no whole batch lies behind it | the last append was not finished, so not acknowledged: it is cut |
//! | a broken batch with a whole one, or another segment's first, behind it | damage: appends are synced one after the other, so it was whole once |
//! | a segment with a valid header and no batch, as the last | the crash came between its creation and the first append |
//! | a bad segment header, a missing file, a wrong file length | damage: a file gets its name after its header was synced |
//!
//! A flipped bit in the very last batch cannot be told from an unfinished append, and the loss of the newest files as a
//! whole leaves no trace here: the owner of the log notices when its state is ahead of [`super::Log::end`].

use super::frame::{self, Frame, MAX_SEGMENT_BYTES, NoFrame, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{LogError, Lsn};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A segment file on the disk.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
}

/// The name of the segment whose first record is `first`.
pub(super) fn file_name(first: Lsn) -> String {
    format!("{first:020}.log")
}

/// A [`LogError::Damaged`].
pub(super) fn damaged(path: &Path, offset: usize, what: impl Into<String>) -> LogError {
    LogError::Damaged { place: format!("{} byte {offset}", path.display()), what: what.into() }
}

/// All segments of the directory in order, their headers checked against each other. Only headers are read.
pub(super) fn list(dir: &Path) -> Result<Vec<Segment>, LogError> {
    let mut named = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|digits| digits.len() == 20);
        if let Some(first) = number.and_then(|digits| digits.parse::<Lsn>().ok()) {
            named.push((first, dir.join(name)));
        }
    }
    named.sort_unstable();
    let mut segments: Vec<Segment> = Vec::with_capacity(named.len());
    for (first, path) in named {
        let header = read_header(&path, first)?;
        if let Some(before) = segments.last().filter(|before| before.header.first != header.previous) {
            let (missing, kept) = (file_name(header.previous), file_name(before.header.first));
            return Err(damaged(&path, 0, format!("{missing} should come before it and is missing, there is {kept}")));
        }
        segments.push(Segment { path, header });
    }
    Ok(segments)
}

fn read_header(path: &Path, first: Lsn) -> Result<SegmentHeader, LogError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(damaged(path, length as usize, "the file is cut off within its header"));
        }
        read => read?,
    }
    let header = SegmentHeader::decode(&bytes).map_err(|what| damaged(path, 0, what))?;
    if header.first != first {
        return Err(damaged(path, 0, format!("its header says that it begins with record {}", header.first)));
    }
    if header.file_bytes != length {
        let what = format!("the file has {length} bytes instead of {}", header.file_bytes);
        return Err(damaged(path, length as usize, what));
    }
    Ok(header)
}

/// A whole segment in memory.
pub(super) struct Contents<'a> {
    segment: &'a Segment,
    bytes: &'a [u8],
}

/// Where the frames of the last segment end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) offset: usize,
    /// The number that the next record gets.
    pub(super) next: Lsn,
    /// There is something behind it, up to here, that has to be cut.
    pub(super) torn_to: Option<usize>,
    pub(super) batches: u64,
}

impl<'a> Contents<'a> {
    /// Reads the segment into `buffer`.
    pub(super) fn read(segment: &'a Segment, buffer: &'a mut Vec<u8>) -> Result<Self, LogError> {
        // `list` compared this with the file's real length.
        let length = segment.header.file_bytes.min(MAX_SEGMENT_BYTES) as usize;
        buffer.resize(length, 0);
        File::open(&segment.path)?.read_exact_at(buffer, 0)?;
        Ok(Self { segment, bytes: buffer })
    }

    fn frame_at(&self, offset: usize, expected: Lsn) -> Result<Frame<'_>, NoFrame> {
        let frame = frame::decode(&self.bytes[offset.min(self.bytes.len())..], self.segment.header.salt)?;
        if frame.first == expected { Ok(frame) } else { Err(NoFrame::Bad("a batch has the wrong number")) }
    }

    fn damaged(&self, offset: usize, expected: Lsn, what: &str) -> LogError {
        damaged(&self.segment.path, offset, format!("{what}, where record {expected} should be"))
    }

    /// Visits the frames up to the one that ends before `until`, all of which have to be there. Returns `false` when the
    /// visitor did.
    pub(super) fn frames(&self, until: Lsn, visit: &mut dyn FnMut(&Frame<'_>) -> bool) -> Result<bool, LogError> {
        let (mut offset, mut expected) = (SEGMENT_HEADER_BYTES, self.segment.header.first);
        while expected < until {
            let frame = self.frame_at(offset, expected).map_err(|none| match none {
                NoFrame::Blank => self.damaged(offset, expected, "the batches end"),
                NoFrame::Bad(what) => self.damaged(offset, expected, what),
            })?;
            if frame.next() > until {
                return Err(self.damaged(offset, expected, "a batch reaches into the next segment"));
            }
            if !visit(&frame) {
                return Ok(false);
            }
            offset += frame.bytes;
            expected = frame.next();
        }
        Ok(true)
    }

    /// Finds the end of the last segment.
    pub(super) fn end(&self) -> Result<End, LogError> {
        let (mut offset, mut next, mut batches) = (SEGMENT_HEADER_BYTES, self.segment.header.first, 0);
        let what = loop {
            match self.frame_at(offset, next) {
                Ok(frame) => {
                    offset += frame.bytes;
                    next = frame.next();
                    batches += 1;
                }
                Err(NoFrame::Bad(what)) => break what,
                Err(NoFrame::Blank) => break "a batch is blank",
            }
        };
        let written = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let torn_to = Some(written).filter(|written| *written > offset);
        match torn_to.and_then(|_| self.frame_behind(offset)) {
            None => Ok(End { offset, next, torn_to, batches }),
            Some(behind) => {
                let what = format!("{what}, and there is a whole one at byte {behind}");
                Err(self.damaged(offset, next, &what))
            }
        }
    }

    /// Whether a whole frame begins anywhere behind `offset`. Only a place with the segment's secret mark is looked at
    /// closely, so this takes one pass whatever the records hold.
    fn frame_behind(&self, offset: usize) -> Option<usize> {
        let places = (offset..self.bytes.len()).step_by(frame::ALIGN);
        places.into_iter().find(|place| frame::decode(&self.bytes[*place..], self.segment.header.salt).is_ok())
    }
}
