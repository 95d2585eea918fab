//! Google's push service (FCM, HTTP v1).

use std::sync::Arc;

use bytes::Bytes;
use hallway_broker::clock::Clock;
use hallway_broker::model::{Provider, Target};
use hallway_broker::outward::{Failure, Outward, Request, Response, StatusCode};
use hallway_broker::push::gateway::{Gateway, Push, Sending, Sent};
use hallway_broker::reject::Reject;
use serde::Deserialize;
use serde_json::json;

use super::answer::{BOUNDS, failed, is_passing, later, word};
use super::fit::fit;
use super::oauth::{AccessTokens, ServiceAccount};
use super::options::{FcmOptions, GatewayError};
use super::payload::{json, leading, thread, time, title};
use super::place;

/// Largest message.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Longest registration token.
const MAX_TOKEN_BYTES: usize = 1024;
/// How long is waited at least after 429, when Google does not say.
const QUOTA_WAIT: std::time::Duration = std::time::Duration::from_secs(60);

/// See the module's text.
pub struct Fcm {
    outward: Arc<Outward>,
    tokens: AccessTokens,
    /// Where messages of the project are sent.
    url: String,
    clock: Arc<dyn Clock>,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Sent(Sent),
    /// With another access token it may be taken.
    Expired,
}

impl Fcm {
    /// The gateway, if there is a service account.
    ///
    /// # Errors
    /// The account's key cannot be used.
    pub fn open(options: &FcmOptions, outward: Outward, clock: &Arc<dyn Clock>) -> Result<Option<Self>, GatewayError> {
        let Some(path) = &options.service_account_file else { return Ok(None) };
        let (account, outward) = (ServiceAccount::read(path)?, Arc::new(outward));
        let url = format!("{}/v1/projects/{}/messages:send", options.url().trim_end_matches('/'), account.project_id);
        let tokens = AccessTokens::new(account, path, options.token_url.as_deref(), Arc::clone(&outward), Arc::clone(clock))?;
        Ok(Some(Self { outward, tokens, url, clock: Arc::clone(clock) }))
    }

    async fn deliver(&self, target: &Target, push: &Push) -> Sent {
        let Some(message) = message(target, push).map(Bytes::from) else { return Sent::Refused("the push is too large".to_owned()) };
        for _ in 0..2 {
            let token = match self.tokens.current().await {
                Ok(token) => token,
                Err(sent) => return sent,
            };
            let verdict = match self.post(&token, message.clone()).await {
                Ok(answer) => verdict(&answer, self.clock.now_ms()),
                Err(failure) => Verdict::Sent(failed(&failure)),
            };
            match verdict {
                Verdict::Sent(sent) => return sent,
                Verdict::Expired => self.tokens.forget(&token),
            }
        }
        Sent::Refused("UNAUTHENTICATED".to_owned())
    }

    async fn post(&self, token: &str, message: Bytes) -> Result<Response<Bytes>, Failure> {
        let request = Request::post(&self.url).header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(message);
        self.outward.send(request.map_err(|_| Failure::Url("push.fcm.url is none"))?, BOUNDS).await
    }
}

impl Gateway for Fcm {
    fn provider(&self) -> Provider {
        Provider::Fcm
    }

    fn check(&self, target: &Target) -> Result<(), Reject> {
        place::token(&target.address, MAX_TOKEN_BYTES)
    }

    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a> {
        Box::pin(self.deliver(target, push))
    }
}

fn message(target: &Target, push: &Push) -> Option<Vec<u8>> {
    fit(&push.text, MAX_MESSAGE_BYTES, |text| {
        json(&json!({
            "message": {
                "token": &*target.address,
                "notification": { "title": title(push), "body": text },
                // Google keeps the key `from` for itself.
                "data": leading(push, json!({
                    "conference": push.conference.as_str(),
                    "kind": push.kind.word(),
                    "sender": &*push.from,
                    "unread": push.unread.to_string(),
                    "badge": push.badge.to_string(),
                    "collapse": &*push.collapse,
                    "mentions": push.mentions.to_string(),
                    "ts": time(push),
                }), |seq| seq.to_string().into()),
                "android": {
                    "collapse_key": &*push.collapse,
                    "priority": if push.is_urgent() { "HIGH" } else { "NORMAL" },
                    "ttl": format!("{}s", push.time_to_live.as_secs()),
                    "notification": { "tag": &*push.collapse },
                },
                "apns": {
                    "headers": { "apns-collapse-id": &*push.collapse },
                    "payload": { "aps": { "badge": push.badge, "sound": "default", "thread-id": thread(push) } },
                },
            },
        }))
    })
}

/// The body of an answer that is not 200 (google.rpc.Status).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: Error,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    status: String,
    message: String,
    details: Vec<Detail>,
}

/// One of several types: of `FcmError` it has the code, of `BadRequest` and `QuotaFailure` the violations, of `ErrorInfo` the reason.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    error_code: String,
    field_violations: Vec<Violation>,
    violations: Vec<Violation>,
    reason: String,
}

/// Of a field, or of a quota: the subject has that.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Violation {
    field: String,
    subject: String,
}

impl Error {
    /// Google's code of push, or the general one.
    fn code(&self) -> &str {
        let of_push = self.details.iter().map(|detail| detail.error_code.as_str()).find(|code| !code.is_empty());
        of_push.unwrap_or(&self.status)
    }

    /// What it does not take is the device's token.
    fn is_about_token(&self) -> bool {
        let mut violations = self.details.iter().flat_map(|detail| &detail.field_violations);
        violations.any(|violation| violation.field == "message.token") || self.message.contains("not a valid FCM registration token")
    }

    /// The quota that is used up says that it is the project's, not a device's (google.rpc.QuotaFailure, `google.rpc.ErrorInfo`).
    fn is_about_project(&self) -> bool {
        self.details.iter().any(|detail| {
            detail.reason == "RATE_LIMIT_EXCEEDED" || detail.violations.iter().any(|violation| violation.subject.starts_with("project"))
        })
    }
}

/// Google's statuses and codes.
fn verdict(answer: &Response<Bytes>, now_ms: u64) -> Verdict {
    let status = answer.status();
    if status.is_success() {
        return Verdict::Sent(Sent::Accepted);
    }
    let Answer { error } = serde_json::from_slice(answer.body()).unwrap_or_default();
    let why = || if error.code().is_empty() { format!("status {}", status.as_u16()) } else { word(error.code()) };
    Verdict::Sent(match (status, error.code()) {
        (_, "UNREGISTERED") => Sent::Gone,
        (StatusCode::BAD_REQUEST, _) if error.is_about_token() => Sent::Gone,
        (StatusCode::UNAUTHORIZED, code) if code != "THIRD_PARTY_AUTH_ERROR" => return Verdict::Expired,
        (StatusCode::TOO_MANY_REQUESTS, _) => match later(answer, now_ms, why()) {
            Sent::Later { after, why } if error.is_about_project() => Sent::Later { after: after.or(Some(QUOTA_WAIT)), why },
            Sent::Later { after, why } => Sent::Throttled { after: after.or(Some(QUOTA_WAIT)), why },
            sent => sent,
        },
        _ if is_passing(status) => later(answer, now_ms, why()),
        _ => Sent::Refused(why()),
    })
}

#[cfg(test)]
mod tests;
