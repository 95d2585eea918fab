//! WebP (RFC 9649): the chunks that are shown stay; Exif, XMP and what is not known go, and the flags that announce them.

use std::io::{BufRead, Seek, SeekFrom, Write};

use super::{Malformed, Size, copy, skip, take};

/// Flags of the extended format: there is Exif, there is XMP.
const EXIF: u8 = 0x08;
const XMP: u8 = 0x04;
/// The file's length is written here, without these first bytes.
const LENGTH_AT: u64 = 4;
const RIFF_HEAD_BYTES: u64 = 8;

pub(super) fn strip(from: &mut impl BufRead, into: &mut (impl Write + Seek)) -> Result<Size, Malformed> {
    let head: [u8; 12] = take(from)?;
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WEBP") {
        return Err(Malformed::Not("no WebP"));
    }
    let mut left = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]])).checked_sub(4).ok_or(Malformed::Not("no length"))?;
    let start = into.stream_position()?;
    into.write_all(&head)?;
    let (mut size, mut has_data) = (None, false);
    while left > 0 {
        let kind: [u8; 4] = take(from)?;
        let length = u32::from_le_bytes(take(from)?);
        let padded = u64::from(length) + u64::from(length & 1);
        left = left.checked_sub(8 + padded).ok_or(Malformed::Not("a chunk goes beyond the end"))?;
        let shown = match &kind {
            b"VP8X" => extended(from, length, into).map(Some)?,
            b"VP8 " => lossy(from, length, into).map(Some)?,
            b"VP8L" => lossless(from, length, into).map(Some)?,
            b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP" => {
                begin(kind, length, into)?;
                copy(from, padded, into)?;
                None
            }
            _ => {
                skip(from, padded)?;
                None
            }
        };
        has_data |= matches!(&kind, b"VP8 " | b"VP8L" | b"ANMF");
        // The extended format's word comes first.
        size = size.or(shown);
    }
    let end = into.stream_position()?;
    let bytes = u32::try_from(end - start - RIFF_HEAD_BYTES).map_err(|_| Malformed::Not("it is too long"))?;
    into.seek(SeekFrom::Start(start + LENGTH_AT))?;
    into.write_all(&bytes.to_le_bytes())?;
    into.seek(SeekFrom::Start(end))?;
    size.filter(|_| has_data).ok_or(Malformed::Not("it has no data"))
}

fn begin(kind: [u8; 4], length: u32, into: &mut impl Write) -> Result<(), Malformed> {
    into.write_all(&kind)?;
    Ok(into.write_all(&length.to_le_bytes())?)
}

/// Copies a chunk whose first bytes were read already.
fn rest(from: &mut impl BufRead, length: u32, read: u32, into: &mut impl Write) -> Result<(), Malformed> {
    copy(from, u64::from(length - read) + u64::from(length & 1), into)
}

fn extended(from: &mut impl BufRead, length: u32, into: &mut impl Write) -> Result<Size, Malformed> {
    if length != 10 {
        return Err(Malformed::Not("an extended header of another length"));
    }
    let mut header: [u8; 10] = take(from)?;
    header[0] &= !(EXIF | XMP);
    begin(*b"VP8X", length, into)?;
    into.write_all(&header)?;
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], 0]) + 1;
    Ok((number(4), number(7)))
}

/// RFC 6386 §9.1: a key frame's head.
fn lossy(from: &mut impl BufRead, length: u32, into: &mut impl Write) -> Result<Size, Malformed> {
    if length < 10 {
        return Err(Malformed::Not("a short frame"));
    }
    let head: [u8; 10] = take(from)?;
    if head[0] & 1 != 0 || head[3..6] != [0x9D, 0x01, 0x2A] {
        return Err(Malformed::Not("no key frame"));
    }
    begin(*b"VP8 ", length, into)?;
    into.write_all(&head)?;
    rest(from, length, 10, into)?;
    let number = |at: usize| u32::from(u16::from_le_bytes([head[at], head[at + 1]]) & 0x3FFF);
    Ok((number(6), number(8)))
}

/// RFC 9649 §3.4.
fn lossless(from: &mut impl BufRead, length: u32, into: &mut impl Write) -> Result<Size, Malformed> {
    if length < 5 {
        return Err(Malformed::Not("a short image"));
    }
    let head: [u8; 5] = take(from)?;
    if head[0] != 0x2F {
        return Err(Malformed::Not("no lossless image"));
    }
    begin(*b"VP8L", length, into)?;
    into.write_all(&head)?;
    rest(from, length, 5, into)?;
    let bits = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    Ok(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
}
