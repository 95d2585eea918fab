//! A web origin: what a browser sends as `Origin`, and where the server is reached from outside.

use serde::{Deserialize, Serialize};

/// `scheme://host[:port]` in lower case, http or https.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

/// The text is no origin.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not https://HOST[:PORT] or http://HOST[:PORT], without a path")]
pub struct BadOrigin(String);

impl WebOrigin {
    /// The host: a name or an address, without scheme, port and brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, _)) => v6,
            None => authority.split(':').next().unwrap_or(authority),
        }
    }

    /// The origin as browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = BadOrigin;

    fn try_from(text: String) -> Result<Self, BadOrigin> {
        let lower = text.to_ascii_lowercase();
        let whole = lower.strip_suffix('/').unwrap_or(&lower);
        let host = ["https://", "http://"].iter().find_map(|scheme| whole.strip_prefix(scheme));
        match host {
            Some(host) if is_authority(host) => Ok(Self(whole.to_owned())),
            _ => Err(BadOrigin(text)),
        }
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.0
    }
}

/// Whether the text is `HOST[:PORT]`, where the host is a name, an IPv4 or a bracketed IPv6 address.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((v6, "")) => (v6, None),
            Some((v6, port)) => (v6, Some(port.strip_prefix(':').unwrap_or("?"))),
            None => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host_fits = if text.starts_with('[') { host.parse::<std::net::Ipv6Addr>().is_ok() } else { is_host(host) };
    host_fits && port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// Whether the text is a host name or IPv4 address: letters, digits, dots and hyphens.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    !text.is_empty() && text.len() <= 253 && text.split('.').all(label)
}
