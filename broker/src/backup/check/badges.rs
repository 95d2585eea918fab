//! Badges' records: each is of its kind and belongs to something, and what is counted is what a count gives.

use super::records::{Parts, uid};
use super::{Walk, whole};
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::model::{
    Attendance, Attendee, Badge, BadgeTotals, Bearer, Checkin, Contact, KnownScan, Lead, Occupancy, ReaderSettings, Waiting,
};
use crate::state::StateError;

/// Whether the value is of the key's kind; `None` for a kind that is not of badges.
pub(super) fn is_of_kind(kind: u8, value: &[u8]) -> Option<bool> {
    Some(match kind {
        b'A' => whole::<Badge>(value).is_some(),
        b'd' => whole::<ReaderSettings>(value).is_some(),
        b'H' => whole::<Checkin>(value).is_some(),
        b'L' => whole::<Lead>(value).is_some(),
        b'N' => whole::<Attendance>(value).is_some_and(|attendance| attendance.stay == attendance.counted()),
        b'O' => whole::<Contact>(value).is_some(),
        b'1' => whole::<KnownScan>(value).is_some(),
        b'2' => whole::<Waiting>(value).is_some(),
        b'3' => whole::<Occupancy>(value).is_some(),
        b'4' => whole::<Attendee>(value).is_some(),
        b'5' => whole::<Uid>(value).is_some(),
        b'6' => whole::<Bearer>(value).is_some(),
        b'7' => whole::<BadgeTotals>(value).is_some(),
        b'J' | b'M' => value.is_empty(),
        _ => return None,
    })
}

impl Walk<'_> {
    /// Whether what a record of badges belongs to is there.
    pub(super) fn badge_belongs(&mut self, parts: &Parts<'_>, value: &[u8]) -> Result<bool, StateError> {
        let conf = parts.conf;
        let pair = || parts.split_rest().and_then(|(of, rest)| Some((uid(of)?, uid(rest)?)));
        match parts.kind {
            b'A' => {
                let Some(badge) = whole::<Badge>(value) else { return Ok(false) };
                let of_user = [&keys::user_badges(conf, &badge.user)[..], parts.rest].concat();
                Ok(self.has(&of_user)? && self.has_user(conf, Some(badge.user))?)
            }
            b'J' => match parts.split_rest() {
                Some((_, code)) => self.has(&[&keys::badges(conf)[..], code].concat()),
                None => Ok(false),
            },
            b'L' => match pair() {
                Some((owner, attendee)) => Ok(self.has(&keys::holder(conf, &attendee, &owner))? && self.has_user(conf, Some(attendee))?),
                None => Ok(false),
            },
            b'M' => match pair() {
                Some((attendee, owner)) => self.has(&keys::lead(conf, &owner, &attendee)),
                None => Ok(false),
            },
            b'O' => match pair() {
                Some((one, other)) => Ok(self.has_user(conf, Some(one))? && self.has_user(conf, Some(other))?),
                None => Ok(false),
            },
            b'5' => match whole::<Uid>(value) {
                // The ticket of an erased person stays theirs, so that the next import does not bring them back.
                Some(uid) => self.has(&keys::user(conf, &uid)),
                None => Ok(false),
            },
            b'd' | b'H' | b'2' | b'4' | b'6' => self.has_user(conf, uid(parts.rest)),
            _ => Ok(true),
        }
    }

    /// Counts who is checked in, who is expected and who is where, and compares.
    pub(super) fn check_badge_counts(&mut self, conf: ConfNo) -> Result<(), StateError> {
        let totals: BadgeTotals = self.get(&keys::badge_totals(conf))?.unwrap_or_default();
        let (mut checked_in, mut expected, mut came) = (0, 0, 0);
        self.scan(&keys::checkins(conf), &mut |_, _| came += 1)?;
        self.scan(&keys::bearers(conf), &mut |_, value| {
            let bearer: Bearer = whole(value).unwrap_or_default();
            checked_in += u32::from(bearer.is_checked_in);
            expected += u32::from(bearer.is_expected());
        })?;
        let id = self.conferences.get(&conf).map_or_else(String::new, |checked| checked.id.clone());
        if (totals.checked_in, totals.checked_in, totals.attendees) != (checked_in, came, expected) {
            self.report.problem(format!(
                "conference {id}: {came} are checked in and {expected} expected, but it counts {} and {}",
                totals.checked_in, totals.attendees
            ));
        }
        self.check_occupancy(conf, &id)
    }

    fn check_occupancy(&mut self, conf: ConfNo, id: &str) -> Result<(), StateError> {
        let mut found: Vec<(Vec<u8>, u32, u32)> = Vec::new();
        let of_session = keys::badge_totals(conf).len() + size_of::<u32>();
        self.scan(&keys::all_attendances(conf), &mut |key, value| {
            let attendance: Attendance = whole(value).unwrap_or_default();
            let (inside, came) = (u32::from(attendance.stay.inside_since_ms.is_some()), u32::from(attendance.was_inside()));
            let session = key.get(..of_session).unwrap_or_default();
            match found.last_mut().filter(|(last, ..)| last == session) {
                Some((_, all_inside, people)) => {
                    *all_inside += inside;
                    *people += came;
                }
                None => found.push((session.to_vec(), inside, came)),
            }
        })?;
        for (mut key, inside, people) in found {
            if let Some(kind) = key.first_mut() {
                *kind = b'3';
            }
            let room: Occupancy = self.get(&key)?.unwrap_or_default();
            if (room.inside, room.people) != (inside, people) {
                self.report.problem(format!(
                    "conference {id}: at a session are {inside} of {people} people, but it counts {} of {}",
                    room.inside, room.people
                ));
            }
        }
        Ok(())
    }
}
