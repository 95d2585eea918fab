//! `POST /api/notify`: a service of the organisers tells the Socket.IO clients of some people something.

use hallway_broker::reject::Reason;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Serialize;

use super::App;
use super::answer::{Answer, json, refused};
use super::credential::Credential;
use super::request::json_text;
use crate::rpc::{self, Fault};
use crate::socketio::notify::Notify;

#[derive(Serialize)]
struct Told {
    /// Connections.
    sockets: usize,
}

pub async fn notify<A: App>(app: &A, request: Request<Incoming>) -> Answer {
    let Some(credential) = Credential::of(request.headers(), request.uri()) else {
        return refused(&Reason::NoSession.into());
    };
    let text = match json_text(request, app.settings().body_bytes).await {
        Ok(text) => text,
        Err(refusal) => return *refusal,
    };
    let told = match read(&text) {
        Ok(wanted) => app.notify(wanted, &credential).await,
        Err(fault) => Err(fault),
    };
    match told {
        Ok(sockets) => json(StatusCode::ACCEPTED, &Told { sockets }),
        Err(fault) => refused(&fault),
    }
}

fn read(text: &str) -> Result<Notify, Fault> {
    rpc::check_depth(text)?;
    serde_json::from_str(text).map_err(|error| if error.is_data() { Fault::invalid_params(error) } else { Fault::parse_error(&error) })
}
