//! Badges: given out, revoked, held to readers, and what scans lead to. In reading order: [`readers`] (what a reader scans for), [`scan`] (the way of
//! a scan), then what it does by the reader's mode: [`checkin`], [`session`], [`meet`], [`lead`], [`announce`]; beside it [`contacts`] (who knows
//! whom), [`import`] (from the ticket shop), [`counts`] (so that nobody has to count) and [`forget`] (when somebody is erased).

mod announce;
mod checkin;
mod contacts;
mod counts;
mod forget;
mod import;
mod lead;
mod meet;
mod readers;
mod scan;
mod session;

use std::sync::Arc;

use super::{Applied, Ask, Author, Stop};
use crate::badges::looks_own;
use crate::command::{Action, Actor, Outcome};
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{MAX_BADGES, MAX_SHOWN_BYTES};
use crate::model::{Badge, BadgeCode, GivenBadge, Via};
use crate::reject::Reason;
use crate::view::View;

/// Carries out what is asked about badges.
pub(super) fn handle(view: &mut View<'_>, ask: Ask<'_>, action: &Action) -> Applied {
    match action {
        Action::AssignBadge { badge, user } => assign(view, ask, badge, user),
        Action::RevokeBadge { codes, on } => revoke(view, ask, codes, *on),
        Action::SetReader { reader, settings } => readers::set(view, ask, reader, settings.as_deref()),
        Action::Scan { mode, conversation, taps, raw, packet } => {
            // What comes of it comes from a reader, whatever it speaks.
            let via = if ask.actor.is_system() { Via::System } else { Via::Badge };
            let ask = Ask { actor: &Actor { via, ..ask.actor.clone() }, ..ask };
            scan::scan(view, ask, *mode, conversation.as_ref(), taps, &scan::Arrival { raw: raw.as_ref(), packet: *packet })
        }
        Action::Contact { user, deed } => contacts::contact(view, ask, user, *deed),
        Action::NoteLead { owner, user, notes } => lead::note(view, ask, owner.as_ref(), user, notes),
        Action::DropLead { owner, user } => lead::release(view, ask, owner, user),
        Action::UndoCheckin { user } => checkin::undo(view, ask, user),
        Action::ImportAttendee { uid, name, attendee, badges, takes_account } => {
            let row = import::Row { uid, name, attendee, badges, takes_account: *takes_account };
            import::import(view, ask, &row)
        }
        _ => Err(Reason::NotAllowed.into()),
    }
}

/// The asker, who must be of the staff.
fn staff(view: &mut View<'_>, ask: Ask<'_>) -> Result<Author, Stop> {
    let author = ask.author(view)?;
    if author.role.is_staff() { Ok(author) } else { Err(Reason::StaffOnly.into()) }
}

fn assign(view: &mut View<'_>, ask: Ask<'_>, badge: &GivenBadge, user: &Uid) -> Applied {
    staff(view, ask)?;
    view.user(ask.conf, user)?.ok_or(Reason::UnknownUser)?;
    let known = known(view, ask.conf, badge.codes())?;
    // What was given back and revoked can be given to somebody else.
    if known.iter().any(|(_, badge)| badge.user != *user && !badge.revoked) {
        return Err(Reason::Taken.into());
    }
    if known.iter().any(|(_, badge)| badge.user == *user) {
        return Ok(Outcome::Done);
    }
    check_new(view, ask.conf, badge, user, 1)?;
    for (code, before) in known {
        take(view, ask.conf, code, &before.user)?;
    }
    give(view, ask, &badge.code, &badge.shown, user)?;
    Ok(Outcome::Done)
}

/// Those of some codes that are somebody's.
fn known<'c>(view: &View<'_>, conf: ConfNo, codes: impl Iterator<Item = &'c BadgeCode>) -> Result<Vec<(&'c BadgeCode, Badge)>, Stop> {
    let mut known = Vec::new();
    for code in codes {
        known.extend(view.get::<Badge>(&keys::badge(conf, code))?.map(|badge| (code, badge)));
    }
    Ok(known)
}

/// Whether somebody can be given `more` badges, of which this is one.
fn check_new(view: &View<'_>, conf: ConfNo, badge: &GivenBadge, user: &Uid, more: usize) -> Result<(), Stop> {
    if looks_own(&badge.code) {
        return Err(Reason::Reserved.into());
    }
    if badge.shown.len() > MAX_SHOWN_BYTES {
        return Err(Reason::TooLarge.into());
    }
    let has = counts::bearer(view, conf, user)?.badges as usize;
    if has + more > MAX_BADGES as usize { Err(Reason::TooManyBadges.into()) } else { Ok(()) }
}

fn give(view: &mut View<'_>, ask: Ask<'_>, code: &BadgeCode, shown: &Arc<str>, user: &Uid) -> Result<(), Stop> {
    let badge = Badge { user: user.clone(), shown: Arc::clone(shown), revoked: false, since_ms: ask.at_ms };
    view.put(keys::badge(ask.conf, code), &badge);
    view.put(keys::user_badge(ask.conf, user, code), &());
    Ok(counts::change(view, ask.conf, user, |bearer| bearer.badges += 1)?)
}

/// Takes a badge from who had it.
fn take(view: &mut View<'_>, conf: ConfNo, code: &BadgeCode, from: &Uid) -> Result<(), Stop> {
    view.remove(keys::badge(conf, code));
    view.remove(keys::user_badge(conf, from, code));
    Ok(counts::change(view, conf, from, |bearer| bearer.badges = bearer.badges.saturating_sub(1))?)
}

/// Somebody's own code has no record until it is revoked.
fn revoke(view: &mut View<'_>, ask: Ask<'_>, codes: &[BadgeCode], on: bool) -> Applied {
    staff(view, ask)?;
    let known = known(view, ask.conf, codes.iter())?;
    if let Some(bearer) = known.first().map(|(_, badge)| badge.user.clone()) {
        for (code, badge) in known.into_iter().filter(|(_, badge)| badge.user == bearer) {
            view.put(keys::badge(ask.conf, code), &Badge { revoked: on, ..badge });
        }
        return Ok(Outcome::Done);
    }
    let code = codes.first().ok_or(Reason::UnknownBadge)?;
    let user = scan::own(view, ask.conf, code)?.ok_or(Reason::UnknownBadge)?;
    if on {
        // Lists go on after what is shown.
        let shown = Arc::from(code.as_str().trim_start_matches("t:"));
        give(view, ask, code, &shown, &user)?;
        revoke(view, ask, codes, on)?;
    }
    Ok(Outcome::Done)
}

pub(super) use forget::{forget_last, forget_some, is_about, raw_of};
pub(super) use session::forget as forget_attendance;
