//! What is written, to the byte.

use super::*;
use crate::xmpp::escape::{escape_attribute, escape_text, is_char};
use crate::xmpp::write::Writer;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    // Either kind of quotes may stand around a value.
    String::from_utf8(out).unwrap().replace('"', "'")
}

const OPENING: Opening<'_> = Opening { id: "1'2", from: Some("localhost"), to: None, lang: "en", namespace: ns::CLIENT };

#[test]
fn headers_and_ends() {
    assert_eq!(
        written(|out| write_header(Framing::Tcp, &OPENING, out)),
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1&apos;2' \
         from='localhost' version='1.0' xml:lang='en'>"
    );
    assert_eq!(
        written(|out| write_header(Framing::WebSocket, &OPENING, out)),
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='1&apos;2' from='localhost' version='1.0' xml:lang='en'/>"
    );
    assert_eq!(written(|out| write_close(Framing::Tcp, out)), "</stream:stream>");
    assert_eq!(written(|out| write_close(Framing::WebSocket, out)), "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
}

#[test]
fn features() {
    let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>";
    assert_eq!(written(|out| write_features(Framing::Tcp, bind, out)), format!("<stream:features>{bind}</stream:features>"));
    assert_eq!(
        written(|out| write_features(Framing::WebSocket, "", out)),
        "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>"
    );
}

#[test]
fn a_failure_before_our_header_has_it() {
    let error = StreamError::new(Condition::HostUnknown, "RFC 6120 §4.9.3.6", "not <here>");
    let body = "<host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>not &lt;here&gt;</text>";
    for framing in [Framing::Tcp, Framing::WebSocket] {
        let sent = failure(framing, None, &error);
        let unsent = failure(framing, Some(&OPENING), &error);
        assert_eq!((sent.len(), &unsent[1..]), (2, &sent[..]));
        assert!(String::from_utf8_lossy(&sent[0]).replace('"', "'").ends_with(&format!("{body}</stream:error>")));
        // A client can read it.
        let mut reader = StreamReader::new(framing, Bounds::default());
        let (got, error) = read_pieces(&mut reader, unsent.iter().map(Vec::as_slice));
        assert_eq!(error, None);
        assert!(
            matches!(&got[..], [Incoming::Open(_), Incoming::Stanza(error), Incoming::Close] if error.is("error", ns::STREAMS)),
            "{got:?}"
        );
    }
    let silent = StreamError::new(Condition::Reset, "RFC 6120 §4.9.3.16", "");
    assert_eq!(
        written(|out| write_error(Framing::Tcp, &silent, out)),
        "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    );
}

#[test]
fn elements_declare_what_is_not_declared_around_them() {
    let element: Element =
        "<message xmlns='jabber:client' to='a' xml:lang='en'><body>a</body><x xmlns='urn:x'><y/></x><z xmlns=''/></message>"
            .parse()
            .unwrap();
    let inside = "<body>a</body><x xmlns='urn:x'><y/></x><z xmlns=''/></message>";
    assert_eq!(written(|out| write_element(Framing::Tcp, &element, out)), format!("<message to='a' xml:lang='en'>{inside}"));
    assert_eq!(
        written(|out| write_element(Framing::WebSocket, &element, out)),
        format!("<message xmlns='jabber:client' to='a' xml:lang='en'>{inside}")
    );
    let features = Element::builder("features", ns::STREAMS).append(Element::bare("bind", "urn:bind")).build();
    assert_eq!(written(|out| write_element(Framing::Tcp, &features, out)), "<stream:features><bind xmlns='urn:bind'/></stream:features>");
}

#[test]
fn what_xml_does_not_have_is_replaced_by_one_rule() {
    assert_eq!(
        written(|out| escape_text("a\0b\x1Fc\u{FFFE}\u{FFFF}\u{FFFD}\u{FF0C}]]>\r\n\t", out)),
        "a\u{FFFD}b\u{FFFD}c\u{FFFD}\u{FFFD}\u{FFFD}\u{FF0C}]]&gt;&#xD;\n\t"
    );
    assert_eq!(written(|out| escape_attribute("<\r\n\t'\">&\x08", out)), "&lt;&#xD;&#xA;&#x9;&apos;&quot;&gt;&amp;\u{FFFD}");
    // What is replaced is what the reader would refuse, for every character.
    for char in '\0'..=char::MAX {
        let text = char.to_string();
        for escape in [escape_text, escape_attribute] {
            let out = written(|out| escape(&text, out));
            assert_eq!(out == "\u{FFFD}", !is_char(char) || char == '\u{FFFD}', "{char:?}");
        }
    }
    let all: String = ('\0'..='\u{2FFFF}').collect();
    let clean: String = all.chars().map(|char| if is_char(char) { char } else { '\u{FFFD}' }).collect();
    let bounds = Bounds { stanza_bytes: 10_000_000, attribute_bytes: 10_000_000, ..Bounds::default() };
    let mut reader = StreamReader::new(Framing::WebSocket, bounds);
    let stanza = {
        let mut out = Vec::new();
        Writer::new(&mut out).open_child("a").attr("b", &all).inside().text(&all).close("a");
        String::from_utf8(out).unwrap()
    };
    let (got, error) = read_pieces(&mut reader, [OPEN.as_bytes(), stanza.as_bytes()]);
    assert_eq!(error, None);
    assert!(matches!(&got[1], Incoming::Stanza(element) if element.attr("b") == Some(&clean) && element.text() == clean));
}
