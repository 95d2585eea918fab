//! `GET /ws`, `/sock`, `/<conversation>`, `/mqtt` and `/xmpp-websocket`: the opening handshake (RFC 6455 §4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{HeaderMap, StatusCode};
use tungstenite::handshake::derive_accept_key;

use super::Socket;
use super::answer::{Answer, Refusal, empty, refused, refused_with, set};
use crate::rpc::Fault;

/// The subprotocols of each, in the order in which we would have them; asking for one is optional. For MQTT [MQTT-6.0.0-3, -4], and its name
/// in the times of 3.1, which some clients still ask for.
fn subprotocols(what: Socket) -> &'static [&'static str] {
    match what {
        Socket::Hallway => &["hallway.v1"],
        Socket::Conversation | Socket::Topics => &[],
        Socket::Mqtt => &["mqtt", "mqttv3.1"],
        Socket::Xmpp => &["xmpp"], // RFC 7395 §3.1
        Socket::Socketio => &[],
    }
}

/// Whether a request wants to become a WebSocket.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    lists(headers, &UPGRADE, |word| word.eq_ignore_ascii_case("websocket"))
}

/// The 101, or why not.
pub fn shake_hands(headers: &HeaderMap, what: Socket) -> Result<Answer, Refusal> {
    if !is_asked_for(headers) {
        let mut answer = refused_with(StatusCode::UPGRADE_REQUIRED, &Fault::invalid_request("this is a WebSocket endpoint"));
        set(&mut answer, UPGRADE, "websocket");
        return Err(answer.into()); // RFC 6455 §4.2.1 (3)
    }
    if !lists(headers, &CONNECTION, |word| word.eq_ignore_ascii_case("upgrade")) {
        return Err(refused(&Fault::invalid_request("no Connection: Upgrade")).into()); // RFC 6455 §4.2.1 (4)
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != b"13") {
        let mut answer = refused_with(StatusCode::UPGRADE_REQUIRED, &Fault::invalid_request("WebSocket version 13 is spoken here"));
        set(&mut answer, SEC_WEBSOCKET_VERSION, "13"); // RFC 6455 §4.4
        return Err(answer.into());
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_nonce(key.as_bytes())) else {
        return Err(refused(&Fault::invalid_request("Sec-WebSocket-Key is not 16 bytes in base64")).into()); // RFC 6455 §4.2.1 (5)
    };
    Ok(accept(headers, key, what))
}

fn accept(headers: &HeaderMap, key: &HeaderValue, what: Socket) -> Answer {
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    answer.headers_mut().clear();
    set(&mut answer, UPGRADE, "websocket");
    set(&mut answer, CONNECTION, "upgrade");
    // RFC 6455 §4.2.2 (5.4): base64, which every header value can hold.
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let asked = |ours: &&&str| lists(headers, &SEC_WEBSOCKET_PROTOCOL, |word| word == **ours);
    if let Some(ours) = subprotocols(what).iter().find(asked) {
        set(&mut answer, SEC_WEBSOCKET_PROTOCOL, ours); // RFC 6455 §4.2.2 (5.5)
    }
    answer
}

fn is_nonce(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// Whether one of a header's comma-separated words `fits`.
fn lists(headers: &HeaderMap, name: &HeaderName, fits: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| fits(word.trim()))
}
