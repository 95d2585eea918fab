//! Home Assistant's tags: the id alone, as a tag scanner's value template makes it, `{"tag_id": …}`, or the event `tag_scanned` of an event stream.

use hallway_broker::edges::Reading;
use serde_json::Value;

use super::seen;
use super::time::when;

/// What its app writes to a tag.
const TAG_URL: &str = "https://www.home-assistant.io/tag/";

/// A scanned tag; other events are nothing.
pub fn read(value: &Value) -> Option<Reading> {
    let data = value.get("event_data").or_else(|| value.get("data")).unwrap_or(value);
    let Some(tag) = data.get("tag_id").and_then(Value::as_str) else {
        return value.get("event_type").map(|_| Reading::Nothing);
    };
    let time = value.get("time_fired").and_then(when);
    Some(Reading::Taps(vec![seen::timed(seen::text(bare(tag))?, time.as_ref(), &[])]))
}

/// The id alone.
pub fn read_text(text: &str) -> Option<Reading> {
    seen::text(bare(text)).map(|tap| Reading::Taps(vec![tap]))
}

fn bare(tag: &str) -> &str {
    tag.strip_prefix(TAG_URL).unwrap_or(tag)
}
