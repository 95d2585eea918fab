//! What is said on an application's topic, as those who read JSON see it: `{type, topic, sender, store, timestamp, payload}`. The topic's
//! name is the application's own part of it. What came over a protocol of opaque payloads is made fit: `{"action", "payload"}` is just that,
//! any other JSON is the payload of a `message`, text is a string, and what is not text is `{"base64": …}`.

use std::sync::Arc;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Object, write_string};
use crate::gatherings::Present;
use crate::ids::Uid;
use crate::model::{Body, Event, Publication, Signal};
use crate::mqtt::topic::app_name;

/// Longest name of an action, in bytes.
pub const MAX_ACTION_BYTES: usize = 128;
/// The action of what came without one.
const PLAIN_ACTION: &str = "message";
/// What only the server says, and what only it is asked for.
const RESERVED: [&str; 6] = ["subscribe", "unsubscribe", "subscribed", "subscriber", "unsubscriber", "error"];
/// JSON that is nested deeper is handed on as text: who reads it need not be able to.
const MAX_DEPTH: usize = 32;

/// Whether an application may use this action.
#[must_use]
pub fn is_action(action: &str) -> bool {
    !action.is_empty() && action.len() <= MAX_ACTION_BYTES && !RESERVED.contains(&action)
}

/// What is said on a topic, as its payload there.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said<'a> {
    /// What it is, to the application.
    #[serde(borrow)]
    pub action: &'a str,
    /// What it says.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
}

/// What stands before a frame's payload.
#[derive(Clone, Copy)]
struct Head<'a> {
    /// The application's name of the topic.
    topic: &'a str,
    sender: &'a str,
    store: bool,
    at_ms: u64,
}

fn frame(out: &mut Vec<u8>, kind: &str, head: Head<'_>, payload: impl FnOnce(&mut Vec<u8>)) {
    let mut object = Object::begin(out);
    object.string("type", kind);
    object.string("topic", head.topic);
    object.word("sender", head.sender);
    object.bool("store", head.store);
    object.time("timestamp", head.at_ms);
    payload(object.member("payload"));
    object.end();
}

/// Appends the frame of something that is kept.
pub fn write_topic_event(event: &Event, publication: &Publication, out: &mut Vec<u8>) {
    let store = matches!(event.entry.body, Body::Stored(_));
    write_publication(publication, &event.entry.from, store, event.entry.ts_ms, out);
}

/// Appends the frame of something that was published.
pub fn write_publication(publication: &Publication, from: &Uid, store: bool, at_ms: u64, out: &mut Vec<u8>) {
    let topic = app_name(&publication.topic);
    let head = Head { topic, sender: from.as_str(), store, at_ms };
    let Ok(text) = std::str::from_utf8(&publication.payload) else {
        return frame(out, PLAIN_ACTION, head, |out| {
            out.extend_from_slice(b"{\"base64\":\"");
            out.extend_from_slice(BASE64.encode(&publication.payload).as_bytes());
            out.extend_from_slice(b"\"}");
        });
    };
    if !is_shallow(text) {
        return frame(out, PLAIN_ACTION, head, |out| write_string(text, out));
    }
    if let Some(said) = serde_json::from_str::<Owned<'_>>(text).ok().filter(|said| is_action(&said.action)) {
        return frame(out, &said.action, head, |out| out.extend_from_slice(said.payload.map_or("null", RawValue::get).as_bytes()));
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => frame(out, PLAIN_ACTION, head, |out| out.extend_from_slice(json.get().as_bytes())),
        Err(_) => frame(out, PLAIN_ACTION, head, |out| write_string(text, out)),
    }
}

/// The same as [`Said`], whose action may have escapes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owned<'a> {
    #[serde(borrow)]
    action: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

/// Whether JSON that the text may be is nested no deeper than [`MAX_DEPTH`].
fn is_shallow(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Appends the frame of a topic's signal.
pub fn write_topic_signal(signal: &Signal, out: &mut Vec<u8>) {
    match signal {
        Signal::Published { from, publication, at_ms, .. } => write_publication(publication, from, false, *at_ms, out),
        Signal::Gathered { topic, user, name, connections, came, at_ms } => {
            let kind = if *came { "subscriber" } else { "unsubscriber" };
            let head = Head { topic: app_name(topic), sender: user.as_str(), store: false, at_ms: *at_ms };
            frame(out, kind, head, |out| {
                let mut object = Object::begin(out);
                object.word("user", user.as_str());
                present_members(&mut object, name, connections);
                object.end();
            });
        }
        _ => {}
    }
}

fn present_members(object: &mut Object<'_>, name: &str, connections: &[Arc<str>]) {
    object.string("name", name);
    object.strings("cids", connections);
}

/// What a connection is told that comes to a topic.
#[derive(Debug, Clone, Copy)]
pub struct Welcome<'a> {
    /// The whole name of the topic.
    pub topic: &'a str,
    /// Whose connection it is.
    pub user: &'a Uid,
    /// The connection's own id.
    pub connection: &'a str,
    /// Who is there.
    pub people: &'a [(Uid, Present)],
    /// Messages that were stored and come next.
    pub stored: usize,
}

