//! How many connections of one address have not signed in yet. A venue is one address: who has signed in does not count.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::accounts::attempts::Network;

/// Counts connections by network: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone)]
pub struct Peers {
    counts: Arc<Mutex<HashMap<Network, u32>>>,
    limit: u32,
}

impl Peers {
    /// At most `limit` of each address; 0 for any number.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { counts: Arc::default(), limit }
    }

    /// Lets one more connection of `address` in, `None` when there are too many. It counts until the guard is dropped.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> Option<Unauthenticated> {
        let network = Network::from(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if self.limit > 0 && *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Unauthenticated { peers: self.clone(), network })
    }
}

/// A connection that has not signed in.
#[derive(Debug)]
pub struct Unauthenticated {
    peers: Peers,
    network: Network,
}

impl Drop for Unauthenticated {
    fn drop(&mut self) {
        let mut counts = self.peers.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_until_the_guard_goes() {
        let peers = Peers::new(2);
        let address = IpAddr::from([127, 0, 0, 1]);
        let first = peers.admit(address);
        let second = peers.admit(address);
        assert!(first.is_some() && second.is_some() && peers.admit(address).is_none());
        drop(first);
        assert!(peers.admit(address).is_some());
        drop(second);
        assert!(peers.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let peers = Peers::new(1);
        let _first = peers.admit("2001:db8::1".parse().unwrap());
        assert!(peers.admit("2001:db8::2".parse().unwrap()).is_none());
        assert!(peers.admit("2001:db8:0:1::2".parse().unwrap()).is_some());
    }
}
