//! Readers' clocks: RFC 3339 with as many digits as they like, with and without a zone, and Unix time in s, ms, µs and ns.

use hallway_broker::canonical::parse_time;
use serde_json::Value;

/// 2020-01-01: a clock that says less was never set.
const FIRST_MS: u64 = 1_577_836_800_000;
/// 2100-01-01.
const LAST_MS: u64 = 4_102_444_800_000;
/// Longest time in bytes.
const TIME_BYTES_MAX: usize = 40;

/// A time that a reader told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// Unix time in ms; 0 for one without a zone, which may be hours off.
    pub at_ms: u64,
    /// As the reader wrote it.
    pub mark: String,
}

/// The time of a value; `None` when it has none, or the clock was never set.
pub fn when(value: &Value) -> Option<When> {
    match value {
        Value::Number(number) => {
            let at_ms = number.as_u64().map_or_else(|| number.as_f64().and_then(fractional_ms), |number| Some(unix_ms(number)))?;
            plausible(at_ms).map(|at_ms| When { at_ms, mark: number.to_string() })
        }
        Value::String(text) if text.len() <= TIME_BYTES_MAX => {
            let text = text.trim();
            let at_ms = match text.parse::<u64>() {
                Ok(number) => plausible(unix_ms(number))?,
                Err(_) => written(text)?,
            };
            Some(When { at_ms, mark: text.to_owned() })
        }
        _ => None,
    }
}

/// A number of any unit: what is a time of this century in seconds is none in milliseconds.
fn unix_ms(number: u64) -> u64 {
    match number {
        0..100_000_000_000 => number * 1000,
        100_000_000_000..100_000_000_000_000 => number,
        100_000_000_000_000..100_000_000_000_000_000 => number / 1000,
        _ => number / 1_000_000,
    }
}

/// Seconds or milliseconds with a fraction.
fn fractional_ms(number: f64) -> Option<u64> {
    let ms = if number < 1e11 { number * 1000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in the range of a u64 by the line itself")]
    (0.0..1e15).contains(&ms).then(|| ms.round() as u64)
}

fn plausible(at_ms: u64) -> Option<u64> {
    (FIRST_MS..LAST_MS).contains(&at_ms).then_some(at_ms)
}

/// `2026-11-20T18:00:00.123456789Z`, also with a space, with `+0100`, or without a zone.
fn written(text: &str) -> Option<u64> {
    let (date, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let at = clock.find(['Z', 'z', '+', '-']);
    let (clock, zone) = clock.split_at(at.unwrap_or(clock.len()));
    let zone = match (zone.trim(), zone.len()) {
        ("" | "Z" | "z", _) => "Z".to_owned(),
        (zone, 5) if !zone.contains(':') => zone.split_at_checked(3).map(|(hours, minutes)| format!("{hours}:{minutes}"))?,
        (zone, 3) => format!("{zone}:00"),
        (zone, _) => zone.to_owned(),
    };
    let at_ms = plausible(parse_time(&format!("{date}T{}{zone}", clock.trim_end()))?)?;
    Some(if at.is_some() { at_ms } else { 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOON_MS: u64 = 1_772_125_200_123; // 2026-02-26T17:00:00.123Z

    #[test]
    fn all_clocks_agree() {
        for time in [
            json!("2026-02-26T17:00:00.123456789Z"),
            json!("2026-02-26T18:00:00.123+01:00"),
            json!("2026-02-26T12:00:00.123-0500"),
            json!("2026-02-26 17:00:00.123Z"),
            json!("2026-02-26T18:00:00.123+01"),
            json!(1_772_125_200_123_u64),
            json!(1_772_125_200_123_456_u64),
            json!(1_772_125_200_123_456_789_u64),
            json!(1_772_125_200.123),
            json!("1772125200123"),
        ] {
            assert_eq!(when(&time).unwrap().at_ms, NOON_MS, "{time}");
        }
        assert_eq!(when(&json!(1_772_125_200)).unwrap().at_ms, NOON_MS - 123);
    }

    #[test]
    fn a_time_without_a_zone_is_an_id_and_no_time() {
        assert_eq!(when(&json!("2026-02-26T17:00:00")), Some(When { at_ms: 0, mark: "2026-02-26T17:00:00".to_owned() }));
    }

    #[test]
    fn a_clock_that_was_never_set_says_nothing() {
        for time in [json!("1970-01-01T00:00:12"), json!(12), json!(0), json!(-5), json!(1e300), json!("soon"), json!(null), json!([1])] {
            assert_eq!(when(&time), None, "{time}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,45}", number in any::<u64>(), fraction in any::<f64>()) {
            let _ = (when(&json!(text)), when(&json!(number)), when(&json!(fraction)));
        }

        #[test]
        fn nearly_times_do_not_panic(text in "[0-9TZtz:+. -]{0,40}") {
            let _ = when(&json!(text));
        }
    }
}
