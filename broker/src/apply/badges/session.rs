//! Sessions: who comes in joins the conversation, and stays a member when they go out; how long they were inside is counted.

use super::super::{Ask, Stop};
use super::readers::gathering;
use super::scan::{Desk, Holder, Verdict};
use crate::command::Actor;
use crate::ids::Uid;
use crate::keys;
use crate::model::{Attendance, Body, Change, Direction, Kind, MemberRole, Occupancy, ScanReason, Standing, Via};
use crate::view::{Found, View};

/// In or out, as the reader says, or else the other way than before. Who is inside and comes in once more was not seen going out: nothing changes.
pub(super) fn pass(
    view: &mut View<'_>,
    desk: &Desk<'_>,
    holder: &Holder,
    at_ms: u64,
    direction: Option<Direction>,
) -> Result<Verdict, Stop> {
    let conf = desk.ask.conf;
    let found = match &desk.settings.conversation {
        Some(id) => gathering(view, conf, id)?,
        None => None,
    };
    let Some(mut found) = found else { return Ok(ScanReason::NotAllowed.into()) };
    let rooms = keys::occupancy(conf, found.record.no);
    let key = keys::attendance(conf, found.record.no, &holder.uid);
    let mut room: Occupancy = view.get(&rooms)?.unwrap_or_default();
    let known: Option<Attendance> = view.get(&key)?;
    let is_first = known.is_none();
    let mut attendance = known.unwrap_or_default();
    let way = direction.unwrap_or(if attendance.inside_since_ms.is_some() { Direction::Exit } else { Direction::Enter });
    match (way, attendance.inside_since_ms) {
        (Direction::Enter, None) => {
            if room.capacity > 0 && room.inside >= room.capacity {
                return Ok(ScanReason::Full.into());
            }
            if !join(view, desk, &mut found, holder)? {
                return Ok(ScanReason::NotAllowed.into());
            }
            attendance.inside_since_ms = Some(at_ms);
            attendance.enters += 1;
            room.inside += 1;
            room.people += u32::from(is_first);
        }
        (Direction::Exit, Some(since_ms)) => {
            attendance.inside_since_ms = None;
            attendance.total_ms += at_ms.saturating_sub(since_ms);
            room.inside = room.inside.saturating_sub(1);
        }
        // Not seen coming in.
        (Direction::Exit, None) if is_first => return Ok(here(&found)),
        _ => {}
    }
    attendance.first_ms = if is_first { at_ms } else { attendance.first_ms.min(at_ms) };
    attendance.last_ms = attendance.last_ms.max(at_ms);
    view.put(key, &attendance);
    view.put(rooms, &room);
    Ok(here(&found))
}

fn here(found: &Found) -> Verdict {
    Verdict { reason: ScanReason::Ok, conversation: Some(found.id.clone()) }
}

/// Makes the bearer a member; whether they may be one. Who holds their badge to a group's door is let in by those who put the reader there.
fn join(view: &mut View<'_>, desk: &Desk<'_>, found: &mut Found, holder: &Holder) -> Result<bool, Stop> {
    match view.standing(found, &holder.uid)? {
        Some(Standing::In(_)) => return Ok(true),
        Some(Standing::Banned) => return Ok(false),
        Some(Standing::Removed) if found.record.kind == Kind::Group => return Ok(false),
        _ => {}
    }
    let actor = Actor { uid: holder.uid.clone(), via: Via::Badge, session: 0 };
    let ask = Ask { actor: &actor, ..desk.ask };
    let author = ask.author(view)?;
    let event = ask.append(view, found, &author, Body::Member { user: holder.uid.clone(), change: Change::Joined })?;
    view.put_standing(found, &holder.uid, Standing::In(MemberRole::Member), event.entry.pos)?;
    Ok(true)
}

/// Forgets that somebody was at a session.
pub(in super::super) fn forget(view: &mut View<'_>, found: &Found, uid: &Uid) -> Result<(), Stop> {
    let key = keys::attendance(found.conf, found.record.no, uid);
    let Some(attendance) = view.get::<Attendance>(&key)? else { return Ok(()) };
    let rooms = keys::occupancy(found.conf, found.record.no);
    let mut room: Occupancy = view.get(&rooms)?.unwrap_or_default();
    room.inside = room.inside.saturating_sub(u32::from(attendance.inside_since_ms.is_some()));
    room.people = room.people.saturating_sub(1);
    view.put(rooms, &room);
    view.remove(key);
    Ok(())
}
