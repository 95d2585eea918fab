//! What the venue's scans must come to, reader by reader: who is checked in, who was where for how long, who met whom, who has whose contact, and
//! what was announced. It knows nothing of messages and of time but what a scan says.

use std::collections::{BTreeMap, BTreeSet};

use super::posts::Mode;

/// Two badges at one reader introduce two people when not more lies between them.
const MEET_WITHIN_MS: u64 = 10_000;

/// A good badge at a reader. People are numbers.
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    /// Which reader.
    pub reader: usize,
    /// What it scans for.
    pub mode: Mode,
    /// Whose badge.
    pub person: usize,
    /// When, as the reader tells it, Unix ms.
    pub at_ms: u64,
    /// Which way, where the reader knows.
    pub exit: Option<bool>,
}

/// Somebody's time in a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stay {
    /// How often they came in.
    pub enters: u64,
    /// Ended visits, in all.
    pub ended_ms: u64,
    /// Since when they are in.
    pub inside_since_ms: Option<u64>,
    /// When they first came.
    pub first_ms: u64,
    /// When they came or went last.
    pub last_ms: u64,
}

/// Everything that the scans come to.
#[derive(Debug, Default)]
pub struct Model {
    /// Who is checked in.
    pub checked_in: BTreeSet<usize>,
    /// By session and person.
    pub stays: BTreeMap<(&'static str, usize), Stay>,
    /// Who met whom, the smaller number first.
    pub met: BTreeSet<(usize, usize)>,
    /// Exhibitor and attendee, as often as they were scanned.
    pub leads: BTreeMap<(&'static str, usize), u64>,
    /// Conversation and attendee, as often as it was announced.
    pub announced: BTreeMap<(&'static str, usize), u64>,
    /// By reader, who waits for a second badge, since when.
    waiting: BTreeMap<usize, (usize, u64)>,
}

/// What the reader is told when the scan comes for the first time.
pub type Reason = &'static str;

impl Model {
    /// Takes a scan.
    pub fn take(&mut self, scan: &Scan) -> Reason {
        match scan.mode {
            Mode::Checkin => {
                if self.checked_in.insert(scan.person) {
                    "ok"
                } else {
                    "already_checked_in"
                }
            }
            Mode::Session(session, capacity) => self.session(session, capacity, scan),
            Mode::Meet => self.meet(scan),
            Mode::Lead(owner) => {
                *self.leads.entry((owner, scan.person)).or_default() += 1;
                "ok"
            }
            Mode::Announce(conversation) => {
                *self.announced.entry((conversation, scan.person)).or_default() += 1;
                "ok"
            }
        }
    }

    /// How many are in a session.
    #[must_use]
    pub fn inside(&self, session: &str) -> usize {
        self.stays.iter().filter(|((name, _), stay)| *name == session && stay.inside_since_ms.is_some()).count()
    }

    /// Whether somebody is in a session.
    #[must_use]
    pub fn is_inside(&self, session: &'static str, person: usize) -> bool {
        self.stays.get(&(session, person)).is_some_and(|stay| stay.inside_since_ms.is_some())
    }

    fn session(&mut self, session: &'static str, capacity: u32, scan: &Scan) -> Reason {
        let exits = scan.exit.unwrap_or_else(|| self.is_inside(session, scan.person));
        if !exits && capacity > 0 && self.inside(session) >= capacity as usize {
            return "full";
        }
        let stay = self.stays.entry((session, scan.person)).or_insert(Stay { first_ms: scan.at_ms, ..Stay::default() });
        stay.last_ms = scan.at_ms;
        if exits {
            if let Some(since_ms) = stay.inside_since_ms.take() {
                stay.ended_ms += scan.at_ms.saturating_sub(since_ms);
            }
        } else {
            stay.inside_since_ms = Some(scan.at_ms);
            stay.enters += 1;
        }
        "ok"
    }

    fn meet(&mut self, scan: &Scan) -> Reason {
        match self.waiting.remove(&scan.reader) {
            Some((other, since_ms)) if other != scan.person && scan.at_ms.saturating_sub(since_ms) <= MEET_WITHIN_MS => {
                self.met.insert((other.min(scan.person), other.max(scan.person)));
            }
            _ => {
                self.waiting.insert(scan.reader, (scan.person, scan.at_ms));
            }
        }
        "ok"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(mode: Mode, person: usize, at_ms: u64) -> Scan {
        Scan { reader: 1, mode, person, at_ms, exit: None }
    }

    #[test]
    fn a_session_lets_in_and_out_and_fills_up() {
        let (mut model, hall) = (Model::default(), Mode::Session("hall-a", 2));
        assert_eq!([1, 2, 3].map(|person| model.take(&scan(hall, person, 1000))), ["ok", "ok", "full"]);
        assert_eq!(model.take(&scan(hall, 1, 4000)), "ok");
        assert_eq!(model.take(&scan(hall, 3, 5000)), "ok");
        assert_eq!(model.take(&scan(hall, 1, 6000)), "full");
        let stay = model.stays[&("hall-a", 1)];
        assert_eq!((stay.enters, stay.ended_ms, stay.inside_since_ms, stay.first_ms, stay.last_ms), (1, 3000, None, 1000, 4000));
        assert_eq!(model.inside("hall-a"), 2);
    }

    #[test]
    fn two_badges_within_ten_seconds_are_a_meeting() {
        let mut model = Model::default();
        for (person, at_ms) in [(1, 0), (1, 3000), (2, 12_000), (3, 40_000), (4, 55_000), (5, 60_000)] {
            model.take(&scan(Mode::Meet, person, at_ms));
        }
        assert_eq!(model.met, BTreeSet::from([(1, 2), (4, 5)]));
    }

    #[test]
    fn who_is_checked_in_is_told_so() {
        let mut model = Model::default();
        assert_eq!([7, 7].map(|person| model.take(&scan(Mode::Checkin, person, 1))), ["ok", "already_checked_in"]);
        model.take(&scan(Mode::Lead("expo-1"), 7, 1));
        model.take(&scan(Mode::Announce("stage"), 7, 1));
        assert_eq!(model.leads, BTreeMap::from([(("expo-1", 7), 1)]));
        assert_eq!(model.announced[&("stage", 7)], 1);
    }
}
