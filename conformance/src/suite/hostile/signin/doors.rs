//! One token, shown at every door of the server.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{DOMAIN, EXPO};
use crate::client::Connect;
use crate::http::Request;
use crate::mqtt::Version;
use crate::mqtt::client::Client as Mqtt;
use crate::mqtt::packet;
use crate::server::Server;
use crate::xmpp::client::{Client as Xmpp, Endpoints, Over};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// How long MQTT may take for all.
const WITHIN: Duration = Duration::from_secs(30);

/// What a door says, in words that are the same for all: the reason where there is one, `yes` for who is let in.
pub type Said = String;

/// A door: its name, and what it says to a token.
pub type Door = (&'static str, fn(&Server, &str) -> Result<Said>);

/// All doors.
pub const DOORS: [Door; 7] = [
    ("WebSocket", websocket),
    ("HTTP", http),
    ("a ticket for it", ticket),
    ("MQTT 3.1.1", mqtt4),
    ("MQTT 5", mqtt5),
    ("XMPP OAUTHBEARER", xmpp_bearer),
    ("XMPP PLAIN", xmpp_plain),
];

/// What a door says in place of a reason of JSON.
pub fn in_its_words(door: &str, reason: &str) -> String {
    match (door, reason) {
        (_, "yes") => "yes".into(),
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

/// 200, or 401 and its reason.
pub fn said(answer: &crate::http::Response) -> Result<Said> {
    match answer.status() {
        200 => Ok("yes".into()),
        401 | 403 => Ok(answer.json()?["error"]["data"]["reason"].as_str().unwrap_or_default().to_owned()),
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
