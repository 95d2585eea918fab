//! What somebody may not read does not reach them: asked for exactly, by a wildcard, as a retained message, as a replay, by a session that
//! comes back. Each story has somebody who does get it, so that silence proves something.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{connect, drain, hello, join, story, story_with};
use crate::client;
use crate::mqtt::Version;
use crate::mqtt::client::Client;
use crate::mqtt::packet::Publish;
use crate::mqtt::property::{USER, Value};
use crate::server::{Options, Server};
use crate::suite::{Report, load};

/// How long nothing must come.
const QUIET: Duration = Duration::from_millis(500);
/// A refusal in a SUBACK: of 3.1.1, and of MQTT 5 for what one may not read.
const REFUSED: [u8; 2] = [0x80, 0x87];

/// Everybody has topics of their own; what devices measure is for staff.
const RULES: &str = r#"
[server]
mode = "demo"
[[conference.demo.topics]]
filter = "own/{uid}/#"
[[conference.demo.topics]]
filter = "own/#"
publish = []
subscribe = []
[[conference.demo.topics]]
filter = "sensors/#"
publish = ["device"]
subscribe = ["staff"]
"#;

/// All stories.
pub fn run(report: &mut Report) {
    report.check("silence: another's inbox", || story(inbox));
    report.check("silence: a foreign conference", || story(foreign_conference));
    report.check("silence: a group that one is not in", || story(group));
    report.check("silence: badge topics", || story(badges));
    report.check("silence: a member who was removed", || story(removed));
    report.check("silence: the server's own topics", || story(server_topics));
    report.check("silence: topics with rules", || story_with(Options::new().config(RULES), ruled));
}

fn refused(client: &mut Client, filter: &str) -> Result<()> {
    let codes = client.subscribe_with(&[(filter, 1)], &Vec::new())?;
    ensure!(codes.iter().all(|code| REFUSED.contains(code)), "{filter} was answered with {codes:02X?}");
    Ok(())
}

/// The messages that came on topics that hold `part`.
fn about<'m>(messages: &'m [Publish], part: &str) -> Vec<&'m Publish> {
    messages.iter().filter(|message| String::from_utf8_lossy(&message.topic).contains(part)).collect()
}

/// Nothing of it came to `stranger`, and something to `reader`.
fn only_to(reader: &mut Client, stranger: &mut Client, part: &str) -> Result<usize> {
    let theirs = drain(reader, QUIET)?;
    ensure!(!about(&theirs, part).is_empty(), "not even who may read it got anything on …{part}…: {theirs:?}");
    let silence = drain(stranger, QUIET)?;
    let heard = about(&silence, part);
    ensure!(heard.is_empty(), "a stranger got {heard:?}");
    Ok(about(&theirs, part).len())
}

fn inbox(server: &Server) -> Result<String> {
    let mut given = 0;
    for version in [Version::V4, Version::V5] {
        let mut alice = load::join(server, "alice")?;
        let mut bob = join(server, version, "bob")?;
        let mut mallory = join(server, version, "mallory")?;
        bob.subscribe("conf/demo/user/bob/inbox", 1)?;
        refused(&mut mallory, "conf/demo/user/bob/inbox")?;
        for filter in ["conf/demo/user/+/inbox", "conf/demo/user/#", "conf/demo/#", "#"] {
            mallory.subscribe(filter, 1)?;
        }
        let mention = json!({"conversation": "lobby", "id": format!("{version:?}"), "text": "you", "mentions": ["bob"]});
        alice.call_ok("message.send", &mention)?;
        given += only_to(&mut bob, &mut mallory, "user/bob")?;
        // Once more as a retained message.
        let mut late = connect(server, &hello(version, "mallory", "late", false))?.0;
        late.subscribe("conf/demo/user/#", 1)?;
        ensure!(about(&drain(&mut late, QUIET)?, "user/bob").is_empty(), "another's notice is retained for a stranger");
    }
    Ok(format!("{given} notices, none to the stranger"))
}

fn foreign_conference(server: &Server) -> Result<String> {
    let mut given = 0;
    for version in [Version::V4, Version::V5] {
        let mut alice = load::join(server, "alice")?;
        let mut bob = join(server, version, "bob")?;
        let mut eve = connect(server, &{
            let mut connect = hello(version, "eve", "eve", false);
            connect.user = Some("eve@other".into());
            connect
        })?
        .0;
        bob.subscribe("conf/demo/chat/lobby", 1)?;
        for filter in ["conf/demo/chat/lobby", "conf/demo/chat/+", "conf/demo/#", "conf/demo/topic/#", "conf/demo/presence/+"] {
            refused(&mut eve, filter)?;
        }
        for filter in ["#", "conf/#", "conf/+/chat/+", "+/+/topic/#"] {
            eve.subscribe(filter, 1)?;
        }
        alice.call_ok("message.send", &load::draft("lobby", &format!("{version:?}"), "for demo alone"))?;
        given += only_to(&mut bob, &mut eve, "conf/demo/chat")?;
        bob.publish(Publish::new("conf/demo/topic/t", 1, "for demo alone").retained())?;
        ensure!(drain(&mut eve, QUIET)?.is_empty(), "a stranger got an application's message");
    }
    Ok(format!("{given} messages, none to the other conference"))
}

