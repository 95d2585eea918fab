//! Bad input at the compatibility endpoints: `/<conversation>`, `/sock` and what is beside them; and pages of other sites at every endpoint that
//! there is.
//!
//! - [`sites`]: cross-site handshakes and DNS rebinding, everywhere.
//! - [`webhook`]: a topic webhook that hangs, lies, or says too much.

mod sites;
mod webhook;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::is_alive;
use crate::client::{Client, ClientError, Connect};
use crate::http::Request;
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::suite::load::{self, Others};
use crate::wire::{Opcode, RawFrame, WireError};

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Messages that one topic stores.
const STORED: usize = 500;
/// The others' latency meanwhile.
const OTHERS_P99: Duration = Duration::from_millis(100);

/// All of it.
pub fn run(report: &mut Report) {
    report.check("hostile: pages of other sites, at every upgrade and request", || with_options(Options::new().xmpp(), sites::run));
    report.check("hostile: tokens and tickets at the upgrade", || with_server(tokens));
    report.check("hostile: conversations of others, at the upgrade", || with_server(conversations));
    report.check("hostile: frames at /<conversation>", || with_server(|server, token| frames(server, token, "/lobby?accessToken=")));
    report.check("hostile: frames at /sock", || with_server(|server, token| frames(server, token, "/sock?accessToken=")));
    report.check("hostile: too many topics", || with_server(too_many_topics));
    report.check("hostile: a topic that is stored without end", stored_without_end);
    report.check("hostile: a flood on a topic", || with_server(flood));
    webhook::run(report);
}

fn with_server(story: impl FnOnce(&Server, &str) -> Result<String>) -> Result<String> {
    with_options(Options::new(), story)
}

fn with_options(options: Options, story: impl FnOnce(&Server, &str) -> Result<String>) -> Result<String> {
    let options = options.set("limits.failed_logins_per_minute_per_address", 0).set("limits.sessions_per_user", 64);
    let server = Server::start(options)?;
    let token = load::token(&server, "mallory")?;
    let told = story(&server, &token)?;
    is_alive(&server, &token)?;
    Ok(told)
}

/// The status of an upgrade; 101 when it was let in.
fn upgrade(server: &Server, path: &str, headers: &[(&str, &str)]) -> Result<u16> {
    let connect = headers.iter().fold(Connect::new().path(path), |connect, (name, value)| connect.header(name, value));
    match connect.open(server.http()) {
        Ok(client) => {
            client.abandon();
            Ok(101)
        }
        Err(ClientError::Upgrade(WireError::Refused(status), _)) => Ok(status),
        Err(error) => Err(anyhow!("{path}: {error}")),
    }
}

fn ticket(server: &Server, token: &str) -> Result<String> {
    let answer = Request::new("POST", "/ticket").header("Authorization", &format!("Bearer {token}")).send(server.http())?;
    Ok(answer.json()?["ticket"].as_str().context("no ticket")?.to_owned())
}

fn sock(server: &Server, token: &str) -> Result<Client> {
    Ok(Connect::new().path(&format!("/sock?ticket={}", ticket(server, token)?)).open(server.http())?)
}

fn tokens(server: &Server, token: &str) -> Result<String> {
    let long = "x".repeat(4000);
    let cut = &token[..token.len() - 1];
    for secret in ["", "wrong", "%00", "%ff%fe", "..%2f..", &long, cut] {
        for path in [format!("/lobby?accessToken={secret}"), format!("/sock?ticket={secret}"), format!("/sock?accessToken={secret}")] {
            let status = upgrade(server, &path, &[])?;
            ensure!(status == 401, "{path:.80}: {status}");
        }
    }
    for path in ["/lobby", "/sock", "/lobby?token=x"] {
        ensure!(upgrade(server, path, &[])? == 401, "{path} without a token");
    }
    for path in ["/sock?ticket=", "/lobby?ticket="] {
        let path = format!("{path}{}", ticket(server, token)?);
        ensure!(upgrade(server, &path, &[])? == 101, "a ticket is not taken");
        ensure!(upgrade(server, &path, &[])? == 401, "a ticket is taken twice");
    }
    Ok(String::new())
}

fn conversations(server: &Server, token: &str) -> Result<String> {
    let mut alice = load::join(server, "alice")?;
    alice.call_ok("conversation.create", &json!({"kind": "group", "id": "secret", "members": ["mallory"]}))?;
    alice.call_ok("conversation.remove", &json!({"conversation": "secret", "user": "mallory"}))?;
    alice.call_ok("conversation.create", &json!({"kind": "group", "id": "private"}))?;
    let wanted = [
        ("/secret", 403),
        ("/private", 404),
        ("/nothing", 404),
        ("/dm~alice~bob", 404),
        ("/dm~alice~mallory", 101),
        ("/dm%7Ealice%7Emallory", 101),
        ("/dm~mallory~nobody", 404),
        ("/inbox~alice", 404),
        ("/topics~", 404),
        ("/LOBBY", 404),
        ("/%2e%2e%2fetc%2fpasswd", 404),
        ("/lobby%00", 404),
        ("/lobby%zz", 404),
        ("/lobby/x", 404),
    ];
    for (path, status) in wanted {
        let found = upgrade(server, &format!("{path}?accessToken={token}"), &[])?;
        ensure!(found == status, "{path}: {found}, not {status}");
    }
    Ok(format!("{} paths", wanted.len()))
}

