//! `POST /rpc`: one JSON-RPC message for whoever shows a token or ticket; with `Hallway-Session`, for one of their streams of events.

use hallway_broker::reject::Reason;
use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{Request, StatusCode};

use super::App;
use super::answer::{Answer, JSON, empty, refused, with_body};
use super::client::Client;
use super::credential::Credential;
use super::request::json_text;

/// Names the stream of events that the request is for.
const SESSION: HeaderName = HeaderName::from_static("hallway-session");

pub async fn call<A: App>(app: &A, request: Request<Incoming>, client: &Client) -> Answer {
    let Some(credential) = Credential::of(request.headers(), request.uri()) else {
        return refused(&Reason::NoSession.into());
    };
    let session = request.headers().get(SESSION).map(|id| id.to_str().unwrap_or_default().to_owned());
    let text = match json_text(request, app.settings().body_bytes).await {
        Ok(text) => text,
        Err(refusal) => return *refusal,
    };
    match app.rpc(&text, &credential, session.as_deref(), client).await {
        Ok(Some(answer)) => with_body(StatusCode::OK, JSON, answer),
        Ok(None) => empty(StatusCode::NO_CONTENT),
        Err(fault) => refused(&fault),
    }
}
