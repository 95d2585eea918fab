//! MQTT sessions that outlive their connections (MQTT 5 §4.1): how far each has read, what it has not acknowledged, and its
//! subscriptions, a record each. No message is copied: what a session missed is read from the conversations.

use std::sync::Arc;

use super::{Applied, Ask};
use crate::command::Outcome;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{MAX_KEPT_SESSIONS, MAX_STEP};
use crate::model::{KeptSession, KeptSubscription};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::View;

pub(super) fn keep(view: &mut View<'_>, ask: Ask<'_>, client: &str, session: &KeptSession) -> Applied {
    let uid = &ask.actor.uid;
    if view.user_record(ask.conf, uid)?.is_some_and(|user| user.erased) {
        return Err(Reason::SessionEnded.into());
    }
    let key = keys::session(ask.conf, uid, client);
    if !view.has(&key)? {
        let all = keys::user_sessions(ask.conf, uid);
        // Plain-broker clients share a name, as they would without accounts.
        if *uid != Uid::anonymous() && view.keys_from(&all, &all, MAX_KEPT_SESSIONS)?.len() >= MAX_KEPT_SESSIONS {
            return Err(Reason::Quota.into());
        }
    }
    view.put(key, session);
    Ok(Outcome::Done)
}

pub(super) fn subscribe(view: &mut View<'_>, ask: Ask<'_>, client: &str, remove: &[Arc<str>], add: &[KeptSubscription]) -> Applied {
    let uid = &ask.actor.uid;
    if !view.has(&keys::session(ask.conf, uid, client))? {
        return Err(Reason::UnknownSession.into());
    }
    for filter in remove {
        view.remove(keys::subscription(ask.conf, uid, client, filter));
    }
    for subscription in add {
        view.put(keys::subscription(ask.conf, uid, client, &subscription.filter), subscription);
    }
    Ok(Outcome::Done)
}

/// One bounded step: its subscriptions first, so that a session that is there again has none of them.
pub(super) fn forget(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid, client: &str, ended_ms: Option<u64>) -> Applied {
    if !ask.actor.is_system() && ask.actor.uid != *uid {
        return Err(Reason::NotAllowed.into());
    }
    let key = keys::session(ask.conf, uid, client);
    let kept: Option<KeptSession> = view.get(&key)?;
    if ended_ms.is_some_and(|ended_ms| kept.is_none_or(|kept| kept.ended_ms != ended_ms)) {
        return Ok(Outcome::Done);
    }
    let subscriptions = keys::subscriptions(ask.conf, uid, client);
    let found = view.keys_from(&subscriptions, &subscriptions, MAX_STEP)?;
    let more = found.len() == MAX_STEP;
    for subscription in found {
        view.remove(subscription);
    }
    if more {
        return Ok(Outcome::Continue(Vec::new()));
    }
    view.remove(key);
    Ok(Outcome::Done)
}

/// A bounded step of an erasure: forgets some of a user's kept sessions, their subscriptions first; whether there were any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, StateError> {
    for prefix in [keys::user_subscriptions(conf, uid), keys::user_sessions(conf, uid)] {
        let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
        if !found.is_empty() {
            found.into_iter().for_each(|key| view.remove(key));
            return Ok(true);
        }
    }
    Ok(false)
}