fn raw(fin: bool, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    RawFrame { fin, reserved: 0, opcode: opcode.bits(), mask, payload, claimed: None }.encode(&mut bytes);
    bytes
}

/// Each is closed with its code, or answered by an error and stays.
fn frames(server: &Server, token: &str, path: &str) -> Result<String> {
    let open = || Connect::new().path(&format!("{path}{token}")).open(server.http());
    let mask = Some([1, 2, 3, 4]);
    let closing = [
        (1003, raw(true, Opcode::Binary, b"x", mask)),
        (1002, raw(true, Opcode::Text, b"{}", None)),
        (1002, raw(true, Opcode::Continuation, b"x", mask)),
        (1007, raw(true, Opcode::Text, &[0xff, 0xfe], mask)),
        (1009, raw(true, Opcode::Text, &vec![b'x'; 1_100_000], mask)),
    ];
    for (code, bytes) in closing {
        let mut client = open()?;
        // The server may close before all is written.
        let _ = client.send_bytes(&bytes);
        let (closed, why) = client.expect_close(WITHIN)?;
        ensure!(closed == code || (code == 1009 && closed == 1006), "closed with {closed} {why:?}, not {code}");
    }
    let mut client = open()?;
    let deep = format!("{{\"message\":\"x\",\"action\":\"a\",\"topic\":\"t\",\"payload\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    for text in ["", "{", "null", "[]", "\"message\"", "{\"message\":{}}", "{\"action\":1}", "\u{0}", &deep] {
        client.send_text(text)?;
        let answer = client.unclaimed(WITHIN).with_context(|| format!("{text:.40}"))?;
        ensure!(answer["type"] == "error", "{text:.40} was answered by {answer}");
    }
    client.close()?;
    Ok(String::new())
}

/// Says something on a topic.
fn transmit(client: &mut Client, topic: &str, payload: &Value, store: bool) -> Result<()> {
    let frame = json!({"store": store, "action": "post", "topic": topic, "payload": payload});
    Ok(client.send_text(&frame.to_string())?)
}

fn subscribe(client: &mut Client, topic: &str) -> Result<Value> {
    client.send_text(&json!({"action": "subscribe", "topic": topic}).to_string())?;
    frame_of(client, |frame| frame["topic"] == topic && (frame["type"] == "subscribed" || frame["type"] == "error"))
}

/// The next frame that is wanted.
fn frame_of(client: &mut Client, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let end = Instant::now() + WITHIN;
    while Instant::now() < end {
        let frame = client.unclaimed(WITHIN)?;
        if wanted(&frame) {
            return Ok(frame);
        }
    }
    bail!("other frames came for {WITHIN:?}")
}

fn too_many_topics(server: &Server, token: &str) -> Result<String> {
    let mut client = sock(server, token)?;
    for at in 0..2000 {
        let answer = subscribe(&mut client, &format!("t/{at}"))?;
        if answer["type"] == "error" {
            let reason = answer["payload"]["reason"].as_str().unwrap_or_default();
            ensure!(["too_many_subscriptions", "message_rate"].contains(&reason), "{answer}");
            if reason == "too_many_subscriptions" {
                return Ok(format!("after {at}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    bail!("2,000 topics went through")
}

/// The newest are kept, and the oldest go, by number and by bytes.
fn stored_without_end() -> Result<String> {
    let server = Server::start(Options::new().without_rates())?;
    let token = load::token(&server, "mallory")?;
    let mut client = sock(&server, &token)?;
    for at in 0..STORED + 100 {
        transmit(&mut client, "many", &json!(at), true)?;
    }
    let big = "x".repeat(60_000);
    for _ in 0..40 {
        transmit(&mut client, "large", &json!(big), true)?;
    }
    let many = subscribe(&mut client, "many")?["payload"]["stored"].as_u64().context("no number")?;
    ensure!(many == STORED as u64, "{many} are stored");
    let first = frame_of(&mut client, |frame| frame["type"] == "post")?;
    ensure!(first["payload"] == 100, "the oldest is {first}");
    let large = subscribe(&mut client, "large")?["payload"]["stored"].as_u64().context("no number")?;
    ensure!((1..40).contains(&large), "{large} large ones are stored");
    transmit(&mut client, "large", &json!("x".repeat(66_000)), true)?;
    let error = frame_of(&mut client, |frame| frame["type"] == "error")?;
    ensure!(error["payload"]["reason"] == "too_large", "{error}");
    Ok(format!("{many} small and {large} large ones stay"))
}

fn flood(server: &Server, token: &str) -> Result<String> {
    let others = Others::start(server, "talkers")?;
    let mut client = sock(server, token)?;
    subscribe(&mut client, "flood")?;
    for at in 0..5000 {
        transmit(&mut client, "flood", &json!(at), at % 2 == 0)?;
    }
    let refused = frame_of(&mut client, |frame| frame["type"] == "error")?;
    ensure!(refused["payload"]["reason"] == "message_rate", "{refused}");
    let latency = others.noticed_nothing(OTHERS_P99)?;
    Ok(format!("the others: {latency}"))
}
