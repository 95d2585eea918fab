//! SpringCard's SpringCore readers: `springcard/springcore/{id}/rdr/evt`, and `…/meta` when they connect. `Sequence` and `Uptime` begin anew when
//! they restart; only those with a clock tell `DateTime`.

use hallway_broker::edges::Reading;
use serde_json::Value;

use super::seen;
use super::time::when;

/// A reader event, or its meta-data.
pub fn read(value: &Value) -> Option<Reading> {
    let Some(tag) = value.get("TagId") else {
        value.get("VendorName")?;
        let product = value.get("ProductName").and_then(Value::as_str).unwrap_or_default();
        return Some(seen::health(true, product));
    };
    value.get("Interface").or_else(|| value.get("Sequence"))?;
    let movement = value.get("Move").or_else(|| value.get("State")).and_then(Value::as_str);
    if movement == Some("Remove") {
        return Some(Reading::Nothing);
    }
    let tap = seen::timed(seen::value(tag)?, value.get("DateTime").and_then(when).as_ref(), &[value.get("Sequence")]);
    Some(Reading::Taps(vec![tap]))
}
