//! What sessions that come back and filters that overlap are given: everything once, in order, by the right subscription.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{connect, drain, hello, join, story, story_with};
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{Connect, PUBACK, Publish, ack};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{ALIAS_MAXIMUM, MESSAGE_EXPIRY, RECEIVE_MAXIMUM, SUBSCRIPTION_ID, TOPIC_ALIAS, USER, Value};
use crate::server::{Options, Server};
use crate::suite::{Report, load};

/// How long nothing must come.
const QUIET: Duration = Duration::from_millis(500);

/// All stories.
pub fn run(report: &mut Report) {
    report.check("sessions: a replay that was cut off", || story(cut_off_replay));
    report.check("sessions: taken over with a full window", || story(taken_over));
    report.check("sessions: filters that overlap", || story(overlapping));
    report.check("sessions: signals by wildcard and identifier", || story(signals));
    report.check("sessions: one that is not kept any more", || story(given_up));
    report.check("sessions: shares of a member that goes", || story(shares));
    report.check("sessions: shares of members that die", || story_with(Options::new().without_rates(), dead_members));
    report.check("sessions: presence by name and by wildcard", || story(presence));
    report.check("sessions: expired while away", || story(expired));
    report.check("sessions: what an erased person said on a topic", || story(erased));
    report.check("sessions: topic aliases towards the client", || story(aliases));
}

/// A kept MQTT 5 session of which so many messages may be unacknowledged.
fn narrow(uid: &str, window: u16) -> Connect {
    let mut connect = hello(Version::V5, uid, &format!("{uid}-narrow"), true);
    connect.properties.push((RECEIVE_MAXIMUM, Value::Two(window)));
    connect
}

fn texts(messages: &[Publish], topic: &str) -> Vec<String> {
    let about = messages.iter().filter(|message| message.topic == topic.as_bytes());
    about.map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
}

fn publish_numbered(client: &mut Client, topic: &str, qos: u8, count: usize) -> Result<Vec<String>> {
    let texts: Vec<String> = (0..count).map(|number| format!("number {number}")).collect();
    texts.iter().try_for_each(|text| client.publish(Publish::new(topic, qos, text)))?;
    Ok(texts)
}

/// Messages that came before nothing came for a while, with none acknowledged.
fn take_unacknowledged(client: &mut Client) -> Result<Vec<Publish>> {
    let mut all = Vec::new();
    while let Seen::Packet(packet) = client.see(QUIET)? {
        all.extend(if let Packet::Publish(message) = packet { Some(message) } else { None });
    }
    Ok(all)
}

/// A replay lowers where the session is: what its other subscriptions were given before is not given again.
fn cut_off_replay(server: &Server) -> Result<String> {
    let mut alice = load::join(server, "alice")?;
    let mut from = join(server, Version::V5, "alice")?;
    load::token(server, "bob")?;
    let bob = narrow("bob", 5);
    let (mut to, _) = connect(server, &bob)?;
    to.subscribe("conf/demo/topic/work", 2)?;
    for number in 0..40 {
        alice.call_ok("message.send", &load::draft("lobby", &format!("{number}"), &format!("message {number}")))?;
    }
    let sent = publish_numbered(&mut from, "conf/demo/topic/work", 2, 20)?;
    let given = texts(&drain(&mut to, QUIET)?, "conf/demo/topic/work");
    ensure!(given == sent, "before: {given:?}");
    let replay = vec![(USER, Value::Pair("history".into(), "40".into()))];
    to.subscribe_with(&[("conf/demo/chat/lobby", 1)], &replay)?;
    let window = take_unacknowledged(&mut to)?;
    ensure!(window.len() == 5, "{} messages in a window of 5", window.len());
    to.drop_line();
    let (mut back, present) = connect(server, &bob)?;
    ensure!(present, "the session is gone");
    let after = drain(&mut back, QUIET)?;
    ensure!(texts(&after, "conf/demo/topic/work").is_empty(), "QoS 2 was given again: {after:?}");
    let replayed = texts(&after, "conf/demo/chat/lobby");
    ensure!(replayed.len() == 40, "{} of 40 messages were replayed", replayed.len());
    ensure!(after.iter().take(5).all(|message| message.dup), "what was in flight came without DUP");
    Ok(format!("{} and {} messages, each once", sent.len(), replayed.len()))
}

