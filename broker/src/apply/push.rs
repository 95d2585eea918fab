//! Push: where people are reached, what they want, and how far the worker is with it.

use super::{Applied, Ask, Stop};
use crate::command::Outcome;
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::keys;
use crate::limits::{
    MAX_DEAD_LETTERS, MAX_STEP, MAX_TARGET_BYTES, MAX_TARGET_NAME_BYTES, MAX_TARGET_OPTIONS_BYTES, MAX_TARGET_SECRET_BYTES, MAX_TARGETS,
    MAX_UNDER_WAY,
};
use crate::model::{Attention, Kind, Level, PushCursor, PushRow, PushSettings, PushState, Standing, Target, TargetId};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::View;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// How far a clock may be from UTC, in minutes.
const MAX_OFFSET_MINUTES: u16 = 14 * 60;

pub(super) fn register(view: &mut View<'_>, ask: Ask<'_>, target: &Target) -> Applied {
    let (conf, uid) = (ask.conf, &ask.actor.uid);
    view.user(conf, uid)?.ok_or(Reason::SessionEnded)?;
    check(target)?;
    let id = target.id(uid);
    let owner: Option<Uid> = view.get(&keys::target_owner(conf, &id))?;
    let other = owner.as_ref().filter(|owner| *owner != uid);
    if let Some(other) = other {
        let theirs: Option<Target> = view.get(&keys::target(conf, other, &id))?;
        if theirs.is_some_and(|theirs| !theirs.may_become(target)) {
            return Err(Reason::Taken.into());
        }
    }
    // Who registers the first target learns of what is said from now on.
    let all = keys::all_targets(conf);
    if view.keys_from(&all, &all, 1)?.is_empty() {
        let pos = view.conference_head(conf)?.pos;
        let mut state = state(view, conf)?;
        state.cursor = PushCursor { pos, under_way: Vec::new() };
        view.put(keys::push_state(conf), &state);
    }
    if owner.as_ref() != Some(uid) {
        if let Some(other) = other {
            take_out(view, conf, other, &id)?;
        }
        forget_oldest(view, conf, uid)?;
    }
    view.put(keys::target(conf, uid, &id), &Target { since_ms: ask.at_ms, ..target.clone() });
    view.put(keys::target_owner(conf, &id), uid);
    Ok(Outcome::Done)
}

/// How far push is in a conference.
fn state(view: &View<'_>, conf: ConfNo) -> Result<PushState, StateError> {
    Ok(view.get(&keys::push_state(conf))?.unwrap_or_default())
}

fn check(target: &Target) -> Result<(), Reason> {
    let bounds = [
        (target.address.len(), MAX_TARGET_BYTES),
        (target.secret.len(), MAX_TARGET_SECRET_BYTES),
        (target.topic.len(), MAX_TARGET_NAME_BYTES),
        (target.device.len(), MAX_TARGET_NAME_BYTES),
        (target.options.len(), MAX_TARGET_OPTIONS_BYTES),
    ];
    if target.address.is_empty() || target.address.chars().chain(target.topic.chars()).any(char::is_control) {
        return Err(Reason::BadTarget);
    }
    if bounds.iter().any(|(has, most)| has > most) { Err(Reason::TooLarge) } else { Ok(()) }
}

