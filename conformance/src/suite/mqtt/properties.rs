//! MQTT 5: properties of messages, topic aliases, packet sizes (3.3.2.3, 3.1.2.11).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::broker::{Broker, Untested};
use super::session::wait;
use crate::mqtt::client::{QUIET, Seen};
use crate::mqtt::packet::{self, Publish};
use crate::mqtt::property::{self, Properties, Value};

/// Sends one message with those properties and returns what came.
fn through(b: &Broker, list: &Properties) -> Result<Properties> {
    let topic = b.topic("x");
    let mut reader = b.subscriber(&topic, 1)?;
    b.client()?.publish(Publish { properties: list.clone(), ..Publish::new(&topic, 1, "text") })?;
    Ok(reader.receive()?.properties)
}

fn unaltered(b: &Broker, list: Properties) -> Result<()> {
    let came = through(b, &list)?;
    for (id, value) in &list {
        let seen = property::find(&came, *id);
        ensure!(seen == Some(value), "property 0x{id:02X} was sent as {value:?} and came as {seen:?}");
    }
    Ok(())
}

pub fn payload_format(b: &Broker) -> Result<()> {
    unaltered(b, vec![(property::PAYLOAD_FORMAT, Value::Byte(1))])
}

pub fn response_topic(b: &Broker) -> Result<()> {
    unaltered(b, vec![(property::RESPONSE_TOPIC, Value::Text("answers/ä/1".into()))])
}

pub fn correlation(b: &Broker) -> Result<()> {
    let data = (property::CORRELATION, Value::Binary(vec![0, 1, 254, 255]));
    unaltered(b, vec![(property::RESPONSE_TOPIC, Value::Text(b"r".to_vec())), data])
}

pub fn content_type(b: &Broker) -> Result<()> {
    unaltered(b, vec![(property::CONTENT_TYPE, Value::Text(b"text/x-own; v=1".to_vec()))])
}

/// All of them, also equal ones, in their order.
pub fn user_properties(b: &Broker) -> Result<()> {
    let sent: Properties = ["z", "a", "m", "a", "", "z"]
        .iter()
        .enumerate()
        .map(|(n, key)| (property::USER, Value::Pair((*key).into(), n.to_string())))
        .collect();
    let came: Properties = through(b, &sent)?.into_iter().filter(|(id, _)| *id == property::USER).collect();
    ensure!(came == sent, "sent {sent:?}, came {came:?}");
    Ok(())
}

fn refused(b: &Broker, what: &str, message: &Publish) -> Result<()> {
    b.must_close_on(what, &message.bytes(b.version()))
}

fn message(b: &Broker) -> Publish {
    Publish::new(b.topic("x"), 0, "x")
}

pub fn response_topic_checked(b: &Broker) -> Result<()> {
    for bad in ["a/#", "+/b"] {
        refused(b, "a wildcard in the response topic", &message(b).with(property::RESPONSE_TOPIC, Value::Text(bad.into())))?;
    }
    Ok(())
}

pub fn response_topic_is_utf8(b: &Broker) -> Result<()> {
    refused(b, "a response topic that is not UTF-8", &message(b).with(property::RESPONSE_TOPIC, Value::Text(b"\xFF".to_vec())))
}

pub fn content_type_is_utf8(b: &Broker) -> Result<()> {
    refused(b, "a content type that is not UTF-8", &message(b).with(property::CONTENT_TYPE, Value::Text(b"\xC0\x80".to_vec())))
}

pub fn pair_is_utf8(b: &Broker) -> Result<()> {
    for pair in [&b"\x26\0\x01\xFF\0\x01v"[..], b"\x26\0\x01k\0\x01\xFF", b"\x26\0\x01\0\0\x01v"] {
        let mut body = Vec::new();
        packet::text(&mut body, b.topic("x").as_bytes());
        packet::variable(&mut body, u32::try_from(pair.len())?);
        body.extend_from_slice(pair);
        b.must_close_on(&format!("user property {pair:02X?}"), &packet::frame(0x30, &body))?;
    }
    Ok(())
}

pub fn subscription_identifier_refused(b: &Broker) -> Result<()> {
    refused(b, "a subscription identifier from a client", &message(b).with(property::SUBSCRIPTION_ID, Value::Variable(1)))
}

/// A property twice, an unknown one, one of another packet.
pub fn bad_lists(b: &Broker) -> Result<()> {
    let twice = message(b).with(property::MESSAGE_EXPIRY, Value::Four(9)).with(property::MESSAGE_EXPIRY, Value::Four(9));
    refused(b, "message expiry twice", &twice)?;
    refused(b, "an unknown property", &message(b).with(0x7F, Value::Byte(1)))?;
    refused(b, "a property of CONNECT", &message(b).with(property::SESSION_EXPIRY, Value::Four(1)))
}

