//! What a push says, as JSON: to a web app, and to a URL of the user's own.

use hallway_broker::canonical::write_time;
use hallway_broker::push::gateway::Push;
use serde::Serialize;

use super::fit::{beginning, fit};

/// Most bytes of a push's title.
const MAX_TITLE_BYTES: usize = 200;
/// Most bytes of a webhook's body: a text of the greatest length, escaped.
const MAX_WEBHOOK_BYTES: usize = 512 * 1024;

/// What a web app's service worker is told.
#[derive(Serialize)]
struct ForApp<'p> {
    conference: &'p str,
    conversation: &'p str,
    kind: &'static str,
    seq: u64,
    id: &'p str,
    from: &'p str,
    title: &'p str,
    text: &'p str,
    unread: u64,
    badge: u64,
    collapse: &'p str,
    mentions: bool,
    ts: &'p str,
}

/// What a URL of the user's own is told.
#[derive(Serialize)]
struct ForWebhook<'p> {
    conference: &'p str,
    user: &'p str,
    conversation: &'p str,
    seq: u64,
    id: &'p str,
    from: &'p str,
    title: &'p str,
    text: &'p str,
    unread: u64,
    collapse: &'p str,
}

/// The title, within its bound.
#[must_use]
pub fn title(push: &Push) -> &str {
    beginning(&push.title, MAX_TITLE_BYTES)
}

/// When the message was sent (RFC 3339).
#[must_use]
pub fn time(push: &Push) -> String {
    let mut quoted = Vec::new();
    write_time(push.ts_ms, &mut quoted);
    String::from_utf8_lossy(&quoted).trim_matches('"').to_owned()
}

/// For a web app: of so many bytes at most, whatever the text.
#[must_use]
pub fn for_app(push: &Push, most: usize) -> Option<Vec<u8>> {
    let ts = time(push);
    fit(&push.text, most, |text| {
        json(&ForApp {
            conference: push.conference.as_str(),
            conversation: push.conversation.as_str(),
            kind: push.kind.word(),
            seq: push.seq,
            id: &push.id,
            from: &push.from,
            title: title(push),
            text,
            unread: push.unread,
            badge: push.badge,
            collapse: &push.collapse,
            mentions: push.mentions,
            ts: &ts,
        })
    })
}

/// For a URL of the user's own.
#[must_use]
pub fn for_webhook(push: &Push) -> Option<Vec<u8>> {
    fit(&push.text, MAX_WEBHOOK_BYTES, |text| {
        json(&ForWebhook {
            conference: push.conference.as_str(),
            user: push.user.as_str(),
            conversation: push.conversation.as_str(),
            seq: push.seq,
            id: &push.id,
            from: &push.from,
            title: title(push),
            text,
            unread: push.unread,
            collapse: &push.collapse,
        })
    })
}

/// The JSON of what can always be written as such.
#[must_use]
pub fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Text keys and no maps of other kinds: it cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}
