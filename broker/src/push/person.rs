//! Somebody whom a message may concern: what the store and the sessions know of them.

use super::decide::{Facts, When, Why, decide};
use crate::hub::Hub;
use crate::ids::Uid;
use crate::model::{Attention, Body, Event, PushSettings, Target, TargetId};
use crate::state::StateError;
use crate::view::Found;

/// See the module's text.
pub(super) struct Person {
    pub uid: Uid,
    pub targets: Vec<(TargetId, Target)>,
    pub settings: PushSettings,
    attention: Attention,
    is_member: bool,
    read_seq: u64,
    last_active_ms: Option<u64>,
}

impl Person {
    /// A user in front of a conversation; `None` for who is reached nowhere.
    pub(super) fn find(hub: &Hub, found: &Found, uid: &Uid) -> Result<Option<Self>, StateError> {
        let (reader, conf) = (hub.reader(), found.conf);
        let targets = reader.targets(conf, uid)?;
        if targets.is_empty() || reader.user(conf, uid)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            uid: uid.clone(),
            targets,
            settings: reader.push_settings(conf, uid)?,
            attention: reader.attention(conf, found.record.no, uid)?,
            is_member: reader.standing(found, uid)?.is_some_and(|standing| standing.role().is_some()),
            read_seq: reader.read_mark(found, uid)?.seq,
            last_active_ms: hub.sessions().last_active_ms(conf, uid),
        }))
    }

    /// Whether they are named in a message.
    pub(super) fn is_named_in(&self, event: &Event) -> bool {
        let Body::Message(message) = &event.entry.body else { return false };
        message.mentions.iter().any(|mention| &**mention == "*" || **mention == *self.uid.as_str())
    }

    /// Whether they are to be pushed a message, and when; who did something since `since_ms` is there.
    pub(super) fn decide(&self, hub: &Hub, event: &Event, now_ms: u64, since_ms: u64) -> Result<Result<When, Why>, StateError> {
        let is_deleted = match &event.entry.body {
            Body::Message(message) => message.deleted.is_some(),
            _ => true,
        };
        let facts = Facts {
            kind: event.place.kind,
            is_member: self.is_member,
            is_author: event.entry.from == self.uid || event.entry.announces(&self.uid),
            is_deleted,
            has_read: self.read_seq >= event.place.seq,
            names_them: self.is_named_in(event),
            attention: self.attention,
            settings: &self.settings,
            last_active_ms: self.last_active_ms,
        };
        let when = match decide(&facts, now_ms, since_ms) {
            Ok(when) => when,
            Err(why) => return Ok(Err(why)),
        };
        // Looked at last, since it is rare.
        let blocked = hub.reader().block_between(event.place.conf, &self.uid, &event.entry.from)?;
        Ok(if blocked.is_some() { Err(Why::Blocked) } else { Ok(when) })
    }
}
