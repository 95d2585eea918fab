//! Apple's push service: HTTP/2, one connection for all, and a provider token that is renewed as Apple wants it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hallway_broker::clock::Clock;
use hallway_broker::model::{Provider, Target};
use hallway_broker::outward::{Failure, Outward, Request, Response, StatusCode};
use hallway_broker::push::gateway::{Gateway, Push, Sending, Sent};
use hallway_broker::reject::{Reason, Reject};
use ring::digest::{Context, SHA256};
use serde::Deserialize;
use serde_json::json;

use super::answer::{BOUNDS, failed, is_passing, later, throttled, word};
use super::fit::fit;
use super::options::{ApnsOptions, GatewayError};
use super::payload::{json, leading, thread, title};
use super::read;
use super::sign::{BadKey, Signer, pkcs8_of_pem};

/// Largest payload of an alert.
const MAX_PAYLOAD_BYTES: usize = 4096;
/// A device token is of 32 bytes, and may grow; in hexadecimal.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 64..=200;
/// Longest bundle id.
const MAX_TOPIC_BYTES: usize = 155;
/// Apple takes a provider token for an hour.
const RENEW_S: u64 = 50 * 60;
/// And does not want another one sooner.
const RENEW_AT_MOST_EVERY_S: u64 = 20 * 60;
/// Characters of key and team ids.
const ID_BYTES: usize = 10;

/// See the module's text.
pub struct Apns {
    outward: Outward,
    options: ApnsOptions,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Sent(Sent),
    /// With another provider token it may be taken.
    Expired,
}

impl Apns {
    /// The gateway, if there is a key; it goes out by `outward`, which speaks HTTP/2.
    ///
    /// # Errors
    /// The key cannot be used, or its ids are missing.
    pub fn open(options: &ApnsOptions, outward: Outward, clock: &Arc<dyn Clock>) -> Result<Option<Self>, GatewayError> {
        let Some(path) = &options.key_file else { return Ok(None) };
        let signer = signer(path.clone())?;
        let id = |key, id: &Option<String>| match id {
            Some(id) if id.len() == ID_BYTES && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(id.clone()),
            _ => Err(GatewayError::Value { key, what: format!("has {ID_BYTES} letters and digits, and push.apns.key_file needs it") }),
        };
        if let Some(topic) = options.topic.as_deref().filter(|topic| !is_topic(topic)) {
            return Err(GatewayError::Value { key: "push.apns.topic", what: format!("'{topic}' is no bundle id") });
        }
        let (key_id, team_id) = (id("push.apns.key_id", &options.key_id)?, id("push.apns.team_id", &options.team_id)?);
        let tokens = Tokens { signer, key_id, team_id, kept: Mutex::default() };
        Ok(Some(Self { outward, options: options.clone(), tokens, clock: Arc::clone(clock) }))
    }

    async fn deliver(&self, target: &Target, push: &Push) -> Sent {
        let Some(payload) = payload(push).map(Bytes::from) else { return Sent::Refused("the push is too large".to_owned()) };
        let now_s = self.clock.now_ms() / 1000;
        let Ok(mut token) = self.tokens.current(now_s) else { return Sent::Refused(BadKey::CannotSign.to_string()) };
        for _ in 0..2 {
            let verdict = match self.post(target, push, &token, payload.clone()).await {
                Ok(answer) => verdict(&answer, self.clock.now_ms()),
                Err(failure) => Verdict::Sent(failed(&failure)),
            };
            match verdict {
                Verdict::Sent(sent) => return sent,
                Verdict::Expired => match self.tokens.after(&token, now_s) {
                    Some(another) => token = another,
                    None => break,
                },
            }
        }
        Sent::Later { after: None, why: "ExpiredProviderToken".to_owned() }
    }

    async fn post(&self, target: &Target, push: &Push, token: &str, payload: Bytes) -> Result<Response<Bytes>, Failure> {
        let url = format!("{}/3/device/{}", self.options.url(target.is_sandbox).trim_end_matches('/'), target.address);
        let expiration = self.clock.now_ms() / 1000 + push.time_to_live.as_secs();
        let request = Request::post(url)
            .header("authorization", format!("bearer {token}"))
            .header("apns-id", id(target, push))
            .header("apns-topic", self.topic(target).unwrap_or_default())
            .header("apns-push-type", "alert")
            .header("apns-priority", 10)
            .header("apns-expiration", expiration)
            .header("apns-collapse-id", &*push.collapse)
            .header("content-type", "application/json")
            .body(payload)
            .map_err(|_| Failure::Url("the device's token or topic is none"))?;
        self.outward.send(request, BOUNDS).await
    }

    /// The bundle id of a target's app.
    fn topic<'a>(&'a self, target: &'a Target) -> Option<&'a str> {
        if target.topic.is_empty() { self.options.topic.as_deref() } else { Some(&*target.topic) }
    }
}

