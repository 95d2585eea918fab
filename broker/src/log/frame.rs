//! What a segment file looks like, without any IO: a header of [`SEGMENT_HEADER_BYTES`], then one frame per batch, each
//! aligned to [`ALIGN`], then zeros.
//!
//! All numbers are little endian.
//!
//! | segment header | bytes | | frame header | bytes |
//! | --- | --- | --- | --- | --- |
//! | magic | 0..8 | | mark: magic mixed with the salt, never 0 | 0..4 |
//! | format version | 8..12 | | CRC32C of the rest and the payload | 4..8 |
//! | CRC32C of 16..64 | 12..16 | | payload bytes | 8..12 |
//! | salt | 16..24 | | records | 12..16 |
//! | first lsn | 24..32 | | first lsn | 16..24 |
//! | first lsn of the segment before, 0 if none | 32..40 | | payload: length (4) and bytes of each record | 24.. |
//! | created, Unix ms | 40..48 | | | |
//! | file length | 48..56 | | | |
//! | reserved | 56..64 | | | |
//!
//! The salt is random per segment and never leaves the machine: half of it is mixed into each frame's mark, half seeds its
//! checksum. So a message whose text looks like a frame is not taken for one when the tail is searched after a crash.

use super::Lsn;
use crc32c::{crc32c, crc32c_append};
use std::hash::{BuildHasher, Hasher, RandomState};

/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// A segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
/// A frame's header.
pub(super) const FRAME_HEADER_BYTES: usize = 24;
/// The largest batch, with its framing.
pub(super) const MAX_FRAME_BYTES: usize = 256 << 20;
/// The largest segment file that is taken for one.
pub(super) const MAX_SEGMENT_BYTES: u64 = 1 << 30;

const SEGMENT_MAGIC: [u8; 8] = *b"HALLWLOG";
const FORMAT_VERSION: u32 = 1;
const FRAME_MAGIC: u32 = 0x4841_4C46;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// A segment's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(u64);

impl Salt {
    /// A new one. `RandomState` has keys from the operating system, which is all that is needed here.
    pub(super) fn random() -> Self {
        loop {
            let salt = Self(RandomState::new().build_hasher().finish());
            if salt.is_usable() {
                return salt;
            }
        }
    }

    /// A mark of 0 would look like the end of the frames.
    fn is_usable(self) -> bool {
        self.mark() != 0
    }

    fn mark(self) -> u32 {
        FRAME_MAGIC ^ (self.0 as u32)
    }

    fn checksum(self, frame: &[u8]) -> u32 {
        crc32c_append(crc32c_append((self.0 >> 32) as u32, &frame[..4]), &frame[8..])
    }
}

/// What the first bytes of a segment file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) salt: Salt,
    /// The first record's number.
    pub(super) first: Lsn,
    /// The first record's number in the segment before, 0 if there was none: a missing file shows at open.
    pub(super) previous: Lsn,
    pub(super) created_ms: u64,
    /// The file's length: a truncated file shows at open.
    pub(super) file_bytes: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let fields = [self.salt.0, self.first, self.previous, self.created_ms, self.file_bytes];
        for (field, place) in fields.iter().zip(bytes[16..].chunks_exact_mut(8)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads it back, or says what is wrong with it.
    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, String> {
        if bytes[..8] != SEGMENT_MAGIC {
            return Err("this is not a log segment".into());
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(format!("unknown format version {version}, this program knows {FORMAT_VERSION}"));
        }
        if u32_at(bytes, 12) != crc32c(&bytes[16..]) {
            return Err("the segment header's checksum is wrong".into());
        }
        let header = Self {
            salt: Salt(u64_at(bytes, 16)),
            first: u64_at(bytes, 24),
            previous: u64_at(bytes, 32),
            created_ms: u64_at(bytes, 40),
            file_bytes: u64_at(bytes, 48),
        };
        let sane = header.salt.is_usable() && header.first > header.previous && header.file_bytes <= MAX_SEGMENT_BYTES;
        if sane { Ok(header) } else { Err("the segment header makes no sense".into()) }
    }
}

