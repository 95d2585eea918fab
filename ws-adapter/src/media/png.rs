//! PNG (W3C PNG, third edition): kept are the chunks that say how it is shown, moving pictures' too. Texts, Exif, the time of the last change and
//! what is not known go, and so does what follows the end.

use std::io::{BufRead, Write};

use super::{Malformed, Size, copy, skip, take};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// The chunks that stay, besides the first and the last.
const KEPT: [&[u8; 4]; 18] = [
    b"PLTE", b"IDAT", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"hIST", b"pHYs", b"sPLT",
    b"acTL", b"fcTL", b"fdAT",
];
/// Longest chunk (§5.3).
const MAX_CHUNK_BYTES: u32 = i32::MAX as u32;
const CRC_BYTES: u64 = 4;

pub(super) fn strip(from: &mut impl BufRead, into: &mut impl Write) -> Result<Size, Malformed> {
    if take(from)? != SIGNATURE {
        return Err(Malformed::Not("no PNG"));
    }
    let (length, kind) = chunk(from)?;
    if (length, &kind) != (13, b"IHDR") {
        return Err(Malformed::Not("it does not begin with its header"));
    }
    let header: [u8; 13] = take(from)?;
    into.write_all(&SIGNATURE)?;
    write_head(length, &kind, into)?;
    into.write_all(&header)?;
    copy(from, CRC_BYTES, into)?;
    let mut has_data = false;
    loop {
        let (length, kind) = chunk(from)?;
        let is_end = &kind == b"IEND";
        has_data |= &kind == b"IDAT";
        let rest = u64::from(length) + CRC_BYTES;
        if is_end || KEPT.contains(&&kind) {
            write_head(length, &kind, into)?;
            copy(from, rest, into)?;
        } else if kind[0].is_ascii_uppercase() {
            return Err(Malformed::Not("it needs a chunk that is not known"));
        } else {
            skip(from, rest)?;
        }
        if is_end && has_data {
            let [w1, w2, w3, w4, h1, h2, h3, h4, ..] = header;
            return Ok((u32::from_be_bytes([w1, w2, w3, w4]), u32::from_be_bytes([h1, h2, h3, h4])));
        }
        if is_end {
            return Err(Malformed::Not("it has no data"));
        }
    }
}

fn chunk(from: &mut impl BufRead) -> Result<(u32, [u8; 4]), Malformed> {
    let length = u32::from_be_bytes(take(from)?);
    if length > MAX_CHUNK_BYTES {
        return Err(Malformed::Not("a chunk is too long"));
    }
    Ok((length, take(from)?))
}

fn write_head(length: u32, kind: &[u8; 4], into: &mut impl Write) -> Result<(), Malformed> {
    into.write_all(&length.to_be_bytes())?;
    Ok(into.write_all(kind)?)
}
