//! Attendees of a ticket shop. A row is known by the shop's own id for the ticket, so that the same file can be imported again and again: what was
//! changed in the meantime by the people themselves (their name) stays.

use super::super::{Applied, Ask, Stop, accounts};
use super::{check_new, counts, give, known, staff};
use crate::command::Outcome;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::MAX_PARTICULAR_BYTES;
use crate::model::{Attendee, GivenBadge, Imported, UserRole};
use crate::reject::Reason;
use crate::view::View;

/// A row of the ticket shop's list.
pub(super) struct Row<'a> {
    /// Whose it is, unless the ticket is known.
    pub uid: &'a Uid,
    /// The name of an account that is made.
    pub name: &'a str,
    pub attendee: &'a Attendee,
    pub badges: &'a [GivenBadge],
    /// The account may be there already. One that somebody made for themselves under a uid that was only thought up for the row is not theirs.
    pub takes_account: bool,
}

pub(super) fn import(view: &mut View<'_>, ask: Ask<'_>, row: &Row<'_>) -> Applied {
    let Row { attendee, badges, .. } = *row;
    staff(view, ask)?;
    let particulars = [&attendee.external, &attendee.email, &attendee.company, &attendee.job, &attendee.ticket];
    if particulars.iter().any(|text| text.len() > MAX_PARTICULAR_BYTES) {
        return Err(Reason::TooLarge.into());
    }
    let (uid, has_ticket) = whose(view, ask.conf, row.uid, attendee)?;
    let account = view.user_record(ask.conf, &uid)?;
    if account.is_some() && !has_ticket && !row.takes_account {
        return Err(Reason::Taken.into());
    }
    let is_other = |role: UserRole| role == UserRole::Device || (role.is_staff() && !has_ticket);
    if account.as_ref().is_some_and(|user| user.erased || is_other(user.role)) {
        return Err(Reason::Taken.into());
    }
    let new = new_badges(view, ask.conf, &uid, badges)?;
    let before: Option<Attendee> = view.get(&keys::attendee(ask.conf, &uid))?;
    let change = match (&account, &before) {
        (None, _) => Imported::Added,
        (_, Some(before)) if before == attendee && new.is_empty() => return Ok(Outcome::Imported { uid, change: Imported::Unchanged }),
        _ => Imported::Changed,
    };
    if account.is_none() {
        accounts::add(view, ask, &uid, Some(row.name), UserRole::Attendee, None)?;
    }
    view.put(keys::attendee(ask.conf, &uid), attendee);
    if !attendee.external.is_empty() {
        view.put(keys::ticket(ask.conf, &attendee.external), &uid);
    }
    counts::change(view, ask.conf, &uid, |bearer| bearer.has_ticket = true)?;
    for badge in new {
        give(view, ask, &badge.code, &badge.shown, &uid)?;
    }
    Ok(Outcome::Imported { uid, change })
}

/// Whose row it is, and whether they have the ticket already: of who has it, whatever uid the row says; otherwise of that uid, when it has no other
/// ticket.
fn whose(view: &View<'_>, conf: ConfNo, uid: &Uid, attendee: &Attendee) -> Result<(Uid, bool), Stop> {
    if !attendee.external.is_empty()
        && let Some(known) = view.get::<Uid>(&keys::ticket(conf, &attendee.external))?
    {
        return Ok((known, true));
    }
    let other: Option<Attendee> = view.get(&keys::attendee(conf, uid))?;
    if other.is_some_and(|other| other.external != attendee.external) { Err(Reason::Taken.into()) } else { Ok((uid.clone(), false)) }
}

/// The badges of a row that are not theirs yet.
fn new_badges<'a>(view: &View<'_>, conf: ConfNo, uid: &Uid, badges: &'a [GivenBadge]) -> Result<Vec<&'a GivenBadge>, Stop> {
    let mut new: Vec<&GivenBadge> = Vec::new();
    for badge in badges {
        let known = known(view, conf, badge.codes())?;
        if known.iter().any(|(_, known)| known.user != *uid) {
            return Err(Reason::Taken.into());
        }
        let is_twice = new.iter().any(|other| badge.codes().any(|code| *code == other.code));
        if known.is_empty() && !is_twice {
            new.push(badge);
        }
    }
    for badge in &new {
        check_new(view, conf, badge, uid, new.len())?;
    }
    Ok(new)
}

/// Forgets what the shop told. That the ticket is theirs stays, or the next import would bring them back.
pub(super) fn forget(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<(), Stop> {
    view.remove(keys::attendee(conf, uid));
    Ok(counts::change(view, conf, uid, |bearer| bearer.has_ticket = false)?)
}
