use proptest::prelude::*;

use minidom::Element;

use super::*;
use crate::xmpp::escape::is_char;

fn parse(bytes: &[u8]) -> Element {
    Element::from_reader(bytes).unwrap()
}

/// A text as it is read back.
fn said(text: &str) -> String {
    text.chars().map(|char| if is_char(char) { char } else { '\u{FFFD}' }).collect()
}

fn round_trip(text: &str) -> (String, String) {
    let mut out = Vec::new();
    Writer::new(&mut out).open("a", "urn:x").attr("b", text).inside().text(text).close("a");
    let element = parse(&out);
    (element.text(), element.attr("b").unwrap_or_default().to_owned())
}

#[test]
fn hard_texts_are_read_back() {
    let control: String = (0..0x20u8).map(char::from).chain('\u{7F}'..='\u{A0}').collect();
    for text in ["", "👩‍👩‍👧‍👦 🇺🇳", "שלום \u{202E}abc\u{202C} مرحبا", "]]>", "]]]]>>", "<![CDATA[x]]>", "&amp;&#0;", "\r\n\r", &control]
    {
        let expected = said(text);
        assert_eq!(round_trip(text), (expected.clone(), expected), "{text:?}");
    }
}

#[test]
fn long_texts_are_read_back() {
    // As character data: a parser bounds attributes.
    let text = "zwölf 🎉 <Boxkämpfer>\0".repeat(500);
    let mut out = Vec::new();
    Writer::new(&mut out).open("a", "urn:x").inside().text(&text).close("a");
    assert!(parse(&out).text() == said(&text));
}

proptest! {
    #[test]
    fn any_text_is_read_back(text in any::<String>()) {
        let expected = said(&text);
        prop_assert_eq!(round_trip(&text), (expected.clone(), expected));
    }

    #[test]
    fn any_text_of_hard_characters_is_read_back(text in "[\0-\u{20}<>&\"'\\]\u{FFFD}-\u{10002}a]{0,40}") {
        let expected = said(&text);
        prop_assert_eq!(round_trip(&text), (expected.clone(), expected));
    }
}
