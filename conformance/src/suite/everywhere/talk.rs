//! What is said, changed and told by each protocol is seen by all.

use anyhow::{Context, Result};

use super::line::Change;
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
        report.check(&format!("everywhere: {name}: typing"), || typing(&mut scene));
        report.check(&format!("everywhere: {name}: read markers"), || read_markers(&mut scene));
        report.check(&format!("everywhere: {name}: all at once"), || {
            scene.burst(BURST)?;
            scene.agree()?;
            // What came once too often shows before these.
            messages(&mut scene)
        });
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
        }
    }
    agreed(scene)
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
        let uid = scene.seat(from)?.uid.clone();
        let mut others = Vec::new();
        for at in scene.speakers.clone() {
            if scene.seat(at)?.uid != uid {
                others.push(at);
            }
        }
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
