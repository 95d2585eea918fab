//! Input that is meant to cost memory, time or the stack.

use super::*;

/// The condition that ends a stream of `unit` over and over, and how many bytes were read and held at most until then.
fn flood(start: &str, unit: &str, bytes: usize) -> (Option<Condition>, usize, usize) {
    let mut reader = StreamReader::new(Framing::Tcp, Bounds::default());
    assert_eq!(read_pieces(&mut reader, [HEADER.as_bytes(), start.as_bytes()]).1, None);
    let piece = unit.repeat(4_096_usize.div_ceil(unit.len()));
    let (mut sent, mut held) = (0, 0);
    while sent < bytes {
        if let Some(error) = read_pieces(&mut reader, [piece.as_bytes()]).1 {
            return (Some(error.condition), sent, held);
        }
        sent += piece.len();
        held = held.max(reader.held_bytes());
    }
    (None, sent, held)
}

#[test]
fn nested_elements_end_at_the_depth() {
    let (condition, sent, _) = flood("", "<a>", 1 << 20);
    assert_eq!((condition, sent), (Some(Condition::PolicyViolation), 0));
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let (got, error) = read(Framing::Tcp, &[HEADER, &nested(64)]);
    assert_eq!((got.len(), error), (2, None));
    let (got, error) = read(Framing::Tcp, &[HEADER, &nested(65)]);
    assert_eq!((got.len(), error.map(|error| error.condition)), (1, Some(Condition::PolicyViolation)));
}

#[test]
fn a_long_attribute_ends_at_its_bound() {
    let (condition, sent, held) = flood("<a b='", "x", 10_000_000);
    assert_eq!(condition, Some(Condition::PolicyViolation));
    assert!(sent <= 8_192 && held <= 10_000, "{sent} {held}");
}

#[test]
fn many_attributes_end_at_their_number() {
    let attributes: String = (0..100_000).map(|number| format!(" a{number}=''")).collect();
    let (got, error) = read(Framing::Tcp, &[HEADER, "<a", &attributes]);
    assert_eq!((got.len(), error.map(|error| error.condition)), (1, Some(Condition::PolicyViolation)));
    let (condition, sent, _) = flood("<a", " b=''", 1 << 20);
    assert_eq!((condition, sent), (Some(Condition::PolicyViolation), 0));
}

#[test]
fn long_names_and_texts_end_at_the_stanza() {
    for start in ["<", "<a ", "<a>", "<a><![CDATA[", "<a></", "<a>&"] {
        let (condition, sent, held) = flood(start, "x", 10_000_000);
        assert_eq!(condition, Some(Condition::PolicyViolation), "{start}");
        assert!(sent <= 262_144 && held <= 262_144 + 256, "{start} {sent} {held}");
    }
    let text = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    assert_eq!(read(Framing::Tcp, &[HEADER, &text(262_144)]).1, None);
    assert_eq!(read(Framing::Tcp, &[HEADER, &text(262_145)]).1.map(|error| error.condition), Some(Condition::PolicyViolation));
}

#[test]
fn many_small_elements_end_at_their_number() {
    let (condition, sent, held) = flood("<a>", "<b/>", 10_000_000);
    assert_eq!(condition, Some(Condition::PolicyViolation));
    assert!(sent <= 4 * 4_096 && held <= 40_000, "{sent} {held}");
}

#[test]
fn many_declarations_and_long_ones_are_refused() {
    let declared: String = (0..60).map(|number| format!(" xmlns:p{number}='urn:a'")).collect();
    let levels = format!("<a{declared}><a{declared}><a{declared}/></a></a>");
    assert_eq!(read(Framing::Tcp, &[HEADER, &levels]).1.map(|error| error.condition), Some(Condition::PolicyViolation));
    let long = format!("<a xmlns='{}'/>", "x".repeat(257));
    assert_eq!(read(Framing::Tcp, &[HEADER, &long]).1.map(|error| error.condition), Some(Condition::PolicyViolation));
}

#[test]
fn a_billion_laughs_are_none() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol1 '&lol;&lol;&lol;'>]><lolz>&lol1;</lolz>";
    for framing in [Framing::Tcp, Framing::WebSocket] {
        assert_eq!(read(framing, &[bomb]).1.map(|error| error.condition), Some(Condition::RestrictedXml));
    }
    assert_eq!(read(Framing::Tcp, &[HEADER, "<a>&lol;</a>"]).1.map(|error| error.condition), Some(Condition::RestrictedXml));
}

#[test]
fn a_header_that_does_not_end_is_refused_soon() {
    let mut reader = StreamReader::new(Framing::Tcp, Bounds::default());
    let (mut sent, mut error) = (0, None);
    while error.is_none() {
        sent += 16;
        error = read_pieces(&mut reader, [if sent == 16 { &b"<stream:stream a"[..] } else { &[b'a'; 16][..] }]).1;
    }
    assert_eq!((error.map(|error| error.condition), sent <= 4_096 + 16), (Some(Condition::PolicyViolation), true));
}

#[test]
fn whitespace_is_not_kept() {
    let (condition, _, held) = flood("", " ", 1 << 20);
    assert!(condition.is_none() && held <= 256, "{held}");
}

#[test]
fn bounds_are_tighter_before_the_login() {
    let stanza = format!("<auth>{}</auth>", "x".repeat(20_000));
    let tight = Bounds { stanza_bytes: 10_000, ..Bounds::default() };
    let mut reader = StreamReader::new(Framing::Tcp, tight);
    let error = read_pieces(&mut reader, [HEADER.as_bytes(), stanza.as_bytes()]).1;
    assert_eq!(error.map(|error| error.condition), Some(Condition::PolicyViolation));
    let mut reader = StreamReader::new(Framing::Tcp, tight);
    reader.set_bounds(Bounds::default());
    assert_eq!(read_pieces(&mut reader, [HEADER.as_bytes(), stanza.as_bytes()]).1, None);
}
