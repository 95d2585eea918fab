//! Who follows a topic by name, for an edge that shows it: told for the topics that it watches, and free for all others.

use std::collections::HashSet;

use super::{LEFT, Registry, Session};
use crate::ids::Uid;
use crate::model::Via;
use crate::outbox::Link;
use crate::topic::Topic;

/// A session that follows a topic by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Follower {
    /// Whose it is.
    pub uid: Uid,
    /// Its id.
    pub session: u64,
    /// Its protocol.
    pub via: Via,
}

/// The topics that are watched, and who came to them and went since last asked.
#[derive(Debug, Default)]
pub(super) struct Watched {
    topics: HashSet<Topic>,
    moves: Vec<(Topic, Follower, bool)>,
}

impl<L> Session<L> {
    fn follower(&self) -> Follower {
        Follower { uid: self.uid.clone(), session: self.id, via: self.via }
    }
}

impl Watched {
    pub(super) fn note<L>(&mut self, topic: &Topic, session: &Session<L>, came: bool) {
        if self.topics.contains(topic) {
            self.moves.push((topic.clone(), session.follower(), came));
        }
    }
}

impl<L: Link> Registry<L> {
    /// Who follows the topic by name here; from now on, [`Registry::take_moves`] tells who comes and goes.
    pub fn watch(&mut self, topic: &Topic) -> Vec<Follower> {
        self.watched.topics.insert(topic.clone());
        let readers = self.topics.get(topic).map_or(&[][..], |readers| &readers.list);
        let named = readers.iter().filter(|reader| reader.slot != LEFT && !reader.implied);
        named.filter_map(|reader| self.sessions.get(reader.slot as usize)).map(Session::follower).collect()
    }

    /// No more of that.
    pub fn unwatch(&mut self, topic: &Topic) {
        self.watched.topics.remove(topic);
    }

    /// Who came to watched topics (`true`) and went since the last call, in order.
    pub fn take_moves(&mut self) -> Vec<(Topic, Follower, bool)> {
        std::mem::take(&mut self.watched.moves)
    }

