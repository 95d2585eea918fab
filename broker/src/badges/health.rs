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

/// By what way a reader speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// A session of its own.
    Session(u64),
    /// Another broker.
    Afar,
}

impl Whence {
    /// A session's words may come after those of the next one: a will does when its client is back before the loss is noticed.
    const fn is_before(self, other: Self) -> bool {
        matches!((self, other), (Self::Session(one), Self::Session(other)) if one < other)
    }
}

/// What a reader said of itself.
#[derive(Clone, Copy)]
struct Said {
    online: bool,
    at_ms: u64,
    whence: Whence,
}

#[derive(Default)]
struct Known {
    /// What it said last, since when it says so.
    said: Option<Said>,
    detail: Arc<str>,
    last_scan_ms: Option<u64>,
    /// When its last connection ended.
    gone_ms: Option<u64>,
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
    pub fn says(&self, conf: ConfNo, reader: &Uid, online: bool, detail: &Arc<str>, now_ms: u64, whence: Whence) {
        self.change(conf, reader, |known| {
            if known.said.is_some_and(|said| whence.is_before(said.whence)) {
                return;
            }
            if known.said.is_none_or(|said| said.online != online || said.whence != whence) {
                known.said = Some(Said { online, at_ms: now_ms, whence });
            }
            known.detail = Arc::clone(detail);
        });
    }

    /// It scanned something: so it works, whatever it said.
    pub fn scanned(&self, conf: ConfNo, reader: &Uid, now_ms: u64, whence: Whence) {
        self.change(conf, reader, |known| {
            known.last_scan_ms = Some(now_ms);
            let is_news = match known.said {
                Some(said) => !whence.is_before(said.whence) && (!said.online || said.whence != whence),
                None => whence == Whence::Afar,
            };
            if is_news {
                known.said = Some(Said { online: true, at_ms: now_ms, whence });
            }
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
        // Sessions are numbered as they begin: clocks say nothing of what happens within a millisecond.
        let newest = live.iter().max_by_key(|live| live.id);
        let (online, since_ms) = match (known.said, newest) {
            // What it said when it went counts until it comes back.
            (Some(Said { online: false, whence, .. }), Some(live)) if whence != Whence::Session(live.id) => (true, Some(live.since_ms)),
            (Some(Said { online: true, whence: Whence::Session(_), .. }), None) => (false, known.gone_ms),
            (Some(said), _) => (said.online, Some(said.at_ms)),
            (None, Some(live)) => (true, Some(live.since_ms)),
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
    const OWN: Whence = Whence::Session(1);

    fn live(id: u64, since_ms: u64) -> Live {
        Live { id, shard: 0, slot: 0, via: Via::Mqtt, since_ms, version: 0, token: None, device: None, active_ms: Arc::default() }
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
        assert_eq!(is(&[live(1, 5)]), (true, Some(5)), "connected");
        healths.says(CONF, &gate, true, &"battery 80 %".into(), 10, OWN);
        healths.says(CONF, &gate, true, &"battery 79 %".into(), 20, OWN);
        assert_eq!(is(&[live(1, 5)]), (true, Some(10)));
        assert_eq!(&*healths.of(CONF, &gate, &[]).detail, "battery 79 %");
        healths.gone(CONF, &gate, 30);
        assert_eq!(is(&[]), (false, Some(30)), "its connection is lost");
        healths.says(CONF, &gate, false, &"lost".into(), 31, OWN);
        assert_eq!(is(&[]), (false, Some(31)), "its will says so, too");
        assert_eq!(is(&[live(2, 31)]), (true, Some(31)), "it is back, within the millisecond");
        healths.scanned(CONF, &gate, 50, Whence::Session(2));
        let health = healths.of(CONF, &gate, &[live(2, 31)]);
        assert_eq!((health.online, health.last_scan_ms), (true, Some(50)));
        healths.says(CONF, &gate, true, &"battery 78 %".into(), 60, Whence::Session(3));
        healths.says(CONF, &gate, false, &"lost".into(), 61, Whence::Session(2));
        assert_eq!(is(&[live(3, 59)]), (true, Some(60)), "it was back before its loss was noticed");
        assert_eq!(&*healths.of(CONF, &gate, &[]).detail, "battery 78 %");
        healths.says(CONF, &gate, false, &"bye".into(), 70, Whence::Session(3));
        assert_eq!(is(&[live(3, 59)]), (false, Some(70)), "it says so itself");
        let afar = Uid::parse("afar").unwrap();
        healths.scanned(CONF, &afar, 60, Whence::Afar);
        assert!(healths.of(CONF, &afar, &[]).online, "it is heard over another broker");
        healths.says(CONF, &afar, false, &"".into(), 70, Whence::Afar);
        assert!(!healths.of(CONF, &afar, &[]).online);
    }
}
