//! The page at `/` and its parts: in the binary, so that there is nothing to install.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName};

use super::answer::{Answer, set, with_body};

const INDEX: &str = include_str!("../../page/index.html");
const SCRIPT: &str = include_str!("../../page/app.js");
const STYLE: &str = include_str!("../../page/style.css");

/// Only what this server serves runs, and nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

pub fn index() -> Answer {
    let mut answer = part("text/html; charset=utf-8", INDEX);
    set(&mut answer, CONTENT_SECURITY_POLICY, POLICY);
    set(&mut answer, OPENER_POLICY, "same-origin");
    answer
}

pub fn script() -> Answer {
    part("text/javascript; charset=utf-8", SCRIPT)
}

pub fn style() -> Answer {
    part("text/css; charset=utf-8", STYLE)
}

fn part(content_type: &'static str, text: &'static str) -> Answer {
    let mut answer = with_body(StatusCode::OK, content_type, text);
    // Kept, but asked for again each time: another version of the server has another page.
    set(&mut answer, CACHE_CONTROL, "no-cache");
    answer
}
