//! One token, shown at every door of the server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{DOMAIN, EXPO};
use crate::client::{ClientError, Connect};
use crate::http::Request;
use crate::mqtt::Version;
use crate::mqtt::client::Client as Mqtt;
use crate::mqtt::packet;
use crate::server::Server;
use crate::sse::EventStream;
use crate::xmpp::client::{Client as Xmpp, Endpoints, Over};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// How long MQTT may take for all.
const WITHIN: Duration = Duration::from_secs(60);

/// What a door says, in words that are the same for all: the reason where there is one, `yes` for who is let in.
pub type Said = String;

/// A door: its name, and what it says to a token.
pub type Door = (&'static str, fn(&Server, &str) -> Result<Said>);

/// All doors.
pub const DOORS: [Door; 12] = [
    ("WebSocket", websocket),
    ("HTTP", http),
    ("a ticket for it", ticket),
    ("a conversation's own WebSocket", conversation),
    ("topics", topics),
    ("a stream of events", events),
    ("Socket.IO 5", socketio5),
    ("Socket.IO 4", socketio4),
    ("MQTT 3.1.1", mqtt4),
    ("MQTT 5", mqtt5),
    ("XMPP OAUTHBEARER", xmpp_bearer),
    ("XMPP PLAIN", xmpp_plain),
];

/// What a door says in place of a reason of JSON.
pub fn in_its_words(door: &str, reason: &str) -> String {
    match (door, reason) {
        (_, "yes") => "yes".into(),
        ("Socket.IO 5" | "Socket.IO 4", _) => "Unauthorized".into(),
        ("MQTT 3.1.1", _) => "return code 4".into(),
        ("MQTT 5", _) => "reason code 0x86".into(),
        ("XMPP OAUTHBEARER" | "XMPP PLAIN", "token_expired") => "credentials-expired".into(),
        ("XMPP OAUTHBEARER" | "XMPP PLAIN", _) => "not-authorized".into(),
        (_, reason) => reason.into(),
    }
}

fn websocket(server: &Server, token: &str) -> Result<Said> {
    let mut client = Connect::new().open(server.http())?;
    match client.call("session.hello", &json!({"token": token, "conference": EXPO}))? {
        Ok(_) => Ok("yes".into()),
        Err(error) => Ok(error.reason),
    }
}

fn http(server: &Server, token: &str) -> Result<Said> {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "session.list"});
    let request = Request::new("POST", "/rpc").header("Authorization", &format!("Bearer {token}")).json(&call);
    said(&request.send(server.http())?)
}

fn ticket(server: &Server, token: &str) -> Result<Said> {
    said(&Request::new("GET", &format!("/ticket?accessToken={token}")).send(server.http())?)
}

fn conversation(server: &Server, token: &str) -> Result<Said> {
    upgrade(server, &format!("/lobby?accessToken={token}"))
}

fn topics(server: &Server, token: &str) -> Result<Said> {
    upgrade(server, &format!("/sock?accessToken={token}"))
}

/// A WebSocket where the request's target shows who comes.
pub fn upgrade(server: &Server, path: &str) -> Result<Said> {
    match Connect::new().path(path).open(server.http()) {
        Ok(_) => Ok("yes".into()),
        Err(ClientError::Upgrade(_, body)) => reason_in(&serde_json::from_str(&body)?),
        Err(error) => Err(error.into()),
    }
}

fn events(server: &Server, token: &str) -> Result<Said> {
    let query = format!("accessToken={token}");
    match EventStream::open(server.http(), &query, &[], None)?.head.status {
        200 => Ok("yes".into()),
        _ => said(&Request::new("GET", &format!("/events?{query}")).send(server.http())?),
    }
}

fn reason_in(body: &Value) -> Result<Said> {
    Ok(body["error"]["data"]["reason"].as_str().with_context(|| format!("no reason in {body}"))?.to_owned())
}

/// By long polling; protocol 5 shows the token in its first packet.
fn socketio5(server: &Server, token: &str) -> Result<Said> {
    let opened = get(server, "EIO=4&transport=polling")?;
    let start = opened.find('{').with_context(|| format!("no handshake: {opened}"))?;
    let handshake: Value = serde_json::from_str(&opened[start..])?;
    let session = format!("EIO=4&transport=polling&sid={}", handshake["sid"].as_str().unwrap_or_default());
    let packet = format!("40{}", json!({"token": token}));
    let posted = Request::new("POST", &format!("/socket.io/?{session}")).body(packet.into_bytes()).send(server.http())?;
    ensure!(posted.status() == 200, "status {}: {}", posted.status(), posted.text());
    let heard = get(server, &session)?;
    if heard.starts_with("40") {
        return Ok("yes".into());
    }
    let refusal: Value = serde_json::from_str(heard.strip_prefix("44").with_context(|| format!("came {heard}"))?)?;
    Ok(refusal["message"].as_str().unwrap_or_default().to_owned())
}

