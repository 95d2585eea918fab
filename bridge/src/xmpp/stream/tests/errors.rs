//! Each fault with its stream error.

use super::*;
use Condition::{
    BadFormat, BadNamespacePrefix, InvalidNamespace, NotWellFormed, PolicyViolation, RestrictedXml, UnsupportedEncoding, UnsupportedVersion,
};

/// What a reader says to bytes, at once and byte by byte.
fn condition(framing: Framing, messages: &[&[u8]]) -> Option<Condition> {
    let whole = read_pieces(&mut StreamReader::new(framing, Bounds::default()), messages.iter().copied()).1;
    let mut reader = StreamReader::new(framing, Bounds::default());
    let mut single = None;
    'all: for message in messages {
        for mut byte in message.chunks(1) {
            while single.is_none() {
                match reader.next(&mut byte) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => single = Some(error),
                }
            }
        }
        if framing == Framing::WebSocket && single.is_none() {
            single = reader.end_message().err();
        }
        if single.is_some() {
            break 'all;
        }
    }
    let of = |error: Option<StreamError>| error.map(|error| error.condition);
    assert_eq!(of(single), of(whole), "however it is cut: {messages:?}");
    of(whole)
}

#[test]
fn headers_that_are_none() {
    let streams = "xmlns:stream='http://etherx.jabber.org/streams'";
    let rows: &[(String, Condition)] = &[
        ("<stream:stream xmlns:stream='urn:wrong'>".into(), InvalidNamespace),
        ("<stream xmlns='jabber:client'>".into(), InvalidNamespace),
        ("<html>".into(), InvalidNamespace),
        (format!("<stream xmlns='jabber:client' {streams}>"), BadNamespacePrefix),
        ("<stream:stream>".into(), BadNamespacePrefix),
        (format!("<stream:steam {streams}>"), BadFormat),
        (format!("<stream:stream version='one' {streams}>"), UnsupportedVersion),
        (format!("<stream:stream version='1.0.0' {streams}>"), UnsupportedVersion),
        (format!("<stream:stream version='1.99999' {streams}>"), UnsupportedVersion),
        (format!("<stream:stream to='a' to='b' {streams}>"), NotWellFormed),
        ("GET / HTTP/1.1\r\n".into(), NotWellFormed),
        ("\u{FEFF}<stream:stream>".into(), NotWellFormed),
        ("</stream:stream>".into(), NotWellFormed),
        (format!("<stream:stream to='{}' {streams}>", "a".repeat(5_000)), PolicyViolation),
        ("<?xml version='1.1'?>".into(), NotWellFormed),
        ("<?xml?>".into(), NotWellFormed),
        ("<?xml encoding='UTF-8'?>".into(), NotWellFormed),
        ("<?xml version='1.0' version='1.0'?>".into(), NotWellFormed),
        ("<?xml version='1.0'encoding='UTF-8'?>".into(), NotWellFormed),
        ("<?xml version='1.0' standalone='maybe'?>".into(), NotWellFormed),
        ("<?xml version='1.0'?><?xml version='1.0'?>".into(), RestrictedXml),
        ("<?xml version='1.0' encoding='ISO-8859-1'?>".into(), UnsupportedEncoding),
        ("<?xml version='1.0' encoding=\"utf-16\"?>".into(), UnsupportedEncoding),
        ("<?xml-stylesheet href='a'?>".into(), RestrictedXml),
        ("<?php echo 1 ?>".into(), RestrictedXml),
        ("<!DOCTYPE stream>".into(), RestrictedXml),
        ("<!-- hello -->".into(), RestrictedXml),
        ("<![CDATA[a]]>".into(), NotWellFormed),
    ];
    for (header, expected) in rows {
        assert_eq!(condition(Framing::Tcp, &[header.as_bytes()]), Some(*expected), "{header}");
    }
    assert_eq!(condition(Framing::Tcp, &[b"\xFF\xFE<\0s\0"]), Some(UnsupportedEncoding));
    assert_eq!(condition(Framing::Tcp, &[b"\xFE\xFF\0<\0s"]), Some(UnsupportedEncoding));
    assert_eq!(condition(Framing::Tcp, &[b"\0"]), Some(NotWellFormed));
    assert_eq!(condition(Framing::Tcp, &[b"<?xml version='1.0' encoding='\xFF'?>"]), Some(UnsupportedEncoding));
}

