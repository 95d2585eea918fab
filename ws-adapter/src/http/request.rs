//! Reading a request: its body within bounds, its token.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{HeaderMap, Request, StatusCode};

use super::BODY_TIMEOUT;
use super::answer::{Refusal, refused, refused_with};
use crate::rpc::{Fault, codes};
use hallway_broker::reject::Reason;

/// Bytes over the bound that are read and forgotten, besides the bound itself.
const DISCARD_BYTES: usize = 64 * 1024;

/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The body of a request that must be JSON text of at most `most` bytes.
///
/// # Errors
/// The refusal to answer with: 415, 413, 408, or 400 when it is not UTF-8.
pub async fn json_text(request: Request<Incoming>, most: usize) -> Result<String, Refusal> {
    if !is_json(request.headers()) {
        let fault = Fault::new(codes::INVALID_REQUEST, "invalid_request", "the content type must be application/json");
        return Err(refused_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, &fault).into());
    }
    body_text(request, most).await
}

/// The body of a request that must be text of at most `most` bytes, whatever it says of its type.
///
/// # Errors
/// The refusal to answer with: 413, 408, or 400 when it is not UTF-8.
pub async fn body_text(request: Request<Incoming>, most: usize) -> Result<String, Refusal> {
    match tokio::time::timeout(BODY_TIMEOUT, read(request.into_body(), most)).await {
        Ok(read) => utf8(read.map_err(|fault| refused(&fault))?),
        Err(_) => {
            let fault = Fault::invalid_request("the body did not come in time");
            Err(refused_with(StatusCode::REQUEST_TIMEOUT, &fault).into())
        }
    }
}

/// Reads a body of at most `most` bytes. One whose length says that it is over takes no memory.
async fn read(mut body: Incoming, most: usize) -> Result<Bytes, Fault> {
    if body.size_hint().lower() <= most as u64 {
        match Limited::new(&mut body, most).collect().await {
            Ok(read) => return Ok(read.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(_) => return Err(Fault::invalid_request("the body broke off")),
        }
    }
    discard(&mut body, most.saturating_add(DISCARD_BYTES)).await;
    Err(too_large())
}

/// Reads on up to `most` bytes and forgets them. A client that only claims a length, or is slow, is not waited for.
pub async fn discard(body: &mut Incoming, most: usize) {
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, read_on(body, most)).await;
}

/// A client that is still sending when the connection closes never sees the answer.
async fn read_on(body: &mut Incoming, most: usize) {
    let mut left = most;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(1, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

fn utf8(bytes: Bytes) -> Result<String, Refusal> {
    String::from_utf8(bytes.into()).map_err(|_| refused(&Fault::new(codes::PARSE_ERROR, "parse_error", "the body is not UTF-8")).into())
}

fn too_large() -> Fault {
    Fault { message: "the body is over limits.frame_bytes".into(), ..Reason::TooLarge.into() }
}

/// `application/json`, with parameters or without. A form of another site cannot send this without a preflight.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
