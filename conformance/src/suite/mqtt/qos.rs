//! The delivery protocols of QoS 1 and 2 (4.3), redelivery (4.4) and the receive maximum (4.9).

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use super::broker::{Broker, Untested};
use crate::mqtt::packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{self, Value};

/// After PUBACK the same packet id is a new message, DUP or not.
pub fn one_reuses_id(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 1)?;
    let mut writer = b.client()?;
    for (payload, dup) in [("one", false), ("two", true), ("three", false)] {
        writer.send(&Publish { dup, ..Publish::new(&topic, 1, payload).id(9) }.bytes(b.version()))?;
        writer.expect_ack(PUBACK, 9)?;
        let message = reader.receive()?;
        ensure!(message.payload == payload.as_bytes(), "{:?} came instead of {payload}", message.payload);
    }
    Ok(())
}

/// QoS 2 in: a repetition before PUBREL is acknowledged and not delivered again.
pub fn two_repeated(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 2)?;
    let mut writer = b.client()?;
    let message = Publish::new(&topic, 2, "once").id(5);
    writer.send(&message.bytes(b.version()))?;
    writer.expect_ack(PUBREC, 5)?;
    writer.send(&Publish { dup: true, ..message }.bytes(b.version()))?;
    writer.expect_ack(PUBREC, 5).context("the repetition")?;
    writer.send(&packet::ack(PUBREL, 5))?;
    writer.expect_ack(PUBCOMP, 5)?;
    reader.receive()?;
    reader.expect_nothing().context("behind the one message")
}

/// After PUBCOMP the same packet id is a new message.
pub fn two_reuses_id(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 2)?;
    let mut writer = b.client()?;
    for payload in ["one", "two"] {
        writer.send(&Publish::new(&topic, 2, payload).id(5).bytes(b.version()))?;
        writer.expect_ack(PUBREC, 5)?;
        writer.send(&packet::ack(PUBREL, 5))?;
        writer.expect_ack(PUBCOMP, 5)?;
        let message = reader.receive()?;
        ensure!(message.payload == payload.as_bytes(), "{:?} came instead of {payload}", message.payload);
    }
    Ok(())
}

/// PUBREL is answered by PUBCOMP with its id, also when it is repeated.
pub fn pubrel_answered(b: &Broker) -> Result<()> {
    let mut writer = b.client()?;
    writer.send(&Publish::new(b.topic("x"), 2, "x").id(77).bytes(b.version()))?;
    writer.expect_ack(PUBREC, 77)?;
    writer.send(&packet::ack(PUBREL, 77))?;
    writer.expect_ack(PUBCOMP, 77)?;
    writer.send(&packet::ack(PUBREL, 77))?;
    match writer.expect("PUBCOMP of a repeated PUBREL")? {
        // 0x92: packet id not found.
        Packet::Ack { first: PUBCOMP, id: 77, code: 0 | 0x92, .. } => Ok(()),
        other => bail!("instead of PUBCOMP came {other:?}"),
    }
}

/// What is on its way to a client has different packet ids, and DUP 0.
pub fn ids_differ(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 2)?;
    let mut writer = b.client()?;
    for number in 0..8_u8 {
        writer.publish(Publish::new(&topic, 1 + number % 2, [number]))?;
    }
    let mut ids = BTreeSet::new();
    for _ in 0..8 {
        let message = reader.expect_publish()?;
        ensure!(!message.dup, "a first delivery with DUP");
        ensure!(ids.insert(message.id), "packet id {} twice, while the first is unacknowledged", message.id);
    }
    Ok(())
}

/// Sends a message of that QoS to a client with a lasting session, which does not acknowledge it and comes back.
fn unacknowledged(b: &Broker, qos: u8) -> Result<()> {
    let topic = b.topic("x");
    let (mut reader, _) = b.enter(&b.lasting("reader", true))?;
    reader.subscribe(&topic, qos)?;
    b.client()?.publish(Publish::new(&topic, qos, "x"))?;
    let first = reader.expect_publish()?;
    reader.expect_nothing().context("no repetition on the same connection")?;
    reader.drop_line();
    let (mut reader, answer) = b.enter(&b.lasting("reader", false))?;
    ensure!(answer.session_present, "the session was gone");
    let second = reader.receive().context("the message again")?;
    ensure!(second.dup, "the repetition has no DUP");
    ensure!(second.id == first.id, "the repetition has packet id {} instead of {}", second.id, first.id);
    ensure!((second.payload, second.topic) == (first.payload, first.topic), "the repetition is another message");
    reader.expect_nothing()
}

pub fn one_redelivered(b: &Broker) -> Result<()> {
    unacknowledged(b, 1)
}

pub fn two_redelivered(b: &Broker) -> Result<()> {
    unacknowledged(b, 2)
}

pub fn redelivered(b: &Broker) -> Result<()> {
    unacknowledged(b, 1)?;
    let again = b.topic("y");
    let (mut reader, _) = b.enter(&b.lasting("other", true))?;
    reader.subscribe(&again, 1)?;
    let mut writer = b.client()?;
    for number in 0..5_u8 {
        writer.publish(Publish::new(&again, 1, [number]))?;
    }
    for _ in 0..5 {
        reader.expect_publish()?;
    }
    reader.drop_line();
    let (mut reader, _) = b.enter(&b.lasting("other", false))?;
    for number in 0..5_u8 {
        let message = reader.receive()?;
        ensure!(message.payload == [number] && message.dup, "in place of number {number} again came {message:?}");
    }
    Ok(())
}

