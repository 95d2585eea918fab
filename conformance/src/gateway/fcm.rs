//! Google's push service: tokens for service accounts ("Using OAuth 2.0 for server to server applications", RFC 7523), and
//! `projects.messages.send` of FCM's HTTP v1.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::book::{Answer, Arrived, Device, Provider};
use super::exchange::{Reply, Request, has_members, number_as_text, text};
use super::token::Token;
use super::{World, form, text_of};

/// Where tokens are given out.
pub const TOKEN_PATH: &str = "/token";
/// The project.
pub const PROJECT: &str = "conference-app";
/// The service account.
pub const EMAIL: &str = "push@conference-app.iam.gserviceaccount.example";
/// Its key's id.
pub const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_LIFE_S: u64 = 3599;
const PAYLOAD_BYTES: usize = 4096;
/// Four weeks.
const MAX_TTL_S: u64 = 2_419_200;

/// Where messages are posted.
#[must_use]
pub fn send_path() -> String {
    format!("/v1/projects/{PROJECT}/messages:send")
}

/// Access tokens that were given out, and until when they are good, Unix seconds.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<HashMap<String, u64>>);

impl Tokens {
    /// How many were given out.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn give(&self, at_s: u64) -> String {
        let token = format!("ya29.{}", text_of(&rand::random::<[u8; 24]>()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), at_s + TOKEN_LIFE_S);
        token
    }

    fn is_good(&self, token: &str, at_s: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).is_some_and(|until| at_s < *until)
    }

    fn spend(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), 0);
    }
}

// ---- Tokens ----

/// Gives a token for a good assertion.
pub fn token(world: &World, request: &Request) -> Reply {
    match is_assertion(world, request) {
        Ok(()) => Reply::json(
            200,
            &json!({"access_token": world.fcm_tokens.give(request.at_s), "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"}),
        ),
        Err(error) => {
            world.book.violation(format!("FCM's token: {error:#}"));
            Reply::json(400, &json!({"error": "invalid_grant", "error_description": "Invalid JWT"}))
        }
    }
}

fn is_assertion(world: &World, request: &Request) -> Result<()> {
    request.is_post()?;
    let kind = request.header("content-type")?;
    ensure!(kind.split(';').next() == Some("application/x-www-form-urlencoded"), "the content type is {kind}");
    let fields = form(request.text()?)?;
    let field = |name: &str| fields.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str());
    ensure!(field("grant_type") == Some(GRANT), "the grant type is {:?}", field("grant_type"));
    let token = Token::verify(field("assertion").context("no assertion")?, "RS256", &world.fcm_public)?;
    ensure!(token.header.get("kid").is_none_or(|kid| kid == KEY_ID), "the assertion's kid is {}", token.header["kid"]);
    ensure!(token.text("iss")? == EMAIL, "the assertion's iss is {}", token.claims["iss"]);
    ensure!(token.text("scope")?.split(' ').any(|scope| scope == SCOPE), "the assertion's scope is {}", token.claims["scope"]);
    let wanted = format!("{}{TOKEN_PATH}", world.origin);
    ensure!(token.text("aud")? == wanted, "the assertion's aud is {}, not {wanted}", token.claims["aud"]);
    let (from, until) = (token.seconds("iat")?, token.seconds("exp")?);
    ensure!(from <= request.at_s && request.at_s < until, "the assertion is good from {from} to {until}, now is {}", request.at_s);
    // "The expiration time … maximum of 1 hour after the issued time."
    ensure!(until - from <= 3600, "the assertion is good for {} s", until - from);
    Ok(())
}

// ---- Messages ----

/// Judges a message, and answers it.
pub fn answer(world: &World, request: &Request) -> Reply {
    let bearer = request.authorization("bearer").unwrap_or_default().to_owned();
    let arrived = match judge(world, request) {
        Ok(arrived) => arrived,
        Err(error) => {
            world.book.violation(format!("FCM: {error:#}"));
            return refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT");
        }
    };
    match world.book.arrive(arrived) {
        Answer::Accept => {
            Reply::json(200, &json!({"name": format!("projects/{PROJECT}/messages/0:{}", text_of(&rand::random::<[u8; 12]>()))}))
        }
        Answer::Gone | Answer::Unknown => refusal(404, "NOT_FOUND", "UNREGISTERED"),
        Answer::Refuse | Answer::TooLarge => refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        Answer::Expired => {
            world.fcm_tokens.spend(&bearer);
            Reply::json(
                401,
                &json!({"error": {"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED"}}),
            )
        }
        Answer::Throttle(s) => refusal(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").again_after(s),
        Answer::Broken => refusal(500, "INTERNAL", "INTERNAL"),
        Answer::Unavailable(s) => refusal(503, "UNAVAILABLE", "UNAVAILABLE").again_after(s),
        other => super::misbehave(&other),
    }
}

fn refusal(code: u16, status: &str, error: &str) -> Reply {
    let detail = json!({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": error});
    Reply::json(code, &json!({"error": {"code": code, "message": "Not this.", "status": status, "details": [detail]}}))
}

fn judge(world: &World, request: &Request) -> Result<Arrived> {
    request.is_post()?;
    ensure!(request.path == send_path(), "posted to {}", request.path);
    let bearer = request.authorization("bearer")?;
    ensure!(world.fcm_tokens.is_good(bearer, request.at_s), "with a token that is not good");
    let body = request.json()?;
    has_members(&body, &["message"], &[])?;
    let message = &body["message"];
    has_members(message, &["token", "notification", "data", "android"], &["apns", "webpush", "fcm_options"])?;
    let device = world.book.device(Provider::Fcm, &text(message, "token")?)?;
    let size = message["data"].to_string().len() + message["notification"].to_string().len();
    ensure!(size <= PAYLOAD_BYTES, "a payload of {size} bytes");
    let mut arrived = read(&device, message)?;
    android(&message["android"], &mut arrived)?;
    Ok(arrived)
}

fn read(device: &Device, message: &Value) -> Result<Arrived> {
    let (notification, data) = (&message["notification"], &message["data"]);
    has_members(notification, &["title", "body"], &["image"])?;
    for (name, value) in data.as_object().context("data is no object")? {
        // "The key should not be a reserved word."
        let is_reserved = name == "from" || name == "message_type" || name.starts_with("google.") || name.starts_with("gcm.notification.");
        ensure!(!is_reserved, "the reserved word {name:?} in data");
        ensure!(value.is_string(), "{name} in data is {value}, not text");
    }
    Ok(Arrived {
        title: text(notification, "title")?,
        text: text(notification, "body")?,
        ..Arrived::told(device, &message.to_string(), data, "sender", number_as_text)?
    })
}

fn android(android: &Value, arrived: &mut Arrived) -> Result<()> {
    has_members(android, &["collapse_key", "priority", "ttl", "notification"], &["restricted_package_name"])?;
    arrived.collapse = text(android, "collapse_key")?;
    ensure!(android["notification"]["tag"] == arrived.collapse.as_str(), "the tag is {}", android["notification"]["tag"]);
    arrived.is_urgent = match text(android, "priority")?.to_ascii_uppercase().as_str() {
        "HIGH" => Some(true),
        "NORMAL" => Some(false),
        other => anyhow::bail!("the priority is {other:?}"),
    };
    let ttl = text(android, "ttl")?;
    let seconds: u64 = ttl.strip_suffix('s').context("no duration")?.parse().with_context(|| format!("the ttl is {ttl:?}"))?;
    ensure!(seconds <= MAX_TTL_S, "the ttl is {ttl}");
    arrived.time_to_live_s = Some(seconds);
    Ok(())
}
