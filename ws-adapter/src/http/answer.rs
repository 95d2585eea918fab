//! Responses: JSON, refusals in the protocol's shape, and the headers that all of them have.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::body::Body;
use crate::rpc::{Fault, codes};

pub type Answer = Response<Body>;

/// An answer that ends a request early.
pub type Refusal = Box<Answer>;

pub const JSON: &str = "application/json";

/// A response with a body of a type.
pub fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::Full(Full::new(body.into())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = with_body(status, JSON, Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => with_body(status, JSON, body),
        Err(error) => {
            tracing::error!(%error, "an answer that is not JSON");
            refused(&hallway_broker::reject::Reason::StoreError.into())
        }
    }
}

/// A refusal with its own status.
pub fn refused(fault: &Fault) -> Answer {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
    refused_with(status, fault)
}

/// A refusal with a status that says more than the fault's own.
pub fn refused_with(status: StatusCode, fault: &Fault) -> Answer {
    let mut body = b"{\"error\":".to_vec();
    fault.write(&mut body);
    body.push(b'}');
    let mut answer = with_body(status, JSON, body);
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(ms) = fault.retry_after_ms {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    answer
}

pub fn no_such_path() -> Answer {
    refused(&Fault::new(codes::NOT_FOUND, "unknown_path", "there is nothing at this path"))
}

pub fn method_not_allowed(allowed: &'static str) -> Answer {
    let fault = Fault::new(codes::FORBIDDEN, "not_allowed", format!("only {allowed} here"));
    let mut answer = refused_with(StatusCode::METHOD_NOT_ALLOWED, &fault);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// PROTOCOL.md: 403 for a Host or Origin that is not ours.
pub fn not_ours(what: &'static str) -> Answer {
    refused(&Fault::new(codes::FORBIDDEN, "not_allowed", what))
}

pub fn set(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
}
