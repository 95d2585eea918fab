use proptest::prelude::*;

use super::{parse, said};
use crate::xmpp::stanza::write::{In, Writer, write_escaped};

fn round_trip(text: &str) -> (String, String) {
    let mut out = Vec::new();
    Writer::new(&mut out).open("a", "urn:x").attr("b", text).inside().text(text).close("a");
    let element = parse(&out);
    (element.text(), element.attr("b").unwrap_or_default().to_owned())
}

fn escaped(text: &str, place: In) -> String {
    let mut out = Vec::new();
    write_escaped(text, place, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn markup_is_escaped() {
    assert_eq!(escaped("a<b>&\"'c]]>", In::Text), "a&lt;b&gt;&amp;\"'c]]&gt;");
    assert_eq!(escaped("\"\t\n\r'", In::Attribute), "&quot;&#9;&#10;&#13;'");
    assert_eq!(escaped("\t\n\r", In::Text), "\t\n&#13;");
    assert_eq!(escaped("\0\u{b}\u{FFFE}\u{FFFF}\u{FFFD}\u{7F}", In::Text), "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{7F}");
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
