//! Bytes that no client should send, and the stream error that each must end with (RFC 6120 §4.9.3, §11).

use anyhow::{Result, bail, ensure};

use super::{WITHIN, is_served, sign_in};
use crate::suite::Report;
use crate::wire::{Opcode, encode};
use crate::xmpp::client::{Client, Endpoints, Over};

/// A name, the bytes, the conditions that may end the stream.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

const MALFORMED: &[&str] = &["not-well-formed"];
const RESTRICTED: &[&str] = &["restricted-xml"];
const TOO_MUCH: &[&str] = &["policy-violation"];
/// A header, so that what follows it is the first child.
const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";

/// Each case on a connection of its own; the server serves others after each.
pub fn run(to: &Endpoints, report: &mut Report) {
    for (name, bytes, conditions) in first_cases() {
        report.check(&format!("hostile XMPP: instead of a header, {name}"), || ends(Client::open(to, Over::Tcp)?, to, &bytes, conditions));
    }
    for (name, bytes, conditions) in cases() {
        report.check(&format!("hostile XMPP: before signing in, {name}"), || {
            ends(Client::greet(to, Over::Tcp)?, to, &bytes, &[conditions, &["not-authorized"]].concat())
        });
        report.check(&format!("hostile XMPP: signed in, {name}"), || ends(sign_in(to, "mallory", "bad")?, to, &bytes, conditions));
    }
    report.check("hostile XMPP: over TLS, 1 MB of nested elements", || {
        ends(Client::greet(to, Over::StartTls)?, to, &"<a>".repeat(333_334).into_bytes(), &["policy-violation", "not-authorized"])
    });
    for (name, opcode, text, conditions) in websocket_cases() {
        report.check(&format!("hostile XMPP: over WebSocket, {name}"), || {
            let mut frame = Vec::new();
            encode(&mut frame, opcode, text.as_bytes(), [1, 2, 3, 4]);
            ends(Client::greet(to, Over::WebSocket)?, to, &frame, conditions)
        });
    }
}

/// The stream ends with one of the conditions. Of what is too large for the socket's buffers the server may not read the rest, and then its
/// error may be lost with the connection; the end may not.
fn ends(mut client: Client, to: &Endpoints, bytes: &[u8], conditions: &[&str]) -> Result<String> {
    client.throw(bytes);
    let condition = client.expect_end(WITHIN)?;
    match &condition {
        Some(condition) => ensure!(conditions.contains(&condition.as_str()), "it ended with {condition}, not with one of {conditions:?}"),
        None if bytes.len() > 100_000 => {}
        None => bail!("it ended without an error; expected one of {conditions:?}"),
    }
    is_served(to)?;
    Ok(condition.unwrap_or_else(|| "closed".into()))
}

fn first_cases() -> Vec<Case> {
    let header_of = |attrs: &str| format!("<stream:stream {attrs}>").into_bytes();
    let many: String = (0..20_000).map(|at| format!("a{at}='' ")).collect();
    vec![
        (
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            &["not-well-formed", "bad-format", "unsupported-encoding"],
        ),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), &["not-well-formed", "bad-format"]),
        ("another root", b"<html xmlns='http://www.w3.org/1999/xhtml'>".to_vec(), &["bad-format", "invalid-namespace"]),
        (
            "a root without a namespace",
            b"<stream to='localhost' version='1.0'>".to_vec(),
            &["bad-format", "invalid-namespace", "bad-namespace-prefix"],
        ),
        (
            "an undeclared prefix",
            header_of("xmlns='jabber:client' to='localhost' version='1.0'"),
            &["bad-namespace-prefix", "invalid-namespace", "not-well-formed"],
        ),
        ("a DTD", b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y 'z'>]><x>".to_vec(), RESTRICTED),
        ("a comment", b"<!-- hello -->".to_vec(), RESTRICTED),
        ("a processing instruction", b"<?xml-stylesheet href='x'?>".to_vec(), RESTRICTED),
        ("another encoding", b"<?xml version='1.0' encoding='ISO-8859-1'?>".to_vec(), &["unsupported-encoding"]),
        (
            "UTF-16",
            "\u{feff}<stream".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            &["unsupported-encoding", "not-well-formed", "bad-format"],
        ),
        ("NUL", b"\0\0\0\0".to_vec(), &["not-well-formed", "bad-format"]),
        (
            "1 MB of white space",
            [b" ".repeat(1 << 20), b"<x>".to_vec()].concat(),
            &["policy-violation", "bad-format", "not-well-formed", "invalid-namespace"],
        ),
        ("a header with 20,000 attributes", header_of(&many), TOO_MUCH),
        ("a header of 10 MB", header_of(&format!("to='{}'", "x".repeat(10 << 20))), TOO_MUCH),
        ("a version that is none", HEADER.replace("1.0", "one").into_bytes(), &["unsupported-version"]),
    ]
}

