//! What is kept of somebody because of badges: their part of `people.export`.

use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::{Attendance, Contact, Lead};
use hallway_broker::reader::{Named, Reader};
use hallway_broker::state::StateError;

use super::contacts::card;
use crate::types::Time;
use crate::types::scanned::{OwnAttendance, OwnBadge, OwnContact, OwnHolder, OwnLead, OwnScanned, OwnTicket};

/// Contacts, leads and holders in an answer, each.
const MAX_EXPORTED: usize = 5000;

/// What there is, and whether that is all.
pub(super) fn of(reader: &Reader, conf: ConfNo, uid: &Uid) -> Result<(OwnScanned, bool), StateError> {
    let badges = reader.badges_of(conf, uid)?.into_iter();
    let ticket = match reader.attendee(conf, uid)? {
        Some(attendee) => Some(OwnTicket { id: attendee.external, kind: attendee.ticket, card: card(reader, conf, uid)? }),
        None => None,
    };
    let attended = |(conversation, record): (_, Attendance)| OwnAttendance {
        conversation,
        enters: record.stay.enters,
        seconds: record.stay.total_ms / 1000,
        first: Time(record.stay.first_ms),
        last: Time(record.stay.last_ms),
    };
    let (contacts, all_contacts) = reader.contacts(conf, uid, None, MAX_EXPORTED)?;
    let (leads, all_leads) = reader.leads(conf, uid, None, MAX_EXPORTED)?;
    let (holders, all_holders) = reader.holders(conf, uid, None, MAX_EXPORTED)?;
    let contact = |one: Named<Contact>| OwnContact { user: one.uid, state: one.record.state.word(), since: Time(one.record.since_ms) };
    let lead = |one: Named<Lead>| OwnLead {
        user: one.uid,
        rating: one.record.notes.rating,
        note: one.record.notes.note,
        tags: one.record.notes.tags,
        since: Time(one.record.since_ms),
        scans: one.record.scans,
    };
    let holder = |one: Named<Lead>| OwnHolder { owner: one.uid, since: Time(one.record.since_ms), scans: one.record.scans };
    let own = OwnScanned {
        badges: badges.map(|(_, badge)| OwnBadge { badge: badge.shown, revoked: badge.revoked, since: Time(badge.since_ms) }).collect(),
        ticket,
        checked_in: reader.checkin(conf, uid)?.map(|checkin| Time(checkin.at_ms)),
        sessions: reader.attended_by(conf, uid)?.into_iter().map(attended).collect(),
        contacts: contacts.into_iter().map(contact).collect(),
        leads: leads.into_iter().map(lead).collect(),
        holders: holders.into_iter().map(holder).collect(),
    };
    Ok((own, all_contacts && all_leads && all_holders))
}
