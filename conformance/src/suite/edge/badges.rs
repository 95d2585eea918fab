//! Badge readers over MQTT: what a device may and may not, whose badge is whose, what is no scan, whose clock counts, which scan was there before,
//! and how a reader says that it is well.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{connect, hello, join, story, story_with};
use crate::client::Client as Line;
use crate::http;
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{PUBACK, Publish, Will};
use crate::mqtt::parse::Packet;
use crate::script::password;
use crate::server::{Options, Server};
use crate::suite::{Report, load};
use crate::time::to_the_millisecond;

const SCAN: &str = "conf/demo/badge/gate/scan";
const RESULT: &str = "conf/demo/badge/gate/result";
/// Reason codes of MQTT 5: not authorized, payload format invalid.
const FORBIDDEN: u8 = 0x87;
const MALFORMED: u8 = 0x99;
/// A result takes no longer.
const WITHIN: Duration = Duration::from_secs(10);
/// How long nothing must come.
const QUIET: Duration = Duration::from_millis(400);
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// All stories.
pub fn run(report: &mut Report) {
    report.check("badges: a reader publishes its own scans and reads its own results, nothing else", || story(narrow));
    report.check("badges: unknown, revoked, foreign, and one number in all writings", || {
        // The same badge in other writings bounces.
        story_with(Options::new().set("badges.debounce_ms", 0), whose)
    });
    report.check("badges: what is no scan is refused and told", || story(no_scan));
    report.check("badges: clocks that are off", || story(clocks));
    report.check("badges: a badge that bounces, and an upload that comes again", || story(again));
    report.check("badges: birth, last will, and who is there", || story(health));
}

/// Staff over WebSocket.
fn sam(server: &Server) -> Result<Line> {
    let token = http::login(server.http(), "demo", "sam", &password("sam"))?;
    Ok(Line::sign_in(server.http(), &token)?)
}

fn reader(server: &Server, version: Version) -> Result<Client> {
    let mut gate = join(server, version, "gate")?;
    gate.subscribe(RESULT, 1)?;
    Ok(gate)
}

/// Publishes with QoS 1: the acknowledgement's code. What else comes is kept for later.
fn publish(client: &mut Client, version: Version, topic: &str, payload: &str) -> Result<u8> {
    let id = client.fresh_id();
    client.send(&Publish::new(topic, 1, payload).id(id).bytes(version))?;
    client.hear_ack(PUBACK, id)
}

fn result(gate: &mut Client) -> Result<Value> {
    match gate.see(WITHIN)? {
        Seen::Packet(Packet::Publish(message)) => {
            ensure!(message.topic == RESULT.as_bytes(), "{message:?} is no result");
            gate.acknowledge(&message)?;
            serde_json::from_slice(&message.payload).context("a result that is no JSON")
        }
        other => bail!("instead of a result came {other:?}"),
    }
}

/// Scans and waits for what comes of it.
fn scan(gate: &mut Client, payload: &str) -> Result<Value> {
    let code = publish(gate, Version::V5, SCAN, payload)?;
    ensure!(code == 0, "{payload} was refused with 0x{code:02X}");
    result(gate).with_context(|| payload.to_owned())
}

fn expect(result: &Value, accepted: bool, reason: &str) -> Result<()> {
    ensure!(result["accepted"] == accepted && result["reason"] == reason, "expected {accepted} {reason}, came {result}");
    Ok(())
}

fn narrow(server: &Server) -> Result<String> {
    load::token(server, "alice")?;
    let mut staff = join(server, Version::V5, "sam")?;
    staff.subscribe("conf/demo/badge/+/scan", 1)?;
    let (mut forbidden, mut gate) = (0, reader(server, Version::V5)?);
    let elsewhere = [
        "conf/demo/badge/door/scan",
        "conf/demo/badge/gate/result",
        "conf/demo/chat/lobby",
        "conf/demo/chat/lobby/typing",
        "conf/demo/topic/doors",
        "conf/demo/user/alice/inbox",
        "conf/other/badge/gate/scan",
    ];
    for topic in elsewhere {
        let code = publish(&mut gate, Version::V5, topic, "04A1B2C3")?;
        ensure!(code >= 0x80, "a reader may publish to {topic}: 0x{code:02X}");
        forbidden += 1;
    }
    for filter in ["conf/demo/chat/lobby", "conf/demo/badge/gate/scan", "conf/demo/badge/door/result", "conf/demo/user/alice/inbox"] {
        let codes = gate.subscribe_with(&[(filter, 1)], &Vec::new())?;
        ensure!(codes.iter().all(|code| *code >= 0x80), "a reader may read {filter}: {codes:02X?}");
        forbidden += 1;
    }
    for uid in ["alice", "sam", "door"] {
        let (mut other, _) = connect(server, &hello(Version::V5, uid, &format!("{uid}-other"), false))?;
        let code = publish(&mut other, Version::V5, SCAN, "04A1B2C3")?;
        ensure!(code == FORBIDDEN, "{uid} passes for the reader: 0x{code:02X}");
        forbidden += 1;
    }
    // MQTT 3.1.1 has no word for it: it is acknowledged, and nothing comes of it.
    let mut door = join(server, Version::V4, "door")?;
    publish(&mut door, Version::V4, SCAN, "04A1B2C3")?;
    let told = scan(&mut gate, "04A1B2C3")?;
    expect(&told, false, "unknown_badge")?;
    // The first that staff sees is the reader's own: what the others published is nowhere.
    let seen = staff.receive()?;
    ensure!(seen.topic == SCAN.as_bytes() && seen.payload == b"04A1B2C3", "{seen:?}");
    ensure!(matches!(staff.see(QUIET)?, Seen::Nothing) && matches!(gate.see(QUIET)?, Seen::Nothing), "more came");
    Ok(format!("{forbidden} ways forbidden"))
}

