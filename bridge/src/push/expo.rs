//! Expo's push service. Pushes that come within a moment go in one request, as Expo asks of who sends many; what became of those that it took is in
//! [`receipts`].

mod receipts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hallway_broker::clock::Clock;
use hallway_broker::model::{Kind, Provider, Target};
use hallway_broker::outward::{Bounds, Failure, Outward, Request, Response, StatusCode};
use hallway_broker::push::gateway::{Departed, Gateway, Push, Sending, Sent};
use hallway_broker::reject::{Reason, Reject};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::answer::{BOUNDS, failed, is_passing, later, throttled, word};
use super::fit::fit;
use super::options::ExpoOptions;
use super::payload::{json, leading, time, title};
use receipts::{Receipts, Ticket};

/// Largest message.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Most messages in a request.
const MAX_BATCH: usize = 100;
/// How long the first one waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// How long a batch may take with all its requests: whoever sends a push waits for 30 s.
const WHOLE: Duration = Duration::from_secs(28);
/// For receipts: each is some 100 bytes, with an error more.
const OF_RECEIPTS: Bounds = Bounds { body_bytes: 512 * 1024, ..BOUNDS };
/// Longest name in a token's brackets.
const MAX_NAME_BYTES: usize = 128;

/// See the module's text.
pub struct Expo(Arc<Inner>);

struct Inner {
    outward: Outward,
    options: ExpoOptions,
    clock: Arc<dyn Clock>,
    /// What goes with the next request.
    waiting: Mutex<Vec<Waiting>>,
    receipts: Receipts,
}

/// A message, and who waits for what becomes of it.
struct Waiting {
    message: Box<RawValue>,
    whose: Departed,
    sent: oneshot::Sender<Sent>,
}

impl Expo {
    /// A gateway that goes out by `outward`.
    #[must_use]
    pub fn new(options: ExpoOptions, outward: Outward, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { outward, options, clock, waiting: Mutex::default(), receipts: Receipts::default() }))
    }

    async fn deliver(&self, target: &Target, push: &Push) -> Sent {
        let message = message(target, push).and_then(|message| serde_json::from_slice(&message).ok());
        let Some(message) = message else { return Sent::Refused("the push is too large".to_owned()) };
        let (sent, told) = oneshot::channel();
        let (conference, user) = (push.conference.clone(), push.user.clone());
        let whose = Departed { target: target.id(&user), conference, user, since_ms: target.since_ms };
        self.0.add(Waiting { message, whose, sent });
        told.await.unwrap_or_else(|_| Sent::Later { after: None, why: "given up".to_owned() })
    }
}

impl Gateway for Expo {
    fn provider(&self) -> Provider {
        Provider::Expo
    }

    fn check(&self, target: &Target) -> Result<(), Reject> {
        if is_token(&target.address) { Ok(()) } else { Err(Reason::BadTarget.into()) }
    }

    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a> {
        Box::pin(self.deliver(target, push))
    }

    fn departed(&self) -> Vec<Departed> {
        let due = self.0.receipts.take_due(self.0.clock.elapsed(), self.0.options.receipts_after());
        if !due.is_empty() {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move { inner.ask_for(due).await });
        }
        self.0.receipts.take_departed()
    }
}

/// `ExponentPushToken[…]` or `ExpoPushToken[…]`.
fn is_token(text: &str) -> bool {
    let name =
        text.strip_prefix("ExponentPushToken[").or_else(|| text.strip_prefix("ExpoPushToken[")).and_then(|rest| rest.strip_suffix(']'));
    let may = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.is_some_and(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(may))
}

