//! ESP-RFID, the released firmware and the one in development: `{"type": "access", "time": 1676448000, "isKnown": "true", "uid": "a1b2c3d4", …}`, and
//! without `type` when it speaks to Home Assistant.
//!
//! The released firmware leaves out the zero of a byte below 16: the chip 0A:B1:C2:03 is `ab1c23`. Where it was cannot be told, so all places are tried.

use hallway_broker::badges::CANDIDATES_MAX;
use hallway_broker::edges::Reading;
use hallway_broker::model::{BadgeCode, Tap};
use serde_json::Value;

use super::seen;
use super::time::when;

/// Bytes that a chip's number has.
const CHIP_BYTES: [usize; 2] = [4, 7];
/// Most zeros that are looked for.
const ZEROS_MAX: usize = 2;

/// An event of the device.
pub fn read(value: &Value) -> Option<Reading> {
    let uid = value.get("uid");
    match (value.get("type").and_then(Value::as_str), uid) {
        (Some("access"), Some(uid)) => tap(value, uid),
        (None, Some(uid)) if value.get("access").is_some() => tap(value, uid),
        (Some("boot"), _) => Some(seen::health(true, "boot")),
        (Some("heartbeat"), _) => value.get("time").map(|_| seen::health(true, "heartbeat")),
        // Doors, doorbells, the network, answers to commands.
        (Some(_), None) if value.get("time").is_some() || value.get("hostname").is_some() => Some(Reading::Nothing),
        _ => None,
    }
}

fn tap(value: &Value, uid: &Value) -> Option<Reading> {
    let shown = seen::word(uid)?;
    let mut codes = BadgeCode::candidates(&shown);
    for number in with_zeros(&shown) {
        let code = BadgeCode::given(&number)?;
        if !codes.contains(&code) {
            codes.insert(1, code);
        }
    }
    codes.truncate(CANDIDATES_MAX);
    let tap: Tap = seen::timed(seen::tap(&shown, codes)?, value.get("time").and_then(when).as_ref(), &[]);
    Some(Reading::Taps(vec![tap]))
}

/// The numbers that are this text without the zeros of some bytes. Bytes are read from the left, so that the places of the zeros are
/// among those where a byte begins.
fn with_zeros(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return found;
    }
    for zeros in CHIP_BYTES.iter().filter_map(|bytes| (bytes * 2).checked_sub(text.len())).filter(|zeros| (1..=ZEROS_MAX).contains(zeros)) {
        fill(text, "", zeros, &mut found);
    }
    found
}

fn fill(rest: &str, so_far: &str, zeros: usize, found: &mut Vec<String>) {
    if zeros == 0 || rest.is_empty() {
        if zeros == 0 && found.len() < CANDIDATES_MAX {
            found.push(format!("{so_far}{rest}"));
        }
        return;
    }
    let (digit, others) = rest.split_at(1);
    fill(others, &format!("{so_far}0{digit}"), zeros - 1, found);
    if let Some((byte, others)) = rest.split_at_checked(2) {
        fill(others, &format!("{so_far}{byte}"), zeros, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zeros_that_the_firmware_leaves_out() {
        assert_eq!(with_zeros("a1b2c3d4"), [""; 0]);
        let found = with_zeros("ab1c23");
        assert!(found.contains(&"0ab1c203".to_owned()), "{found:?}");
        assert!(found.iter().all(|number| number.len() == 8) && found.len() == 6, "{found:?}");
        assert_eq!(with_zeros("4a1b2c3d4e5f6").iter().filter(|number| number.len() == 14).count(), 7);
        assert_eq!(with_zeros("xyz"), [""; 0]);
    }
}
