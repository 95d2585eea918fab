//! The filter tree: who subscribes to what a name matches. One node per level of a filter, so that a name is looked up level by level and
//! the cost does not grow with the number of filters; what does not match is never touched.

use std::collections::HashMap;
use std::str::Split;

/// Most levels of a name or a filter: `a/b/c` has three. It bounds the depth of the tree.
pub const MAX_LEVELS: usize = 64;

/// Subscribers by their filters. One subscriber may have many filters, and is then found once for each that matches. An empty tree owns no
/// memory.
#[derive(Debug)]
pub struct Tree<T> {
    root: Node<T>,
    len: usize,
}

/// The filters that begin with the same levels.
#[derive(Debug)]
struct Node<T> {
    /// Whose filter ends here.
    here: Vec<T>,
    /// Whose filter goes on with `#`, and ends with it.
    below: Vec<T>,
    /// The filters that go on with `+`.
    plus: Option<Box<Node<T>>>,
    /// The filters that go on with a text.
    texts: HashMap<Box<str>, Box<Node<T>>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { here: Vec::new(), below: Vec::new(), plus: None, texts: HashMap::new() }
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<T: PartialEq> Tree<T> {
    /// A tree without filters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many subscriptions there are: pairs of a filter and a subscriber.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Subscribes `value` to `filter`, which is taken as checked. False when an equal value was subscribed to it before: the new one takes
    /// its place, as a second SUBSCRIBE does [MQTT-3.8.4-3]; to find it, the filter's subscribers are looked through. False too, and
    /// nothing is kept, for a filter of more than [`MAX_LEVELS`] levels: nothing but this bounds the depth of the recursions below.
    pub fn insert(&mut self, filter: &str, value: T) -> bool {
        if filter.split('/').count() > MAX_LEVELS {
            return false;
        }
        let mut node = &mut self.root;
        let mut levels = filter.split('/');
        let list = loop {
            node = match levels.next() {
                None => break &mut node.here,
                Some("#") => break &mut node.below,
                Some("+") => node.plus.get_or_insert_default(),
                Some(text) => node.texts.entry(text.into()).or_default(),
            };
        };
        let fresh = put(list, value);
        self.len += usize::from(fresh);
        fresh
    }

    /// Takes the subscription of `value` to `filter` away, and every node that is of no more use. False when there was none.
    pub fn remove(&mut self, filter: &str, value: &T) -> bool {
        let found = self.root.remove(&mut filter.split('/'), value);
        self.len -= usize::from(found);
        found
    }

    /// Calls `found` with the subscriber of each filter that matches `name`. Nothing is allocated. Of a node at most two are entered below
    /// it, and none twice: no more than 2ⁿ at level n, and no more than the tree has there. It goes no deeper than the deepest filter.
    pub fn for_each_match<'t>(&'t self, name: &str, mut found: impl FnMut(&'t T)) {
        if !name.starts_with('$') {
            return self.root.walk(Some(name), &mut found);
        }
        // [MQTT-4.7.2-1] wildcards in the first place do not match `$…`
        let (first, rest) = split(name);
        if let Some(next) = self.root.texts.get(first) {
            next.walk(rest, &mut found);
        }
    }
}

/// The first level, and the levels after it.
fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)))
}

/// Adds a value, or lets it take the place of the one that equals it; true when it is new.
fn put<T: PartialEq>(list: &mut Vec<T>, value: T) -> bool {
    match list.iter_mut().find(|known| **known == value) {
        Some(known) => {
            *known = value;
            false
        }
        None => {
            // most filters have one subscriber, and a Vec would make room for four
            if list.is_empty() {
                list.reserve_exact(1);
            }
            list.push(value);
            true
        }
    }
}

/// Takes a value out, and gives back memory that is for the most part unused.
fn take<T: PartialEq>(list: &mut Vec<T>, value: &T) -> bool {
    let Some(at) = list.iter().position(|known| known == value) else { return false };
    list.swap_remove(at);
    if list.capacity() >= 4 * list.len() {
        list.shrink_to(2 * list.len());
    }
    true
}

