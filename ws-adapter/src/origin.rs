//! Is this browser's request for us, and from one of our pages? The Host and Origin checks of DESIGN's "Safety".
//!
//! Host: a page of `evil.example` whose name is made to resolve to 127.0.0.1 (DNS rebinding) is of the same origin as us for its
//! browser; only the Host header shows it. Origin: WebSocket upgrades know no same-origin policy. No Origin is a native app, which
//! holds its token and has no ambient rights to be stolen.

use std::net::{IpAddr, SocketAddr};

/// A URL that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form scheme://host[:port]: write it as a browser would send it as Origin")]
pub struct BadOrigin(pub String);

/// Scheme, host and port in lower case, the scheme's default port written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Parses an origin; one trailing slash is forgiven.
    ///
    /// # Errors
    /// [`BadOrigin`].
    pub fn parse(text: &str) -> Result<Self, BadOrigin> {
        Self::read(text.strip_suffix('/').unwrap_or(text)).ok_or_else(|| BadOrigin(text.into()))
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(is_scheme) {
            return None;
        }
        let (host, port) = split_host(authority)?;
        let default = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None, // a native shell's own, as capacitor://localhost
        };
        Some(Self { scheme, host, port: port.or(default) })
    }

    fn is_web(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
    }
}

/// Splits `host[:port]` and lowers the host; an IPv6 address keeps its brackets.
fn split_host(authority: &str) -> Option<(String, Option<u16>)> {
    let end_of_host = if authority.starts_with('[') { authority.find(']')? + 1 } else { authority.find(':').unwrap_or(authority.len()) };
    let (host, rest) = authority.split_at(end_of_host);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        // `parse` alone would take a sign, too.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_name = !host.is_empty() && host.chars().all(fits);
    if !is_name && ip_of(host).is_none() {
        return None;
    }
    Some((host.to_ascii_lowercase(), port))
}

/// The address that a host is, in brackets when it is IPv6.
fn ip_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || ip_of(host).is_some_and(|ip| ip.is_loopback())
}

/// What is ours: the listener and the configuration of one server.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where the listener is bound.
    local: SocketAddr,
    public: Option<Origin>,
    listed: Vec<Origin>,
}

impl Site {
    /// `local` is the listener's address with its real port, `public_url` and `origins` are `[server] public_url` and `[http] origins`.
    ///
    /// # Errors
    /// [`BadOrigin`] for the one that is none. Of a public URL only the origin counts.
    pub fn new(local: SocketAddr, public_url: Option<&str>, origins: &[String]) -> Result<Self, BadOrigin> {
        let public = public_url.map(|url| Origin::parse(without_path(url))).transpose()?;
        let listed = origins.iter().map(|origin| Origin::parse(origin)).collect::<Result<_, _>>()?;
        Ok(Self { local, public, listed })
    }

    fn listens_on_loopback(&self) -> bool {
        self.local.ip().is_loopback()
    }

    /// Whether a Host header (or `X-Forwarded-Host` of a trusted proxy) names this server.
    #[must_use]
    pub fn is_our_host(&self, host: &str) -> bool {
        let Some((name, port)) = split_host(host) else { return false };
        if self.public.as_ref().is_some_and(|public| public.host == name && (port.is_none() || port == public.port)) {
            return true;
        }
        if port.unwrap_or(80) != self.local.port() {
            return false;
        }
        if self.listens_on_loopback() {
            return is_loopback(&name);
        }
        // The very address that is listened on: an address cannot be rebound, and no page of another site is at it.
        self.public.is_none() && ip_of(&name) == Some(self.local.ip())
    }

    /// Whether a request with this Origin header, sent to `host` (which is ours), comes from one of our pages, a listed one, or no
    /// browser at all.
    #[must_use]
    pub fn allows(&self, origin: Option<&str>, host: &str) -> bool {
        origin.is_none_or(|origin| Origin::read(origin).is_some_and(|origin| self.allows_origin(&origin, host)))
    }

    fn allows_origin(&self, origin: &Origin, host: &str) -> bool {
        if self.public.as_ref() == Some(origin) || self.listed.contains(origin) {
            return true;
        }
        if self.listens_on_loopback() && origin.is_web() && is_loopback(&origin.host) {
            return true;
        }
        // Without a public URL there is no TLS in front: the same origin is http and the same host and port.
        self.public.is_none() && Origin::read(&format!("http://{host}")).as_ref() == Some(origin)
    }
}

