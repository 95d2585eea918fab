//! Retained messages (3.3.1.3).

use anyhow::{Context, Result, ensure};

use super::broker::Broker;
use crate::mqtt::client::Client;
use crate::mqtt::packet::Publish;

fn keep(b: &Broker, topic: &str, qos: u8, payload: &str) -> Result<()> {
    b.client()?.publish(Publish::new(topic, qos, payload).retained())
}

/// What a new subscriber with those options gets as retained.
fn fresh(b: &Broker, topic: &str, options: u8) -> Result<(Client, Publish)> {
    let mut client = b.subscriber(topic, options)?;
    let message = client.receive().context("the retained message")?;
    Ok((client, message))
}

/// A retained message replaces the one before, and comes with its QoS.
pub fn stored_and_replaced(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    for (qos, payload) in [(1, "first"), (2, "second"), (0, "third")] {
        keep(b, &topic, qos, payload)?;
        let (mut client, message) = fresh(b, &topic, 2)?;
        ensure!(message.payload == payload.as_bytes() && message.qos == qos, "{message:?} came instead of {payload:?} of QoS {qos}");
        client.expect_nothing().context("one message per topic")?;
    }
    keep(b, &topic, 1, "")
}

/// A new subscription gets it with the flag, also by a wildcard.
pub fn sent_with_flag(b: &Broker) -> Result<()> {
    let topic = b.topic("r/1");
    keep(b, &topic, 1, "kept")?;
    keep(b, &b.topic("r/2"), 1, "kept too")?;
    ensure!(fresh(b, &topic, 1)?.1.retain, "without the retain flag");
    let (mut client, message) = fresh(b, &b.topic("r/+"), 1)?;
    let other = client.receive().context("the second topic of the wildcard")?;
    ensure!(message.retain && other.retain && message.topic != other.topic, "came {message:?} and {other:?}");
    keep(b, &topic, 1, "")?;
    keep(b, &b.topic("r/2"), 1, "")
}

/// Who was subscribed before gets it without the flag.
pub fn established_without_flag(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    let mut reader = b.subscriber(&topic, 1)?;
    keep(b, &topic, 1, "now")?;
    ensure!(!reader.receive()?.retain, "with the retain flag");
    keep(b, &topic, 1, "")
}

/// MQTT 5: with "retain as published" the flag stays as it was.
pub fn retain_as_published(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    let mut reader = b.subscriber(&topic, 0x08 | 1)?;
    keep(b, &topic, 1, "kept")?;
    ensure!(reader.receive()?.retain, "the retain flag was cleared");
    b.client()?.publish(Publish::new(&topic, 1, "not kept"))?;
    ensure!(!reader.receive()?.retain, "a retain flag that nobody set");
    keep(b, &topic, 1, "")
}

/// An empty payload removes it, and is handed on as a message.
pub fn empty_removes(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    keep(b, &topic, 1, "kept")?;
    let (mut reader, _) = fresh(b, &topic, 1)?;
    keep(b, &topic, 1, "")?;
    let message = reader.receive().context("the empty message for who is subscribed")?;
    ensure!(message.payload.is_empty(), "came {message:?}");
    b.subscriber(&topic, 1)?.expect_nothing()
}

pub fn empty_is_not_stored(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    keep(b, &topic, 1, "")?;
    b.subscriber(&topic, 1)?.expect_nothing()
}

/// Without the flag nothing is stored, replaced or removed.
pub fn unflagged_changes_nothing(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    let mut writer = b.client()?;
    writer.publish(Publish::new(&topic, 1, "passing"))?;
    b.subscriber(&topic, 1)?.expect_nothing()?;
    keep(b, &topic, 1, "kept")?;
    for payload in ["passing", ""] {
        writer.publish(Publish::new(&topic, 1, payload))?;
        ensure!(fresh(b, &topic, 1)?.1.payload == b"kept", "replaced by a message without the flag");
    }
    keep(b, &topic, 1, "")
}

/// The end of the publisher's session does not remove it.
pub fn outlives_session(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    let mut writer = b.client()?;
    writer.publish(Publish::new(&topic, 1, "kept").retained())?;
    writer.leave(0, &Vec::new())?;
    fresh(b, &topic, 1)?;
    keep(b, &topic, 1, "")
}

/// Subscribing the same filter again sends it again.
pub fn sent_again(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    keep(b, &topic, 1, "kept")?;
    let (mut reader, _) = fresh(b, &topic, 1)?;
    reader.subscribe(&topic, 1)?;
    ensure!(reader.receive().context("after the second SUBSCRIBE")?.retain, "without the retain flag");
    keep(b, &topic, 1, "")
}

/// Retain handling 0: at every SUBSCRIBE.
pub fn handling_zero(b: &Broker) -> Result<()> {
    sent_again(b)
}

/// Retain handling 1: only when the subscription is new.
pub fn handling_one(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    keep(b, &topic, 1, "kept")?;
    let (mut reader, _) = fresh(b, &topic, 0x10 | 1)?;
    reader.subscribe(&topic, 0x10 | 1)?;
    reader.expect_nothing().context("the subscription existed")?;
    keep(b, &topic, 1, "")
}

/// Retain handling 2: never.
pub fn handling_two(b: &Broker) -> Result<()> {
    let topic = b.topic("r");
    keep(b, &topic, 1, "kept")?;
    b.subscriber(&topic, 0x20 | 1)?.expect_nothing()?;
    keep(b, &topic, 1, "")
}
