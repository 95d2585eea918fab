//! Access tokens of Google for a service account (RFC 7523: a token signed by its key is exchanged for one), kept until they expire.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hallway_broker::clock::Clock;
use hallway_broker::outward::{Outward, Request, Response};
use hallway_broker::push::gateway::Sent;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::answer::{BOUNDS, failed, is_passing, later, word};
use super::options::GatewayError;
use super::place;
use super::read;
use super::sign::{Signer, pkcs8_of_pem};

/// The right to send pushes.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// How long the signed token is good; an hour at most.
const LIFE_S: u64 = 3600;
/// An access token is renewed so long before it expires.
const MARGIN_S: u64 = 300;
/// What the file is configured by.
const KEY: &str = "push.fcm.service_account_file";

/// A service account's key, as Google gives it.
#[derive(Deserialize)]
pub struct ServiceAccount {
    /// The project whose pushes these are.
    pub project_id: String,
    private_key_id: Option<String>,
    private_key: String,
    client_email: String,
    #[serde(default = "token_uri")]
    token_uri: String,
}

fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

impl ServiceAccount {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, GatewayError> {
        let wrong = |what: String| GatewayError::Content { key: KEY, path: path.to_owned(), what };
        // What serde says of a value may hold it: only which line it is in.
        let parsed = serde_json::from_slice::<Self>(&read(KEY, path)?);
        let account = parsed.map_err(|error| wrong(format!("it is not the JSON key of a service account (line {})", error.line())))?;
        let may = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':');
        if account.project_id.is_empty() || !account.project_id.bytes().all(may) {
            return Err(wrong("project_id is none".to_owned()));
        }
        if place::url(&account.token_uri, true).is_err() {
            return Err(wrong("token_uri is no URL".to_owned()));
        }
        Ok(account)
    }
}

/// See the module's text.
pub struct AccessTokens {
    outward: Arc<Outward>,
    signer: Signer,
    key_id: Option<String>,
    email: String,
    url: String,
    clock: Arc<dyn Clock>,
    /// The token, and until when it is used, Unix s.
    kept: Mutex<Option<(Arc<str>, u64)>>,
    /// Whoever fetches one: the others wait for it.
    turn: Semaphore,
}

/// What the exchange gives.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

/// Why it does not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Denied {
    error: String,
}

impl AccessTokens {
    /// The tokens of an account, read from `path`; had at `url`, or where the account says.
    ///
    /// # Errors
    /// Its key cannot be used.
    pub fn new(
        account: ServiceAccount,
        path: &Path,
        url: Option<&str>,
        outward: Arc<Outward>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, GatewayError> {
        let signer = pkcs8_of_pem(&account.private_key).and_then(|pkcs8| Signer::rs256(&pkcs8));
        let signer = signer.map_err(|error| GatewayError::bad_key(KEY, path.to_owned(), &error))?;
        let url = url.map_or(account.token_uri, str::to_owned);
        let (key_id, email) = (account.private_key_id, account.client_email);
        Ok(Self { outward, signer, key_id, email, url, clock, kept: Mutex::default(), turn: Semaphore::new(1) })
    }

    /// The token in use, fetched if there is none.
    ///
    /// # Errors
    /// What becomes of the push that needs it.
    pub async fn current(&self) -> Result<Arc<str>, Sent> {
        if let Some(token) = self.kept() {
            return Ok(token);
        }
        // Never closed.
        let _turn = self.turn.acquire().await.ok();
        if let Some(token) = self.kept() {
            return Ok(token);
        }
        let (token, life_s) = self.fetch().await?;
        let until_s = self.clock.now_ms() / 1000 + life_s - MARGIN_S.min(life_s / 2);
        *self.lock() = Some((Arc::clone(&token), until_s));
        Ok(token)
    }

    /// This token is taken no more.
    pub fn forget(&self, token: &str) {
        self.lock().take_if(|(kept, _)| **kept == *token);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Arc<str>, u64)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> Option<Arc<str>> {
        let now_s = self.clock.now_ms() / 1000;
        self.lock().as_ref().filter(|(_, until_s)| now_s < *until_s).map(|(token, _)| Arc::clone(token))
    }

    async fn fetch(&self) -> Result<(Arc<str>, u64), Sent> {
        let now_s = self.clock.now_ms() / 1000;
        let claims = json!({ "iss": self.email, "scope": SCOPE, "aud": self.url, "iat": now_s, "exp": now_s + LIFE_S });
        let signed = self.signer.token(self.key_id.as_deref(), &claims).map_err(|error| Sent::Refused(error.to_string()))?;
        // Of base64url and dots alone: nothing to escape.
        let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={signed}");
        let request = Request::post(&self.url).header("content-type", "application/x-www-form-urlencoded").body(Bytes::from(body));
        let request = request.map_err(|_| Sent::Refused("the token URL is none".to_owned()))?;
        let answer = self.outward.send(request, BOUNDS).await.map_err(|failure| failed(&failure))?;
        granted(&answer, self.clock.now_ms())
    }
}

/// What an exchange's answer means.
fn granted(answer: &Response<Bytes>, now_ms: u64) -> Result<(Arc<str>, u64), Sent> {
    let status = answer.status();
    if status.is_success() {
        let may = |byte: u8| byte.is_ascii_graphic();
        return match serde_json::from_slice::<Granted>(answer.body()) {
            Ok(granted) if !granted.access_token.is_empty() && granted.access_token.bytes().all(may) => {
                Ok((granted.access_token.into(), granted.expires_in.min(LIFE_S)))
            }
            _ => Err(later(answer, now_ms, "no access token in the answer".to_owned())),
        };
    }
    let Denied { error } = serde_json::from_slice(answer.body()).unwrap_or_default();
    let why = format!("no access token: {} {}", status.as_u16(), word(&error));
    Err(if is_passing(status) { later(answer, now_ms, why) } else { Sent::Refused(why) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_google_says_there_is_a_token_or_not(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..60), text in ".{0,60}", expires_in in any::<u64>()) {
            let whole = json!({ "access_token": text, "expires_in": expires_in, "error": text }).to_string();
            for body in [Bytes::from(body), Bytes::from(whole)] {
                let answer = Response::builder().status(status).body(body).unwrap();
                if let Ok((token, life_s)) = granted(&answer, 0) {
                    prop_assert!(!token.is_empty() && life_s <= LIFE_S);
                }
            }
        }
    }
}
