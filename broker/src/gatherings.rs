//! Who is at an application's topic by name, over the protocols that show it (JSON and `/sock`): people and the ids of their connections.
//! Changes are told at most once a second for each topic, the latest of each person only, so that a crowd that comes at once is no flood.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::ids::{ConfNo, Uid};
use crate::model::Signal;
use crate::topic::Telling;

/// How often a topic's changes are told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// People that a topic shows; who comes when so many are there is not shown.
pub const MAX_SHOWN: usize = 300;

/// Somebody at a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Their display name.
    pub name: Arc<str>,
    /// The ids of their connections, in the order in which they came.
    pub connections: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
struct Gathering {
    people: BTreeMap<Uid, Present>,
    /// Who has changed since it was told, and how many connections they had then.
    changed: BTreeMap<Uid, (Arc<str>, usize)>,
    /// It is not told again before.
    next: Duration,
}

type Key = (ConfNo, Arc<str>);

#[derive(Debug, Default)]
struct All {
    gatherings: HashMap<Key, Gathering>,
    /// Those with changes that were not told.
    untold: BTreeSet<Key>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Gatherings {
    all: Mutex<All>,
}

/// A connection that comes or goes.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Whose.
    pub uid: &'a Uid,
    /// Their display name.
    pub name: &'a Arc<str>,
    /// Its id.
    pub connection: &'a Arc<str>,
}

impl Gatherings {
    /// A connection comes to a topic: who is there now, itself included if there is room for it.
    pub fn enter(&self, conf: ConfNo, topic: &Arc<str>, visitor: Visitor<'_>) -> Vec<(Uid, Present)> {
        let Visitor { uid, name, connection } = visitor;
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (conf, Arc::clone(topic));
        let gathering = all.gatherings.entry(key.clone()).or_default();
        let before = gathering.people.get(uid).map_or(0, |present| present.connections.len());
        if before > 0 || gathering.people.len() < MAX_SHOWN {
            let present =
                gathering.people.entry(uid.clone()).or_insert_with(|| Present { name: Arc::clone(name), connections: Vec::new() });
            if !present.connections.contains(connection) {
                present.connections.push(Arc::clone(connection));
                gathering.changed.entry(uid.clone()).or_insert_with(|| (Arc::clone(name), before));
            }
        }
        let people = gathering.people.iter().map(|(uid, present)| (uid.clone(), present.clone())).collect();
        all.untold.insert(key);
        people
    }

    /// It goes.
    pub fn leave(&self, conf: ConfNo, topic: &Arc<str>, visitor: Visitor<'_>) {
        let Visitor { uid, name, connection } = visitor;
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (conf, Arc::clone(topic));
        let Some(gathering) = all.gatherings.get_mut(&key) else { return };
        let Some(present) = gathering.people.get_mut(uid) else { return };
        let before = present.connections.len();
        present.connections.retain(|one| one != connection);
        if present.connections.len() == before {
            return;
        }
        if present.connections.is_empty() {
            gathering.people.remove(uid);
        }
        gathering.changed.entry(uid.clone()).or_insert_with(|| (Arc::clone(name), before));
        all.untold.insert(key);
    }

