//! Shared subscriptions (MQTT 5 §4.8.2): which member of a group is given a message. Decided by dispatch, the one place that every message
//! passes once; members take turns.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::ConfNo;
use crate::model::{Body, Publication, Realm, Signal};
use crate::recent::Published;
use crate::topic::Telling;
use crate::tree::Tree;

/// A session in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its shard.
    pub shard: u16,
    /// Its slot there.
    pub slot: u32,
    /// Its id.
    pub session: u64,
}

/// What is shared out.
#[derive(Debug, Clone)]
pub enum Message {
    /// Something that is kept.
    Event(Arc<Published>),
    /// Something that is not.
    Telling(Arc<Telling>),
}

/// A message for one member of a group.
#[derive(Debug)]
pub struct Share {
    /// Who it is for.
    pub to: Member,
    /// The shared subscription, as it was asked for: `$share/<group>/<filter>`.
    pub filter: Arc<str>,
    /// What.
    pub message: Message,
    /// Members that did not take it.
    pub tries: u8,
}

/// Members that are asked to take a message.
const MAX_TRIES: u8 = 8;

#[derive(Debug, Default)]
struct Group {
    members: Vec<Member>,
    next: usize,
}

#[derive(Debug, Default)]
struct Groups {
    /// By the whole filter.
    by_filter: HashMap<Arc<str>, Group>,
    /// The whole filters, by the filters inside.
    tree: Tree<Arc<str>>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Shares {
    groups: Mutex<HashMap<(ConfNo, Realm), Groups>>,
    /// How many there are: most servers have none.
    count: AtomicUsize,
}

impl Shares {
    /// Whether there is no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// A session joins the group of `filter`, whose filter inside is `inner`.
    pub fn join(&self, conf: ConfNo, realm: Realm, filter: &Arc<str>, inner: &str, member: Member) {
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = all.entry((conf, realm)).or_default();
        let group = groups.by_filter.entry(Arc::clone(filter)).or_insert_with(|| {
            self.count.fetch_add(1, Relaxed);
            Group::default()
        });
        groups.tree.insert(inner, Arc::clone(filter));
        if !group.members.contains(&member) {
            group.members.push(member);
        }
    }

    /// A session leaves a group.
    pub fn leave(&self, conf: ConfNo, realm: Realm, filter: &Arc<str>, inner: &str, member: Member) {
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(groups) = all.get_mut(&(conf, realm)) else { return };
        let Some(group) = groups.by_filter.get_mut(filter) else { return };
        group.members.retain(|other| *other != member);
        if group.members.is_empty() {
            groups.by_filter.remove(filter);
            groups.tree.remove(inner, filter);
            self.count.fetch_sub(1, Relaxed);
        }
    }

    /// One member of each group whose filter selects `topic`, with the message for it.
    pub fn share_out(&self, conf: ConfNo, publication: &Publication, message: &Message, mut give: impl FnMut(Arc<Share>)) {
        if self.is_empty() {
            return;
        }
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Groups { by_filter, tree }) = all.get_mut(&(conf, publication.realm)) else { return };
        tree.for_each_match(&publication.topic, |filter| {
            let Some(group) = by_filter.get_mut(filter) else { return };
            group.next = group.next.wrapping_add(1) % group.members.len().max(1);
            if let Some(to) = group.members.get(group.next) {
                give(Arc::new(Share { to: *to, filter: Arc::clone(filter), message: message.clone(), tries: 0 }));
            }
        });
    }

    /// Another member for a message that the one it was for did not take; `None` when so many did not that it is given up.
    #[must_use]
    pub fn another(&self, share: &Share) -> Option<Arc<Share>> {
        if share.tries >= MAX_TRIES {
            tracing::debug!("a message of a shared subscription is lost: nobody in the group has room for it");
            return None;
        }
        let (conf, realm) = share.message.place()?;
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group = all.get_mut(&(conf, realm))?.by_filter.get_mut(&share.filter)?;
        group.next = group.next.wrapping_add(1) % group.members.len().max(1);
        let to = *group.members.get(group.next)?;
        Some(Arc::new(Share { to, filter: Arc::clone(&share.filter), message: share.message.clone(), tries: share.tries + 1 }))
    }
}

impl Message {
    /// The publication.
    #[must_use]
    pub fn publication(&self) -> Option<&Arc<Publication>> {
        match self {
            Self::Event(published) => match &published.event.entry.body {
                Body::Publication(publication) | Body::Stored(publication) => Some(publication),
                _ => None,
            },
            Self::Telling(telling) => match &telling.signal {
                Signal::Published { publication, .. } => Some(publication),
                _ => None,
            },
        }
    }

    fn place(&self) -> Option<(ConfNo, Realm)> {
        let conf = match self {
            Self::Event(published) => published.event.place.conf,
            Self::Telling(telling) => telling.conf,
        };
        Some((conf, self.publication()?.realm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Uid;

    fn publication(topic: &str) -> Publication {
        Publication {
            realm: Realm::Apps,
            topic: topic.into(),
            payload: bytes::Bytes::new(),
            qos: 0,
            retain: false,
            expires_ms: u64::MAX,
            properties: None,
        }
    }

    #[test]
    fn members_take_turns_and_each_group_is_given_once() {
        let shares = Shares::default();
        let filters: Vec<Arc<str>> = ["$share/g/a/+", "$share/h/a/b"].map(Arc::from).into();
        let member = |session| Member { shard: 0, slot: 0, session };
        shares.join(ConfNo(1), Realm::Apps, &filters[0], "a/+", member(1));
        shares.join(ConfNo(1), Realm::Apps, &filters[0], "a/+", member(2));
        shares.join(ConfNo(1), Realm::Apps, &filters[1], "a/b", member(3));
        let given = |topic| {
            let mut given = Vec::new();
            let publication = Arc::new(publication(topic));
            let signal = Signal::Published { from: Uid::anonymous(), origin: 0, publication: Arc::clone(&publication), at_ms: 0 };
            let message = Message::Telling(Arc::new(Telling::of(ConfNo(1), signal)));
            shares.share_out(ConfNo(1), &publication, &message, |share| given.push(share.to.session));
            given.sort_unstable();
            given
        };
        let (first, second) = (given("a/b"), given("a/b"));
        assert_eq!((first.len(), second.len()), (2, 2));
        assert_ne!(first[0], second[0]);
        assert_eq!(given("a/x").len(), 1);
        assert!(given("b").is_empty());
        for session in [1, 2] {
            shares.leave(ConfNo(1), Realm::Apps, &filters[0], "a/+", member(session));
        }
        assert_eq!(given("a/b"), [3]);
        shares.leave(ConfNo(1), Realm::Apps, &filters[1], "a/b", member(3));
        assert_eq!(shares.count.load(Relaxed), 0);
    }
}
