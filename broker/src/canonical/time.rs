//! Times as clients write them.

/// The Unix ms of an RFC 3339 time (§5.6), of any offset; what is finer than a millisecond is cut off. `None` for what is none, or lies before 1970.
#[must_use]
pub fn read_time(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = bytes.get(from..to)?;
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    };
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_place = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    // A leap second is the one before it.
    if !in_place || hour > 23 || minute > 59 || second > 60 || day == 0 || day > days_of(year, month)? {
        return None;
    }
    let (fraction_ms, rest) = fraction(bytes.get(19..)?)?;
    let local_ms = ((days_from_civil(year, month, day)? * 24 + hour) * 60 + minute) * 60_000 + second.min(59) * 1000 + fraction_ms;
    let (sign, offset) = rest.split_first()?;
    match (sign, offset) {
        (b'Z' | b'z', []) => Some(local_ms),
        (b'+' | b'-', [h1, h2, b':', m1, m2]) if [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()) => {
            let two = |tens: &u8, ones: &u8| u64::from(tens - b'0') * 10 + u64::from(ones - b'0');
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            let offset_ms = (hours * 60 + minutes) * 60_000;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if *sign == b'+' { local_ms.checked_sub(offset_ms) } else { Some(local_ms + offset_ms) }
        }
        _ => None,
    }
}

/// The milliseconds of `.123…` in front, and what follows.
fn fraction(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let Some(digits) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).filter(|end| *end > 0)?;
    let (digits, rest) = digits.split_at(end);
    let ms = digits.iter().chain(b"00").take(3).fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some((ms, rest))
}

fn days_of(year: u64, month: u64) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(28 + u64::from(is_leap)),
        _ => None,
    }
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`); `None` before.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::write_time;

    #[test]
    fn times_of_other_zones_are_the_same_times() {
        assert_eq!(read_time("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read_time("2026-11-20T18:00:00.123Z"), Some(1_795_197_600_123));
        for same in ["2026-11-20T19:00:00.123+01:00", "2026-11-20 17:30:00.1239-00:30", "2026-11-20t18:00:00.123456z"] {
            assert_eq!(read_time(same), Some(1_795_197_600_123), "{same}");
        }
        assert_eq!(read_time("2016-12-31T23:59:60Z"), read_time("2016-12-31T23:59:59Z"));
        for wrong in ["", "2026-11-20", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-20T18:00:00", "2026-11-20T18:00:00.Z"] {
            assert_eq!(read_time(wrong), None, "{wrong}");
        }
        for wrong in ["2026-11-20T24:00:00Z", "2026-11-20T18:00:00+1:00", "1969-12-31T23:59:59Z", "2026-11-20T18:00:00Zx"] {
            assert_eq!(read_time(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unix_ms in 0u64..253_402_300_799_999) {
            let mut text = Vec::new();
            write_time(unix_ms, &mut text);
            prop_assert_eq!(read_time(std::str::from_utf8(&text).unwrap().trim_matches('"')), Some(unix_ms));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,40}", digits in "[0-9TZ:.+ -]{0,40}") {
            let _ = (read_time(&text), read_time(&digits));
        }
    }
}