/// What was acknowledged does not come again.
pub fn acknowledged_is_done(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let (mut reader, _) = b.enter(&b.lasting("reader", true))?;
    reader.subscribe(&topic, 2)?;
    let mut writer = b.client()?;
    for qos in [1, 2] {
        writer.publish(Publish::new(&topic, qos, "x"))?;
        reader.receive()?;
    }
    reader.ping()?;
    reader.drop_line();
    let (mut reader, _) = b.enter(&b.lasting("reader", false))?;
    reader.expect_nothing()
}

/// PUBREC is answered by PUBREL; unanswered, PUBREL comes again on the next connection, PUBLISH does not.
pub fn pubrel_redelivered(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let (mut reader, _) = b.enter(&b.lasting("reader", true))?;
    reader.subscribe(&topic, 2)?;
    b.client()?.publish(Publish::new(&topic, 2, "x"))?;
    let message = reader.expect_publish()?;
    reader.send(&packet::ack(PUBREC, message.id))?;
    reader.expect_ack(PUBREL, message.id)?;
    reader.expect_nothing().context("no repetition on the same connection")?;
    reader.drop_line();
    let (mut reader, _) = b.enter(&b.lasting("reader", false))?;
    reader.expect_ack(PUBREL, message.id).context("PUBREL again after coming back")?;
    reader.send(&packet::ack(PUBCOMP, message.id))?;
    reader.expect_nothing().context("after PUBCOMP")
}

/// A PUBACK or PUBREC with an error ends the delivery: nothing comes again, no PUBREL.
pub fn error_ends_delivery(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let (mut reader, _) = b.enter(&b.lasting("reader", true))?;
    reader.subscribe(&topic, 2)?;
    let mut writer = b.client()?;
    for (qos, first) in [(1, PUBACK), (2, PUBREC)] {
        writer.publish(Publish::new(&topic, qos, "x"))?;
        let message = reader.expect_publish()?;
        reader.send(&packet::ack_code(first, message.id, 0x80))?;
        reader.expect_nothing().with_context(|| format!("after an error for QoS {qos}"))?;
    }
    reader.drop_line();
    let (mut reader, _) = b.enter(&b.lasting("reader", false))?;
    reader.expect_nothing().context("on the next connection")
}

/// Never more unacknowledged messages than the client takes; other packets go on; each acknowledgement lets one more through.
pub fn receive_maximum(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut hello = b.hello();
    hello.properties.push((property::RECEIVE_MAXIMUM, Value::Two(2)));
    let (mut reader, _) = b.enter(&hello)?;
    reader.subscribe(&topic, 2)?;
    let mut writer = b.client()?;
    for number in 0..6_u8 {
        writer.publish(Publish::new(&topic, 1 + number % 2, [number]))?;
    }
    let mut open = vec![reader.expect_publish()?, reader.expect_publish()?];
    reader.expect_nothing().context("a third unacknowledged message for a client that takes 2")?;
    reader.ping().context("while the quota is used up")?;
    reader.subscribe(&b.topic("y"), 0).context("while the quota is used up")?;
    for number in 0..4_u8 {
        let message = open.remove(0);
        ensure!(message.payload == [number], "number {:?} came for {number}", message.payload);
        reader.acknowledge(&message)?;
        open.push(reader.expect_publish().context("after an acknowledgement")?);
        reader.expect_nothing().context("a third unacknowledged message")?;
    }
    Ok(())
}

/// An expired message whose QoS 2 delivery has begun is still finished.
pub fn begun_does_not_expire(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let (mut reader, _) = b.enter(&b.lasting("reader", true))?;
    reader.subscribe(&topic, 2)?;
    b.client()?.publish(Publish::new(&topic, 2, "x").with(property::MESSAGE_EXPIRY, Value::Four(1)))?;
    let message = reader.expect_publish()?;
    for _ in 0..5 {
        reader.expect_nothing()?;
    }
    reader.acknowledge(&message).context("2 s later, with an expiry of 1 s")?;
    reader.ping()
}

/// The client must not send more than the server's receive maximum; a server that says one goes on below it.
pub fn own_maximum(b: &Broker) -> Result<()> {
    let maximum = property::number(&b.says()?, property::RECEIVE_MAXIMUM).unwrap_or(65_535);
    let count = u16::try_from(maximum.min(20)).unwrap_or(20);
    if count == 0 {
        return Err(Untested("the broker says receive maximum 0".to_owned()).into());
    }
    let mut writer = b.client()?;
    for id in 1..=count {
        writer.send(&Publish::new(b.topic("x"), 2, "x").id(id).bytes(b.version()))?;
        writer.expect_ack(PUBREC, id)?;
    }
    for id in 1..=count {
        writer.send(&packet::ack(PUBREL, id))?;
        writer.expect_ack(PUBCOMP, id)?;
    }
    Ok(())
}
