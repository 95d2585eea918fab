//! Sessions: who comes in joins the conversation, and stays a member when they go out; how long they were inside is counted.

use super::super::{Ask, Stop};
use super::readers::gathering_of;
use super::scan::{Desk, Holder, Verdict};
use crate::command::Actor;
use crate::ids::Uid;
use crate::keys;
use crate::model::{Attendance, Body, Change, Direction, Kind, MemberRole, Occupancy, Pass, ScanReason, Standing, Via};
use crate::view::{Found, View};

/// In or out, as the reader says, or else the other way than before: of all passes in the order of their times, since a reader may upload late.
pub(super) fn pass(
    view: &mut View<'_>,
    desk: &Desk<'_>,
    holder: &Holder,
    at_ms: u64,
    direction: Option<Direction>,
) -> Result<Verdict, Stop> {
    let conf = desk.ask.conf;
    let Some(mut found) = gathering_of(view, conf, &desk.settings)? else { return Ok(ScanReason::NotAllowed.into()) };
    let rooms = keys::occupancy(conf, found.record.no);
    let key = keys::attendance(conf, found.record.no, &holder.uid);
    let mut room: Occupancy = view.get(&rooms)?.unwrap_or_default();
    let known: Attendance = view.get(&key)?.unwrap_or_default();
    let attendance = known.with(Pass { at_ms, way: direction });
    let (was, is) = (is_inside(&known), is_inside(&attendance));
    // Who has gone cannot be kept out.
    if direction != Some(Direction::Exit) && !was && is && room.capacity > 0 && room.inside >= room.capacity {
        return Ok(ScanReason::Full.into());
    }
    if attendance.stay.enters > known.stay.enters && !join(view, desk, &mut found, holder)? {
        return Ok(ScanReason::NotAllowed.into());
    }
    if view.member(&found, &holder.uid)?.is_none() {
        // Only seen going out: an erasure finds it by this.
        view.put(keys::user_conversation(conf, &holder.uid, &found.id), &());
    }
    room.inside = (room.inside + u32::from(is)).saturating_sub(u32::from(was));
    room.people = (room.people + u32::from(attendance.was_inside())).saturating_sub(u32::from(known.was_inside()));
    view.put(key, &attendance);
    view.put(rooms, &room);
    Ok(here(&found))
}

fn is_inside(attendance: &Attendance) -> bool {
    attendance.stay.inside_since_ms.is_some()
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
    room.inside = room.inside.saturating_sub(u32::from(is_inside(&attendance)));
    room.people = room.people.saturating_sub(u32::from(attendance.was_inside()));
    view.put(rooms, &room);
    view.remove(key);
    Ok(())
}
