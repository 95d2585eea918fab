//! Topics that the webhook let somebody subscribe to: what comes there is theirs until they leave. A yes is
//! asked about again when its answer is not good any more, and ends with a no, or when nothing has been answered for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::webhook::{FAILURE_KEPT, Question, Webhook};
use crate::ids::{ConferenceId, Uid};
use crate::model::UserRole;
use crate::mqtt::topic::app_name;
use crate::reject::Reason;

/// Topics of one session.
const MAX_GRANTED: usize = 10_000;
/// After its answer is not good any more, a yes holds for so long, in which it is asked about again.
const GRACE: Duration = Duration::from_secs(10);
/// No yes is asked about again sooner.
const MIN_LIFE: Duration = Duration::from_secs(1);

/// How often it is looked whether there is any yes.
const IDLE_LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Grant {
    /// When it is asked about again.
    ask: Duration,
    /// When it ends.
    until: Duration,
}

/// See the module's text.
pub(super) struct Grants {
    webhook: Arc<Webhook>,
    conference: ConferenceId,
    uid: Uid,
    role: UserRole,
    by_topic: Mutex<HashMap<Box<str>, Grant>>,
    /// What asks again, from the first yes on.
    asking: Mutex<Option<AbortHandle>>,
}

impl Drop for Grants {
    fn drop(&mut self) {
        if let Some(asking) = self.asking.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            asking.abort();
        }
    }
}

impl Grants {
    pub(super) fn new(webhook: Arc<Webhook>, conference: ConferenceId, uid: Uid, role: UserRole) -> Arc<Self> {
        Arc::new(Self { webhook, conference, uid, role, by_topic: Mutex::default(), asking: Mutex::default() })
    }

    /// Whether there is a yes that is good.
    pub(super) fn has(&self, topic: &str) -> bool {
        let now = self.webhook.elapsed();
        self.by_topic().get(topic).is_some_and(|grant| now < grant.until)
    }

    /// The webhook said yes.
    pub(super) fn add(self: &Arc<Self>, topic: &str) -> Result<(), Reason> {
        let grant = self.grant(topic);
        let mut by_topic = self.by_topic();
        if by_topic.len() >= MAX_GRANTED && !by_topic.contains_key(topic) {
            return Err(Reason::TooManySubscriptions);
        }
        by_topic.insert(topic.into(), grant);
        drop(by_topic);
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if asking.as_ref().is_none_or(AbortHandle::is_finished) {
            *asking = Some(tokio::spawn(ask_again(Arc::downgrade(self))).abort_handle());
        }
        Ok(())
    }

    /// Its holder has left.
    pub(super) fn remove(&self, topic: &str) {
        self.by_topic().remove(topic);
    }

    fn by_topic(&self) -> MutexGuard<'_, HashMap<Box<str>, Grant>> {
        self.by_topic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A yes that was just answered, or some time before.
    fn grant(&self, topic: &str) -> Grant {
        let now = self.webhook.elapsed();
        let ask = self.webhook.good_until(&self.uid, app_name(topic)).unwrap_or(now).max(now + MIN_LIFE);
        Grant { ask, until: ask + GRACE }
    }

    /// The topic that is asked about next, and when.
    fn next(&self) -> Option<(Box<str>, Duration)> {
        let by_topic = self.by_topic();
        let next = by_topic.iter().min_by_key(|(_, grant)| grant.ask);
        next.map(|(topic, grant)| (topic.clone(), grant.ask))
    }

    /// Asks about a topic again.
    async fn renew(&self, topic: &str) {
        let question = Question { conference: self.conference.as_str(), topic: app_name(topic), user: &self.uid, role: self.role };
        let answer = self.webhook.ask(question).await;
        let renewed = self.grant(topic);
        let mut by_topic = self.by_topic();
        // Left meanwhile?
        let Some(grant) = by_topic.get_mut(topic) else { return };
        match answer {
            Ok(right) if right.subscribe => *grant = renewed,
            Ok(_) => drop(by_topic.remove(topic)),
            Err(_) => grant.ask = self.webhook.elapsed() + FAILURE_KEPT,
        }
    }
}

/// Asks again about each yes in its time, one after the other.
async fn ask_again(grants: Weak<Grants>) {
    loop {
        let wait = {
            let Some(grants) = grants.upgrade() else { return };
            grants.next().map_or(IDLE_LOOK, |(_, ask)| ask.saturating_sub(grants.webhook.elapsed()))
        };
        tokio::time::sleep(wait).await;
        let Some(grants) = grants.upgrade() else { return };
        if let Some((topic, _)) = grants.next().filter(|(_, ask)| *ask <= grants.webhook.elapsed()) {
            grants.renew(&topic).await;
        }
    }
}