/// By long polling; protocol 4 (clients 2.x) shows it in the address.
fn socketio4(server: &Server, token: &str) -> Result<Said> {
    let opened = get(server, &format!("EIO=3&transport=polling&token={token}"))?;
    let start = opened.find('{').with_context(|| format!("no handshake: {opened}"))?;
    let mut handshakes = serde_json::Deserializer::from_str(&opened[start..]).into_iter::<Value>();
    let handshake = handshakes.next().context("no handshake")??;
    let session = format!("EIO=3&transport=polling&sid={}", handshake["sid"].as_str().unwrap_or_default());
    let heard = format!("{}{}", &opened[start + handshakes.byte_offset()..], get(server, &session).unwrap_or_default());
    if heard.contains("[\"welcome\",") {
        return Ok("yes".into());
    }
    ensure!(heard.contains("44\"Unauthorized\""), "came {heard}");
    Ok("Unauthorized".into())
}

fn get(server: &Server, query: &str) -> Result<String> {
    let answer = Request::new("GET", &format!("/socket.io/?{query}")).send(server.http())?;
    ensure!(answer.status() == 200, "status {}: {}", answer.status(), answer.text());
    Ok(answer.text())
}

/// 200, or 401 and its reason.
pub fn said(answer: &crate::http::Response) -> Result<Said> {
    match answer.status() {
        200 => Ok("yes".into()),
        401 | 403 => reason_in(&answer.json()?),
        // hyper's own: a head that is too large.
        431 => Ok("bad_token".into()),
        other => bail!("status {other}: {}", answer.text()),
    }
}

fn mqtt4(server: &Server, token: &str) -> Result<Said> {
    match mqtt(server, Version::V4, token)? {
        0 => Ok("yes".into()),
        code => Ok(format!("return code {code}")),
    }
}

fn mqtt5(server: &Server, token: &str) -> Result<Said> {
    match mqtt(server, Version::V5, token)? {
        0 => Ok("yes".into()),
        code => Ok(format!("reason code {code:#x}")),
    }
}

fn mqtt(server: &Server, version: Version, token: &str) -> Result<u8> {
    Ok(mqtt_session(server, version, token)?.1)
}

/// A connection by a token, and the code of its CONNACK.
pub fn mqtt_session(server: &Server, version: Version, token: &str) -> Result<(Mqtt, u8)> {
    let mut connect = packet::Connect::new(version, "");
    // Whoever has only a token does not know their uid, but 3.1.1 wants a user name with a password.
    connect.user = Some(format!("@{EXPO}").into());
    connect.password = Some(token.into());
    let mut client = Mqtt::open(&server.mqtt()?.to_string(), version, Instant::now() + WITHIN)?;
    client.send(&connect.bytes())?;
    let code = client.expect_connack()?.code;
    Ok((client, code))
}

/// The XMPP of the conference.
pub fn endpoints(server: &Server) -> Result<Endpoints> {
    Ok(Endpoints { domain: DOMAIN.into(), ..server.xmpp_endpoints()? })
}

fn xmpp_bearer(server: &Server, token: &str) -> Result<Said> {
    Ok(xmpp_stream(server, token)?.1)
}

/// A stream by a token, its resource not bound, and what the server said to it.
pub fn xmpp_stream(server: &Server, token: &str) -> Result<(Xmpp, Said)> {
    let mut client = Xmpp::greet(&endpoints(server)?, Over::Tls)?;
    let first = STANDARD.encode(format!("n,,\x01auth=Bearer {token}\x01\x01"));
    client.send(&format!("<auth xmlns='{SASL}' mechanism='OAUTHBEARER'>{first}</auth>"))?;
    let answer = client.expect("an answer to OAUTHBEARER")?;
    if answer.is("challenge", SASL) {
        // RFC 7628 §3.2.3: the client says that it has heard why.
        client.send(&format!("<response xmlns='{SASL}'>AQ==</response>"))?;
        let failure = client.expect("a failure")?;
        ensure!(failure.is("failure", SASL), "instead of <failure/> came {failure}");
        let said = failure.children.first().map(|child| child.name.clone()).unwrap_or_default();
        return Ok((client, said));
    }
    let said = outcome(&answer)?;
    Ok((client, said))
}

fn xmpp_plain(server: &Server, token: &str) -> Result<Said> {
    let mut client = Xmpp::greet(&endpoints(server)?, Over::Tls)?;
    let first = STANDARD.encode(format!("\0user\0{token}"));
    client.send(&format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{first}</auth>"))?;
    outcome(&client.expect("an answer to PLAIN")?)
}

fn outcome(answer: &crate::xmpp::element::Element) -> Result<Said> {
    if answer.is("success", SASL) {
        return Ok("yes".into());
    }
    ensure!(answer.is("failure", SASL), "instead of <success/> or <failure/> came {answer}");
    Ok(answer.children.first().map(|child| child.name.clone()).unwrap_or_default())
}
