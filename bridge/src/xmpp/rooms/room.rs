//! One room: its people, in order, and what is told of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hallway_broker::ids::Uid;

use super::{Affiliation, Change, Changes, Departure, Entered, Entering, Leaving, MOST_SPEAKERS, PutOut, Role, SPEAKER_MS, Shown};
use crate::xmpp::names::nick_of;

mod news;
mod person;

use news::News;
use person::{Person, Place, Seat};

/// Where an XMPP session is, and how far it knows the room.
struct Known {
    shard: u16,
    uid: Uid,
    since: u64,
}

/// See the module's text.
pub struct Room {
    most_shown: usize,
    most_speakers: usize,
    people: HashMap<Uid, Person>,
    nicks: HashMap<Arc<str>, Uid>,
    /// Those who are shown, or would be if they were no strangers; at most `most_shown`.
    front: BTreeMap<Place, Uid>,
    /// The others.
    behind: BTreeMap<Place, Uid>,
    /// Places given so far.
    places: u64,
    news: News,
    sessions: BTreeMap<u64, Known>,
    /// The sessions by what they know.
    known: BTreeSet<(u64, u64)>,
    /// Recent speakers, by the turn in which they last spoke.
    speakers: BTreeMap<u64, Uid>,
    turns: u64,
    /// Those who have to be introduced.
    strangers: BTreeSet<Uid>,
    /// Somebody who is not shown has to be told of themselves.
    own_news: bool,
    /// Sessions that could not be told.
    late: BTreeSet<u64>,
    /// It is on the list of rooms that want something.
    wants: bool,
    /// When its next speaker is no longer recent, as noted outside.
    armed_ms: Option<u64>,
    closed: bool,
}

