//! Hallway's own: `{"badge": "04A1B2C3", "id": "…", "at": "2026-11-20T18:00:00Z", "direction": "enter"}`, an array of them from a reader that was
//! offline, and `{"status": "online"}`.

use hallway_broker::edges::Reading;
use hallway_broker::model::Tap;
use serde_json::Value;

use super::seen;
use super::time::when;

/// A tap, or the reader's status.
pub fn read(value: &Value) -> Option<Reading> {
    if let Some(badge) = value.get("badge") {
        return tap(value, badge).map(|tap| Reading::Taps(vec![tap]));
    }
    let online = match value.get("status")?.as_str()? {
        "online" => true,
        "offline" => false,
        _ => return None,
    };
    Some(seen::health(online, value.get("detail").and_then(Value::as_str).unwrap_or_default()))
}

fn tap(value: &Value, badge: &Value) -> Option<Tap> {
    let tap = seen::value(badge)?;
    let id = value.get("id").and_then(seen::word);
    let direction = value.get("direction").and_then(Value::as_str).and_then(seen::direction);
    let tap = Tap { direction, ..seen::timed(tap, value.get("at").and_then(when).as_ref(), &[]) };
    Some(match id {
        Some(id) if !id.is_empty() => Tap { id: seen::own_id(&id).into(), ..tap },
        _ => tap,
    })
}
