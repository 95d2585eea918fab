//! Times as RFC 3339 and XMPP (XEP-0082) write them: `2026-11-20T18:00:00.123Z`, or with an offset. The way back from `write_time`.

const MS_OF_DAY: i64 = 86_400_000;

/// The Unix time in ms; `None` when it is no time, or one before 1970.
#[must_use]
pub fn parse_time(text: &str) -> Option<u64> {
    let (date, rest) = text.trim().split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset_min) = match rest.find(['Z', '+', '-']) {
        Some(at) if rest.get(at..)? == "Z" => (rest.get(..at)?, 0),
        Some(at) => (rest.get(..at)?, offset(rest.get(at..)?)?),
        None => return None,
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    let millis = number(&millis, 3)?;
    let of_day = ((hour * 60 + minute - offset_min) * 60 + second) * 1000 + millis;
    u64::try_from(days(year, month, day) * MS_OF_DAY + of_day).ok()
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

/// Minutes east of Greenwich.
fn offset(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    Some(sign * (number(hours, 2)? * 60 + number(minutes, 2)?))
}

/// Days since 1970-01-01 in the Gregorian calendar, of a year that begins in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::write_time;

    #[test]
    fn the_forms_of_a_time() {
        for text in ["2026-11-20T18:00:00Z", "2026-11-20T18:00:00.000Z", "2026-11-20T19:30:00+01:30", "2026-11-20T13:00:00-05:00"] {
            assert_eq!(parse_time(text), Some(1_795_197_600_000), "{text}");
        }
        for text in ["", "T", "2026-11-20", "2026-13-20T18:00:00Z", "2026-11-20T18:00Z", "2026-11-20T18:00:00", "1950-01-01T00:00:00Z", "é"]
        {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms in 0u64..4_102_444_800_000) {
            let mut out = Vec::new();
            write_time(ms, &mut out);
            prop_assert_eq!(parse_time(std::str::from_utf8(&out).unwrap().trim_matches('"')), Some(ms));
        }

        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = parse_time(&text);
        }
    }
}
