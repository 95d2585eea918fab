//! All live sessions of all protocols by user: limits, lists, and presence, which is nothing but what the sessions say.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::{ConfNo, Uid};
use crate::limits::{Limits, SessionPolicy};
use crate::model::{Status, TokenHash, Via};
use crate::reject::{Reason, Reject};

/// A live session.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id; never used twice in a process.
    pub id: u64,
    /// The shard that it is on.
    pub shard: u16,
    /// Its slot there.
    pub slot: u32,
    /// Its protocol.
    pub via: Via,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// The account's version when it began.
    pub version: u32,
    /// The token of our own that signed them in.
    pub token: Option<TokenHash>,
    /// What the client calls itself.
    pub device: Option<Box<str>>,
    /// When its user last did something with it, Unix ms: what comes by itself (pings, acks, subscriptions) does not count.
    pub active_ms: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Present {
    live: Vec<Live>,
    status: Status,
    text: Arc<str>,
}

/// Presence as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// How they are.
    pub status: Status,
    /// In their words.
    pub text: Arc<str>,
}

const STRIPES: usize = 32;

/// See the module's text.
#[derive(Debug)]
pub struct Sessions {
    stripes: [Mutex<HashMap<(ConfNo, Uid), Present>>; STRIPES],
    hasher: RandomState,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { stripes: Default::default(), hasher: RandomState::new() }
    }
}

impl Sessions {
    fn stripe(&self, key: &(ConfNo, Uid)) -> MutexGuard<'_, HashMap<(ConfNo, Uid), Present>> {
        let at = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or(0);
        self.stripes[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session. Returns whether it is the user's first, and the one to close in its favour: a stream of events has the place of the user's
    /// oldest one in any case. Who reads such a stream says nothing on it, so that one that nobody reads any more looks like all others; and it goes on
    /// elsewhere without loss.
    ///
    /// # Errors
    /// [`Reason::TooManySessions`].
    pub fn add(&self, conf: ConfNo, uid: &Uid, live: Live, limits: &Limits) -> Result<(bool, Option<Live>), Reject> {
        let key = (conf, uid.clone());
        let mut stripe = self.stripe(&key);
        let fresh = || Present { live: Vec::with_capacity(1), status: Status::Online, text: Arc::default() };
        let present = stripe.entry(key).or_insert_with(fresh);
        // Who uses a plain broker without a name is many people.
        let full = limits.sessions_per_user > 0 && *uid != Uid::anonymous() && present.live.len() >= limits.sessions_per_user as usize;
        let older = present.live.iter().position(|other| live.via == Via::Http && other.via == Via::Http);
        let oldest = match limits.session_policy {
            SessionPolicy::Refuse if full => match older {
                Some(older) => Some(present.live.remove(older)),
                None => return Err(Reason::TooManySessions.into()),
            },
            SessionPolicy::CloseOldest if full => Some(present.live.remove(0)),
            _ => None,
        };
        present.live.push(live);
        Ok((present.live.len() == 1, oldest))
    }

    /// Takes a session out; whether it was the user's last.
    pub fn remove(&self, conf: ConfNo, uid: &Uid, id: u64) -> bool {
        let key = (conf, uid.clone());
        let mut stripe = self.stripe(&key);
        let Some(present) = stripe.get_mut(&key) else { return false };
        let before = present.live.len();
        present.live.retain(|live| live.id != id);
        let last = present.live.is_empty() && before > 0;
        if present.live.is_empty() {
            stripe.remove(&key);
        }
        last
    }

    /// A user's sessions, oldest first.
    #[must_use]
    pub fn of(&self, conf: ConfNo, uid: &Uid) -> Vec<Live> {
        let key = (conf, uid.clone());
        self.stripe(&key).get(&key).map_or(Vec::new(), |present| present.live.clone())
    }

    /// How a user is.
    #[must_use]
    pub fn presence(&self, conf: ConfNo, uid: &Uid) -> Presence {
        let key = (conf, uid.clone());
        let stripe = self.stripe(&key);
        let offline = || Presence { status: Status::Offline, text: Arc::default() };
        stripe.get(&key).map_or_else(offline, |present| Presence { status: present.status, text: Arc::clone(&present.text) })
    }

    /// Everybody in a conference who has a session, and how they are.
    #[must_use]
    pub fn all_present(&self, conf: ConfNo) -> Vec<(Uid, Presence)> {
        let mut all = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            let here = stripe.iter().filter(|((other, _), _)| *other == conf);
            all.extend(here.map(|((_, uid), present)| (uid.clone(), Presence { status: present.status, text: Arc::clone(&present.text) })));
        }
        all
    }