/// Nothing is lost when a session that lags is taken over.
fn taken_over(server: &Server) -> Result<String> {
    load::token(server, "alice")?;
    load::token(server, "bob")?;
    let mut from = join(server, Version::V5, "alice")?;
    let bob = narrow("bob", 10);
    let (mut first, _) = connect(server, &bob)?;
    first.subscribe("conf/demo/topic/work", 1)?;
    let sent = publish_numbered(&mut from, "conf/demo/topic/work", 1, 100)?;
    ensure!(take_unacknowledged(&mut first)?.len() == 10, "not as many as the window holds");
    let (mut second, present) = connect(server, &bob)?;
    ensure!(present, "the session is gone");
    let given = drain(&mut second, QUIET)?;
    ensure!(texts(&given, "conf/demo/topic/work") == sent, "after the takeover: {given:?}");
    ensure!(given.iter().take(10).all(|message| message.dup), "what was in flight came without DUP");
    Ok(format!("{} messages, in order", given.len()))
}

/// A conversation by name and by wildcard comes once, with the parts of both, and by name alone when the wildcard has gone.
fn overlapping(server: &Server) -> Result<String> {
    let mut alice = load::join(server, "alice")?;
    let side = json!({"kind": "channel", "id": "side", "title": "Side"});
    load::join(server, "sam")?.call_ok("conversation.create", &side)?;
    for conversation in ["lobby", "side"] {
        alice.call_ok("conversation.join", &json!({"conversation": conversation}))?;
    }
    let mut bob = {
        load::token(server, "bob")?;
        join(server, Version::V5, "bob")?
    };
    bob.subscribe("conf/demo/chat/lobby", 1)?;
    bob.subscribe("conf/demo/chat/+/event", 0)?;
    drain(&mut bob, QUIET)?;
    let sent = alice.call_ok("message.send", &load::draft("lobby", "1", "first"))?;
    alice.call_ok("message.edit", &json!({"conversation": "lobby", "seq": sent["seq"], "text": "better"}))?;
    let heard = drain(&mut bob, QUIET)?;
    ensure!(texts(&heard, "conf/demo/chat/lobby").len() == 1, "the message came as {heard:?}");
    ensure!(texts(&heard, "conf/demo/chat/lobby/event").len() == 1, "the edit of what is followed by name did not come: {heard:?}");

    bob.subscribe("conf/demo/chat/+", 0)?;
    drain(&mut bob, QUIET)?;
    let say = |alice: &mut crate::client::Client, id: &str| -> Result<()> {
        for conversation in ["lobby", "side"] {
            alice.call_ok("message.send", &load::draft(conversation, id, id))?;
        }
        Ok(())
    };
    say(&mut alice, "both")?;
    let heard = drain(&mut bob, QUIET)?;
    let qos: Vec<u8> = heard.iter().map(|message| message.qos).collect();
    ensure!(heard.len() == 2 && qos.contains(&1) && qos.contains(&0), "by name and by wildcard came {heard:?}");

    bob.unsubscribe(&["conf/demo/chat/+"])?;
    say(&mut alice, "one")?;
    let heard = drain(&mut bob, QUIET)?;
    ensure!(heard.len() == 1 && heard[0].topic == b"conf/demo/chat/lobby" && heard[0].qos == 1, "by name alone came {heard:?}");
    bob.unsubscribe(&["conf/demo/chat/lobby", "conf/demo/chat/+/event"])?;
    say(&mut alice, "none")?;
    ensure!(drain(&mut bob, QUIET)?.is_empty(), "something came without a subscription");
    Ok("each once".into())
}

/// Who types in an open conversation is heard by a wildcard, too, with the subscription's identifier.
fn signals(server: &Server) -> Result<String> {
    let mut alice = load::join(server, "alice")?;
    load::token(server, "bob")?;
    let mut heard = Vec::new();
    for filter in ["conf/demo/chat/+/typing", "conf/demo/chat/lobby/typing"] {
        let mut bob = join(server, Version::V5, "bob")?;
        bob.subscribe_with(&[(filter, 0)], &vec![(SUBSCRIPTION_ID, Value::Variable(7))])?;
        alice.call_ok("conversation.typing", &json!({"conversation": "lobby", "on": true}))?;
        let message = bob.receive().with_context(|| format!("nobody types for {filter}"))?;
        ensure!(message.topic == b"conf/demo/chat/lobby/typing", "{filter}: {message:?}");
        ensure!(message.properties.contains(&(SUBSCRIPTION_ID, Value::Variable(7))), "{filter}: no identifier in {message:?}");
        heard.push(message);
    }
    Ok(format!("{} signals, each with its identifier", heard.len()))
}

