//! Packets good and bad, each bad one with the clause that it breaks; and whatever bytes there are, no panic.

use proptest::prelude::*;

use super::*;

/// A packet of a client: type and flags, then the body with its length in front.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut len = body.len();
    loop {
        let more = len > 0x7F;
        bytes.push((len & 0x7F) as u8 | if more { 0x80 } else { 0 });
        len >>= 7;
        if !more {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A CONNECT's body: level, flags, properties of 5, and what follows.
fn connect(level: u8, flags: u8, properties: &[u8], payload: &[&[u8]]) -> Vec<u8> {
    let mut body = joined(&[&text("MQTT"), &[level, flags], &[0, 60]]);
    if level == 5 {
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend_from_slice(properties);
    }
    body.extend(payload.concat());
    body
}

fn parsed(version: Option<Version>, first: u8, body: &[u8]) -> Result<(), &'static str> {
    Packet::parse(version, Raw { first, body }).map(drop).map_err(|violation| violation.clause)
}

const V4: Option<Version> = Some(Version::V4);
const V5: Option<Version> = Some(Version::V5);

#[test]
fn connects_are_read() {
    let body = connect(
        5,
        0xEE,
        &[0x11, 0, 0, 0, 9, 0x21, 0, 7, 0x27, 0, 0, 1, 0, 0x22, 0, 3, 0x19, 1, 0x17, 0, 0x26, 0, 1, b'a', 0, 1, b'b'],
        &[&text("me"), &[5, 0x18, 0, 0, 0, 4], &text("w/t"), &text("bye"), &text("alice"), &text("secret")],
    );
    let Ok(Packet::Connect(connect)) = Packet::parse(None, Raw { first: 0x10, body: &body }) else { panic!("no CONNECT") };
    assert_eq!((connect.version, connect.clean_start, connect.keep_alive_s, connect.client_id), (Version::V5, true, 60, "me"));
    assert_eq!((connect.username, connect.password), (Some("alice"), Some(&b"secret"[..])));
    let will = connect.will.unwrap();
    assert_eq!((will.topic, will.payload, will.qos, will.retain, will.delay_s), ("w/t", &b"bye"[..], Qos::AtLeastOnce, true, 4));
    let properties = connect.properties;
    assert_eq!((properties.session_expiry_s, properties.receive_maximum, properties.maximum_packet_size), (Some(9), Some(7), Some(256)));
    assert_eq!((properties.topic_alias_maximum, properties.request_response_information), (3, true));
    assert!(!properties.request_problem_information);
    assert_eq!(properties.user_properties.get("a"), Some("b"));
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_clause() {
    let me = text("me");
    let topic = text("a");
    let rows: Vec<(Option<Version>, u8, Vec<u8>, &str)> = vec![
        (None, 0x30, vec![], "MQTT-3.1.0-1"),
        (None, 0x11, connect(4, 2, &[], &[&me]), "MQTT-2.1.3-1"),
        (None, 0x10, connect(4, 3, &[], &[&me]), "MQTT-3.1.2-3"),
        (None, 0x10, connect(4, 0x0A, &[], &[&me]), "MQTT-3.1.2-11"),
        (None, 0x10, connect(4, 0x22, &[], &[&me]), "MQTT-3.1.2-13"),
        (None, 0x10, connect(4, 0x1E, &[], &[&me, &topic, &topic]), "MQTT-3.1.2-12"),
        (None, 0x10, connect(4, 0x42, &[], &[&me, &me]), "MQTT-3.1.2-22"),
        (None, 0x10, connect(6, 2, &[], &[&me]), "MQTT-3.1.2-2"),
        (None, 0x10, joined(&[&text("MQTX"), &[4, 2, 0, 0], &me]), "MQTT-3.1.2-1"),
        (None, 0x10, connect(4, 2, &[], &[&me, &[0]]), "MQTT-3.1.3-1"),
        (None, 0x10, connect(4, 2, &[], &[&[0, 2, b'm']]), "MQTT-4.13.1-1"),
        (None, 0x10, connect(4, 2, &[], &[&[0, 1, 0xFF]]), "MQTT-1.5.4-1"),
        (None, 0x10, connect(4, 2, &[], &[&[0, 1, 0]]), "MQTT-1.5.4-2"),
        (None, 0x10, connect(4, 2, &[], &[&[0, 3, 0xED, 0xA0, 0x80]]), "MQTT-1.5.4-1"),
        (None, 0x10, connect(5, 2, &[0x21, 0, 0], &[&me]), "MQTT-3.1.2.11.3"),
        (None, 0x10, connect(5, 2, &[0x27, 0, 0, 0, 0], &[&me]), "MQTT-3.1.2.11.4"),
        (None, 0x10, connect(5, 2, &[0x16, 0, 0], &[&me]), "MQTT-3.1.2.11.10"),
        (None, 0x10, connect(5, 2, &[0x17, 2], &[&me]), "MQTT-3.1.2.11"),
        (None, 0x10, connect(5, 2, &[0x17, 0, 0x17, 0], &[&me]), "MQTT-2.2.2.2"),
        (None, 0x10, connect(5, 2, &[0x0B, 1], &[&me]), "MQTT-2.2.2-2"),
        (None, 0x10, connect(5, 2, &[0x7F], &[&me]), "MQTT-2.2.2-2"),
        (None, 0x10, connect(5, 6, &[], &[&me, &[0], &text("a/#"), &topic]), "MQTT-3.3.2-2"),
        (V4, 0x10, connect(4, 2, &[], &[&me]), "MQTT-3.1.0-2"),
        (V4, 0x36, joined(&[&topic, &[0, 1]]), "MQTT-3.3.1-4"),
        (V4, 0x38, topic.clone(), "MQTT-3.3.1-2"),
        (V4, 0x32, joined(&[&topic, &[0, 0]]), "MQTT-2.2.1-3"),
        (V4, 0x30, text("a/+"), "MQTT-3.3.2-2"),
        (V4, 0x30, text(""), "MQTT-4.7.3-1"),
        (V5, 0x30, joined(&[&text(""), &[0]]), "MQTT-4.7.3-1"),
        (V5, 0x30, joined(&[&topic, &[3, 0x23, 0, 0]]), "MQTT-3.3.2-8"),
        (V5, 0x30, joined(&[&topic, &[6, 0x08, 0, 3], b"a/#"]), "MQTT-3.3.2-14"),
        (V5, 0x30, joined(&[&topic, &[2, 0x01, 2]]), "MQTT-3.1.2.11"),
        (V5, 0x30, joined(&[&topic, &[2, 0x0B, 2]]), "MQTT-3.3.4-6"),
        (V5, 0x30, joined(&[&topic, &[0x80, 0]]), "MQTT-1.5.5-1"),
        (V5, 0x30, joined(&[&topic, &[0xFF, 0xFF, 0xFF, 0xFF, 1]]), "MQTT-1.5.5"),
        (V4, 0x40, vec![0, 1, 0], "MQTT-4.13.1-1"),
        (V5, 0x40, vec![0, 1, 0x92], "MQTT-3.4.2-1"),
        (V4, 0x60, vec![0, 1], "MQTT-2.1.3-1"),
        (V4, 0x80, joined(&[&[0, 1], &topic[..], &[0]]), "MQTT-2.1.3-1"),
        (V4, 0x82, vec![0, 1], "MQTT-3.8.3-2"),
        (V4, 0x82, joined(&[&[0, 1], &topic[..], &[3]]), "MQTT-3.8.3-5"),
        (V4, 0x82, joined(&[&[0, 1], &topic[..], &[4]]), "MQTT-3.8.3-5"),
        (V5, 0x82, joined(&[&[0, 1, 0], &topic[..], &[0x30]]), "MQTT-3.8.3.1"),
        (V5, 0x82, joined(&[&[0, 1, 0], &topic[..], &[0x40]]), "MQTT-3.8.3-5"),
        (V5, 0x82, joined(&[&[0, 1, 0], &text("$share/g/a"), &[4]]), "MQTT-3.8.3-4"),
        (V5, 0x82, joined(&[&[0, 1, 2, 0x0B, 0], &topic[..], &[0]]), "MQTT-3.8.2.1.2"),
        (V4, 0xA2, vec![0, 1], "MQTT-3.10.3-2"),
        (V4, 0xC0, vec![0], "MQTT-3.12"),
        (V4, 0xE0, vec![0], "MQTT-3.14.1-1"),
        (V5, 0xE0, vec![0x8E], "MQTT-3.14.2-1"),
        (V4, 0xF0, vec![], "MQTT-2.1.2"),
        (V5, 0xF0, vec![], "MQTT-3.15.2-1"),
        (V5, 0xF0, vec![0x18], "MQTT-3.15.2.2.2"),
        (V5, 0x20, vec![], "MQTT-2.1.2"),
        (V5, 0x00, vec![], "MQTT-2.1.2"),
    ];
    for (version, first, body, clause) in rows {
        assert_eq!(parsed(version, first, &body), Err(clause), "{first:02x} {body:02x?}");
    }
}

#[test]
fn an_idle_decoder_holds_nothing_and_a_long_packet_is_refused_by_its_header() {
    let mut decoder = Decoder::new(100);
    assert_eq!(decoder.held_bytes(), 0);
    let ping = packet(0xC0, &[]);
    assert!(decoder.next(&mut &ping[..]).unwrap().is_some());
    assert!(decoder.next(&mut &[0xC0][..]).unwrap().is_none());
    assert!(decoder.held_bytes() > 0);
    assert!(decoder.next(&mut &[0][..]).unwrap().is_some());
    assert!(decoder.next(&mut &[][..]).unwrap().is_none());
    assert_eq!(decoder.held_bytes(), 0);
    let long = packet(0x30, &[0; 99]);
    assert_eq!(Decoder::new(100).next(&mut &long[..2]).unwrap_err().code, Code::PACKET_TOO_LARGE);
    for bad in [&[0x30, 0xFF, 0xFF, 0xFF, 0xFF][..], &[0x30, 0x80, 0x00]] {
        assert_eq!(Decoder::new(100).next(&mut &bad[..]).unwrap_err().code, Code::MALFORMED_PACKET);
    }
}

/// A message to a client, and the same read as if it came from one.
fn outgoing<'a>(message: MessageProperties<'a>, identifiers: &'a [u32], qos: Qos) -> Outgoing<'a> {
    Outgoing {
        dup: false,
        qos,
        retain: true,
        topic: "a/b",
        packet_id: 77,
        topic_alias: None,
        subscription_identifiers: identifiers,
        message,
        payload: b"payload",
    }
}

#[test]
fn acks_are_as_short_as_they_can_be() {
    let written = |version, code, reason| {
        let mut out = Vec::new();
        write_ack(version, AckKind::PubAck, 258, code, reason, &mut out);
        out
    };
    assert_eq!(written(Version::V5, Code::SUCCESS, None), [0x40, 2, 1, 2]);
    assert_eq!(written(Version::V5, Code::NOT_AUTHORIZED, None), [0x40, 3, 1, 2, 0x87]);
    assert_eq!(written(Version::V5, Code::NOT_AUTHORIZED, Some("no")), [0x40, 9, 1, 2, 0x87, 5, 0x1F, 0, 2, b'n', b'o']);
    assert_eq!(written(Version::V4, Code::NOT_AUTHORIZED, Some("no")), [0x40, 2, 1, 2]);
    let mut out = Vec::new();
    write_suback(Version::V4, 1, &[Code::SUCCESS, Code::NOT_AUTHORIZED], &mut out);
    write_suback(Version::V5, 1, &[Code::GRANTED_QOS_1, Code::NOT_AUTHORIZED], &mut out);
    write_unsuback(Version::V4, 1, &[Code::SUCCESS], &mut out);
    assert_eq!(out, [0x90, 4, 0, 1, 0, 0x80, 0x90, 5, 0, 1, 0, 1, 0x87, 0xB0, 2, 0, 1]);
    let mut out = Vec::new();
    write_connack(Version::V4, &ConnAck::new(Code::BAD_USER_NAME_OR_PASSWORD, true), &mut out);
    write_connack(Version::V5, &ConnAck { receive_maximum: Some(9), ..ConnAck::new(Code::SUCCESS, true) }, &mut out);
    assert_eq!(out, [0x20, 2, 0, 4, 0x20, 6, 1, 0, 3, 0x21, 0, 9]);
}

proptest! {
    /// However the input is cut, the same packets come out, and no more is held than the bound.
    #[test]
    fn packets_come_whole_however_they_are_cut(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8), cuts in prop::collection::vec(1..50usize, 1..40),
    ) {
        let stream: Vec<u8> = bodies.iter().flat_map(|body| packet(0x30, body)).collect();
        let mut decoder = Decoder::new(400);
        let (mut got, mut rest, mut cuts) = (Vec::new(), &stream[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (mut piece, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            rest = later;
            while let Some(raw) = decoder.next(&mut piece).unwrap() {
                got.push(raw.body.to_vec());
            }
            prop_assert!(decoder.held_bytes() <= 400);
        }
        prop_assert_eq!(got, bodies);
    }

    #[test]
    fn any_bytes_are_read_or_refused(first: u8, body in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in [None, V4, V5] {
            let _ = Packet::parse(version, Raw { first, body: &body });
        }
        let _ = Decoder::new(1000).next(&mut &body[..]);
    }

    /// Good packets with something changed, which come further than any bytes.
    #[test]
    fn changed_packets_are_read_or_refused(which in 0..5usize, at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let (first, mut body) = [
            (0x10, connect(5, 0xC6, &[0x21, 0, 7, 0x26, 0, 1, b'a', 0, 1, b'b'], &[&text("me"), &[0], &text("w"), &text("x"), &text("u"), &text("p")])),
            (0x32, joined(&[&text("a/b"), &[0, 9, 9, 0x03, 0, 1, b't', 0x02, 0, 0, 0, 1], b"payload"])),
            (0x82, joined(&[&[0, 1, 2, 0x0B, 5], &text("a/#")[..], &[0x2D], &text("b"), &[1]])),
            (0x40, vec![0, 1, 0x10, 5, 0x1F, 0, 2, b'n', b'o']),
            (0xE0, vec![4, 5, 0x11, 0, 0, 0, 9]),
        ][which].clone();
        let changed = at.index(body.len());
        body[changed] = to;
        body.truncate(cut.index(body.len() + 1));
        for version in [None, V4, V5] {
            let _ = Packet::parse(version, Raw { first, body: &body });
        }
    }

    #[test]
    fn messages_come_back(
        utf8: bool, expiry_s: Option<u32>, content_type in "[a-z/]{0,20}", correlation in prop::collection::vec(any::<u8>(), 0..20),
        user in prop::collection::vec(("\\PC{0,10}", "\\PC{0,10}"), 0..3),
    ) {
        let pairs: Vec<_> = user.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        let encoded = UserProperties::encode(&pairs);
        let message = MessageProperties {
            payload_is_utf8: utf8, expiry_s, content_type: Some(&content_type), response_topic: Some("r/t"),
            correlation_data: Some(&correlation), user_properties: UserProperties::encoded(&encoded),
        };
        for (version, qos) in [(Version::V4, Qos::AtMostOnce), (Version::V4, Qos::ExactlyOnce), (Version::V5, Qos::AtLeastOnce)] {
            let packet = outgoing(message, &[], qos);
            let mut out = vec![0xAA];
            let at = write_publish(version, &packet, &mut out);
            prop_assert_eq!(publish_len(version, &packet), out.len() - 1);
            prop_assert_eq!((packet_id_at(&out[1..]) + 1, topic_in(&out[1..])), (at, "a/b"));
            let mut decoder = Decoder::new(10_000);
            let mut input = &out[1..];
            let Ok(Some(raw)) = decoder.next(&mut input) else { return Err(TestCaseError::fail("no packet")) };
            let Ok(Packet::Publish(read)) = Packet::parse(Some(version), raw) else { return Err(TestCaseError::fail("no PUBLISH")) };
            prop_assert_eq!((read.topic, read.payload, read.qos, read.retain), ("a/b", &b"payload"[..], qos, true));
            if version == Version::V5 {
                let found: Vec<_> = read.message.user_properties.iter().collect();
                prop_assert_eq!(found, user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>());
                let without = |message: MessageProperties<'_>| format!("{:?}", (
                    message.payload_is_utf8, message.expiry_s, message.content_type, message.response_topic, message.correlation_data,
                ));
                prop_assert_eq!(without(read.message), without(message));
            }
        }
    }

    /// A copy with another stamp is what would have been written with it.
    #[test]
    fn copies_are_as_if_written(
        content_type in proptest::option::of("[a-z/]{0,100}"), identifiers in prop::collection::vec(1..268_435_455u32, 0..4),
        qos in 0..3u8, retain: bool, dup: bool, packet_id in 1..=u16::MAX, payload in prop::collection::vec(any::<u8>(), 0..300),
        alias in proptest::option::of((1..=16u16, any::<bool>())),
    ) {
        let qos = Qos::from_bits(qos).unwrap();
        let message = MessageProperties { content_type: content_type.as_deref(), ..MessageProperties::default() };
        for version in [Version::V4, Version::V5] {
            let identifiers = if version == Version::V5 { &identifiers[..] } else { &[] };
            let alias = alias.filter(|_| version == Version::V5).map(|(number, is_known)| Alias { number, is_known });
            let plain = Outgoing { qos: Qos::AtLeastOnce, retain: false, packet_id: 0, payload: &payload, ..outgoing(message, &[], qos) };
            let mut form = Vec::new();
            write_publish(version, &plain, &mut form);
            let mut copy = Vec::new();
            restamp(version, &form, &Stamp { dup, qos, retain, packet_id, identifiers, alias }, &mut copy);
            let (first, body) = (copy[0], &copy[copy.len() - (copy.len() - 1 - varint_bytes(&copy))..]);
            prop_assert_eq!(first, 0x30 | u8::from(dup && qos != Qos::AtMostOnce) << 3 | u8::from(qos) << 1 | u8::from(retain));
            let mut wanted = Vec::new();
            let topic = if alias.is_some_and(|alias| alias.is_known) { "" } else { plain.topic };
            let topic_alias = alias.map(|alias| alias.number);
            let wanted_packet = Outgoing { dup, qos, retain, packet_id, topic, topic_alias, subscription_identifiers: identifiers, ..plain };
            write_publish(version, &wanted_packet, &mut wanted);
            // Properties may stand in another order.
            prop_assert_eq!((copy.len(), body.len()), (wanted.len(), wanted.len() - 1 - varint_bytes(&wanted)));
            if identifiers.is_empty() && alias.is_none() {
                prop_assert_eq!(copy, wanted);
            }
        }
    }
}

fn varint_bytes(packet: &[u8]) -> usize {
    packet.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count() + 1
}
