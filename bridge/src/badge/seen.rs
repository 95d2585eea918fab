//! What a tap is made of: the code as the reader wrote it, when, and an id that a repeated upload has again.

use data_encoding::BASE32_NOPAD;
use hallway_broker::edges::Reading;
use hallway_broker::limits::MAX_SHOWN_BYTES;
use hallway_broker::model::{BadgeCode, Direction, Tap};
use ring::digest::{Context, SHA256};
use serde_json::Value;

use super::time::When;

/// Longest id of a reader that is kept as it is, in bytes; of a longer one its hash is.
const ID_BYTES_MAX: usize = 64;
/// Bytes of a hash that are its name: enough that two never meet in a week.
const HASH_BYTES: usize = 15;
/// Most characters of a reader's words about itself.
const DETAIL_CHARS_MAX: usize = 120;

/// A tap of what the reader wrote as text.
pub fn text(shown: &str) -> Option<Tap> {
    tap(shown, BadgeCode::candidates(shown))
}

/// A tap of a value that is a text or a whole number.
pub fn value(shown: &Value) -> Option<Tap> {
    text(&word(shown)?)
}

/// A tap of a code that means these.
pub fn tap(shown: &str, codes: Vec<BadgeCode>) -> Option<Tap> {
    let is_one = !codes.is_empty() && shown.len() <= MAX_SHOWN_BYTES;
    is_one.then(|| Tap { shown: shown.into(), codes, at_ms: 0, id: "".into(), direction: None })
}

/// The tap at a time of the reader's clock. A repeated upload has the same time, code and counters again, so these are its id; counters alone begin anew
/// when the reader restarts, and so does a clock that was never set.
pub fn timed(tap: Tap, when: Option<&When>, counters: &[Option<&Value>]) -> Tap {
    let Some(when) = when else { return tap };
    let mut parts = vec![when.mark.clone(), tap.shown.to_string()];
    parts.extend(counters.iter().map(|counter| counter.map(Value::to_string).unwrap_or_default()));
    Tap { at_ms: when.at_ms, id: hash(&parts).into(), ..tap }
}

/// The reader's own id, short.
pub fn own_id(id: &str) -> String {
    if id.len() <= ID_BYTES_MAX { id.to_owned() } else { hash(&[id.to_owned()]) }
}

fn hash(parts: &[String]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    BASE32_NOPAD.encode(&context.finish().as_ref()[..HASH_BYTES]).to_ascii_lowercase()
}

/// A text, or a whole number in decimal. A number with a fraction, or one that JSON has rounded, is no code.
pub fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        _ => None,
    }
}

/// What stands for an element of a batch that is no scan: it has no code, so that it is told as malformed, and its id if it has one.
pub fn malformed(id: Option<&Value>) -> Tap {
    let id = id.and_then(word).map(|id| own_id(&id)).unwrap_or_default();
    Tap { shown: "".into(), codes: Vec::new(), at_ms: 0, id: id.into(), direction: None }
}

/// The taps of a batch, with what stands for those that are none; `None` when all are none.
pub fn batch(taps: impl Iterator<Item = Result<Tap, Tap>>) -> Option<Vec<Tap>> {
    let taps: Vec<_> = taps.collect();
    let is_batch = taps.is_empty() || taps.iter().any(Result::is_ok);
    is_batch.then(|| taps.into_iter().map(|tap| tap.unwrap_or_else(|malformed| malformed)).collect())
}

/// How the reader is.
pub fn health(online: bool, detail: &str) -> Reading {
    let detail: String = detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect();
    Reading::Health { online, detail: detail.into() }
}

/// Which way, in the words that readers use.
pub fn direction(word: &str) -> Option<Direction> {
    match word.trim().to_ascii_lowercase().as_str() {
        "enter" | "entry" | "in" => Some(Direction::Enter),
        "exit" | "leave" | "out" => Some(Direction::Exit),
        _ => None,
    }
}
