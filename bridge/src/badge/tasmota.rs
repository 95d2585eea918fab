//! Tasmota: `{"Time": "2020-09-28T17:02:10", "PN532": {"UID": "E9F35959"}}`, likewise `RC522`, `RDM6300`, `Wiegand`. The time has no zone,
//! unless the device was told to send Unix time.

use hallway_broker::edges::Reading;
use serde_json::Value;

use super::seen;
use super::time::when;

/// What a device tells about its sensors; without a reader's UID among it, nothing.
pub fn read(value: &Value) -> Option<Reading> {
    let time = value.get("Time")?;
    let uid = value.as_object()?.values().find_map(|sensor| sensor.get("UID"));
    let Some(uid) = uid else { return Some(Reading::Nothing) };
    let when = value.get("Epoch").unwrap_or(time);
    Some(Reading::Taps(vec![seen::timed(seen::value(uid)?, self::when(when).as_ref(), &[])]))
}
