//! What a service tells people: an event of its own, to those of them who are connected by Socket.IO. Nothing is stored.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::model::{UserRole, Via};
use hallway_broker::reject::Reason;
use hallway_broker::session::{Who, blocking};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::crowd;
use super::packet::{self, MAX_EVENT_BYTES};
use super::shapes::write;
use crate::rpc::Fault;
use crate::types::{conversation_id, user_id};

/// People told at once, at most.
const MAX_USERS: usize = 10_000;
/// Names that the protocol or this server has for itself.
const RESERVED: &[&str] = &[
    "connect",
    "connect_error",
    "connect_timeout",
    "connecting",
    "connections",
    "disconnect",
    "disconnected",
    "disconnecting",
    "error",
    "message",
    "newListener",
    "notification",
    "ping",
    "pong",
    "reconnect",
    "reconnect_attempt",
    "reconnect_error",
    "reconnect_failed",
    "reconnecting",
    "removeListener",
    "typing",
    "users",
    "welcome",
];

/// The body of the request: to one user, some, or the members of a conversation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    user_id: Option<String>,
    users: Option<Vec<String>>,
    conversation: Option<String>,
    event: String,
    payload: Option<Box<RawValue>>,
}

/// Tells it; how many connections are given it.
pub(crate) async fn notify(hub: &Arc<Hub>, who: &Who, wanted: Notify) -> Result<usize, Fault> {
    let (conf, uid) = (who.conf, &who.uid);
    let role = hub.reader().user(conf, uid).map_err(hallway_broker::reject::Reject::from)?.map(|user| user.role);
    if role != Some(UserRole::Service) {
        return Err(Reason::NotAllowed.into());
    }
    let frame = wanted.frame()?;
    let users = wanted.users(hub, conf).await?;
    let mut by_shard: HashMap<u16, Vec<(u32, u64)>> = HashMap::new();
    for user in &users {
        for (shard, slot, id) in hub.sessions().by_protocol(conf, user, Via::Socketio) {
            by_shard.entry(shard).or_default().push((slot, id));
        }
    }
    let count = by_shard.values().map(Vec::len).sum();
    for (shard, members) in by_shard {
        let frame = frame.clone();
        hub.run_on_shard(shard, Box::new(move |shard| crowd::send(shard, &members, &frame)));
    }
    Ok(count)
}

impl Notify {
    fn frame(&self) -> Result<Bytes, Fault> {
        let event = self.event.as_str();
        if event.is_empty() || event.len() > MAX_EVENT_BYTES || event.chars().any(char::is_control) {
            return Err(Fault::invalid_params(format_args!("event has 1 to {MAX_EVENT_BYTES} bytes")));
        }
        if RESERVED.binary_search(&event).is_ok() {
            return Err(Reason::Reserved.into());
        }
        let mut frame = Vec::new();
        packet::frame("42[", &mut frame, |out| {
            write(&event, out);
            if let Some(payload) = &self.payload {
                out.push(b',');
                out.extend_from_slice(payload.get().as_bytes());
            }
            out.push(b']');
        });
        Ok(frame.into())
    }

    async fn users(&self, hub: &Arc<Hub>, conf: ConfNo) -> Result<Vec<Uid>, Fault> {
        match (&self.user_id, &self.users, &self.conversation) {
            (Some(user), None, None) => Ok(vec![user_id(user)?]),
            (None, Some(users), None) if users.len() > MAX_USERS => Err(Reason::TooManyMembers.into()),
            (None, Some(users), None) => users.iter().map(|user| user_id(user)).collect(),
            (None, None, Some(conversation)) => members(hub, conf, conversation_id(conversation)?).await,
            _ => Err(Fault::invalid_params("one of userId, users and conversation")),
        }
    }
}

async fn members(hub: &Arc<Hub>, conf: ConfNo, id: ConversationId) -> Result<Vec<Uid>, Fault> {
    let reader = hub.reader().clone();
    let read = blocking(move || {
        let found = reader.conversation(conf, &id)?.ok_or(Reason::UnknownConversation)?;
        let mut uids: Vec<Uid> = Vec::new();
        while uids.len() < MAX_USERS {
            let (page, complete) = reader.members(&found, uids.last(), MAX_PAGE)?;
            uids.extend(page.into_iter().map(|member| member.uid));
            if complete {
                break;
            }
        }
        Ok(uids)
    });
    Ok(read.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(event: &str) -> Notify {
        serde_json::from_value(serde_json::json!({"userId": "bob", "event": event, "payload": {"a": 1}})).unwrap()
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn an_event_has_a_name_of_its_own() {
        let frame = wanted("call \"now\"").frame().unwrap();
        assert_eq!(super::super::wire::texts(&frame).collect::<String>(), r#"42["call \"now\"",{"a":1}]"#);
        for (event, reason) in [("message", "reserved"), ("connect_error", "reserved"), ("", "invalid_params"), ("a\nb", "invalid_params")]
        {
            assert_eq!(wanted(event).frame().unwrap_err().reason, reason, "{event:?}");
        }
    }
}