fn whose(server: &Server) -> Result<String> {
    load::token(server, "alice")?;
    server.cli_ok(&["badge", "add", "demo/alice", "04:A1:B2:C3:D4:E5:80"])?;
    server.cli_ok(&["badge", "add", "demo/alice", "abcdefghjkmnpqrstuvwxyz234567892"])?;
    server.cli_ok(&["badge", "add", "other/eve", "04FFEEDDCCBBAA"])?;
    let (mut staff, mut gate) = (sam(server)?, reader(server, Version::V5)?);
    staff.call_ok("reader.set", &json!({"reader": "gate", "mode": "announce", "conversation": "lobby", "text": "{name} is here"}))?;
    let writings = [
        "04a1b2c3d4e580",
        "04-A1-B2-C3-D4-E5-80",
        "80E5D4C3B2A104",
        "1304055190316416",
        "BKGyw9TlgA==",
        r#"{"Time":"2020-09-28T17:02:10","PN532":{"UID":"04A1B2C3D4E580","DATA":""}}"#,
        "abcdefghjkmnpqrstuvwxyz234567892",
        "MECARD:UID:abcdefghjkmnpqrstuvwxyz234567892;N:Somebody;;",
    ];
    let number = u64::from_be_bytes([0, 0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0x80]).to_string();
    for (at, writing) in writings.iter().enumerate() {
        let written = if at == 3 { number.as_str() } else { writing };
        let told = scan(&mut gate, written)?;
        ensure!(told["user"] == "alice" && told["name"] == "Alice", "{written}: {told}");
    }
    expect(&scan(&mut gate, "04FFEEDDCCBBAA")?, false, "unknown_badge")?;
    expect(&scan(&mut gate, "no such badge")?, false, "unknown_badge")?;
    staff.call_ok("badge.revoke", &json!({"badge": "04a1b2c3d4e580"}))?;
    staff.call_ok("reader.set", &json!({"reader": "door", "mode": "checkin"}))?;
    let mut door = join(server, Version::V5, "door")?;
    door.subscribe("conf/demo/badge/door/result", 1)?;
    ensure!(publish(&mut door, Version::V5, "conf/demo/badge/door/scan", "04A1B2C3D4E580")? == 0, "refused");
    let told: Value = serde_json::from_slice(&door.receive()?.payload)?;
    expect(&told, false, "revoked")?;
    ensure!(staff.call_ok("checkin.count", &json!({}))?["checked_in"] == 0, "a revoked badge checks in");
    Ok(format!("{} writings", writings.len()))
}

fn no_scan(server: &Server) -> Result<String> {
    let (mut gate, mut cases) = (reader(server, Version::V5)?, 0);
    for payload in
        [r#"{"uid":"#, r#"{"data":{"idHex":"#, "{}", "[]", "[1,2", r#"{"temperature":21.5}"#, r#"{"data":{"idHex":null},"timestamp":""}"#]
    {
        let code = publish(&mut gate, Version::V5, SCAN, payload)?;
        ensure!(code == MALFORMED, "{payload:?} was acknowledged with 0x{code:02X}");
        expect(&result(&mut gate)?, false, "malformed")?;
        cases += 1;
    }
    // MQTT 3.1.1 is told by the result alone.
    let mut gate = reader(server, Version::V4)?;
    publish(&mut gate, Version::V4, SCAN, "{")?;
    expect(&result(&mut gate)?, false, "malformed")?;
    Ok(format!("{cases} payloads"))
}

fn unix_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?)
}

/// A Zebra FX's message: it has milliseconds.
fn zebra(code: &str, at_ms: i64) -> String {
    let timestamp = to_the_millisecond(at_ms.unsigned_abs());
    json!({"data": {"idHex": code, "antenna": 2}, "timestamp": timestamp, "type": "SIMPLE"}).to_string()
}

