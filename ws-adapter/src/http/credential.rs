//! What a request shows of who sends it: a token in a header, or, where a browser lets nobody set one (`EventSource`, `WebSocket`), a token or
//! ticket in its target. Neither is ever logged.

use std::fmt;

use hallway_broker::edges::Shown;
use hyper::{HeaderMap, Uri};

use super::query;
use super::request::bearer;

/// See the module's text.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer …`, or `accessToken=…`: a token of ours, or of the conference's identity provider.
    Token(String),
    /// `ticket=…`, which is used by looking who it is of.
    Ticket(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Ticket(_) => "Ticket(…)",
        })
    }
}

impl Credential {
    /// What a request shows; the header goes before the target.
    #[must_use]
    pub fn of(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        let header = bearer(headers).map(str::to_owned);
        let token = header.or_else(|| query::value(uri, "accessToken")).map(Self::Token);
        token.or_else(|| query::value(uri, "ticket").map(Self::Ticket))
    }

    /// As the hub takes it.
    #[must_use]
    pub fn shown(&self) -> Shown<'_> {
        match self {
            Self::Token(token) => Shown::Token(token),
            Self::Ticket(ticket) => Shown::Ticket(ticket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{AUTHORIZATION, HeaderValue};

    #[test]
    fn from_header_or_target() {
        let of = |header: Option<&'static str>, target: &'static str| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
            }
            Credential::of(&headers, &Uri::from_static(target))
        };
        let token = |text: &str| Some(Credential::Token(text.to_owned()));
        let ticket = |text: &str| Some(Credential::Ticket(text.to_owned()));
        assert_eq!(of(Some("Bearer a"), "/x?accessToken=b"), token("a"));
        assert_eq!(of(None, "/x?accessToken=b&ticket=c"), token("b"));
        assert_eq!(of(None, "/x?a=1&ticket=c%3Ad"), ticket("c:d"));
        assert_eq!(of(Some("Basic abc"), "/x?ticket=c:d"), ticket("c:d"));
        assert_eq!(of(None, "/x?token=b"), None);
        assert_eq!(format!("{:?}{:?}", of(None, "/x?accessToken=b"), of(None, "/x?ticket=b")), "Some(Token(…))Some(Ticket(…))");
    }
}
