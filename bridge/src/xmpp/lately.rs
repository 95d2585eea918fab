//! The latest of something, as many as are remembered: the oldest is forgotten for the newest.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many are remembered.
const MOST: usize = 4096;

/// See the module's text.
#[derive(Debug)]
pub struct Lately<K, V> {
    known: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Lately<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Lately<K, V> {
    /// Remembers something; what was known by this key is replaced, and is no younger.
    pub fn insert(&mut self, key: K, value: V) {
        if self.known.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// What is remembered by a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut lately = Lately::default();
        for number in 0..=MOST {
            lately.insert(number, "first");
            lately.insert(number, "second");
        }
        assert_eq!((lately.get(&0), lately.get(&1), lately.get(&MOST)), (None, Some(&"second"), Some(&"second")));
        assert!(lately.known.len() == MOST && lately.order.len() == MOST);
    }
}
