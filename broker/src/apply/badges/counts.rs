//! What is counted, where it changes.

use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::model::{BadgeTotals, Bearer};
use crate::state::StateError;
use crate::view::View;

pub(super) fn bearer(view: &View<'_>, conf: ConfNo, uid: &Uid) -> Result<Bearer, StateError> {
    Ok(view.get(&keys::bearer(conf, uid))?.unwrap_or_default())
}

fn totals(view: &View<'_>, conf: ConfNo) -> Result<BadgeTotals, StateError> {
    Ok(view.get(&keys::badge_totals(conf))?.unwrap_or_default())
}

/// Changes what somebody is counted for, and the totals with it.
pub(super) fn change(view: &mut View<'_>, conf: ConfNo, uid: &Uid, change: impl FnOnce(&mut Bearer)) -> Result<(), StateError> {
    let before = bearer(view, conf, uid)?;
    let mut after = before;
    change(&mut after);
    if before == after {
        return Ok(());
    }
    view.put(keys::bearer(conf, uid), &after);
    let count = |total: u32, was: bool, is: bool| (total + u32::from(is)).saturating_sub(u32::from(was));
    let mut totals = totals(view, conf)?;
    totals.checked_in = count(totals.checked_in, before.is_checked_in, after.is_checked_in);
    totals.attendees = count(totals.attendees, before.is_expected(), after.is_expected());
    view.put(keys::badge_totals(conf), &totals);
    Ok(())
}

/// The number of one more scan.
pub(super) fn next_scan(view: &mut View<'_>, conf: ConfNo) -> Result<u64, StateError> {
    let mut totals = totals(view, conf)?;
    totals.scans += 1;
    view.put(keys::badge_totals(conf), &totals);
    Ok(totals.scans)
}