    /// People of a conference who have a session, `most` of them at most; not who has no name.
    #[must_use]
    pub fn present(&self, conf: ConfNo, most: usize) -> Vec<Uid> {
        let mut found = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            let here = stripe.keys().filter(|(other, uid)| *other == conf && *uid != Uid::anonymous());
            found.extend(here.take(most - found.len()).map(|(_, uid)| uid.clone()));
            if found.len() >= most {
                break;
            }
        }
        found
    }

    /// A user's sessions of one protocol: shard, slot and id.
    #[must_use]
    pub fn by_protocol(&self, conf: ConfNo, uid: &Uid, via: Via) -> Vec<(u16, u32, u64)> {
        let key = (conf, uid.clone());
        let stripe = self.stripe(&key);
        let live = stripe.get(&key).into_iter().flat_map(|present| &present.live);
        live.filter(|live| live.via == via).map(|live| (live.shard, live.slot, live.id)).collect()
    }

    /// When a user who is here last did something, Unix ms; `None` without a session.
    #[must_use]
    pub fn last_active_ms(&self, conf: ConfNo, uid: &Uid) -> Option<u64> {
        let key = (conf, uid.clone());
        self.stripe(&key).get(&key)?.live.iter().map(|live| live.active_ms.load(Relaxed)).max()
    }

    /// A user did something by a request of HTTP: who reads a stream of events answers so.
    pub fn note_request(&self, conf: ConfNo, uid: &Uid, now_ms: u64) {
        let key = (conf, uid.clone());
        let stripe = self.stripe(&key);
        let live = stripe.get(&key).into_iter().flat_map(|present| &present.live);
        live.filter(|live| live.via == Via::Http).for_each(|live| live.active_ms.store(now_ms, Relaxed));
    }

    /// Sets how a user is; `false` without a session.
    pub fn set_presence(&self, conf: ConfNo, uid: &Uid, presence: &Presence) -> bool {
        let key = (conf, uid.clone());
        let mut stripe = self.stripe(&key);
        let Some(present) = stripe.get_mut(&key) else { return false };
        present.status = presence.status;
        present.text = Arc::clone(&presence.text);
        true
    }

    /// Live sessions by protocol.
    #[must_use]
    pub fn count(&self) -> Vec<(&'static str, usize)> {
        let mut counts: HashMap<&'static str, usize> = HashMap::from([(Via::Ws.word(), 0)]);
        for stripe in &self.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            for live in stripe.values().flat_map(|present| &present.live) {
                *counts.entry(live.via.word()).or_default() += 1;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable();
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn live(id: u64, via: Via) -> Live {
        Live { id, shard: 3, slot: 7, via, since_ms: 0, version: 0, token: None, device: None, active_ms: Arc::default() }
    }

    #[test]
    fn a_stream_of_events_has_the_place_of_the_oldest_one() {
        let (sessions, limits) = (Sessions::default(), Limits { sessions_per_user: 3, ..Limits::default() });
        let add = |id, via| sessions.add(ConfNo(1), &uid("ada"), live(id, via), &limits);
        let closed = |added: Result<(bool, Option<Live>), Reject>| added.map(|(_, closed)| closed.map(|live| live.id));
        for (id, via) in [(1, Via::Ws), (2, Via::Http), (3, Via::Http)] {
            assert_eq!(closed(add(id, via)), Ok(None));
        }
        assert_eq!(closed(add(4, Via::Http)), Ok(Some(2)));
        assert_eq!(closed(add(5, Via::Ws)), Err(Reason::TooManySessions.into()));
        assert_eq!(closed(add(6, Via::Http)), Ok(Some(3)));
        let there: Vec<_> = sessions.of(ConfNo(1), &uid("ada")).iter().map(|live| live.id).collect();
        assert_eq!(there, [1, 4, 6]);
        for (who, via) in [("bob", Via::Ws), ("bob", Via::Mqtt), ("bob", Via::Xmpp)] {
            sessions.add(ConfNo(1), &uid(who), live(9, via), &limits).unwrap();
        }
        assert!(sessions.add(ConfNo(1), &uid("bob"), live(10, Via::Http), &limits).is_err(), "a stream has nobody else's place");
    }

    #[test]
    fn who_does_something_is_active_while_that_session_lives() {
        let (sessions, limits) = (Sessions::default(), Limits::default());
        let (desktop, stream) = (live(1, Via::Ws), live(2, Via::Http));
        let on_desktop = Arc::clone(&desktop.active_ms);
        for session in [desktop, stream] {
            sessions.add(ConfNo(1), &uid("ada"), session, &limits).unwrap();
        }
        assert_eq!(sessions.last_active_ms(ConfNo(1), &uid("ada")), Some(0));
        on_desktop.store(500, Relaxed);
        sessions.note_request(ConfNo(1), &uid("ada"), 400);
        assert_eq!(sessions.last_active_ms(ConfNo(1), &uid("ada")), Some(500));
        sessions.remove(ConfNo(1), &uid("ada"), 1);
        assert_eq!(sessions.last_active_ms(ConfNo(1), &uid("ada")), Some(400), "the desktop is gone, with what was done there");
        sessions.remove(ConfNo(1), &uid("ada"), 2);
        assert_eq!(sessions.last_active_ms(ConfNo(1), &uid("ada")), None);
    }

    #[test]
    fn who_is_here_up_to_a_number_and_by_protocol() {
        let (sessions, limits) = (Sessions::default(), Limits::default());
        let add = |conf: u32, who: &str, id: u64, via: Via| sessions.add(ConfNo(conf), &uid(who), live(id, via), &limits).unwrap();
        for id in 0..50 {
            add(1, &format!("user-{id}"), id, Via::Ws);
        }
        add(1, "user-0", 100, Via::Socketio);
        add(2, "elsewhere", 101, Via::Socketio);
        add(1, "anonymous", 102, Via::Mqtt);
        assert_eq!(sessions.present(ConfNo(1), 20).len(), 20);
        let mut here = sessions.present(ConfNo(1), 1000);
        here.sort_unstable();
        here.dedup();
        assert_eq!(here.len(), 50);
        assert_eq!(sessions.by_protocol(ConfNo(1), &uid("user-0"), Via::Socketio), [(3, 7, 100)]);
        assert!(sessions.by_protocol(ConfNo(1), &uid("user-1"), Via::Socketio).is_empty());
    }
}