/// An absent property length is no packet.
pub fn length_is_there(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut body = Vec::new();
    packet::text(&mut body, topic.as_bytes());
    b.must_close_on("PUBLISH that ends before its property length", &packet::frame(0x30, &body))?;
    let mut reader = b.subscriber(&topic, 0)?;
    b.client()?.publish(Publish::new(&topic, 0, ""))?;
    ensure!(reader.receive()?.properties.is_empty(), "properties that nobody sent");
    Ok(())
}

fn offline(b: &Broker, expiry: u32) -> Result<Option<Publish>> {
    let topic = b.topic("x");
    let (mut reader, _) = b.enter(&b.lasting("reader", true))?;
    reader.subscribe(&topic, 1)?;
    reader.drop_line();
    b.client()?.publish(Publish::new(&topic, 1, "x").with(property::MESSAGE_EXPIRY, Value::Four(expiry)))?;
    wait(b, Duration::from_millis(2_300))?;
    let (mut reader, _) = b.enter(&b.lasting("reader", false))?;
    match reader.see(QUIET)? {
        Seen::Packet(crate::mqtt::parse::Packet::Publish(message)) => Ok(Some(message)),
        Seen::Nothing => Ok(None),
        other => anyhow::bail!("came {other:?}"),
    }
}

pub fn expired(b: &Broker) -> Result<()> {
    let came = offline(b, 1)?;
    ensure!(came.is_none(), "2.3 s later a message with an expiry of 1 s came: {came:?}");
    Ok(())
}

pub fn expiry_counts_down(b: &Broker) -> Result<()> {
    let came = offline(b, 60)?.context("the waiting message did not come")?;
    let left = property::number(&came.properties, property::MESSAGE_EXPIRY);
    ensure!(left.is_some_and(|left| (55..=58).contains(&left)), "60 s at first, {left:?} after 2.3 s");
    Ok(())
}

fn aliases(b: &Broker) -> Result<u16> {
    match property::number(&b.says()?, property::ALIAS_MAXIMUM).unwrap_or(0) {
        0 => Err(Untested("the broker takes no topic aliases, as it may".to_owned()).into()),
        most => Ok(u16::try_from(most)?),
    }
}

fn alias(topic: &str, alias: u16, payload: &str) -> Publish {
    Publish::new(topic, 1, payload).with(property::TOPIC_ALIAS, Value::Two(alias))
}

/// 1 and the highest alias are taken, used and given to another topic.
pub fn alias_taken(b: &Broker) -> Result<()> {
    let most = aliases(b)?;
    let mut reader = b.subscriber(&b.topic("+"), 0)?;
    let mut writer = b.client()?;
    for number in [1, most] {
        for name in ["a", "b"] {
            let topic = b.topic(name);
            for sent in [alias(&topic, number, "named"), alias("", number, "by alias")] {
                writer.publish(sent)?;
                let came = reader.receive()?;
                ensure!(came.topic == topic.as_bytes(), "alias {number}: topic {:?} came", String::from_utf8_lossy(&came.topic));
            }
        }
    }
    Ok(())
}

pub fn alias_refused(b: &Broker) -> Result<()> {
    refused(b, "topic alias 0", &alias(&b.topic("x"), 0, "x").id(1))?;
    refused(b, "an alias that was never set, without a topic", &alias("", 1, "x").id(1))
}

pub fn alias_too_high(b: &Broker) -> Result<()> {
    let most = property::number(&b.says()?, property::ALIAS_MAXIMUM).unwrap_or(0);
    if most == 65_535 {
        return Err(Untested("the broker takes every alias there is".to_owned()).into());
    }
    refused(b, "an alias over the maximum", &alias(&b.topic("x"), u16::try_from(most + 1)?, "x").id(1))
}

/// Aliases end with the connection, also when the session goes on.
pub fn alias_not_carried(b: &Broker) -> Result<()> {
    aliases(b)?;
    let (mut writer, _) = b.enter(&b.lasting("writer", true))?;
    writer.publish(alias(&b.topic("x"), 1, "x"))?;
    writer.drop_line();
    let (mut writer, _) = b.enter(&b.lasting("writer", false))?;
    writer.throw(&alias("", 1, "x").id(9).bytes(b.version()));
    writer.expect_closed().context("an alias of an earlier connection").map(drop)
}

fn sent_aliases(b: &Broker, most: Option<u16>) -> Result<Vec<u64>> {
    let topic = b.topic("x");
    let mut hello = b.hello();
    hello.properties.extend(most.map(|most| (property::ALIAS_MAXIMUM, Value::Two(most))));
    let (mut reader, _) = b.enter(&hello)?;
    reader.subscribe(&b.topic("#"), 0)?;
    let mut writer = b.client()?;
    let mut used = Vec::new();
    for _ in 0..3 {
        for name in [&topic, &b.topic("y"), &b.topic("z")] {
            writer.publish(Publish::new(name, 1, "x"))?;
            used.extend(property::number(&reader.receive()?.properties, property::TOPIC_ALIAS));
        }
    }
    Ok(used)
}

