//! Places: what of Hallway a topic name means, and the names of places. Reader and writers stand in one file because each must undo
//! the other.

use crate::ids::{ConversationId, Uid};

/// What a topic name means to a client of one conference, whatever the client may do there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// `chat/<conversation>`: messages.
    Message(ConversationId),
    /// `chat/<conversation>/event`: edits, deletions, reactions and the other durable events.
    Events(ConversationId),
    /// `chat/<conversation>/typing`.
    Typing(ConversationId),
    /// `chat/<conversation>/read`: read markers.
    Read(ConversationId),
    /// `presence/<uid>`.
    Presence(Uid),
    /// `user/<uid>/inbox`.
    Inbox(Uid),
    /// `rpc`: requests.
    Rpc,
    /// `user/<uid>/rpc`: answers to clients that cannot name a response topic.
    RpcAnswer(Uid),
    /// `topic/<name…>`: the apps' own.
    Generic,
    /// `badge/<reader>/scan`.
    BadgeScan(Uid),
    /// `badge/<reader>/result`.
    BadgeResult(Uid),
    /// `$SYS` and what is under it: the server about itself.
    Sys,
    /// Neither under `conf` nor beginning with `$`: only for a plain broker.
    Plain,
    /// Another conference's.
    Foreign,
    /// Nothing of ours: something else under this conference, `conf` itself, or another `$` topic.
    Unknown,
}

/// What `name` means to a client of `conference`. The name is taken as checked.
#[must_use]
pub fn place(conference: &str, name: &str) -> Place {
    let (root, rest) = name.split_once('/').unwrap_or((name, ""));
    match root {
        "conf" => {}
        "$SYS" => return Place::Sys,
        _ if root.starts_with('$') => return Place::Unknown,
        _ => return Place::Plain,
    }
    match rest.split_once('/') {
        Some((whose, inside)) if whose == conference => inside_conference(inside).unwrap_or(Place::Unknown),
        Some(_) => Place::Foreign,
        None if rest.is_empty() || rest == conference => Place::Unknown,
        None => Place::Foreign,
    }
}

/// What the part of a name after `conf/<conference>/` means.
fn inside_conference(inside: &str) -> Option<Place> {
    if inside == "rpc" {
        return Some(Place::Rpc);
    }
    let (branch, rest) = inside.split_once('/')?;
    let (id, leaf) = rest.split_once('/').map_or((rest, None), |(id, leaf)| (id, Some(leaf)));
    let uid = || Uid::parse(id).ok();
    match (branch, leaf) {
        ("chat", leaf) => in_chat(ConversationId::parse(id).ok()?, leaf),
        ("presence", None) => uid().map(Place::Presence),
        ("user", Some("inbox")) => uid().map(Place::Inbox),
        ("user", Some("rpc")) => uid().map(Place::RpcAnswer),
        ("badge", Some("scan")) => uid().map(Place::BadgeScan),
        ("badge", Some("result")) => uid().map(Place::BadgeResult),
        ("topic", _) if !rest.is_empty() => Some(Place::Generic),
        _ => None,
    }
}

fn in_chat(conversation: ConversationId, leaf: Option<&str>) -> Option<Place> {
    Some(match leaf {
        None => Place::Message(conversation),
        Some("event") => Place::Events(conversation),
        Some("typing") => Place::Typing(conversation),
        Some("read") => Place::Read(conversation),
        Some(_) => return None,
    })
}

fn write(out: &mut String, conference: &str, branch: &str, id: &str, leaf: &str) {
    for part in ["conf/", conference, branch, id, leaf] {
        out.push_str(part);
    }
}

/// Appends the name under which a conversation's messages are published.
pub fn message_topic(out: &mut String, conference: &str, conversation: &ConversationId) {
    write(out, conference, "/chat/", conversation.as_str(), "");
}

/// Appends the name of a conversation's other durable events.
pub fn event_topic(out: &mut String, conference: &str, conversation: &ConversationId) {
    write(out, conference, "/chat/", conversation.as_str(), "/event");
}

/// Appends the name of a conversation's typing signals.
pub fn typing_topic(out: &mut String, conference: &str, conversation: &ConversationId) {
    write(out, conference, "/chat/", conversation.as_str(), "/typing");
}

/// Appends the name of a conversation's read markers.
pub fn read_topic(out: &mut String, conference: &str, conversation: &ConversationId) {
    write(out, conference, "/chat/", conversation.as_str(), "/read");
}

/// Appends the name of a user's presence.
pub fn presence_topic(out: &mut String, conference: &str, user: &Uid) {
    write(out, conference, "/presence/", user.as_str(), "");
}

/// Appends the name of a user's inbox.
pub fn inbox_topic(out: &mut String, conference: &str, user: &Uid) {
    write(out, conference, "/user/", user.as_str(), "/inbox");
}

/// Appends the name under which a user's 3.1.1 clients get the answers to their requests.
pub fn rpc_answer_topic(out: &mut String, conference: &str, user: &Uid) {
    write(out, conference, "/user/", user.as_str(), "/rpc");
}

/// Appends the name of an app's topic; `name` is not empty and without wildcards.
pub fn generic_topic(out: &mut String, conference: &str, name: &str) {
    write(out, conference, "/topic/", name, "");
}

/// The application's own part of the name of one of its topics; of another, all of it.
#[must_use]
pub fn app_name(topic: &str) -> &str {
    let inside = topic.strip_prefix("conf/").and_then(|rest| rest.split_once('/'));
    inside.and_then(|(_, inside)| inside.strip_prefix("topic/")).unwrap_or(topic)
}

/// Appends the name of a badge reader's scans.
pub fn badge_scan_topic(out: &mut String, conference: &str, reader: &Uid) {
    write(out, conference, "/badge/", reader.as_str(), "/scan");
}

/// Appends the name of the results that a badge reader is told.
pub fn badge_result_topic(out: &mut String, conference: &str, reader: &Uid) {
    write(out, conference, "/badge/", reader.as_str(), "/result");
}
