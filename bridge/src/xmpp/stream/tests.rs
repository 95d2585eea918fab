//! Streams good and bad: what comes out of them, and the stream error of each fault.

mod errors;
mod hostile;
mod property;
mod written;

use super::*;

/// A client's header over TCP.
const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
/// A client's header over WebSocket.
const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>";

/// All that a reader makes of pieces, and the error that ended it. Over WebSocket each piece is a message.
fn read_pieces<'p>(reader: &mut StreamReader, pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<Incoming>, Option<StreamError>) {
    let mut got = Vec::new();
    for mut piece in pieces {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(incoming)) => got.push(incoming),
                Ok(None) => break,
                Err(error) => return (got, Some(error)),
            }
        }
        assert!(piece.is_empty(), "all is read");
        if reader.framing() == Framing::WebSocket
            && let Err(error) = reader.end_message()
        {
            return (got, Some(error));
        }
    }
    (got, None)
}

fn read(framing: Framing, pieces: &[&str]) -> (Vec<Incoming>, Option<StreamError>) {
    read_pieces(&mut StreamReader::new(framing, Bounds::default()), pieces.iter().map(|piece| piece.as_bytes()))
}

fn stanzas_of(got: Vec<Incoming>) -> Vec<Element> {
    let stanza = |incoming| if let Incoming::Stanza(element) = incoming { Some(element) } else { None };
    got.into_iter().filter_map(stanza).collect()
}

/// The first stanza after a header over TCP.
fn stanza(bytes: &str) -> Element {
    let (got, error) = read(Framing::Tcp, &[HEADER, bytes]);
    assert_eq!(error, None, "{bytes}");
    stanzas_of(got).remove(0)
}

#[test]
fn a_client_opens_speaks_and_closes() {
    let header = "<?xml version=\"1.0\" encoding='UTF-8'?>\n<stream:stream from='a@localhost' to='localhost' version='1.0' xml:lang='de' \
                  xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    let (got, error) = read(Framing::Tcp, &[header, " \n", "<presence/><iq id='1'", "/>", " ", "</stream:", "stream >", "more"]);
    assert_eq!(error, None);
    let expected = Header {
        to: Some("localhost".into()),
        from: Some("a@localhost".into()),
        id: None,
        lang: Some("de".into()),
        version: Some((1, 0)),
        namespace: Some("jabber:client".into()),
    };
    let [Incoming::Open(header), Incoming::Stanza(presence), Incoming::Stanza(iq), Incoming::Close] = &got[..] else { panic!("{got:?}") };
    assert_eq!(*header, expected);
    assert!(presence.is("presence", ns::CLIENT) && iq.is("iq", ns::CLIENT));
    assert_eq!(iq.attr("id"), Some("1"));
}

#[test]
fn a_client_opens_speaks_and_closes_over_websocket() {
    let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0' xml:lang='de'/>";
    let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
    let (got, error) = read(Framing::WebSocket, &[open, "", " ", "<?xml version='1.0'?><iq xmlns='jabber:client' id='1'/> ", close]);
    assert_eq!(error, None);
    let [Incoming::Open(header), Incoming::Stanza(iq), Incoming::Close] = &got[..] else { panic!("{got:?}") };
    assert_eq!((header.to.as_deref(), header.lang.as_deref(), header.version), (Some("localhost"), Some("de"), Some((1, 0))));
    assert_eq!(header.namespace, None);
    assert!(iq.is("iq", ns::CLIENT));
    // RFC 7395 §3.6: instead of an answer to the open, too.
    assert_eq!(read(Framing::WebSocket, &[close]), (vec![Incoming::Close], None));
}

