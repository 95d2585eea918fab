//! What an HTTP answer means for a push: the statuses that all services share, `Retry-After`, and what is no answer at all.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hallway_broker::outward::{Bounds, Failure, Response, StatusCode};
use hallway_broker::push::gateway::Sent;

/// For one exchange with a service whose answer is read.
pub const BOUNDS: Bounds = Bounds { timeout: Duration::from_secs(10), body_bytes: 64 * 1024, needs_body: true };
/// For one with somebody whose status says all.
pub const FOR_STATUS: Bounds = Bounds { needs_body: false, ..BOUNDS };
/// Longest that a service is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of a service's words that are kept.
const MAX_WORDS_BYTES: usize = 80;

/// There was no answer.
#[must_use]
pub fn failed(failure: &Failure) -> Sent {
    match failure {
        // Nothing of it changes by waiting.
        Failure::Url(_) | Failure::Private | Failure::TooLarge(_) => Sent::Refused(failure.to_string()),
        _ => Sent::Later { after: None, why: failure.to_string() },
    }
}

/// What is to be asked again later.
#[must_use]
pub fn later(answer: &Response<Bytes>, now_ms: u64, why: String) -> Sent {
    Sent::Later { after: retry_after(answer, now_ms), why }
}

/// What is to be asked again later, while others are not held up by it.
#[must_use]
pub fn throttled(answer: &Response<Bytes>, now_ms: u64, why: String) -> Sent {
    Sent::Throttled { after: retry_after(answer, now_ms), why }
}

/// Whether a status is one of those that pass.
#[must_use]
pub fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS) || status.is_server_error()
}

/// What a status means where nothing else does: 2xx is had, 404 and 410 say that there is nobody any more (RFC 8030 §7.3), 429 and what is the
/// service's own fault pass.
#[must_use]
pub fn by_status(answer: &Response<Bytes>, now_ms: u64) -> Sent {
    let status = answer.status();
    let why = || format!("status {}", status.as_u16());
    match status {
        _ if status.is_success() => Sent::Accepted,
        StatusCode::NOT_FOUND | StatusCode::GONE => Sent::Gone,
        StatusCode::TOO_MANY_REQUESTS => throttled(answer, now_ms, why()),
        _ if is_passing(status) => later(answer, now_ms, why()),
        _ => Sent::Refused(why()),
    }
}

/// A word of a service, as it may go into a log or a dead letter: it is somebody else's, and may hold anything.
#[must_use]
pub fn word(text: &str) -> String {
    let may = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    text.chars().filter(may).take(MAX_WORDS_BYTES).collect()
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(answer: &Response<Bytes>, now_ms: u64) -> Option<Duration> {
    let text = answer.headers().get("retry-after")?.to_str().ok()?.trim();
    let after = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH + Duration::from_millis(now_ms)).unwrap_or_default(),
    };
    Some(after.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, retry_after: &str) -> Response<Bytes> {
        Response::builder().status(status).header("retry-after", retry_after).body(Bytes::new()).unwrap()
    }

    #[test]
    fn statuses() {
        for status in [200, 201, 202, 204] {
            assert_eq!(by_status(&answer(status, ""), 0), Sent::Accepted);
        }
        for status in [404, 410] {
            assert_eq!(by_status(&answer(status, ""), 0), Sent::Gone);
        }
        for status in [301, 302, 307, 400, 401, 403, 405, 413] {
            assert_eq!(by_status(&answer(status, "5"), 0), Sent::Refused(format!("status {status}")));
        }
        let after = Some(Duration::from_secs(5));
        assert_eq!(by_status(&answer(429, "5"), 0), Sent::Throttled { after, why: "status 429".to_owned() });
        for status in [408, 425, 500, 502, 503, 504] {
            assert_eq!(by_status(&answer(status, "5"), 0), Sent::Later { after, why: format!("status {status}") });
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |text: &str, now_ms| retry_after(&answer(503, text), now_ms);
        assert_eq!(after("120", 0), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_747_000), Some(Duration::from_secs(30)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_787_000), Some(Duration::ZERO));
        assert_eq!(after("99999999999", 0), Some(MAX_RETRY_AFTER));
        assert_eq!(after("soon", 0), None);
        assert_eq!(after("-1", 0), None);
    }

    proptest! {
        #[test]
        fn whatever_a_service_says_it_is_understood_or_left(text in "[ -~]{0,60}", now_ms in any::<u64>(), status in 200_u16..600) {
            let now_ms = now_ms >> 20;
            let _ = by_status(&answer(status, &text), now_ms);
            prop_assert!(word(&text).len() <= MAX_WORDS_BYTES);
        }
    }
}
