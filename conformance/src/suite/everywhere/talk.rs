//! What is said, changed and told by each protocol is seen by all.

use anyhow::{Context, Result};

use super::line::{Change, Protocol};
use super::scene::{Opening, Scene};
use super::sight::What;
use crate::server::Server;
use crate::suite::Report;

/// Messages of each speaker at once.
const BURST: usize = 25;

/// In each kind of conversation.
pub fn run(server: &Server, report: &mut Report) {
    let scenes: [(&str, Opening); 3] = [
        ("the lobby", |server| Scene::room(server, "lobby")),
        ("a group", |server| Scene::room(server, "crew")),
        ("a direct chat", |server| Scene::direct(server, "ann", "ben")),
    ];
    for (name, scene) in scenes {
        let mut scene = match scene(server) {
            Ok(scene) => scene,
            Err(error) => {
                report.check(&format!("everywhere: {name}: everybody is there"), || Err(error));
                continue;
            }
        };
        report.check(&format!("everywhere: {name}: messages"), || messages(&mut scene));
        for (what, change) in CHANGES {
            report.check(&format!("everywhere: {name}: {what}"), || changes(&mut scene, change));
        }
        report.check(&format!("everywhere: {name}: reactions to others"), || reactions_to_others(&mut scene));
        if name == "a group" {
            report.check(&format!("everywhere: {name}: what others said is taken back"), || moderated(server, &mut scene));
        }
        if name == "a direct chat" {
            report.check(&format!("everywhere: {name}: changes over another protocol"), || changes_elsewhere(&mut scene));
        }
        report.check(&format!("everywhere: {name}: typing"), || typing(&mut scene));
        report.check(&format!("everywhere: {name}: read markers"), || read_markers(&mut scene));
        report.check(&format!("everywhere: {name}: all at once"), || {
            scene.burst(BURST)?;
            scene.agree()?;
            // What came once too often shows before these.
            messages(&mut scene)
        });
        report.check(&format!("everywhere: {name}: reactions in quick succession"), || quick_reactions(scene));
    }
}

/// What is done to a message of one's own, one after the other.
type Steps = fn(usize) -> Vec<Change>;

const CHANGES: [(&str, Steps); 3] = [
    ("edits", |from| vec![Change::Edit(format!("better {from}")), Change::Edit(format!("best {from}"))]),
    ("reactions", |_| vec![Change::React("👍", true), Change::React("👍", false), Change::React("🎉", true)]),
    ("deletions", |_| vec![Change::Delete]),
];

fn agreed(scene: &mut Scene) -> Result<String> {
    let events = scene.agree()?;
    Ok(format!("{events} events seen by {} sessions", scene.seats.len()))
}

fn messages(scene: &mut Scene) -> Result<String> {
    for from in scene.speakers.clone() {
        let id = scene.fresh();
        scene.say(from, &id, &format!("said by {from}"))?;
    }
    agreed(scene)
}

fn changes(scene: &mut Scene, steps: Steps) -> Result<String> {
    for from in scene.speakers.clone() {
        let id = scene.fresh();
        let own = scene.say(from, &id, &format!("will change, {from}"))?;
        for change in steps(from) {
            scene.change(from, &own, &change)?;
            // XMPP repeats all of one's reactions, and takes those of the moment: the next change waits until this one was told.
            scene.agree()?;
        }
    }
    agreed(scene)
}

fn reactions_to_others(scene: &mut Scene) -> Result<String> {
    for from in scene.speakers.clone() {
        let id = scene.fresh();
        let said = scene.say(from, &id, "do you like it?")?;
        // Those who react have seen it.
        scene.agree()?;
        // Between two people the same person would react four times over.
        for other in scene.others(from)?.into_iter().take(3) {
            for on in [true, false] {
                scene.change(other, &said, &Change::React("🎂", on))?;
                scene.agree()?;
            }
        }
    }
    agreed(scene)
}

fn moderated(server: &Server, scene: &mut Scene) -> Result<String> {
    scene.make_moderators(server)?;
    for from in scene.speakers.clone() {
        for other in scene.others(from)? {
            let id = scene.fresh();
            let said = scene.say(from, &id, "which others do not want")?;
            scene.change(other, &said, &Change::Moderate)?;
        }
    }
    agreed(scene)
}

/// What one said over one protocol, one changes over another; over MQTT it was said without an id, too.
fn changes_elsewhere(scene: &mut Scene) -> Result<String> {
    for from in scene.speakers.clone() {
        let uid = scene.seat(from)?.uid.clone();
        for by in scene.speakers.clone() {
            if by == from || scene.seat(by)?.uid != uid {
                continue;
            }
            let is_mqtt = matches!(scene.seat(from)?.protocol, Protocol::Mqtt(_));
            let ids = if is_mqtt { vec![scene.fresh(), String::new()] } else { vec![scene.fresh()] };
            for id in ids {
                let said = scene.say(from, &id, "begun here")?;
                for change in [Change::Edit("gone on with there".into()), Change::React("👍", true), Change::Delete] {
                    scene.change(by, &said, &change)?;
                    scene.agree()?;
                }
            }
        }
    }
    agreed(scene)
}

/// On and off without waiting: what is told last is how it is.
fn quick_reactions(mut scene: Scene) -> Result<String> {
    let id = scene.fresh();
    let said = scene.say(0, &id, "do you like it now?")?;
    scene.agree()?;
    for from in scene.speakers.clone() {
        for on in [true, false, true] {
            scene.change(from, &said, &Change::React("🍰", on))?;
        }
        scene.ends_same()?;
        scene.change(from, &said, &Change::React("🍰", false))?;
        scene.ends_same()?;
    }
    Ok(format!("{} speakers", scene.speakers.len()))
}

fn typing(scene: &mut Scene) -> Result<String> {
    for from in scene.speakers.clone() {
        for on in [true, false] {
            let conversation = scene.conversation.clone();
            let nothing = super::line::Target { seq: 0, id: String::new(), client_id: String::new() };
            scene.seat(from)?.line().change(&conversation, &nothing, &Change::Typing(on))?;
            scene.all_told(from, &What::Typing(on))?;
        }
    }
    Ok(format!("{} speakers", scene.speakers.len()))
}

fn read_markers(scene: &mut Scene) -> Result<String> {
    for from in scene.speakers.clone() {
        let others = scene.others(from)?;
        let id = scene.fresh();
        let said = scene.say(*others.first().context("nobody else")?, &id, "to be read")?;
        // The reader has it before it says so.
        scene.agree()?;
        let conversation = scene.conversation.clone();
        scene.seat(from)?.line().change(&conversation, &said, &Change::Read)?;
        scene.all_told(from, &What::Read(said.id.clone()))?;
    }
    Ok(format!("{} readers", scene.speakers.len()))
}
