//! SUBSCRIBE and SUBACK (3.8, 3.9).

use anyhow::{Context, Result, bail, ensure};

use super::broker::Broker;
use crate::mqtt::packet::{self, Publish};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{self, Properties, Value};

fn frame(b: &Broker, first: u8, filters: &[(String, u8)], list: &Properties) -> Vec<u8> {
    packet::frame(first, &packet::subscribe_body(b.version(), 1, filters, list))
}

pub fn header_flags(b: &Broker) -> Result<()> {
    for first in [0x80, 0x83, 0x8A] {
        b.must_close_on(&format!("SUBSCRIBE with first byte {first:#04x}"), &frame(b, first, &[(b.topic("x"), 0)], &Vec::new()))?;
    }
    Ok(())
}

pub fn no_filters(b: &Broker) -> Result<()> {
    b.must_close_on("SUBSCRIBE without a filter", &frame(b, 0x82, &[], &Vec::new()))
}

pub fn reserved_bits(b: &Broker) -> Result<()> {
    let bad: &[u8] = if b.v5() { &[0x40, 0x80, 0xC1, 0x03, 0x30] } else { &[0x03, 0x04, 0x08, 0x10, 0x80] };
    for options in bad {
        b.must_close_on(&format!("option byte {options:#04x}"), &frame(b, 0x82, &[(b.topic("x"), *options)], &Vec::new()))?;
    }
    Ok(())
}

/// SUBACK has the id of its SUBSCRIBE.
pub fn acknowledged(b: &Broker) -> Result<()> {
    let mut client = b.client()?;
    for id in [1, 256, 65_535] {
        client.send(&packet::frame(0x82, &packet::subscribe_body(b.version(), id, &[(b.topic("x"), 0)], &Vec::new())))?;
        match client.expect("SUBACK")? {
            Packet::SubAck(answer) => ensure!(answer.id == id, "SUBACK has id {} instead of {id}", answer.id),
            other => bail!("instead of SUBACK came {other:?}"),
        }
    }
    Ok(())
}

/// A code for each filter, in their order, that is the granted QoS.
pub fn codes_in_order(b: &Broker) -> Result<()> {
    let mut client = b.client()?;
    let filters = [(b.topic("a"), 2), (b.topic("b/+"), 0), (b.topic("c/#"), 1), (b.topic("a"), 0), (b.topic("d"), 2)];
    let codes = client.subscribe_with(&filters, &Vec::new())?;
    let wanted: Vec<u8> = filters.iter().map(|(_, qos)| *qos).collect();
    let lower = codes.iter().zip(&wanted).all(|(code, qos)| code <= qos || *code >= 0x80);
    ensure!(lower, "codes {codes:02X?} for QoS {wanted:?}");
    ensure!(codes == wanted, "codes {codes:02X?} for QoS {wanted:?}: the granted QoS is lower, or not in order");
    Ok(())
}

/// Several filters in one packet are several subscriptions.
pub fn several(b: &Broker) -> Result<()> {
    let mut reader = b.client()?;
    reader.subscribe_with(&[(b.topic("a"), 0), (b.topic("b"), 1), (b.topic("c"), 2)], &Vec::new())?;
    let mut writer = b.client()?;
    for (name, qos) in [("a", 0), ("b", 1), ("c", 2)] {
        writer.publish(Publish::new(b.topic(name), 2, name))?;
        let message = reader.receive()?;
        ensure!(message.payload == name.as_bytes() && message.qos == qos, "for {name} of QoS {qos} came {message:?}");
    }
    reader.expect_nothing()
}

/// The same filter again replaces the subscription: one copy, with the new QoS.
pub fn replaced(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 0)?;
    let mut writer = b.client()?;
    for qos in [2, 1, 0] {
        reader.subscribe(&topic, qos)?;
        writer.publish(Publish::new(&topic, 2, "x"))?;
        let message = reader.receive()?;
        ensure!(message.qos == qos, "QoS {} came after subscribing with {qos}", message.qos);
        reader.expect_nothing().context("one copy")?;
    }
    Ok(())
}

