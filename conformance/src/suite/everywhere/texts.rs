//! Texts, names and titles with anything in them: sent by each protocol, the same in all.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::line::{Change, Line, Protocol, Target};
use super::scene::Scene;
use super::seat::Seat;
use super::sight::as_xml_has_it;
use crate::http::Request;
use crate::script::password;
use crate::server::Server;
use crate::suite::Report;

/// The longest text that is taken, in bytes (`limits.text_bytes`).
const TEXT_BYTES: usize = 65_536;

/// What is in texts: the case, and the text.
fn texts() -> Vec<(&'static str, String)> {
    let strings = [
        ("markup", "<b>&amp; \"quoted\" 'too' <![CDATA[ ]]> </body></message>"),
        ("the end of CDATA", "a ]]> b"),
        ("emoji", "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 👍🏽"),
        ("right to left", "שלום עולם \u{202E}abc\u{202C} مرحبا"),
        ("combining marks", "Zoë Zoe\u{308} e\u{301}\u{301}\u{301}"),
        ("CR, LF and tabs", "one\rtwo\r\nthree\nfour\tfive\r"),
        ("spaces around", "  in the middle  "),
        ("line separators", "a\u{2028}b\u{2029}c\u{85}d\u{A0}e\u{FEFF}f"),
        ("U+0000", "a\0b"),
        ("control characters", "\u{1}\u{8}\u{B}\u{C}\u{E}\u{1F}\u{7F}\u{9F}"),
        ("noncharacters", "\u{FFFE}\u{FFFF}\u{FDD0}\u{1FFFE}\u{10FFFF}"),
        ("something like JSON", "{\"text\":\"within\",\"id\":\"x\"}"),
        ("something like a topic", "conf/demo/chat/#"),
        ("a command", "/me waves"),
        ("a quotation", "> said before\nanswer"),
        ("only a space", " "),
        ("only a line feed", "\n"),
        ("a replacement character", "\u{FFFD}"),
    ];
    let mut all: Vec<(&'static str, String)> = strings.into_iter().map(|(name, text)| (name, text.to_owned())).collect();
    all.push(("10 KB", "0123456789".repeat(1024)));
    all.push(("10 KB of markup", "<&>'\"]]>\r\n".repeat(1024)));
    all.push(("as long as may be", "é".repeat(TEXT_BYTES / 2)));
    all
}

/// All of them.
pub fn run(server: &Server, report: &mut Report) {
    match Scene::room(server, "texts") {
        Ok(mut scene) => {
            for (name, text) in texts() {
                report.check(&format!("everywhere: texts: {name}"), || said_by_each(&mut scene, &text));
                report.check(&format!("everywhere: texts as edits: {name}"), || edited_by_each(&mut scene, &text));
            }
            report.check("everywhere: texts: empty ones are refused", || refused_by_each(&mut scene, ""));
            report.check("everywhere: texts: too long ones are refused", || refused_by_each(&mut scene, &"x".repeat(TEXT_BYTES + 1)));
            for title in ["\"<&>\" 'quoted' ]]>", "🎉 party", "שלום", "a\u{1}b", "two\r\nlines"] {
                report.check(&format!("everywhere: title {title:?}"), || titled_by_each(server, &mut scene, title));
            }
        }
        Err(error) => report.check("everywhere: texts", || Err(error)),
    }
    for (at, name) in NAMES.into_iter().enumerate() {
        report.check(&format!("everywhere: name {name:?}"), || named(server, at, name));
    }
}

/// Names of people.
const NAMES: [&str; 9] = [
    "Zoë Straße",
    "O'Neil \"the <&>\" ]]>",
    "🦀 Ferris 😀",
    "😀",
    "שלום עולם",
    "admin@rooms.localhost/x",
    "Zoe\u{308}",
    "Someone (ann)",
    "a\u{1}b",
];

fn said_by_each(scene: &mut Scene, text: &str) -> Result<String> {
    for from in scene.speakers.clone() {
        let id = scene.fresh();
        scene.say(from, &id, text)?;
        // Without an id a payload of MQTT is the text itself, unless it looks like a draft.
        if matches!(scene.seat(from)?.protocol, Protocol::Mqtt(_)) && !text.starts_with('{') {
            scene.say(from, "", text)?;
        }
    }
    scene.agree()?;
    Ok(format!("{} bytes", text.len()))
}

fn edited_by_each(scene: &mut Scene, text: &str) -> Result<String> {
    for from in scene.speakers.clone() {
        let id = scene.fresh();
        let said = scene.say(from, &id, "before")?;
        let is_xmpp = scene.seat(from)?.protocol == Protocol::Xmpp;
        let text = if is_xmpp { as_xml_has_it(text) } else { text.to_owned() };
        scene.change(from, &said, &Change::Edit(text))?;
    }
    scene.agree()?;
    Ok(format!("{} bytes", text.len()))
}

/// Refused, and nothing is stored: what is said next is seen next.
fn refused_by_each(scene: &mut Scene, text: &str) -> Result<String> {
    let mut wrong = Vec::new();
    for from in scene.speakers.clone() {
        let (conversation, id) = (scene.conversation.clone(), scene.fresh());
        let said = scene.say(from, &id, "before what is refused")?;
        let (id, protocol) = (scene.fresh(), scene.seat(from)?.protocol);
        // As a message, as an edit, and, over MQTT, as a payload that is the text.
        wrong.extend(refusal(scene.seat(from)?, &format!("{} bytes", text.len()), |line| line.say(&conversation, &id, text)));
        let edit = Change::Edit(text.to_owned());
        wrong.extend(refusal(scene.seat(from)?, "such an edit", |line| line.change(&conversation, &said, &edit)));
        if matches!(protocol, Protocol::Mqtt(_)) {
            wrong.extend(refusal(scene.seat(from)?, "such a payload", |line| line.say(&conversation, "", text)));
        }
        let id = scene.fresh();
        scene.say(from, &id, "after what was refused")?;
    }
    scene.is_same()?;
    // The inbox, on which MQTT 3.1.1 is told, is of all sessions of a person.
    scene.seats.iter_mut().for_each(|seat| seat.heard.refused.clear());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok("by each".into())
}

/// Does what is to be refused; what is wrong when it is not.
fn refusal(seat: &mut Seat, what: &str, act: impl FnOnce(&mut dyn Line) -> Result<()>) -> Option<String> {
    let before = seat.heard.refused.len();
    let told = act(seat.line()).and_then(|()| seat.wait(&format!("refusal of {what}"), |heard| heard.refused.get(before).cloned()));
    told.err().map(|error| format!("{error:#}"))
}

fn titled_by_each(server: &Server, scene: &mut Scene, title: &str) -> Result<String> {
    scene.make_moderators(server)?;
    for from in scene.speakers.clone() {
        let protocol = scene.seat(from)?.protocol;
        // A title that is there already is no change.
        let title = format!("{title} {from}");
        let title = if protocol == Protocol::Xmpp { as_xml_has_it(&title) } else { title };
        let nothing = Target { seq: 0, id: String::new(), client_id: String::new() };
        scene.change(from, &nothing, &Change::Title(title))?;
    }
    scene.agree()?;
    Ok("by each".into())
}

/// Somebody of that name says something over each protocol, and all see who it is.
fn named(server: &Server, at: usize, name: &str) -> Result<String> {
    let uid = format!("named-{at}");
    let body = json!({"conference": "demo", "uid": uid, "password": password(&uid), "name": name});
    let answer = Request::new("POST", "/api/register").json(&body).send(server.http())?;
    if answer.status() != 201 {
        let reason = answer.json()?["error"]["data"]["reason"].as_str().unwrap_or_default().to_owned();
        ensure!(answer.status() == 422 || answer.status() == 400, "registering was answered {}: {}", answer.status(), answer.text());
        return Ok(format!("nobody may be called so: {} {reason}", answer.status()));
    }
    let body = answer.json()?;
    let given = body["name"].as_str().with_context(|| format!("no name in {body}"))?.to_owned();
    super::scene::person(server, "witness")?;
    let mut scene = Scene::direct(server, &uid, "witness")?;
    for from in scene.speakers.clone() {
        let id = scene.fresh();
        scene.say(from, &id, "who am I?")?;
    }
    scene.agree().context("between two people")?;
    let mut room = Scene::visitors(server, "lobby", &uid, "witness")?;
    for from in room.speakers.clone() {
        let id = room.fresh();
        room.say(from, &id, "who am I?")?;
    }
    room.agree().context("in a room")?;
    let judged = room.seats[0].kept("lobby").find(|sight| sight.from == uid).context("nothing was seen")?;
    ensure!(judged.name == given, "registered as {given:?}, and seen as {:?}", judged.name);
    Ok(format!("as {given:?}"))
}
