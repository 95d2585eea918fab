//! Who is connected over XMPP, by full JID, on all shards; and what is sent to one session of several.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hallway_broker::ids::{ConfNo, Uid};

/// Messages to one session of several that are remembered.
const MAX_ADDRESSED: usize = 4096;

/// A session that is connected.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The resource of its full JID.
    pub name: Arc<str>,
    /// Its shard.
    pub shard: u16,
    /// Its slot there.
    pub slot: u32,
    /// Its id.
    pub session: u64,
    /// What it last said of itself, `<show/>`, `<status/>` and so on; `None`: it is not available.
    pub presence: Option<Arc<[u8]>>,
    /// Its priority (RFC 6121 §4.7.2.3).
    pub priority: i8,
}

#[derive(Default)]
struct State {
    users: HashMap<(ConfNo, Uid), Vec<Resource>>,
    /// By the sender's session and their id for the message.
    addressed: HashMap<(u64, Box<str>), Arc<str>>,
    order: VecDeque<(u64, Box<str>)>,
}

/// See the module's text.
#[derive(Default)]
pub struct Directory {
    state: Mutex<State>,
}

impl Directory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session comes; the one whose resource it takes, if any (RFC 6120 §7.7.2.2).
    pub fn add(&self, conf: ConfNo, uid: &Uid, resource: Resource) -> Option<Resource> {
        let mut state = self.lock();
        let list = state.users.entry((conf, uid.clone())).or_default();
        let before = list.iter().position(|other| other.name == resource.name).map(|at| list.swap_remove(at));
        list.push(resource);
        before
    }

    /// A session goes; how it last was, if it was available.
    pub fn remove(&self, conf: ConfNo, uid: &Uid, session: u64) -> Option<Arc<[u8]>> {
        let mut state = self.lock();
        let key = (conf, uid.clone());
        let list = state.users.get_mut(&key)?;
        let gone = list.iter().position(|resource| resource.session == session).map(|at| list.swap_remove(at));
        if list.is_empty() {
            state.users.remove(&key);
        }
        gone?.presence
    }

    /// How a session is.
    pub fn set_presence(&self, conf: ConfNo, uid: &Uid, session: u64, presence: Option<Arc<[u8]>>, priority: i8) {
        let mut state = self.lock();
        let list = state.users.get_mut(&(conf, uid.clone()));
        if let Some(resource) = list.and_then(|list| list.iter_mut().find(|resource| resource.session == session)) {
            (resource.presence, resource.priority) = (presence, priority);
        }
    }

    /// The sessions of somebody.
    #[must_use]
    pub fn of(&self, conf: ConfNo, uid: &Uid) -> Vec<Resource> {
        self.lock().users.get(&(conf, uid.clone())).cloned().unwrap_or_default()
    }

    /// The session with this resource.
    #[must_use]
    pub fn find(&self, conf: ConfNo, uid: &Uid, resource: &str) -> Option<Resource> {
        self.lock().users.get(&(conf, uid.clone()))?.iter().find(|other| *other.name == *resource).cloned()
    }

    /// Whether there is one.
    #[must_use]
    pub fn has(&self, conf: ConfNo, uid: &Uid, resource: &str) -> bool {
        self.find(conf, uid, resource).is_some()
    }

    /// How a session is; `None` when it is not available.
    #[must_use]
    pub fn presence(&self, conf: ConfNo, uid: &Uid, session: u64) -> Option<Arc<[u8]>> {
        let state = self.lock();
        state.users.get(&(conf, uid.clone()))?.iter().find(|other| other.session == session)?.presence.clone()
    }

    /// The resource of a session.
    #[must_use]
    pub fn resource(&self, conf: ConfNo, uid: &Uid, session: u64) -> Option<Arc<str>> {
        let state = self.lock();
        state.users.get(&(conf, uid.clone()))?.iter().find(|other| other.session == session).map(|other| Arc::clone(&other.name))
    }

    /// The message of a session with this id is for one session alone.
    pub fn address(&self, sender: u64, id: &str, resource: &str) {
        let mut state = self.lock();
        let key: (u64, Box<str>) = (sender, id.into());
        if state.addressed.insert(key.clone(), resource.into()).is_none() {
            state.order.push_back(key);
        }
        if state.order.len() > MAX_ADDRESSED
            && let Some(oldest) = state.order.pop_front()
        {
            state.addressed.remove(&oldest);
        }
    }

    /// The session that it is for.
    #[must_use]
    pub fn addressed(&self, sender: u64, id: &str) -> Option<Arc<str>> {
        self.lock().addressed.get(&(sender, Box::from(id))).cloned()
    }
}
