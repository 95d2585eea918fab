//! What has been told of a room, and what has not: for each nick its latest, by version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::super::{Change, Departure, MOST_DEPARTED, Shown};

/// The latest of a nick.
struct Latest {
    at: u64,
    /// Since when somebody may believe that it is there.
    first: u64,
    change: Change,
}

/// See the module's text.
#[derive(Default)]
pub struct News {
    version: u64,
    /// The highest version that anybody has been told of.
    told: u64,
    /// The highest version that has been told that there is something.
    seen: u64,
    /// The highest version of a departure that is no longer kept.
    forgotten: u64,
    latest: HashMap<Arc<str>, Latest>,
    by_version: BTreeMap<u64, Arc<str>>,
    /// Versions of departures.
    departed: BTreeSet<u64>,
}

impl News {
    /// Nothing yet, from this version on: of what is below, nothing is known.
    pub fn above(version: u64) -> Self {
        Self { version, told: version, seen: version, forgotten: version, ..Self::default() }
    }

    /// Takes a version for something that is told to few.
    pub fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version that somebody is being told of now.
    pub fn tell(&mut self) -> u64 {
        self.told = self.version;
        self.version
    }

    /// Whether there is something above what [`News::take_fresh`] has seen.
    pub fn is_fresh(&self) -> bool {
        self.by_version.last_key_value().is_some_and(|(last, _)| *last > self.seen)
    }

    /// The same; from now on, what comes later.
    pub fn take_fresh(&mut self) -> bool {
        let is_fresh = self.is_fresh();
        self.seen = self.version;
        is_fresh
    }

    /// Somebody is there, or has changed.
    pub fn here(&mut self, shown: Arc<Shown>) {
        let nick = Arc::clone(&shown.nick);
        let at = self.next();
        let first = self.take(&nick).map_or(at, |before| before.first);
        self.put(nick, Latest { at, first, change: Change::Here(shown) });
    }

    /// Somebody is gone. Whose coming nobody was told of need not be told of.
    pub fn gone(&mut self, shown: &Arc<Shown>, how: Departure) {
        let at = self.next();
        let Some(before) = self.take(&shown.nick).filter(|before| before.first <= self.told) else { return };
        let shown = Arc::new(Shown { presence: Arc::default(), ..Shown::clone(shown) });
        self.departed.insert(at);
        self.put(Arc::clone(&shown.nick), Latest { at, first: before.first, change: Change::Gone(shown, how) });
        if self.departed.len() > MOST_DEPARTED
            && let Some(oldest) = self.departed.first().copied()
        {
            self.forget(oldest);
        }
    }

    fn put(&mut self, nick: Arc<str>, latest: Latest) {
        self.by_version.insert(latest.at, Arc::clone(&nick));
        self.latest.insert(nick, latest);
    }

    fn take(&mut self, nick: &str) -> Option<Latest> {
        let latest = self.latest.remove(nick)?;
        self.by_version.remove(&latest.at);
        self.departed.remove(&latest.at);
        Some(latest)
    }

    fn forget(&mut self, departure: u64) {
        self.forgotten = self.forgotten.max(departure);
        self.departed.remove(&departure);
        if let Some(nick) = self.by_version.remove(&departure) {
            self.latest.remove(&nick);
        }
    }

    /// Everybody knows the room up to this version.
    pub fn forget_through(&mut self, version: u64) {
        while let Some(oldest) = self.departed.first().copied().filter(|oldest| *oldest <= version) {
            self.forget(oldest);
        }
    }

    /// Whether who knows the room up to `since` may not be told of all departures any more.
    pub fn has_forgotten_after(&self, since: u64) -> bool {
        self.forgotten > since
    }

    /// What there is above a version, in order; who came and went above it is not told of.
    pub fn after(&self, since: u64) -> impl Iterator<Item = Change> {
        let nicks = self.by_version.range(since.saturating_add(1)..).map(|(_, nick)| nick);
        nicks
            .filter_map(|nick| self.latest.get(nick))
            .filter(move |latest| latest.first <= since || matches!(latest.change, Change::Here(_)))
            .map(|latest| latest.change.clone())
    }

    #[cfg(test)]
    pub fn check(&self) {
        assert_eq!(self.latest.len(), self.by_version.len());
        for (nick, latest) in &self.latest {
            assert_eq!(self.by_version.get(&latest.at), Some(nick));
            assert_eq!(self.departed.contains(&latest.at), matches!(latest.change, Change::Gone(..)));
            assert!(latest.first <= latest.at && latest.at <= self.version);
        }
        assert!(self.departed.len() <= MOST_DEPARTED && self.departed.len() <= self.latest.len());
    }
}
