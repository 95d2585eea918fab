//! The code and nothing else, as ESPHome publishes what its PN532 and RDM6300 read, keyboards type, and scanners of QR codes send; and the words of last
//! wills.

use hallway_broker::edges::Reading;

use super::payload::Payload;
use super::seen;

/// The whole payload is the code; in quotes when it was made as JSON.
pub fn read(payload: &Payload<'_>) -> Option<Reading> {
    let quoted = payload.text().starts_with('"').then(|| serde_json::from_str::<String>(payload.text()).ok()).flatten();
    let tap = seen::text(quoted.as_deref().unwrap_or(payload.text()))?;
    Some(Reading::Taps(vec![tap]))
}

/// Birth and last will of Tasmota, ESPHome, ESP-RFID and most others.
pub fn will(text: &str) -> Option<Reading> {
    let word = |words: [&str; 2]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if word(["online", "connected"]) {
        return Some(seen::health(true, text));
    }
    word(["offline", "disconnected"]).then(|| seen::health(false, text))
}
