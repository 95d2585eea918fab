//! Who is in the rooms, as XMPP occupants are told. There is one for the process, which the shards share; no IO and no clock.
//!
//! An occupant is a person, with however many XMPP sessions, who follows the conversation over another protocol, or spoke lately. A room's
//! occupants are ordered: recent speakers, who is there by XMPP, who follows otherwise, each as they came; the first so many are shown,
//! and only they are told of. A room is there as long as an XMPP session is in it.
//!
//! Everything that is shown or no longer shown gets the room's next version, and a nick has its latest only. A session knows the room up
//! to some version and is told what is above it. What everybody knows to be gone is forgotten, and so is who came and went unseen.

mod audience;
mod room;
mod standing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use super::lately::Lately;
use hallway_broker::ids::{ConfNo, ConvNo, Uid};

use room::Room;

pub use standing::{Affiliation, Role, standing_of};

/// A conversation.
pub type RoomKey = (ConfNo, ConvNo);

/// Somebody who spoke within this time is shown, whatever they are there by.
pub const SPEAKER_MS: u64 = 15 * 60 * 1000;
/// Recent speakers that are shown for that alone; a quarter of what is shown, if that is less.
pub const MOST_SPEAKERS: usize = 50;
/// Occupants that are gone are kept in mind up to this many, for sessions that have not looked since.
pub const MOST_DEPARTED: usize = if cfg!(test) { 6 } else { 4096 };

/// An occupant as they are shown: a person, whatever the number of their sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Who.
    pub uid: Uid,
    /// Their display name.
    pub name: Arc<str>,
    /// The nick that it makes ([`nick_of`](super::names::nick_of)).
    pub nick: Arc<str>,
    /// Their affiliation.
    pub affiliation: Affiliation,
    /// Their role.
    pub role: Role,
    /// What their newest session put in its presence, as it is to be written; empty without a session.
    pub presence: Arc<[u8]>,
    /// The full JID of their newest session, if they have one.
    pub jid: Option<Arc<str>>,
}

/// Why somebody is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// By themselves, or only from what is shown.
    Left,
    /// Put out: status 307.
    Kicked,
    /// Put out for good: status 301.
    Banned,
    /// No longer a member of a room for members: status 321.
    NoLongerMember,
    /// Has another nick now: status 303. [`Change::Here`] with the new one follows.
    Renamed,
}

/// What is told of an occupant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// They are there, like this.
    Here(Arc<Shown>),
    /// They are not any more.
    Gone(Arc<Shown>, Departure),
}

/// An XMPP session that enters a room.
#[derive(Debug, Clone)]
pub struct Entering {
    /// Its id.
    pub session: u64,
    /// Its shard.
    pub shard: u16,
    /// Whose it is.
    pub uid: Uid,
    /// Their display name.
    pub name: Arc<str>,
    /// Their affiliation.
    pub affiliation: Affiliation,
    /// Their role.
    pub role: Role,
    /// How far the conference was when affiliation and role were read: later changes count, earlier ones do not.
    pub pos: u64,
    /// The session's full JID.
    pub jid: Arc<str>,
    /// What is in its presence.
    pub presence: Arc<[u8]>,
}

/// What a session is told when it enters.
#[derive(Debug, Clone)]
pub struct Entered {
    /// Whom it is told of first: all who are shown but its own occupant.
    pub others: Vec<Arc<Shown>>,
    /// Its own occupant, who may not be shown to others; what an earlier change of affiliation made of them is in it.
    pub own: Arc<Shown>,
    /// What is above this version is news to it.
    pub version: u64,
    /// The occupant had no other XMPP session.
    pub is_first_session_of_user: bool,
    /// The room was empty: from now on it wants to know who follows the conversation.
    pub is_first_of_room: bool,
    /// It was in the room already, and enters again to be told everything (XEP-0045 §7.2).
    pub was_in: bool,
}

/// What a session's leaving means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The occupant whose session it was, as they were last shown.
    pub shown: Arc<Shown>,
    /// The occupant is gone: it was their last session, and nothing else keeps them there.
    pub is_gone: bool,
    /// The room has no XMPP session any more and is forgotten.
    pub was_last_of_room: bool,
}

