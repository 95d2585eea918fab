//! What a file is, by its bytes, and images without what they tell of who made them: where and when a photo was taken, by which camera, with a
//! thumbnail of what was cut away. The pixels stay as they are: nothing is ever decompressed here, so a bomb is only a file.
//!
//! Each format is walked through block by block ([`jpeg`], [`png`], [`gif`], [`webp`]); blocks that are not known to be needed for showing it are left
//! out, and whatever follows its end. Of films ([`film`]) what tells is overwritten. What is not whole is [`Malformed`]: what cannot be walked through cannot
//! be trusted to say nothing, so it is refused, as are images of formats that are not known here.

mod film;
mod gif;
mod jpeg;
mod png;
mod sniff;
#[cfg(test)]
mod tests;
mod webp;

use std::io::{self, BufRead, Read, Seek, Write};

use hallway_broker::model::MediaType;

pub use film::{is_film, silence};
pub use sniff::{SNIFFED_BYTES, is_opaque_image, sniff};

/// Most pixels of an image: one that claims more would be a bomb for those who look at it.
pub const MAX_PIXELS: u64 = 100_000_000;
/// Longest block that is held in memory, in bytes.
const BLOCK_BYTES: usize = 65_536;

/// Width and height, as it is shown.
pub type Size = (u32, u32);

/// Why a file is no image after all.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is not what its beginning says.
    #[error("{0}")]
    Not(&'static str),
    /// It could not be read or written.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for Malformed {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Not("it is cut off") } else { Self::Io(error) }
    }
}

/// Copies an image without its metadata, and says how large it is.
///
/// # Errors
/// [`Malformed`]; what was written then is of no use.
pub fn strip(media: MediaType, from: &mut impl BufRead, into: &mut (impl Write + Seek)) -> Result<Size, Malformed> {
    let size = match media {
        MediaType::Jpeg => jpeg::strip(from, into),
        MediaType::Png => png::strip(from, into),
        MediaType::Gif => gif::strip(from, into),
        MediaType::Webp => webp::strip(from, into),
        _ => Err(Malformed::Not("no image that is known")),
    }?;
    let (width, height) = size;
    if width == 0 || height == 0 {
        return Err(Malformed::Not("it has no pixels"));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Malformed::Not("it has too many pixels"));
    }
    Ok(size)
}

/// Whether files of this type are images, which go through [`strip`].
#[must_use]
pub fn is_image(media: MediaType) -> bool {
    matches!(media, MediaType::Jpeg | MediaType::Png | MediaType::Gif | MediaType::Webp)
}

fn take<const N: usize>(from: &mut impl Read) -> Result<[u8; N], Malformed> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads a block that is held in memory.
fn block(from: &mut impl Read, bytes: usize) -> Result<Vec<u8>, Malformed> {
    if bytes > BLOCK_BYTES {
        return Err(Malformed::Not("a block is too long"));
    }
    let mut block = vec![0; bytes];
    from.read_exact(&mut block)?;
    Ok(block)
}

/// Copies so many bytes by the reader's buffer: `io::copy` would ask the system for every one of a million small blocks.
fn copy(from: &mut impl BufRead, bytes: u64, into: &mut impl Write) -> Result<(), Malformed> {
    let mut left = bytes;
    while left > 0 {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Err(Malformed::Not("it is cut off"));
        }
        let some = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        into.write_all(&buffer[..some])?;
        from.consume(some);
        left -= some as u64;
    }
    Ok(())
}

fn skip(from: &mut impl BufRead, bytes: u64) -> Result<(), Malformed> {
    copy(from, bytes, &mut io::sink())
}
