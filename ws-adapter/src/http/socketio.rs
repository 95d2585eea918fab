//! `/socket.io/`: Engine.IO's handshakes and polls.

use std::cell::RefCell;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, UPGRADE};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;

use super::answer::{Answer, json, refused, refused_with, with_body};
use super::client::Client;
use super::request::body_text;
use super::{App, Opening, Socket, routes};
use crate::rpc::{Fault, codes};
use crate::socketio::exchange::{Answered, Ask};
use crate::socketio::query::{BadRequest, Query, Transport};

/// What Engine.IO answers to a bad request.
#[derive(Serialize)]
struct Refused<'a> {
    code: u8,
    message: &'a str,
}

/// Packets of protocol 3 as of protocol 4 are text.
const TEXT: &str = "text/plain; charset=UTF-8";

pub async fn answer<A: App>(
    app: &A,
    request: Request<Incoming>,
    client: Client,
    upgraded: &RefCell<Option<Opening<A::Entrance>>>,
) -> Answer {
    let query = match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return bad(error),
    };
    let is_get = request.method() == Method::GET;
    if query.transport == Transport::WebSocket {
        // Engine.IO takes nothing else for this transport.
        if !is_get || !request.headers().contains_key(UPGRADE) {
            return bad(BadRequest::Request);
        }
        return routes::socket(app, Socket::Socketio, &request.into_parts().0, client, upgraded).await;
    }
    let ask = match (query.sid, is_get) {
        (None, true) => Ask::Open(query),
        (None, false) => return bad(BadRequest::Method),
        (Some(sid), true) => Ask::Get(sid),
        (Some(_), false) if is_binary(request.headers()) => return bad(BadRequest::Binary),
        (Some(sid), false) => match body_text(request, app.settings().body_bytes).await {
            Ok(body) => Ask::Post(sid, body),
            Err(refusal) => return *refusal,
        },
    };
    match app.poll(ask, &client).await {
        Answered::Packets(packets) => with_body(StatusCode::OK, TEXT, Bytes::from(packets)),
        Answered::Taken => with_body(StatusCode::OK, "text/html", "ok"),
        Answered::Bad(error) => bad(error),
        Answered::Broken(word) => refused_with(StatusCode::BAD_REQUEST, &Fault::new(codes::INVALID_REQUEST, word, "Bad request")),
        Answered::Refused(fault) => refused(&fault),
    }
}

fn bad(error: BadRequest) -> Answer {
    json(StatusCode::BAD_REQUEST, &Refused { code: error.code(), message: &error.to_string() })
}

/// Protocol 3 sends such bodies when there is something binary in them.
fn is_binary(headers: &HeaderMap) -> bool {
    headers.get(hyper::header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/octet-stream"))
}
