//! Who wants to hear nothing of whom. Between two people of whom one has blocked the other nothing is said any more, either way (XEP-0191 §3.4):
//! no messages, edits, reactions and read markers in their direct conversation, no invitations, no notices of being named.

use super::{Applied, Ask, Stop};
use crate::command::Outcome;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::limits::MAX_BLOCKED;
use crate::model::Belongings;
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::View;

pub(super) fn has_blocked(view: &View<'_>, conf: ConfNo, who: &Uid, whom: &Uid) -> Result<bool, StateError> {
    view.has(&keys::block(conf, who, whom))
}

/// Whether one of two people has blocked the other.
pub(super) fn are_apart(view: &View<'_>, conf: ConfNo, one: &Uid, other: &Uid) -> Result<bool, StateError> {
    Ok(has_blocked(view, conf, one, other)? || has_blocked(view, conf, other, one)?)
}

/// Refuses what the asker wants to tell `other` when one of them has blocked the other.
pub(super) fn check(view: &View<'_>, ask: Ask<'_>, other: &Uid) -> Result<(), Stop> {
    let me = &ask.actor.uid;
    if has_blocked(view, ask.conf, me, other)? {
        return Err(Reason::Blocking.into());
    }
    if has_blocked(view, ask.conf, other, me)? { Err(Reason::Blocked.into()) } else { Ok(()) }
}

/// The same of what they want to tell in a conversation: a direct one is for one person.
pub(super) fn check_in(view: &View<'_>, ask: Ask<'_>, id: &ConversationId) -> Result<(), Stop> {
    id.partner(&ask.actor.uid).map_or(Ok(()), |partner| check(view, ask, &partner))
}

pub(super) fn block(view: &mut View<'_>, ask: Ask<'_>, user: &Uid, on: bool) -> Applied {
    let me = &ask.actor.uid;
    view.user(ask.conf, me)?.ok_or(Reason::SessionEnded)?;
    if user == me {
        return Err(Reason::InvalidParams.into());
    }
    // Who is erased can still be unblocked.
    let known = if on { view.user(ask.conf, user)? } else { view.user_record(ask.conf, user)? };
    known.ok_or(Reason::UnknownUser)?;
    let key = keys::block(ask.conf, me, user);
    if view.has(&key)? == on {
        return Ok(Outcome::Done);
    }
    let totals = keys::belongings(ask.conf, me);
    let mut belongings: Belongings = view.get(&totals)?.unwrap_or_default();
    if on {
        if belongings.blocked >= MAX_BLOCKED {
            return Err(Reason::TooManyBlocked.into());
        }
        belongings.blocked += 1;
        view.put(key, &());
    } else {
        belongings.blocked = belongings.blocked.saturating_sub(1);
        view.remove(key);
    }
    view.put(totals, &belongings);
    Ok(Outcome::Done)
}
