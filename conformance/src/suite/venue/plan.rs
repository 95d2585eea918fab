//! Who holds which badge to which reader when: drawn from a seed, and told to the model as it is drawn.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::format::{Clock, Format, Read};
use super::model::{Model, Reason, Scan};
use super::people::{Code, Mint, Person};
use super::posts::{Mode, POSTS, Post};

/// Nobody is read again by the same reader within this time, unless the same badge bounces.
const AGAIN_MS: u64 = 5_000;
/// Two who meet hold their badges to the reader so far apart.
const PAIR_MS: u64 = 700;
/// How many people each session, meeting point, booth and stage has to choose from.
const CIRCLE: usize = 30;
/// How many draws find somebody new; then nobody comes.
const DRAWS: usize = 100;

/// How much there is to do.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Who is imported.
    pub attendees: usize,
    /// Scans per second, all readers together.
    pub per_second: u64,
    /// For how long.
    pub lasts: Duration,
}

/// People who are known at every reader: they have badges of all families.
pub const REGULARS: usize = 300;

/// A badge that is read.
#[derive(Debug, Clone)]
pub struct Tap {
    /// How the reader shows it.
    pub shown: String,
    /// What the reader may be told, when it is told for the first time.
    pub allowed: Vec<Reason>,
}

/// What a reader sends at once.
#[derive(Debug, Clone)]
pub struct Message {
    /// When, from the beginning.
    pub due: Duration,
    /// Not before this message of that reader was answered, and some moments more.
    pub after: Option<(usize, usize)>,
    /// Its bytes.
    pub payload: String,
    /// The badges in it.
    pub taps: Vec<Tap>,
}

/// Everything that is going to happen, and what must come of it.
#[derive(Debug)]
pub struct Plan {
    /// Each reader's messages, in order.
    pub messages: Vec<Vec<Message>>,
    /// What they come to.
    pub model: Model,
    /// Badges in all of them.
    pub taps: usize,
    /// Badges that bounce: held to the reader twice.
    pub bounces: usize,
}

/// Badges that open nothing.
#[derive(Debug)]
pub struct BadBadges {
    /// Nobody's.
    pub unknown: Vec<Code>,
    /// Somebody's, and not good any more.
    pub revoked: Vec<Code>,
    /// Somebody's of another conference.
    pub foreign: Vec<Code>,
}

impl BadBadges {
    /// Some of each, for doors.
    pub fn some(mint: &mut Mint, rng: &mut StdRng) -> Self {
        let mut some = || (0..5).map(|_| mint.code(super::format::Family::Near, rng)).collect();
        Self { unknown: some(), revoked: some(), foreign: some() }
    }
}

/// A badge and what may be said of it.
struct Drawn {
    code: Code,
    person: Option<usize>,
    exit: Option<bool>,
    allowed: Vec<Reason>,
    after: Option<(usize, usize)>,
    at_ms: u64,
}

/// Draws a plan.
pub struct Planner<'a> {
    people: &'a [Person],
    bad: &'a BadBadges,
    rng: StdRng,
    start_unix_ms: u64,
    plan: Plan,
    /// When a reader read somebody last, in ms from the beginning.
    last: HashMap<(usize, usize), u64>,
    /// The message that somebody was last read in for a session.
    last_message: HashMap<(&'static str, usize), (usize, usize)>,
    numbers: BTreeMap<usize, u64>,
}

impl<'a> Planner<'a> {
    /// With nothing drawn; the scans begin at `start_unix_ms`.
    pub fn new(people: &'a [Person], bad: &'a BadBadges, start_unix_ms: u64, rng: StdRng) -> Self {
        let plan = Plan { messages: vec![Vec::new(); POSTS.len()], model: Model::default(), taps: 0, bounces: 0 };
        Self { people, bad, rng, start_unix_ms, plan, last: HashMap::new(), last_message: HashMap::new(), numbers: BTreeMap::new() }
    }

    /// All of it, in the order of time.
    pub fn draw(mut self, scale: &Scale) -> Plan {
        let every_ms = POSTS.len() as u64 * 1000 / scale.per_second;
        let rounds = u64::try_from(scale.lasts.as_millis()).unwrap_or(u64::MAX) / every_ms;
        // A reader's scans keep their distance; readers do not keep in step.
        for round in 0..rounds {
            let mut slots: Vec<(u64, usize)> =
                (0..POSTS.len()).map(|reader| (round * every_ms + self.rng.random_range(0..every_ms / 2), reader)).collect();
            slots.sort_unstable();
            for (at_ms, reader) in slots {
                match POSTS[reader].mode {
                    Mode::Checkin => self.gate(reader, at_ms),
                    // Each meeting has two badges.
                    Mode::Meet if round % 2 == 0 => self.meeting(reader, at_ms),
                    Mode::Meet => {}
                    Mode::Session(session, _) => self.door(reader, session, at_ms),
                    Mode::Lead(_) | Mode::Announce(_) => self.visit(reader, at_ms),
                }
            }
        }
        for reader in (0..POSTS.len()).filter(|reader| POSTS[*reader].is_offline) {
            self.upload_later(reader, scale.lasts);
        }
        self.plan
    }

