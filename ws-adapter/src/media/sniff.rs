//! What a file is, by its first bytes. What clients or names say is not asked.

use hallway_broker::model::MediaType;

/// Bytes of a file's beginning that are looked at.
pub const SNIFFED_BYTES: usize = 512;

/// What begins like this. Texts of any kind (HTML, SVG, XML, scripts) are [`MediaType::Binary`].
#[must_use]
pub fn sniff(head: &[u8]) -> MediaType {
    let at = |from: usize, magic: &[u8]| head.get(from..from + magic.len()) == Some(magic);
    match head {
        _ if at(0, b"\xFF\xD8\xFF") => MediaType::Jpeg,
        _ if at(0, b"\x89PNG\r\n\x1a\n") => MediaType::Png,
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => MediaType::Gif,
        _ if at(0, b"RIFF") && at(8, b"WEBP") => MediaType::Webp,
        _ if at(0, b"RIFF") && at(8, b"WAVE") => MediaType::Wav,
        _ if at(0, b"fLaC") => MediaType::Flac,
        _ if at(0, b"OggS") => ogg(head),
        _ if at(4, b"ftyp") => mp4(head),
        _ if at(0, b"\x1a\x45\xdf\xa3") && contains(&head[..head.len().min(64)], b"webm") => MediaType::Webm,
        _ if at(0, b"%PDF-") => MediaType::Pdf,
        _ if at(0, b"ID3") || is_mpeg_audio(head) => MediaType::Mp3,
        _ => MediaType::Binary,
    }
}

/// Images that tell of their makers as a JPEG does, and that are not taken apart here: HEIF and AVIF (ISO 23008-12), raw photos, TIFF, JPEG XL and
/// JPEG 2000.
#[must_use]
pub fn is_opaque_image(head: &[u8]) -> bool {
    let is_boxed = |kind: &[u8; 8]| head.starts_with(b"\0\0\0\x0C") && head.get(4..12) == Some(kind);
    if head.starts_with(b"II*\0") || head.starts_with(b"MM\0*") || is_boxed(b"JXL \r\n\x87\n") || is_boxed(b"jP  \r\n\x87\n") {
        return true;
    }
    if head.get(4..8) != Some(b"ftyp") {
        return false;
    }
    // Its own brand, and those that it goes by, too; a film goes by none of these.
    let bytes = head.first_chunk().map_or(0, |size| u32::from_be_bytes(*size) as usize);
    head[..head.len().min(bytes.max(12))]
        .get(8..)
        .unwrap_or_default()
        .chunks(4)
        .any(|brand| STILL_BRANDS.iter().any(|still| brand == *still))
}

const STILL_BRANDS: [&[u8; 4]; 14] =
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1", b"miaf", b"avif", b"avis", b"jpeg", b"crx "];

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// By the codec that its first page names: sound only.
fn ogg(head: &[u8]) -> MediaType {
    let first = &head[..head.len().min(64)];
    if contains(first, b"OpusHead") || contains(first, b"\x01vorbis") { MediaType::Ogg } else { MediaType::Binary }
}

/// By its major brand (ISO 14496-12 §4.3).
fn mp4(head: &[u8]) -> MediaType {
    match head.get(8..12) {
        Some(b"M4A " | b"M4B ") => MediaType::M4a,
        Some(b"isom" | b"iso2" | b"iso3" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"M4V " | b"dash") => MediaType::Mp4,
        _ => MediaType::Binary,
    }
}

/// A frame's header of MPEG-1 or -2, layer III (ISO 11172-3 §2.4.1.3), with a bit rate and sampling rate that there are.
fn is_mpeg_audio(head: &[u8]) -> bool {
    let [0xFF, second, third, ..] = head else { return false };
    matches!(second, 0xFA | 0xFB | 0xF2 | 0xF3) && !matches!(third >> 4, 0 | 15) && (third >> 2) & 3 != 3
}
