//! Packets that break their format (1.5, 2.1, 4.8 of 3.1.1 and 4.13 of 5): the connection must be closed.

use anyhow::{Context, Result, ensure};

use super::broker::{Broker, Untested};
use crate::mqtt::packet::{self, PUBREL, Publish};
use crate::mqtt::property::{self, Value};

fn all_close(b: &Broker, list: &[(&str, &[u8])]) -> Result<()> {
    list.iter().try_for_each(|(what, bytes)| b.must_close_on(what, bytes))
}

/// Reserved flags of the fixed header, for every packet a client sends.
pub fn reserved_flags(b: &Broker) -> Result<()> {
    all_close(
        b,
        &[
            ("PINGREQ with flags 1", &[0xC1, 0]),
            ("DISCONNECT with flags 8", &[0xE8, 0]),
            ("PUBACK with flags 2", &[0x42, 2, 0, 1]),
            ("PUBREC with flags 1", &[0x51, 2, 0, 1]),
            ("PUBREL with flags 0", &[0x60, 2, 0, 1]),
            ("PUBCOMP with flags 4", &[0x74, 2, 0, 1]),
        ],
    )
}

pub fn pubrel_flags(b: &Broker) -> Result<()> {
    for first in [0x60, 0x63, 0x6A] {
        let mut client = b.client()?;
        client.send(&Publish::new(b.topic("x"), 2, "x").id(1).bytes(b.version()))?;
        client.expect("PUBREC")?;
        client.throw(&packet::ack(first, 1));
        client.expect_closed().with_context(|| format!("PUBREL with first byte {first:#04x}"))?;
    }
    let mut client = b.client()?;
    client.send(&packet::ack(PUBREL, 1))?;
    client.expect("PUBCOMP").map(drop)
}

pub fn auth_flags(b: &Broker) -> Result<()> {
    all_close(b, &[("AUTH with flags 1", &[0xF1, 0]), ("AUTH with flags 2", &[0xF2, 2, 0x18, 0])])
}

/// AUTH without a method agreed in CONNECT.
pub fn auth_unasked(b: &Broker) -> Result<()> {
    all_close(b, &[("AUTH on a connection without a method", &[0xF0, 2, 0x18, 0])])
}

/// Types that only a server sends, and types that are reserved.
pub fn wrong_types(b: &Broker) -> Result<()> {
    all_close(
        b,
        &[
            ("packet type 0", &[0x00, 0]),
            ("CONNACK", &[0x20, 2, 0, 0]),
            ("SUBACK", &[0x90, 3, 0, 1, 0]),
            ("UNSUBACK", &[0xB0, 2, 0, 1]),
            ("PINGRESP", &[0xD0, 0]),
        ],
    )?;
    if b.v5() { Ok(()) } else { all_close(b, &[("packet type 15", &[0xF0, 0])]) }
}

/// Packets whose fields go past their end.
pub fn cut_short(b: &Broker) -> Result<()> {
    all_close(
        b,
        &[
            ("a remaining length of five bytes", &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
            ("PUBLISH of one byte", &[0x30, 1, 0]),
            ("PUBLISH whose topic goes past its end", &[0x30, 4, 0, 9, b'a', b'b']),
            ("PUBLISH without its packet id", &[0x32, 3, 0, 1, b'a']),
            ("PUBACK without a packet id", &[0x40, 0]),
            ("PUBREL of one byte", &[0x62, 1, 0]),
            ("SUBSCRIBE of one byte", &[0x82, 1, 0]),
            ("SUBSCRIBE without its option byte", if b.v5() { &[0x82, 6, 0, 1, 0, 0, 1, b'a'] } else { &[0x82, 5, 0, 1, 0, 1, b'a'] }),
            ("UNSUBSCRIBE whose filter goes past its end", &[0xA2, 6, 0, 1, 0, 0, 9, b'a']),
        ],
    )
}

/// A variable byte integer in more bytes than it needs.
pub fn longer_integer(b: &Broker) -> Result<()> {
    all_close(b, &[("PINGREQ with its length in two bytes", &[0xC0, 0x80, 0])])?;
    let mut body = Vec::new();
    packet::text(&mut body, b.topic("x").as_bytes());
    body.extend_from_slice(&[0x80, 0, b'x']);
    all_close(b, &[("a property length in two bytes", &packet::frame(0x30, &body))])
}

/// A broken packet harms nobody else.
pub fn others_live_on(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut other = b.subscriber(&topic, 1)?;
    for bytes in [&[0x36, 5, 0, 1, b'a', 0, 1][..], &[0, 0], &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], &[0x82, 1, 0]] {
        b.client()?.throw(bytes);
    }
    other.ping()?;
    b.client()?.publish(Publish::new(&topic, 1, "x"))?;
    other.receive().map(drop)
}

/// MQTT 5: the connection is closed, and a reason code, where one is sent, is an error.
pub fn reason_is_an_error(b: &Broker) -> Result<()> {
    let alias = Publish::new(b.topic("x"), 0, "x").with(property::TOPIC_ALIAS, Value::Two(0)).bytes(b.version());
    for (what, bytes) in [("a second CONNECT", b.hello().bytes()), ("topic alias 0", alias), ("packet type 0", vec![0, 0])] {
        let mut client = b.client()?;
        client.throw(&bytes);
        let code = client.expect_closed().context(what)?;
        ensure!(code.is_none_or(|code| code >= 0x80), "{what}: DISCONNECT with code {code:02X?}");
    }
    Ok(())
}

/// A DISCONNECT of the server has no foreign property (the reading refuses one), and the end follows.
pub fn disconnect_of_server(b: &Broker) -> Result<()> {
    let mut client = b.client()?;
    client.throw(&b.hello().bytes());
    match client.expect_closed()? {
        Some(_) => Ok(()),
        None => Err(Untested("the broker closes without a DISCONNECT".to_owned()).into()),
    }
}

/// DISCONNECT and acknowledgements with codes that are none of theirs.
pub fn wrong_codes(b: &Broker) -> Result<()> {
    all_close(b, &[("DISCONNECT with reason code 3", &[0xE0, 2, 3, 0]), ("DISCONNECT with an unknown property", &[0xE0, 4, 0, 2, 0x7F, 0])])
}
