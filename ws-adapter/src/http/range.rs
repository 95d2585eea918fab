//! Which part of a file is asked for (RFC 9110 §14), and whether any is (§13).

use hyper::HeaderMap;
use hyper::header::{HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What goes out of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    All,
    /// From the first to before the second.
    Part(u64, u64),
    /// Nothing that there is.
    Beyond,
    /// Nothing: the client has it.
    Nothing,
}

/// What of a file of so many bytes is asked for. It has this entity tag, and never another.
pub fn wanted(headers: &HeaderMap, tag: &str, bytes: u64) -> Wanted {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(tags) = text(IF_NONE_MATCH)
        && tags.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    {
        return Wanted::Nothing;
    }
    if text(IF_RANGE).is_some_and(|known| known != tag) {
        return Wanted::All;
    }
    // What is not understood, and more than one part, is all of it (§14.2).
    text(RANGE).and_then(|range| part(range, bytes)).unwrap_or(Wanted::All)
}

fn part(range: &str, bytes: u64) -> Option<Wanted> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (from, to) = match (first.trim(), last.trim()) {
        ("", suffix) => (bytes.saturating_sub(number(suffix)?), bytes),
        (first, "") => (number(first)?, bytes),
        (first, last) => (number(first)?, number(last).filter(|last| number(first).is_some_and(|first| first <= *last))?.saturating_add(1)),
    };
    let to = to.min(bytes);
    Some(if from < to { Wanted::Part(from, to) } else { Wanted::Beyond })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(rows: &[(HeaderName, &str)]) -> Wanted {
        let headers = rows.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        wanted(&headers, "\"x\"", 10)
    }

    #[test]
    fn parts() {
        for (range, expected) in [
            ("bytes=0-", Wanted::Part(0, 10)),
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=4-100", Wanted::Part(4, 10)),
            ("bytes=-3", Wanted::Part(7, 10)),
            ("bytes=-300", Wanted::Part(0, 10)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=-", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes=18446744073709551615-18446744073709551615", Wanted::Beyond),
            ("bytes=99999999999999999999-", Wanted::All),
        ] {
            assert_eq!(of(&[(RANGE, range)]), expected, "{range}");
        }
        assert_eq!(of(&[(RANGE, "bytes=1-2"), (IF_RANGE, "\"x\"")]), Wanted::Part(1, 3));
        assert_eq!(of(&[(RANGE, "bytes=1-2"), (IF_RANGE, "\"y\"")]), Wanted::All);
        for (tags, expected) in
            [("\"x\"", Wanted::Nothing), ("\"y\", W/\"x\"", Wanted::Nothing), ("*", Wanted::Nothing), ("x", Wanted::All)]
        {
            assert_eq!(of(&[(IF_NONE_MATCH, tags)]), expected, "{tags}");
        }
    }

    proptest! {
        #[test]
        fn any_range_is_within_the_file(range in "bytes=[0-9]{0,21}-[0-9]{0,21}|[ -~]{0,40}", bytes in 0..1000u64) {
            if let Some(Wanted::Part(from, to)) = part(&range, bytes) {
                prop_assert!(from < to && to <= bytes);
            }
        }
    }
}
