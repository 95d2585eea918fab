//! The web app (`web/`, built to `web/dist`): in the binary, so that there is nothing to install.

use hyper::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderName, IF_NONE_MATCH, VARY};
use hyper::{HeaderMap, StatusCode};

use super::answer::{Answer, empty, set, with_body};

/// A file of the app, and its compressed copies.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    path: &'static str,
    content_type: &'static str,
    tag: &'static str,
    /// Nothing else will ever be at this path.
    immutable: bool,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// All of them: `build.rs` lists what the app's build made.
static PARTS: &[Part] = include!(concat!(env!("OUT_DIR"), "/parts.rs"));

/// Only what this server serves runs, and nobody frames it. `blob:` is what somebody is about to send.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; media-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The part at a path.
pub fn find(path: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| part.path == path)
}

/// Answers with a part, in the smallest form that the client takes, or that it has it already.
pub fn answer(part: &'static Part, headers: &HeaderMap) -> Answer {
    let mut answer = if has(headers, part.tag) { empty(StatusCode::NOT_MODIFIED) } else { whole(part, headers) };
    set(&mut answer, ETAG, part.tag);
    set(&mut answer, VARY, "accept-encoding");
    // What keeps its name is asked for again each time: another version of the server has another page.
    set(&mut answer, CACHE_CONTROL, if part.immutable { "public, max-age=31536000, immutable" } else { "no-cache" });
    if part.path == "/" {
        set(&mut answer, CONTENT_SECURITY_POLICY, POLICY);
        set(&mut answer, OPENER_POLICY, "same-origin");
    }
    answer
}

fn whole(part: &'static Part, headers: &HeaderMap) -> Answer {
    let forms = [("br", part.brotli), ("gzip", part.gzip)];
    for (coding, bytes) in forms {
        if let Some(bytes) = bytes.filter(|_| accepts(headers, coding)) {
            let mut answer = with_body(StatusCode::OK, part.content_type, bytes);
            set(&mut answer, CONTENT_ENCODING, coding);
            return answer;
        }
    }
    with_body(StatusCode::OK, part.content_type, part.plain)
}

/// RFC 9110 §12.5.3: whether a coding is named, and not with `q=0`.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    for one in named {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        if name.trim().eq_ignore_ascii_case(coding) {
            let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
            return weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0);
        }
    }
    false
}

/// RFC 9110 §13.1.2: whether the client says that it has this; compared weakly.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    named.into_iter().any(|one| one.trim() == "*" || bare(one) == bare(tag))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::header::{CONTENT_TYPE, HeaderValue};

    use super::*;

    fn asked(rows: &[(HeaderName, &'static str)]) -> HeaderMap {
        rows.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn header(answer: &Answer, name: HeaderName) -> &str {
        answer.headers().get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// What the page names.
    fn named() -> Vec<&'static str> {
        let page = std::str::from_utf8(find("/").expect("a page").plain).expect("UTF-8");
        page.split('"').filter(|word| word.starts_with('/')).collect()
    }

    /// The script that the page names, whose name changes with it; it loads the others when they are needed.
    fn script() -> &'static Part {
        let mut scripts = named().into_iter().filter(|path| path.ends_with(".js")).filter_map(find);
        scripts.find(|part| part.immutable).expect("a script")
    }

    #[test]
    fn what_the_page_names_is_there() {
        let named = named();
        assert!(named.len() >= 4 && named.contains(&script().path), "{named:?}");
        for path in named {
            assert!(find(path).is_some(), "{path}");
        }
        assert!(find("/sw.js").is_some_and(|worker| !worker.immutable));
        assert_eq!(find("/index.html"), None);
        assert_eq!(find("/assets/../Cargo.toml"), None);
    }

    #[test]
    fn nothing_in_the_page_runs_that_the_policy_forbids() {
        let page = std::str::from_utf8(find("/").expect("a page").plain).expect("UTF-8");
        assert_eq!(page.matches("<script").count(), page.matches("src=\"/assets/").count());
        assert!(!page.contains("style=") && !page.contains("<style") && !page.contains("://"));
    }

    #[tokio::test]
    async fn each_client_gets_the_form_that_it_takes() {
        let rows = [
            ("", ""),
            ("gzip, deflate, br, zstd", "br"),
            ("gzip", "gzip"),
            ("GZIP;q=0.5", "gzip"),
            ("br;q=0, gzip", "gzip"),
            ("br;q=0,gzip;q=0.0", ""),
            ("brotli", ""),
            ("br;q=x", ""),
        ];
        let part = script();
        for (accepted, coding) in rows {
            let answer = answer(part, &asked(&[(ACCEPT_ENCODING, accepted)]));
            assert_eq!(header(&answer, CONTENT_ENCODING), coding, "{accepted}");
            assert_eq!(header(&answer, CONTENT_TYPE), "text/javascript; charset=utf-8");
            assert!(header(&answer, CACHE_CONTROL).contains("immutable"));
            let expected = if coding == "br" {
                part.brotli
            } else if coding == "gzip" {
                part.gzip
            } else {
                Some(part.plain)
            };
            assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), expected.expect("this form"));
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let page = find("/").expect("a page");
        let strong = page.tag.trim_start_matches("W/");
        for (tag, status) in [(page.tag, 304), (strong, 304), ("*", 304), ("\"other\"", 200)] {
            let answer = answer(page, &asked(&[(IF_NONE_MATCH, tag)]));
            assert_eq!(answer.status(), status, "{tag}");
            assert_eq!((header(&answer, ETAG), header(&answer, CACHE_CONTROL)), (page.tag, "no-cache"));
        }
        let many = [(IF_NONE_MATCH, Box::leak(format!("\"a\", {}", page.tag).into_boxed_str()) as &'static str)];
        assert_eq!(answer(page, &asked(&many)).status(), 304);
    }
}