fn without_path(url: &str) -> &str {
    let from = url.find("://").map_or(0, |at| at + 3);
    let end = url[from..].find(['/', '?', '#']).map_or(url.len(), |at| from + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn demo() -> Site {
        Site::new("127.0.0.1:8080".parse().unwrap(), None, &[]).unwrap()
    }

    /// Behind a proxy on the same machine.
    fn proxied() -> Site {
        let origins = ["https://app.example:8443".into(), "capacitor://localhost".into()];
        Site::new("127.0.0.1:8080".parse().unwrap(), Some("https://chat.example/hallway/"), &origins).unwrap()
    }

    fn public() -> Site {
        Site::new("0.0.0.0:443".parse().unwrap(), Some("https://chat.example"), &["https://app.example".into()]).unwrap()
    }

    #[test]
    fn hosts() {
        let rows = [
            (demo(), "localhost:8080", true),
            (demo(), "LOCALHOST:8080", true),
            (demo(), "127.0.0.1:8080", true),
            (demo(), "127.1.2.3:8080", true),
            (demo(), "[::1]:8080", true),
            (demo(), "localhost", false),
            (demo(), "localhost:8081", false),
            (demo(), "localhost:+8080", false),
            (demo(), "evil.example:8080", false),
            (demo(), "localhost.evil.example:8080", false),
            (demo(), "127.0.0.1.evil.example:8080", false),
            (demo(), "10.0.0.1:8080", false),
            (demo(), "0.0.0.0:8080", false),
            (demo(), "user@localhost:8080", false),
            (demo(), "localhost:8080/", false),
            (demo(), "localhost:8080:8080", false),
            (demo(), "[::1", false),
            (demo(), "", false),
            (proxied(), "chat.example", true),
            (proxied(), "Chat.Example:443", true),
            (proxied(), "chat.example:8080", false),
            (proxied(), "127.0.0.1:8080", true),
            (proxied(), "evil.example", false),
            (proxied(), "evil.example:8080", false),
            (public(), "chat.example", true),
            (public(), "localhost:443", false),
            (public(), "0.0.0.0:443", false),
            (public(), "app.example", false),
            (Site::new("10.0.0.5:8080".parse().unwrap(), None, &[]).unwrap(), "10.0.0.5:8080", true),
            (Site::new("10.0.0.5:8080".parse().unwrap(), None, &[]).unwrap(), "localhost:8080", false),
            (Site::new("[::1]:80".parse().unwrap(), None, &[]).unwrap(), "localhost", true),
        ];
        for (site, host, ours) in rows {
            assert_eq!(site.is_our_host(host), ours, "{host:?} at {:?}", site.local);
        }
    }

    #[test]
    fn origins() {
        let here = "127.0.0.1:8080";
        let rows = [
            (demo(), None, here, true),
            (demo(), Some("http://127.0.0.1:8080"), here, true),
            (demo(), Some("http://localhost:5173"), here, true),
            (demo(), Some("https://[::1]:3000"), here, true),
            (demo(), Some("http://evil.example"), here, false),
            (demo(), Some("http://localhost.evil.example"), here, false),
            (demo(), Some("http://evil.example:8080"), "evil.example:8080", true), // its Host was refused before
            (demo(), Some("null"), here, false),
            (demo(), Some(""), here, false),
            (demo(), Some("file://"), here, false),
            (demo(), Some("capacitor://localhost"), here, false),
            (demo(), Some("chrome-extension://abcdef"), here, false),
            (demo(), Some("http://localhost@evil.example"), here, false),
            (proxied(), Some("https://chat.example"), "chat.example", true),
            (proxied(), Some("https://chat.example:443"), "chat.example", true),
            (proxied(), Some("http://chat.example"), "chat.example", false),
            (proxied(), Some("https://app.example:8443"), "chat.example", true),
            (proxied(), Some("https://app.example"), "chat.example", false),
            (proxied(), Some("capacitor://localhost"), "chat.example", true),
            (public(), Some("https://app.example"), "chat.example", true),
            (public(), Some("https://sub.app.example"), "chat.example", false),
            (public(), Some("http://localhost:3000"), "chat.example", false),
            (public(), None, "chat.example", true),
        ];
        for (site, origin, host, allowed) in rows {
            assert_eq!(site.allows(origin, host), allowed, "{origin:?} at {host}");
        }
    }

    #[test]
    fn what_is_configured_must_be_an_origin() {
        let local = "127.0.0.1:1".parse().unwrap();
        for bad in ["chat.example", "https://", "https://a b", "://x", "https://chat.example:x", "https://a.example/path", "*"] {
            assert_eq!(Site::new(local, None, &[bad.to_owned()]).unwrap_err(), BadOrigin(bad.into()));
        }
        assert!(Site::new(local, Some("chat.example"), &[]).is_err());
        assert!(Site::new(local, None, &["https://app.example/".into()]).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, other in "[a-z:/\\[\\].@0-9]{0,30}") {
            for text in [text, other] {
                let _ = (demo().is_our_host(&text), demo().allows(Some(&text), &text), public().allows(Some(&text), "chat.example"));
            }
        }
    }
}
