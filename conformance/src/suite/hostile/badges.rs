//! Badge readers, handhelds and lists that mean harm: every message is answered, nobody is let in by nonsense, and others go on talking.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::is_alive;
use crate::client::{ANSWER_WITHIN, Client};
use crate::mqtt::Version;
use crate::mqtt::client::{Client as Mqtt, Seen};
use crate::mqtt::packet::{PUBACK, Publish};
use crate::mqtt::parse::Packet;
use crate::script::password;
use crate::server::{Options, Server};
use crate::suite::load::{self, MemoryWatch, Others, mib};
use crate::suite::{Report, edge};

const SCAN: &str = "conf/demo/badge/gate/scan";
const RESULT: &str = "conf/demo/badge/gate/result";
/// Reason code of what is no scan (MQTT 5, "payload format invalid").
const MALFORMED: u8 = 0x99;
/// Scans of the flood: more than a second's thousand, by which a reader that is held to its rate is busy for some seconds more.
const FLOOD: u16 = 1_500;
/// Of these so many are under way at once.
const WINDOW: u16 = 1_000;
/// By then all of them are answered: the burst at once, the rest at 100 a second.
const FLOOD_WITHIN: Duration = Duration::from_secs(30);
/// Guesses by somebody with a handheld.
const GUESSES: usize = 3_000;
/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(15);
/// What all of it may cost.
const EXTRA_BYTES: u64 = 64 << 20;
/// The others' latency while it goes on.
const OTHERS_P99: Duration = Duration::from_millis(100);

/// All of it against one server, with a pair that talks all the time.
pub fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(Options::new())?;
    for (uid, role) in [("gate", "device"), ("sam", "staff")] {
        server.cli_ok(&["user", "add", &format!("demo/{uid}"), "--role", role, "--password", &password(uid)])?;
    }
    let token = load::token(&server, "mallory")?;
    let before = server.rss_bytes()?;
    let (memory, others) = (MemoryWatch::start(&server)?, Others::start(&server, "visitors")?);
    report.check("hostile: badges, payloads of every wrong kind", || payloads(&server));
    report.check("hostile: badges, payloads that end too early", || truncated(&server));
    report.check("hostile: badges, 1,000 scans at once and more after them", || flood(&server));
    report.check("hostile: badges, guesses with a handheld", || guesses(&server));
    report.check("hostile: badges, lists of attendees that mean harm", || lists(&server));
    report.check("hostile: badges, the others did not notice", || {
        let latency = others.noticed_nothing(OTHERS_P99)?;
        is_alive(&server, &token)?;
        Ok(latency.to_string())
    });
    report.check("hostile: badges, memory is bounded", || {
        let peak = memory.stop()?;
        ensure!(peak <= before + EXTRA_BYTES, "{} at the start, {} at the peak", mib(before), mib(peak));
        Ok(format!("{} at the start, {} at the peak", mib(before), mib(peak)))
    });
    Ok(())
}

fn gate(server: &Server) -> Result<Mqtt> {
    let mut gate = edge::join(server, Version::V5, "gate")?;
    gate.subscribe(RESULT, 1)?;
    Ok(gate)
}

/// Publishes and waits for the acknowledgement: its code, and the results that came before it or right after.
fn scan(gate: &mut Mqtt, payload: &[u8]) -> Result<(u8, Vec<Value>)> {
    let (id, mut results) = (gate.fresh_id(), Vec::new());
    gate.send(&Publish::new(SCAN, 1, payload).id(id).bytes(Version::V5))?;
    let mut code = None;
    loop {
        // A result is on its way when the acknowledgement is.
        let patience = if code.is_some() && !results.is_empty() { Duration::from_millis(20) } else { WITHIN };
        let patience = if code.is_some() { patience.min(Duration::from_millis(200)) } else { patience };
        match gate.see(patience)? {
            Seen::Packet(Packet::Ack { first: PUBACK, id: seen, code: told, .. }) if seen == id => code = Some(told),
            Seen::Packet(Packet::Publish(message)) => {
                gate.acknowledge(&message)?;
                results.push(serde_json::from_slice(&message.payload).context("a result that is no JSON")?);
            }
            Seen::Packet(other) => bail!("{other:?} came"),
            Seen::Closed => bail!("the server closed the connection"),
            Seen::Nothing => match code {
                Some(code) => return Ok((code, results)),
                None => bail!("no acknowledgement within {WITHIN:?}"),
            },
        }
    }
}

/// Refused as no scan, or taken for one of a badge that nobody has.
fn opens_nothing(gate: &mut Mqtt, name: &str, payload: &[u8]) -> Result<bool> {
    let (code, results) = scan(gate, payload).with_context(|| name.to_owned())?;
    ensure!([0, MALFORMED].contains(&code), "{name} was acknowledged with 0x{code:02X}");
    for result in &results {
        let word = result["reason"].as_str().unwrap_or_default();
        ensure!(result["accepted"] == false && ["malformed", "unknown_badge", "duplicate"].contains(&word), "{name}: {result}");
        ensure!(result.get("user").is_none(), "{name} is somebody's badge: {result}");
    }
    ensure!(code != MALFORMED || results.iter().all(|result| result["reason"] == "malformed"), "{name}: 0x99, and {results:?}");
    Ok(code == MALFORMED)
}