pub fn no_alias_unasked(b: &Broker) -> Result<()> {
    for most in [None, Some(0)] {
        let used = sent_aliases(b, most)?;
        ensure!(used.is_empty(), "aliases {used:?} for a client with maximum {most:?}");
    }
    Ok(())
}

pub fn alias_within_maximum(b: &Broker) -> Result<()> {
    let used = sent_aliases(b, Some(2))?;
    ensure!(used.iter().all(|alias| *alias <= 2), "aliases {used:?} for a client with maximum 2");
    Ok(())
}

/// What is too large for the client is not sent, and what follows is.
pub fn too_large(b: &Broker) -> Result<()> {
    let topic = b.topic("x");
    let mut hello = b.hello();
    hello.properties.push((property::MAXIMUM_PACKET, Value::Four(200)));
    let (mut reader, _) = b.enter(&hello)?;
    reader.subscribe(&topic, 2)?;
    let mut writer = b.client()?;
    for qos in 0..3 {
        writer.publish(Publish::new(&topic, qos, vec![b'x'; 400]))?;
        writer.publish(Publish::new(&topic, qos, "small"))?;
        let message = reader.receive().context("the message behind the too large one")?;
        ensure!(message.payload == b"small", "a packet of {} bytes for a client that takes 200", reader.last_bytes());
    }
    reader.expect_nothing()
}

/// Answers stay within a small maximum, and without reason strings when none are wanted.
fn plain_answers(b: &Broker, list: &Properties, kinds: &[u8]) -> Result<()> {
    let mut hello = b.hello();
    hello.properties = list.clone();
    let (mut client, _) = b.enter(&hello)?;
    let (v, topic) = (b.version(), b.topic("x"));
    for (kind, bytes) in [
        (4, Publish::new(&topic, 1, "x").id(1).bytes(v)),
        (5, Publish::new(&topic, 2, "x").id(2).bytes(v)),
        (7, packet::ack(packet::PUBREL, 999)),
        (9, packet::frame(0x82, &packet::subscribe_body(v, 3, &[(b.topic("y/#"), 1)], &Vec::new()))),
        (11, packet::frame(0xA2, &packet::unsubscribe_body(v, 4, &[b.topic("never")]))),
    ] {
        if !kinds.contains(&kind) {
            continue;
        }
        client.send(&bytes)?;
        let answer = client.expect("an answer")?;
        ensure!(client.last_bytes() <= 64, "a packet of {} bytes for a client that takes 64", client.last_bytes());
        let properties = match &answer {
            crate::mqtt::parse::Packet::Ack { properties, .. } => properties,
            crate::mqtt::parse::Packet::SubAck(codes) | crate::mqtt::parse::Packet::UnsubAck(codes) => &codes.properties,
            other => anyhow::bail!("came {other:?}"),
        };
        let wordy = list[0].0 == property::REQUEST_PROBLEM && !properties.is_empty();
        ensure!(!wordy, "properties {properties:?} for a client that wants none");
    }
    Ok(())
}

pub fn no_problem_information(b: &Broker) -> Result<()> {
    plain_answers(b, &vec![(property::REQUEST_PROBLEM, Value::Byte(0))], &[4, 5, 7, 9, 11])
}

fn small(b: &Broker, kind: u8) -> Result<()> {
    plain_answers(b, &vec![(property::MAXIMUM_PACKET, Value::Four(64))], &[kind])
}

pub fn small_puback(b: &Broker) -> Result<()> {
    small(b, 4)
}

pub fn small_pubrec(b: &Broker) -> Result<()> {
    small(b, 5)
}

pub fn small_pubcomp(b: &Broker) -> Result<()> {
    small(b, 7)
}

pub fn small_suback(b: &Broker) -> Result<()> {
    small(b, 9)
}

pub fn small_unsuback(b: &Broker) -> Result<()> {
    small(b, 11)
}

/// DISCONNECT of a server after an error fits the client, too.
pub fn small_disconnect(b: &Broker) -> Result<()> {
    let mut hello = b.hello();
    hello.properties.push((property::MAXIMUM_PACKET, Value::Four(64)));
    let (mut client, _) = b.enter(&hello)?;
    client.throw(&hello.bytes());
    client.expect_closed()?;
    ensure!(client.last_bytes() <= 64, "DISCONNECT of {} bytes for a client that takes 64", client.last_bytes());
    Ok(())
}
