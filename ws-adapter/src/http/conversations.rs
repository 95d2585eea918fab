//! The REST neighbours of a conversation's own WebSocket: `GET /api/conversations` and `POST /api/groups/leave`. See COMPATIBILITY.md.

use hallway_broker::reject::Reason;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode, Uri};

use super::App;
use super::answer::{Answer, JSON, json, refused, with_body};
use super::credential::Credential;
use super::request::json_text;
use crate::types::{ConversationParams, Empty, params_of};

/// Lists the conversations of whoever asks.
pub async fn list<A: App>(app: &A, headers: &HeaderMap, uri: &Uri) -> Answer {
    let Some(credential) = Credential::of(headers, uri) else { return refused(&Reason::NoSession.into()) };
    match app.conversations(&credential).await {
        Ok(list) => with_body(StatusCode::OK, JSON, list),
        Err(fault) => refused(&fault),
    }
}

/// Whoever asks stops being a member.
pub async fn leave<A: App>(app: &A, request: Request<Incoming>) -> Answer {
    let Some(credential) = Credential::of(request.headers(), request.uri()) else { return refused(&Reason::NoSession.into()) };
    let text = match json_text(request, app.settings().body_bytes).await {
        Ok(text) => text,
        Err(refusal) => return *refusal,
    };
    let left = match params_of::<ConversationParams<'_>>(&text) {
        Ok(wanted) => app.leave(&credential, &wanted.conversation).await,
        Err(fault) => Err(fault),
    };
    match left {
        Ok(()) => json(StatusCode::OK, &Empty {}),
        Err(fault) => refused(&fault),
    }
}
