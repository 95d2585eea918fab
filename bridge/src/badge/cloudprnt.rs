//! Star's CloudPRNT printers with a barcode scanner: `"barcodeReader": [{"name", "status", "scan": [{"data": "<base64>"}]}]` in what they send
//! at each poll, or the scans alone. They have no clock and no ids.

use data_encoding::BASE64;
use hallway_broker::edges::Reading;
use hallway_broker::model::{BadgeCode, Tap};
use serde_json::Value;

use super::seen;

/// A poll or a `client-status` message.
pub fn read(value: &Value) -> Option<Reading> {
    if value.get("title").and_then(Value::as_str) == Some("client-will") {
        return Some(seen::health(false, "client-will"));
    }
    let mut readers = vec![value];
    match value.get("barcodeReader") {
        Some(Value::Array(several)) => readers.extend(several),
        Some(reader) => readers.push(reader),
        None => {}
    }
    let scans = readers.iter().filter_map(|reader| reader.get("scan")?.as_array()).flatten();
    let taps = seen::batch(scans.map(|scan| tap(scan).ok_or_else(|| seen::malformed(None))))?;
    if !taps.is_empty() {
        return Some(Reading::Taps(taps));
    }
    let status = value.get("statusCode").and_then(Value::as_str);
    status.map(|status| seen::health(true, status)).or_else(|| value.get("scan").map(|_| Reading::Nothing))
}

fn tap(scan: &Value) -> Option<Tap> {
    let bytes = BASE64.decode(scan.get("data")?.as_str()?.as_bytes()).ok()?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => seen::text(text.trim_matches(|c: char| c.is_whitespace() || c.is_control())),
        Err(_) => seen::tap(scan.get("data")?.as_str()?, BadgeCode::of_chip(&bytes)),
    }
}
