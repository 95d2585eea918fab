//! ISO base media (ISO 14496-12) and QuickTime: films and their sound. Where and by whom a film was taken is in boxes of its head that players do not
//! need; they become free space, so that all else stays where it is and no offset changes. What a camera records as a track (telemetry) stays.

use std::io::{Read, Seek, SeekFrom, Write};

use super::{Malformed, take};

/// Boxes that are looked at: a film of this server's size has some hundred.
const MAX_BOXES: u32 = 20_000;
/// Bytes of a box's head, and with a long size.
const HEAD_BYTES: u64 = 8;
const LONG_HEAD_BYTES: u64 = 16;
/// Zeros that are written at once.
const ZEROS: [u8; 4096] = [0; 4096];

/// Whether a file begins like one.
pub fn is_film(head: &[u8]) -> bool {
    matches!(head.get(4..8), Some(b"ftyp" | b"moov")) || head.starts_with(b"\0\0\0\x08wide")
}

/// Takes out, in place, what a film tells of its makers.
///
/// # Errors
/// [`Malformed`] when it is not whole.
pub fn silence(film: &mut (impl Read + Write + Seek)) -> Result<(), Malformed> {
    let end = film.seek(SeekFrom::End(0))?;
    // Where the box ends that is being looked into, the innermost last: not deeper than `is_looked_into` goes.
    let (mut ends, mut at, mut boxes) = (vec![end], 0, 0);
    while let Some(&end) = ends.last() {
        // Less than a head is QuickTime's zero at the end of a list.
        if end - at < HEAD_BYTES {
            at = end;
            ends.pop();
            continue;
        }
        boxes += 1;
        if boxes > MAX_BOXES {
            return Err(Malformed::Not("too many boxes"));
        }
        film.seek(SeekFrom::Start(at))?;
        let size = u64::from(u32::from_be_bytes(take(film)?));
        let kind: [u8; 4] = take(film)?;
        let (size, head) = match size {
            0 => (end - at, HEAD_BYTES),
            1 if end - at >= LONG_HEAD_BYTES => (u64::from_be_bytes(take(film)?), LONG_HEAD_BYTES),
            size => (size, HEAD_BYTES),
        };
        if size < head || size > end - at {
            return Err(Malformed::Not("a box is cut off"));
        }
        if tells(kind) {
            film.seek(SeekFrom::Start(at + 4))?;
            film.write_all(b"free")?;
            film.seek(SeekFrom::Start(at + head))?;
            wipe(film, size - head)?;
        }
        if is_looked_into(kind, ends.len()) {
            ends.push(at + size);
            at += head;
        } else {
            at += size;
        }
    }
    Ok(())
}

/// What is there for people and programs, not for playing: user data (place, camera, names), metadata of QuickTime and of MPEG-7, XMP and the like.
fn tells(kind: [u8; 4]) -> bool {
    matches!(&kind, b"udta" | b"meta" | b"uuid")
}

fn is_looked_into(kind: [u8; 4], depth: usize) -> bool {
    match &kind {
        b"moov" | b"moof" => depth == 1,
        b"trak" | b"traf" => depth == 2,
        b"mdia" => depth == 3,
        b"minf" => depth == 4,
        _ => false,
    }
}

fn wipe(film: &mut impl Write, bytes: u64) -> Result<(), Malformed> {
    let mut left = bytes;
    while left > 0 {
        let some = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        film.write_all(&ZEROS[..some])?;
        left -= some as u64;
    }
    Ok(())
}
