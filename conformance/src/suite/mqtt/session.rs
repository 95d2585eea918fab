//! Sessions: kept, thrown away, expired (3.1.2.4, 3.1.2.11.2, 4.1).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::broker::Broker;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::Publish;
use crate::mqtt::property::{self, Value};

/// Waits on a connection of our own, since nothing else tells that time has passed.
pub fn wait(b: &Broker, time: Duration) -> Result<()> {
    let mut client = b.client()?;
    match client.see(time)? {
        Seen::Nothing => Ok(()),
        other => anyhow::bail!("an idle client saw {other:?}"),
    }
}

/// A lasting session that subscribes `topic` and whose line is lost.
fn begun(b: &Broker, topic: &str) -> Result<()> {
    let (mut client, answer) = b.enter(&b.lasting("s", true))?;
    ensure!(!answer.session_present, "a new session is said to be present");
    client.subscribe(topic, 1)?;
    client.drop_line();
    Ok(())
}

/// The session goes on: its flag, its subscription, and the messages of meanwhile.
pub fn resumed(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    begun(b, &topic)?;
    let mut writer = b.client()?;
    writer.publish(Publish::new(&topic, 1, "meanwhile"))?;
    let (mut client, answer) = b.enter(&b.lasting("s", false))?;
    ensure!(answer.session_present, "the session is not present");
    let message = client.receive().context("what was published meanwhile")?;
    ensure!(message.payload == b"meanwhile" && message.qos == 1, "came {message:?}");
    writer.publish(Publish::new(&topic, 1, "now"))?;
    client.receive().context("the subscription of before").map(drop)
}

/// QoS 1 and 2 of meanwhile are kept, all of them.
pub fn stored(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let (mut client, _) = b.enter(&b.lasting("s", true))?;
    client.subscribe(&topic, 2)?;
    client.drop_line();
    let mut writer = b.client()?;
    for number in 0..10_u8 {
        writer.publish(Publish::new(&topic, 1 + number % 2, [number]))?;
    }
    let (mut client, _) = b.enter(&b.lasting("s", false))?;
    for number in 0..10_u8 {
        let message = client.receive()?;
        ensure!(message.payload == [number] && message.qos == 1 + number % 2, "for number {number} came {message:?}");
    }
    Ok(())
}

/// A client that is not known gets a new session, and is told so.
pub fn created(b: &Broker) -> Result<()> {
    let (mut client, answer) = b.enter(&b.lasting("unknown", false))?;
    ensure!(!answer.session_present, "a session is present that never was");
    client.ping()
}

pub fn present(b: &Broker) -> Result<()> {
    begun(b, &b.topic("x"))?;
    let (_, answer) = b.enter(&b.lasting("s", false))?;
    ensure!(answer.session_present, "the session is not present");
    Ok(())
}

/// A clean start forgets subscription and messages.
pub fn discarded(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    begun(b, &topic)?;
    let mut writer = b.client()?;
    writer.publish(Publish::new(&topic, 1, "meanwhile"))?;
    let (mut client, answer) = b.enter(&b.named("s"))?;
    ensure!(!answer.session_present, "session present after a clean start");
    client.expect_nothing()?;
    writer.publish(Publish::new(&topic, 1, "later"))?;
    client.expect_nothing().context("the subscription of the older session")?;
    client.leave(0, &Vec::new())?;
    let mut again = b.named("s");
    again.clean = false;
    let (mut client, answer) = b.enter(&again)?;
    ensure!(!answer.session_present, "a session that ended with its connection is present");
    client.expect_nothing()
}

/// Two clients have two sessions.
pub fn id_names_session(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    begun(b, &topic)?;
    let (mut other, answer) = b.enter(&b.lasting("t", false))?;
    ensure!(!answer.session_present, "the session of another client id");
    b.client()?.publish(Publish::new(&topic, 1, "x"))?;
    other.expect_nothing()?;
    let (mut client, answer) = b.enter(&b.lasting("s", false))?;
    ensure!(answer.session_present, "the session is not present");
    client.receive().map(drop)
}

/// The session lives as long as the connection, whatever its expiry.
pub fn lives_with_connection(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut hello = b.hello();
    if b.v5() {
        hello.properties.push((property::SESSION_EXPIRY, Value::Four(1)));
    }
    let (mut client, _) = b.enter(&hello)?;
    client.subscribe(&topic, 1)?;
    wait(b, Duration::from_millis(2_500))?;
    b.client()?.publish(Publish::new(&topic, 1, "x"))?;
    client.receive().map(drop)
}

fn with_expiry(b: &Broker, seconds: Option<u32>, clean: bool) -> Result<(Client, bool)> {
    let mut hello = b.named("e");
    hello.clean = clean;
    hello.properties.extend(seconds.map(|seconds| (property::SESSION_EXPIRY, Value::Four(seconds))));
    let (client, answer) = b.enter(&hello)?;
    Ok((client, answer.session_present))
}

/// Expiry absent, 0, 1 s and 60 s.
pub fn expires(b: &Broker) -> Result<()> {
    for (seconds, kept) in [(None, false), (Some(0), false), (Some(60), true), (Some(1), false)] {
        let (mut client, _) = with_expiry(b, seconds, true)?;
        client.subscribe(&b.topic("x"), 1)?;
        client.drop_line();
        wait(b, Duration::from_millis(if seconds == Some(1) { 2_500 } else { 200 }))?;
        let (_, present) = with_expiry(b, None, false)?;
        ensure!(present == kept, "expiry {seconds:?}: session present is {present}");
    }
    Ok(())
}

/// Messages are kept while the session expiry runs.
pub fn kept_until_expiry(b: &Broker) -> Result<()> {
    resumed(b)
}

/// DISCONNECT may change the expiry, but not from 0.
pub fn expiry_in_disconnect(b: &Broker) -> Result<()> {
    let (client, _) = with_expiry(b, Some(60), true)?;
    client.leave(0, &vec![(property::SESSION_EXPIRY, Value::Four(0))])?;
    let (mut client, present) = with_expiry(b, None, false)?;
    ensure!(!present, "the session outlived a DISCONNECT with expiry 0");
    client.throw(&crate::mqtt::packet::disconnect(b.version(), 0, &vec![(property::SESSION_EXPIRY, Value::Four(60))]));
    client.expect_closed()?;
    let (_, present) = with_expiry(b, None, false)?;
    ensure!(!present, "a DISCONNECT gave an expiry to a session that had none");
    Ok(())
}
