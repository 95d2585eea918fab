//! A request as a gateway sees it, its answer, and how JSON is looked at strictly.

use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hyper::Version;
use hyper::body::{Body, Frame};
use serde_json::Value;
use tokio::time::{Interval, interval};

/// What [`Payload::Endless`] comes to.
const ENDLESS_BYTES: usize = 10 << 20;
const PIECE_BYTES: usize = 16 << 10;

/// A request, whole.
#[derive(Debug, Clone)]
pub struct Request {
    /// HTTP/1.1 or 2.
    pub version: Version,
    /// The method.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// The headers, names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When it came, Unix seconds.
    pub at_s: u64,
}

impl Request {
    /// A header, if it is there.
    ///
    /// # Errors
    /// It is there twice.
    pub fn optional(&self, name: &str) -> Result<Option<&str>> {
        let mut found = self.headers.iter().filter(|(have, _)| have == name).map(|(_, value)| value.as_str());
        let first = found.next();
        ensure!(found.next().is_none(), "the header {name} is there twice");
        Ok(first)
    }

    /// A header.
    ///
    /// # Errors
    /// It is missing, or there twice.
    pub fn header(&self, name: &str) -> Result<&str> {
        self.optional(name)?.with_context(|| format!("no header {name}"))
    }

    /// A header that is a number.
    ///
    /// # Errors
    /// It is missing, there twice, or something else.
    pub fn number(&self, name: &str) -> Result<u64> {
        let value = self.header(name)?;
        ensure!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()), "{name} is {value:?}, not a number");
        Ok(value.parse()?)
    }

    /// What follows a word like `Bearer` in `Authorization`.
    ///
    /// # Errors
    /// Something else is there.
    pub fn authorization(&self, scheme: &str) -> Result<&str> {
        let value = self.header("authorization")?;
        let (word, rest) = value.split_once(' ').unwrap_or((value, ""));
        // RFC 9110 §11.1: the scheme in any case.
        ensure!(word.eq_ignore_ascii_case(scheme) && !rest.is_empty(), "Authorization is not '{scheme} …'");
        Ok(rest)
    }

    /// The body as text.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).context("the body is not UTF-8")
    }

    /// The body as JSON, with the content type that says so.
    ///
    /// # Errors
    /// It is something else.
    pub fn json(&self) -> Result<Value> {
        let kind = self.header("content-type")?;
        ensure!(kind.split(';').next() == Some("application/json"), "the content type is {kind}");
        serde_json::from_slice(&self.body).context("the body is not JSON")
    }

    /// It is a POST.
    ///
    /// # Errors
    /// It is not.
    pub fn is_post(&self) -> Result<()> {
        ensure!(self.method == "POST", "a {}", self.method);
        Ok(())
    }
}

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// A status, headers, and a body.
    Of(u16, Vec<(&'static str, String)>, Payload),
    /// Nothing, ever.
    Never,
}

impl Reply {
    /// A status with nothing.
    #[must_use]
    pub fn empty(status: u16) -> Reply {
        Reply::Of(status, Vec::new(), Payload::Whole(None))
    }

    /// A status with JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Reply {
        Reply::Of(status, vec![("content-type", "application/json".into())], Payload::Whole(Some(body.to_string().into())))
    }

    /// The same with a header, when there is something to say in it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<String>) -> Reply {
        if let (Reply::Of(_, headers, _), Some(value)) = (&mut self, value) {
            headers.push((name, value));
        }
        self
    }

    /// The same with how many seconds to wait before another try, when that is said.
    #[must_use]
    pub fn again_after(self, seconds: Option<u64>) -> Reply {
        self.with("retry-after", seconds.map(|seconds| seconds.to_string()))
    }

    /// 200, and more than anybody wants to read.
    #[must_use]
    pub fn endless() -> Reply {
        Reply::Of(200, Vec::new(), Payload::Endless(ENDLESS_BYTES))
    }

    /// 200, and a byte now and then. Within a runtime only.
    #[must_use]
    pub fn drip() -> Reply {
        Reply::Of(200, Vec::new(), Payload::Drip(interval(Duration::from_millis(200))))
    }
}

/// A body.
#[derive(Debug)]
pub enum Payload {
    /// At once.
    Whole(Option<Bytes>),
    /// So many bytes, as fast as they are taken.
    Endless(usize),
    /// A byte each time, for ever.
    Drip(Interval),
}

impl Body for Payload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = match &mut *self {
            Payload::Whole(bytes) => bytes.take(),
            Payload::Endless(0) => None,
            Payload::Endless(left) => {
                let count = PIECE_BYTES.min(*left);
                *left -= count;
                Some(vec![b' '; count].into())
            }
            Payload::Drip(interval) => {
                std::task::ready!(interval.poll_tick(task));
                Some(Bytes::from_static(b" "))
            }
        };
        Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

// ---- JSON ----

/// Members that say where the message is: not there in a direct conversation with somebody who wants no content.
pub const AT: [&str; 3] = ["conversation", "seq", "id"];

/// An object with these members and no others.
///
/// # Errors
/// It is something else.
pub fn has_members(value: &Value, required: &[&str], optional: &[&str]) -> Result<()> {
    let Some(members) = value.as_object() else { bail!("{value} is no object") };
    for name in required {
        ensure!(members.contains_key(*name), "no member {name:?} in {value}");
    }
    for name in members.keys() {
        ensure!(required.contains(&name.as_str()) || optional.contains(&name.as_str()), "an unknown member {name:?} in {value}");
    }
    Ok(())
}

/// A member that is text.
///
/// # Errors
/// It is something else, or missing.
pub fn text(value: &Value, name: &str) -> Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("{name} is {}, not text", value[name]))
}

/// A member that is a number, not negative.
///
/// # Errors
/// It is something else, or missing.
pub fn number(value: &Value, name: &str) -> Result<u64> {
    value[name].as_u64().with_context(|| format!("{name} is {}, not a number", value[name]))
}

/// Where the message is: conversation, seq, id. All of them or, when the author is not told either, none.
///
/// # Errors
/// It is something else.
pub fn place(value: &Value, from: &str, number: impl Fn(&Value, &str) -> Result<u64>) -> Result<(String, u64, String)> {
    if from.is_empty() && AT.iter().all(|name| value.get(name).is_none()) {
        return Ok((String::new(), 0, String::new()));
    }
    Ok((text(value, AT[0])?, number(value, AT[1])?, text(value, AT[2])?))
}

/// A member that is a number written as text.
///
/// # Errors
/// It is something else, or missing.
pub fn number_as_text(value: &Value, name: &str) -> Result<u64> {
    let written = text(value, name)?;
    written.parse().with_context(|| format!("{name} is {written:?}, not a number as text"))
}
