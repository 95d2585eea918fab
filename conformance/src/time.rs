//! Moments as text (RFC 3339), in UTC.

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// `2026-02-26T17:13:37`, without its zone.
#[must_use]
pub fn to_the_second(unix_ms: u64) -> String {
    let (year, month, day) = date(unix_ms / DAY_MS);
    let second = unix_ms % DAY_MS / 1000;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// `2026-02-26T17:13:37.432Z`.
#[must_use]
pub fn to_the_millisecond(unix_ms: u64) -> String {
    format!("{}.{:03}Z", to_the_second(unix_ms), unix_ms % 1000)
}

/// Year, month and day of a day since 1970, in the Gregorian calendar: 400 years have 146,097 days, counted here from a first of March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (unix_ms, wanted) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_676_448_000_000, "2023-02-15T08:00:00.000Z"),
            (4_102_444_799_007, "2099-12-31T23:59:59.007Z"),
        ] {
            assert_eq!(to_the_millisecond(unix_ms), wanted);
        }
    }
}