/// What somebody's being put out means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOut {
    /// The occupant as they were last shown, if they were in and their name was known.
    pub shown: Option<Arc<Shown>>,
    /// Their XMPP sessions, which have to be told: shard and id.
    pub sessions: Vec<(u16, u64)>,
    /// The room has no XMPP session any more and is forgotten.
    pub was_last_of_room: bool,
}

/// A room that wants something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Which.
    pub key: RoomKey,
    /// The sessions that are to look at its [`Rooms::changes`], by shard.
    pub sessions: Vec<(u16, Vec<u64>)>,
    /// People who would be shown if it were known who they are: [`Rooms::introduce`] says so. Each is named once.
    pub strangers: Vec<Uid>,
}

/// What a session has not been told of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// What it knows the room up to when it has been told.
    pub version: u64,
    /// Each nick once, its latest. The session's own occupant is among them, shown to others or not; it is never [`Departure::Left`]. When it
    /// comes with another nick than the session knew it has been renamed, whether or not the old nick is said to be gone.
    pub list: Vec<Change>,
    /// The session is too far behind: it may believe people to be there who are gone and forgotten. Then the list has everybody who is shown
    /// (and [`Change::Here`] only), and whoever is not in it is gone. A client cannot be told that; it has to be put out with status 332
    /// or 333 (XEP-0045 §9.1.3, §8.6), so that it enters again.
    pub resync: bool,
    /// The session's own occupant is in the list, or was left out of it: others who knew the room up to the same version, and know it up to the
    /// same now, are told something else. Those for whom this is `false` are all told the same.
    pub is_personal: bool,
}

/// Versions of each room that was opened, more than it can ever have: a session that knew a room which was closed meanwhile is too far behind
/// in the next one.
const VERSIONS: u64 = 1 << 40;