/// Stanzas that are no XML, or XML that streams do not have, in either framing.
const BAD_STANZAS: &[(&[u8], Condition)] = &[
    (b"<a><!-- no --></a>", RestrictedXml),
    (b"<!-- no -->", RestrictedXml),
    (b"<a><?no no?></a>", RestrictedXml),
    (b"<a><?xml version='1.0'?></a>", RestrictedXml),
    (b"<a><!DOCTYPE a></a>", RestrictedXml),
    (b"<!ENTITY a 'b'>", RestrictedXml),
    (b"<a>&lol;</a>", RestrictedXml),
    (b"<a b='&nbsp;'/>", RestrictedXml),
    (b"<a>\xFF</a>", UnsupportedEncoding),
    (b"<a b='\xC3'/>", UnsupportedEncoding),
    (b"<a>\xED\xA0\x80</a>", UnsupportedEncoding),
    (b"\xFF", UnsupportedEncoding),
    (b"<a>\0</a>", NotWellFormed),
    (b"<a>\x0B</a>", NotWellFormed),
    (b"<a>\xEF\xBF\xBF</a>", NotWellFormed),
    (b"<a>&#0;</a>", NotWellFormed),
    (b"<a>&#xD800;</a>", NotWellFormed),
    (b"<a>&#;</a>", NotWellFormed),
    (b"<a>]]></a>", NotWellFormed),
    (b"<a></b>", NotWellFormed),
    (b"<a b='1' b='2'/>", NotWellFormed),
    (b"<a xmlns='urn:a' xmlns='urn:b'/>", NotWellFormed),
    (b"<a xmlns:p='urn:a' xmlns:p='urn:b'/>", NotWellFormed),
    (b"<a xmlns:p='urn:a' xmlns:q='urn:a' p:b='' q:b=''/>", NotWellFormed),
    (b"<a b=c/>", NotWellFormed),
    (b"<a b/>", NotWellFormed),
    (b"<a / >", NotWellFormed),
    (b"<a <b/>", NotWellFormed),
    (b"<a b='<'/>", NotWellFormed),
    (b"<a b='1'c='2'/>", NotWellFormed),
    (b"<a></a", NotWellFormed),
    (b"< a/>", NotWellFormed),
    (b"<1/>", NotWellFormed),
    (b"<a:b:c/>", NotWellFormed),
    (b"<:a/>", NotWellFormed),
    (b"text", NotWellFormed),
    (b"<![CDATA[a]]>", NotWellFormed),
    (b"<a><![INCLUDE[b]]></a>", NotWellFormed),
    (b"<p:a/>", BadNamespacePrefix),
    (b"<a p:b=''/>", BadNamespacePrefix),
    (b"<a><b xmlns:p='urn:p'/><p:c/></a>", BadNamespacePrefix),
    (b"<a xmlns:p=''/>", BadNamespacePrefix),
    (b"<a xmlns:xml='urn:a'/>", BadNamespacePrefix),
    (b"<a xmlns:xmlns='urn:a'/>", BadNamespacePrefix),
    (b"<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", BadNamespacePrefix),
    (b"<a xmlns='http://www.w3.org/XML/1998/namespace'/>", BadNamespacePrefix),
    (b"<a xmlns='http://www.w3.org/2000/xmlns/'/>", BadNamespacePrefix),
    (b"<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", BadNamespacePrefix),
    (b"<xmlns:a/>", BadNamespacePrefix),
];

#[test]
fn stanzas_that_are_none() {
    for (stanza, expected) in BAD_STANZAS {
        // Over TCP an unfinished one is none yet.
        let ended = [stanza, &b"></a>"[..]].concat();
        let tcp: &[u8] = if *stanza == b"<a></a" { &ended } else { stanza };
        let text = String::from_utf8_lossy(stanza);
        assert_eq!(condition(Framing::Tcp, &[HEADER.as_bytes(), tcp]), Some(*expected), "{text}");
        assert_eq!(condition(Framing::WebSocket, &[OPEN.as_bytes(), stanza]), Some(*expected), "{text}");
    }
}

#[test]
fn two_headers() {
    assert_eq!(condition(Framing::Tcp, &[HEADER.as_bytes(), b"<stream:stream>"]), Some(InvalidNamespace));
    assert_eq!(condition(Framing::Tcp, &[HEADER.as_bytes(), b"<stream:stream/>"]), Some(InvalidNamespace));
    assert_eq!(
        condition(Framing::Tcp, &[HEADER.as_bytes(), b"<s:stream xmlns:s='http://etherx.jabber.org/streams'/>"]),
        Some(InvalidNamespace)
    );
    assert_eq!(condition(Framing::Tcp, &[HEADER.as_bytes(), b"<stream:streams/>"]), None);
    assert_eq!(condition(Framing::Tcp, &[HEADER.as_bytes(), b"<?xml version='1.0'?>"]), Some(RestrictedXml));
    assert_eq!(condition(Framing::Tcp, &[HEADER.as_bytes(), b"</stream>"]), Some(NotWellFormed));
    assert_eq!(condition(Framing::WebSocket, &[OPEN.as_bytes(), OPEN.as_bytes()]), Some(InvalidNamespace));
}

#[test]
fn messages_that_are_not_one_element() {
    let open = OPEN.as_bytes();
    let rows: &[(&[&[u8]], Option<Condition>)] = &[
        (&[b"<message xmlns='jabber:client'/>"], Some(InvalidNamespace)),
        (&[b"<open/>"], Some(InvalidNamespace)),
        (&[b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>"], Some(InvalidNamespace)),
        (&[b"<opened xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"], Some(BadFormat)),
        (&[b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'>"], Some(NotWellFormed)),
        (&[open, b"<a/><b/>"], Some(NotWellFormed)),
        (&[open, b"<a/>b"], Some(NotWellFormed)),
        (&[open, b"<a>", b"</a>"], Some(NotWellFormed)),
        (&[open, b"</a>"], Some(NotWellFormed)),
        (&[open, b"<stream:features/>"], Some(BadNamespacePrefix)),
        (&[open, b"<a/>", b"<b/>"], None),
        (&[open, b"\n", b""], None),
    ];
    for (messages, expected) in rows {
        assert_eq!(condition(Framing::WebSocket, messages), *expected, "{messages:?}");
    }
}

#[test]
fn after_an_error_nothing_is_read() {
    let mut reader = StreamReader::new(Framing::Tcp, Bounds::default());
    assert!(read_pieces(&mut reader, [HEADER.as_bytes(), b"<a>", b"<?b"]).1.is_some());
    assert_eq!(read_pieces(&mut reader, [&b"?></a><iq/>"[..]]), (vec![], None));
    assert!(reader.held_bytes() < 256);
}

#[test]
fn each_condition_has_its_name() {
    let names: Vec<_> = Condition::ALL.iter().map(|condition| condition.name()).collect();
    assert_eq!(names.len(), 22);
    assert!(names.is_sorted());
    assert_eq!(StreamError::policy("too much").to_string(), "policy-violation: too much [RFC 6120 §4.9.3.14]");
}