/// A kept session that is resumed with expiry 0 is gone with that connection.
fn given_up(server: &Server) -> Result<String> {
    load::token(server, "bob")?;
    let kept = hello(Version::V5, "bob", "device", true);
    let (mut first, _) = connect(server, &kept)?;
    first.subscribe("conf/demo/chat/lobby", 1)?;
    first.leave(0, &Vec::new())?;
    let mut last = hello(Version::V5, "bob", "device", true);
    last.properties.clear();
    let (second, present) = connect(server, &last)?;
    ensure!(present, "the kept session is gone");
    second.leave(0, &Vec::new())?;
    let (_third, present) = connect(server, &kept)?;
    ensure!(!present, "a session with expiry 0 was kept");
    Ok("forgotten".into())
}

/// What waits for a member of a group that goes is for another; what it had in flight is its own.
fn shares(server: &Server) -> Result<String> {
    for uid in ["alice", "bob", "carol"] {
        load::token(server, uid)?;
    }
    let mut from = join(server, Version::V5, "alice")?;
    let bob = narrow("bob", 1);
    let (mut stuck, _) = connect(server, &bob)?;
    stuck.subscribe("$share/workers/conf/demo/topic/work", 1)?;
    let (mut other, _) = connect(server, &hello(Version::V5, "carol", "carol", false))?;
    other.subscribe("$share/workers/conf/demo/topic/work", 1)?;
    let sent = publish_numbered(&mut from, "conf/demo/topic/work", 1, 20)?;
    let held = take_unacknowledged(&mut stuck)?;
    ensure!(held.len() == 1, "{} messages in a window of 1", held.len());
    stuck.drop_line();
    let mut done = texts(&drain(&mut other, QUIET)?, "conf/demo/topic/work");
    let (mut back, _) = connect(server, &bob)?;
    let again = take_unacknowledged(&mut back)?;
    ensure!(again.len() == 1 && again[0].dup && again[0].payload == held[0].payload, "in flight was {held:?}, came again {again:?}");
    back.send(&ack(PUBACK, again[0].id))?;
    ensure!(drain(&mut back, QUIET)?.is_empty(), "a share came twice");
    done.extend(texts(&again, "conf/demo/topic/work"));
    done.sort();
    let mut all = sent.clone();
    all.sort();
    ensure!(done == all, "of {all:?} came {done:?}");
    Ok(format!("{} messages, each to one", done.len()))
}

/// What has expired when its reader comes back is not given, not with QoS 0 either.
fn expired(server: &Server) -> Result<String> {
    for uid in ["alice", "bob", "carol"] {
        load::token(server, uid)?;
    }
    let mut from = join(server, Version::V5, "alice")?;
    let (all, plain) = (hello(Version::V5, "bob", "b", true), hello(Version::V4, "carol", "c", true));
    for (hello, qos) in [(&all, 1), (&plain, 0)] {
        let (mut reader, _) = connect(server, hello)?;
        reader.subscribe("conf/demo/topic/news", qos)?;
        reader.leave(0, &Vec::new())?;
    }
    from.publish(Publish::new("conf/demo/topic/news", 1, "old").with(MESSAGE_EXPIRY, Value::Four(1)))?;
    from.publish(Publish::new("conf/demo/topic/news", 1, "new").with(MESSAGE_EXPIRY, Value::Four(600)))?;
    std::thread::sleep(Duration::from_millis(1200));
    for hello in [&all, &plain] {
        let (mut reader, _) = connect(server, hello)?;
        let heard = drain(&mut reader, QUIET)?;
        ensure!(texts(&heard, "conf/demo/topic/news") == ["new"], "{:?} got {heard:?}", hello.version);
        let left = heard[0].properties.iter().find(|(id, _)| *id == MESSAGE_EXPIRY);
        let is_less = matches!(left, Some((_, Value::Four(left_s))) if *left_s < 600);
        ensure!(hello.version == Version::V4 || is_less, "what is left of its time is {left:?}");
    }
    Ok("the one that had time left".into())
}

