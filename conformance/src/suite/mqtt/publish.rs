//! PUBLISH (chapter 3.3) and the order of messages (4.6).

use anyhow::{Result, ensure};

use super::broker::Broker;
use crate::mqtt::packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};

/// Every QoS, each way, is delivered once and unchanged.
pub fn every_qos(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 2)?;
    let mut writer = b.client()?;
    for qos in 0..3 {
        writer.publish(Publish::new(&topic, qos, [qos, 0, 255]))?;
        let message = reader.receive()?;
        ensure!(message.topic == topic.as_bytes() && message.payload == [qos, 0, 255], "came changed: {message:?}");
        ensure!(message.qos == qos && !message.dup, "QoS {qos} came as {message:?}");
    }
    reader.expect_nothing()
}

/// The answer belongs to the QoS, and has the packet id, whatever that is.
pub fn answers(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut writer = b.client()?;
    for id in [1, 255, 256, 65_535] {
        writer.send(&Publish::new(&topic, 1, "1").id(id).bytes(b.version()))?;
        writer.expect_ack(PUBACK, id)?;
        writer.send(&Publish::new(&topic, 2, "2").id(id).bytes(b.version()))?;
        writer.expect_ack(PUBREC, id)?;
        writer.send(&packet::ack(PUBREL, id))?;
        writer.expect_ack(PUBCOMP, id)?;
    }
    writer.send(&Publish::new(&topic, 0, "0").bytes(b.version()))?;
    writer.ping()
}

pub fn qos_three(b: &Broker) -> Result<()> {
    b.must_close_on("QoS 3", &packet::frame(0x36, b"\0\x01a\0\x01\0"))
}

/// A DUP from the publisher is not handed on.
pub fn dup_is_our_own(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 2)?;
    let mut writer = b.client()?;
    for qos in [1, 2] {
        writer.publish(Publish { dup: true, ..Publish::new(&topic, qos, "again") })?;
        let message = reader.receive()?;
        ensure!(!message.dup, "a first delivery with DUP at QoS {qos}");
    }
    Ok(())
}

pub fn dup_without_qos(b: &Broker) -> Result<()> {
    b.must_close_on("DUP with QoS 0", &Publish { dup: true, ..Publish::new(b.topic("x"), 0, "") }.bytes(b.version()))
}

/// QoS 0 comes without DUP, whatever QoS it was sent with.
pub fn no_dup_at_qos_zero(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 0)?;
    let mut writer = b.client()?;
    for (dup, qos) in [(false, 0), (true, 1), (true, 2)] {
        writer.publish(Publish { dup, ..Publish::new(&topic, qos, "x") })?;
        let message = reader.receive()?;
        ensure!(message.qos == 0 && !message.dup, "came as {message:?}");
    }
    Ok(())
}

pub fn wildcard_in_name(b: &Broker) -> Result<()> {
    for name in ["#", "+", "a/#", "a/+/b", "a+", "a#"] {
        let message = Publish::new(b.topic(name), 1, "x").id(1);
        b.must_close_on(&format!("topic name {name:?}"), &message.bytes(b.version()))?;
    }
    Ok(())
}

pub fn topic_is_utf8(b: &Broker) -> Result<()> {
    for bad in [&b"\xFF"[..], b"\xC0\xAF", b"\xED\xA0\x80", b"\xE2\x82"] {
        let name = [b.topic("").as_bytes(), bad].concat();
        b.must_close_on(&format!("topic name ending in {bad:02X?}"), &Publish::new(name, 0, "x").bytes(b.version()))?;
    }
    Ok(())
}

pub fn topic_without_nul(b: &Broker) -> Result<()> {
    b.must_close_on("U+0000 in a topic name", &Publish::new(b.topic("a\0b"), 0, "x").bytes(b.version()))
}

pub fn empty_topic(b: &Broker) -> Result<()> {
    b.must_close_on("an empty topic name", &Publish::new("", 0, "x").bytes(b.version()))
}

