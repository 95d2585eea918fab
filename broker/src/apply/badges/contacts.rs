//! Who knows whom: one asks, the other says yes, or asks as well.

use super::super::conversations::here;
use super::super::{Applied, Ask, Author, Stop, blocks};
use super::meet::acquaint;
use super::scan::{Desk, Holder, Verdict};
use crate::command::Outcome;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::limits::MAX_STEP;
use crate::model::{Acquaintance, Contact, ContactDeed, Notice, ScanReason};
use crate::reject::Reason;
use crate::view::View;

pub(super) fn contact(view: &mut View<'_>, ask: Ask<'_>, user: &Uid, deed: ContactDeed) -> Applied {
    let author = ask.author(view)?;
    let me = &ask.actor.uid;
    if ask.actor.is_system() || !author.role.is_person() {
        return Err(Reason::NotAllowed.into());
    }
    if user == me {
        return Err(Reason::InvalidParams.into());
    }
    let (ours, theirs) = (keys::contact(ask.conf, me, user), keys::contact(ask.conf, user, me));
    let known: Option<Contact> = view.get(&ours)?;
    let mine = known.filter(|contact| !contact.is_withdrawn).map(|contact| contact.state);
    match deed {
        ContactDeed::Ask => {
            let other = view.user(ask.conf, user)?.ok_or(Reason::UnknownUser)?;
            if !other.role.is_person() {
                return Err(Reason::NotAllowed.into());
            }
            blocks::check(view, ask, user)?;
            asked(view, ask, &author, user)
        }
        ContactDeed::Accept => {
            if !matches!(mine, Some(Acquaintance::WasAsked | Acquaintance::Met)) {
                return Err(Reason::NotAsked.into());
            }
            view.user(ask.conf, user)?.ok_or(Reason::UnknownUser)?;
            blocks::check(view, ask, user)?;
            asked(view, ask, &author, user)
        }
        // The other is not told: for them the question stays open, and cannot be put again.
        ContactDeed::Decline => {
            if mine != Some(Acquaintance::WasAsked) {
                return Err(Reason::NotAsked.into());
            }
            view.remove(ours);
            Ok(Outcome::Done)
        }
        ContactDeed::Remove if known.is_some_and(|contact| contact.is_withdrawn) => Ok(Outcome::Done),
        // What was asked stays asked until the other acts: they are not to be told of it again and again.
        ContactDeed::Remove if mine == Some(Acquaintance::Asked) => {
            withdraw(view, ours, true)?;
            withdraw(view, theirs, true)?;
            Ok(Outcome::Done)
        }
        ContactDeed::Remove => {
            view.remove(ours);
            view.remove(theirs);
            Ok(Outcome::Done)
        }
    }
}

/// Takes a question back, or puts it again.
fn withdraw(view: &mut View<'_>, key: keys::Key, on: bool) -> Result<(), Stop> {
    if let Some(contact) = view.get::<Contact>(&key)? {
        view.put(key, &Contact { is_withdrawn: on, ..contact });
    }
    Ok(())
}

fn asked(view: &mut View<'_>, ask: Ask<'_>, author: &Author, user: &Uid) -> Applied {
    match become_acquainted(view, ask, author, user)? {
        Some(id) => {
            let found = view.conversation(ask.conf, &id)?.ok_or(Reason::UnknownConversation)?;
            here(view, &found, true)
        }
        None => Ok(Outcome::Done),
    }
}

/// Asks, or says yes to who has asked: then their direct conversation.
fn become_acquainted(view: &mut View<'_>, ask: Ask<'_>, author: &Author, user: &Uid) -> Result<Option<ConversationId>, Stop> {
    let me = &ask.actor.uid;
    let (mine, theirs) = (keys::contact(ask.conf, me, user), keys::contact(ask.conf, user, me));
    let shown = |contact: &Contact| !contact.is_withdrawn;
    let their_state = view.get::<Contact>(&theirs)?.filter(shown).map(|contact| contact.state);
    if matches!(their_state, Some(Acquaintance::Asked | Acquaintance::Met)) {
        return acquaint(view, ask, me, user);
    }
    // Whose question it was says who puts it again; the other puts one of their own.
    if view.get::<Contact>(&mine)?.is_some_and(|contact| shown(&contact) || contact.state == Acquaintance::Asked) {
        withdraw(view, mine, false)?;
        withdraw(view, theirs, false)?;
        return Ok(None);
    }
    view.put(mine, &Contact { state: Acquaintance::Asked, since_ms: ask.at_ms, is_withdrawn: false });
    view.put(theirs, &Contact { state: Acquaintance::WasAsked, since_ms: ask.at_ms, is_withdrawn: false });
    ask.notify(view, author, user, Notice::Contact { user: me.clone(), state: Acquaintance::WasAsked })?;
    Ok(None)
}

/// Somebody scanned somebody else's badge with their own device.
pub(super) fn scanned(view: &mut View<'_>, desk: &Desk<'_>, holder: &Holder) -> Result<Verdict, Stop> {
    let (conf, me) = (desk.ask.conf, &desk.ask.actor.uid);
    let is_nobody_to_meet = holder.uid == *me || desk.ask.actor.is_system() || !holder.role.is_person();
    if is_nobody_to_meet || blocks::are_apart(view, conf, me, &holder.uid)? {
        return Ok(ScanReason::NotAllowed.into());
    }
    let conversation = become_acquainted(view, desk.ask, &desk.author, &holder.uid)?;
    Ok(Verdict { reason: ScanReason::Ok, conversation })
}

/// A bounded step of an erasure: forgets some of whom somebody knows, and they of them; whether there was any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, Stop> {
    let prefix = keys::contacts(conf, uid);
    let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
    for key in &found {
        if let Some(other) = keys::uid_at(key, prefix.len()) {
            view.remove(keys::contact(conf, &other, uid));
        }
        view.remove(key.clone());
    }
    Ok(!found.is_empty())
}
