//! The organiser's webhook: asked about a topic when no rule decides. What it answers is kept for a while. No answer is a no: what it does not
//! answer in time, or answers otherwise than asked, is not allowed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::Right;
use crate::clock::Clock;
use crate::generations::Generations;
use crate::ids::Uid;
use crate::model::UserRole;
use crate::outward::{Bounds, Failure, Method, Outward, Request, StatusCode};
use crate::reject::Reason;
use crate::signature::{SIGNATURE, signature};

/// Questions under way at once; more wait, within their time.
const MAX_UNDER_WAY: usize = 16;
/// Those of one user: nobody takes all turns.
const MAX_OF_USER: usize = 2;
/// Answers that are kept at least.
const MAX_KEPT: usize = 50_000;
/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 4096;
/// After a question that was not answered, the same is not asked again for so long.
pub(super) const FAILURE_KEPT: Duration = Duration::from_secs(2);

/// Shortest secret, in bytes.
const MIN_SECRET_BYTES: usize = 16;
/// Longest time for an answer, in ms: a connection does nothing else meanwhile.
const MAX_TIMEOUT_MS: u64 = 10_000;
/// Longest time that an answer is good, in s.
const MAX_CACHE_S: u64 = 24 * 3600;

/// Where a conference's webhook is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookOptions {
    /// Where to ask.
    pub url: String,
    /// What questions are signed with.
    pub secret: String,
    /// How long an answer may take, in ms.
    pub timeout_ms: u64,
    /// How long an answer is good, in s.
    pub cache_s: u64,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self { url: String::new(), secret: String::new(), timeout_ms: 2000, cache_s: 60 }
    }
}

impl WebhookOptions {
    /// Checks them.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            return Err(format!("url: '{}' is neither https:// nor http://", self.url));
        }
        if self.secret.len() < MIN_SECRET_BYTES {
            return Err(format!("secret: it signs the questions and has at least {MIN_SECRET_BYTES} bytes"));
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&self.timeout_ms) {
            return Err(format!("timeout_ms: from 1 to {MAX_TIMEOUT_MS}"));
        }
        if self.cache_s > MAX_CACHE_S { Err(format!("cache_s: at most {MAX_CACHE_S}")) } else { Ok(()) }
    }
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the secret.
        write!(f, "WebhookOptions({}, {} ms, {} s)", self.url, self.timeout_ms, self.cache_s)
    }
}

/// Who asks to use a topic.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Question<'a> {
    /// The conference.
    pub conference: &'a str,
    /// The application's name of the topic.
    pub topic: &'a str,
    /// Who.
    pub user: &'a Uid,
    /// Their role.
    #[serde(serialize_with = "word")]
    pub role: UserRole,
}

fn word<S: serde::Serializer>(role: &UserRole, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(role.word())
}

/// What is asked for.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    subscribe: bool,
}

/// An answer, or that there was none, and until when it is good.
#[derive(Debug, Clone, Copy)]
struct Kept {
    right: Option<Right>,
    until: Duration,
}

/// See the module's text.
pub struct Webhook {
    options: WebhookOptions,
    outward: Arc<Outward>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Generations<(Uid, Box<str>), Kept>>,
    under_way: Semaphore,
    /// Who asks: how many questions each of them has, and the turns for them.
    users: Mutex<HashMap<Uid, (usize, Arc<Semaphore>)>>,
}

/// Somebody who asks, or waits to.
struct Asker<'w> {
    webhook: &'w Webhook,
    user: &'w Uid,
    turns: Arc<Semaphore>,
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let mut users = self.webhook.users.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((questions, _)) = users.get_mut(self.user) else { return };
        *questions -= 1;
        if *questions == 0 {
            users.remove(self.user);
        }
    }
}

