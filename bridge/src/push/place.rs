//! Whether an address that a user registers can be one: looked at without going out. Where a URL's name leads is looked at when it is gone to.

use std::net::IpAddr;

use hallway_broker::outward::{Uri, is_public};
use hallway_broker::reject::{Reason, Reject};

/// Longest URL.
const MAX_URL_BYTES: usize = 2048;

/// Checks a URL of a user: https, or http where private addresses are allowed; no name and password in it; no private address.
///
/// # Errors
/// [`Reason::BadTarget`], [`Reason::PrivateUrl`].
pub fn url(text: &str, allow_private: bool) -> Result<(), Reject> {
    let bad = || Reject::from(Reason::BadTarget);
    if text.len() > MAX_URL_BYTES || text.contains('#') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    let uri: Uri = text.parse().map_err(|_| bad())?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if allow_private => {}
        Some("http") => return Err(Reason::PrivateUrl.into()),
        _ => return Err(bad()),
    }
    let authority =
        uri.authority().filter(|authority| !authority.as_str().contains('@') && !authority.host().is_empty()).ok_or_else(bad)?;
    // Without a name in front, what is longer than the host has a port.
    if authority.as_str().len() > authority.host().len() && authority.port_u16().is_none() {
        return Err(bad());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_private = host.parse().map_or_else(|_| is_local_name(host), |address: IpAddr| !is_public(address));
    if is_private && !allow_private { Err(Reason::PrivateUrl.into()) } else { Ok(()) }
}

/// Names that are never of others (RFC 6761 §6.3, RFC 6762 §3, RFC 9476).
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    matches!(last, "localhost" | "local" | "internal")
}

/// Checks a device token: of so many bytes at most, of the characters that all services' tokens have.
///
/// # Errors
/// [`Reason::BadTarget`].
pub fn token(text: &str, most: usize) -> Result<(), Reject> {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.' | b'%' | b'=' | b'+' | b'/');
    if !text.is_empty() && text.len() <= most && text.bytes().all(may) { Ok(()) } else { Err(Reason::BadTarget.into()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(text: &str, allow_private: bool) -> Option<Reason> {
        url(text, allow_private).err().map(|reject| reject.reason)
    }

    #[test]
    fn urls() {
        for text in ["https://push.example/a?b=c", "https://push.example:8443/", "https://[2606:4700::1111]/", "https://1.1.1.1/x"] {
            assert_eq!((reason(text, false), reason(text, true)), (None, None), "{text}");
        }
        for text in [
            "http://push.example/",
            "https://localhost/",
            "https://a.localhost./",
            "https://printer.local/",
            "https://127.0.0.1/",
            "https://10.0.0.1:8443/x",
            "https://[::1]/",
        ] {
            assert_eq!((reason(text, false), reason(text, true)), (Some(Reason::PrivateUrl), None), "{text}");
        }
        for text in [
            "",
            "push.example",
            "/path",
            "ftp://push.example/",
            "https://a@push.example/",
            "https:///",
            "https://a b/",
            "https://a/#x",
            "https://a:99999/",
            "https://a:/",
        ] {
            assert_eq!((reason(text, false), reason(text, true)), (Some(Reason::BadTarget), Some(Reason::BadTarget)), "{text}");
        }
        assert_eq!(reason(&format!("https://push.example/{}", "a".repeat(MAX_URL_BYTES)), true), Some(Reason::BadTarget));
    }

    #[test]
    fn tokens() {
        assert!(token("cX3-_:APA91bE", 20).is_ok());
        for text in ["", "a b", "a\"b", "é", "a\nb", &"a".repeat(21)] {
            assert!(token(text, 20).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_registered_is_a_url_or_refused(text in ".{0,80}", rest in "[a-z0-9@:/.#?\\[\\]-]{0,40}") {
            let _ = url(&text, true);
            if url(&format!("https://{rest}"), false).is_ok() {
                let authority = rest.split(['/', '?']).next().unwrap();
                prop_assert!(!authority.is_empty() && !authority.contains('@') && !rest.contains('#'));
            }
        }
    }
}