#[test]
fn namespaces_are_those_of_the_nearest_declaration() {
    assert!(stanza("<x/>").has_ns(ns::CLIENT));
    assert!(stanza("<x xmlns=''/>").has_ns(""));
    assert!(stanza("<stream:features/>").is("features", ns::STREAMS));
    assert!(stanza("<stream:a xmlns:stream='urn:b'/>").is("a", "urn:b"));
    let message = stanza(
        "<message p:a='1' xml:lang='en' xmlns:p='urn:p'><p:a xmlns:p='urn:q'><b/></p:a><p:a/><c xmlns='urn:c'><d/></c><e/></message>",
    );
    assert_eq!(message.attr_ns("urn:p", "a"), Some("1"));
    assert_eq!(message.attr_ns(rxml::XMLNS_XML, "lang"), Some("en"));
    let names: Vec<_> = message.children().map(|child| (child.name().to_owned(), child.ns())).collect();
    assert_eq!(names, [("a", "urn:q"), ("a", "urn:p"), ("c", "urn:c"), ("e", ns::CLIENT)].map(|(name, ns)| (name.into(), ns.into())));
    assert!(message.children().next().unwrap().has_child("b", ns::CLIENT));
    assert!(message.get_child("c", "urn:c").unwrap().has_child("d", "urn:c"));
    // The content namespace may have a prefix and the stream none (RFC 6120 §4.8.2).
    let header = "<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client' version='1.0'>";
    let (got, error) = read(Framing::Tcp, &[header, "<c:iq/>", "</stream>"]);
    assert_eq!(error, None);
    let [Incoming::Open(header), Incoming::Stanza(iq), Incoming::Close] = &got[..] else { panic!("{got:?}") };
    assert!(header.namespace.is_none() && iq.is("iq", ns::CLIENT));
}

#[test]
fn text_is_what_xml_says_it_is() {
    let text = |bytes: &str| stanza(bytes).text();
    assert_eq!(text("<a>1 &lt; 2 &amp;&#38; &#x1F600;</a>"), "1 < 2 && \u{1F600}");
    assert_eq!(text("<a><![CDATA[<b> ]] ]> &amp; ]]]>&amp;c</a>"), "<b> ]] ]> &amp; ]&c");
}

#[test]
fn line_ends_are_line_feeds() {
    let element = stanza("<a b='1\r2\r\n3&#xD;\n4'>1\r\r2\r\n3&#xD;</a>");
    assert_eq!(element.attr("b"), Some("1 2 3\r 4"));
    assert_eq!(element.text(), "1\n\n2\n3\r");
}

#[test]
fn a_reset_begins_again() {
    for framing in [Framing::Tcp, Framing::WebSocket] {
        let header = if framing == Framing::Tcp { HEADER } else { OPEN };
        let mut reader = StreamReader::new(framing, Bounds::default());
        for _ in 0..3 {
            let (got, error) = read_pieces(&mut reader, [header.as_bytes(), b"<a xmlns='urn:a'/>"]);
            assert!(matches!((&got[..], error), ([Incoming::Open(_), Incoming::Stanza(_)], None)), "{got:?} {error:?}");
            reader.reset();
        }
    }
    // What a client sends without waiting is the new stream's.
    let mut reader = StreamReader::new(Framing::Tcp, Bounds::default());
    let bytes = [HEADER, "<auth/>", HEADER, "<iq/>"].concat();
    let mut input = bytes.as_bytes();
    assert!(matches!(reader.next(&mut input), Ok(Some(Incoming::Open(_)))));
    assert!(matches!(reader.next(&mut input), Ok(Some(Incoming::Stanza(auth))) if auth.name() == "auth"));
    reader.reset();
    assert!(matches!(reader.next(&mut input), Ok(Some(Incoming::Open(_)))));
    assert!(matches!(reader.next(&mut input), Ok(Some(Incoming::Stanza(iq))) if iq.name() == "iq"));
}

#[test]
fn an_idle_reader_holds_next_to_nothing() {
    let mut reader = StreamReader::new(Framing::Tcp, Bounds::default());
    assert_eq!(reader.held_bytes(), 0);
    assert_eq!(read_pieces(&mut reader, [HEADER.as_bytes(), b"<a>half of it"]).1, None);
    assert!(reader.held_bytes() > 10 && reader.is_within_item());
    assert_eq!(read_pieces(&mut reader, [&b"</a>\n"[..], b"\n"]).1, None);
    assert!(reader.held_bytes() <= 256 && !reader.is_within_item(), "{}", reader.held_bytes());
    assert!(size_of::<StreamReader>() <= 256, "{}", size_of::<StreamReader>());
}

#[test]
fn a_header_that_ends_at_once_is_both() {
    let header = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>";
    let (got, error) = read(Framing::Tcp, &[header, "<iq/>"]);
    assert!(matches!((&got[..], error), ([Incoming::Open(_), Incoming::Close], None)), "{got:?} {error:?}");
}

#[test]
fn xmpp_parsers_takes_the_elements() {
    let element = stanza("<message to='a@localhost' type='groupchat'><body>hi</body></message>");
    let message = xmpp_parsers::message::Message::try_from(element).unwrap();
    assert_eq!(message.to.map(|jid| jid.to_string()).as_deref(), Some("a@localhost"));
    assert_eq!(message.bodies.values().next().map(String::as_str), Some("hi"));
}
