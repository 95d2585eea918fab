//! How records lie in sled's one tree, without any IO.
//!
//! | key | value |
//! | --- | --- |
//! | 0, `schema` | versions of this layout and of the records |
//! | 1, key | 0, the value; or, when it is long: 1, its length (4), its CRC32C (4) |
//! | 2, key, number (4, big endian) | a chunk of the long value of `key` |
//!
//! Long values are split because sled writes a node that exceeds 128 KiB to a file of its own, which it never syncs; a node
//! has up to 17 records, and some more for a moment. The checksum tells a reader who comes between two commits that its
//! chunks are not of one value.

use crc32c::crc32c;

/// The version of this layout.
pub(super) const LAYOUT: u32 = 1;
/// The key of the versions.
pub(super) const SCHEMA_KEY: &[u8] = b"\0schema";

/// Longer values are split, into chunks of this length.
pub(super) const CHUNK_BYTES: usize = 2048;
/// The longest value.
pub(super) const MAX_VALUE_BYTES: usize = 64 << 20;
/// The longest key: 257 of them, in an inner node, stay below 128 KiB as well.
pub(super) const MAX_KEY_BYTES: usize = 384;

const RECORD: u8 = 1;
const CHUNK: u8 = 2;
const WHOLE: u8 = 0;
const SPLIT: u8 = 1;

/// Makes `buffer` the tree's key of a record.
pub(super) fn record_key(buffer: &mut Vec<u8>, key: &[u8]) {
    buffer.clear();
    buffer.push(RECORD);
    buffer.extend_from_slice(key);
}

/// Makes `buffer`, which holds the key of a record or of one of its chunks, that of chunk `number`. The number has a fixed
/// length and comes last, so two keys never share a chunk.
pub(super) fn chunk_key(buffer: &mut Vec<u8>, key: &[u8], number: u32) {
    buffer.clear();
    buffer.push(CHUNK);
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(&number.to_be_bytes());
}

/// A long value's place holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) length: u32,
    crc: u32,
}

impl Split {
    pub(super) fn of(value: &[u8]) -> Self {
        Self { length: value.len() as u32, crc: crc32c(value) }
    }

    pub(super) fn chunks(self) -> u32 {
        self.length.div_ceil(CHUNK_BYTES as u32)
    }

    pub(super) fn is_of(self, value: &[u8]) -> bool {
        value.len() == self.length as usize && crc32c(value) == self.crc
    }

    pub(super) fn encode(self) -> [u8; 9] {
        let mut bytes = [SPLIT; 9];
        bytes[1..5].copy_from_slice(&self.length.to_le_bytes());
        bytes[5..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }
}

/// Makes `buffer` the stored form of a value that is not split.
pub(super) fn whole(buffer: &mut Vec<u8>, value: &[u8]) {
    buffer.clear();
    buffer.push(WHOLE);
    buffer.extend_from_slice(value);
}

/// A record's value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    Whole(&'a [u8]),
    Split(Split),
}

/// Reads a record's value, `None` when this is none.
pub(super) fn stored(bytes: &[u8]) -> Option<Stored<'_>> {
    match bytes {
        [WHOLE, value @ ..] => Some(Stored::Whole(value)),
        [SPLIT, a, b, c, d, e, f, g, h] => {
            let split = Split { length: u32::from_le_bytes([*a, *b, *c, *d]), crc: u32::from_le_bytes([*e, *f, *g, *h]) };
            Some(Stored::Split(split)).filter(|_| split.length as usize <= MAX_VALUE_BYTES)
        }
        _ => None,
    }
}

/// The stored form of the versions.
pub(super) fn encode_schema(schema: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&LAYOUT.to_le_bytes());
    bytes[4..].copy_from_slice(&schema.to_le_bytes());
    bytes
}

/// The versions of the layout and of the records.
pub(super) fn decode_schema(bytes: &[u8]) -> Option<(u32, u32)> {
    let [a, b, c, d, e, f, g, h] = *bytes else {
        return None;
    };
    Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
}