impl Webhook {
    /// A webhook that is asked by `outward`.
    #[must_use]
    pub fn new(options: WebhookOptions, outward: Arc<Outward>, clock: Arc<dyn Clock>) -> Self {
        let kept = Mutex::new(Generations::new(MAX_KEPT));
        Self { options, outward, clock, kept, under_way: Semaphore::new(MAX_UNDER_WAY), users: Mutex::default() }
    }

    /// Its clock's time.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// What it has answered, if that is still good; `None` when it must be asked.
    #[must_use]
    pub fn known(&self, user: &Uid, topic: &str) -> Option<Result<Right, Reason>> {
        let kept = self.kept(user, topic)?;
        Some(kept.right.ok_or(Reason::AllowanceUnknown))
    }

    /// Until when that is good.
    pub(super) fn good_until(&self, user: &Uid, topic: &str) -> Option<Duration> {
        Some(self.kept(user, topic)?.until)
    }

    fn kept(&self, user: &Uid, topic: &str) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&(user.clone(), topic.into())).copied();
        kept.filter(|kept| self.clock.elapsed() < kept.until)
    }

    /// What it answers.
    ///
    /// # Errors
    /// [`Reason::AllowanceUnknown`].
    pub async fn ask(&self, question: Question<'_>) -> Result<Right, Reason> {
        if let Some(known) = self.known(question.user, question.topic) {
            return known;
        }
        let timeout = Duration::from_millis(self.options.timeout_ms);
        let (began, mut sent) = (self.clock.elapsed(), None);
        let asked = tokio::time::timeout(timeout, async {
            let asker = self.asker(question.user);
            // Never closed.
            let _turn = asker.turns.acquire().await.ok();
            let _under_way = self.under_way.acquire().await.ok();
            // Whoever waited before may have asked the same.
            if let Some(known) = self.known(question.user, question.topic) {
                return known.ok();
            }
            sent = Some(self.clock.elapsed());
            self.send(question, timeout).await
        });
        let right = asked.await.unwrap_or_default();
        // Who waited for a turn for most of the time has not had an answer, nor its absence.
        if sent.is_some_and(|sent| right.is_some() || sent.saturating_sub(began) < timeout / 2) {
            let life = right.map_or(FAILURE_KEPT, |_| Duration::from_secs(self.options.cache_s));
            let kept = Kept { right, until: self.clock.elapsed() + life };
            let key = (question.user.clone(), question.topic.into());
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, kept);
        }
        right.ok_or(Reason::AllowanceUnknown)
    }

    fn asker<'w>(&'w self, user: &'w Uid) -> Asker<'w> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let (questions, turns) = users.entry(user.clone()).or_insert_with(|| (0, Arc::new(Semaphore::new(MAX_OF_USER))));
        *questions += 1;
        Asker { webhook: self, user, turns: Arc::clone(turns) }
    }

    async fn send(&self, question: Question<'_>, timeout: Duration) -> Option<Right> {
        let body = serde_json::to_vec(&question).ok()?;
        let signed = signature(&self.options.secret, &body, self.clock.now_ms());
        let request = Request::builder().method(Method::POST).uri(&self.options.url);
        let request = request.header("content-type", "application/json").header(SIGNATURE, signed).body(Bytes::from(body));
        let answer = match request {
            Ok(request) => self.outward.send(request, Bounds { timeout, body_bytes: MAX_ANSWER_BYTES, needs_body: true }).await,
            Err(_) => Err(Failure::Url("it is no URL")),
        };
        let answer = match answer {
            Ok(answer) if answer.status() == StatusCode::OK => {
                serde_json::from_slice::<Answer>(answer.body()).map_err(|_| "no answer of this shape".to_owned())
            }
            Ok(answer) => Err(format!("status {}", answer.status())),
            Err(failure) => Err(failure.to_string()),
        };
        match answer {
            Ok(Answer { publish, subscribe }) => Some(Right { publish, subscribe }),
            Err(why) => {
                tracing::warn!(conference = question.conference, %why, "the topic webhook does not answer");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
