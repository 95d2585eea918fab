//! GIF (GIF89a): comments and what applications put in go, but for how often it repeats; so does what follows the end.

use std::io::{BufRead, Write};

use super::{Malformed, Size, copy, take};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
const GRAPHIC_CONTROL: u8 = 0xF9;
const APPLICATION: u8 = 0xFF;
/// Applications that say how often it repeats.
const REPEATS: [&[u8]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];

pub(super) fn strip(from: &mut impl BufRead, into: &mut impl Write) -> Result<Size, Malformed> {
    let head: [u8; 13] = take(from)?;
    if !head.starts_with(b"GIF87a") && !head.starts_with(b"GIF89a") {
        return Err(Malformed::Not("no GIF"));
    }
    into.write_all(&head)?;
    copy(from, colours_bytes(head[10]), into)?;
    let mut images = 0u32;
    loop {
        let [what] = take(from)?;
        match what {
            EXTENSION => extension(from, into)?,
            IMAGE => {
                let image: [u8; 9] = take(from)?;
                into.write_all(&[IMAGE])?;
                into.write_all(&image)?;
                // Colours, and the smallest code's width.
                copy(from, colours_bytes(image[8]) + 1, into)?;
                sub_blocks(from, into)?;
                images = images.saturating_add(1);
            }
            TRAILER if images > 0 => {
                into.write_all(&[TRAILER])?;
                return Ok((u32::from(u16::from_le_bytes([head[6], head[7]])), u32::from(u16::from_le_bytes([head[8], head[9]]))));
            }
            _ => return Err(Malformed::Not("a block that is not known")),
        }
    }
}

/// The length of the table of colours that the packed field says is there.
fn colours_bytes(packed: u8) -> u64 {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

fn extension(from: &mut impl BufRead, into: &mut impl Write) -> Result<(), Malformed> {
    let [label] = take(from)?;
    match label {
        GRAPHIC_CONTROL => {
            into.write_all(&[EXTENSION, label])?;
            sub_blocks(from, into)
        }
        APPLICATION => {
            let [length] = take(from)?;
            let mut name = vec![0; length.into()];
            from.read_exact(&mut name)?;
            if length > 0 && REPEATS.contains(&&name[..]) {
                into.write_all(&[EXTENSION, label, length])?;
                into.write_all(&name)?;
                return sub_blocks(from, into);
            }
            if length == 0 { Ok(()) } else { sub_blocks(from, &mut std::io::sink()) }
        }
        _ => sub_blocks(from, &mut std::io::sink()),
    }
}

/// Copies blocks up to the empty one that ends them.
fn sub_blocks(from: &mut impl BufRead, into: &mut impl Write) -> Result<(), Malformed> {
    loop {
        let [length] = take(from)?;
        into.write_all(&[length])?;
        if length == 0 {
            return Ok(());
        }
        copy(from, length.into(), into)?;
    }
}