impl Gateway for Apns {
    fn provider(&self) -> Provider {
        Provider::Apns
    }

    fn check(&self, target: &Target) -> Result<(), Reject> {
        let token = &target.address;
        let is_token =
            TOKEN_BYTES.contains(&token.len()) && token.len().is_multiple_of(2) && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_token && self.topic(target).is_some_and(is_topic) { Ok(()) } else { Err(Reason::BadTarget.into()) }
    }

    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a> {
        Box::pin(self.deliver(target, push))
    }
}

fn is_topic(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !text.is_empty() && text.len() <= MAX_TOPIC_BYTES && text.bytes().all(may)
}

fn signer(path: PathBuf) -> Result<Signer, GatewayError> {
    let key = "push.apns.key_file";
    let pem = read(key, &path)?;
    let signer = pkcs8_of_pem(&String::from_utf8_lossy(&pem)).and_then(|pkcs8| Signer::es256(&pkcs8));
    signer.map_err(|error| GatewayError::bad_key(key, path, &error))
}

fn payload(push: &Push) -> Option<Vec<u8>> {
    fit(&push.text, MAX_PAYLOAD_BYTES, |text| {
        json(&json!({
            "aps": {
                "alert": { "title": title(push), "body": text },
                "badge": push.badge,
                "sound": "default",
                "thread-id": thread(push),
                "mutable-content": 1,
            },
            "hallway": leading(push, json!({
                "conference": push.conference.as_str(),
                "from": &*push.from,
                "unread": push.unread,
            }), Into::into),
        }))
    })
}

/// The same for each try of the same push: a UUID made of a hash (RFC 9562 §5.8).
fn id(target: &Target, push: &Push) -> String {
    let mut context = Context::new(&SHA256);
    for part in [push.conference.as_str(), push.user.as_str(), &push.collapse, &target.address] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    context.update(&push.ts_ms.to_be_bytes());
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&context.finish().as_ref()[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&uuid);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The body of an answer that is not 200.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    reason: String,
}

/// Apple's statuses and reasons.
fn verdict(answer: &Response<Bytes>, now_ms: u64) -> Verdict {
    let status = answer.status();
    if status == StatusCode::OK {
        return Verdict::Sent(Sent::Accepted);
    }
    let Error { reason } = serde_json::from_slice(answer.body()).unwrap_or_default();
    let why = || if reason.is_empty() { format!("status {}", status.as_u16()) } else { word(&reason) };
    Verdict::Sent(match (status, reason.as_str()) {
        (StatusCode::GONE, _) | (_, "BadDeviceToken" | "Unregistered" | "ExpiredToken") => Sent::Gone,
        (StatusCode::FORBIDDEN, "ExpiredProviderToken") => return Verdict::Expired,
        // Of the provider token, which all have.
        (_, "IdleTimeout" | "TooManyProviderTokenUpdates") => later(answer, now_ms, why()),
        // Too many to the same device.
        (StatusCode::TOO_MANY_REQUESTS, _) => throttled(answer, now_ms, why()),
        _ if is_passing(status) => later(answer, now_ms, why()),
        _ => Sent::Refused(why()),
    })
}

/// Provider tokens: one at a time.
struct Tokens {
    signer: Signer,
    key_id: String,
    team_id: String,
    kept: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: Arc<str>,
    made_s: u64,
    /// When one was made last because Apple wanted it.
    wanted_s: Option<u64>,
}

impl Tokens {
    /// The token in use.
    fn current(&self, now_s: u64) -> Result<Arc<str>, BadKey> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = kept.as_ref().filter(|token| (token.made_s..token.made_s + RENEW_S).contains(&now_s)) {
            return Ok(Arc::clone(&token.text));
        }
        let wanted_s = kept.as_ref().and_then(|token| token.wanted_s);
        self.make(&mut kept, now_s, wanted_s)
    }

    /// Another one than `refused`; `None` when Apple has refused one only lately, so that it is not the token's age.
    fn after(&self, refused: &str, now_s: u64) -> Option<Arc<str>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = kept.as_ref().filter(|token| *token.text == *refused) else {
            return kept.as_ref().map(|token| Arc::clone(&token.text));
        };
        if token.wanted_s.is_some_and(|wanted_s| now_s < wanted_s + RENEW_AT_MOST_EVERY_S) {
            return None;
        }
        self.make(&mut kept, now_s, Some(now_s)).ok()
    }

    fn make(&self, kept: &mut Option<Token>, now_s: u64, wanted_s: Option<u64>) -> Result<Arc<str>, BadKey> {
        let text: Arc<str> = self.signer.token(Some(&self.key_id), &json!({ "iss": self.team_id, "iat": now_s }))?.into();
        *kept = Some(Token { text: Arc::clone(&text), made_s: now_s, wanted_s });
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
