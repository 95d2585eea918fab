//! Who has come and who was where for how long, reckoned a second time by a simple book, however scans, late uploads, what is taken back, and what
//! becomes of people come together.

use super::*;

const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];
const HOUR_MS: u64 = 3_600_000;
const WEEK_MS: u64 = 168 * HOUR_MS;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A badge at a door: of the conference, or of a session; when by the door's clock, in hours from now; which way; with an id.
    Scan {
        session: bool,
        who: usize,
        hours: Option<i64>,
        way: Option<Way>,
        id: Option<u8>,
    },
    /// An earlier one is uploaded again.
    Again(prop::sample::Index),
    Undo(usize),
    Revoke(usize, bool),
    Role(usize, UserRole),
    Erase(usize),
    /// Hours pass.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let way = prop_oneof![2 => Just(None), 1 => Just(Some(Way::Enter)), 1 => Just(Some(Way::Exit))];
    let hours = prop_oneof![2 => Just(None), 4 => (-30..1i64).prop_map(Some), 1 => Just(Some(24)), 1 => Just(Some(-166))];
    let scan = (any::<bool>(), 0..3usize, hours, way, prop::option::of(0..2u8));
    let role = prop_oneof![Just(UserRole::Attendee), Just(UserRole::Staff), Just(UserRole::Device)];
    prop_oneof![
        12 => scan.prop_map(|(session, who, hours, way, id)| Step::Scan { session, who, hours, way, id }),
        5 => any::<prop::sample::Index>().prop_map(Step::Again),
        2 => (0..3usize).prop_map(Step::Undo),
        2 => (0..3usize, any::<bool>()).prop_map(|(who, on)| Step::Revoke(who, on)),
        2 => (0..3usize, role).prop_map(|(who, role)| Step::Role(who, role)),
        1 => (0..3usize).prop_map(Step::Erase),
        3 => (1..30u64).prop_map(Step::Wait),
    ]
}

/// What the book has of somebody.
#[derive(Default)]
struct Page {
    erased: bool,
    revoked: bool,
    is_device: bool,
    has_come: bool,
    passes: Vec<(u64, Option<Way>)>,
}

impl Page {
    /// Since when they are inside, how often they came in, and how long they were there.
    fn stay(&self) -> (Option<u64>, u32, u64) {
        let mut passes = self.passes.clone();
        passes.sort_unstable();
        let (mut since, mut enters, mut total) = (None, 0, 0);
        for (at_ms, way) in passes {
            match (since, way) {
                (None, None | Some(Way::Enter)) => (since, enters) = (Some(at_ms), enters + 1),
                (Some(from), None | Some(Way::Exit)) => (since, total) = (None, total + at_ms - from),
                _ => {}
            }
        }
        (since, enters, total)
    }
}

struct Book {
    venue: Venue,
    pages: [Page; 3],
    /// Scans so far: the door, whose badge, and the tap.
    scans: Vec<(bool, usize, Tap)>,
    /// Those that can be told from others, and were somebody's: each with when it came.
    known: Vec<(bool, usize, Tap, u64)>,
}

impl Book {
    fn new() -> Self {
        let mut venue = Venue::new();
        venue.set("hall", settings(Mode::Session, Some("talk")));
        for (at, _) in PEOPLE.iter().enumerate() {
            // Only whom an identity provider knows changes roles: they are made anew.
            venue.erase(PEOPLE[at]);
            let name = name(at);
            let subject = [u8::try_from(at).unwrap(); 32];
            venue.system(Action::AddSubject { subject, uid: uid(&name), name: None, role: None, issued_ms: 0 });
            venue.system(assign(&name, &name));
        }
        Self { venue, pages: Default::default(), scans: Vec::new(), known: Vec::new() }
    }