/// A group of `alice` with `bob` in it.
fn group_of(alice: &mut client::Client, server: &Server, id: &str) -> Result<()> {
    let bob = &mut load::join(server, "bob")?;
    alice.call_ok("conversation.create", &json!({"kind": "group", "id": id, "title": "Crew", "members": ["bob"]}))?;
    // Members named at the beginning are in, or are asked in.
    let _ = bob.call("conversation.join", &json!({"conversation": id}))?;
    Ok(())
}

fn group(server: &Server) -> Result<String> {
    let mut given = 0;
    for (version, id) in [(Version::V4, "crew4"), (Version::V5, "crew5")] {
        let mut alice = load::join(server, "alice")?;
        group_of(&mut alice, server, id)?;
        let mut bob = join(server, version, "bob")?;
        let mut mallory = join(server, version, "mallory")?;
        let topic = format!("conf/demo/chat/{id}");
        bob.subscribe(&topic, 1)?;
        for filter in [topic.as_str(), &format!("{topic}/event"), &format!("{topic}/typing"), &format!("{topic}/#")] {
            refused(&mut mallory, filter)?;
        }
        for filter in ["conf/demo/chat/+", "conf/demo/chat/#", "conf/demo/#"] {
            mallory.subscribe(filter, 1)?;
        }
        if version == Version::V5 {
            let replay = vec![(USER, Value::Pair("after".into(), "0".into()))];
            let codes = mallory.subscribe_with(&[(topic.as_str(), 1)], &replay)?;
            ensure!(REFUSED.contains(&codes[0]), "a replay was answered with {codes:02X?}");
        }
        alice.call_ok("message.send", &load::draft(id, "1", "among us"))?;
        alice.call_ok("conversation.typing", &json!({"conversation": id, "on": true}))?;
        given += only_to(&mut bob, &mut mallory, id)?;
        // What the stranger publishes there is refused: with a code, or acknowledged and reported.
        if version == Version::V4 {
            mallory.subscribe("conf/demo/user/mallory/inbox", 1)?;
            drain(&mut mallory, QUIET)?;
            mallory.publish(Publish::new(&topic, 1, "let me in"))?;
            let notices = drain(&mut mallory, QUIET)?;
            let notice = notices.first().context("no report of the refusal")?;
            ensure!(String::from_utf8_lossy(&notice.payload).contains("refused"), "the report is {notice:?}");
        }
        ensure!(about(&drain(&mut bob, QUIET)?, id).is_empty(), "a stranger's message reached the group");
    }
    Ok(format!("{given} messages, none to the stranger"))
}

fn badges(server: &Server) -> Result<String> {
    let mut given = 0;
    // A badge each, since the same at the same reader within moments is one scan.
    for (version, badge) in [(Version::V4, "04:11:22:33"), (Version::V5, "04:11:22:34")] {
        let mut gate = join(server, version, "gate")?;
        let mut sam = join(server, version, "sam")?;
        let mut mallory = join(server, version, "mallory")?;
        sam.subscribe("conf/demo/badge/+/scan", 1)?;
        gate.subscribe("conf/demo/badge/gate/result", 1)?;
        for filter in ["conf/demo/badge/gate/scan", "conf/demo/badge/+/scan", "conf/demo/badge/#", "conf/demo/badge/gate/result"] {
            refused(&mut mallory, filter)?;
        }
        for filter in ["conf/demo/+/+/scan", "conf/demo/#", "#"] {
            mallory.subscribe(filter, 1)?;
        }
        // Another reader may read badge topics, but its own alone.
        let away = hello(version, "door", "door", true);
        let (mut gone, _) = connect(server, &away)?;
        gone.subscribe("conf/demo/#", 1)?;
        drain(&mut gone, QUIET)?;
        gone.leave(0, &Vec::new())?;
        gate.publish(Publish::new("conf/demo/badge/gate/scan", 1, badge).retained())?;
        let mut door = connect(server, &hello(version, "door", "scans", false))?.0;
        door.publish(Publish::new("conf/demo/badge/door/scan", 1, badge))?;
        load::token(server, "alice")?;
        join(server, version, "alice")?.publish(Publish::new("conf/demo/topic/news", 1, "for all"))?;
        given += only_to(&mut sam, &mut mallory, "badge/")?;
        let mut late = connect(server, &hello(version, "mallory", "late", false))?.0;
        late.subscribe("conf/demo/#", 1)?;
        let heard = drain(&mut late, QUIET)?;
        ensure!(about(&heard, "badge/").is_empty(), "a scan is retained for a stranger: {heard:?}");
        let (mut back, _) = connect(server, &away)?;
        let heard = drain(&mut back, QUIET)?;
        ensure!(!about(&heard, "badge/door/result").is_empty(), "nothing was replayed: {heard:?}");
        ensure!(
            about(&heard, "badge/gate").is_empty() && about(&heard, "/scan").is_empty(),
            "a scan is replayed for a stranger: {heard:?}"
        );
        ensure!(about(&heard, "topic/").is_empty(), "a reader is told what is not for it: {heard:?}");
    }
    Ok(format!("{given} scans, none to the stranger"))
}

