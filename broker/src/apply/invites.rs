//! Invitations. They are counted here, where one command comes after the other: so no more accounts are made with one than it is for.

use super::accounts;
use super::{Applied, Ask};
use crate::command::Outcome;
use crate::ids::Uid;
use crate::keys;
use crate::limits::{MAX_INVITES, MAX_STEP};
use crate::model::{Credentials, Invite, InviteHash};
use crate::reject::Reason;
use crate::view::View;

pub(super) fn add(view: &mut View<'_>, ask: Ask<'_>, code: &InviteHash, invite: &Invite) -> Applied {
    let all = keys::invites(ask.conf);
    let found = view.keys_from(&all, &all, MAX_INVITES)?;
    let mut expired = Vec::new();
    for key in &found {
        if view.get::<Invite>(key)?.is_some_and(|known| known.expires_ms <= ask.at_ms) {
            expired.push(key.clone());
        }
    }
    if found.len() - expired.len() >= MAX_INVITES {
        return Err(Reason::Quota.into());
    }
    for key in expired.into_iter().take(MAX_STEP) {
        view.remove(key);
    }
    view.put(keys::invite(ask.conf, code), invite);
    Ok(Outcome::Done)
}

pub(super) fn remove(view: &mut View<'_>, ask: Ask<'_>, code: &InviteHash) -> Applied {
    let key = keys::invite(ask.conf, code);
    if !view.has(&key)? {
        return Err(Reason::BadInvite.into());
    }
    view.remove(key);
    Ok(Outcome::Done)
}

pub(super) fn register(
    view: &mut View<'_>,
    ask: Ask<'_>,
    uid: &Uid,
    name: Option<&str>,
    credentials: &Credentials,
    code: &InviteHash,
) -> Applied {
    let key = keys::invite(ask.conf, code);
    let mut invite = view.get::<Invite>(&key)?.filter(|invite| invite.is_good(ask.at_ms)).ok_or(Reason::BadInvite)?;
    let done = accounts::add(view, ask, uid, name, invite.role, Some(credentials))?;
    invite.used += 1;
    view.put(key, &invite);
    Ok(done)
}
