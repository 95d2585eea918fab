//! A room against a naive model of it: whoever looks believes what is shown.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;
use crate::xmpp::rooms::room::Room;

const PEOPLE: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const NAMES: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];

#[derive(Debug, Clone)]
enum Op {
    Enter { session: u64, presence: u8 },
    Leave(u64),
    Replace(u64),
    Update { session: u64, presence: u8 },
    Spoke { who: usize, after_ms: u64 },
    Follow { who: usize, session: u64 },
    Unfollow { who: usize, session: u64 },
    Affiliate { who: usize, affiliation: usize, back: u64 },
    PutOut(usize),
    Rename { who: usize, name: usize },
    Introduce,
    Look(u64),
    Expire(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let (session, who, presence) = (1..13_u64, 0..PEOPLE.len(), 0..3_u8);
    let elsewhere = 100..103_u64;
    let op = prop_oneof![
        4 => (session.clone(), presence.clone()).prop_map(|(session, presence)| Op::Enter { session, presence }),
        2 => session.clone().prop_map(Op::Leave),
        1 => session.clone().prop_map(Op::Replace),
        1 => (session.clone(), presence).prop_map(|(session, presence)| Op::Update { session, presence }),
        2 => (who.clone(), 0..SPEAKER_MS / 2).prop_map(|(who, after_ms)| Op::Spoke { who, after_ms }),
        3 => (who.clone(), elsewhere.clone()).prop_map(|(who, session)| Op::Follow { who, session }),
        2 => (who.clone(), elsewhere).prop_map(|(who, session)| Op::Unfollow { who, session }),
        1 => (who.clone(), 0..3_usize, 0..3_u64).prop_map(|(who, affiliation, back)| Op::Affiliate { who, affiliation, back }),
        1 => who.clone().prop_map(Op::PutOut),
        1 => (who, 0..NAMES.len()).prop_map(|(who, name)| Op::Rename { who, name }),
        3 => Just(Op::Introduce),
        6 => session.prop_map(Op::Look),
        1 => (0..SPEAKER_MS).prop_map(Op::Expire),
    ];
    prop::collection::vec(op, 1..120)
}

#[derive(Default, Clone)]
struct Modelled {
    /// Sessions and their presence, the newest last.
    seats: Vec<(u64, u8)>,
    following: BTreeSet<u64>,
    /// The turn and the time.
    spoke: Option<(u64, u64)>,
    name: Option<&'static str>,
    affiliation: Option<Affiliation>,
    pos: u64,
    place: (u8, u64),
}

impl Modelled {
    fn rank(&self) -> u8 {
        match self {
            Self { spoke: Some(_), .. } => 1,
            Self { seats, .. } if !seats.is_empty() => 2,
            Self { following, .. } if !following.is_empty() => 3,
            _ => 0,
        }
    }

    fn shown(&self, who: usize) -> Option<Arc<Shown>> {
        let (name, affiliation) = (self.name?, self.affiliation?);
        let newest = self.seats.last();
        Some(Arc::new(Shown {
            uid: uid(PEOPLE[who]),
            name: name.into(),
            nick: name.into(),
            affiliation,
            role: Role::Participant,
            presence: newest.map_or(Arc::default(), |(_, presence)| Arc::from([*presence])),
            jid: newest.map(|(session, _)| owner(*session).to_string().into()),
        }))
    }
}

/// Everything recomputed from scratch after each step.
struct Model {
    most_shown: usize,
    people: BTreeMap<usize, Modelled>,
    turn: u64,
    /// What the store says.
    names: [&'static str; 6],
    pos: u64,
    now_ms: u64,
}

impl Model {
    fn set_name(&mut self, who: usize, name: &'static str) {
        for (other, person) in &mut self.people {
            if *other != who && person.name == Some(name) {
                person.name = None;
            }
        }
        self.people.entry(who).or_default().name = Some(name);
    }

    /// Speakers beyond the most are none; who has attained another rank is the last of it; who has none is gone.
    fn settle(&mut self) {
        let mut speakers: Vec<_> = self.people.iter().filter_map(|(who, person)| Some((Reverse(person.spoke?), *who))).collect();
        speakers.sort_unstable();
        for (_, who) in speakers.into_iter().skip((self.most_shown / 4).max(1)) {
            self.people.get_mut(&who).unwrap().spoke = None;
        }
        self.people.retain(|_, person| person.rank() > 0);
        for person in self.people.values_mut() {
            if person.rank() != person.place.0 {
                self.turn += 1;
                person.place = (person.rank(), self.turn);
            }
        }
    }

    fn front(&self) -> Vec<usize> {
        let mut all: Vec<_> = self.people.iter().map(|(who, person)| (person.place, *who)).collect();
        all.sort_unstable();
        all.into_iter().take(self.most_shown).map(|(_, who)| who).collect()
    }