fn payloads(server: &Server) -> Result<String> {
    let mut gate = gate(server)?;
    let many = |one: &str, count: usize| format!("[{}]", vec![one; count].join(","));
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("100 kB of brackets", "[".repeat(100_000).into_bytes()),
        ("100 kB of nested objects", format!("{}1{}", r#"{"a":"#.repeat(20_000), "}".repeat(20_000)).into_bytes()),
        ("10,000 badges in one message", many(r#"{"S":"082","E":"R","U":"082B278907"}"#, 10_000).into_bytes()),
        ("101 badges in one message", many(r#"{"S":"082","E":"R","U":"082B278907"}"#, 101).into_bytes()),
        ("a text of 60 kB", vec![b'7'; 60_000]),
        ("bytes that are no UTF-8", vec![0xFF, 0xFE, 0x00, 0x80]),
    ];
    let mut refused = 0;
    // Nothing is no scan and no fault: it is how a retained message is taken away.
    for payload in ["", " \r\n\t ", "\0\0"] {
        let (code, results) = scan(&mut gate, payload.as_bytes())?;
        ensure!(code == 0 && results.is_empty(), "{payload:?} was acknowledged with 0x{code:02X}, and {results:?}");
    }
    for (name, payload) in &bad {
        ensure!(opens_nothing(&mut gate, name, payload)?, "{name} is taken for a scan");
        refused += 1;
    }
    let odd = odd_payloads();
    for payload in &odd {
        refused += usize::from(opens_nothing(&mut gate, payload, payload.as_bytes())?);
    }
    gate.ping()?;
    Ok(format!("{} kinds, {refused} refused as no scan", bad.len() + odd.len()))
}

/// A member of each wrong type in each place, and codes of strange letters.
fn odd_payloads() -> Vec<String> {
    let shapes: [fn(Value) -> Value; 9] = [
        |x| json!({"timestamp": "2026-02-26T17:13:37Z", "eventType": "tagInventory", "tagInventoryEvent": {"epcHex": x}}),
        |x| json!({"timestamp": x, "eventType": "tagInventory", "tagInventoryEvent": x}),
        |x| json!({"data": {"idHex": x}, "timestamp": x, "type": "SIMPLE"}),
        |x| json!({"type": "INVENTORY", "timestamp": x, "data": {"tagData": x}}),
        |x| json!({"type": "access", "time": x, "isKnown": x, "access": x, "username": x, "uid": x}),
        |x| json!({"Time": x, "PN532": {"UID": x, "DATA": x}}),
        |x| json!({"Sequence": x, "Interface": x, "TagId": x}),
        |x| json!([{"S": x, "E": x, "U": x}]),
        |x| json!({"scan": [{"data": x}]}),
    ];
    let mut values = vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!([[1]]),
        json!({"code": "04A1B2C3"}),
        json!(""),
        json!("\u{0}"),
        json!("04A1B2C3\u{0}"),
        json!("\u{1b}[2J\u{7}"),
        json!("\u{202e}3C2B1A40"),
        json!("x".repeat(5_000)),
        json!("9".repeat(400)),
    ];
    values.push(json!("=HYPERLINK(\"http://evil.example\")"));
    let numbers = ["1e999", "-0", "123456789012345678901234567890", "0.1", "007"]
        .map(|number| format!(r#"{{"Sequence":{number},"TagId":{number}}}"#));
    shapes.iter().flat_map(|shape| values.iter().map(|value| shape(value.clone()).to_string())).chain(numbers).collect()
}

/// Every beginning of a good payload.
fn truncated(server: &Server) -> Result<String> {
    let mut gate = gate(server)?;
    let good = json!({
        "timestamp": "2026-02-26T17:13:37.432087177Z", "eventType": "tagInventory",
        "tagInventoryEvent": {"epc": "ikUCJA==", "antennaPort": 3, "peakRssiCdbm": -7400},
    })
    .to_string();
    for end in 1..good.len() {
        ensure!(opens_nothing(&mut gate, &good[..end], &good.as_bytes()[..end])?, "taken for a scan: {}", &good[..end]);
    }
    Ok(format!("{} beginnings of a payload", good.len() - 1))
}

/// As fast as it goes, from one reader.
fn flood(server: &Server) -> Result<String> {
    let mut gate = edge::join(server, Version::V4, "gate")?;
    gate.subscribe(RESULT, 1)?;
    let (begun, mut sent, mut acked, mut told) = (Instant::now(), 0_u16, 0_u16, 0_u16);
    while acked < FLOOD || told < FLOOD {
        ensure!(begun.elapsed() < FLOOD_WITHIN, "after {FLOOD_WITHIN:?} {acked} of {FLOOD} were acknowledged, and {told} results came");
        while sent < FLOOD && sent - acked < WINDOW {
            sent += 1;
            // Each another badge, so that none bounces.
            let code = format!("04{:06X}", u32::from(sent) * 7_919);
            gate.send(&Publish::new(SCAN, 1, code).id(1_000 + sent).bytes(Version::V4))?;
        }
        match gate.see(WITHIN)? {
            Seen::Packet(Packet::Ack { first: PUBACK, .. }) => acked += 1,
            Seen::Packet(Packet::Publish(message)) => {
                let result: Value = serde_json::from_slice(&message.payload)?;
                ensure!(result["reason"] == "unknown_badge", "{result}");
                gate.acknowledge(&message)?;
                told += 1;
            }
            other => bail!("{other:?} after {acked} acknowledgements and {told} results"),
        }
    }
    Ok(format!("{FLOOD} scans, all answered, in {:.1} s", begun.elapsed().as_secs_f64()))
}

/// An attendee tries codes: each guess is answered, none tells anything, and there are not too many of them.
fn guesses(server: &Server) -> Result<String> {
    let mut mallory = load::join(server, "mallory")?;
    let ids = (0..GUESSES).map(|at| mallory.send("badge.scan", &json!({"code": format!("04{at:06X}")}))).collect::<Result<Vec<_>, _>>()?;
    let (mut unknown, mut slowed) = (0, 0);
    for id in ids {
        match mallory.answer(id, ANSWER_WITHIN)? {
            Ok(result) if result["reason"] == "unknown_badge" && result["accepted"] == false => unknown += 1,
            Err(error) if error.reason == "message_rate" => slowed += 1,
            other => bail!("a guess was answered with {other:?}"),
        }
    }
    ensure!(slowed > 0, "{GUESSES} guesses in a row, and none was slowed down");
    Ok(format!("{unknown} answered, {slowed} told to wait"))
}

fn lists(server: &Server) -> Result<String> {
    let token = crate::http::login(server.http(), "demo", "sam", &password("sam"))?;
    let mut sam = Client::sign_in(server.http(), &token)?;
    let mut mallory = load::join(server, "mallory")?;
    let columns = vec!["x"; 100_000].join(",");
    let wholes = [
        ("nothing", String::new()),
        ("an open quote", format!("id,name\n1,\"{}", "x".repeat(500_000))),
        ("100,000 columns", format!("{columns}\n{columns}\n")),
        ("250,000 empty rows", format!("id,name\n{}", ",\n".repeat(250_000 - 1))),
    ];
    for (name, csv) in &wholes {
        let begun = Instant::now();
        let outcome = sam.call("attendee.import", &json!({"format": "generic", "csv": csv}))?;
        ensure!(begun.elapsed() < Duration::from_secs(5), "{name} took {:?}", begun.elapsed());
        match outcome {
            Err(error) => ensure!(["invalid_params", "too_large"].contains(&error.reason.as_str()), "{name}: {error}"),
            Ok(done) => ensure!(done["added"] == 0, "{name}: {done}"),
        }
    }
    let rows = "id,name,email,badge\n1,,a@example.org,04AABBCC\n2,\"N\u{0}UL\",b@example.org,\n3,=1+1,c@example.org,04AABBCD\n4,Good Person,d@example.org,04AABBCE\n";
    let refused = mallory.call("attendee.import", &json!({"format": "generic", "csv": rows}))?;
    ensure!(refused.as_ref().is_err_and(|error| error.reason == "staff_only"), "an attendee imports: {refused:?}");
    let done = sam.call_ok("attendee.import", &json!({"format": "generic", "csv": rows}))?;
    let bad = done["bad"].as_array().context("no bad rows")?;
    ensure!(done["rows"] == 4 && bad.len() + done["added"].as_u64().unwrap_or_default() as usize == 4, "rows are lost: {done}");
    ensure!(bad.iter().all(|row| row["why"].is_string()) && bad.len() >= 2, "bad rows are not named: {done}");
    no_formula(&mut sam)?;
    Ok(format!("{} bombs; of 4 rows {} were bad", wholes.len(), bad.len()))
}

/// What an attendee is called calculates nothing in an exhibitor's spreadsheet.
fn no_formula(sam: &mut Client) -> Result<()> {
    let row = "id,name,company,badge\n9,=2+5,@SUM(A1),04AABBD9\n";
    ensure!(sam.call_ok("attendee.import", &json!({"format": "generic", "csv": row}))?["added"] == 1, "the row was not taken");
    let scanned = sam.call_ok("badge.scan", &json!({"code": "04AABBD9", "mode": "lead"}))?;
    ensure!(scanned["accepted"] == true, "{scanned}");
    let exported = sam.call_ok("lead.export", &json!({}))?;
    let csv = exported["csv"].as_str().context("no CSV")?;
    let begins = |cell: &str| cell.trim_start_matches('"').starts_with(['=', '@', '+', '-']);
    ensure!(csv.contains("2+5") && !csv.lines().flat_map(|line| line.split(',')).any(begins), "a cell is a formula: {csv}");
    Ok(())
}
