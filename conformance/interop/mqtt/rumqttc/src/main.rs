//! Hallway's MQTT edge as rumqttc sees it, in 3.1.1 and 5: `hallway-interop-rumqttc HTTP MQTT MQTTS CA PREFIX`.
//!
//! HTTP and MQTT are HOST:PORT, PREFIX begins every user name and topic, so that runs on one server do not disturb each other. MQTTS and CA are
//! taken for the sake of a common command line: the library is built without TLS.
//!
//! One line per check, `ok WHAT` or `FAIL WHAT: WHY`; the exit status is 0 when none failed.

mod client;
mod websocket;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use client::{Client, Message, Session, Version};
use websocket::WebSocketUser;

const PASSWORD: &str = "correct horse battery";
/// That something comes is believed for so long.
const SOON: Duration = Duration::from_secs(10);
/// That nothing comes is believed after so long.
const SILENCE: Duration = Duration::from_millis(700);
const LOBBY: &str = "conf/demo/chat/lobby";

/// The server under test, and the names to use on it.
struct Place {
    http: String,
    mqtt: String,
    prefix: String,
}

impl Place {
    fn uid(&self, user: &str) -> String {
        format!("{}-{user}", self.prefix)
    }

    fn connect(&self, version: Version, user: &str) -> Result<Client> {
        let uid = self.uid(user);
        let id = unique(&uid).replace(' ', "-");
        Client::connect(&self.mqtt, version, &uid, &id, Session::Clean)
    }

    fn topic(&self, name: &str) -> String {
        format!("conf/demo/topic/{}/{name}", self.prefix)
    }
}

type Check = fn(&Place, Version) -> Result<()>;

