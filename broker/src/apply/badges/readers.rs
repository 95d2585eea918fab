//! What readers scan for: things with an account of their own, and people with a handheld.

use super::super::{Applied, Ask};
use super::staff;
use crate::command::Outcome;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::limits::MAX_PARTICULAR_BYTES;
use crate::model::{Kind, Mode, Occupancy, ReaderSettings};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::{Found, View};

pub(super) fn set(view: &mut View<'_>, ask: Ask<'_>, reader: &Uid, settings: Option<&ReaderSettings>) -> Applied {
    staff(view, ask)?;
    let key = keys::reader(ask.conf, reader);
    let before: Option<ReaderSettings> = view.get(&key)?;
    let Some(settings) = settings else {
        before.ok_or(Reason::UnknownReader)?;
        view.remove(key);
        view.remove(keys::waiting_tap(ask.conf, reader));
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
    if let Some(found) = found.filter(|_| settings.mode == Mode::Session) {
        let had = before.map_or(0, |before| before.capacity);
        set_capacity(view, &found, had, settings.capacity)?;
    }
    view.put(key, settings);
    Ok(Outcome::Done)
}

/// A conversation that people come together in.
pub(super) fn gathering(view: &mut View<'_>, conf: ConfNo, id: &ConversationId) -> Result<Option<Found>, StateError> {
    let found = view.conversation(conf, id)?;
    Ok(found.filter(|found| matches!(found.record.kind, Kind::Channel | Kind::Group | Kind::Announcements)))
}

/// A session takes as many as was said last at one of its doors: a door that says nothing leaves it, unless it said something before.
fn set_capacity(view: &mut View<'_>, found: &Found, had: u32, capacity: u32) -> Result<(), StateError> {
    if capacity == 0 && had == 0 {
        return Ok(());
    }
    let key = keys::occupancy(found.conf, found.record.no);
    let occupancy: Occupancy = view.get(&key)?.unwrap_or_default();
    view.put(key, &Occupancy { capacity, ..occupancy });
    Ok(())
}