    pub(super) fn note_follower(&mut self, slot: u32, topic: &Topic, came: bool) {
        if let Some(session) = self.sessions.get(slot as usize) {
            self.watched.note(topic, session, came);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::allowances::TopicRights;
    use crate::ids::{ConfNo, ConferenceId, ConvNo, ConversationId};
    use crate::model::{Kind, Signal, UserRole};
    use crate::outbox::{Bounds, Budget};
    use crate::reader::Reader;
    use crate::recent::WIRES;
    use crate::registry::{Known, Scope, Wires};
    use crate::session::Who;
    use crate::state::memory::MemoryStore;
    use crate::topic::{How, Source, Telling};

    struct Nowhere;

    impl Link for Nowhere {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn wake(&self) {}
        fn wire(&self) -> usize {
            0
        }
    }

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn topic(conv: u32) -> Topic {
        Topic::Chat(ConfNo(1), ConvNo(conv))
    }

    fn source(kind: Kind) -> Source {
        Source { id: ConversationId::parse("lobby").unwrap(), kind }
    }

    fn registry() -> Registry<Nowhere> {
        let wires: Wires = [const { None }; WIRES];
        Registry::new(Arc::new(wires), Bounds { events: 10, bytes: 1000, budget: Budget::new(1000) }, 10)
    }

    fn add(registry: &mut Registry<Nowhere>, id: u64) -> u32 {
        registry.add(id, ConfNo(1), uid(["ann", "bob"][usize::from(id.is_multiple_of(2))]), Via::Ws, Nowhere)
    }

    #[test]
    fn who_follows_a_watched_topic_is_told_of() {
        let mut registry = registry();
        let (one, two) = (add(&mut registry, 1), add(&mut registry, 2));
        let lobby = source(Kind::Channel);
        registry.register(one, &topic(1), Some(lobby.clone()), How::default());
        assert!(registry.take_moves().is_empty(), "nobody watches");
        let ann = Follower { uid: uid("ann"), session: 1, via: Via::Ws };
        let bob = Follower { uid: uid("bob"), session: 2, via: Via::Ws };
        assert_eq!(registry.watch(&topic(1)), std::slice::from_ref(&ann));
        registry.register(two, &topic(1), Some(lobby.clone()), How::default());
        registry.register(two, &topic(1), Some(lobby.clone()), How::default());
        registry.register(two, &topic(2), Some(lobby), How::default());
        assert_eq!(registry.take_moves(), [(topic(1), bob.clone(), true)]);
        registry.unsubscribe(one, &topic(1));
        registry.remove(two);
        assert_eq!(registry.take_moves(), [(topic(1), ann, false), (topic(1), bob, false)]);
        registry.unwatch(&topic(1));
        registry.register(one, &topic(1), Some(source(Kind::Channel)), How::default());
        assert!(registry.take_moves().is_empty());
    }

    #[test]
    fn who_may_not_read_a_topic_does_not_hear_who_is_there() {
        let mut registry = registry();
        let reader = Reader::new(Arc::new(MemoryStore::new().open().unwrap()), Arc::default(), [0; 16]);
        let slot = add(&mut registry, 1);
        let conference = ConferenceId::parse("demo").unwrap();
        let who = Who { conf: ConfNo(1), conference, uid: uid("ann"), name: "N".into(), version: 0, expires_ms: u64::MAX, token: None };
        registry.set_rights(slot, Arc::new(TopicRights::of(&[], reader, who, UserRole::Attendee, None)));
        for (name, stays) in [("conf/demo/topic/game", true), ("conf/demo/topic/exchange/text:nowhere", false)] {
            let (name, topic): (Arc<str>, _) = (name.into(), Topic::Gathering(ConfNo(1), name.into()));
            registry.register(slot, &topic, None, How::default());
            let signal = Signal::Gathered { topic: name, user: uid("bob"), name: "B".into(), connections: vec![], came: true, at_ms: 0 };
            registry.tell(&Arc::new(Telling::of(ConfNo(1), signal)));
            assert_eq!(registry.reads(slot, &topic), stays, "{topic:?}");
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Op {
        Register(usize, u32),
        Name(usize, u32),
        Unsubscribe(usize, u32),
        FollowAll(usize, Scope),
        UnfollowAll(usize),
        Silence(usize),
        Replace(usize),
        Watch(u32),
        Unwatch(u32),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let (who, conv) = (0..4_usize, 0..3_u32);
        let one = (who.clone(), conv.clone());
        let op = prop_oneof![
            3 => one.clone().prop_map(|(who, conv)| Op::Register(who, conv)),
            2 => one.clone().prop_map(|(who, conv)| Op::Name(who, conv)),
            2 => one.prop_map(|(who, conv)| Op::Unsubscribe(who, conv)),
            2 => who.clone().prop_map(|who| Op::FollowAll(who, Scope::All)),
            1 => who.clone().prop_map(|who| Op::FollowAll(who, Scope::Direct)),
            1 => who.clone().prop_map(Op::UnfollowAll),
            1 => who.clone().prop_map(Op::Silence),
            1 => who.prop_map(Op::Replace),
            2 => conv.clone().prop_map(Op::Watch),
            1 => conv.prop_map(Op::Unwatch),
        ];
        prop::collection::vec(op, 1..60)
    }

    /// The last conversation is a group, which who follows everything has a reader of its own of.
    fn kind(conv: u32) -> Kind {
        if conv == 2 { Kind::Group } else { Kind::Channel }
    }

    proptest! {
        #[test]
        fn who_came_and_went_are_those_who_are_there(ops in ops()) {
            let mut registry = registry();
            let mut slots: Vec<(u32, u64)> = (1..5).map(|id| (add(&mut registry, id), id)).collect();
            let mut next = 5;
            let mut watched: HashMap<u32, HashSet<Follower>> = HashMap::new();
            for op in ops {
                match op {
                    Op::Register(who, conv) => drop(registry.register(slots[who].0, &topic(conv), Some(source(kind(conv))), How::default())),
                    Op::Name(who, conv) => drop(registry.name(slots[who].0, &topic(conv), &source(kind(conv)), How::default(), 0)),
                    Op::Unsubscribe(who, conv) => drop(registry.unsubscribe(slots[who].0, &topic(conv))),
                    Op::FollowAll(who, scope) => {
                        let slot = slots[who].0;
                        if registry.follow_all(slot, 0, How::default(), scope) {
                            registry.follow_known(slot, vec![Known::Member(topic(2), source(Kind::Group), 0)]);
                            registry.settle_all(slot, 0);
                        }
                    }
                    Op::UnfollowAll(who) => drop(registry.unfollow_all(slots[who].0)),
                    Op::Silence(who) => registry.silence(slots[who].0, slots[who].1),
                    Op::Replace(who) => {
                        registry.remove(slots[who].0);
                        slots[who] = (add(&mut registry, next), next);
                        next += 1;
                    }
                    Op::Watch(conv) => drop(watched.insert(conv, registry.watch(&topic(conv)).into_iter().collect())),
                    Op::Unwatch(conv) => {
                        registry.unwatch(&topic(conv));
                        watched.remove(&conv);
                    }
                }
                for (moved, follower, came) in registry.take_moves() {
                    let (_, there) = watched.iter_mut().find(|(conv, _)| topic(**conv) == moved).unwrap();
                    prop_assert!(if came { there.insert(follower) } else { there.remove(&follower) }, "{op:?}: told twice");
                }
                for (conv, there) in &watched {
                    let listed = registry.watch(&topic(*conv));
                    prop_assert_eq!(listed.len(), there.len());
                    prop_assert_eq!(&listed.into_iter().collect::<HashSet<_>>(), there);
                    for follower in there {
                        let slot = slots.iter().find(|(_, id)| *id == follower.session).unwrap().0;
                        prop_assert!(registry.named(slot).iter().any(|(named, _)| *named == topic(*conv)));
                    }
                }
            }
        }
    }
}