    fn scan(&mut self, session: bool, who: usize, tap: Tap) {
        let page = &mut self.pages[who];
        let now_ms = self.venue.now_ms;
        self.known.retain(|(.., came_ms)| now_ms - came_ms <= WEEK_MS);
        // With an id, or with a time of which it can be told whether it came before.
        let is_told = !tap.id.is_empty() || (now_ms - 2 * WEEK_MS..=now_ms + WEEK_MS).contains(&tap.at_ms);
        let same = |known: &(bool, usize, Tap, u64)| (known.0, known.1, &known.2) == (session, who, &tap);
        let is_known = is_told && self.known.iter().any(same);
        let is_likely = (now_ms - WEEK_MS..=now_ms + 300_000).contains(&tap.at_ms);
        let at_ms = if is_likely { tap.at_ms } else { now_ms };
        let reason = if page.erased {
            ScanReason::UnknownBadge
        } else if is_known {
            ScanReason::Duplicate
        } else if page.revoked {
            ScanReason::Revoked
        } else if page.is_device {
            ScanReason::NotAllowed
        } else if session {
            page.passes.push((at_ms, tap.direction));
            ScanReason::Ok
        } else if tap.direction != Some(Way::Exit) && std::mem::replace(&mut page.has_come, true) {
            ScanReason::AlreadyCheckedIn
        } else {
            page.has_come |= tap.direction != Some(Way::Exit);
            ScanReason::Ok
        };
        if !page.erased && !is_known && is_told {
            self.known.push((session, who, tap.clone(), now_ms));
        }
        let told = self.venue.scans(if session { "hall" } else { "gate" }, vec![tap.clone()]).remove(0);
        assert_eq!(told.reason, reason, "{tap:?} of {who} at {}", if session { "the session" } else { "the door" });
        self.scans.push((session, who, tap));
    }

    fn take(&mut self, step: &Step, serial: usize) {
        self.venue.now_ms += 1000;
        match step.clone() {
            Step::Scan { session, who, hours, way, id } => {
                let at_ms = hours.map_or(0, |hours| self.venue.now_ms.saturating_add_signed(hours * HOUR_MS.cast_signed()) - serial as u64);
                let id = id.map_or_else(String::new, |id| format!("{id}/{serial}")).into();
                self.scan(session, who, Tap { at_ms, id, direction: way, ..tap(&name(who)) });
            }
            Step::Again(at) if !self.scans.is_empty() => {
                let (session, who, tap) = at.get(&self.scans).clone();
                self.scan(session, who, tap);
            }
            Step::Again(_) => {}
            Step::Wait(hours) => self.venue.now_ms += hours * HOUR_MS,
            Step::Undo(who) | Step::Revoke(who, _) | Step::Role(who, _) | Step::Erase(who) if self.pages[who].erased => {}
            Step::Undo(who) => {
                self.venue.system(Action::UndoCheckin { user: uid(&name(who)) });
                self.pages[who].has_come = false;
            }
            Step::Revoke(who, on) => {
                self.venue.system(Action::RevokeBadge { codes: vec![code(&name(who))], on });
                self.pages[who].revoked = on;
            }
            Step::Role(who, role) => {
                let (subject, issued_ms) = ([u8::try_from(who).unwrap(); 32], self.venue.now_ms);
                self.venue.system(Action::AddSubject { subject, uid: uid(&name(who)), name: None, role: Some(role), issued_ms });
                self.pages[who].is_device = role == UserRole::Device;
            }
            Step::Erase(who) => {
                self.venue.erase(&name(who));
                self.pages[who] = Page { erased: true, ..Page::default() };
            }
        }
    }

    fn compare(&self) {
        for (who, page) in self.pages.iter().enumerate() {
            let name = name(who);
            assert_eq!(self.venue.reader().checkin(CONF, &uid(&name)).unwrap().is_some(), page.has_come, "{name}");
            let no = self.venue.found("talk").record.no;
            let stay = self.venue.reader().attendance(CONF, no, &uid(&name)).unwrap().unwrap_or_default().stay;
            assert_eq!((stay.inside_since_ms, stay.enters, stay.total_ms), page.stay(), "{name}");
        }
        let count = |is: &dyn Fn(&Page) -> bool| u32::try_from(self.pages.iter().filter(|page| is(page)).count()).unwrap();
        let room = self.venue.reader().occupancy(CONF, self.venue.found("talk").record.no).unwrap();
        let people = count(&|page| page.stay().1 > 0);
        assert_eq!((room.inside, room.people), (count(&|page| page.stay().0.is_some()), people));
        assert_eq!(self.venue.reader().badge_totals(CONF).unwrap().checked_in, count(&|page| page.has_come));
        self.venue.is_good();
    }
}

fn name(who: usize) -> String {
    format!("{}-again", PEOPLE[who])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn doors_reckon_as_a_simple_book_does(steps in prop::collection::vec(step(), 1..40)) {
        let mut book = Book::new();
        for (serial, step) in steps.iter().enumerate() {
            book.take(step, serial);
        }
        book.compare();
    }
}
