//! Wills (3.1.2.5, 3.1.3.2, 3.14.4).

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::broker::Broker;
use super::session::wait;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{Connect, PINGREQ, Publish};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{self, Value};

fn within(client: &mut Client, time: Duration) -> Result<Publish> {
    match client.see(time)? {
        Seen::Packet(Packet::Publish(message)) => Ok(message),
        other => bail!("instead of the will: {other:?}"),
    }
}

/// A lost line, a broken packet and silence all publish the will, with its QoS.
pub fn published(b: &Broker) -> Result<()> {
    for qos in 0..3 {
        let topic = b.topic(&format!("w{qos}"));
        let mut watcher = b.subscriber(&topic, 2)?;
        b.enter(&b.mortal(&topic, qos, false))?.0.drop_line();
        let will = watcher.receive().context("after a lost line")?;
        ensure!(will.payload == b"gone" && will.qos == qos && !will.retain, "the will came as {will:?}");
    }
    let topic = b.topic("broken");
    let mut watcher = b.subscriber(&topic, 0)?;
    let (mut client, _) = b.enter(&b.mortal(&topic, 0, false))?;
    client.throw(&[0x36, 5, 0, 1, b'a', 0, 1]);
    watcher.receive().context("after a malformed packet").map(drop)
}

pub fn published_after_silence(b: &Broker) -> Result<()> {
    let topic = b.topic("silent");
    let mut watcher = b.subscriber(&topic, 0)?;
    let mut hello = b.mortal(&topic, 0, false);
    hello.keep_alive = 1;
    let (_silent, _) = b.enter(&hello)?;
    within(&mut watcher, Duration::from_secs(8)).map(drop)
}

/// DISCONNECT forgets the will.
pub fn forgotten(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    let (client, _) = b.enter(&b.mortal(&topic, 0, false))?;
    client.leave(0, &Vec::new())?;
    watcher.expect_nothing()
}

/// Once published it is gone: the next connection of the same client has none.
pub fn only_once(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    let mut hello = b.lasting("m", true);
    hello.will = b.mortal(&topic, 0, false).will;
    b.enter(&hello)?.0.drop_line();
    watcher.receive()?;
    b.enter(&b.lasting("m", false))?.0.drop_line();
    watcher.expect_nothing().context("a connection without a will")
}

/// Without a will nothing is published.
pub fn none_without_flag(b: &Broker) -> Result<()> {
    let mut watcher = b.subscriber(&b.topic("#"), 0)?;
    b.client()?.drop_line();
    watcher.expect_nothing()
}

pub fn not_retained(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    b.enter(&b.mortal(&topic, 0, false))?.0.drop_line();
    watcher.receive()?;
    b.subscriber(&topic, 0)?.expect_nothing().context("a will without retain was retained")
}

pub fn retained(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    b.enter(&b.mortal(&topic, 0, true))?.0.drop_line();
    watcher.receive()?;
    let message = b.subscriber(&topic, 0)?.receive().context("the retained will")?;
    ensure!(message.retain, "it came without the retain flag");
    b.client()?.publish(Publish::new(&topic, 1, "").retained())
}

fn refused_with(b: &Broker, what: &str, change: impl FnOnce(&mut Connect)) -> Result<()> {
    let mut hello = b.hello();
    change(&mut hello);
    b.must_refuse(what, &hello).map(drop)
}

pub fn qos_three(b: &Broker) -> Result<()> {
    let hello = b.mortal(&b.topic("w"), 3, false);
    b.must_refuse("will QoS 3", &hello).map(drop)
}

pub fn qos_without_flag(b: &Broker) -> Result<()> {
    refused_with(b, "will QoS 1 without a will", |hello| hello.flip = 0x08)
}

pub fn retain_without_flag(b: &Broker) -> Result<()> {
    refused_with(b, "will retain without a will", |hello| hello.flip = 0x20)
}

fn delayed(b: &Broker, topic: &str, delay: u32, expiry: u32) -> Connect {
    let mut hello = b.named("d");
    hello.will = b.mortal(topic, 0, false).will;
    if let Some(will) = &mut hello.will {
        will.properties.push((property::WILL_DELAY, Value::Four(delay)));
    }
    hello.properties.push((property::SESSION_EXPIRY, Value::Four(expiry)));
    hello
}

/// The will waits for its delay, and no longer than the session.
pub fn delay(b: &Broker) -> Result<()> {
    for (name, delay, expiry) in [("delay", 1, 60), ("expiry", 60, 1)] {
        let topic = b.topic(name);
        let mut watcher = b.subscriber(&topic, 0)?;
        b.enter(&delayed(b, &topic, delay, expiry))?.0.drop_line();
        watcher.expect_nothing().with_context(|| format!("at once, with delay {delay} s and session expiry {expiry} s"))?;
        within(&mut watcher, Duration::from_millis(3_500)).with_context(|| format!("delay {delay} s, session expiry {expiry} s"))?;
    }
    Ok(())
}

/// Who comes back in time takes the will away.
pub fn delay_cancelled(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    b.enter(&delayed(b, &topic, 1, 60))?.0.drop_line();
    let mut back = b.named("d");
    back.clean = false;
    back.properties.push((property::SESSION_EXPIRY, Value::Four(60)));
    let (mut client, _) = b.enter(&back)?;
    wait(b, Duration::from_millis(2_000))?;
    watcher.expect_nothing()?;
    client.ping()
}

/// DISCONNECT with code 4 asks for the will.
pub fn disconnect_with_will(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    let (client, _) = b.enter(&b.mortal(&topic, 0, false))?;
    client.leave(4, &Vec::new())?;
    watcher.receive().map(drop)
}

/// The will's properties come along, user properties in their order.
pub fn properties(b: &Broker) -> Result<()> {
    let topic = b.topic("w");
    let mut watcher = b.subscriber(&topic, 0)?;
    let mut hello = b.mortal(&topic, 0, false);
    let sent = ["c", "a", "b", "a"].map(|key| (property::USER, Value::Pair(key.to_owned(), format!("of {key}"))));
    if let Some(will) = &mut hello.will {
        will.properties.extend(sent.clone());
        will.properties.push((property::CONTENT_TYPE, Value::Text(b"text/plain".to_vec())));
    }
    b.enter(&hello)?.0.drop_line();
    let will = watcher.receive()?;
    let came: Vec<_> = will.properties.iter().filter(|(id, _)| *id == property::USER).cloned().collect();
    ensure!(came == sent, "user properties {came:?}");
    ensure!(property::find(&will.properties, property::CONTENT_TYPE).is_some(), "the content type is lost");
    Ok(())
}

/// The will flag with the will's fields is taken, for each QoS.
pub fn every_qos_is_taken(b: &Broker) -> Result<()> {
    for qos in 0..3 {
        let (mut client, _) = b.enter(&b.mortal(&b.topic("w"), qos, qos == 1))?;
        client.send(&PINGREQ)?;
        client.expect("PINGRESP")?;
        client.leave(0, &Vec::new())?;
    }
    Ok(())
}