    /// What somebody should believe who is in the room.
    fn believed(&self, me: usize) -> Believed {
        let seen = self.front().into_iter().chain([me]).filter_map(|who| self.people[&who].shown(who));
        seen.map(|shown| (Arc::clone(&shown.nick), shown)).collect()
    }
}

/// Session numbers say whose they are.
fn owner(session: u64) -> usize {
    usize::try_from(session).unwrap() % PEOPLE.len()
}

struct Test {
    room: Room,
    model: Model,
    /// Sessions that are in: the version and what they believe.
    clients: BTreeMap<u64, (u64, Believed)>,
}

impl Test {
    fn new(most_shown: usize) -> Self {
        let names = std::array::from_fn(|who| NAMES[who]);
        let model = Model { most_shown, people: BTreeMap::new(), turn: 0, names, pos: 1, now_ms: 0 };
        Self { room: Room::new(most_shown, 0), model, clients: BTreeMap::new() }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Enter { session, presence } => self.enter(session, presence),
            Op::Leave(session) => {
                let was_in = self.clients.remove(&session).is_some();
                assert_eq!(self.room.leave(session, Departure::Left).is_some(), was_in);
                if let Some(person) = self.model.people.get_mut(&owner(session)).filter(|_| was_in) {
                    person.seats.retain(|seat| seat.0 != session);
                    // Who leaves is not there for having spoken, either.
                    person.spoke = person.spoke.filter(|_| !person.seats.is_empty());
                }
            }
            Op::Update { session, presence } => {
                let is_in = self.clients.contains_key(&session);
                assert_eq!(self.room.update(session, Arc::from([presence])), is_in);
                if is_in {
                    let seats = &mut self.model.people.get_mut(&owner(session)).unwrap().seats;
                    seats.retain(|seat| seat.0 != session);
                    seats.push((session, presence));
                }
            }
            Op::Spoke { who, after_ms } => {
                self.model.now_ms += after_ms;
                let name = self.model.names[who];
                self.room.spoke(&uid(PEOPLE[who]), &name.into(), self.model.now_ms);
                self.model.turn += 1;
                self.model.set_name(who, name);
                self.model.people.get_mut(&who).unwrap().spoke = Some((self.model.turn, self.model.now_ms));
            }
            Op::Follow { who, session } => {
                self.room.follow(&uid(PEOPLE[who]), session);
                self.model.people.entry(who).or_default().following.insert(session);
            }
            Op::Unfollow { who, session } => {
                self.room.unfollow(&uid(PEOPLE[who]), session);
                self.model.people.entry(who).or_default().following.remove(&session);
            }
            Op::Affiliate { who, affiliation, back } => {
                self.model.pos += 2;
                let (pos, affiliation) = (self.model.pos - back, Affiliation::ALL[affiliation]);
                self.room.affiliate(&uid(PEOPLE[who]), (affiliation, Role::Participant), pos);
                if let Some(person) = self.model.people.get_mut(&who).filter(|person| person.affiliation.is_none() || person.pos < pos) {
                    (person.affiliation, person.pos) = (Some(affiliation), pos);
                }
            }
            Op::PutOut(who) => self.put_out(who),
            Op::Replace(old) => self.replace(old),
            Op::Rename { who, name } => {
                // No two people have the same name in the store.
                if !self.model.names.contains(&NAMES[name]) {
                    self.model.names[who] = NAMES[name];
                }
            }
            Op::Introduce => self.introduce(),
            Op::Look(session) => self.look(session),
            Op::Expire(after_ms) => {
                self.model.now_ms += after_ms;
                let now_ms = self.model.now_ms;
                self.room.expire(now_ms);
                for person in self.model.people.values_mut() {
                    person.spoke = person.spoke.filter(|(_, at_ms)| at_ms + SPEAKER_MS > now_ms);
                }
            }
        }
        self.model.settle();
        self.check();
    }

    fn enter(&mut self, session: u64, presence: u8) {
        let (who, name, pos) = (owner(session), self.model.names[owner(session)], self.model.pos);
        let (affiliation, role) = MEMBER;
        let (jid, presence_bytes) = (who.to_string().into(), Arc::from([presence]));
        let uid = uid(PEOPLE[who]);
        let entering = Entering { session, shard: 0, uid, name: name.into(), affiliation, role, pos, jid, presence: presence_bytes };
        let (was_in, was_empty) = (self.clients.contains_key(&session), self.clients.is_empty());
        let entered = self.room.enter(entering);
        assert_eq!((entered.was_in, entered.is_first_of_room), (was_in, was_empty));
        self.model.set_name(who, name);
        let person = self.model.people.get_mut(&who).unwrap();
        if person.affiliation.is_none() || person.pos < pos {
            (person.affiliation, person.pos) = (Some(affiliation), pos);
        }
        person.seats.retain(|seat| seat.0 != session);
        assert_eq!(entered.is_first_session_of_user, person.seats.is_empty());
        person.seats.push((session, presence));
        self.model.settle();
        let shown = entered.others.into_iter().chain([entered.own]);
        let believed: Believed = shown.map(|shown| (Arc::clone(&shown.nick), shown)).collect();
        assert_eq!(believed, self.model.believed(who));
        self.clients.insert(session, (entered.version, believed));
    }