/// How many bytes the batch takes in a segment, `None` when it is too large for any.
pub(super) fn frame_bytes(records: &[&[u8]]) -> Option<usize> {
    let payload: usize = records.iter().map(|record| 4 + record.len()).sum();
    Some((FRAME_HEADER_BYTES + payload).next_multiple_of(ALIGN)).filter(|bytes| *bytes <= MAX_FRAME_BYTES)
}

/// Replaces what is in `frame` by the batch's frame. The batch is not empty and [`frame_bytes`] has accepted it.
pub(super) fn encode(frame: &mut Vec<u8>, salt: Salt, first: Lsn, records: &[&[u8]]) {
    frame.clear();
    frame.extend_from_slice(&salt.mark().to_le_bytes());
    frame.extend_from_slice(&[0; 8]);
    frame.extend_from_slice(&(records.len() as u32).to_le_bytes());
    frame.extend_from_slice(&first.to_le_bytes());
    for record in records {
        frame.extend_from_slice(&(record.len() as u32).to_le_bytes());
        frame.extend_from_slice(record);
    }
    let payload = (frame.len() - FRAME_HEADER_BYTES) as u32;
    frame[8..12].copy_from_slice(&payload.to_le_bytes());
    let crc = salt.checksum(frame);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(ALIGN), 0);
}

/// One batch as it lies in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) first: Lsn,
    pub(super) count: u32,
    /// With header and alignment.
    pub(super) bytes: usize,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The number after the last record's.
    pub(super) fn next(&self) -> Lsn {
        self.first + u64::from(self.count)
    }

    /// The records in order. [`decode`] has checked their lengths.
    pub(super) fn records(&self) -> impl Iterator<Item = (Lsn, &'a [u8])> + use<'a> {
        let mut rest = self.payload;
        (self.first..self.next()).map(move |lsn| {
            let (record, after) = rest[4..].split_at(u32_at(rest, 0) as usize);
            rest = after;
            (lsn, record)
        })
    }
}

/// Why there is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// Zeros, or too little room for a header: nothing was written here.
    Blank,
    /// Something was.
    Bad(&'static str),
}

/// Reads the frame at the beginning of `bytes`, which reach to the segment's end.
pub(super) fn decode(bytes: &[u8], salt: Salt) -> Result<Frame<'_>, NoFrame> {
    let Some(header) = bytes.get(..FRAME_HEADER_BYTES) else {
        return Err(NoFrame::Blank);
    };
    if header.iter().all(|byte| *byte == 0) {
        return Err(NoFrame::Blank);
    }
    if u32_at(header, 0) != salt.mark() {
        return Err(NoFrame::Bad("no batch begins here"));
    }
    let payload = u32_at(header, 8) as usize;
    let room = bytes.len() - FRAME_HEADER_BYTES;
    if payload > room || payload > MAX_FRAME_BYTES {
        return Err(NoFrame::Bad("a batch is longer than its segment"));
    }
    let frame = &bytes[..FRAME_HEADER_BYTES + payload];
    if salt.checksum(frame) != u32_at(header, 4) {
        return Err(NoFrame::Bad("a batch's checksum is wrong"));
    }
    let (count, first) = (u32_at(header, 12), u64_at(header, 16));
    let payload = &frame[FRAME_HEADER_BYTES..];
    if count == 0 || first.checked_add(u64::from(count)).is_none() || !lengths_add_up(payload, count) {
        return Err(NoFrame::Bad("a batch contradicts itself"));
    }
    Ok(Frame { first, count, bytes: frame.len().next_multiple_of(ALIGN), payload })
}

/// Whether `payload` is exactly `count` records.
fn lengths_add_up(mut payload: &[u8], count: u32) -> bool {
    for _ in 0..count {
        if payload.len() < 4 {
            return false;
        }
        let Some(rest) = payload[4..].get(u32_at(payload, 0) as usize..) else {
            return false;
        };
        payload = rest;
    }
    payload.is_empty()
}
