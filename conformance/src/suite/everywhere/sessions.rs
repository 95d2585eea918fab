//! One person's sessions over all protocols: counted together, refused in each protocol's words, listed and closed from any of them.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::scene::person;
use super::seat::WITHIN;
use crate::client::{Client as WebSocket, Connect};
use crate::http;
use crate::mqtt::Version;
use crate::mqtt::client::Client as Mqtt;
use crate::mqtt::packet::{self, Publish};
use crate::script::password;
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::xmpp::client::{Client as Xmpp, Over};

/// Whose they are.
const WHO: &str = "ann";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// Stories on a server of their own, since the bound is low there.
///
/// # Errors
/// The server does not start.
pub fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(Options::new().xmpp().set("limits.sessions_per_user", 4))?;
    person(&server, WHO)?;
    report.check("everywhere: sessions of all protocols count together", || together(&server));
    report.check("everywhere: sessions are listed and closed from anywhere", || from_anywhere(&server));
    Ok(())
}

/// A session of each kind.
struct All {
    websocket: WebSocket,
    mqtt4: Mqtt,
    mqtt5: Mqtt,
    xmpp: Xmpp,
}

fn all(server: &Server) -> Result<All> {
    let websocket = websocket(server)?.1.map_err(|reason| anyhow::anyhow!("WebSocket: {reason}"))?;
    let (mqtt4, first) = mqtt(server, Version::V4, "four")?;
    let (mqtt5, second) = mqtt(server, Version::V5, "five")?;
    let (xmpp, third) = xmpp(server)?;
    ensure!((first, second, third.as_str()) == (0, 0, "result"), "{first:#x} {second:#x} {third}");
    Ok(All { websocket, mqtt4, mqtt5, xmpp })
}

/// A token, and the session by it or the reason why there is none.
fn websocket(server: &Server) -> Result<(String, Result<WebSocket, String>)> {
    let token = http::login(server.http(), "demo", WHO, &password(WHO))?;
    let mut client = Connect::new().open(server.http())?;
    let said = client.call("session.hello", &json!({"token": token}))?;
    Ok((token, said.map(|_| client).map_err(|error| error.reason)))
}

/// A connection, and the code of its CONNACK.
fn mqtt(server: &Server, version: Version, id: &str) -> Result<(Mqtt, u8)> {
    let mut connect = packet::Connect::new(version, id);
    (connect.user, connect.password) = (Some(WHO.into()), Some(password(WHO).into()));
    let mut client = Mqtt::open(&server.mqtt()?.to_string(), version, Instant::now() + 8 * WITHIN)?;
    client.send(&connect.bytes())?;
    let code = client.expect_connack()?.code;
    Ok((client, code))
}

/// A connection, and `result` or the condition that binding failed by.
fn xmpp(server: &Server) -> Result<(Xmpp, String)> {
    let mut client = Xmpp::greet(&server.xmpp_endpoints()?, Over::Tcp)?;
    client.authenticate(crate::xmpp::sasl::Mechanism::ScramSha1, WHO, &password(WHO))?;
    let answer = client.ask("b", &format!("<iq type='set' id='b'><bind xmlns='{BIND}'/></iq>"))?;
    let said = match answer.child("error") {
        Some(error) => error.children.first().map(|condition| condition.name.clone()).unwrap_or_default(),
        None => answer.attr("type").unwrap_or_default().to_owned(),
    };
    Ok((client, said))
}

fn together(server: &Server) -> Result<String> {
    let all = all(server)?;
    let refused = websocket(server)?.1.err();
    ensure!(refused.as_deref() == Some("too_many_sessions"), "WebSocket: {refused:?}");
    let (_, code) = mqtt(server, Version::V5, "one-more")?;
    ensure!(code == 0x97, "MQTT 5: {code:#x}");
    let (_, code) = mqtt(server, Version::V4, "one-more")?;
    ensure!(code == 3, "MQTT 3.1.1: {code}");
    let (_, said) = xmpp(server)?;
    ensure!(said == "resource-constraint", "XMPP: {said}");
    let All { websocket: first, mqtt4, mqtt5, xmpp: stream } = all;
    // Whichever ends, there is room for one more of any other.
    mqtt4.leave(0, &Vec::new())?;
    let second = retried(|| Ok(websocket(server)?.1.ok()))?;
    stream.close()?;
    let third = retried(|| Ok(Some(mqtt(server, Version::V5, "one-more")?).filter(|(_, code)| *code == 0)))?;
    first.close()?;
    let fourth = retried(|| Ok(Some(xmpp(server)?).filter(|(_, said)| said == "result")))?;
    drop((mqtt5, second, third, fourth));
    Ok("WebSocket, MQTT 3.1.1, MQTT 5, XMPP".into())
}