impl<T: PartialEq> Node<T> {
    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.below.is_empty() && self.plus.is_none() && self.texts.is_empty()
    }

    fn remove(&mut self, levels: &mut Split<'_, char>, value: &T) -> bool {
        match levels.next() {
            None => take(&mut self.here, value),
            Some("#") => take(&mut self.below, value),
            Some("+") => {
                let Some(next) = &mut self.plus else { return false };
                let found = next.remove(levels, value);
                if next.is_empty() {
                    self.plus = None;
                }
                found
            }
            Some(text) => {
                let Some(next) = self.texts.get_mut(text) else { return false };
                let found = next.remove(levels, value);
                if next.is_empty() {
                    self.texts.remove(text);
                    if self.texts.capacity() >= 4 * self.texts.len() {
                        self.texts.shrink_to(2 * self.texts.len());
                    }
                }
                found
            }
        }
    }

    fn walk<'t>(&'t self, name: Option<&str>, found: &mut impl FnMut(&'t T)) {
        self.below.iter().for_each(&mut *found); // before the end of the name is looked at: `a/#` matches `a` too
        let Some(name) = name else { return self.here.iter().for_each(found) };
        let (first, rest) = split(name);
        if let Some(next) = self.texts.get(first) {
            next.walk(rest, found);
        }
        if let Some(next) = &self.plus {
            next.walk(rest, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::topic::{check_filter, check_name, matches};
    use proptest::prelude::*;

    impl<T> Node<T> {
        fn count(&self) -> usize {
            self.plus.iter().chain(self.texts.values()).map(|next| 1 + next.count()).sum()
        }
        fn owned(&self) -> usize {
            self.here.capacity() + self.below.capacity() + self.texts.capacity()
        }
    }

    fn found(tree: &Tree<u32>, name: &str) -> Vec<u32> {
        let mut all = Vec::new();
        tree.for_each_match(name, |value| all.push(*value));
        all.sort_unstable();
        all
    }

    #[test]
    fn a_message_reaches_every_filter_that_matches_it() {
        let mut tree = Tree::new();
        let filters = ["sport/tennis", "sport/#", "sport/+", "+/tennis", "#", "sport/tennis/#", "sport", "+", "+/+/#", "/+"];
        for (value, filter) in (0..).zip(filters) {
            assert!(tree.insert(filter, value));
        }
        assert_eq!(tree.len(), filters.len());
        assert_eq!(found(&tree, "sport/tennis"), [0, 1, 2, 3, 4, 5, 8]);
        assert_eq!(found(&tree, "sport"), [1, 4, 6, 7]);
        assert_eq!(found(&tree, "/x"), [4, 8, 9]);
        assert_eq!(found(&tree, "$SYS/tennis"), [0; 0], "wildcards do not reach $SYS");
        tree.insert("$SYS/+", 77);
        assert_eq!(found(&tree, "$SYS/tennis"), [77]);
    }

    #[test]
    fn a_second_subscribe_takes_the_place_of_the_first() {
        #[derive(Debug)]
        struct Subscriber {
            session: u32,
            qos: u8,
        }
        impl PartialEq for Subscriber {
            fn eq(&self, other: &Self) -> bool {
                self.session == other.session
            }
        }
        let mut tree = Tree::new();
        assert!(tree.insert("a/+", Subscriber { session: 1, qos: 0 }));
        assert!(!tree.insert("a/+", Subscriber { session: 1, qos: 2 }));
        assert_eq!(tree.len(), 1);
        tree.for_each_match("a/b", |subscriber| assert_eq!(subscriber.qos, 2));
    }

    #[test]
    fn filters_deeper_than_the_bound_are_not_kept() {
        let mut tree = Tree::new();
        assert!(!tree.insert(&"/".repeat(MAX_LEVELS), 1));
        assert!(tree.is_empty() && tree.root.is_empty());
        assert!(tree.insert(&"/".repeat(MAX_LEVELS - 1), 1));
        assert_eq!(found(&tree, &"/".repeat(100_000)), [0; 0], "a long name does not go deeper than the tree");
    }

    #[test]
    fn a_crowd_that_leaves_gives_its_memory_back() {
        let mut tree = Tree::new();
        for value in 0..1000 {
            tree.insert("news", value);
            tree.insert(&format!("t/{value}"), value);
        }
        for value in 0..1000 {
            assert!(tree.remove("news", &value));
            assert!(tree.remove(&format!("t/{value}"), &value));
            assert!(!tree.remove("news", &value));
        }
        assert_eq!((tree.len(), tree.root.count(), tree.root.owned()), (0, 0, 0));
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "", "+", "$x"])
    }

    fn filter() -> impl Strategy<Value = String> {
        (prop::collection::vec(level(), 1..5), any::<bool>()).prop_filter_map("a filter", |(mut levels, hash)| {
            if hash {
                levels.push("#");
            }
            let filter = levels.join("/");
            check_filter(&filter).is_ok().then_some(filter)
        })
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x"]), 1..6)
            .prop_filter_map("a name", |levels| Some(levels.join("/")).filter(|name| check_name(name).is_ok()))
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_matches_and_forgets_what_is_removed(
            subscriptions in prop::collection::vec((filter(), 0..4u32), 0..40),
            names in prop::collection::vec(name(), 1..20),
            removed_first in any::<prop::sample::Index>(),
        ) {
            let mut tree = Tree::new();
            let mut list: Vec<(String, u32)> = Vec::new();
            for (filter, value) in subscriptions {
                let known = list.iter().any(|known| known.0 == filter && known.1 == value);
                prop_assert_eq!(tree.insert(&filter, value), !known);
                if !known {
                    list.push((filter, value));
                }
            }
            if !list.is_empty() {
                let at = removed_first.index(list.len());
                list.rotate_left(at);
            }
            loop {
                prop_assert_eq!(tree.len(), list.len());
                for name in &names {
                    let mut naive: Vec<u32> = list.iter().filter(|(filter, _)| matches(filter, name)).map(|(_, value)| *value).collect();
                    naive.sort_unstable();
                    prop_assert_eq!(found(&tree, name), naive, "{}", name);
                }
                let Some((filter, value)) = list.pop() else { break };
                prop_assert!(!tree.remove(&filter, &99));
                prop_assert!(tree.remove(&filter, &value));
                prop_assert!(!tree.remove(&filter, &value));
            }
            prop_assert!(tree.root.is_empty());
            prop_assert_eq!((tree.root.count(), tree.root.owned()), (0, 0));
        }
    }
}
