//! Numbers and times as text.

/// 9999-12-31T23:59:59.999Z, the last time that RFC 3339 can say.
const LAST_MS: u64 = 253_402_300_799_999;
const DAY_MS: u64 = 86_400_000;

/// Appends a number in decimal.
pub fn write_number(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20]; // as many as u64::MAX has
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = digit(rest);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The last decimal digit of `value`.
fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

/// Appends a Unix time in ms as a JSON string: RFC 3339 in UTC with milliseconds.
pub fn write_time(unix_ms: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&quoted_time(unix_ms));
}

/// A Unix time in ms as text: RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn time_text(unix_ms: u64) -> String {
    String::from_utf8_lossy(&quoted_time(unix_ms)).trim_matches('"').to_owned()
}

fn quoted_time(unix_ms: u64) -> [u8; 26] {
    let unix_ms = unix_ms.min(LAST_MS);
    let (year, month, day) = civil_from_days(unix_ms / DAY_MS);
    let ms = unix_ms % DAY_MS;
    let mut text = *b"\"0000-00-00T00:00:00.000Z\"";
    put(&mut text[1..5], year);
    put(&mut text[6..8], month);
    put(&mut text[9..11], day);
    put(&mut text[12..14], ms / 3_600_000);
    put(&mut text[15..17], ms / 60_000 % 60);
    put(&mut text[18..20], ms / 1000 % 60);
    put(&mut text[21..24], ms % 1000);
    text
}

/// Fills `to` with the last digits of `value`.
fn put(to: &mut [u8], mut value: u64) {
    for place in to.iter_mut().rev() {
        *place = digit(value);
        value /= 10;
    }
}

/// The proleptic Gregorian date of a day since 1970-01-01 (Howard Hinnant's `civil_from_days`): years begin in March, so that
/// the leap day is a year's last, and repeat every 400.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}
