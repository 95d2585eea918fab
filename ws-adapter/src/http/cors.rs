//! What lets pages of allowed origins read our answers. There are no cookies, so credentials are never allowed.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN,
    VARY,
};
use hyper::{HeaderMap, StatusCode};

use super::answer::{Answer, empty, set};

/// Answers a preflight (Fetch §3.2.2) of an origin that was found to be allowed.
pub fn preflight() -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    set(&mut answer, ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
    set(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, last-event-id, hallway-session, range");
    set(&mut answer, ACCESS_CONTROL_MAX_AGE, "600");
    answer
}

/// Names the request's origin, which was found to be allowed, as the one that may read the answer.
pub fn open_to(origin: Option<&HeaderValue>, answer: &mut Answer) {
    answer.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

/// The Origin header as text; one that is not text is no origin at all, which is refused like `null`.
pub fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("null"))
}
