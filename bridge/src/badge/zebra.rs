//! Zebra's readers: fixed ones with the IoT Connector (FX7500, FX9600), an event per tag, and sleds (RFD40, RFD90), which send batches of tags
//! and barcodes. Both count events from 1 after each start.

use hallway_broker::edges::Reading;
use hallway_broker::model::Tap;
use serde_json::Value;

use super::seen;
use super::time::{When, when};

/// A fixed reader's: `{"data": {"idHex": …, "eventNum": 7, …}, "timestamp": …, "type": "SIMPLE"}`.
pub fn read_fx(value: &Value) -> Option<Reading> {
    let time = value.get("timestamp")?;
    if let Some(id) = value.get("data").and_then(|data| data.get("idHex")) {
        let counter = value.pointer("/data/eventNum").or_else(|| value.get("eventNum"));
        let tap = seen::timed(seen::value(id)?, when(time).as_ref(), &[counter]);
        return Some(Reading::Taps(vec![tap]));
    }
    value.get("component")?;
    Some(match value.get("type")?.as_str()? {
        "heartbeat" => seen::health(true, "heartbeat"),
        _ => Reading::Nothing,
    })
}

/// A sled's: `{"data": {"tagData": […], "barcodeData": […]}, "timestamp": …, "type": …}`, its birth, last will, heartbeat and alerts.
pub fn read_rfd(value: &Value) -> Option<Reading> {
    if let Some(state) = value.get("connectionState").and_then(Value::as_str) {
        return Some(seen::health(state == "CONNECTED", state));
    }
    if value.get("eventName").and_then(Value::as_str) == Some("heartbeat") {
        return Some(seen::health(true, "heartbeat"));
    }
    let data = value.get("data").and_then(Value::as_object);
    let Some(data) = data.filter(|data| data.contains_key("tagData") || data.contains_key("barcodeData")) else {
        let is_alert = ["type", "id", "state", "priority"].iter().all(|member| value.get(member).is_some());
        return is_alert.then_some(Reading::Nothing);
    };
    let when = value.get("timestamp").and_then(when);
    let records = |member: &str| data.get(member).and_then(Value::as_array).into_iter().flatten();
    let tags = records("tagData").map(|tag| record(tag, &["EPCid", "EPCId", "epcId", "TID"], when.as_ref()));
    let barcodes = records("barcodeData").map(|code| record(code, &["decodedBarcode"], when.as_ref()));
    seen::batch(tags.chain(barcodes).map(|tap| tap.ok_or_else(|| seen::malformed(None)))).map(Reading::Taps)
}

fn record(record: &Value, members: &[&str], when: Option<&When>) -> Option<Tap> {
    let code = members.iter().find_map(|member| record.get(member))?;
    Some(seen::timed(seen::value(code)?, when, &[record.get("eventNum")]))
}
