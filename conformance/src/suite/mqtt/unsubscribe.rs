//! UNSUBSCRIBE and UNSUBACK (3.10, 3.11), and DISCONNECT (3.14).

use anyhow::{Context, Result, bail, ensure};

use super::broker::Broker;
use crate::mqtt::packet::{self, PINGREQ, Publish};
use crate::mqtt::parse::Packet;

pub fn header_flags(b: &Broker) -> Result<()> {
    for first in [0xA0, 0xA3, 0xAA] {
        let bytes = packet::frame(first, &packet::unsubscribe_body(b.version(), 1, &[b.topic("x")]));
        b.must_close_on(&format!("UNSUBSCRIBE with first byte {first:#04x}"), &bytes)?;
    }
    Ok(())
}

pub fn no_filters(b: &Broker) -> Result<()> {
    b.must_close_on("UNSUBSCRIBE without a filter", &packet::frame(0xA2, &packet::unsubscribe_body::<&str>(b.version(), 1, &[])))
}

/// UNSUBACK has the id of its UNSUBSCRIBE, whether anything was subscribed or not.
pub fn acknowledged(b: &Broker) -> Result<()> {
    let mut client = b.subscriber(&b.topic("x"), 0)?;
    for id in [1, 256, 65_535] {
        client.send(&packet::frame(0xA2, &packet::unsubscribe_body(b.version(), id, &[b.topic("x")])))?;
        match client.expect("UNSUBACK")? {
            Packet::UnsubAck(answer) => ensure!(answer.id == id, "UNSUBACK has id {} instead of {id}", answer.id),
            other => bail!("instead of UNSUBACK came {other:?}"),
        }
    }
    Ok(())
}

/// Only the very same filter is unsubscribed.
pub fn same_filter_only(b: &Broker) -> Result<()> {
    let mut reader = b.subscriber(&b.topic("a/+"), 0)?;
    let mut writer = b.client()?;
    reader.unsubscribe(&[b.topic("a/b"), b.topic("a/#"), b.topic("A/+"), b.topic("a/+/"), b.topic("#")])?;
    writer.publish(Publish::new(b.topic("a/b"), 1, "x"))?;
    reader.receive().context("other filters were unsubscribed")?;
    reader.unsubscribe(&[b.topic("a/+")])?;
    writer.publish(Publish::new(b.topic("a/b"), 1, "x"))?;
    reader.expect_nothing()
}

/// After UNSUBACK nothing new comes by that filter.
pub fn stops(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 2)?;
    let mut writer = b.client()?;
    writer.publish(Publish::new(&topic, 1, "x"))?;
    reader.receive()?;
    reader.unsubscribe(&[&topic])?;
    for qos in 0..3 {
        writer.publish(Publish::new(&topic, qos, "x"))?;
    }
    reader.expect_nothing()
}

/// A delivery that has begun is finished after UNSUBSCRIBE.
pub fn begun_is_finished(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 2)?;
    b.client()?.publish(Publish::new(&topic, 2, "x"))?;
    let message = reader.expect_publish()?;
    reader.unsubscribe(&[&topic])?;
    reader.acknowledge(&message)?;
    reader.ping()
}

/// Several filters: one answer, each of them gone.
pub fn several(b: &Broker) -> Result<()> {
    let names = ["a", "b", "c"].map(|name| b.topic(name));
    let mut reader = b.client()?;
    reader.subscribe_with(&names.clone().map(|name| (name, 0)), &Vec::new())?;
    reader.unsubscribe(&names[..2])?;
    let mut writer = b.client()?;
    for name in &names {
        writer.publish(Publish::new(name, 1, "x"))?;
    }
    let message = reader.receive()?;
    ensure!(message.topic == names[2].as_bytes(), "{:?} came", String::from_utf8_lossy(&message.topic));
    reader.expect_nothing()
}

/// MQTT 5: a code for each filter in their order: 0 for what was subscribed, 0x11 for what was not.
pub fn codes_in_order(b: &Broker) -> Result<()> {
    let mut client = b.subscriber(&b.topic("b"), 0)?;
    let codes = client.unsubscribe(&[b.topic("a"), b.topic("b"), b.topic("c")])?;
    ensure!(codes == [0x11, 0, 0x11], "codes {codes:02X?} for filters of which only the second was subscribed");
    Ok(())
}

pub fn disconnect_flags(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    let (mut client, _) = b.enter(&b.mortal(&topic, 0, false))?;
    client.throw(&[0xE1, 0]);
    client.expect_closed()?;
    // A broken DISCONNECT is none: the will is published.
    watcher.receive().context("the will, after a DISCONNECT with reserved flags").map(drop)
}

/// After a DISCONNECT nothing more comes, and what follows it is not processed.
pub fn nothing_after_disconnect(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut watcher = b.subscriber(&topic, 0)?;
    let mut client = b.client()?;
    let late = Publish::new(&topic, 0, "late").bytes(b.version());
    client.throw(&[packet::disconnect(b.version(), 0, &Vec::new()), late, PINGREQ.to_vec()].concat());
    client.expect_closed()?;
    watcher.expect_nothing()
}
