//! A row of `GET /api/conversations`.

use hallway_broker::ids::EventIds;
use hallway_broker::reader::Listed;
use serde::Serialize;

use super::frame::Frame;

/// Where somebody stands with a conversation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    /// Its id, twice, since clients know it by either name.
    id: &'a str,
    conversation: &'a str,
    kind: &'static str,
    title: &'a str,
    members: u32,
    member: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// As its own WebSocket would have said it; null when there is none among the newest events.
    last_message: Option<Frame<'a>>,
    seq: u64,
    read: u64,
    unread: u64,
    muted: bool,
}

impl<'a> Row<'a> {
    /// The row of a conversation.
    #[must_use]
    pub fn of(listed: &'a Listed, ids: &EventIds, now_ms: u64) -> Self {
        let id = listed.found.id.as_str();
        Self {
            id,
            conversation: id,
            kind: listed.found.record.kind.word(),
            title: &listed.found.record.title,
            members: listed.found.record.members,
            member: listed.role.is_some(),
            role: listed.role.map(hallway_broker::model::MemberRole::word),
            last_message: listed.last.as_ref().map(|event| Frame::of(event, ids)),
            seq: listed.head.seq,
            read: listed.read,
            unread: listed.unread,
            muted: listed.attention.is_muted(now_ms),
        }
    }
}
