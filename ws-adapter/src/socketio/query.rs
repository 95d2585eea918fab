//! What a client says in the address of its requests: the transport, the protocol's version, its session, and in the first of them who it is.

use super::engine::Version;
use super::sid::Sid;
use crate::http::query::decoded;

/// Longest value that is kept of it, in bytes.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// How packets are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Requests that wait for packets, and requests that bring some.
    Polling,
    /// WebSocket.
    WebSocket,
}

/// What clients show of themselves: in the address, or (protocol 5) in the packet by which they come in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// A bearer token.
    pub token: Option<String>,
    /// A ticket.
    pub ticket: Option<String>,
    /// A guest's own id.
    pub client_id: Option<String>,
    /// The conference.
    pub conference: Option<String>,
    /// Where the client was when it was last here.
    pub after: Option<u64>,
    /// The epoch that this is of.
    pub epoch: Option<u64>,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claims(…)")
    }
}

impl Claims {
    /// Takes note of one; what is not known is ignored.
    pub fn note(&mut self, name: &str, value: &str) {
        if value.is_empty() || value.len() > MAX_VALUE_BYTES {
            return;
        }
        let text = || Some(value.to_owned());
        match name {
            "token" | "accessToken" => self.token = text(),
            "ticket" => self.ticket = text(),
            "CLIENT_ID" => self.client_id = text(),
            "conference" => self.conference = text(),
            "after" => self.after = value.parse().ok(),
            "epoch" => self.epoch = value.parse().ok(),
            _ => {}
        }
    }
}

/// A request's address, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The protocol's version.
    pub version: Version,
    /// How packets are to be carried.
    pub transport: Transport,
    /// The session's id, with every request but the first.
    pub sid: Option<Sid>,
    /// Who it is.
    pub claims: Claims,
}

/// What Engine.IO answers to a request that is none; the numbers are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Neither polling nor WebSocket.
    #[error("Transport unknown")]
    Transport,
    /// No such session, or not any more.
    #[error("Session ID unknown")]
    Session,
    /// The first request is not a GET.
    #[error("Bad handshake method")]
    Method,
    /// Anything else.
    #[error("Bad request")]
    Request,
    /// JSONP.
    #[error("Bad request: JSONP is not supported, use XMLHttpRequest or WebSocket")]
    Jsonp,
    /// A body of bytes.
    #[error("Bad request: binary packets are not taken here, send JSON")]
    Binary,
    /// A packet that is none, by name of what is wrong with it.
    #[error("Bad request: {0}")]
    Malformed(super::engine::Malformed),
    /// Two requests at once where there may be one.
    #[error("Bad request: two requests of one session at once")]
    Overlap,
    /// Another version of the protocol.
    #[error("Unsupported protocol version")]
    Version,
}

impl BadRequest {
    /// Engine.IO's number for it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Transport => 0,
            Self::Session => 1,
            Self::Method => 2,
            Self::Request | Self::Jsonp | Self::Binary | Self::Malformed(_) | Self::Overlap => 3,
            Self::Version => 5,
        }
    }
}

impl Query {
    /// Reads what is behind the `?`.
    ///
    /// # Errors
    /// What Engine.IO answers.
    pub fn parse(text: &str) -> Result<Self, BadRequest> {
        let (mut version, mut transport, mut sid) = (None, None, None);
        let mut claims = Claims::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else { return Err(BadRequest::Request) };
            match &*name {
                "EIO" => version = Some(value),
                "transport" => transport = Some(value),
                "sid" => sid = Some(Sid::parse(&value).ok_or(BadRequest::Session)?),
                "j" => return Err(BadRequest::Jsonp),
                name => claims.note(name, &value),
            }
        }
        let transport = match transport.as_deref() {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(BadRequest::Transport),
        };
        let version = match version.as_deref() {
            Some("3") => Version::V3,
            Some("4") => Version::V4,
            _ => return Err(BadRequest::Version),
        };
        Ok(Self { version, transport, sid, claims })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_clients_write_them() {
        let sid = Sid::new(3);
        let text = format!("EIO=4&transport=polling&t=abc&sid={}&token=a%2Bb%20c&CLIENT_ID=x+y&after=12", sid.text());
        let query = Query::parse(&text).unwrap();
        assert_eq!((query.version, query.transport, query.sid), (Version::V4, Transport::Polling, Some(sid)));
        assert_eq!(query.claims.token.as_deref(), Some("a+b c"));
        assert_eq!((query.claims.client_id.as_deref(), query.claims.after), (Some("x y"), Some(12)));
        let rows = [
            ("", BadRequest::Transport),
            ("EIO=4&transport=tube", BadRequest::Transport),
            ("EIO=5&transport=polling", BadRequest::Version),
            ("transport=polling", BadRequest::Version),
            ("EIO=4&transport=polling&sid=nobodys", BadRequest::Session),
            ("EIO=3&transport=polling&j=0", BadRequest::Jsonp),
            ("EIO=4&transport=polling&x=%zz", BadRequest::Request),
        ];
        for (text, error) in rows {
            assert_eq!(Query::parse(text).unwrap_err(), error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_an_address(text: String, like in "[a-zA-Z=&%+0-9]{0,60}") {
            for text in [text, like] {
                let _ = Query::parse(&text).is_ok();
            }
        }
    }
}
