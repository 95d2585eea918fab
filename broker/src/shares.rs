//! Shared subscriptions (MQTT 5 §4.8.2): which member of a group is given a message. Decided by dispatch, the one place that every message
//! passes once; members take turns.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::ConfNo;
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
}

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
    groups: Mutex<HashMap<ConfNo, Groups>>,
    /// How many there are: most servers have none.
    count: AtomicUsize,
}

impl Shares {
    /// A session joins the group of `filter`, whose filter inside is `inner`.
    pub fn join(&self, conf: ConfNo, filter: &Arc<str>, inner: &str, member: Member) {
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = all.entry(conf).or_default();
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
    pub fn leave(&self, conf: ConfNo, filter: &Arc<str>, inner: &str, member: Member) {
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(groups) = all.get_mut(&conf) else { return };
        let Some(group) = groups.by_filter.get_mut(filter) else { return };
        group.members.retain(|other| *other != member);
        if group.members.is_empty() {
            groups.by_filter.remove(filter);
            groups.tree.remove(inner, filter);
            self.count.fetch_sub(1, Relaxed);
        }
    }

    /// One member of each group whose filter selects `topic`, with the message for it.
    pub fn share_out(&self, conf: ConfNo, topic: &str, message: &Message, mut give: impl FnMut(Arc<Share>)) {
        if self.count.load(Relaxed) == 0 {
            return;
        }
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Groups { by_filter, tree }) = all.get_mut(&conf) else { return };
        tree.for_each_match(topic, |filter| {
            let Some(group) = by_filter.get_mut(filter) else { return };
            group.next = group.next.wrapping_add(1) % group.members.len().max(1);
            if let Some(to) = group.members.get(group.next) {
                give(Arc::new(Share { to: *to, filter: Arc::clone(filter), message: message.clone() }));
            }
        });
    }

    /// Another member for a message that the one it was given to has left.
    #[must_use]
    pub fn another(&self, conf: ConfNo, share: &Share) -> Option<Arc<Share>> {
        let mut all = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group = all.get_mut(&conf)?.by_filter.get_mut(&share.filter)?;
        group.next = group.next.wrapping_add(1) % group.members.len().max(1);
        let to = *group.members.get(group.next)?;
        Some(Arc::new(Share { to, filter: Arc::clone(&share.filter), message: share.message.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConvNo, ConversationId, Uid};
    use crate::model::Signal;

    fn message() -> Message {
        let signal = Signal::Read { conversation: ConversationId::topics(), from: Uid::system(), seq: 1 };
        Message::Telling(Arc::new(Telling { conf: ConfNo(1), conv: Some(ConvNo(1)), signal }))
    }

    #[test]
    fn members_take_turns_and_each_group_is_given_once() {
        let shares = Shares::default();
        let filters: Vec<Arc<str>> = ["$share/g/a/+", "$share/h/a/b"].map(Arc::from).into();
        let member = |session| Member { shard: 0, slot: 0, session };
        shares.join(ConfNo(1), &filters[0], "a/+", member(1));
        shares.join(ConfNo(1), &filters[0], "a/+", member(2));
        shares.join(ConfNo(1), &filters[1], "a/b", member(3));
        let given = |topic| {
            let mut given = Vec::new();
            shares.share_out(ConfNo(1), topic, &message(), |share| given.push(share.to.session));
            given.sort_unstable();
            given
        };
        let (first, second) = (given("a/b"), given("a/b"));
        assert_eq!((first.len(), second.len()), (2, 2));
        assert_ne!(first[0], second[0]);
        assert_eq!(given("a/x").len(), 1);
        assert!(given("b").is_empty());
        for session in [1, 2] {
            shares.leave(ConfNo(1), &filters[0], "a/+", member(session));
        }
        assert_eq!(given("a/b"), [3]);
        shares.leave(ConfNo(1), &filters[1], "a/b", member(3));
        assert_eq!(shares.count.load(Relaxed), 0);
    }
}