/// `what`, told from every other.
fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    format!("{what} {now}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [http, mqtt, _mqtts, _ca, prefix] = arguments.as_slice() else {
        eprintln!("hallway-interop-rumqttc HTTP MQTT MQTTS CA PREFIX");
        return ExitCode::from(2);
    };
    let place = Place { http: http.clone(), mqtt: mqtt.clone(), prefix: prefix.clone() };
    let checks: [(&str, Check); 4] = [
        ("two clients talk at QoS 0, 1 and 2", chat),
        ("200 publications of QoS 1 and 2, once and in order", many),
        ("a persistent session gets all 20 of each QoS, once and in order", persistent),
        ("together with a WebSocket client", with_websocket),
    ];
    let mut failed = false;
    for version in [Version::V4, Version::V5] {
        for (label, check) in checks {
            match check(&place, version) {
                Ok(()) => println!("ok rumqttc {version:?}: {label}"),
                Err(error) => {
                    failed = true;
                    println!("FAIL rumqttc {version:?}: {label}: {error:#}");
                }
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The canonical event in a message with this text.
fn event_of(message: &Message, text: &str) -> Option<Value> {
    let event: Value = serde_json::from_slice(&message.payload).ok()?;
    (message.topic == LOBBY && event["text"] == text).then_some(event)
}

fn chat(place: &Place, version: Version) -> Result<()> {
    let (mut anna, mut bert) = (place.connect(version, "anna")?, place.connect(version, "bert")?);
    for qos in 0..=2 {
        one_way(&mut anna, &mut bert, qos, false)?;
        one_way(&mut bert, &mut anna, qos, true)?;
    }
    anna.disconnect()?;
    bert.disconnect()
}

fn one_way(from: &mut Client, to: &mut Client, qos: u8, as_json: bool) -> Result<()> {
    to.subscribe(LOBBY, qos)?;
    let (text, id) = (unique("words"), unique("id"));
    let payload = if as_json { json!({"id": id, "text": text}).to_string() } else { text.clone() };
    from.publish(LOBBY, payload.as_bytes(), qos)?;
    let message = to.expect(&format!("{text:?} at QoS {qos}"), |message| event_of(message, &text).is_some())?;
    ensure!(message.qos == qos && !message.retain && !message.dup, "{message:?}");
    let event = event_of(&message, &text).context("no event")?;
    ensure!(event["from"] == from.uid.as_str() && event["conversation"] == "lobby" && event["kind"] == "message", "{event}");
    ensure!(!as_json || event["client_id"] == id.as_str(), "{event}");
    Ok(())
}

fn many(place: &Place, version: Version) -> Result<()> {
    let (mut anna, mut bert) = (place.connect(version, "anna")?, place.connect(version, "bert")?);
    for qos in 1..=2 {
        let topic = place.topic(&format!("many/{version:?}/{qos}"));
        bert.subscribe(&topic, qos)?;
        let texts: Vec<String> = (0..200).map(|n| unique(&format!("{n}"))).collect();
        anna.publish_all(&topic, &texts, qos)?;
        in_order(&bert.collect(&topic, texts.len())?, &texts, qos)?;
    }
    anna.disconnect()?;
    bert.disconnect()
}

fn in_order(messages: &[Message], texts: &[String], qos: u8) -> Result<()> {
    let came: Vec<_> = messages.iter().map(|message| String::from_utf8_lossy(&message.payload)).collect();
    ensure!(came == texts, "at QoS {qos} came {} of {}: {:?} …", came.len(), texts.len(), &came[..came.len().min(3)]);
    match messages.iter().find(|message| message.qos != qos || message.dup || message.retain) {
        Some(odd) => bail!("flags: {odd:?}"),
        None => Ok(()),
    }
}

fn persistent(place: &Place, version: Version) -> Result<()> {
    let uid = place.uid("bert");
    let id = format!("{uid}-away-{version:?}");
    let come = |session| Client::connect(&place.mqtt, version, &uid, &id, session);
    come(Session::Clean)?.disconnect()?;
    let mut first = come(Session::Kept)?;
    ensure!(!first.present, "a session is present that was thrown away");
    let topic = |qos: u8| place.topic(&format!("away/{version:?}/{qos}"));
    for qos in 1..=2 {
        first.subscribe(&topic(qos), qos)?;
    }
    first.disconnect()?;
    let texts: Vec<String> = (0..20).map(|n| unique(&format!("away {n}"))).collect();
    let mut anna = place.connect(version, "anna")?;
    for qos in 1..=2 {
        anna.publish_all(&topic(qos), &texts, qos)?;
    }
    anna.disconnect()?;
    let mut back = come(Session::Kept)?;
    ensure!(back.present, "the session is not present");
    for qos in 1..=2 {
        in_order(&back.collect(&topic(qos), texts.len())?, &texts, qos)?;
    }
    back.disconnect()?;
    let mut again = come(Session::Kept)?;
    let more = again.collect(&topic(2), 0)?;
    ensure!(more.is_empty(), "{} came that were delivered, such as {:?}", more.len(), more[0]);
    again.disconnect()?;
    come(Session::Clean)?.disconnect()
}

fn with_websocket(place: &Place, version: Version) -> Result<()> {
    let mut anna = place.connect(version, "anna")?;
    let mut other = WebSocketUser::open(&place.http, &anna.uid, PASSWORD)?;
    other.call("conversation.subscribe", &json!({"conversation": "lobby"}))?;
    anna.subscribe(LOBBY, 1)?;
    let text = unique("over MQTT");
    anna.publish(LOBBY, text.as_bytes(), 1)?;
    let there = other.expect_message(&text)?;
    let message = anna.expect("one's own message", |message| event_of(message, &text).is_some())?;
    let here = event_of(&message, &text).context("no event")?;
    ensure!(there == here, "WebSocket has {there}, MQTT has {here}");
    let text = unique("over WebSocket");
    let sent = other.call("message.send", &json!({"conversation": "lobby", "id": text, "text": text}))?;
    let message = anna.expect("the WebSocket client's message", |message| event_of(message, &text).is_some())?;
    let here = event_of(&message, &text).context("no event")?;
    ensure!(here["seq"] == sent["seq"] && here["client_id"] == text.as_str(), "sent {sent}, came {here}");
    anna.disconnect()
}