/// See the module's text.
pub struct Rooms {
    most_shown: usize,
    /// How many rooms were opened so far.
    opened: AtomicU64,
    rooms: RwLock<HashMap<RoomKey, Arc<Mutex<Room>>>>,
    /// Rooms that want something.
    wanting: Mutex<BTreeSet<RoomKey>>,
    wanted: Notify,
    /// When the next of a room's speakers is no longer recent.
    due: Mutex<BTreeSet<(u64, RoomKey)>>,
    /// What moderators say who put somebody out, lately.
    reasons: Mutex<Lately<(RoomKey, Uid), Arc<str>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rooms {
    /// No rooms, of which each will show up to `most_shown` occupants.
    #[must_use]
    pub fn new(most_shown: usize) -> Self {
        Self {
            most_shown,
            opened: AtomicU64::new(0),
            rooms: RwLock::default(),
            wanting: Mutex::default(),
            wanted: Notify::new(),
            due: Mutex::default(),
            reasons: Mutex::default(),
        }
    }

    /// Waits until a room has news.
    pub async fn news(&self) {
        self.wanted.notified().await;
    }

    /// Why somebody is put out, or asked in (XEP-0045 §7.8.2, §8.2, §9.1): said before that is done.
    pub fn give_reason(&self, key: RoomKey, uid: &Uid, reason: &str) {
        lock(&self.reasons).insert((key, uid.clone()), reason.into());
    }

    /// Why somebody was put out or asked in, if that was said.
    pub fn reason(&self, key: RoomKey, uid: &Uid) -> Option<Arc<str>> {
        lock(&self.reasons).get(&(key, uid.clone())).cloned().filter(|reason| !reason.is_empty())
    }

    fn first_version(&self) -> u64 {
        // It wraps after 16 million rooms, to versions that nobody knows any more.
        self.opened.fetch_add(1, Relaxed).wrapping_mul(VERSIONS)
    }

    fn room(&self, key: RoomKey) -> Option<Arc<Mutex<Room>>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Uses a room that is there; notes what it wants afterwards.
    fn with<T>(&self, key: RoomKey, using: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let shared = self.room(key)?;
        let mut room = lock(&shared);
        if room.is_closed() {
            return None;
        }
        let result = using(&mut room);
        self.note(key, &mut room);
        if room.is_closed() {
            drop(room);
            self.forget(key, &shared);
        }
        Some(result)
    }

    /// Reads a room that is there.
    fn read<T>(&self, key: RoomKey, using: impl FnOnce(&Room) -> T) -> Option<T> {
        let shared = self.room(key)?;
        let room = lock(&shared);
        (!room.is_closed()).then(|| using(&room))
    }

    fn note(&self, key: RoomKey, room: &mut Room) {
        if room.begins_to_want() {
            lock(&self.wanting).insert(key);
            self.wanted.notify_one();
        }
        let (was, is) = room.rearm();
        if was != is {
            let mut due = lock(&self.due);
            was.map(|at_ms| due.remove(&(at_ms, key)));
            is.map(|at_ms| due.insert((at_ms, key)));
        }
    }

    /// Takes a closed room out, unless there is another in its place already.
    fn forget(&self, key: RoomKey, closed: &Arc<Mutex<Room>>) {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if rooms.get(&key).is_some_and(|room| Arc::ptr_eq(room, closed)) {
            rooms.remove(&key);
        }
    }

    /// An XMPP session enters. The same user's second session is the same occupant (XEP-0045's multi-session nicks). Affiliation and role
    /// are to be read again afterwards and given to [`Rooms::affiliate`]: what changed between reading and entering found nobody here.
    pub fn enter(&self, key: RoomKey, entering: Entering) -> Entered {
        loop {
            let shared = {
                let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(rooms.entry(key).or_insert_with(|| Arc::new(Mutex::new(Room::new(self.most_shown, self.first_version())))))
            };
            let mut room = lock(&shared);
            if !room.is_closed() {
                let entered = room.enter(entering);
                self.note(key, &mut room);
                return entered;
            }
            drop(room);
            // It is about to be taken out by who closed it.
            self.forget(key, &shared);
        }
    }

    /// A session leaves. `None` when it was not in.
    pub fn leave(&self, key: RoomKey, session: u64, how: Departure) -> Option<Leaving> {
        self.with(key, |room| room.leave(session, how)).flatten()
    }

    /// A session goes on as another (XEP-0198 §5): the same occupant, of whom nobody is told anything, and it knows what the other one knew; the
    /// next [`Rooms::tick`] has it look. `false` when the old one is not in, or the new one is: then it has to enter.
    pub fn replace(&self, key: RoomKey, old: u64, new: u64, shard: u16) -> bool {
        self.with(key, |room| room.replace(old, new, shard)).unwrap_or(false)
    }

    /// A session could not be told of the changes: the next [`Rooms::tick`] has it look again, whether or not there are more.
    pub fn look_again(&self, key: RoomKey, session: u64) {
        // With the next news, or the next look without any: what does not take it now will not at once.
        if let Some(shared) = self.room(key) {
            lock(&shared).look_again(session);
            lock(&self.wanting).insert(key);
        }
    }

    /// A session has other presence; `false` when it is not in.
    pub fn update(&self, key: RoomKey, session: u64, presence: Arc<[u8]>) -> bool {
        self.with(key, |room| room.update(session, presence)).unwrap_or(false)
    }

    /// Somebody spoke, by whatever protocol: they are shown for [`SPEAKER_MS`], if not too many spoke after them. Who was not there is a
    /// stranger at first.
    pub fn spoke(&self, key: RoomKey, uid: &Uid, name: &Arc<str>, now_ms: u64) {
        self.with(key, |room| room.spoke(uid, name, now_ms));
    }

    /// A session of another protocol follows the conversation. Who was not there is a stranger at first.
    pub fn follow(&self, key: RoomKey, uid: &Uid, session: u64) {
        self.with(key, |room| room.follow(uid, session));
    }

    /// A session of another protocol no longer follows the conversation.
    pub fn unfollow(&self, key: RoomKey, uid: &Uid, session: u64) {
        self.with(key, |room| room.unfollow(uid, session));
    }

    /// Says who a stranger is, as read when the conference was at `pos`. Nothing is shown of a stranger whose account is gone: then nobody
    /// calls this.
    pub fn introduce(&self, key: RoomKey, uid: &Uid, name: &Arc<str>, standing: (Affiliation, Role), pos: u64) {
        self.with(key, |room| room.introduce(uid, name, standing, pos));
    }

    /// Somebody's affiliation and role have changed by the event at `pos`, or were read when the conference was there; earlier and repeated
    /// news change nothing.
    pub fn affiliate(&self, key: RoomKey, uid: &Uid, affiliation: Affiliation, role: Role, pos: u64) {
        self.with(key, |room| room.affiliate(uid, (affiliation, role), pos));
    }

    /// Somebody was put out by the event at `pos`: all their sessions are out, and they are not there by following or having spoken either,
    /// until they follow or speak again. Who came in after `pos` stays.
    pub fn put_out(&self, key: RoomKey, uid: &Uid, how: Departure, pos: u64) -> PutOut {
        self.with(key, |room| room.put_out(uid, how, pos)).unwrap_or_default()
    }

    /// Whether there is an XMPP session in the room: whether it wants to know of followers and speakers.
    #[must_use]
    pub fn is_open(&self, key: RoomKey) -> bool {
        self.read(key, |_| ()).is_some()
    }

    /// Whether an XMPP session is in the room.
    #[must_use]
    pub fn occupies(&self, key: RoomKey, session: u64) -> bool {
        self.read(key, |room| room.occupies(session)).unwrap_or(false)
    }

    /// A user's XMPP sessions in the room: shard and id.
    #[must_use]
    pub fn sessions_of(&self, key: RoomKey, uid: &Uid) -> Vec<(u16, u64)> {
        self.read(key, |room| room.sessions_of(uid)).unwrap_or_default()
    }

    /// The occupant with this nick, shown or not.
    #[must_use]
    pub fn occupant_by_nick(&self, key: RoomKey, nick: &str) -> Option<Uid> {
        self.read(key, |room| room.by_nick(nick)).flatten()
    }

    /// An occupant as they are or would be shown.
    #[must_use]
    pub fn occupant(&self, key: RoomKey, uid: &Uid) -> Option<Arc<Shown>> {
        self.read(key, |room| room.occupant(uid)).flatten()
    }

    /// Those who are shown, speakers first.
    #[must_use]
    pub fn shown(&self, key: RoomKey) -> Vec<Arc<Shown>> {
        self.read(key, Room::all_shown).unwrap_or_default()
    }

    /// How many people are there, shown or not.
    #[must_use]
    pub fn count(&self, key: RoomKey) -> usize {
        self.read(key, Room::count).unwrap_or(0)
    }

    /// When there is news: rooms with news since the last call, and the sessions that are to look. Only those rooms are looked at.
    pub fn tick(&self, now_ms: u64) -> Vec<Look> {
        loop {
            let first = lock(&self.due).first().copied();
            let Some((_, key)) = first.filter(|(at_ms, _)| *at_ms <= now_ms) else { break };
            if self.with(key, |room| room.expire(now_ms)).is_none() {
                // Its room was closed meanwhile.
                lock(&self.due).retain(|(_, other)| *other != key);
            }
        }
        let wanting = std::mem::take(&mut *lock(&self.wanting));
        let looks = wanting.into_iter().filter_map(|key| {
            let (sessions, strangers) = self.with(key, Room::look)?;
            (!sessions.is_empty() || !strangers.is_empty()).then_some(Look { key, sessions, strangers })
        });
        looks.collect()
    }

    /// What a session that knows the room up to `since` has not been told. It is given again until the session comes with a later version.
    /// Nothing for a session that is not in.
    pub fn changes(&self, key: RoomKey, session: u64, since: u64) -> Changes {
        self.with(key, |room| room.changes(session, since)).unwrap_or(Changes { version: since, ..Changes::default() })
    }
}