impl Room {
    pub fn new(most_shown: usize, version: u64) -> Self {
        Self {
            most_shown,
            most_speakers: (most_shown / 4).clamp(1, MOST_SPEAKERS),
            people: HashMap::new(),
            nicks: HashMap::new(),
            front: BTreeMap::new(),
            behind: BTreeMap::new(),
            places: 0,
            news: News::above(version),
            sessions: BTreeMap::new(),
            known: BTreeSet::new(),
            speakers: BTreeMap::new(),
            turns: 0,
            strangers: BTreeSet::new(),
            own_news: false,
            late: BTreeSet::new(),
            wants: false,
            armed_ms: None,
            closed: false,
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn occupies(&self, session: u64) -> bool {
        self.sessions.contains_key(&session)
    }

    pub fn sessions_of(&self, uid: &Uid) -> Vec<(u16, u64)> {
        self.people.get(uid).map_or(Vec::new(), Person::sessions)
    }

    pub fn by_nick(&self, nick: &str) -> Option<Uid> {
        self.nicks.get(nick).cloned()
    }

    pub fn occupant(&self, uid: &Uid) -> Option<Arc<Shown>> {
        self.people.get(uid)?.shown.clone()
    }

    pub fn all_shown(&self) -> Vec<Arc<Shown>> {
        self.front.values().filter_map(|uid| self.occupant(uid)).collect()
    }

    pub fn count(&self) -> usize {
        self.people.len()
    }

    /// Whether it has to be put on the list of rooms that want something.
    pub fn begins_to_want(&mut self) -> bool {
        let wants = !self.closed && (self.own_news || !self.late.is_empty() || !self.strangers.is_empty() || self.news.is_fresh());
        let begins = wants && !self.wants;
        self.wants |= wants;
        begins
    }

    /// When its next speaker is no longer recent: as noted before, and now.
    pub fn rearm(&mut self) -> (Option<u64>, Option<u64>) {
        let was = self.armed_ms;
        self.armed_ms = if self.closed { None } else { self.speakers.values().next().and_then(|uid| self.due_ms(uid)) };
        (was, self.armed_ms)
    }

    fn due_ms(&self, uid: &Uid) -> Option<u64> {
        let (_, at_ms) = self.people.get(uid)?.spoke?;
        Some(at_ms.saturating_add(SPEAKER_MS))
    }

    /// The sessions that are to look, by shard, and the strangers. It wants nothing now.
    pub fn look(&mut self) -> (Vec<(u16, Vec<u64>)>, Vec<Uid>) {
        self.wants = false;
        let mut by_shard: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        let all = self.news.take_fresh() | std::mem::take(&mut self.own_news);
        let late = std::mem::take(&mut self.late);
        for (session, known) in self.sessions.iter().filter(|(session, _)| all || late.contains(session)) {
            by_shard.entry(known.shard).or_default().push(*session);
        }
        (by_shard.into_iter().collect(), std::mem::take(&mut self.strangers).into_iter().collect())
    }

    pub fn enter(&mut self, entering: Entering) -> Entered {
        let Entering { session, shard, uid, name, affiliation, role, pos, jid, presence } = entering;
        let is_first_of_room = self.sessions.is_empty();
        let was_in = self.occupies(session);
        if self.sessions.get(&session).is_some_and(|known| known.uid != uid) {
            self.leave(session, Departure::Left);
            self.closed = false;
        }
        let person = self.people.entry(uid.clone()).or_default();
        person.seats.retain(|seat| seat.session != session);
        let is_first_session_of_user = person.seats.is_empty();
        person.seats.push(Seat { session, shard, jid, presence });
        person.stand((affiliation, role), pos);
        self.name(&uid, &name);
        let own_news = self.own_news;
        self.settle(&uid, Departure::Left);
        if is_first_session_of_user {
            // It is told of itself here.
            self.own_news = own_news;
        }
        let version = self.news.tell();
        if let Some(known) = self.sessions.insert(session, Known { shard, uid: uid.clone(), since: version }) {
            self.known.remove(&(known.since, session));
        }
        self.known.insert((version, session));
        let others = self.front.values().filter(|other| **other != uid).filter_map(|other| self.occupant(other)).collect();
        // Name and standing were just given.
        let own = self.occupant(&uid).unwrap_or_else(|| Arc::new(person::nobody(&uid)));
        Entered { others, own, version, is_first_session_of_user, is_first_of_room, was_in }
    }

    pub fn leave(&mut self, session: u64, how: Departure) -> Option<Leaving> {
        let uid = self.drop_session(session)?;
        let person = self.people.get_mut(&uid)?;
        person.seats.retain(|seat| seat.session != session);
        // Who leaves is not there for having spoken, either.
        if person.seats.is_empty()
            && let Some((turn, _)) = person.spoke.take()
        {
            self.speakers.remove(&turn);
        }
        let shown = person.shown.clone().unwrap_or_else(|| Arc::new(person::nobody(&uid)));
        self.settle(&uid, how);
        self.close_if_empty();
        Some(Leaving { shown, is_gone: !self.people.contains_key(&uid), was_last_of_room: self.closed })
    }

    fn drop_session(&mut self, session: u64) -> Option<Uid> {
        let known = self.sessions.remove(&session)?;
        self.known.remove(&(known.since, session));
        self.late.remove(&session);
        Some(known.uid)
    }

    fn close_if_empty(&mut self) {
        self.closed = self.sessions.is_empty();
    }

    pub fn look_again(&mut self, session: u64) {
        if self.occupies(session) {
            self.late.insert(session);
        }
    }

    pub fn replace(&mut self, old: u64, new: u64, shard: u16) -> bool {
        if self.occupies(new) {
            return false;
        }
        let Some(known) = self.sessions.remove(&old) else { return false };
        self.known.remove(&(known.since, old));
        self.known.insert((known.since, new));
        self.late.remove(&old);
        self.late.insert(new);
        let seats = self.people.get_mut(&known.uid).map(|person| &mut person.seats);
        if let Some(seat) = seats.and_then(|seats| seats.iter_mut().find(|seat| seat.session == old)) {
            (seat.session, seat.shard) = (new, shard);
        }
        self.sessions.insert(new, Known { shard, ..known });
        true
    }

    pub fn update(&mut self, session: u64, presence: Arc<[u8]>) -> bool {
        let Some(uid) = self.sessions.get(&session).map(|known| known.uid.clone()) else { return false };
        if let Some(person) = self.people.get_mut(&uid) {
            person.newest(session, presence);
        }
        self.settle(&uid, Departure::Left);
        true
    }

    pub fn spoke(&mut self, uid: &Uid, name: &Arc<str>, now_ms: u64) {
        self.turns += 1;
        let person = self.people.entry(uid.clone()).or_default();
        if let Some((turn, _)) = person.spoke.replace((self.turns, now_ms)) {
            self.speakers.remove(&turn);
        }
        self.speakers.insert(self.turns, uid.clone());
        self.name(uid, name);
        self.settle(uid, Departure::Left);
        if self.speakers.len() > self.most_speakers {
            self.quieten();
        }
    }

    /// Speakers that are no longer recent.
    pub fn expire(&mut self, now_ms: u64) {
        while self.speakers.values().next().and_then(|uid| self.due_ms(uid)).is_some_and(|due_ms| due_ms <= now_ms) {
            self.quieten();
        }
    }

    /// Who spoke longest ago is no recent speaker any more.
    fn quieten(&mut self) {
        let Some((_, uid)) = self.speakers.pop_first() else { return };
        if let Some(person) = self.people.get_mut(&uid) {
            person.spoke = None;
        }
        self.settle(&uid, Departure::Left);
    }

    pub fn follow(&mut self, uid: &Uid, session: u64) {
        let person = self.people.entry(uid.clone()).or_default();
        if !person.following.contains(&session) {
            person.following.push(session);
        }
        self.settle(uid, Departure::Left);
    }

    pub fn unfollow(&mut self, uid: &Uid, session: u64) {
        let Some(person) = self.people.get_mut(uid) else { return };
        person.following.retain(|other| *other != session);
        self.settle(uid, Departure::Left);
    }

    pub fn introduce(&mut self, uid: &Uid, name: &Arc<str>, standing: (Affiliation, Role), pos: u64) {
        let Some(person) = self.people.get_mut(uid) else { return };
        person.stand(standing, pos);
        self.name(uid, name);
        self.settle(uid, Departure::Left);
    }

    pub fn affiliate(&mut self, uid: &Uid, standing: (Affiliation, Role), pos: u64) {
        let Some(person) = self.people.get_mut(uid) else { return };
        person.stand(standing, pos);
        self.settle(uid, Departure::Left);
    }

    pub fn put_out(&mut self, uid: &Uid, how: Departure, pos: u64) -> PutOut {
        let Some(person) = self.people.get_mut(uid).filter(|person| person.pos < pos) else { return PutOut::default() };
        let (shown, sessions) = (person.shown.clone(), person.sessions());
        person.seats.clear();
        person.following.clear();
        if let Some((turn, _)) = person.spoke.take() {
            self.speakers.remove(&turn);
        }
        for (_, session) in &sessions {
            self.drop_session(*session);
        }
        self.settle(uid, how);
        self.close_if_empty();
        PutOut { shown, sessions, was_last_of_room: self.closed }
    }

    pub fn changes(&mut self, session: u64, since: u64) -> Changes {
        let Some(known) = self.sessions.get_mut(&session) else { return Changes { version: since, ..Changes::default() } };
        self.known.remove(&(known.since, session));
        let since = since.min(self.news.version());
        // What it says that it knows, everybody behind it has to be told still.
        known.since = since;
        self.known.insert((since, session));
        let uid = known.uid.clone();
        let version = self.news.tell();
        if let Some((least, _)) = self.known.first() {
            self.news.forget_through(*least);
        }
        let resync = self.news.has_forgotten_after(since);
        let mut list: Vec<Change> =
            if resync { self.all_shown().into_iter().map(Change::Here).collect() } else { self.news.after(since).collect() };
        let mut is_personal = list.iter().any(|change| matches!(change, Change::Here(who) | Change::Gone(who, _) if who.uid == uid));
        // Nobody is told that they are gone while they are there: they may only be hidden from the others.
        list.retain(|change| !matches!(change, Change::Gone(who, Departure::Left) if who.uid == uid));
        if let Some(person) = self.people.get(&uid).filter(|person| !person.is_in_front && (resync || person.own_at > since)) {
            list.extend(person.shown.clone().map(Change::Here));
            is_personal = true;
        }
        Changes { version, list, resync, is_personal }
    }

    /// Gives somebody a name. Whoever was there under the nick that it makes has another by now, which has to be asked for.
    fn name(&mut self, uid: &Uid, name: &Arc<str>) {
        let Some(person) = self.people.get_mut(uid) else { return };
        if person.name.as_ref().is_some_and(|(known, _)| known == name) {
            return;
        }
        let nick: Arc<str> = nick_of(name, uid).into();
        if let Some((_, old)) = person.name.replace((Arc::clone(name), Arc::clone(&nick)))
            && self.nicks.get(&old) == Some(uid)
        {
            self.nicks.remove(&old);
        }
        let Some(other) = self.nicks.insert(nick, uid.clone()).filter(|other| other != uid) else { return };
        if let Some(person) = self.people.get_mut(&other) {
            person.name = None;
        }
        self.settle(&other, Departure::Left);
    }

    /// Makes of somebody what follows from what has changed about them. `how` they go, if nothing keeps them there.
    fn settle(&mut self, uid: &Uid, how: Departure) {
        self.show(uid, how);
        let Some(person) = self.people.get_mut(uid) else { return };
        let rank = person.rank();
        if rank == person.place.map(|(rank, _)| rank) && rank.is_some() {
            return;
        }
        if let Some(place) = person.place.take() {
            self.front.remove(&place);
            self.behind.remove(&place);
        }
        match rank {
            Some(rank) => {
                self.places += 1;
                person.place = Some((rank, self.places));
                let line = if person.is_in_front { &mut self.front } else { &mut self.behind };
                line.insert((rank, self.places), uid.clone());
            }
            None => self.remove(uid),
        }
        self.fill_front();
    }

    fn remove(&mut self, uid: &Uid) {
        self.strangers.remove(uid);
        if let Some((_, nick)) = self.people.remove(uid).and_then(|person| person.name)
            && self.nicks.get(&nick) == Some(uid)
        {
            self.nicks.remove(&nick);
        }
    }

    /// Tells what has changed of how somebody is shown.
    fn show(&mut self, uid: &Uid, how: Departure) {
        let Some(person) = self.people.get_mut(uid) else { return };
        let now = if person.rank().is_some() { person.view(uid) } else { None };
        if now.is_none() && person.rank().is_some() && (person.is_in_front || !person.seats.is_empty()) {
            self.strangers.insert(uid.clone());
        } else {
            self.strangers.remove(uid);
        }
        if person.shown.as_deref() == now.as_ref() {
            return;
        }
        let now = now.map(Arc::new);
        let before = std::mem::replace(&mut person.shown, now.clone());
        if person.is_in_front {
            let nick = now.as_ref().map(|now| &now.nick);
            if let Some(before) = before.filter(|before| Some(&before.nick) != nick) {
                self.news.gone(&before, if now.is_some() { Departure::Renamed } else { how });
            }
            if let Some(now) = now {
                self.news.here(now);
            }
        } else if !person.seats.is_empty() {
            self.own_news = true;
        }
        if let Some(person) = self.people.get_mut(uid) {
            person.own_at = self.news.next();
        }
    }

    /// Lets the first so many be shown, and no others.
    fn fill_front(&mut self) {
        while let Some(first) = self.behind.first_entry() {
            if self.front.len() >= self.most_shown {
                let Some(last) = self.front.last_entry().filter(|last| last.key() > first.key()) else { return };
                let (place, uid) = last.remove_entry();
                let (better, other) = first.remove_entry();
                self.behind.insert(place, uid.clone());
                self.front.insert(better, other.clone());
                self.step_back(&uid);
                self.step_forward(&other);
            } else {
                let (place, uid) = first.remove_entry();
                self.front.insert(place, uid.clone());
                self.step_forward(&uid);
            }
        }
    }

    fn step_forward(&mut self, uid: &Uid) {
        let Some(person) = self.people.get_mut(uid) else { return };
        person.is_in_front = true;
        match person.shown.clone() {
            Some(shown) => self.news.here(shown),
            None => {
                self.strangers.insert(uid.clone());
            }
        }
    }

    fn step_back(&mut self, uid: &Uid) {
        let Some(person) = self.people.get_mut(uid) else { return };
        person.is_in_front = false;
        match person.shown.clone() {
            Some(shown) => self.news.gone(&shown, Departure::Left),
            None if person.seats.is_empty() => {
                self.strangers.remove(uid);
            }
            None => {}
        }
    }
}

#[cfg(test)]
impl Room {
    /// What must always hold.
    pub fn check(&self) {
        assert!(self.front.len() <= self.most_shown);
        assert_eq!(self.front.len() + self.behind.len(), self.people.len());
        if let (Some(last), Some(first)) = (self.front.last_key_value(), self.behind.first_key_value()) {
            assert!(last.0 < first.0 && self.front.len() == self.most_shown);
        }
        for (uid, person) in &self.people {
            let place = person.place.unwrap();
            assert_eq!(person.rank(), Some(place.0));
            let line = if person.is_in_front { &self.front } else { &self.behind };
            assert_eq!(line.get(&place), Some(uid));
            assert_eq!(person.shown.as_deref(), person.view(uid).as_ref());
            assert_eq!(person.name.as_ref().map(|(_, nick)| self.nicks.get(nick)), person.name.as_ref().map(|_| Some(uid)));
            assert!(person.seats.iter().all(|seat| self.sessions.get(&seat.session).is_some_and(|known| known.uid == *uid)));
        }
        assert!(self.nicks.len() <= self.people.len() && self.speakers.len() <= self.most_speakers);
        assert_eq!(self.sessions.len(), self.people.values().map(|person| person.seats.len()).sum::<usize>());
        assert_eq!(self.known.len(), self.sessions.len());
        assert!(self.late.iter().all(|session| self.occupies(*session)));
        assert!(self.strangers.iter().all(|uid| self.people.get(uid).is_some_and(|person| person.shown.is_none())));
        self.news.check();
    }
}
