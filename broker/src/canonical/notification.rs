//! JSON-RPC notifications: what the server tells without being asked.

use crate::ids::EventIds;
use crate::model::{Body, Event, Signal};

use super::{Object, write_event, write_topic_event, write_topic_signal};

/// The notification's method for an event.
#[must_use]
pub fn event_method(body: &Body) -> &'static str {
    match body {
        Body::Message(_) => "message",
        Body::Member { .. } => "member",
        Body::Notice(_) => "notice",
        Body::Publication(_) | Body::Stored(_) => "topic",
        Body::Edit { .. } | Body::Delete { .. } | Body::React { .. } | Body::Settings { .. } => "event",
    }
}

/// Appends a notification, its params written by `params`.
pub(super) fn notification(method: &str, out: &mut Vec<u8>, params: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":");
    params(out);
    out.push(b'}');
}

/// Appends what an event's notification has as params.
pub fn write_event_params(event: &Event, ids: &EventIds, out: &mut Vec<u8>) {
    match &event.entry.body {
        Body::Publication(publication) | Body::Stored(publication) => write_topic_event(event, publication, out),
        _ => write_event(event, ids, out),
    }
}

/// Appends an event's notification.
pub fn write_event_notification(event: &Event, ids: &EventIds, out: &mut Vec<u8>) {
    notification(event_method(&event.entry.body), out, |out| write_event_params(event, ids, out));
}

/// Appends a signal: what its notification's params are.
pub fn write_signal(signal: &Signal, out: &mut Vec<u8>) {
    if matches!(signal, Signal::Published { .. } | Signal::Gathered { .. }) {
        return write_topic_signal(signal, out);
    }
    let mut object = Object::begin(out);
    match signal {
        Signal::Typing { conversation, from, name, on } => {
            object.word("conversation", conversation.as_str());
            object.word("from", from.as_str());
            object.string("name", name);
            object.bool("on", *on);
        }
        Signal::Read { conversation, from, seq } => {
            object.word("conversation", conversation.as_str());
            object.word("from", from.as_str());
            object.number("seq", *seq);
        }
        Signal::Presence { user, name, status, text } => {
            object.word("user", user.as_str());
            object.string("name", name);
            object.word("status", status.word());
            if !text.is_empty() {
                object.string("text", text);
            }
        }
        Signal::Published { .. } | Signal::Gathered { .. } => {}
    }
    object.end();
}

/// The notification's method for a signal.
#[must_use]
pub fn signal_method(signal: &Signal) -> &'static str {
    match signal {
        Signal::Typing { .. } => "typing",
        Signal::Read { .. } => "read",
        Signal::Presence { .. } => "presence",
        Signal::Published { .. } | Signal::Gathered { .. } => "topic",
    }
}

/// Appends a signal's notification.
pub fn write_signal_notification(signal: &Signal, out: &mut Vec<u8>) {
    notification(signal_method(signal), out, |out| write_signal(signal, out));
}

/// What a session is told about itself; not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionNotice {
    /// The server stops: connect again after this time.
    Draining {
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// Another session of the user closed this one.
    SessionClosed,
    /// The account has signed out everywhere, or is gone.
    SessionEnded,
}

/// Appends a session's notice.
pub fn write_session_notice(notice: SessionNotice, out: &mut Vec<u8>) {
    notification("notice", out, |out| write_session_notice_params(notice, out));
}

/// Appends what a session is told about itself: what its notice's params are.
pub fn write_session_notice_params(notice: SessionNotice, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.word("kind", "notice");
    match notice {
        SessionNotice::Draining { retry_after_ms } => {
            object.word("reason", "draining");
            object.number("retry_after_ms", retry_after_ms);
        }
        SessionNotice::SessionClosed => object.word("reason", "session_closed"),
        SessionNotice::SessionEnded => object.word("reason", "session_ended"),
    }
    object.end();
}