impl Welcome<'_> {
    /// Appends the frame that says so.
    pub fn write_frame(&self, at_ms: u64, out: &mut Vec<u8>) {
        let head = Head { topic: app_name(self.topic), sender: self.user.as_str(), store: false, at_ms };
        frame(out, "subscribed", head, |out| {
            let mut object = Object::begin(out);
            self.members(&mut object, "connectionId");
            object.end();
        });
    }

    /// Appends it as a result, with the messages themselves.
    pub fn write_result(&self, out: &mut Vec<u8>, messages: impl FnOnce(&mut Vec<u8>)) {
        let mut object = Object::begin(out);
        self.members(&mut object, "connection_id");
        let out = object.member("messages");
        out.push(b'[');
        messages(out);
        out.push(b']');
        object.end();
    }

    fn members(&self, object: &mut Object<'_>, connection: &str) {
        object.string(connection, self.connection);
        let mut people = Object::begin(object.member("users"));
        for (uid, present) in self.people {
            let mut person = Object::begin(people.member(uid.as_str()));
            present_members(&mut person, &present.name, &present.connections);
            person.end();
        }
        people.end();
        object.number("stored", self.stored as u64);
    }
}

/// Appends the frame of a refusal.
pub fn write_topic_error(topic: &str, reason: &str, detail: &str, at_ms: u64, out: &mut Vec<u8>) {
    frame(out, "error", Head { topic, sender: "", store: false, at_ms }, |out| {
        let mut object = Object::begin(out);
        object.word("reason", reason);
        object.string("detail", detail);
        object.end();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Realm;
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn frame_of(payload: &[u8]) -> Value {
        let publication = Publication {
            realm: Realm::Apps,
            topic: "conf/demo/topic/a/\"b\"".into(),
            payload: Bytes::copy_from_slice(payload),
            qos: 0,
            retain: false,
            expires_ms: u64::MAX,
            properties: None,
        };
        let mut out = Vec::new();
        write_publication(&publication, &Uid::parse("ann").unwrap(), false, 0, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn what_others_publish_is_made_fit() {
        let frame = frame_of(br#"{"action":"move","payload":{"x":[1]}}"#);
        let timestamp = "1970-01-01T00:00:00.000Z";
        assert_eq!(
            frame,
            json!({"type": "move", "topic": "a/\"b\"", "sender": "ann", "store": false, "timestamp": timestamp, "payload": {"x": [1]}})
        );
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        for (payload, kind, said) in [
            (&br#"{"action":"m\u00f6ve"}"#[..], "m\u{f6}ve", Value::Null),
            (br#"{"action":"subscriber","payload":{}}"#, "message", json!({"action": "subscriber", "payload": {}})),
            (br#"{"action":"move","payload":1,"sender":"eve"}"#, "message", json!({"action": "move", "payload": 1, "sender": "eve"})),
            (br#"{"action":7}"#, "message", json!({"action": 7})),
            (b" 21.5 ", "message", json!(21.5)),
            (b"text \"quoted\"", "message", json!("text \"quoted\"")),
            (b"", "message", json!("")),
            (b"\xff\x00", "message", json!({"base64": "/wA="})),
            (deep.as_bytes(), "message", json!(deep)),
        ] {
            let frame = frame_of(payload);
            assert_eq!((frame["type"].as_str(), &frame["payload"]), (Some(kind), &said), "{payload:?}");
        }
    }

    proptest! {
        /// Whatever is published, it is one frame, of its publisher, and never one of the server's own.
        #[test]
        fn nobody_speaks_for_the_server(payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}\",:\\\\a-z0-9 ]{0,60}".prop_map(String::into_bytes),
            ("(subscribe|subscribed|subscriber|unsubscriber|error|move|)", any::<i32>())
                .prop_map(|(action, payload)| json!({"action": action, "payload": payload}).to_string().into_bytes()),
        ]) {
            let frame = frame_of(&payload);
            prop_assert!(is_action(frame["type"].as_str().unwrap()));
            prop_assert_eq!(frame["sender"].as_str(), Some("ann"));
            prop_assert_eq!(frame.as_object().unwrap().len(), 6);
        }
    }
}
