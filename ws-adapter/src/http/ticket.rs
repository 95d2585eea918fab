//! `/ticket`: a token in a header for a ticket in a URL, good once and for a moment.

use hallway_broker::reject::Reason;
use hyper::header::ACCEPT;
use hyper::{HeaderMap, StatusCode, Uri};

use super::App;
use super::answer::{Answer, json, refused, with_body};
use super::credential::Credential;

pub async fn issue<A: App>(app: &A, headers: &HeaderMap, uri: &Uri) -> Answer {
    // A ticket buys no ticket: that would make it good for ever.
    let Some(Credential::Token(token)) = Credential::of(headers, uri) else {
        return refused(&Reason::NoSession.into());
    };
    match app.ticket(&token).await {
        Ok(ticket) if wants_text(headers) => with_body(StatusCode::OK, "text/plain; charset=utf-8", ticket.ticket),
        Ok(ticket) => json(StatusCode::OK, &ticket),
        Err(fault) => refused(&fault),
    }
}

/// Whether plain text is asked for, and JSON is not.
fn wants_text(headers: &HeaderMap) -> bool {
    let asked = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let mut types = asked.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    types.find(|kind| ["text/plain", "application/json", "application/*", "*/*"].contains(kind)) == Some("text/plain")
}