    /// A session goes on as the user's other one.
    fn replace(&mut self, old: u64) {
        let new = if old > 6 { old - 6 } else { old + 6 };
        let expected = self.clients.contains_key(&old) && !self.clients.contains_key(&new);
        assert_eq!(self.room.replace(old, new, 0), expected);
        if expected {
            let client = self.clients.remove(&old).unwrap();
            self.clients.insert(new, client);
            let seats = &mut self.model.people.get_mut(&owner(old)).unwrap().seats;
            seats.iter_mut().find(|seat| seat.0 == old).unwrap().0 = new;
        }
    }

    fn put_out(&mut self, who: usize) {
        self.model.pos += 1;
        let mut sessions: Vec<u64> = self.clients.keys().copied().filter(|session| owner(*session) == who).collect();
        let out = self.room.put_out(&uid(PEOPLE[who]), Departure::Kicked, self.model.pos);
        let mut told: Vec<u64> = out.sessions.into_iter().map(|(_, session)| session).collect();
        sessions.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, sessions);
        self.clients.retain(|session, _| !sessions.contains(session));
        self.model.people.remove(&who);
    }

    fn introduce(&mut self) {
        let (sessions, strangers) = self.room.look();
        assert!(sessions.iter().all(|(_, sessions)| sessions.iter().all(|session| self.clients.contains_key(session))));
        let expected = |test: &Self, who: usize| test.model.people.get(&who).is_some_and(|person| person.shown(who).is_none());
        for stranger in strangers {
            let who = PEOPLE.iter().position(|uid| *uid == stranger.as_str()).unwrap();
            // Somebody introduced before may have taken their name.
            assert!(expected(self, who));
            let (name, pos) = (self.model.names[who], self.model.pos);
            self.room.introduce(&stranger, &name.into(), MEMBER, pos);
            self.model.set_name(who, name);
            let person = self.model.people.get_mut(&who).unwrap();
            if person.affiliation.is_none() || person.pos < pos {
                (person.affiliation, person.pos) = (Some(MEMBER.0), pos);
            }
        }
        self.model.settle();
    }

    fn look(&mut self, session: u64) {
        let Some((version, believed)) = self.clients.get_mut(&session) else { return };
        let changes = self.room.changes(session, *version);
        // Asked again, it is told the same.
        assert_eq!(self.room.changes(session, *version), changes);
        let mine = owner(session);
        if changes.list.iter().any(|change| matches!(change, Change::Here(who) if who.uid.as_str() == PEOPLE[mine])) {
            // The session knows that it has one nick only.
            believed.retain(|_, shown| shown.uid.as_str() != PEOPLE[mine]);
        }
        believe(believed, &changes);
        *version = changes.version;
        let mut expected = self.model.believed(mine);
        if self.model.people[&mine].shown(mine).is_none() {
            // Somebody else has their name, and they wait for theirs.
            believed.retain(|_, shown| shown.uid.as_str() != PEOPLE[mine]);
            expected.retain(|_, shown| shown.uid.as_str() != PEOPLE[mine]);
        }
        assert_eq!(*believed, expected);
    }

    fn check(&self) {
        self.room.check();
        assert_eq!(self.room.is_closed(), self.clients.is_empty());
        assert_eq!(self.room.count(), self.model.people.len());
        let shown: Vec<_> = self.model.front().into_iter().filter_map(|who| self.model.people[&who].shown(who)).collect();
        assert_eq!(self.room.all_shown(), shown);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whoever_looks_believes_what_is_shown(most_shown in 0..7_usize, ops in ops()) {
        let mut test = Test::new(most_shown);
        for op in ops {
            // A room is made by the first session that enters, and closed for good by the last one that leaves.
            if test.clients.is_empty() && !matches!(op, Op::Enter { .. }) {
                continue;
            }
            if test.clients.is_empty() {
                let names = test.model.names;
                test = Test::new(most_shown);
                test.model.names = names;
            }
            test.apply(op);
        }
        let sessions: Vec<u64> = test.clients.keys().copied().collect();
        for session in sessions {
            test.look(session);
        }
    }
}