/// Within a stream.
fn cases() -> Vec<Case> {
    let message = |inner: &str| format!("<message to='bob@localhost' type='chat'>{inner}</message>").into_bytes();
    let attributes: String = (0..20_000).map(|at| format!(" a{at}=''")).collect();
    let mut laughs = String::from("<!DOCTYPE lolz [<!ENTITY lol 'lol'>");
    for level in 1..10 {
        let inner = format!("&lol{};", level - 1).repeat(10);
        laughs.push_str(&format!("<!ENTITY lol{level} '{inner}'>"));
    }
    laughs.push_str("]><message><body>&lol9;</body></message>");
    vec![
        ("1 MB of nested elements", "<a>".repeat(333_334).into_bytes(), TOO_MUCH),
        ("1 MB of elements beside each other", message(&"<a/>".repeat(250_000)), TOO_MUCH),
        ("an attribute of 10 MB", format!("<iq id='{}'/>", "x".repeat(10 << 20)).into_bytes(), TOO_MUCH),
        ("a text of 10 MB", message(&format!("<body>{}</body>", "x".repeat(10 << 20))), TOO_MUCH),
        ("a name of 1 MB", format!("<{}", "x".repeat(1 << 20)).into_bytes(), TOO_MUCH),
        ("20,000 attributes", format!("<iq{attributes}/>").into_bytes(), TOO_MUCH),
        ("a stanza that never ends", [b"<message><body>".to_vec(), b"x ".repeat(1 << 20)].concat(), TOO_MUCH),
        ("a DTD", b"<!DOCTYPE x SYSTEM 'http://localhost/x.dtd'>".to_vec(), RESTRICTED),
        ("a billion laughs", laughs.into_bytes(), RESTRICTED),
        ("an entity beyond the five", message("<body>&nbsp;</body>"), RESTRICTED),
        ("a processing instruction", message("<?php echo 1 ?>"), RESTRICTED),
        ("a comment", message("<!-- psst -->"), RESTRICTED),
        ("a second header", HEADER.as_bytes().to_vec(), &["invalid-namespace", "bad-format", "unsupported-stanza-type", "not-well-formed"]),
        ("garbage", b"\x80\x81\xfe\xff\x00\x01".to_vec(), &["unsupported-encoding", "not-well-formed"]),
        (
            "what is not UTF-8",
            [b"<message><body>".to_vec(), b"\xc3\x28</body></message>".to_vec()].concat(),
            &["unsupported-encoding", "not-well-formed"],
        ),
        ("a surrogate in UTF-8", b"<message><body>\xed\xa0\x80</body></message>".to_vec(), &["unsupported-encoding", "not-well-formed"]),
        ("NUL", message("<body>\0</body>"), MALFORMED),
        ("NUL by reference", message("<body>&#0;</body>"), MALFORMED),
        ("a surrogate by reference", message("<body>&#xD800;</body>"), MALFORMED),
        ("a control character", message("<body>\x07</body>"), MALFORMED),
        ("tags that cross", b"<message><a><b></a></b></message>".to_vec(), MALFORMED),
        ("an end of nothing", b"</message>".to_vec(), MALFORMED),
        ("an attribute twice", b"<message to='bob@localhost' to='alice@localhost'/>".to_vec(), MALFORMED),
        ("a value without quotes", b"<message to=bob@localhost/>".to_vec(), MALFORMED),
        ("a prefix that nobody declared", message("<x:y/>"), &["not-well-formed", "bad-namespace-prefix"]),
        ("text between stanzas", b"hello".to_vec(), &["not-well-formed", "bad-format"]),
        ("an unknown child of the stream", b"<hello xmlns='urn:example:hello'/>".to_vec(), &["unsupported-stanza-type"]),
        ("a stanza in no namespace", b"<message xmlns=''/>".to_vec(), &["unsupported-stanza-type", "invalid-namespace"]),
    ]
}

fn websocket_cases() -> Vec<(&'static str, Opcode, String, &'static [&'static str])> {
    let ping = "<iq xmlns='jabber:client' type='get' id='x'/>";
    vec![
        (
            "two elements in one message",
            Opcode::Text,
            format!("{ping}{ping}"),
            &["not-well-formed", "policy-violation", "bad-format", "invalid-xml", "not-authorized"],
        ),
        ("half an element", Opcode::Text, "<iq xmlns='jabber:client'".into(), MALFORMED),
        (
            "a stream header as over TCP",
            Opcode::Text,
            HEADER.into(),
            &["not-well-formed", "invalid-namespace", "bad-format", "not-authorized"],
        ),
        ("a DTD", Opcode::Text, "<!DOCTYPE x><x/>".into(), RESTRICTED),
        ("1 MB of nested elements", Opcode::Text, "<a>".repeat(333_334), TOO_MUCH),
        ("no element at all", Opcode::Text, "hello".into(), &["not-well-formed", "bad-format"]),
    ]
}
