//! MQTT 5: shared subscriptions (4.8).

use anyhow::{Context, Result, bail, ensure};

use super::broker::{Broker, Untested};
use super::topics::filter_refused;
use crate::mqtt::client::{Client, PATIENCE, QUIET, Seen};
use crate::mqtt::packet::{self, PUBACK, Publish};
use crate::mqtt::parse::Packet;
use crate::mqtt::property;

fn available(b: &Broker) -> Result<()> {
    if property::number(&b.says()?, property::SHARED_AVAILABLE) == Some(0) {
        return Err(Untested("the broker has no shared subscriptions, as it may".to_owned()).into());
    }
    Ok(())
}

fn members(b: &Broker, qos: u8) -> Result<[Client; 2]> {
    available(b)?;
    let filter = format!("$share/{}/{}", b.tag(), b.topic("x"));
    Ok([b.subscriber(&filter, qos)?, b.subscriber(&filter, qos)?])
}

/// Each message goes to one of the group, and all of them arrive.
pub fn one_of_group(b: &Broker) -> Result<()> {
    let mut group = members(b, 1)?;
    let mut writer = b.client()?;
    for number in 0..10_u8 {
        writer.publish(Publish::new(b.topic("x"), 1, [number]))?;
    }
    let mut came = Vec::new();
    for member in &mut group {
        while let Seen::Packet(packet) = member.see(QUIET)? {
            let Packet::Publish(message) = packet else { bail!("came {packet:?}") };
            member.acknowledge(&message)?;
            came.push(message.payload[0]);
        }
    }
    came.sort_unstable();
    ensure!(came == (0..10).collect::<Vec<_>>(), "the group got {came:?} of the numbers 0 to 9");
    Ok(())
}

pub fn name_is_there(b: &Broker) -> Result<()> {
    available(b)?;
    one_of_group(b)?;
    filter_refused(b, format!("$share//{}", b.topic("x")).as_bytes(), 0)
}

pub fn name_is_plain(b: &Broker) -> Result<()> {
    available(b)?;
    for name in ["a+", "#", "+", "a#b"] {
        filter_refused(b, format!("$share/{name}/{}", b.topic("x")).as_bytes(), 0)?;
    }
    filter_refused(b, b"$share/group", 0)?;
    filter_refused(b, b"$share/group/", 0)
}

pub fn no_local(b: &Broker) -> Result<()> {
    available(b)?;
    let filters = [(format!("$share/g/{}", b.topic("x")), 0x04)];
    let bytes = packet::frame(0x82, &packet::subscribe_body(b.version(), 1, &filters, &Vec::new()));
    b.must_close_on("no local on a shared subscription", &bytes)
}

pub fn granted_qos(b: &Broker) -> Result<()> {
    available(b)?;
    let mut writer = b.client()?;
    for granted in 0..3 {
        let topic = b.topic(&format!("q{granted}"));
        let mut member = b.subscriber(&format!("$share/g/{topic}"), granted)?;
        for sent in 0..3 {
            writer.publish(Publish::new(&topic, sent, "x"))?;
            let message = member.receive()?;
            ensure!(message.qos == sent.min(granted), "sent {sent}, granted {granted}, came {}", message.qos);
        }
    }
    Ok(())
}

/// Which of the two gets the message, unacknowledged.
fn receiver(mut group: [Client; 2]) -> Result<(Client, Client, Publish)> {
    for at in 0..2 {
        let wait = if at == 0 { QUIET } else { PATIENCE };
        if let Seen::Packet(Packet::Publish(message)) = group[at].see(wait)? {
            let [first, second] = group;
            return Ok(if at == 0 { (first, second, message) } else { (second, first, message) });
        }
    }
    bail!("neither of the group got the message")
}

/// A message that one of them refuses goes to nobody else.
pub fn refused_is_done(b: &Broker) -> Result<()> {
    let group = members(b, 1)?;
    b.client()?.publish(Publish::new(b.topic("x"), 1, "x"))?;
    let (mut chosen, mut other, message) = receiver(group)?;
    chosen.send(&packet::ack_code(PUBACK, message.id, 0x80))?;
    chosen.expect_nothing()?;
    other.expect_nothing()
}

fn broken_off(b: &Broker) -> Result<(usize, Publish, Client)> {
    available(b)?;
    let filter = format!("$share/{}/{}", b.tag(), b.topic("x"));
    let mut group = Vec::new();
    for name in ["one", "two"] {
        let (mut client, _) = b.enter(&b.lasting(name, true))?;
        client.subscribe(&filter, 2)?;
        group.push(client);
    }
    b.client()?.publish(Publish::new(b.topic("x"), 2, "x"))?;
    for at in 0..2 {
        if let Seen::Packet(Packet::Publish(message)) = group[at].see(PATIENCE / 2)? {
            group.remove(at).drop_line();
            return Ok((at, message, group.remove(0)));
        }
    }
    bail!("neither of the group got the message")
}

/// QoS 2 that has begun is finished with the same client when it comes back.
pub fn begun_is_finished(b: &Broker) -> Result<()> {
    let (at, message, mut other) = broken_off(b)?;
    let (mut back, _) = b.enter(&b.lasting(["one", "two"][at], false))?;
    let again = back.receive().context("the message again")?;
    ensure!(again.id == message.id && again.payload == message.payload, "came {again:?}");
    other.expect_nothing().context("at the other of the group")
}

/// QoS 2 that has begun goes to nobody else when the session ends.
pub fn begun_stays(b: &Broker) -> Result<()> {
    let (at, _, mut other) = broken_off(b)?;
    // A clean start under that name ends the session.
    b.enter(&b.named(["one", "two"][at]))?;
    other.expect_nothing()
}