    /// Somebody at random, of those who may come to that reader and were not there lately.
    fn somebody(&mut self, reader: usize, at_ms: u64, fits: impl Fn(&Self, usize) -> bool) -> Option<usize> {
        let among = circle(reader, self.people.len());
        for _ in 0..DRAWS {
            let person = self.rng.random_range(among.clone());
            let was_there = self.last.get(&(reader, person)).is_some_and(|last| last + AGAIN_MS > at_ms);
            if !was_there && fits(self, person) {
                return Some(person);
            }
        }
        None
    }

    /// Anybody comes to the gates, with any badge; some hold it there twice.
    fn gate(&mut self, reader: usize, at_ms: u64) {
        let format = POSTS[reader].format;
        let bad = match self.rng.random_range(0..100) {
            0..3 => Some((&self.bad.unknown, "unknown_badge")),
            3..5 => Some((&self.bad.revoked, "revoked")),
            5..7 => Some((&self.bad.foreign, "unknown_badge")),
            _ => None,
        };
        if let (Some((codes, reason)), super::format::Family::Near) = (bad, format.family()) {
            let code = codes[self.rng.random_range(0..codes.len())].clone();
            // One that was there lately bounces instead.
            let allowed = vec![reason, "duplicate"];
            return self.send(reader, at_ms, vec![Drawn { code, person: None, exit: None, allowed, after: None, at_ms }]);
        }
        let Some(person) = self.somebody(reader, at_ms, |_, _| true) else { return };
        // Which gate is first when somebody comes to two of them is not the plan's to say.
        let drawn = self.drawn(reader, person, at_ms, None, vec!["ok", "already_checked_in"]);
        self.send(reader, at_ms, vec![drawn]);
        if self.rng.random_ratio(1, 12) {
            // Where the server was killed between the two, it does not know any more that the first was moments ago.
            let later_ms = at_ms + self.rng.random_range(150..400);
            let again = self.drawn(reader, person, later_ms, None, vec!["duplicate", "already_checked_in"]);
            self.send(reader, later_ms, vec![again]);
            self.plan.bounces += 1;
        }
    }

    /// In and out, by turns.
    fn door(&mut self, reader: usize, session: &'static str, at_ms: u64) {
        let Some(person) = self.somebody(reader, at_ms, |planner, person| {
            // At the session's other door, too.
            let others = (0..POSTS.len()).filter(|other| matches!(POSTS[*other].mode, Mode::Session(name, _) if name == session));
            others.filter_map(|other| planner.last.get(&(other, person))).all(|last| last + AGAIN_MS <= at_ms)
        }) else {
            return;
        };
        let knows_way = POSTS[reader].format == Format::Starfish;
        let exit = knows_way.then(|| self.plan.model.is_inside(session, person));
        let mut drawn = self.drawn(reader, person, at_ms, exit, Vec::new());
        let before = self.last_message.insert((session, person), (reader, self.plan.messages[reader].len()));
        // Nobody leaves by another door before the first has let them in; a reader without a clock is not outrun by what is delivered late.
        drawn.after = before.filter(|(door, _)| *door != reader || POSTS[reader].format.clock() == Clock::None);
        self.send(reader, at_ms, vec![drawn]);
    }

    /// Two who do not know each other yet.
    fn meeting(&mut self, reader: usize, at_ms: u64) {
        let Some(one) = self.somebody(reader, at_ms, |_, _| true) else { return };
        let fresh = |planner: &Self, other: usize| other != one && !planner.plan.model.met.contains(&(one.min(other), one.max(other)));
        let Some(other) = self.somebody(reader, at_ms, fresh) else { return };
        let at_once = POSTS[reader].format == Format::ZebraTags && self.rng.random_bool(0.5);
        let later_ms = if at_once { at_ms } else { at_ms + PAIR_MS };
        let first = self.drawn(reader, one, at_ms, None, Vec::new());
        let second = self.drawn(reader, other, later_ms, None, Vec::new());
        if at_once {
            self.send(reader, at_ms, vec![first, second]);
        } else {
            self.send(reader, at_ms, vec![first]);
            self.send(reader, later_ms, vec![second]);
        }
    }

    fn visit(&mut self, reader: usize, at_ms: u64) {
        let Some(person) = self.somebody(reader, at_ms, |_, _| true) else { return };
        let drawn = self.drawn(reader, person, at_ms, None, Vec::new());
        self.send(reader, at_ms, vec![drawn]);
    }

    /// Somebody's badge for that reader; what comes of it is asked of the model when `allowed` does not say.
    fn drawn(&mut self, reader: usize, person: usize, at_ms: u64, exit: Option<bool>, allowed: Vec<Reason>) -> Drawn {
        let post = &POSTS[reader];
        self.last.insert((reader, person), at_ms);
        let scan = Scan { reader, mode: post.mode, person, at_ms: self.told_ms(post, at_ms), exit };
        let reason = self.plan.model.take(&scan);
        let allowed = if allowed.is_empty() { vec![reason] } else { allowed };
        Drawn { code: self.people[person].badge(post.format.family()).clone(), person: Some(person), exit, allowed, after: None, at_ms }
    }

