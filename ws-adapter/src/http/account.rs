//! `/api/register` and `/api/login`.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::App;
use super::answer::{Answer, Refusal, json, refused};
use super::client::Client;
use super::request::json_text;
use crate::rpc::Fault;
use crate::types::account::SignedIn;

/// Longest body of a sign-in, in bytes: nothing in it is long.
const MAX_BODY_BYTES: usize = 16 * 1024;

pub async fn register<A: App>(app: &A, request: Request<Incoming>, client: &Client) -> Answer {
    match body(request).await {
        Ok(wanted) => signed_in(StatusCode::CREATED, app.register(wanted, client).await),
        Err(refusal) => *refusal,
    }
}

pub async fn login<A: App>(app: &A, request: Request<Incoming>, client: &Client) -> Answer {
    match body(request).await {
        Ok(login) => signed_in(StatusCode::OK, app.login(login, client).await),
        Err(refusal) => *refusal,
    }
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let text = json_text(request, MAX_BODY_BYTES).await?;
    serde_json::from_str(&text).map_err(|error| {
        let fault = if error.is_data() { Fault::invalid_params(error) } else { Fault::parse_error(&error) };
        refused(&fault).into()
    })
}

fn signed_in(status: StatusCode, outcome: Result<SignedIn, Fault>) -> Answer {
    outcome.map_or_else(|fault| refused(&fault), |signed_in| json(status, &signed_in))
}