/// The server learns a moment after its client that a session has ended.
fn retried<T>(mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        ensure!(Instant::now() < deadline, "there is no room after {WITHIN:?}");
    }
}

/// A call over MQTT, answered on one's own topic.
fn rpc(client: &mut Mqtt, method: &str, params: &Value) -> Result<Value> {
    let call = json!({"jsonrpc": "2.0", "id": method, "method": method, "params": params});
    client.publish(Publish::new("conf/demo/rpc", 0, call.to_string()))?;
    Ok(serde_json::from_slice(&client.receive()?.payload)?)
}

fn rows(listed: &Value) -> Result<Vec<(String, String, bool)>> {
    let rows = listed["sessions"].as_array().with_context(|| format!("no sessions in {listed}"))?;
    let text = |row: &Value, member: &str| row[member].as_str().unwrap_or_default().to_owned();
    Ok(rows.iter().map(|row| (text(row, "session"), text(row, "protocol"), row["current"] == true)).collect())
}

fn from_anywhere(server: &Server) -> Result<String> {
    // Those of the other story have gone, at the latest when there is room for these.
    let All { mut websocket, mut mqtt4, mut mqtt5, mut xmpp } = retried(|| Ok(all(server).ok()))?;
    mqtt5.subscribe(&format!("conf/demo/user/{WHO}/rpc"), 1)?;
    let over_websocket = rows(&websocket.call_ok("session.list", &json!({}))?)?;
    let answer = rpc(&mut mqtt5, "session.list", &json!({}))?;
    let over_mqtt = rows(&answer["result"])?;
    for (listed, own) in [(&over_websocket, "ws"), (&over_mqtt, "mqtt")] {
        let mut protocols: Vec<&str> = listed.iter().map(|(_, protocol, _)| protocol.as_str()).collect();
        protocols.sort_unstable();
        ensure!(protocols == ["mqtt", "mqtt", "ws", "xmpp"], "{protocols:?}");
        let current: Vec<&str> = listed.iter().filter(|row| row.2).map(|row| row.1.as_str()).collect();
        ensure!(current == [own], "{own} is told that {current:?} are itself");
    }
    let of = |protocol: &str| over_mqtt.iter().find(|row| row.1 == protocol && !row.2).map(|row| json!({"session": row.0}));
    let (stream, socket, other) = (of("xmpp"), of("ws"), of("mqtt"));
    let (stream, socket, other) = stream.zip(socket).zip(other).map(|((a, b), c)| (a, b, c)).context("one of each")?;
    ensure!(rpc(&mut mqtt5, "session.close", &stream)?["result"] == json!({}), "XMPP is not closed from MQTT");
    let condition = xmpp.expect_end(WITHIN)?;
    ensure!(condition.as_deref() == Some("conflict"), "XMPP ends with {condition:?}");
    websocket.call_ok("session.close", &other)?;
    ensure!(mqtt4.expect_closed()?.is_none(), "MQTT 3.1.1 has no DISCONNECT from the server");
    ensure!(rpc(&mut mqtt5, "session.close", &socket)?["result"] == json!({}), "WebSocket is not closed from MQTT");
    let (code, _) = websocket.expect_close(WITHIN)?;
    ensure!(code == 4001, "WebSocket is closed with {code}");
    let gone = rpc(&mut mqtt5, "session.close", &socket)?;
    ensure!(gone["error"]["data"]["reason"] == "unknown_session", "closed twice: {gone}");
    let own = over_mqtt.iter().find(|row| row.2).map(|row| json!({"session": row.0})).context("its own")?;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "session.close", "params": own});
    mqtt5.publish(Publish::new("conf/demo/rpc", 0, call.to_string()))?;
    let code = retried(|| match mqtt5.expect_closed() {
        Ok(code) => Ok(Some(code)),
        // The answer may come before.
        Err(_) => Ok(None),
    })?;
    ensure!(code == Some(0x98), "MQTT 5 ends with {code:?}");
    Ok("WebSocket, MQTT 3.1.1, MQTT 5, XMPP".into())
}