/// A reader's own time counts from seven days ago to some minutes ahead; beyond that its clock is wrong, and the server's counts.
fn clocks(server: &Server) -> Result<String> {
    let (mut gate, now_ms) = (reader(server, Version::V5)?, unix_ms()?);
    let offsets = [
        (0, true),
        (-DAY_MS, true),
        (-6 * DAY_MS, true),
        (4 * MINUTE_MS, true),
        (-8 * DAY_MS, false),
        (10 * MINUTE_MS, false),
        (DAY_MS, false),
        (7 * DAY_MS, false),
    ];
    for (at, (offset_ms, counts)) in offsets.iter().enumerate() {
        let (own, code) = (now_ms + offset_ms, format!("E2003411B80201138325700{at}"));
        let told = scan(&mut gate, &zebra(&code, own))?;
        let ts = told["ts"].as_str().unwrap_or_default();
        let is_own = ts == to_the_millisecond(own.unsigned_abs());
        // Of the server's time a minute is seen: the two clocks are one here.
        let is_now = ts[..ts.len().min(14)] == to_the_millisecond(unix_ms()?.unsigned_abs())[..14];
        ensure!(if *counts { is_own } else { is_now && !is_own }, "off by {offset_ms} ms: {told}");
    }
    Ok(format!("{} clocks", offsets.len()))
}

fn again(server: &Server) -> Result<String> {
    load::token(server, "alice")?;
    load::token(server, "bob")?;
    server.cli_ok(&["badge", "add", "demo/alice", "E2003411B802011383257C3D"])?;
    server.cli_ok(&["badge", "add", "demo/bob", "E2003411B802011383257C3E"])?;
    let (mut staff, mut gate, now_ms) = (sam(server)?, reader(server, Version::V5)?, unix_ms()?);
    staff.call_ok("reader.set", &json!({"reader": "gate", "mode": "session", "conversation": "lobby"}))?;
    let (alice, bob) = ("E2003411B802011383257C3D", "E2003411B802011383257C3E");
    // Moments apart by the reader's clock, however they come: one visit.
    let hour_ago = now_ms - 60 * MINUTE_MS;
    let first = scan(&mut gate, &zebra(alice, hour_ago))?;
    expect(&first, true, "ok")?;
    expect(&scan(&mut gate, &zebra(bob, hour_ago + 100))?, true, "ok")?;
    let bounced = scan(&mut gate, &zebra(alice, hour_ago + 900))?;
    ensure!(bounced["reason"] == "duplicate", "a badge that bounces: {bounced}");
    // Half an hour later by the same clock: out.
    expect(&scan(&mut gate, &zebra(alice, now_ms - 30 * MINUTE_MS))?, true, "ok")?;
    // The whole upload comes again, now and after a crash is told by the next story of the venue: nothing changes.
    for at_ms in [hour_ago, now_ms - 30 * MINUTE_MS] {
        let told = scan(&mut gate, &zebra(alice, at_ms))?;
        ensure!(told["reason"] == "duplicate" && told["accepted"] == true, "an upload that comes again: {told}");
    }
    let listed = staff.call_ok("attendance.list", &json!({"conversation": "lobby"}))?;
    let of = |uid: &str| {
        listed["people"].as_array().and_then(|people| people.iter().find(|one| one["user"] == uid)).cloned().unwrap_or_default()
    };
    ensure!(of("alice")["enters"] == 1 && of("alice")["seconds"] == 1800 && of("alice")["inside"] == false, "{listed}");
    ensure!(of("bob")["inside"] == true && listed["inside"] == 1, "{listed}");
    Ok(String::new())
}

/// What staff sees of the reader, as soon as it is `online` or not and says so of itself.
fn seen(staff: &mut Line, online: bool, detail: Option<&str>) -> Result<Value> {
    let end = Instant::now() + WITHIN;
    loop {
        let listed = staff.call_ok("reader.list", &json!({}))?;
        let gate = listed["readers"].as_array().and_then(|readers| readers.iter().find(|one| one["reader"] == "gate")).cloned();
        match gate {
            Some(gate) if gate["online"] == online && gate["detail"].as_str() == detail => return Ok(gate),
            other => ensure!(Instant::now() < end, "online {online}, {detail:?} is not seen: {other:?}"),
        }
    }
}

fn health(server: &Server) -> Result<String> {
    let mut staff = sam(server)?;
    staff.call_ok("reader.set", &json!({"reader": "gate", "mode": "checkin"}))?;
    seen(&mut staff, false, None)?;
    let mut greeting = hello(Version::V4, "gate", "gate-device", false);
    let will = json!({"status": "offline", "detail": "power lost"}).to_string();
    greeting.will = Some(Will { topic: SCAN.into(), payload: will.into(), qos: 1, ..Will::default() });
    let (mut gate, _) = connect(server, &greeting)?;
    publish(&mut gate, Version::V4, SCAN, r#"{"status":"online","detail":"battery 80 %"}"#)?;
    let well = seen(&mut staff, true, Some("battery 80 %"))?;
    ensure!(well["since"].is_string(), "{well}");
    gate.drop_line();
    seen(&mut staff, false, Some("power lost"))?;
    Ok(String::new())
}
