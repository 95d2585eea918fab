//! Leads: an exhibitor scans a visitor's badge and has their contact, until the visitor withdraws it.

use super::super::{Applied, Ask, Stop, blocks};
use super::scan::{Desk, Holder, Verdict};
use crate::command::Outcome;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{MAX_LEAD_NOTE_BYTES, MAX_LEAD_RATING, MAX_LEAD_TAG_BYTES, MAX_LEAD_TAGS, MAX_STEP};
use crate::model::{Lead, LeadNotes, Notice, ReaderSettings, ScanReason};
use crate::reader::scans_for;
use crate::reject::Reason;
use crate::view::View;

pub(super) fn collect(view: &mut View<'_>, desk: &Desk<'_>, holder: &Holder, at_ms: u64) -> Result<Verdict, Stop> {
    let (conf, by) = (desk.ask.conf, &desk.ask.actor.uid);
    let owner = desk.settings.owner.as_ref().unwrap_or(by);
    let is_gone = !desk.ask.actor.is_system() && view.user(conf, owner)?.is_none();
    if holder.uid == *owner || is_gone || blocks::has_blocked(view, conf, &holder.uid, owner)? {
        return Ok(ScanReason::NotAllowed.into());
    }
    let key = keys::lead(conf, owner, &holder.uid);
    let known: Option<Lead> = view.get(&key)?;
    if known.is_none() {
        view.put(keys::holder(conf, &holder.uid, owner), &());
        desk.ask.notify(view, &desk.author, &holder.uid, Notice::Lead { owner: owner.clone() })?;
    }
    let known = known.unwrap_or_else(|| Lead { since_ms: at_ms, last_ms: at_ms, scans: 0, by: by.clone(), notes: LeadNotes::default() });
    let (since_ms, last_ms) = (known.since_ms.min(at_ms), known.last_ms.max(at_ms));
    view.put(key, &Lead { since_ms, last_ms, scans: known.scans + 1, by: by.clone(), ..known });
    Ok(ScanReason::Ok.into())
}

/// Whether the asker may change leads of an owner: as [`crate::reader::Reader::may_handle_leads`] says.
fn may_handle(view: &mut View<'_>, ask: Ask<'_>, owner: &Uid) -> Result<bool, Stop> {
    let role = ask.author(view)?.role;
    if ask.actor.uid == *owner || role.is_staff() {
        return Ok(true);
    }
    let settings: Option<ReaderSettings> = view.get(&keys::reader(ask.conf, &ask.actor.uid))?;
    Ok(settings.is_some_and(|settings| scans_for(&settings, owner)))
}

pub(super) fn note(view: &mut View<'_>, ask: Ask<'_>, owner: Option<&Uid>, user: &Uid, notes: &LeadNotes) -> Applied {
    let owner = owner.unwrap_or(&ask.actor.uid);
    if !may_handle(view, ask, owner)? {
        return Err(Reason::NotAllowed.into());
    }
    if notes.rating > MAX_LEAD_RATING {
        return Err(Reason::InvalidParams.into());
    }
    let is_too_long = notes.note.len() > MAX_LEAD_NOTE_BYTES || notes.tags.iter().any(|tag| tag.len() > MAX_LEAD_TAG_BYTES);
    if is_too_long || notes.tags.len() > MAX_LEAD_TAGS {
        return Err(Reason::TooLarge.into());
    }
    let key = keys::lead(ask.conf, owner, user);
    let lead: Lead = view.get(&key)?.ok_or(Reason::UnknownLead)?;
    view.put(key, &Lead { notes: notes.clone(), ..lead });
    Ok(Outcome::Done)
}

/// By its owner's side, or by the attendee, who withdraws their contact.
pub(super) fn release(view: &mut View<'_>, ask: Ask<'_>, owner: &Uid, user: &Uid) -> Applied {
    if ask.actor.uid != *user && !may_handle(view, ask, owner)? {
        return Err(Reason::NotAllowed.into());
    }
    ask.author(view)?;
    let key = keys::lead(ask.conf, owner, user);
    if !view.has(&key)? {
        return Err(Reason::UnknownLead.into());
    }
    view.remove(key);
    view.remove(keys::holder(ask.conf, user, owner));
    Ok(Outcome::Done)
}

/// A bounded step of an erasure: forgets some of somebody's leads, and of whose they are; whether there was any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, Stop> {
    let (own, others) = (keys::leads(conf, uid), keys::holders(conf, uid));
    let mut found = view.keys_from(&own, &own, MAX_STEP)?;
    for key in &found {
        if let Some(attendee) = keys::uid_at(key, own.len()) {
            view.remove(keys::holder(conf, &attendee, uid));
        }
    }
    if found.is_empty() {
        found = view.keys_from(&others, &others, MAX_STEP)?;
        for key in &found {
            if let Some(owner) = keys::uid_at(key, others.len()) {
                view.remove(keys::lead(conf, &owner, uid));
            }
        }
    }
    let is_any = !found.is_empty();
    found.into_iter().for_each(|key| view.remove(key));
    Ok(is_any)
}
