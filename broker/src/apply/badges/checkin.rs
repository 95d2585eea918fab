//! Arriving at the conference: once, whatever door it is.

use super::super::{Applied, Ask, Stop};
use super::scan::{Desk, Holder, Verdict};
use super::{counts, staff};
use crate::command::Outcome;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::model::{Checkin, ScanReason};
use crate::reject::Reason;
use crate::view::View;

pub(super) fn arrive(view: &mut View<'_>, desk: &Desk<'_>, holder: &Holder, at_ms: u64, scan: u64) -> Result<Verdict, Stop> {
    let key = keys::checkin(desk.ask.conf, &holder.uid);
    if view.has(&key)? {
        return Ok(ScanReason::AlreadyCheckedIn.into());
    }
    view.put(key, &Checkin { at_ms, by: desk.ask.actor.uid.clone(), scan });
    counts::change(view, desk.ask.conf, &holder.uid, |bearer| bearer.is_checked_in = true)?;
    Ok(ScanReason::Ok.into())
}

pub(super) fn undo(view: &mut View<'_>, ask: Ask<'_>, user: &Uid) -> Applied {
    staff(view, ask)?;
    view.user(ask.conf, user)?.ok_or(Reason::UnknownUser)?;
    forget(view, ask.conf, user)?;
    Ok(Outcome::Done)
}

pub(super) fn forget(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<(), Stop> {
    view.remove(keys::checkin(conf, uid));
    Ok(counts::change(view, conf, uid, |bearer| bearer.is_checked_in = false)?)
}
