//! Good requests with too much in them, up to bounds that have no key in the configuration.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::client::Client;
use crate::script::reasons::code_of;
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::suite::load::{self, draft};

/// How often something is tried before it is clear that there is no bound.
const TRIES: usize = 2000;

/// A server of its own, without rates.
pub fn run(report: &mut Report) {
    report.check("hostile: too many edits of one message", || {
        until_refused("too_many_edits", |_, seq, at| {
            ("message.edit", json!({"conversation": "lobby", "seq": seq, "text": format!("edit {at}")}))
        })
    });
    report.check("hostile: too many kinds of reactions to one message", || {
        until_refused("too_many_reactions", |_, seq, at| {
            ("message.react", json!({"conversation": "lobby", "seq": seq, "emoji": format!("e{at}")}))
        })
    });
    report.check("hostile: too many members at once", too_many_members);
    report.check("hostile: parameters over their bounds", parameters_over_bounds);
    report.check("hostile: a batch whose answers are large", large_batch);
}

/// Does it again and again until it is refused for this reason.
fn until_refused(reason: &str, deed: impl Fn(&mut Client, u64, usize) -> (&'static str, Value)) -> Result<String> {
    let server = Server::start(Options::new().without_rates())?;
    let mut client = load::join(&server, "alice")?;
    let seq = client.call_ok("message.send", &draft("lobby", "m", "m"))?["seq"].as_u64().unwrap_or_default();
    for at in 0..TRIES {
        let (method, params) = deed(&mut client, seq, at);
        if let Err(error) = client.call(method, &params)? {
            ensure!(error.reason == reason && Some(error.code) == code_of(reason), "refused, but: {error}");
            ensure!(at > 1, "refused at once");
            return Ok(format!("after {at}"));
        }
    }
    Err(anyhow!("{TRIES} went through"))
}

fn too_many_members() -> Result<String> {
    let server = Server::start(Options::new().without_rates())?;
    let mut client = load::join(&server, "alice")?;
    let members: Vec<String> = (0..5000).map(|at| format!("user-{at}")).collect();
    match client.call("conversation.create", &json!({"kind": "group", "id": "crowd", "members": members}))? {
        Ok(result) => Err(anyhow!("5,000 members at once went through: {result}")),
        Err(error) => {
            ensure!(error.reason == "too_many_members", "refused, but: {error}");
            Ok(String::new())
        }
    }
}

fn parameters_over_bounds() -> Result<String> {
    let server = Server::start(Options::new().without_rates())?;
    let mut client = load::join(&server, "alice")?;
    let long = |bytes: usize| "x".repeat(bytes);
    let with = |member: &str, value: Value| {
        let mut params = draft("lobby", "x", "x");
        params[member] = value;
        ("message.send", params)
    };
    let cases = [
        with("id", json!(long(129))),
        with("mentions", json!(vec!["bob"; 51])),
        with("attachments", json!(vec!["https://a.example/x"; 11])),
        with("reply_to", json!(-1)),
        with("reply_to", json!(1.5)),
        ("message.react", json!({"conversation": "lobby", "seq": 1, "emoji": long(33)})),
        ("message.edit", json!({"conversation": "lobby", "seq": u64::MAX, "text": 7})),
        ("presence.set", json!({"status": "away", "text": long(201)})),
        ("conversation.list", json!({"limit": 0})),
        ("people.list", json!({"query": long(129)})),
    ];
    let count = cases.len();
    for (method, params) in cases {
        match client.call(method, &params)? {
            Ok(result) => return Err(anyhow!("{method} {params} went through: {result}")),
            // Which word a size gets is the server's choice among these.
            Err(error) => ensure!(matches!(error.code, -32602 | 1013), "{method} {params}: {error}"),
        }
    }
    ensure!(load::history(&mut client, "lobby")?.is_empty(), "something of it was stored");
    Ok(format!("{count} requests"))
}

/// A hundred times everything that a topic stores, in one frame: what is held for the answer is bounded, and what no longer fits can be asked again.
fn large_batch() -> Result<String> {
    const MOST_BYTES: usize = 2_000_000;
    let server = Server::start(Options::new().without_rates())?;
    let mut client = load::join(&server, "alice")?;
    let payload = "x".repeat(60_000);
    for _ in 0..8 {
        client.call_ok("topic.transmit", &json!({"topic": "full", "action": "put", "store": true, "payload": payload}))?;
    }
    let ask = |at| json!({"jsonrpc": "2.0", "id": format!("b{at}"), "method": "topic.subscribe", "params": {"topic": "full"}});
    client.send_text(&json!((0..100).map(ask).collect::<Vec<_>>()).to_string())?;
    let answers = client.unclaimed(Duration::from_secs(20))?;
    let bytes = answers.to_string().len();
    let answers = answers.as_array().ok_or_else(|| anyhow!("no array: {bytes} bytes"))?;
    ensure!(answers.len() == 100 && bytes < MOST_BYTES, "{} answers in {bytes} bytes", answers.len());
    let refused = answers.iter().filter(|answer| answer["error"]["data"]["reason"] == "busy").count();
    let carried_out = answers.iter().filter(|answer| !answer["result"].is_null()).count();
    ensure!(refused + carried_out == 100 && carried_out > 1, "{carried_out} carried out, {refused} refused");
    client.call_ok("topic.subscribe", &json!({"topic": "full"}))?;
    Ok(format!("{carried_out} answers, {} kB", bytes / 1000))
}
