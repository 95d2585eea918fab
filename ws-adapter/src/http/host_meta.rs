//! Where XMPP is spoken over WebSocket, for clients that know the domain alone (XEP-0156 §3).

use hyper::StatusCode;
use serde_json::json;

use super::answer::{Answer, json as answer_json, with_body};
use super::client::Client;

/// What the link is, to a client of XMPP.
const RELATION: &str = "urn:xmpp:alt-connections:websocket";

/// The URL, by the name that the client asked for; that name is ours, or this would not be answered.
fn url(client: &Client, host: &str) -> String {
    format!("{}://{host}/xmpp-websocket", if client.secure { "wss" } else { "ws" })
}

/// `/.well-known/host-meta`.
pub fn xml(client: &Client, host: &str) -> Answer {
    let url = url(client, host).replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;");
    let body = format!(
        "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'><Link rel='{RELATION}' href='{url}'/></XRD>\n"
    );
    with_body(StatusCode::OK, "application/xrd+xml; charset=utf-8", body)
}

/// `/.well-known/host-meta.json`.
pub fn json(client: &Client, host: &str) -> Answer {
    answer_json(StatusCode::OK, &json!({"links": [{"rel": RELATION, "href": url(client, host)}]}))
}
