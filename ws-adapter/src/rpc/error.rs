//! What goes wrong, as JSON-RPC's error object and as an HTTP status. `reason` is stable, `message` is for people.

use std::borrow::Cow;

use hallway_broker::canonical::{write_number, write_string};
use hallway_broker::limits::beginning;
use hallway_broker::reject::{Class, Reason, Reject};

/// Error codes: JSON-RPC's own (§5.1) and those of PROTOCOL.md.
pub mod codes {
    /// Not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// Not a request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// No such method.
    pub const UNKNOWN_METHOD: i32 = -32601;
    /// Wrong parameters.
    pub const INVALID_PARAMS: i32 = -32602;
    /// Who asks is not known.
    pub const UNAUTHORIZED: i32 = 1001;
    /// Known, but may not.
    pub const FORBIDDEN: i32 = 1003;
    /// There is no such thing.
    pub const NOT_FOUND: i32 = 1004;
    /// It contradicts what is there.
    pub const CONFLICT: i32 = 1009;
    /// Over a bound.
    pub const TOO_LARGE: i32 = 1013;
    /// Too often.
    pub const RATE_LIMITED: i32 = 1029;
    /// Not now.
    pub const UNAVAILABLE: i32 = 1050;
}

/// Longest detail in a message, in bytes: it may quote what the sender sent.
const MAX_DETAIL_BYTES: usize = 200;

/// An error object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({reason})")]
pub struct Fault {
    /// One of [`codes`].
    pub code: i32,
    /// The stable word.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: Cow<'static, str>,
    /// When trying again may help.
    pub retry_after_ms: Option<u64>,
    /// With reason `resync`: the epoch now.
    pub epoch: Option<u64>,
}

impl Fault {
    /// A fault without more than its words.
    #[must_use]
    pub fn new(code: i32, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason, message: message.into(), retry_after_ms: None, epoch: None }
    }

    /// The text is not JSON.
    #[must_use]
    pub fn parse_error(error: &serde_json::Error) -> Self {
        Self::detailed(codes::PARSE_ERROR, "parse_error", "not JSON", error)
    }

    /// The text is nested too deep.
    #[must_use]
    pub fn too_deep() -> Self {
        Self::new(codes::PARSE_ERROR, "too_deep", "nested deeper than 32")
    }

    /// The JSON is not a request.
    #[must_use]
    pub fn invalid_request(what: &'static str) -> Self {
        Self::new(codes::INVALID_REQUEST, "invalid_request", what)
    }

    /// A batch of too many.
    #[must_use]
    pub fn batch_too_large() -> Self {
        Self::new(codes::INVALID_REQUEST, "batch_too_large", "a batch has at most 100 requests")
    }

    /// Nobody speaks this method.
    #[must_use]
    pub fn unknown_method() -> Self {
        Self::new(codes::UNKNOWN_METHOD, "unknown_method", "there is no such method")
    }

    /// The method is for live connections.
    #[must_use]
    pub fn needs_session() -> Self {
        Self::new(codes::UNKNOWN_METHOD, "needs_session", "this method needs a live session: use /ws")
    }

    /// The protocol that the request came over has its own way for this.
    #[must_use]
    pub fn not_over_this_protocol() -> Self {
        let message = "not by JSON-RPC in MQTT: CONNECT opens a session, SUBSCRIBE and UNSUBSCRIBE say what it follows";
        Self::new(codes::FORBIDDEN, "not_allowed", message)
    }

    /// Wrong or missing parameters; `detail` says which.
    #[must_use]
    pub fn invalid_params(detail: impl std::fmt::Display) -> Self {
        let reason = Reason::InvalidParams;
        Self::detailed(codes::INVALID_PARAMS, reason.word(), reason.text(), detail)
    }

    /// A cursor of another epoch than `epoch`.
    #[must_use]
    pub fn resync(epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..Self::from(Reason::Resync) }
    }

    fn detailed(code: i32, reason: &'static str, text: &str, detail: impl std::fmt::Display) -> Self {
        let mut message = format!("{text}: {detail}");
        message.truncate(beginning(&message, text.len() + MAX_DETAIL_BYTES).len());
        Self::new(code, reason, message)
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.code {
            codes::UNAUTHORIZED => 401,
            codes::FORBIDDEN => 403,
            codes::NOT_FOUND => 404,
            codes::CONFLICT => 409,
            codes::TOO_LARGE => 413,
            codes::RATE_LIMITED => 429,
            codes::UNAVAILABLE => 503,
            _ => 400,
        }
    }

    /// Appends the error object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"code\":");
        if self.code < 0 {
            out.push(b'-');
        }
        write_number(self.code.unsigned_abs().into(), out);
        out.extend_from_slice(b",\"message\":");
        write_string(&self.message, out);
        out.extend_from_slice(b",\"data\":{\"reason\":");
        write_string(self.reason, out);
        if let Some(ms) = self.retry_after_ms {
            out.extend_from_slice(b",\"retry_after_ms\":");
            write_number(ms, out);
        }
        if let Some(epoch) = self.epoch {
            out.extend_from_slice(b",\"epoch\":\"");
            write_number(epoch, out);
            out.push(b'"');
        }
        out.extend_from_slice(b"}}");
    }
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        let code = match reason.class() {
            Class::Unauthorized => codes::UNAUTHORIZED,
            Class::Forbidden => codes::FORBIDDEN,
            Class::NotFound => codes::NOT_FOUND,
            Class::Conflict => codes::CONFLICT,
            Class::TooLarge => codes::TOO_LARGE,
            Class::RateLimited => codes::RATE_LIMITED,
            Class::Unavailable => codes::UNAVAILABLE,
            Class::Invalid => codes::INVALID_PARAMS,
        };
        Self::new(code, reason.word(), reason.text())
    }
}

impl From<Reject> for Fault {
    fn from(reject: Reject) -> Self {
        Self { retry_after_ms: reject.retry_after_ms, ..reject.reason.into() }
    }
}
