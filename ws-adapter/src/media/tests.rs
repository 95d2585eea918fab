//! Small images made by hand, with what must go planted in them; and any bytes at all.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"52.5200 N 13.4050 E";

fn stripped(bytes: &[u8]) -> Result<(Size, Vec<u8>), Malformed> {
    let mut out = Cursor::new(Vec::new());
    let size = strip(sniff(bytes), &mut &bytes[..], &mut out)?;
    Ok((size, out.into_inner()))
}

fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    [&[0xFF, marker][..], &(body.len() as u16 + 2).to_be_bytes(), body].concat()
}

/// 3 wide and 2 high.
fn jpeg(apps: &[Vec<u8>]) -> Vec<u8> {
    let frame = segment(0xC0, &[8, 0, 2, 0, 3, 1, 1, 0x11, 0]);
    let scan = [segment(0xDA, &[1, 1, 0, 0, 63, 0]), vec![1, 0xFF, 0, 2, 0xFF, 0xD0, 3, 0xFF, 0xFF, 0xD9]].concat();
    [&[0xFF, 0xD8][..], &apps.concat(), &segment(0xDB, &[0; 65]), &frame, &segment(0xC4, &[0; 20]), &scan].concat()
}

fn exif(way: u8, is_little: bool) -> Vec<u8> {
    let mut body = b"Exif\0\0".to_vec();
    if is_little {
        body.extend_from_slice(&[b'I', b'I', 42, 0, 8, 0, 0, 0, 2, 0]);
        body.extend_from_slice(&[0x0F, 1, 2, 0, 4, 0, 0, 0, b'C', b'a', b'm', 0]);
        body.extend_from_slice(&[0x12, 1, 3, 0, 1, 0, 0, 0, way, 0, 0, 0]);
    } else {
        body.extend_from_slice(&[b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1]);
        body.extend_from_slice(&[1, 0x12, 0, 3, 0, 0, 0, 1, 0, way, 0, 0]);
    }
    body.extend_from_slice(SECRET);
    segment(0xE1, &body)
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    // Checksums are carried along and not looked at.
    [&(body.len() as u32).to_be_bytes()[..], kind, body, b"crc!"].concat()
}

fn png(extra: &[Vec<u8>]) -> Vec<u8> {
    let header = [0, 0, 0, 3, 0, 0, 0, 2, 8, 0, 0, 0, 0];
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &extra.concat(), &chunk(b"IDAT", &[1, 2, 3]), &chunk(b"IEND", b"")].concat()
}

fn gif(extra: &[u8]) -> Vec<u8> {
    let head = [&b"GIF89a"[..], &[3, 0, 2, 0, 0x80, 0, 0], &[9; 6]].concat();
    let image = [0x2C, 0, 0, 0, 0, 3, 0, 2, 0, 0, 2, 2, 7, 7, 0];
    [&head[..], extra, &image, &[0x3B]].concat()
}

fn riff(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&kind[..], &(body.len() as u32).to_le_bytes(), body, &[0][..body.len() & 1]].concat()
}

fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    [&b"RIFF"[..], &(body.len() as u32 + 4).to_le_bytes(), b"WEBP", &body].concat()
}

