//! Histories: what each protocol has of the past is the same: ids, order, texts. History shows the present.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::line::mqtt::Mqtt;
use super::line::xmpp::Xmpp;
use super::line::{Change, Protocol};
use super::scene::{Opening, Scene, as_told, compare, known, person};
use super::seat::WITHIN;
use super::sight::{Sight, What, of_json};
use crate::mqtt::Version;
use crate::server::Server;
use crate::suite::{Report, load};

/// In a room and between two people.
pub fn run(server: &Server, report: &mut Report) {
    let scenes: [(&str, &str, Opening); 2] = [
        ("a channel", "annals-reader", |server| {
            super::scene::channel(server, "annals")?;
            person(server, "annals-reader")?;
            Scene::room(server, "annals")
        }),
        ("a direct chat", "cleo", |server| Scene::direct(server, "cleo", "dan")),
    ];
    for (name, reader, scene) in scenes {
        let past = scene(server).and_then(|mut scene| make(&mut scene).map(|()| scene.conversation));
        let past = past.and_then(|conversation| Past::read(server, reader, &conversation));
        match past {
            Ok(past) => past.compare_all(server, name, report),
            Err(error) => report.check(&format!("everywhere: history of {name}"), || Err(error)),
        }
    }
    report.check("everywhere: history of an account: XMPP's archive of all chats", || whole_account(server));
}

/// One's whole archive over XMPP: what each said to one, in the order in which it was said.
fn whole_account(server: &Server) -> Result<String> {
    let mut scenes = [Scene::direct(server, "eli", "fay")?, Scene::direct(server, "eli", "gus")?];
    for round in 0..3 {
        for scene in &mut scenes {
            // Of oneself there is one session of a name, in the later scene.
            for from in scene.others(0)? {
                let id = scene.fresh();
                scene.say(from, &id, &format!("round {round}"))?;
            }
        }
    }
    // Each round the one, then the other.
    let mut expected: Vec<Sight> = Vec::new();
    for round in 0..3 {
        for scene in &scenes {
            let each = scene.speakers.len() / 2;
            expected.extend(scene.seats[0].kept(&scene.conversation).skip(round * each).take(each).cloned());
        }
    }
    let seen = Xmpp::open(server, "eli", "historian")?.archive("", 10)?;
    compare(&expected, &seen)?;
    Ok(format!("{} messages of two chats", seen.len()))
}

/// Everything that may be in a history, by each protocol.
fn make(scene: &mut Scene) -> Result<()> {
    for text in ["plain", "a\u{1}b ]]> \r\n 😀"] {
        for from in scene.speakers.clone() {
            let id = scene.fresh();
            scene.say(from, &id, text)?;
        }
    }
    for from in scene.speakers.clone() {
        for change in [Change::Edit("edited".into()), Change::React("👍", true), Change::Delete] {
            let id = scene.fresh();
            let said = scene.say(from, &id, "changes")?;
            scene.change(from, &said, &change)?;
        }
        // Edited first, and gone then: the edit is gone with it.
        let id = scene.fresh();
        let said = scene.say(from, &id, "changes and goes")?;
        scene.change(from, &said, &Change::Edit("edited".into()))?;
        scene.change(from, &said, &Change::Delete)?;
    }
    scene.burst(10)?;
    scene.agree().map(drop)
}

/// A conversation's past as JSON tells it.
struct Past {
    reader: String,
    conversation: String,
    events: Vec<Sight>,
}

impl Past {
    fn read(server: &Server, reader: &str, conversation: &str) -> Result<Past> {
        let mut client = load::join(server, reader)?;
        let (mut events, mut after): (Vec<Value>, u64) = (Vec::new(), 0);
        loop {
            // Small pages, so that their seams are seen.
            let asked = json!({"conversation": conversation, "after": after, "limit": 7});
            let page = client.call_ok("conversation.history", &asked)?;
            let more = page["events"].as_array().with_context(|| format!("no events in {page}"))?;
            events.extend(more.iter().cloned());
            if page["complete"] == true {
                break;
            }
            after = events.last().and_then(|event| event["seq"].as_u64()).context("an empty page that is not complete")?;
        }
        let whole = client.call_ok("conversation.history", &json!({"conversation": conversation, "after": 0, "limit": 500}))?;
        ensure!(whole["events"].as_array() == Some(&events), "pages of 7 and one of 500 are not the same");
        let events = events.iter().filter_map(of_json).collect();
        Ok(Past { reader: reader.to_owned(), conversation: conversation.to_owned(), events })
    }

    fn messages(&self) -> impl Iterator<Item = &Sight> {
        self.events.iter().filter(|sight| matches!(sight.what, What::Said(_)))
    }

    fn compare_all(&self, server: &Server, name: &str, report: &mut Report) {
        let count = self.events.len();
        report.check(&format!("everywhere: history of {name}: MQTT 5, history"), || self.by_replay(server, false));
        report.check(&format!("everywhere: history of {name}: MQTT 5, after"), || self.by_replay(server, true));
        for page in [3, 250] {
            report.check(&format!("everywhere: history of {name}: XMPP's archive, pages of {page}"), || self.by_archive(server, page));
        }
        if !self.conversation.starts_with("dm~") {
            for messages in [0, 5, 250] {
                let check = || self.by_entering(server, messages);
                report.check(&format!("everywhere: history of {name}: entering a room with {messages}"), check);
            }
        }
        report.check(&format!("everywhere: history of {name}: there is enough of it"), || {
            ensure!(count > 60, "only {count} events");
            Ok(format!("{count} events"))
        });
    }

    fn is(&self, protocol: Protocol, expected: &[&Sight], seen: &[Sight]) -> Result<String> {
        let expected: Vec<Sight> = expected.iter().map(|sight| as_told(protocol, &self.events, sight)).collect();
        let seen: Vec<Sight> = seen.iter().map(|sight| known(&self.events, sight)).collect();
        compare(&expected, &seen)?;
        Ok(format!("{} messages and changes", seen.len()))
    }

    fn by_replay(&self, server: &Server, is_after: bool) -> Result<String> {
        let messages: Vec<&Sight> = self.messages().collect();
        let half = messages.len() / 2;
        let expected = &messages[half..];
        let asked = if is_after { ("after", messages[half - 1].seq.context("no seq")?) } else { ("history", expected.len() as u64) };
        let mut mqtt = Mqtt::open(server, Version::V5, &self.reader, "historian")?;
        let seen = mqtt.replay(&self.conversation, asked, expected.len(), WITHIN)?;
        self.is(Protocol::Mqtt(Version::V5), expected, &seen)
    }

    fn by_archive(&self, server: &Server, page: usize) -> Result<String> {
        let mut xmpp = Xmpp::open(server, &self.reader, "historian")?;
        let seen = xmpp.archive(&self.conversation, page)?;
        // The edits of what was deleted have no texts any more, and are not told.
        let is_told = |sight: &&Sight| !matches!(&sight.what, What::Edited(_, text) if text.is_empty());
        let expected: Vec<&Sight> = self.events.iter().filter(is_told).collect();
        ensure!(expected.len() < self.events.len(), "no edit of a deleted message is in the history");
        self.is(Protocol::Xmpp, &expected, &seen)
    }

    fn by_entering(&self, server: &Server, messages: usize) -> Result<String> {
        let mut xmpp = Xmpp::open(server, &self.reader, "historian")?;
        let seen = xmpp.enter(&self.conversation, messages)?.sights;
        let all: Vec<&Sight> = self.messages().collect();
        let expected = &all[all.len().saturating_sub(messages)..];
        self.is(Protocol::Xmpp, expected, &seen)
    }
}