fn message(target: &Target, push: &Push) -> Option<Vec<u8>> {
    let is_urgent = push.mentions || push.kind == Kind::Direct;
    fit(&push.text, MAX_MESSAGE_BYTES, |text| {
        json(&json!({
            "to": &*target.address,
            "title": title(push),
            "body": text,
            "badge": push.badge,
            "sound": "default",
            "ttl": push.time_to_live.as_secs(),
            "priority": if is_urgent { "high" } else { "default" },
            "mutableContent": true,
            "data": leading(push, json!({
                "conference": push.conference.as_str(),
                "kind": push.kind.word(),
                "from": &*push.from,
                "unread": push.unread,
                "collapse": &*push.collapse,
                "mentions": push.mentions,
                "ts": time(push),
            }), Into::into),
        }))
    })
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message along; the first of a request sees to it that it goes.
    fn add(self: &Arc<Self>, one: Waiting) {
        let mut waiting = self.lock();
        waiting.push(one);
        let full = if waiting.len() >= MAX_BATCH { std::mem::take(&mut *waiting) } else { Vec::new() };
        let is_first = waiting.len() == 1;
        drop(waiting);
        let inner = Arc::clone(self);
        if !full.is_empty() {
            tokio::spawn(async move { inner.request(full).await });
        } else if is_first {
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                let batch = std::mem::take(&mut *inner.lock());
                inner.request(batch).await;
            });
        }
    }

    /// Sends a batch, and tells everybody what became of theirs.
    async fn request(&self, mut batch: Vec<Waiting>) {
        // Whose push was given up meanwhile does not wait any more.
        batch.retain(|waiting| !waiting.sent.is_closed());
        if batch.is_empty() {
            return;
        }
        let (messages, told): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.message, (one.whose, one.sent))).unzip();
        let until = Instant::now() + WHOLE;
        let answer = self.send(&messages).await;
        let is_refused = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::BAD_REQUEST);
        let outcomes = if is_refused && messages.len() > 1 {
            // One of them spoils it for all, or they are of different projects.
            self.each_on_its_own(&messages, until).await
        } else {
            outcomes(&answer, messages.len(), self.clock.now_ms())
        };
        for (Outcome { sent, ticket }, (whose, told)) in outcomes.into_iter().zip(told) {
            if let Some(id) = ticket {
                self.receipts.note(id, whose, self.clock.elapsed());
            }
            let _ = told.send(sent);
        }
    }

    /// What becomes of each; those for which there is no time any more are tried again, and others are not held up by them.
    async fn each_on_its_own(&self, messages: &[Box<RawValue>], until: Instant) -> Vec<Outcome> {
        let mut all = Vec::with_capacity(messages.len());
        for message in messages {
            if Instant::now() + BOUNDS.timeout > until {
                break;
            }
            let answer = self.send(std::slice::from_ref(message)).await;
            all.extend(outcomes(&answer, 1, self.clock.now_ms()));
        }
        all.resize(messages.len(), Sent::Throttled { after: None, why: "no time left".to_owned() }.into());
        all
    }

    /// Asks once what became of pushes that were taken.
    async fn ask_for(&self, tickets: Vec<Ticket>) {
        let ids: Vec<&str> = tickets.iter().map(|ticket| ticket.id.as_str()).collect();
        let body = json(&json!({ "ids": ids }));
        match self.post(&self.options.receipts_url(), body.into(), OF_RECEIPTS).await {
            Ok(answer) if answer.status().is_success() => {
                for (error, count) in self.receipts.settle(tickets, answer.body()) {
                    tracing::warn!(error, count, "Expo took pushes that did not get through");
                }
            }
            Ok(answer) => tracing::info!(status = answer.status().as_u16(), "Expo gives no receipts"),
            Err(failure) => tracing::info!(%failure, "Expo gives no receipts"),
        }
    }

    async fn send(&self, messages: &[Box<RawValue>]) -> Result<Response<Bytes>, Failure> {
        let body = to_raw_value(messages).map(|body| Bytes::from(body.get().to_owned())).unwrap_or_default();
        self.post(self.options.url(), body, BOUNDS).await
    }

    async fn post(&self, url: &str, body: Bytes, bounds: Bounds) -> Result<Response<Bytes>, Failure> {
        let mut request = Request::post(url).header("content-type", "application/json").header("accept", "application/json");
        if let Some(token) = &self.options.access_token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.outward.send(request.body(body).map_err(|_| Failure::Url("push.expo is not of a form that can be sent"))?, bounds).await
    }
}

/// What became of a message, and the ticket by which more is learned later.
#[derive(Debug, Clone)]
struct Outcome {
    sent: Sent,
    ticket: Option<String>,
}

impl From<Sent> for Outcome {
    fn from(sent: Sent) -> Self {
        Self { sent, ticket: None }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    data: Vec<Told>,
    errors: Vec<RequestError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    status: String,
    id: String,
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RequestError {
    code: String,
}

/// What became of each message of a request.
fn outcomes(answer: &Result<Response<Bytes>, Failure>, count: usize, now_ms: u64) -> Vec<Outcome> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return vec![failed(failure).into(); count],
    };
    let status = answer.status();
    let Answer { data, errors } = serde_json::from_slice(answer.body()).unwrap_or_default();
    if status.is_success() && data.len() == count {
        return data.into_iter().map(|told| outcome(told, answer, now_ms)).collect();
    }
    let code = errors.first().map(|error| word(&error.code)).filter(|code| !code.is_empty());
    let why = code.unwrap_or_else(|| format!("status {}", status.as_u16()));
    // A success that does not speak of the messages is none.
    let one = if status.is_success() || is_passing(status) { later(answer, now_ms, why) } else { Sent::Refused(why) };
    vec![one.into(); count]
}

fn outcome(told: Told, answer: &Response<Bytes>, now_ms: u64) -> Outcome {
    let error = told.details.error.as_str();
    let why = || if error.is_empty() { "an error without a name".to_owned() } else { word(error) };
    let sent = match (told.status.as_str(), error) {
        ("ok", _) => return Outcome { sent: Sent::Accepted, ticket: Some(told.id) },
        (_, "DeviceNotRegistered") => Sent::Gone,
        // Of the service itself, or of those behind it: not of the message.
        (_, "ExpoError" | "ProviderError" | "") => later(answer, now_ms, why()),
        // Too many to the same device.
        (_, "MessageRateExceeded") => throttled(answer, now_ms, why()),
        _ => Sent::Refused(why()),
    };
    sent.into()
}

#[cfg(test)]
mod tests;