/// One more has to fit.
fn forget_oldest(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<(), Stop> {
    let prefix = keys::targets(conf, uid);
    let kept = view.keys_from(&prefix, &prefix, MAX_TARGETS)?;
    if kept.len() < MAX_TARGETS {
        return Ok(());
    }
    let mut oldest = None;
    for key in kept {
        let since_ms = view.get::<Target>(&key)?.map_or(0, |target| target.since_ms);
        if oldest.as_ref().is_none_or(|(earliest, _)| since_ms < *earliest) {
            oldest = Some((since_ms, key));
        }
    }
    match oldest.and_then(|(_, key)| keys::id_of_target(&key)) {
        Some(id) => take_out(view, conf, uid, &id),
        None => Ok(()),
    }
}

/// Takes a target out. What waits for it, beyond a step of it, the worker finds without a target and drops.
fn take_out(view: &mut View<'_>, conf: ConfNo, uid: &Uid, id: &TargetId) -> Result<(), Stop> {
    view.remove(keys::target(conf, uid, id));
    view.remove(keys::target_owner(conf, id));
    let prefix = keys::push_rows_to(conf, uid, id);
    let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
    drop_rows(view, conf, uid, found)
}

/// Removes rows by where they are found; the caller has all of one user.
fn drop_rows(view: &mut View<'_>, conf: ConfNo, uid: &Uid, found: Vec<keys::Key>) -> Result<(), Stop> {
    let prefix = keys::push_rows_of(conf, uid);
    let mut state = state(view, conf)?;
    for key in found {
        if let (Some(due_ms), Some((target, conversation))) = (view.get::<u64>(&key)?, keys::parts_of_row(&key, &prefix)) {
            let row = PushRow { user: uid.clone(), target, conversation, first_seq: 0, seq: 0, tries: 0, since_ms: 0, why: "".into() };
            view.remove(keys::push_row(conf, due_ms, &row));
            state.rows = state.rows.saturating_sub(1);
        }
        view.remove(key);
    }
    view.put(keys::push_state(conf), &state);
    Ok(())
}

pub(super) fn forget(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid, id: &TargetId, since_ms: Option<u64>) -> Applied {
    if !ask.actor.is_system() && ask.actor.uid != *uid {
        return Err(Reason::NotAllowed.into());
    }
    let target: Target = view.get(&keys::target(ask.conf, uid, id))?.ok_or(Reason::UnknownTarget)?;
    // It was registered again since: the device is there.
    if since_ms.is_none_or(|since_ms| since_ms == target.since_ms) {
        take_out(view, ask.conf, uid, id)?;
    }
    Ok(Outcome::Done)
}

pub(super) fn set(view: &mut View<'_>, ask: Ask<'_>, settings: &PushSettings) -> Applied {
    let (conf, uid) = (ask.conf, &ask.actor.uid);
    view.user(conf, uid)?.ok_or(Reason::SessionEnded)?;
    let (from, to) = settings.quiet_minutes;
    if from >= DAY_MINUTES || to >= DAY_MINUTES || settings.utc_offset_minutes.unsigned_abs() > MAX_OFFSET_MINUTES {
        return Err(Reason::InvalidParams.into());
    }
    if *settings == PushSettings::default() {
        view.remove(keys::push_settings(conf, uid));
    } else {
        view.put(keys::push_settings(conf, uid), settings);
    }
    if settings.level == Level::All {
        view.put(keys::wants_all(conf, uid), &());
    } else {
        view.remove(keys::wants_all(conf, uid));
    }
    Ok(Outcome::Done)
}

pub(super) fn attend(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, attention: Attention) -> Applied {
    let author = ask.author(view)?;
    let (found, standing) = ask.find(view, id)?;
    ask.asker(author.role, standing).may_read(found.record.kind, id)?;
    // Push is for members; nobody is pushed their notices.
    if matches!(found.record.kind, Kind::Inbox | Kind::Topics) || standing.and_then(Standing::role).is_none() {
        return Err(Reason::NotAMember.into());
    }
    let key = keys::attention(ask.conf, found.record.no, &ask.actor.uid);
    if attention == Attention::default() {
        view.remove(key);
    } else {
        view.put(key, &attention);
    }
    Ok(Outcome::Done)
}

pub(super) fn progress(
    view: &mut View<'_>,
    ask: Ask<'_>,
    cursor: Option<&PushCursor>,
    done: &[(u64, PushRow)],
    due: &[(u64, PushRow)],
    dead: &[PushRow],
) -> Applied {
    if !ask.actor.is_system() {
        return Err(Reason::NotAllowed.into());
    }
    // It was removed meanwhile: nothing is left behind.
    view.get::<ConferenceId>(&keys::conference_id(ask.conf))?.ok_or(Reason::UnknownConference)?;
    if done.len() + due.len() + dead.len() > 2 * MAX_STEP || cursor.is_some_and(|cursor| cursor.under_way.len() > MAX_UNDER_WAY) {
        return Err(Reason::TooLarge.into());
    }
    let mut state = state(view, ask.conf)?;
    if let Some(cursor) = cursor.filter(|cursor| cursor.pos >= state.cursor.pos) {
        state.cursor = cursor.clone();
    }
    for (due_ms, row) in done {
        finish(view, ask.conf, &mut state, *due_ms, row)?;
    }
    for (due_ms, row) in due {
        put_off(view, ask.conf, &mut state, *due_ms, row)?;
    }
    bury(view, ask.conf, &mut state, dead)?;
    view.put(keys::push_state(ask.conf), &state);
    Ok(Outcome::Done)
}

/// A row is done, unless a newer message has taken its place.
fn finish(view: &mut View<'_>, conf: ConfNo, state: &mut PushState, due_ms: u64, row: &PushRow) -> Result<(), StateError> {
    let key = keys::push_row(conf, due_ms, row);
    if view.get::<PushRow>(&key)?.is_some_and(|there| there.seq <= row.seq) {
        view.remove(key);
        view.remove(keys::push_row_of(conf, &row.user, &row.target, &row.conversation));
        state.rows = state.rows.saturating_sub(1);
    }
    Ok(())
}

/// A row is to be tried at a time: there is one of each conversation to a target, about its newest message.
fn put_off(view: &mut View<'_>, conf: ConfNo, state: &mut PushState, due_ms: u64, row: &PushRow) -> Result<(), StateError> {
    // Erased, or unregistered meanwhile.
    if !view.has(&keys::target(conf, &row.user, &row.target))? {
        return Ok(());
    }
    let place = keys::push_row_of(conf, &row.user, &row.target, &row.conversation);
    let (mut tries, mut first_seq) = (row.tries, row.first_seq);
    match view.get::<u64>(&place)? {
        Some(earlier_ms) => {
            let key = keys::push_row(conf, earlier_ms, row);
            if let Some(there) = view.get::<PushRow>(&key)? {
                first_seq = first_seq.min(there.first_seq);
                if there.seq > row.seq {
                    view.put(key, &PushRow { first_seq, ..there });
                    return Ok(());
                }
                tries = tries.max(there.tries);
            }
            view.remove(key);
        }
        None => state.rows += 1,
    }
    view.put(keys::push_row(conf, due_ms, row), &PushRow { tries, first_seq, ..row.clone() });
    view.put(place, &due_ms);
    Ok(())
}

/// Keeps what was given up, up to [`MAX_DEAD_LETTERS`] of it.
fn bury(view: &mut View<'_>, conf: ConfNo, state: &mut PushState, dead: &[PushRow]) -> Result<(), StateError> {
    if dead.is_empty() {
        return Ok(());
    }
    let prefix = keys::dead_letters(conf);
    for row in dead {
        // Of who was erased meanwhile nothing is kept, and what is not registered any more is never tried again.
        if view.has(&keys::target(conf, &row.user, &row.target))? {
            state.letters += 1;
            view.put(keys::dead_letter(conf, state.letters), row);
        }
    }
    let kept = view.keys_from(&prefix, &prefix, MAX_DEAD_LETTERS + dead.len())?;
    let excess = kept.len().saturating_sub(MAX_DEAD_LETTERS);
    kept.into_iter().take(excess).for_each(|key| view.remove(key));
    Ok(())
}

pub(super) fn replay(view: &mut View<'_>, ask: Ask<'_>, letters: Option<&[u64]>) -> Applied {
    if !ask.author(view)?.role.is_staff() {
        return Err(Reason::StaffOnly.into());
    }
    let conf = ask.conf;
    let prefix = keys::dead_letters(conf);
    let found = match letters {
        Some(letters) if letters.len() > MAX_STEP => return Err(Reason::TooLarge.into()),
        Some(letters) => letters.iter().map(|number| keys::dead_letter(conf, *number)).collect(),
        None => view.keys_from(&prefix, &prefix, MAX_STEP)?,
    };
    let more = letters.is_none() && found.len() == MAX_STEP;
    let mut state = state(view, conf)?;
    let mut replayed = 0;
    for key in found {
        let Some(row) = view.get::<PushRow>(&key)? else { continue };
        view.remove(key);
        if view.has(&keys::target(conf, &row.user, &row.target))? {
            replayed += 1;
            put_off(view, conf, &mut state, ask.at_ms, &PushRow { tries: 0, since_ms: ask.at_ms, ..row })?;
        }
    }
    view.put(keys::push_state(conf), &state);
    Ok(Outcome::Replayed(replayed, more))
}

/// Forgets all targets of a user.
pub(super) fn forget_targets(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<(), Stop> {
    let prefix = keys::targets(conf, uid);
    loop {
        let kept = view.keys_from(&prefix, &prefix, MAX_TARGETS)?;
        if kept.is_empty() {
            return Ok(());
        }
        for key in kept {
            if let Some(id) = keys::id_of_target(&key) {
                take_out(view, conf, uid, &id)?;
            }
            view.remove(key);
        }
    }
}

/// A bounded step of an erasure: forgets what waits to be pushed to a user, what was given up of it, and what they wanted; whether there was any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, Stop> {
    let prefix = keys::push_rows_of(conf, uid);
    let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
    if !found.is_empty() {
        drop_rows(view, conf, uid, found)?;
        return Ok(true);
    }
    view.remove(keys::push_settings(conf, uid));
    view.remove(keys::wants_all(conf, uid));
    let letters = keys::dead_letters(conf);
    let mut found = false;
    // All of them are looked at: there are few.
    for key in view.keys_from(&letters, &letters, MAX_DEAD_LETTERS)? {
        if view.get::<PushRow>(&key)?.is_some_and(|row| row.user == *uid) {
            view.remove(key);
            found = true;
        }
    }
    Ok(found)
}