pub fn zero_id(b: &Broker) -> Result<()> {
    for qos in [1, 2] {
        b.must_close_on("packet id 0 in PUBLISH", &Publish::new(b.topic("x"), qos, "x").bytes(b.version()))?;
    }
    let filters = [(b.topic("x"), 0)];
    b.must_close_on("packet id 0 in SUBSCRIBE", &packet::frame(0x82, &packet::subscribe_body(b.version(), 0, &filters, &Vec::new())))?;
    let body = packet::unsubscribe_body(b.version(), 0, &[b.topic("x")]);
    b.must_close_on("packet id 0 in UNSUBSCRIBE", &packet::frame(0xA2, &body))
}

/// A byte order mark stays where it was.
pub fn byte_order_mark(b: &Broker) -> Result<()> {
    let (plain, marked) = (b.topic("mark"), b.topic("\u{FEFF}mark"));
    let mut reader = b.subscriber(&marked, 0)?;
    let mut other = b.subscriber(&plain, 0)?;
    let mut writer = b.client()?;
    writer.publish(Publish::new(&marked, 0, "x"))?;
    let message = reader.receive()?;
    ensure!(message.topic == marked.as_bytes(), "the topic came as {:?}", String::from_utf8_lossy(&message.topic));
    other.expect_nothing()
}

/// Names that match come, with their name; others do not.
pub fn name_matches_filter(b: &Broker) -> Result<()> {
    let mut reader = b.subscriber(&b.topic("a/+/c"), 0)?;
    let mut writer = b.client()?;
    for name in ["a/c", "a/b/d", "b/b/c", "a/1/c", "a/b/c/d", "a/2/c"] {
        writer.publish(Publish::new(b.topic(name), 1, name))?;
    }
    for name in ["a/1/c", "a/2/c"] {
        let message = reader.receive()?;
        ensure!(message.topic == b.topic(name).as_bytes(), "came {:?}", String::from_utf8_lossy(&message.topic));
    }
    reader.expect_nothing()
}

/// Overlapping subscriptions: the highest QoS that any of them grants.
pub fn overlap(b: &Broker) -> Result<()> {
    let mut reader = b.client()?;
    reader.subscribe(&b.topic("a/#"), 0)?;
    reader.subscribe(&b.topic("a/+"), 2)?;
    reader.subscribe(&b.topic("a/b"), 1)?;
    let mut writer = b.client()?;
    writer.publish(Publish::new(b.topic("a/b"), 2, "x"))?;
    // One copy, or one for each subscription: the highest must be among them.
    let mut highest = 0;
    let mut copies = 0;
    while let Ok(message) = reader.receive() {
        highest = highest.max(message.qos);
        copies += 1;
        if highest == 2 {
            break;
        }
        ensure!(copies < 3, "three copies and none of QoS 2");
    }
    ensure!(highest == 2, "{copies} copies, the highest QoS {highest}");
    Ok(())
}

/// A hundred messages of one publisher in their order, for each QoS.
pub fn order(b: &Broker) -> Result<()> {
    for qos in 0..3 {
        let topic = b.topic(&format!("q{qos}"));
        let mut reader = b.subscriber(&topic, qos)?;
        let mut writer = b.client()?;
        for number in 0..100_u8 {
            writer.publish(Publish::new(&topic, qos, [number]))?;
            // Read along, so that no bounded queue of the broker overflows.
            let message = reader.receive()?;
            ensure!(message.payload == [number], "QoS {qos}: number {:?} came for {number}", message.payload);
        }
    }
    Ok(())
}

/// The same in bursts, with the acknowledgements of the reader held back.
pub fn order_in_bursts(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 1)?;
    let mut writer = b.client()?;
    let burst: Vec<u8> = (1..=15_u8).flat_map(|n| Publish::new(&topic, 1, [n]).id(u16::from(n)).bytes(b.version())).collect();
    writer.send(&burst)?;
    for number in 1..=15_u8 {
        writer.expect_ack(PUBACK, u16::from(number))?;
    }
    for number in 1..=15_u8 {
        let message = reader.receive()?;
        ensure!(message.payload == [number], "number {:?} came for {number}", message.payload);
    }
    Ok(())
}