/// A client that takes one alias is told one topic's name once, and every other topic's always.
fn aliases(server: &Server) -> Result<String> {
    for uid in ["alice", "bob"] {
        load::token(server, uid)?;
    }
    let mut from = join(server, Version::V5, "alice")?;
    let mut hello = hello(Version::V5, "bob", "bob", false);
    hello.properties.push((ALIAS_MAXIMUM, Value::Two(1)));
    let (mut bob, _) = connect(server, &hello)?;
    bob.subscribe("conf/demo/topic/#", 1)?;
    let topics = ["conf/demo/topic/a", "conf/demo/topic/a", "conf/demo/topic/b", "conf/demo/topic/a", "conf/demo/topic/b"];
    for (number, topic) in topics.into_iter().enumerate() {
        // Kept ones and others, on one connection.
        from.publish(Publish::new(topic, u8::from(number % 2 == 0), "x"))?;
        let message = bob.receive()?;
        let alias = message.properties.iter().find(|(id, _)| *id == TOPIC_ALIAS).map(|(_, value)| value.clone());
        let (name, wanted) = match (topic.ends_with('a'), number) {
            (true, 0) => (topic, Some(Value::Two(1))),
            (true, _) => ("", Some(Value::Two(1))),
            (false, _) => (topic, None),
        };
        ensure!(message.topic == name.as_bytes() && alias == wanted, "message {number} on {topic} came as {message:?}");
    }
    Ok(format!("{} messages", topics.len()))
}

/// Members of a group that die with unread messages: what was theirs is for others, and the server has done with them. With QoS 0, and with nobody
/// who subscribes otherwise.
fn dead_members(server: &Server) -> Result<String> {
    for uid in ["alice", "bob"] {
        load::token(server, uid)?;
    }
    let mut from = join(server, Version::V5, "alice")?;
    let message = Publish::new("conf/demo/topic/work", 0, "x".repeat(60)).bytes(Version::V5);
    let flood = message.repeat(500);
    for number in 0..100 {
        let (mut member, _) = connect(server, &hello(Version::V5, "bob", &format!("member-{number}"), false))?;
        member.subscribe("$share/workers/conf/demo/topic/work", 1)?;
        from.send(&flood)?;
        member.receive().context("a group without other subscribers gets nothing with QoS 0")?;
        // With the rest unread, the end is a reset.
        drop(member);
        from.send(&flood)?;
    }
    // More than there are shards.
    for number in 0..8 {
        let (mut probe, _) = connect(server, &hello(Version::V5, "bob", &format!("probe-{number}"), false))?;
        probe.ping().context("the server hangs")?;
    }
    Ok("100 members died".into())
}

/// Somebody's presence comes once, by both subscriptions.
fn presence(server: &Server) -> Result<String> {
    for uid in ["alice", "bob"] {
        load::token(server, uid)?;
    }
    let mut alice = join(server, Version::V5, "alice")?;
    let mut bob = join(server, Version::V5, "bob")?;
    for (filter, id) in [("conf/demo/presence/alice", 3), ("conf/demo/presence/+", 4)] {
        bob.subscribe_with(&[(filter, 0)], &vec![(SUBSCRIPTION_ID, Value::Variable(id))])?;
    }
    drain(&mut bob, QUIET)?;
    alice.publish(Publish::new("conf/demo/presence/alice", 1, "away"))?;
    let heard = drain(&mut bob, QUIET)?;
    ensure!(heard.len() == 1, "alice's presence came as {heard:?}");
    let ids = heard[0].properties.iter().filter(|(id, _)| *id == SUBSCRIPTION_ID).count();
    ensure!(ids == 2, "{ids} identifiers in {heard:?}");
    Ok("once, with both identifiers".into())
}

/// What somebody said on a topic before they were erased is not given to a session that comes back.
fn erased(server: &Server) -> Result<String> {
    load::token(server, "bob")?;
    let kept = hello(Version::V5, "bob", "device", true);
    let (mut bob, _) = connect(server, &kept)?;
    bob.subscribe("conf/demo/topic/#", 1)?;
    bob.leave(0, &Vec::new())?;
    let (mut yara, mut alice) = (load::join(server, "yara")?, load::join(server, "alice")?);
    yara.call_ok("topic.transmit", &json!({"topic": "game", "action": "say", "payload": "what yara said", "store": true}))?;
    yara.call_ok("people.erase", &json!({}))?;
    alice.call_ok("topic.transmit", &json!({"topic": "game", "action": "say", "payload": "what alice said", "store": true}))?;
    let (mut bob, present) = connect(server, &kept)?;
    ensure!(present, "the kept session is gone");
    let message = bob.receive()?;
    let payload = String::from_utf8_lossy(&message.payload).into_owned();
    ensure!(payload.contains("what alice said"), "first came {payload}");
    Ok("only what others said".into())
}