fn removed(server: &Server) -> Result<String> {
    let mut given = 0;
    for (version, id) in [(Version::V4, "crew4"), (Version::V5, "crew5")] {
        let mut alice = load::join(server, "alice")?;
        group_of(&mut alice, server, id)?;
        let topic = format!("conf/demo/chat/{id}");
        let (mut exact, _) = connect(server, &hello(version, "bob", "exact", false))?;
        exact.subscribe(&topic, 1)?;
        let (mut wild, _) = connect(server, &hello(version, "bob", "wild", false))?;
        wild.subscribe("conf/demo/chat/#", 0)?;
        let away = hello(version, "bob", "away", true);
        let (mut gone, _) = connect(server, &away)?;
        gone.subscribe(&topic, 1)?;
        gone.leave(0, &Vec::new())?;
        alice.call_ok("message.send", &load::draft(id, "1", "before"))?;
        given += drain(&mut exact, QUIET)?.len().min(drain(&mut wild, QUIET)?.len());
        ensure!(given > 0, "a member got nothing");
        alice.call_ok("conversation.remove", &json!({"conversation": id, "user": "bob"}))?;
        alice.call_ok("message.send", &load::draft(id, "2", "after-removal"))?;
        let (mut back, _) = connect(server, &away)?;
        let (mut late, _) = connect(server, &hello(version, "bob", "late", false))?;
        refused(&mut late, &topic)?;
        late.subscribe("conf/demo/chat/#", 1)?;
        for client in [&mut exact, &mut wild, &mut back, &mut late] {
            for message in drain(client, QUIET)? {
                let payload = String::from_utf8_lossy(&message.payload).into_owned();
                ensure!(!payload.contains("after-removal"), "a removed member got {payload}");
            }
        }
    }
    Ok(format!("{given} messages before, none after"))
}

fn server_topics(server: &Server) -> Result<String> {
    let mut sam = join(server, Version::V5, "sam")?;
    let mut mallory = join(server, Version::V5, "mallory")?;
    refused(&mut mallory, "$SYS/#")?;
    refused(&mut mallory, "$SYS/broker/version")?;
    mallory.subscribe("#", 0)?;
    sam.subscribe("$SYS/broker/#", 0)?;
    let given = only_to(&mut sam, &mut mallory, "$SYS")?;
    Ok(format!("{given} figures for staff"))
}

fn ruled(server: &Server) -> Result<String> {
    let mut given = 0;
    for version in [Version::V4, Version::V5] {
        let mut gate = join(server, version, "gate")?;
        let mut sam = join(server, version, "sam")?;
        let mut mallory = join(server, version, "mallory")?;
        let mut helper = connect(server, &hello(version, "mallory", "helper", false))?.0;
        let away = hello(version, "mallory", "away", true);
        let (mut gone, _) = connect(server, &away)?;
        gone.subscribe("conf/demo/topic/#", 1)?;
        gone.leave(0, &Vec::new())?;
        sam.subscribe("conf/demo/topic/sensors/+", 1)?;
        for filter in ["conf/demo/topic/sensors/door", "conf/demo/topic/own/gate/x"] {
            refused(&mut mallory, filter)?;
        }
        mallory.subscribe("conf/demo/topic/#", 1)?;
        mallory.subscribe("conf/demo/topic/own/mallory/x", 1)?;
        if version == Version::V5 {
            helper.subscribe("$share/group/conf/demo/topic/sensors/#", 1)?;
        }
        for qos in [1, 0] {
            gate.publish(Publish::new("conf/demo/topic/sensors/door", qos, "open").retained())?;
            gate.publish(Publish::new("conf/demo/topic/own/gate/x", qos, "mine"))?;
        }
        given += only_to(&mut sam, &mut mallory, "sensors/")?;
        let (mut back, _) = connect(server, &away)?;
        let mut late = connect(server, &hello(version, "mallory", "late", false))?.0;
        late.subscribe("conf/demo/topic/#", 1)?;
        gate.publish(Publish::new("conf/demo/topic/own/mallory/x", 0, "not mine"))?;
        helper.publish(Publish::new("conf/demo/topic/sensors/door", 0, "forged"))?;
        helper.publish(Publish::new("conf/demo/topic/own/mallory/x", 0, "my own"))?;
        for (who, client) in [("back", &mut back), ("late", &mut late), ("helper", &mut helper), ("gate", &mut gate)] {
            let heard = drain(client, QUIET)?;
            ensure!(about(&heard, "sensors/").is_empty() && about(&heard, "own/gate").is_empty(), "{who} got {heard:?}");
        }
        let own = drain(&mut mallory, QUIET)?;
        ensure!(own.len() == 1 && own[0].payload == b"my own", "one's own topic carried {own:?}");
        ensure!(drain(&mut sam, QUIET)?.is_empty(), "who is no device measured something");
    }
    Ok(format!("{given} measurements, none to the stranger"))
}
