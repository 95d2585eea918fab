//! `GET /events`: a stream of Server-Sent Events (HTML §9.2), for browsers' `EventSource` and networks that break WebSockets.

use hallway_broker::reject::Reason;
use hyper::header::HeaderName;
use hyper::{Request, StatusCode};

use super::answer::{Answer, refused, set, with_body};
use super::body::Body;
use super::client::Client;
use super::credential::Credential;
use super::{App, query};
use crate::events::EventsWanted;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What proxies that hold answers back are told.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Opens one.
pub async fn stream<A: App, B>(app: &A, request: &Request<B>, client: &Client) -> Answer {
    let (uri, headers) = (request.uri(), request.headers());
    let Some(credential) = Credential::of(headers, uri) else { return refused(&Reason::NoSession.into()) };
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned).or_else(|| query::value(uri, "lastEventId"));
    let wanted = EventsWanted {
        credential,
        conversations: query::value(uri, "conversations").filter(|list| !list.is_empty()),
        device: query::value(uri, "device"),
        last: last.filter(|id| !id.is_empty()),
    };
    match app.events(wanted, client).await {
        Ok(events) => {
            let mut answer = with_body(StatusCode::OK, "text/event-stream", "");
            set(&mut answer, BUFFERING, "no");
            *answer.body_mut() = Body::Events(events);
            answer
        }
        Err(fault) => refused(&fault),
    }
}
