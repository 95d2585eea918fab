//! Who is connected over XMPP, by full JID, on all shards; and what of a fresh message or change its stanza alone said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hallway_broker::ids::{ConfNo, ConversationId, Uid};

use super::lately::Lately;
use super::stanza::ChatState;

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

/// How a message goes to the receiver's sessions, as its sender's stanza said: known as long as it is fresh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Going {
    /// For one session alone (RFC 6121 §8.5.3).
    pub resource: Option<Arc<str>>,
    /// From occupant to occupant of this room (XEP-0045 §7.5).
    pub room: Option<ConversationId>,
    /// No copies for others (XEP-0280 §6.1).
    pub is_private: bool,
}

/// A stanza that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its id, which what is told has, too (XEP-0045 §7.4).
    pub id: Box<str>,
    /// Of one that makes several reactions, the last: it alone is told, since it says how they all are then.
    pub last: Option<(Arc<str>, bool)>,
}

/// A fresh message or change: the sender's session, the conversation, and the sender's id of a message, or the seq of what is changed (`None`
/// for a room's subject).
type Fresh<T> = (u64, ConversationId, T);

#[derive(Default)]
struct State {
    users: HashMap<(ConfNo, Uid), Vec<Resource>>,
    going: Lately<Fresh<Box<str>>, Going>,
    changes: Lately<Fresh<Option<u64>>, Change>,
    states: Lately<(ConfNo, ConversationId, Uid), ChatState>,
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

    /// A session sends a message, which may go in a particular way: what an earlier one of the same id, or without one, said does not count.
    pub fn send(&self, sender: u64, conversation: &ConversationId, id: &str, going: Going) {
        let (mut state, key) = (self.lock(), (sender, conversation.clone(), id.into()));
        if going != Going::default() || state.going.get(&key).is_some() {
            state.going.insert(key, going);
        }
    }

    /// How a fresh message goes.
    #[must_use]
    pub fn going(&self, sender: u64, conversation: &ConversationId, id: &str) -> Going {
        self.lock().going.get(&(sender, conversation.clone(), id.into())).cloned().unwrap_or_default()
    }

    /// In which state somebody says that they are in a conversation.
    pub fn set_chat_state(&self, conf: ConfNo, conversation: &ConversationId, uid: &Uid, state: ChatState) {
        self.lock().states.insert((conf, conversation.clone(), uid.clone()), state);
    }

    /// In which state they last said that they are.
    #[must_use]
    pub fn chat_state(&self, conf: ConfNo, conversation: &ConversationId, uid: &Uid) -> Option<ChatState> {
        self.lock().states.get(&(conf, conversation.clone(), uid.clone())).copied()
    }

    /// A session changes a message, or a room's subject, by a stanza: it is told as that says.
    pub fn change(&self, sender: u64, conversation: &ConversationId, target: Option<u64>, change: Change) {
        self.lock().changes.insert((sender, conversation.clone(), target), change);
    }

    /// The stanza that asked for a fresh change.
    #[must_use]
    pub fn change_of(&self, sender: u64, conversation: &ConversationId, target: Option<u64>) -> Option<Change> {
        self.lock().changes.get(&(sender, conversation.clone(), target)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn resource(name: &str, session: u64) -> Resource {
        Resource { name: name.into(), shard: 0, slot: 0, session, presence: None, priority: 0 }
    }

    #[test]
    fn a_resource_is_taken_over() {
        let (directory, conf, alice) = (Directory::default(), ConfNo(1), uid("alice"));
        assert!(directory.add(conf, &alice, resource("phone", 1)).is_none());
        assert_eq!(directory.add(conf, &alice, resource("phone", 2)).map(|before| before.session), Some(1));
        directory.set_presence(conf, &alice, 2, Some(Arc::from(&b"<show/>"[..])), 5);
        // The one before goes, and takes nothing with it.
        assert!(directory.remove(conf, &alice, 1).is_none());
        assert!(directory.has(conf, &alice, "phone") && directory.presence(conf, &alice, 2).is_some());
        assert_eq!(directory.resource(conf, &alice, 2).as_deref(), Some("phone"));
        assert!(!directory.has(ConfNo(2), &alice, "phone"), "another conference's");
        assert!(directory.remove(conf, &alice, 2).is_some() && directory.of(conf, &alice).is_empty());
    }

    #[test]
    fn what_is_fresh_is_known_by_its_sender() {
        let (directory, lobby) = (Directory::default(), ConversationId::parse("lobby").unwrap());
        let going = Going { resource: Some("laptop".into()), ..Going::default() };
        directory.send(1, &lobby, "m1", going.clone());
        assert_eq!(directory.going(1, &lobby, "m1"), going);
        assert_eq!(directory.going(2, &lobby, "m1"), Going::default());
        directory.send(1, &lobby, "m1", Going::default());
        assert_eq!(directory.going(1, &lobby, "m1"), Going::default());
        let change = Change { id: "c1".into(), last: None };
        directory.change(1, &lobby, Some(7), change.clone());
        assert_eq!(directory.change_of(1, &lobby, Some(7)), Some(change));
        assert_eq!(directory.change_of(1, &lobby, None), None);
    }
}
