//! Whatever the bytes and however they are cut.

use proptest::prelude::*;
use rxml::{Namespace, NcName};

use super::*;
use crate::xmpp::escape::is_char;

/// Text of characters that XML has, those that have to be escaped among them.
fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => any::<char>(),
        2 => prop::sample::select(vec!['<', '>', '&', '\'', '"', ']', '\r', '\n', '\t', ' ', '\u{FFFD}', '\u{85}', '\u{2028}', '\u{7F}']),
        4 => prop::char::range('a', 'z'),
    ];
    let char = char.prop_map(|char| if is_char(char) { char } else { '\u{FFFD}' });
    prop::collection::vec(char, 1..20).prop_map(|chars| chars.into_iter().collect())
}

fn attributes() -> impl Strategy<Value = Vec<(&'static str, &'static str, String)>> {
    let namespaces = vec!["", "", rxml::XMLNS_XML, "urn:a", "urn:b<'&\">"];
    let attribute = (
        prop::sample::select(namespaces),
        prop::sample::select(vec!["a", "lang", "xmlnsx", "é-1.2"]),
        prop_oneof![text(), Just(String::new())],
    );
    prop::collection::vec(attribute, 0..6)
}

fn childless() -> impl Strategy<Value = Element> {
    let namespaces = vec!["", ns::CLIENT, ns::CLIENT, ns::STREAMS, rxml::XMLNS_XML, "urn:a", "urn:b<'&\">"];
    let name = prop::sample::select(vec!["message", "a", "b.c-d_1", "é"]);
    (name, prop::sample::select(namespaces), attributes()).prop_map(|(name, namespace, attributes)| {
        let mut element = Element::bare(name, namespace);
        for (namespace, name, value) in attributes {
            element.set_attr(Namespace::from_str(namespace), NcName::try_from(name).unwrap(), value);
        }
        element
    })
}

fn element() -> impl Strategy<Value = Element> {
    childless().prop_recursive(5, 40, 6, |inner| {
        let child = prop_oneof![inner.prop_map(Ok), text().prop_map(Err)];
        (childless(), prop::collection::vec(child, 0..6)).prop_map(|(mut parent, children)| {
            for child in children {
                match child {
                    Ok(element) => drop(parent.append_child(element)),
                    Err(text) => parent.append_text(text),
                }
            }
            parent
        })
    })
}

/// Feeds messages cut into pieces. Returns what came, whether it ended in an error, and the most that was held.
fn feed(framing: Framing, bounds: Bounds, messages: &[Vec<u8>], cuts: &[usize]) -> (Vec<Incoming>, bool, usize) {
    let mut reader = StreamReader::new(framing, bounds);
    let (mut got, mut held, mut cuts) = (Vec::new(), 0, cuts.iter().cycle());
    for message in messages {
        let mut rest = &message[..];
        while !rest.is_empty() {
            let (mut piece, later) = rest.split_at(cuts.next().map_or(1, |cut| *cut).min(rest.len()));
            rest = later;
            loop {
                match reader.next(&mut piece) {
                    Ok(Some(incoming)) => got.push(incoming),
                    Ok(None) => break,
                    Err(_) => return (got, true, held),
                }
            }
            held = held.max(reader.held_bytes());
        }
        if framing == Framing::WebSocket && reader.end_message().is_err() {
            return (got, true, held);
        }
    }
    (got, false, held)
}

fn depth(element: &Element) -> usize {
    1 + element.children().map(depth).max().unwrap_or(0)
}

const WHOLE: &[usize] = &[usize::MAX];

/// A stream to change: something of everything.
const STREAM: &str = "<?xml version='1.0' encoding='UTF-8'?><stream:stream to='localhost' xml:lang='en' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\
    <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>\n\
    <message to='lobby@rooms.localhost' type='groupchat' id='1'><body>1 &lt; 2 &#x41; \u{1F600} é\r\n</body>\
    <x:y xmlns:x='urn:x' x:z='&amp;'/></message> \
    <iq><![CDATA[<]]]]></iq></stream:stream>";

/// The same over WebSocket.
const MESSAGES: [&str; 4] = [
    OPEN,
    "<message xmlns='jabber:client' to='a'><body>1 &lt; 2 \u{1F600}</body><x:y xmlns:x='urn:x' x:z='&amp;'/></message>",
    "<?xml version='1.0'?> <iq xmlns='jabber:client'><![CDATA[<]]]]></iq>",
    "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
];

/// Bytes that mean something.
fn telling() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(b"<>/?!&;'\"=:[]-# \r\n\0x\xEF\xBF\xC3\xFF".to_vec())]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        elements in prop::collection::vec(element(), 1..4), cuts in prop::collection::vec(1..60usize, 1..20), single: bool,
    ) {
        for framing in [Framing::Tcp, Framing::WebSocket] {
            let mut messages = vec![if framing == Framing::Tcp { HEADER.into() } else { OPEN.into() }];
            for element in &elements {
                let mut message = Vec::new();
                write_element(framing, element, &mut message);
                messages.push(message);
            }
            let (got, failed, _) = feed(framing, Bounds::default(), &messages, if single { &[1] } else { &cuts });
            prop_assert!(!failed);
            prop_assert_eq!(&stanzas_of(got), &elements);
        }
    }

    #[test]
    fn changed_streams_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), telling(), 0..3u8), 0..6),
        cuts in prop::collection::vec(1..60usize, 1..20),
    ) {
        let bounds = Bounds { stanza_bytes: 200, depth: 3, attributes: 4, attribute_bytes: 60, nodes: 8, header_bytes: 220 };
        let change = |mut bytes: Vec<u8>| {
            for (at, byte, how) in &changes {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = *byte,
                    1 => bytes.insert(at, *byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            bytes
        };
        let tcp = vec![change(STREAM.into())];
        let websocket: Vec<_> = MESSAGES.into_iter().map(|message| change(message.into())).collect();
        for (framing, messages) in [(Framing::Tcp, tcp), (Framing::WebSocket, websocket)] {
            let (whole, whole_failed, _) = feed(framing, bounds, &messages, WHOLE);
            for cuts in [&cuts[..], &[1]] {
                let (got, failed, held) = feed(framing, bounds, &messages, cuts);
                prop_assert_eq!((&got, failed), (&whole, whole_failed));
                prop_assert!(held <= 220 + 400, "{}", held);
            }
            for incoming in whole {
                prop_assert!(!matches!(incoming, Incoming::Stanza(element) if depth(&element) > 3));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(telling(), 0..200), cuts in prop::collection::vec(1..20usize, 1..10)) {
        for framing in [Framing::Tcp, Framing::WebSocket] {
            for header in [&b""[..], if framing == Framing::Tcp { HEADER.as_bytes() } else { OPEN.as_bytes() }, b"<a>"] {
                let messages = [header.to_vec(), bytes.clone(), [b"<", &bytes[..], b"/>"].concat()];
                let _ = feed(framing, Bounds::default(), &messages, WHOLE);
                let _ = feed(framing, Bounds::default(), &messages, &cuts);
            }
        }
    }
}