fn vp8(width: u16, height: u16) -> Vec<u8> {
    riff(b"VP8 ", &[&[0, 0, 0, 0x9D, 1, 0x2A][..], &width.to_le_bytes(), &height.to_le_bytes(), &[5; 3]].concat())
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_photo_does_not_say_where_it_was_taken_but_which_way_up_it_is() {
    let jfif = segment(0xE0, &[&b"JFIF\0\x01\x02\0\0\x48\0\x48\x01\x01"[..], SECRET].concat());
    let thumbnails = segment(0xE0, &[b"JFXX\0", SECRET].concat());
    let xmp = segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", SECRET].concat());
    let (profile, mpf) = (segment(0xE2, b"ICC_PROFILE\0\x01\x01colours"), segment(0xE2, &[b"MPF\0", SECRET].concat()));
    let (iptc, adobe, comment) = (segment(0xED, SECRET), segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01"), segment(0xFE, SECRET));
    for (way, is_little, size) in [(6, true, (2, 3)), (6, false, (2, 3)), (3, true, (3, 2)), (1, true, (3, 2)), (9, false, (3, 2))] {
        let apps = [&jfif, &thumbnails, &exif(way, is_little), &xmp, &profile, &mpf, &iptc, &adobe, &comment].map(Clone::clone);
        let (found, clean) = stripped(&[jpeg(&apps), SECRET.to_vec()].concat()).unwrap();
        assert_eq!(found, size, "{way}");
        assert!(!has(&clean, SECRET) && has(&clean, b"colours") && has(&clean, b"Adobe") && clean.ends_with(&[3, 0xFF, 0xD9]));
        assert_eq!(has(&clean, b"Exif"), way == 6 || way == 3);
        assert_eq!(stripped(&clean).unwrap(), (size, clean), "what is clean stays as it is");
    }
    assert_eq!(stripped(&jpeg(&[])).unwrap().0, (3, 2));
}

#[test]
fn pictures_lose_their_texts() {
    let texts = [chunk(b"tEXt", SECRET), chunk(b"eXIf", SECRET), chunk(b"iTXt", SECRET), chunk(b"tIME", &[0; 7]), chunk(b"gAMA", &[0; 4])];
    let (size, clean) = stripped(&[png(&texts), b"PK\x03\x04 an archive".to_vec()].concat()).unwrap();
    assert_eq!((size, &clean), ((3, 2), &png(&texts[4..])));
    let comment = [&[0x21, 0xFE, SECRET.len() as u8][..], SECRET, &[0]].concat();
    let xmp = [&[0x21, 0xFF, 11][..], b"XMP DataXMP", &[SECRET.len() as u8], SECRET, &[0]].concat();
    let repeats = [&[0x21, 0xFF, 11][..], b"NETSCAPE2.0", &[3, 1, 0, 0, 0]].concat();
    let control = [0x21, 0xF9, 4, 0, 0, 0, 0, 0];
    let (size, clean) = stripped(&gif(&[&comment[..], &repeats, &xmp, &control].concat())).unwrap();
    assert_eq!((size, clean), ((3, 2), gif(&[&repeats[..], &control].concat())));
    let header = |flags: u8| riff(b"VP8X", &[flags, 0, 0, 0, 2, 0, 0, 1, 0, 0]);
    let full = webp(&[header(0x0C), vp8(3, 2), riff(b"EXIF", SECRET), riff(b"XMP ", SECRET), riff(b"oddy", SECRET)]);
    assert_eq!(stripped(&full).unwrap(), ((3, 2), webp(&[header(0), vp8(3, 2)])));
    let lossless = webp(&[riff(b"VP8L", &[0x2F, 2, 0x40, 0, 0, 9])]);
    assert_eq!(stripped(&lossless).unwrap(), ((3, 2), lossless));
}

#[test]
fn what_is_not_whole_is_no_image() {
    for image in [jpeg(&[exif(6, true)]), png(&[chunk(b"gAMA", &[0; 4])]), gif(&[]), webp(&[vp8(3, 2)])] {
        assert!(stripped(&image).is_ok());
        for cut in 12..image.len() {
            assert!(matches!(stripped(&image[..cut]), Err(Malformed::Not(_))), "cut at {cut} of {}", image.len());
        }
    }
    let mut bomb = png(&[]);
    bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    assert!(matches!(stripped(&bomb), Err(Malformed::Not("it has too many pixels"))));
    assert!(stripped(&png(&[chunk(b"EVIL", b"")])).is_err());
    assert!(stripped(&webp(&[])).is_err() && stripped(&webp(&[vp8(0, 2)])).is_err());
}

#[test]
fn bytes_say_what_a_file_is() {
    let rows: [(&[u8], MediaType); 16] = [
        (b"<html><script>alert(1)</script>", MediaType::Binary),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", MediaType::Binary),
        (b"\xEF\xBB\xBF<?xml version='1.0'?>", MediaType::Binary),
        (b"PK\x03\x04", MediaType::Binary),
        (b"", MediaType::Binary),
        (b"\xFF\xD8\xFF\xE0", MediaType::Jpeg),
        (b"RIFF\0\0\0\0WAVEfmt ", MediaType::Wav),
        (b"RIFF\0\0\0\0AVI ", MediaType::Binary),
        (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead", MediaType::Ogg),
        (b"\0\0\0\x20ftypisom", MediaType::Mp4),
        (b"\0\0\0\x20ftypM4A ", MediaType::M4a),
        (b"\0\0\0\x20ftypheic", MediaType::Binary),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", MediaType::Webm),
        (b"%PDF-1.7", MediaType::Pdf),
        (b"\xFF\xFB\x90\x64", MediaType::Mp3),
        (b"\xFF\xFB\xF0\x64", MediaType::Binary),
    ];
    for (head, media) in rows {
        assert_eq!(sniff(head), media, "{}", head.escape_ascii());
    }
}

proptest! {
    /// Whatever comes: no panic, nothing is longer than it was, and what is clean stays as it is.
    #[test]
    fn any_bytes_can_be_brought(
        start in prop::sample::select(vec![jpeg(&[exif(6, false)]), png(&[]), gif(&[]), webp(&[vp8(3, 2)])]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = start;
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend_from_slice(&tail);
        if let Ok((size, clean)) = stripped(&bytes) {
            prop_assert!(clean.len() <= bytes.len());
            prop_assert_eq!(stripped(&clean).unwrap(), (size, clean));
        }
    }

    #[test]
    fn any_bytes_are_something(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for media in [sniff(&bytes), MediaType::Jpeg, MediaType::Png, MediaType::Gif, MediaType::Webp] {
            let mut out = Cursor::new(Vec::new());
            let _ = strip(media, &mut &bytes[..], &mut out);
        }
    }
}

fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

fn silenced(film: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut film = Cursor::new(film.to_vec());
    silence(&mut film)?;
    Ok(film.into_inner())
}

/// Boxes of a film, with what must go at each place where it is found; `quiet`: after it has gone.
fn film(quiet: bool) -> Vec<u8> {
    let tells = |kind: &[u8; 4], body: &[u8]| if quiet { atom(b"free", &vec![0; body.len()]) } else { atom(kind, body) };
    let place = atom(b"\xA9xyz", SECRET);
    let list = [&tells(b"udta", &place)[..], &tells(b"meta", SECRET), &tells(b"uuid", SECRET)].concat();
    let media = atom(b"mdia", &[&atom(b"mdhd", &[1; 24])[..], &list, &atom(b"minf", &list)].concat());
    let track = atom(b"trak", &[&atom(b"tkhd", &[1; 84])[..], &media, &list, &[0; 4]].concat());
    let moov = atom(b"moov", &[&atom(b"mvhd", &[1; 100])[..], &track, &track, &list].concat());
    // A long size, and one up to the end.
    let frames = [&[0, 0, 0, 1][..], b"mdat", &26u64.to_be_bytes(), b"udta frame"].concat();
    let part = atom(b"moof", &atom(b"traf", &list));
    [&atom(b"ftyp", b"isom\0\0\0\0isom")[..], &list, &moov, &frames, &part, &[0, 0, 0, 0], b"mdat", b"meta"].concat()
}

#[test]
fn a_film_does_not_say_where_it_was_taken_and_nothing_of_it_moves() {
    let clean = silenced(&film(false)).unwrap();
    assert_eq!(clean, film(true));
    assert!(has(&film(false), SECRET) && !has(&clean, SECRET));
    assert_eq!(silenced(&clean).unwrap(), clean);
    let endless = [atom(b"ftyp", b"isom"), [0, 0, 0, 8, b'f', b'r', b'e', b'e'].repeat(30_000)].concat();
    assert!(matches!(silenced(&endless), Err(Malformed::Not("too many boxes"))));
    let beyond = [&atom(b"ftyp", b"isom")[..], &[0, 0, 0, 1], b"moov", &u64::MAX.to_be_bytes()].concat();
    for cut in [&beyond[..], &film(false)[..200], b"\0\0\0\x04ftyp", b"\0\0\0\x01ftyp\0\0\0"] {
        assert!(matches!(silenced(cut), Err(Malformed::Not("a box is cut off"))), "{}", cut.escape_ascii());
    }
}

#[test]
fn images_that_are_not_taken_apart_are_known() {
    let heads: [(&[u8], bool); 10] = [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", true),
        (b"\0\0\0\x18ftypXXXX\0\0\0\0XXXXavif", true),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", true),
        (b"\0\0\0\x14ftypisom\0\0\0\0isomheic", false),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  \0\0", false),
        (b"II*\0\x08\0\0\0", true),
        (b"MM\0*\0\0\0\x08", true),
        (b"\0\0\0\x0CJXL \r\n\x87\n", true),
        (b"\0\0\0\x0CjP  \r\n\x87\n", true),
        (b"", false),
    ];
    for (head, is_opaque) in heads {
        assert_eq!(is_opaque_image(head), is_opaque, "{}", head.escape_ascii());
    }
    assert!(is_film(b"\0\0\0\x14ftypqt  ") && is_film(b"\0\0\0\x08wide\0\0") && !is_film(b"The wide world") && !is_film(b""));
}

proptest! {
    #[test]
    fn any_bytes_are_a_film_of_their_length_or_none(bytes: Vec<u8>, places in prop::collection::vec((0..400usize, any::<u8>()), 0..8)) {
        let mut damaged = film(false);
        for (at, byte) in places {
            damaged[at] = byte;
        }
        for bytes in [bytes, damaged] {
            if let Ok(clean) = silenced(&bytes) {
                prop_assert_eq!(clean.len(), bytes.len());
                prop_assert_eq!(silenced(&clean).unwrap(), clean);
            }
            let _ = is_opaque_image(&bytes) || is_film(&bytes);
        }
    }
}
