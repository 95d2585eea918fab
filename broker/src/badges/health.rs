//! How readers are, as far as can be told: by their connection, by what they say of themselves (birth messages, heartbeats, wills), by their scans.
//! In memory: after a restart they are what they say next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::{ConfNo, Uid};
use crate::sessions::Live;

/// Readers that something is remembered of.
const MAX_READERS: usize = 10_000;

/// How a reader is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReaderHealth {
    /// Working, as far as can be told.
    pub online: bool,
    /// Since when it is so, Unix ms; `None` when that is not known.
    pub since_ms: Option<u64>,
    /// What it says of itself.
    pub detail: Arc<str>,
    /// When it last scanned something, Unix ms, since the server runs.
    pub last_scan_ms: Option<u64>,
}

#[derive(Default)]
struct Known {
    /// What it said last, and when.
    said: Option<(bool, u64)>,
    detail: Arc<str>,
    last_scan_ms: Option<u64>,
    /// When its last connection ended.
    gone_ms: Option<u64>,
    /// It is heard over another broker, and has no connection of its own.
    is_afar: bool,
}

/// See the module's text.
#[derive(Default)]
pub(crate) struct Healths(Mutex<HashMap<(ConfNo, Uid), Known>>);

impl Healths {
    fn all(&self) -> MutexGuard<'_, HashMap<(ConfNo, Uid), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, conf: ConfNo, reader: &Uid, change: impl FnOnce(&mut Known)) {
        let mut all = self.all();
        let key = (conf, reader.clone());
        if all.len() < MAX_READERS || all.contains_key(&key) {
            change(all.entry(key).or_default());
        }
    }

    /// The reader says how it is.
    pub fn says(&self, conf: ConfNo, reader: &Uid, online: bool, detail: &Arc<str>, now_ms: u64, is_afar: bool) {
        self.change(conf, reader, |known| {
            if known.said.is_none_or(|(was, _)| was != online) {
                known.said = Some((online, now_ms));
            }
            known.detail = Arc::clone(detail);
            known.is_afar = is_afar;
        });
    }

    /// It scanned something: so it works, whatever it said.
    pub fn scanned(&self, conf: ConfNo, reader: &Uid, now_ms: u64, is_afar: bool) {
        self.change(conf, reader, |known| {
            if known.said.is_some_and(|(online, _)| !online) || (is_afar && known.said.is_none()) {
                known.said = Some((true, now_ms));
            }
            known.last_scan_ms = Some(now_ms);
            known.is_afar = is_afar;
        });
    }

    /// A connection of somebody's ended.
    pub fn gone(&self, conf: ConfNo, uid: &Uid, now_ms: u64) {
        if let Some(known) = self.all().get_mut(&(conf, uid.clone())) {
            known.gone_ms = Some(now_ms);
        }
    }

    /// How a reader is, with these connections of its own.
    pub fn of(&self, conf: ConfNo, reader: &Uid, live: &[Live]) -> ReaderHealth {
        let all = self.all();
        let Some(known) = all.get(&(conf, reader.clone())) else {
            return ReaderHealth { online: !live.is_empty(), since_ms: live.first().map(|live| live.since_ms), ..ReaderHealth::default() };
        };
        let connected_ms = live.iter().map(|live| live.since_ms).max();
        let (online, since_ms) = match (known.said, connected_ms) {
            // What it said when it went counts until it comes back.
            (Some((false, said_ms)), Some(connected_ms)) if connected_ms > said_ms => (true, Some(connected_ms)),
            (Some((true, _)), None) if !known.is_afar => (false, known.gone_ms),
            (Some((online, said_ms)), _) => (online, Some(said_ms)),
            (None, Some(connected_ms)) => (true, Some(connected_ms)),
            (None, None) => (false, known.gone_ms),
        };
        ReaderHealth { online, since_ms, detail: Arc::clone(&known.detail), last_scan_ms: known.last_scan_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Via;

    const CONF: ConfNo = ConfNo(1);

    fn live(since_ms: u64) -> Live {
        Live { id: 1, shard: 0, slot: 0, via: Via::Mqtt, since_ms, version: 0, token: None, device: None, active_ms: Arc::default() }
    }

    #[test]
    fn a_reader_is_what_its_connection_and_its_words_say() {
        let healths = Healths::default();
        let gate = Uid::parse("gate").unwrap();
        let is = |live: &[Live]| {
            let health = healths.of(CONF, &gate, live);
            (health.online, health.since_ms)
        };
        assert_eq!(is(&[]), (false, None));
        assert_eq!(is(&[live(5)]), (true, Some(5)), "connected");
        healths.says(CONF, &gate, true, &"battery 80 %".into(), 10, false);
        healths.says(CONF, &gate, true, &"battery 79 %".into(), 20, false);
        assert_eq!(is(&[live(5)]), (true, Some(10)));
        assert_eq!(&*healths.of(CONF, &gate, &[]).detail, "battery 79 %");
        healths.gone(CONF, &gate, 30);
        assert_eq!(is(&[]), (false, Some(30)), "its connection is lost");
        healths.says(CONF, &gate, false, &"lost".into(), 31, false);
        assert_eq!(is(&[]), (false, Some(31)), "its will says so, too");
        assert_eq!(is(&[live(40)]), (true, Some(40)), "it is back");
        healths.scanned(CONF, &gate, 50, false);
        let health = healths.of(CONF, &gate, &[live(40)]);
        assert_eq!((health.online, health.last_scan_ms), (true, Some(50)));
        let afar = Uid::parse("afar").unwrap();
        healths.scanned(CONF, &afar, 60, true);
        assert!(healths.of(CONF, &afar, &[]).online, "it is heard over another broker");
        healths.says(CONF, &afar, false, &"".into(), 70, true);
        assert!(!healths.of(CONF, &afar, &[]).online);
    }
}
