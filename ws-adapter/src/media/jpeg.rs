//! JPEG (ITU T.81 annex B). Kept: what decoding needs, JFIF's head without its thumbnail, the colour profile, Adobe's word on the colour
//! transform, and of Exif one number: which way up the picture is. Whatever follows the end is left out, and with it thumbnails,
//! films and archives that some cameras and some people put there.

use std::io::{BufRead, Write};

use super::{Malformed, Size, block, copy, take};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const APP14: u8 = 0xEE;
/// Exif's tag of which way up the picture is, and the turned values of it: those that swap width and height.
const ORIENTATION: u16 = 0x0112;
const TURNED: std::ops::RangeInclusive<u16> = 5..=8;

pub(super) fn strip(from: &mut impl BufRead, into: &mut impl Write) -> Result<Size, Malformed> {
    if take(from)? != [0xFF, SOI] {
        return Err(Malformed::Not("no JPEG"));
    }
    into.write_all(&[0xFF, SOI])?;
    let (mut size, mut orientation) = (None, None);
    let mut marker = next_marker(from)?;
    loop {
        match marker {
            EOI => break,
            0x01 | 0xD0..=SOI => return Err(Malformed::Not("a marker in the wrong place")),
            _ => {}
        }
        let bytes = u16::from_be_bytes(take(from)?).checked_sub(2).ok_or(Malformed::Not("a segment without a length"))?;
        match marker {
            SOS => {
                segment(marker, &block(from, bytes.into())?, into)?;
                marker = copy_scan(from, into)?;
                continue;
            }
            // SOF0 to SOF15, without DHT, JPG and DAC
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let frame = block(from, bytes.into())?;
                let [_, h1, h2, w1, w2, ..] = frame[..] else { return Err(Malformed::Not("a short frame header")) };
                size = Some((u32::from(u16::from_be_bytes([w1, w2])), u32::from(u16::from_be_bytes([h1, h2]))));
                segment(marker, &frame, into)?;
            }
            APP0..=0xEF | 0xFE => {
                let segment_bytes = block(from, bytes.into())?;
                if marker == APP1 && orientation.is_none() {
                    orientation = exif_orientation(&segment_bytes);
                    if let Some(way) = orientation {
                        segment(APP1, &exif_of(way), into)?;
                    }
                }
                if let Some(kept) = kept(marker, &segment_bytes) {
                    segment(marker, &kept, into)?;
                }
            }
            _ => {
                into.write_all(&[0xFF, marker])?;
                into.write_all(&(bytes + 2).to_be_bytes())?;
                copy(from, bytes.into(), into)?;
            }
        }
        marker = next_marker(from)?;
    }
    into.write_all(&[0xFF, EOI])?;
    let (width, height) = size.ok_or(Malformed::Not("no frame"))?;
    Ok(if orientation.is_some_and(|way| TURNED.contains(&way)) { (height, width) } else { (width, height) })
}

/// The next marker's code; 0xFF before it fills (B.1.1.2).
fn next_marker(from: &mut impl BufRead) -> Result<u8, Malformed> {
    let [first] = take(from)?;
    if first != 0xFF {
        return Err(Malformed::Not("no marker where one must be"));
    }
    loop {
        match take(from)? {
            [0xFF] => {}
            [0] => return Err(Malformed::Not("no marker where one must be")),
            [code] => return Ok(code),
        }
    }
}

fn segment(marker: u8, bytes: &[u8], into: &mut impl Write) -> Result<(), Malformed> {
    let length = u16::try_from(bytes.len() + 2).map_err(|_| Malformed::Not("a segment is too long"))?;
    into.write_all(&[0xFF, marker])?;
    into.write_all(&length.to_be_bytes())?;
    Ok(into.write_all(bytes)?)
}

/// Copies a scan's coded data up to the marker that ends it, which is returned.
fn copy_scan(from: &mut impl BufRead, into: &mut impl Write) -> Result<u8, Malformed> {
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Err(Malformed::Not("it is cut off"));
        }
        let data = buffer.iter().position(|byte| *byte == 0xFF).unwrap_or(buffer.len());
        into.write_all(&buffer[..data])?;
        let at_marker = data < buffer.len();
        from.consume(data + usize::from(at_marker));
        if !at_marker {
            continue;
        }
        loop {
            match take(from)? {
                [0xFF] => {} // fills
                // A byte of data, or where decoding may begin again
                [code @ (0 | 0xD0..=0xD7)] => {
                    into.write_all(&[0xFF, code])?;
                    break;
                }
                [code] => return Ok(code),
            }
        }
    }
}

/// What stays of an application's segment or comment.
fn kept(marker: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    match marker {
        // Version, units and densities; no thumbnail.
        APP0 if bytes.starts_with(b"JFIF\0") => Some([bytes.get(..12)?, &[0, 0]].concat()),
        APP2 if bytes.starts_with(b"ICC_PROFILE\0") => Some(bytes.to_vec()),
        APP14 if bytes.starts_with(b"Adobe") => Some(bytes.to_vec()),
        _ => None,
    }
}

/// Which way up it is, when Exif says so: 2 to 8.
fn exif_orientation(bytes: &[u8]) -> Option<u16> {
    let tiff = bytes.strip_prefix(b"Exif\0\0")?;
    let is_little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = long(4)? as usize;
    let entries = usize::from(short(directory)?);
    let entry = (0..entries).map(|entry| directory + 2 + 12 * entry).find(|at| short(*at) == Some(ORIENTATION))?;
    let is_one_short = short(entry + 2)? == 3 && long(entry + 4)? == 1;
    short(entry + 8).filter(|way| is_one_short && (2..=8).contains(way))
}

/// An Exif segment that says nothing else.
fn exif_of(way: u16) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend_from_slice(&ORIENTATION.to_be_bytes());
    exif.extend_from_slice(b"\0\x03\0\0\0\x01");
    exif.extend_from_slice(&way.to_be_bytes());
    exif.extend_from_slice(&[0; 6]);
    exif
}
