//! A session's subscriptions: which filters it has, and what of them concerns a topic name. No IO, no clock.

use std::sync::Arc;

use super::codec::Qos;
use super::topic::matches;
use crate::model::KeptSubscription;
use crate::topic::Parts;

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its filter.
    pub filter: Arc<str>,
    /// The granted QoS.
    pub qos: Qos,
    /// Not what the session itself published.
    pub no_local: bool,
    /// The retain flag as it was published.
    pub retain_as_published: bool,
    /// Its identifier; 0 for none.
    pub identifier: u32,
    /// Only what is above this pos.
    pub since_pos: u64,
    /// What it selects of all conversations at once.
    pub everywhere: Parts,
}

impl Subscription {
    /// Whether a copy that all receivers share will do for what it selects.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.qos == Qos::AtMostOnce && self.identifier == 0 && !self.no_local && !self.retain_as_published
    }

    /// A subscription's identifier as what a message is sent with: none when it is 0.
    #[must_use]
    pub fn identifiers(identifier: &u32) -> &[u32] {
        if *identifier == 0 { &[] } else { std::slice::from_ref(identifier) }
    }

    /// Its record.
    #[must_use]
    pub fn kept(&self) -> KeptSubscription {
        let Self { filter, qos, no_local, retain_as_published, identifier, since_pos, everywhere: _ } = self.clone();
        KeptSubscription { filter, qos: qos.into(), no_local, retain_as_published, identifier, since_pos }
    }

    /// A subscription from its record; what it selects of all conversations is to be found out.
    #[must_use]
    pub fn from_kept(kept: KeptSubscription) -> Self {
        let KeptSubscription { filter, qos, no_local, retain_as_published, identifier, since_pos } = kept;
        let qos = Qos::from_bits(qos).unwrap_or(Qos::AtMostOnce);
        Self { filter, qos, no_local, retain_as_published, identifier, since_pos, everywhere: Parts::NONE }
    }
}

/// How a message goes out that one or more subscriptions select: once, with the highest QoS (MQTT 5 §3.3.4).
#[derive(Debug, PartialEq, Eq)]
pub struct Grant<'s> {
    /// The highest granted QoS.
    pub qos: Qos,
    /// One of them wants the retain flag as it was published.
    pub retain_as_published: bool,
    /// Those that select it, when one of them has an identifier [MQTT-3.3.4-3].
    pub identifiers: &'s [u32],
}

/// See the module's text. Sorted by filter, those without wildcards apart, since they are found without looking at the others.
#[derive(Debug, Default)]
pub struct Subscriptions {
    exact: Vec<Subscription>,
    wild: Vec<Subscription>,
    /// Identifiers of the last grant.
    identifiers: Vec<u32>,
}

impl Subscriptions {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.wild.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.exact.iter().chain(&self.wild)
    }

    /// All of them, to be changed; but not their filters.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.exact.iter_mut().chain(&mut self.wild)
    }

    fn list(&mut self, filter: &str) -> &mut Vec<Subscription> {
        if is_wild(filter) { &mut self.wild } else { &mut self.exact }
    }

    /// The subscription to a filter.
    #[must_use]
    pub fn get(&self, filter: &str) -> Option<&Subscription> {
        let list = if is_wild(filter) { &self.wild } else { &self.exact };
        find(list, filter).ok().map(|at| &list[at])
    }

    /// Adds a subscription; the one that it takes the place of [MQTT-3.8.4-3].
    pub fn insert(&mut self, subscription: Subscription) -> Option<Subscription> {
        let list = self.list(&subscription.filter);
        match find(list, &subscription.filter) {
            Ok(at) => Some(std::mem::replace(&mut list[at], subscription)),
            Err(at) => {
                if list.is_empty() {
                    // Most sessions have one.
                    list.reserve_exact(1);
                }
                list.insert(at, subscription);
                None
            }
        }
    }

    /// Takes a subscription away.
    pub fn remove(&mut self, filter: &str) -> Option<Subscription> {
        let list = self.list(filter);
        let at = find(list, filter).ok()?;
        let removed = list.remove(at);
        if list.is_empty() {
            *list = Vec::new();
        }
        Some(removed)
    }

    /// Those that select `name`.
    pub fn selecting<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Subscription> {
        let exact = find(&self.exact, name).ok().map(|at| &self.exact[at]);
        exact.into_iter().chain(self.wild.iter().filter(move |wild| matches(&wild.filter, name)))
    }

    /// How a message on `name` at `pos` goes out, `None` when it does not. `is_own`: the session itself published it.
    pub fn grant(&mut self, name: &str, pos: u64, is_own: bool) -> Option<Grant<'_>> {
        let mut identifiers = std::mem::take(&mut self.identifiers);
        identifiers.clear();
        let (mut qos, mut retain_as_published) = (None, false);
        for found in self.selecting(name) {
            // [MQTT-3.8.3-3]
            if found.since_pos >= pos || (found.no_local && is_own) {
                continue;
            }
            qos = qos.max(Some(found.qos));
            retain_as_published |= found.retain_as_published;
            if found.identifier > 0 {
                identifiers.push(found.identifier);
            }
        }
        self.identifiers = identifiers;
        Some(Grant { qos: qos?, retain_as_published, identifiers: &self.identifiers })
    }
}

/// Whether the filter has a wildcard.
#[must_use]
pub fn is_wild(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

fn find(list: &[Subscription], filter: &str) -> Result<usize, usize> {
    list.binary_search_by(|known| (*known.filter).cmp(filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(filter: &str, qos: Qos, identifier: u32) -> Subscription {
        Subscription {
            filter: filter.into(),
            qos,
            no_local: false,
            retain_as_published: false,
            identifier,
            since_pos: 0,
            everywhere: Parts::NONE,
        }
    }

    #[test]
    fn overlapping_subscriptions_make_one_delivery_at_the_highest_qos() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.grant("a/b", 1, false).is_none());
        subscriptions.insert(subscription("a/b", Qos::AtMostOnce, 7));
        subscriptions.insert(subscription("a/+", Qos::ExactlyOnce, 8));
        subscriptions.insert(subscription("c", Qos::AtLeastOnce, 9));
        let grant = subscriptions.grant("a/b", 1, false).unwrap();
        assert_eq!((grant.qos, grant.identifiers), (Qos::ExactlyOnce, &[7, 8][..]));
        assert_eq!(subscriptions.grant("a/x", 1, false).unwrap().identifiers, [8]);
        assert!(subscriptions.remove("a/+").is_some() && subscriptions.grant("a/x", 1, false).is_none());
    }

    #[test]
    fn a_subscription_that_comes_again_takes_the_place_of_the_first() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert(subscription("a", Qos::AtMostOnce, 0));
        let before = subscriptions.insert(subscription("a", Qos::AtLeastOnce, 3)).unwrap();
        assert_eq!((before.qos, subscriptions.len()), (Qos::AtMostOnce, 1));
        assert_eq!(subscriptions.get("a").unwrap().identifier, 3);
    }

    #[test]
    fn what_came_before_it_and_what_is_its_own_is_not_given() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert(Subscription { no_local: true, since_pos: 5, ..subscription("a", Qos::AtMostOnce, 0) });
        assert!(subscriptions.grant("a", 5, false).is_none());
        assert!(subscriptions.grant("a", 6, false).is_some());
        assert!(subscriptions.grant("a", 6, true).is_none());
    }

    #[test]
    fn records_come_back() {
        let one = Subscription { no_local: true, since_pos: 5, ..subscription("a/#", Qos::ExactlyOnce, 268_435_455) };
        assert_eq!(Subscription::from_kept(one.kept()), one);
    }
}
