//! What a push says, as JSON: to a web app, and to a URL of the user's own.

use hallway_broker::canonical::time_text;
use hallway_broker::limits::beginning;
use hallway_broker::push::gateway::Push;
use serde::Serialize;
use serde_json::Value;

use super::fit::fit;

/// Most bytes of a push's title.
const MAX_TITLE_BYTES: usize = 200;
/// Most bytes of a webhook's body: a text of the greatest length, escaped.
const MAX_WEBHOOK_BYTES: usize = 512 * 1024;

/// Where the message is; left out where nobody is led there.
#[derive(Serialize)]
struct At<'p> {
    conversation: &'p str,
    seq: u64,
    id: &'p str,
}

/// What a web app's service worker is told.
#[derive(Serialize)]
struct ForApp<'p> {
    conference: &'p str,
    #[serde(flatten)]
    at: Option<At<'p>>,
    kind: &'static str,
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
    #[serde(flatten)]
    at: Option<At<'p>>,
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

fn at(push: &Push) -> Option<At<'_>> {
    push.at.as_ref().map(|at| At { conversation: at.conversation.as_str(), seq: at.seq, id: &at.id })
}

/// Adds to an object where the message is, when somebody is to be led there.
#[must_use]
pub fn leading(push: &Push, mut object: Value, number: impl Fn(u64) -> Value) -> Value {
    if let Some(at) = at(push) {
        object["conversation"] = at.conversation.into();
        object["seq"] = number(at.seq);
        object["id"] = at.id.into();
    }
    object
}

/// By what a phone keeps pushes together: the conversation, or a word that stands for it.
#[must_use]
pub fn thread(push: &Push) -> &str {
    push.at.as_ref().map_or(&*push.collapse, |at| at.conversation.as_str())
}

/// When the message was sent (RFC 3339).
#[must_use]
pub fn time(push: &Push) -> String {
    time_text(push.ts_ms)
}

/// For a web app: of so many bytes at most, whatever the text.
#[must_use]
pub fn for_app(push: &Push, most: usize) -> Option<Vec<u8>> {
    let ts = time(push);
    fit(&push.text, most, |text| {
        json(&ForApp {
            conference: push.conference.as_str(),
            at: at(push),
            kind: push.kind.word(),
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
            at: at(push),
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