/// While subscriptions are replaced, no message is lost.
pub fn replaced_without_loss(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 1)?;
    let mut writer = b.client()?;
    for number in 0..20_u8 {
        let id = reader.fresh_id();
        reader.send(&packet::frame(0x82, &packet::subscribe_body(b.version(), id, &[(&topic, 1)], &Vec::new())))?;
        writer.publish(Publish::new(&topic, 1, [number]))?;
        let (mut acked, mut came) = (false, false);
        while !(acked && came) {
            match reader.expect("SUBACK and the message")? {
                Packet::SubAck(answer) if answer.id == id => acked = true,
                Packet::Publish(message) if message.payload == [number] => {
                    reader.acknowledge(&message)?;
                    came = true;
                }
                other => bail!("came {other:?}"),
            }
        }
    }
    Ok(())
}

/// The lower one of the message's and the subscription's QoS.
pub fn lower_qos(b: &Broker) -> Result<()> {
    let mut writer = b.client()?;
    for granted in 0..3 {
        let topic = b.topic(&format!("g{granted}"));
        let mut reader = b.subscriber(&topic, granted)?;
        for sent in 0..3 {
            writer.publish(Publish::new(&topic, sent, "x"))?;
            let message = reader.receive()?;
            ensure!(message.qos == sent.min(granted), "sent {sent}, granted {granted}, came {}", message.qos);
        }
    }
    Ok(())
}

/// Filters with wildcards are granted, or refused by their code.
pub fn wildcards(b: &Broker) -> Result<()> {
    let mut client = b.client()?;
    let codes = client.subscribe_with(&[(b.topic("+/x"), 0), (b.topic("y/#"), 0)], &Vec::new())?;
    let mut writer = b.client()?;
    for (name, code) in ["a/x", "y/b"].into_iter().zip(codes) {
        writer.publish(Publish::new(b.topic(name), 1, "x"))?;
        if code == 0 {
            client.receive().with_context(|| format!("{name}: the filter was granted"))?;
        } else {
            client.expect_nothing().with_context(|| format!("{name}: the filter was refused"))?;
        }
    }
    Ok(())
}

/// MQTT 5: with "no local" the own messages do not come, those of others do.
pub fn no_local(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut client = b.subscriber(&topic, 0x04 | 1)?;
    client.publish(Publish::new(&topic, 1, "mine"))?;
    client.expect_nothing()?;
    b.client()?.publish(Publish::new(&topic, 1, "yours"))?;
    ensure!(client.receive()?.payload == b"yours", "the own message came");
    let mut open = b.subscriber(&topic, 0)?;
    open.publish(Publish::new(&topic, 0, "mine"))?;
    open.receive().context("the own message without the option").map(drop)
}

fn identified(b: &Broker, filters: &[(&str, u32)]) -> Result<Vec<Vec<u32>>> {
    let mut reader = b.client()?;
    for (filter, number) in filters {
        let list = if *number == 0 { Vec::new() } else { vec![(property::SUBSCRIPTION_ID, Value::Variable(*number))] };
        let codes = reader.subscribe_with(&[(b.topic(filter), 1)], &list)?;
        ensure!(codes == [1], "SUBSCRIBE with identifier {number} was answered with {codes:02X?}");
    }
    b.client()?.publish(Publish::new(b.topic("a/b"), 1, "x"))?;
    let mut copies = Vec::new();
    for _ in filters {
        let Ok(message) = reader.receive() else { break };
        let numbers = message.properties.iter().filter_map(|(id, value)| match value {
            Value::Variable(number) if *id == property::SUBSCRIPTION_ID => Some(*number),
            _ => None,
        });
        copies.push(numbers.collect());
    }
    Ok(copies)
}

/// MQTT 5: a message says by which subscriptions it came: in one copy all of them, in several copies each its own.
pub fn identifiers(b: &Broker) -> Result<()> {
    let copies = identified(b, &[("a/b", 268_435_455)])?;
    ensure!(copies == [[268_435_455]], "with one subscription the identifiers were {copies:?}");
    let copies = identified(b, &[("a/b", 1), ("a/+", 200), ("a/#", 0)])?;
    let mut all: Vec<u32> = copies.concat();
    all.sort_unstable();
    ensure!(all == [1, 200], "identifiers {copies:?} for subscriptions 1, 200 and one without");
    Ok(())
}

pub fn identifier_zero(b: &Broker) -> Result<()> {
    let list = vec![(property::SUBSCRIPTION_ID, Value::Variable(0))];
    b.must_close_on("subscription identifier 0", &frame(b, 0x82, &[(b.topic("x"), 0)], &list))
}