    /// Whether somebody is shown there.
    #[must_use]
    pub fn shows(&self, conf: ConfNo, topic: &Arc<str>, uid: &Uid) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.gatherings.get(&(conf, Arc::clone(topic))).is_some_and(|gathering| gathering.people.contains_key(uid))
    }

    /// Somebody goes with all their connections: they may not read there any more.
    pub fn put_out(&self, conf: ConfNo, topic: &Arc<str>, uid: &Uid) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (conf, Arc::clone(topic));
        let Some(gathering) = all.gatherings.get_mut(&key) else { return };
        let Some(Present { name, connections }) = gathering.people.remove(uid) else { return };
        gathering.changed.entry(uid.clone()).or_insert((name, connections.len()));
        all.untold.insert(key);
    }

    /// What is due to be told at `now`, which is `at_ms` for people: for each who has changed, the connections that they have now.
    pub fn take_due(&self, now: Duration, at_ms: u64) -> Vec<Telling> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let All { gatherings, untold } = &mut *all;
        let mut due = Vec::new();
        untold.retain(|key| {
            let Some(gathering) = gatherings.get_mut(key) else { return false };
            if gathering.next > now {
                return true;
            }
            if gathering.changed.is_empty() {
                if gathering.people.is_empty() {
                    gatherings.remove(key);
                }
                return false;
            }
            gathering.next = now + TELL_EVERY;
            for (user, (name, before)) in std::mem::take(&mut gathering.changed) {
                let connections = gathering.people.get(&user).map_or(Vec::new(), |present| present.connections.clone());
                // Who came and went since is told of, too: somebody who came in between may have seen them.
                let came = connections.len() >= before.max(1);
                due.push(Telling::of(key.0, Signal::Gathered { topic: Arc::clone(&key.1), user, name, connections, came, at_ms }));
            }
            // Looked at once more: one that nobody is at is forgotten only then, so that who comes and goes is told no faster.
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: ConfNo = ConfNo(1);

    fn at(gatherings: &Gatherings, ms: u64) -> Vec<(String, usize, bool)> {
        let told = gatherings.take_due(Duration::from_millis(ms), ms).into_iter();
        told.map(|telling| match telling.signal {
            Signal::Gathered { user, connections, came, .. } => (user.to_string(), connections.len(), came),
            other => panic!("{other:?}"),
        })
        .collect()
    }

    #[test]
    fn changes_are_told_once_a_second_and_only_what_is_true_by_then() {
        let gatherings = Gatherings::default();
        let topic: Arc<str> = "conf/demo/topic/game".into();
        let (ann, bob) = (Uid::parse("ann").unwrap(), Uid::parse("bob").unwrap());
        let name: Arc<str> = "N".into();
        let cids: Vec<Arc<str>> = ["1", "2", "3"].map(Arc::from).into();
        let visitor = |uid, at: usize| Visitor { uid, name: &name, connection: &cids[at] };
        assert_eq!(gatherings.enter(CONF, &topic, visitor(&ann, 0)).len(), 1);
        assert_eq!(at(&gatherings, 0), [("ann".to_owned(), 1, true)]);
        assert_eq!(gatherings.enter(CONF, &topic, visitor(&bob, 1)).len(), 2);
        gatherings.enter(CONF, &topic, visitor(&ann, 2));
        gatherings.leave(CONF, &topic, visitor(&ann, 0));
        assert!(at(&gatherings, 999).is_empty());
        // Ann has another connection than was told; bob is new.
        assert_eq!(at(&gatherings, 1000), [("ann".to_owned(), 1, true), ("bob".to_owned(), 1, true)]);
        gatherings.enter(CONF, &topic, visitor(&bob, 0));
        gatherings.leave(CONF, &topic, visitor(&bob, 0));
        gatherings.leave(CONF, &topic, visitor(&ann, 2));
        assert_eq!(at(&gatherings, 2000).last(), Some(&("bob".to_owned(), 1, true)));
        gatherings.leave(CONF, &topic, visitor(&bob, 1));
        gatherings.leave(CONF, &topic, visitor(&bob, 1));
        assert_eq!(at(&gatherings, 3000), [("bob".to_owned(), 0, false)]);
        gatherings.enter(CONF, &topic, visitor(&ann, 0));
        gatherings.leave(CONF, &topic, visitor(&ann, 0));
        assert_eq!(at(&gatherings, 4000), [("ann".to_owned(), 0, false)], "somebody may have seen her");
        for connection in 0..2 {
            gatherings.enter(CONF, &topic, visitor(&ann, connection));
        }
        assert!(gatherings.shows(CONF, &topic, &ann) && !gatherings.shows(CONF, &topic, &bob));
        assert_eq!(at(&gatherings, 5000), [("ann".to_owned(), 2, true)]);
        gatherings.put_out(CONF, &topic, &ann);
        gatherings.leave(CONF, &topic, visitor(&ann, 0));
        assert!(!gatherings.shows(CONF, &topic, &ann));
        assert_eq!(at(&gatherings, 6000), [("ann".to_owned(), 0, false)], "with all connections");
        assert!(at(&gatherings, 7000).is_empty());
        assert!(gatherings.all.lock().unwrap().gatherings.is_empty());
    }

    #[test]
    fn a_crowd_is_shown_up_to_a_bound() {
        let gatherings = Gatherings::default();
        let topic: Arc<str> = "conf/demo/topic/game".into();
        let (name, cid): (Arc<str>, Arc<str>) = ("N".into(), "1".into());
        for at in 0..MAX_SHOWN + 10 {
            let uid = Uid::parse(&format!("u{at}")).unwrap();
            gatherings.enter(CONF, &topic, Visitor { uid: &uid, name: &name, connection: &cid });
        }
        assert_eq!(at(&gatherings, 0).len(), MAX_SHOWN);
    }
}
