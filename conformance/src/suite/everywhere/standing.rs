//! Who is there, and who is not any more: over every protocol.

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::line::{Heard, PROTOCOLS, Protocol};
use super::scene::{Scene, channel, people, person};
use super::seat::Seat;
use crate::client::Client;
use crate::http;
use crate::mqtt::Version;
use crate::script::password;
use crate::server::Server;
use crate::suite::{Report, load};

/// All of it.
pub fn run(server: &Server, report: &mut Report) {
    report.check("everywhere: who follows over WebSocket is in the room", || followers(server));
    report.check("everywhere: who speaks over MQTT is in the room", || speakers(server));
    report.check("everywhere: who is removed from a group hears nothing more", || put_out(server, "removed-from", false));
    report.check("everywhere: who is banned from a group hears nothing more", || put_out(server, "banned-from", true));
    report.check("everywhere: who is banned from a channel hears nothing more", || {
        channel(server, "channel-banned-from")?;
        put_out(server, "channel-banned-from", true)
    });
    report.check("everywhere: who leaves a group hears nothing more", || left(server));
}

fn call(server: &Server, uid: &str, method: &str, params: &Value) -> Result<Value> {
    let token = http::login(server.http(), "demo", uid, &password(uid))?;
    http::rpc(server.http(), &token, method, params)?.map_err(|error| anyhow!("{uid}'s {method}: {error}"))
}

/// Whether somebody is there, as of the last that was told of them.
fn is_there(heard: &Heard, room: &str, nick: &str) -> Option<bool> {
    let mut told = heard.occupants.iter().rev();
    told.find(|(of, who, _)| of == room && who == nick).map(|(_, _, is_here)| *is_here)
}

fn wait_there(seat: &mut Seat, room: &str, nick: &str, is_here: bool) -> Result<()> {
    let what = format!("presence of {nick} in {room} ({})", if is_here { "there" } else { "gone" });
    seat.wait(&what, |heard| (is_there(heard, room, nick) == Some(is_here)).then_some(()))
}

fn watcher(server: &Server, room: &str) -> Result<Seat> {
    person(server, "watcher")?;
    let mut watcher = Seat::open(server, Protocol::Xmpp, "watcher", "desk")?;
    watcher.line().follow(room)?;
    Ok(watcher)
}

/// Who was there before, who comes later, who stops following, and whose connection ends.
fn followers(server: &Server) -> Result<String> {
    for uid in ["early", "late"] {
        person(server, uid)?;
    }
    let room = "foyer";
    channel(server, room)?;
    let follow = |uid: &str| -> Result<Client> {
        let mut client = load::join(server, uid)?;
        client.call_ok("conversation.subscribe", &json!({"conversation": room}))?;
        Ok(client)
    };
    let mut early = follow("early")?;
    let mut watcher = watcher(server, room)?;
    wait_there(&mut watcher, room, "early", true).context("who followed before one entered")?;
    let late = follow("late")?;
    wait_there(&mut watcher, room, "late", true).context("who followed after one entered")?;
    early.call_ok("conversation.unsubscribe", &json!({"conversation": room}))?;
    wait_there(&mut watcher, room, "early", false).context("who stopped following")?;
    late.abandon();
    wait_there(&mut watcher, room, "late", false).context("whose connection ended")?;
    Ok("before, after, and until they go".into())
}

fn speakers(server: &Server) -> Result<String> {
    let room = "stage";
    channel(server, room)?;
    let mut watcher = watcher(server, room)?;
    for version in [Version::V4, Version::V5] {
        let uid = format!("sensor-{}", Protocol::Mqtt(version).word());
        person(server, &uid)?;
        call(server, &uid, "conversation.join", &json!({"conversation": room}))?;
        let mut seat = Seat::open(server, Protocol::Mqtt(version), &uid, "desk")?;
        seat.line().follow(room)?;
        ensure!(is_there(&watcher.heard, room, &uid).is_none(), "{uid} is in the room, and has not spoken");
        seat.line().say(room, &format!("{uid}-1"), "I am here")?;
        wait_there(&mut watcher, room, &uid, true)?;
    }
    Ok("MQTT 3.1.1 and 5".into())
}

/// A group with a fence beside it: what comes there came after what was said in the group.
fn put_out(server: &Server, conversation: &str, ban: bool) -> Result<String> {
    without(server, conversation, |owner, uid| {
        // A channel has no owner; staff looks after it.
        let who = if conversation.starts_with("channel") { staff(server)? } else { owner.to_owned() };
        let params = json!({"conversation": conversation, "user": uid, "ban": ban});
        call(server, &who, "conversation.remove", &params).map(drop)
    })
}

fn staff(server: &Server) -> Result<String> {
    if http::login(server.http(), "demo", "sam", &password("sam")).is_err() {
        server.cli_ok(&["user", "add", "demo/sam", "--role", "staff", "--name", "sam", "--password", &password("sam")])?;
    }
    Ok("sam".into())
}

fn left(server: &Server) -> Result<String> {
    without(server, "left-by", |_, uid| call(server, uid, "conversation.leave", &json!({"conversation": "left-by"})).map(drop))
}

fn without(server: &Server, conversation: &str, go: impl Fn(&str, &str) -> Result<()>) -> Result<String> {
    let fence = format!("{conversation}-fence");
    channel(server, &fence)?;
    let mut scene = Scene::room(server, conversation)?;
    let owner = scene.seat(0)?.uid.clone();
    for seat in &mut scene.seats {
        seat.line().follow(&fence).with_context(|| format!("{} following the fence", seat.uid))?;
    }
    let mut wrong = Vec::new();
    for (at, (protocol, _, reader)) in people().into_iter().enumerate() {
        let id = scene.fresh();
        scene.say(0, &id, "all are here")?;
        go(&owner, &reader)?;
        let id = scene.fresh();
        let after = scene.say(0, &id, "one is gone")?;
        call(server, &owner, "message.send", &load::draft(&fence, &format!("fence-{at}"), "the fence"))?;
        let seat = scene.seats.iter_mut().find(|seat| seat.uid == reader).context("no such seat")?;
        let count = at + 1;
        seat.wait("fence", |heard| (heard.sights.iter().filter(|sight| sight.conversation == fence).count() >= count).then_some(()))?;
        if seat.kept(conversation).any(|sight| sight.id == after.id) {
            wrong.push(format!("{} heard what was said after", seat.name()));
        }
        if protocol == Protocol::Xmpp && !seat.heard.put_out.iter().any(|room| room == conversation) {
            wrong.push(format!("{} was not told by the room", seat.name()));
        }
        // Nor do they read it later, by whichever protocol.
        let history = call(server, &reader, "conversation.history", &json!({"conversation": conversation}));
        if history.is_ok() {
            wrong.push(format!("{} reads the history", seat.name()));
        }
        for protocol in PROTOCOLS {
            let mut back = Seat::open(server, protocol, &reader, "back")?;
            let is_let_in = back.line().follow(conversation).is_ok();
            // Who has left may come again by an invitation alone; a room is entered by joining it.
            if is_let_in {
                wrong.push(format!("{} is let in again", back.name()));
            }
        }
        // Those who stay hear on.
        scene.seats.retain(|seat| seat.uid != reader);
        scene.speakers = (0..scene.seats.len()).filter(|at| scene.seats[*at].uid.ends_with("speaker")).collect();
        scene.is_same()?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(format!("{} people", PROTOCOLS.len()))
}
