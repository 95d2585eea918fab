//! Impinj's IoT device interface (R700, R720): an event per message, or several in an array. The EPC is in hexadecimal, in base64 or base64url, as
//! the preset says; times have nine digits.

use data_encoding::{BASE64, BASE64URL};
use hallway_broker::badges::CANDIDATES_MAX;
use hallway_broker::edges::Reading;
use hallway_broker::model::{BadgeCode, Tap};
use serde_json::Value;

use super::seen;
use super::time::when;

/// An event.
pub fn read(value: &Value) -> Option<Reading> {
    if let Some(event) = value.get("tagInventoryEvent") {
        return tap(value, event).map(|tap| Reading::Taps(vec![tap]));
    }
    let kind = value.get("eventType")?.as_str()?;
    let Some(status) = value.get("inventoryStatusEvent").and_then(|event| event.get("inventoryStatus")).and_then(Value::as_str) else {
        // Antennas, temperatures, what it was told to do.
        return value.get(format!("{kind}Event")).map(|_| Reading::Nothing);
    };
    Some(seen::health(!matches!(status, "idle" | "stopped"), status))
}

fn tap(value: &Value, event: &Value) -> Option<Tap> {
    let (shown, mut codes) = number(event, "epcHex", "epc")?;
    // Whoever gave the badge out may have typed the chip's own number instead.
    codes.extend(number(event, "tidHex", "tid").map(|(_, codes)| codes).unwrap_or_default());
    codes.truncate(CANDIDATES_MAX);
    let tap = seen::tap(shown, codes)?;
    let when = event.get("lastSeenTime").or_else(|| value.get("timestamp")).and_then(when);
    Some(seen::timed(tap, when.as_ref(), &[event.get("antennaPort")]))
}

/// A number of the tag by either of its members.
fn number<'v>(event: &'v Value, hex: &str, base64: &str) -> Option<(&'v str, Vec<BadgeCode>)> {
    if let Some(shown) = event.get(hex).and_then(Value::as_str) {
        return Some((shown, BadgeCode::candidates(shown)));
    }
    let shown = event.get(base64)?.as_str()?;
    let padding = "=".repeat(shown.len().wrapping_neg() % 4);
    let padded = format!("{shown}{padding}");
    let bytes = BASE64.decode(padded.as_bytes()).or_else(|_| BASE64URL.decode(padded.as_bytes())).ok()?;
    Some((shown, BadgeCode::of_chip(&bytes)))
}
