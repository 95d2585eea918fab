//! What readers scan for: things with an account of their own, and people with a handheld.

use super::super::{Applied, Ask};
use super::staff;
use crate::command::Outcome;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::limits::{MAX_PARTICULAR_BYTES, MAX_STEP};
use crate::model::{Kind, Mode, Occupancy, ReaderSettings};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::{Found, View};

pub(super) fn set(view: &mut View<'_>, ask: Ask<'_>, reader: &Uid, settings: Option<&ReaderSettings>) -> Applied {
    staff(view, ask)?;
    let key = keys::reader(ask.conf, reader);
    let before: Option<ReaderSettings> = view.get(&key)?;
    let Some(settings) = settings else {
        let before = before.ok_or(Reason::UnknownReader)?;
        view.remove(key);
        view.remove(keys::waiting_tap(ask.conf, reader));
        leave(view, ask.conf, &before)?;
        return Ok(Outcome::Done);
    };
    view.user(ask.conf, reader)?.ok_or(Reason::UnknownUser)?;
    if let Some(owner) = &settings.owner {
        view.user(ask.conf, owner)?.ok_or(Reason::UnknownUser)?;
    }
    if settings.format.len() > MAX_PARTICULAR_BYTES || settings.text.len() > MAX_PARTICULAR_BYTES {
        return Err(Reason::TooLarge.into());
    }
    let found = match &settings.conversation {
        Some(id) => Some(gathering(view, ask.conf, id)?.ok_or(Reason::UnknownConversation)?),
        None if matches!(settings.mode, Mode::Session | Mode::Announce) => return Err(Reason::InvalidParams.into()),
        None => None,
    };
    view.put(key, settings);
    let stays = |before: &ReaderSettings| before.mode == Mode::Session && before.conversation == settings.conversation;
    if let Some(before) = before.filter(|before| said(before).is_some() && (said(settings).is_none() || !stays(before))) {
        leave(view, ask.conf, &before)?;
    }
    if let Some(found) = found.filter(|_| settings.mode == Mode::Session && settings.capacity > 0) {
        set_capacity(view, &found, settings.capacity)?;
    }
    Ok(Outcome::Done)
}

/// Which session a door says how many it takes of, and how many.
fn said(settings: &ReaderSettings) -> Option<(&ConversationId, u32)> {
    let says = settings.mode == Mode::Session && settings.capacity > 0;
    settings.conversation.as_ref().filter(|_| says).map(|id| (id, settings.capacity))
}

/// A conversation that people come together in.
fn gathering(view: &mut View<'_>, conf: ConfNo, id: &ConversationId) -> Result<Option<Found>, StateError> {
    let found = view.conversation(conf, id)?;
    Ok(found.filter(|found| matches!(found.record.kind, Kind::Channel | Kind::Group | Kind::Announcements)))
}

/// The one that a reader scans for; `None` also when it is there no more.
pub(super) fn gathering_of(view: &mut View<'_>, conf: ConfNo, settings: &ReaderSettings) -> Result<Option<Found>, StateError> {
    settings.conversation.as_ref().map_or(Ok(None), |id| gathering(view, conf, id))
}

/// A session takes as many as was said last at one of its doors: a door that says nothing leaves it.
fn set_capacity(view: &mut View<'_>, found: &Found, capacity: u32) -> Result<(), StateError> {
    let key = keys::occupancy(found.conf, found.record.no);
    let occupancy: Occupancy = view.get(&key)?.unwrap_or_default();
    view.put(key, &Occupancy { capacity, ..occupancy });
    Ok(())
}

/// A door that said how many a session takes says so no more: what its other doors say counts, of several the least.
pub(super) fn leave(view: &mut View<'_>, conf: ConfNo, before: &ReaderSettings) -> Result<(), StateError> {
    let Some((id, _)) = said(before) else { return Ok(()) };
    let Some(found) = view.conversation(conf, id)? else { return Ok(()) };
    let prefix = keys::readers(conf);
    let (mut from, mut least) = (prefix.clone(), None);
    loop {
        let page = view.keys_from(&from, &prefix, MAX_STEP)?;
        for key in &page {
            let other: Option<ReaderSettings> = view.get(key)?;
            let says = other.as_ref().and_then(said).filter(|(of, _)| *of == id).map(|(_, capacity)| capacity);
            least = [least, says].into_iter().flatten().min();
        }
        match page.into_iter().next_back() {
            Some(last) => from = keys::above(&prefix, Some(last)),
            None => return set_capacity(view, &found, least.unwrap_or_default()),
        }
    }
}
