//! The codec of the tests: known bytes, what is refused, and that building and reading agree.

use proptest::prelude::*;

use super::Version::{self, V4, V5};
use super::packet::{self, Connect, Publish, Will};
use super::parse::{Codes, ConnAck, Packet, packet, split};
use super::property::{self, Value};

/// Reads exactly one packet.
fn read(version: Version, bytes: &[u8]) -> anyhow::Result<Packet> {
    let (first, body, length) = split(bytes)?.ok_or_else(|| anyhow::anyhow!("not whole"))?;
    assert_eq!(length, bytes.len());
    packet(version, first, body)
}

#[test]
fn connect_has_the_bytes_of_the_standard() {
    let mut hello = Connect::new(V4, "c");
    assert_eq!(hello.bytes(), b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01c");
    hello.will = Some(Will { topic: b"t".to_vec(), payload: b"p".to_vec(), qos: 1, retain: true, properties: Vec::new() });
    hello.user = Some(b"u".to_vec());
    hello.password = Some(b"s".to_vec());
    hello.clean = false;
    assert_eq!(hello.bytes(), b"\x10\x19\0\x04MQTT\x04\xEC\0\x3C\0\x01c\0\x01t\0\x01p\0\x01u\0\x01s");
    let mut hello = Connect::new(V5, "c");
    hello.properties.push((property::SESSION_EXPIRY, Value::Four(60)));
    assert_eq!(hello.bytes(), b"\x10\x13\0\x04MQTT\x05\x02\0\x3C\x05\x11\0\0\0\x3C\0\x01c");
}

#[test]
fn subscribe_and_disconnect_have_the_bytes_of_the_standard() {
    assert_eq!(packet::frame(0x82, &packet::subscribe_body(V4, 10, &[("a/b", 1)], &Vec::new())), b"\x82\x08\0\x0A\0\x03a/b\x01");
    assert_eq!(packet::frame(0xA2, &packet::unsubscribe_body(V5, 10, &["a"])), b"\xA2\x06\0\x0A\0\0\x01a");
    assert_eq!(packet::disconnect(V5, 0, &Vec::new()), b"\xE0\0");
    assert_eq!(packet::disconnect(V5, 4, &Vec::new()), b"\xE0\x02\x04\0");
    assert_eq!(packet::ack(packet::PUBREL, 258), b"\x62\x02\x01\x02");
}

#[test]
fn answers_are_read() {
    let answer = |properties| Packet::ConnAck(ConnAck { session_present: true, code: 0, properties });
    assert_eq!(read(V4, b"\x20\x02\x01\0").unwrap(), answer(Vec::new()));
    assert_eq!(read(V5, b"\x20\x06\x01\0\x03\x22\0\x0A").unwrap(), answer(vec![(property::ALIAS_MAXIMUM, Value::Two(10))]));
    let codes = Codes { id: 1, codes: vec![0, 0x80], properties: Vec::new() };
    assert_eq!(read(V4, b"\x90\x04\0\x01\0\x80").unwrap(), Packet::SubAck(codes));
    assert_eq!(read(V4, b"\xD0\0").unwrap(), Packet::PingResp);
    assert_eq!(read(V5, b"\xE0\x01\x8E").unwrap(), Packet::Disconnect { code: 0x8E, properties: Vec::new() });
}

#[test]
fn what_no_server_may_send_is_refused() {
    let bad: &[(Version, &[u8], &str)] = &[
        (V4, b"\x20\x02\x02\0", "reserved bits of CONNACK"),
        (V4, b"\x20\x02\0\x06", "unknown return code"),
        (V4, b"\x21\x02\0\0", "flags of CONNACK"),
        (V4, b"\x20\x03\0\0\0", "spare bytes"),
        (V5, b"\x20\x02\0\0", "no property length"),
        (V5, b"\x20\x09\0\0\x06\x22\0\x01\x22\0\x01", "a property twice"),
        (V5, b"\x20\x05\0\0\x02\x24\x02", "a flag of 2"),
        (V5, b"\x20\x05\0\0\x02\x01\x01", "a property of PUBLISH"),
        (V4, b"\x40\x02\0\0", "packet id 0"),
        (V4, b"\x40\x01\0", "half a packet id"),
        (V5, b"\x40\x03\0\x01\x92", "a code of PUBREL in PUBACK"),
        (V4, b"\x60\x02\0\x01", "flags of PUBREL"),
        (V4, b"\x36\x05\0\x01a\0\x01", "QoS 3"),
        (V4, b"\x38\x03\0\x01a", "DUP with QoS 0"),
        (V4, b"\x30\x03\0\x01#", "a wildcard in a name"),
        (V4, b"\x30\x03\0\x01\xFF", "no UTF-8"),
        (V4, b"\x30\x03\0\x01\0", "U+0000"),
        (V4, b"\x90\x03\0\x01\x03", "an unknown SUBACK code"),
        (V4, b"\xB0\x03\0\x01\0", "codes in an UNSUBACK of 3.1.1"),
        (V4, b"\xE0\0", "DISCONNECT in 3.1.1"),
        (V5, b"\xE0\x01\x04", "a client's reason code"),
        (V5, b"\xE0\x07\x8E\x05\x11\0\0\0\x01", "session expiry of the server"),
        (V4, b"\xC0\0", "PINGREQ from a server"),
        (V4, b"\xD0\x80\0", "a longer length than needed"),
    ];
    for (version, bytes, what) in bad {
        assert!(read(*version, bytes).is_err(), "{what}");
    }
}

#[test]
fn a_packet_is_not_read_before_it_is_whole() {
    let bytes = Publish::new("a", 0, vec![b'x'; 300]).bytes(V4);
    for end in 0..bytes.len() {
        assert!(split(&bytes[..end]).unwrap().is_none());
    }
    assert!(split(b"\x30\xFF\xFF\xFF\xFF\x01").is_err());
}

fn message() -> impl Strategy<Value = Publish> {
    let user = ("[a-z]{0,9}", "\\PC{0,9}").prop_map(|(key, value)| (property::USER, Value::Pair(key, value)));
    let list = proptest::collection::vec(user, 0..4);
    let payload = proptest::collection::vec(any::<u8>(), 0..300);
    ("[a-zäß/]{1,40}", 0_u8..3, 1_u16.., any::<bool>(), list, payload).prop_map(|(topic, qos, id, flag, properties, payload)| Publish {
        dup: flag && qos > 0,
        retain: flag,
        properties,
        ..Publish::new(topic, qos, payload).id(if qos > 0 { id } else { 0 })
    })
}

proptest! {
    #[test]
    fn what_is_built_is_read(sent in message()) {
        prop_assert_eq!(read(V5, &sent.bytes(V5)).unwrap(), Packet::Publish(sent.clone()));
        let plain = Publish { properties: Vec::new(), ..sent };
        prop_assert_eq!(read(V4, &plain.bytes(V4)).unwrap(), Packet::Publish(plain));
    }

    #[test]
    fn no_bytes_break_the_reading(bytes in proptest::collection::vec(any::<u8>(), 0..64), first in any::<u8>()) {
        for version in [V4, V5] {
            let _ = packet(version, first, &bytes);
            let _ = split(&bytes);
        }
    }
}