    /// What a reader says the time is, as exactly as it says it.
    fn told_ms(&self, post: &Post, at_ms: u64) -> u64 {
        let told_ms = (self.start_unix_ms + at_ms).saturating_add_signed(post.ahead_ms);
        if post.format.clock() == Clock::Seconds { told_ms / 1000 * 1000 } else { told_ms }
    }

    fn send(&mut self, reader: usize, at_ms: u64, drawn: Vec<Drawn>) {
        let post = &POSTS[reader];
        let (mut reads, mut taps) = (Vec::new(), Vec::new());
        let after = drawn.first().and_then(|one| one.after);
        for one in drawn {
            let number = self.numbers.entry(reader).or_insert(0);
            *number += 1;
            let number = *number;
            let code = one.code.read_by(post.format, &mut self.rng);
            debug_assert!(one.person.is_some() || !one.allowed.contains(&"ok"));
            taps.push(Tap { shown: post.format.shown(&code), allowed: one.allowed });
            reads.push(Read { code, at_ms: self.told_ms(post, one.at_ms), number, exit: one.exit == Some(true) });
        }
        self.plan.taps += taps.len();
        let payload = post.format.payload(&reads, &mut self.rng);
        self.plan.messages[reader].push(Message { due: Duration::from_millis(at_ms), after, payload, taps });
    }

    /// What it has read comes when most is over, and then all of it once more.
    fn upload_later(&mut self, reader: usize, lasts: Duration) {
        let messages = &mut self.plan.messages[reader];
        messages.iter_mut().for_each(|message| message.due = lasts * 6 / 10);
        let mut again = messages.clone();
        for message in &mut again {
            message.due = lasts * 8 / 10;
            message.taps.iter_mut().for_each(|tap| tap.allowed = vec!["duplicate"]);
        }
        self.plan.taps += again.iter().map(|message| message.taps.len()).sum::<usize>();
        messages.extend(again);
    }
}

/// Who may come to a reader: all to those that read the badges that everybody has, circles of some to the others. A session's doors have one circle.
fn circle(reader: usize, people: usize) -> std::ops::Range<usize> {
    let post = &POSTS[reader];
    let regulars = people.min(REGULARS);
    let of = |at: usize| {
        let start = at * CIRCLE % (regulars - CIRCLE + 1);
        start..start + CIRCLE
    };
    match post.mode {
        Mode::Checkin if post.format.family() == super::format::Family::Near => 0..people,
        Mode::Checkin => 0..regulars,
        Mode::Session(session, _) => of(super::posts::HALLS.iter().position(|hall| *hall == session).unwrap_or_default()),
        Mode::Meet => of(6).start..of(7).end,
        Mode::Lead(_) | Mode::Announce(_) => 0..regulars,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::venue::people;
    use rand::SeedableRng;

    fn plan(seed: u64) -> Plan {
        let (mut rng, mut mint) = (StdRng::seed_from_u64(seed), Mint::default());
        let people = people::attendees(REGULARS + 20, &mut mint, &mut rng);
        let bad = BadBadges::some(&mut mint, &mut rng);
        Planner::new(&people, &bad, 1_772_126_017_432, rng).draw(&Scale {
            attendees: people.len(),
            per_second: 30,
            lasts: Duration::from_secs(30),
        })
    }

    #[test]
    fn a_plan_has_something_of_everything() {
        let plan = plan(3);
        let taps: Vec<&Tap> = plan.messages.iter().flatten().flat_map(|message| &message.taps).collect();
        assert_eq!(taps.len(), plan.taps);
        assert!((700..1100).contains(&plan.taps), "{} scans in 30 s", plan.taps);
        for reason in ["ok", "already_checked_in", "unknown_badge", "revoked", "full", "duplicate"] {
            assert!(taps.iter().any(|tap| tap.allowed.contains(&reason)), "no {reason}");
        }
        let model = &plan.model;
        assert!(plan.bounces > 5 && model.checked_in.len() > 100 && model.met.len() > 20 && model.leads.len() > 50);
        assert!(model.stays.values().any(|stay| stay.enters > 1 && stay.ended_ms > 0));
        assert!(plan.messages.iter().all(|messages| !messages.is_empty()));
        assert!(plan.messages.iter().flatten().any(|message| message.taps.len() == 2), "nobody is read together");
    }

    #[test]
    fn the_same_seed_draws_the_same_plan() {
        let payloads = |plan: Plan| plan.messages.into_iter().flatten().map(|message| message.payload).collect::<Vec<_>>();
        assert_eq!(payloads(plan(5)), payloads(plan(5)));
        assert_ne!(payloads(plan(5)), payloads(plan(6)));
    }
}
