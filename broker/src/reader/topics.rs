//! What is kept for MQTT: retained publications and sessions.

use super::Reader;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys::{self, Key};
use crate::model::{Event, InFlight, KeptSession, KeptSubscription, Retained};
use crate::reject::{Class, Reject};
use crate::state::{Direction, StateError};
use crate::view::decode;

use super::history::event;

/// Retained publications that are looked at in one step.
const RETAINED_SCAN: usize = 1024;

/// A step over retained publications.
#[derive(Debug, Default)]
pub struct RetainedPage {
    /// Those that were wanted, by topic.
    pub found: Vec<Retained>,
    /// Where to go on; `None` at the end.
    pub next: Option<Key>,
}

impl Reader {
    /// A topic's retained publication.
    ///
    /// # Errors
    /// The state's.
    pub fn retained(&self, conf: ConfNo, topic: &str) -> Result<Option<Retained>, StateError> {
        self.get(&keys::retained(conf, topic))
    }

    /// A step over the retained publications whose topics begin with `prefix`, from the key `from` on: up to `limit` of those that `wanted` picks by
    /// their topic.
    ///
    /// # Errors
    /// The state's.
    pub fn retained_below(
        &self,
        conf: ConfNo,
        prefix: &str,
        from: Option<&Key>,
        limit: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<RetainedPage, StateError> {
        let all = keys::retained_below(conf, prefix);
        let mut page = RetainedPage::default();
        let mut looked_at = 0;
        self.visit_range(from.unwrap_or(&all), &keys::end_of(&all), Direction::Ascending, |key, value| {
            if looked_at >= RETAINED_SCAN || page.found.len() >= limit {
                page.next = Some(key.to_vec());
                return Ok(false);
            }
            looked_at += 1;
            // Decoded only when it may be wanted.
            if keys::topic_of_retained(key).is_none_or(&wanted) {
                let retained: Retained = decode(value)?;
                if wanted(&retained.publication.topic) {
                    page.found.push(retained);
                }
            }
            Ok(true)
        })?;
        Ok(page)
    }

    /// A kept MQTT session and its subscriptions by filter.
    ///
    /// # Errors
    /// The state's.
    pub fn kept_session(&self, conf: ConfNo, uid: &Uid, client: &str) -> Result<Option<(KeptSession, Vec<KeptSubscription>)>, StateError> {
        let Some(session) = self.get(&keys::session(conf, uid, client))? else { return Ok(None) };
        let prefix = keys::subscriptions(conf, uid, client);
        let mut subscriptions = Vec::new();
        self.visit(&prefix, Direction::Ascending, |_, value| {
            subscriptions.push(decode(value)?);
            Ok(true)
        })?;
        Ok(Some((session, subscriptions)))
    }

    /// A step over all kept MQTT sessions from `from` on: up to `limit`, and where to go on.
    ///
    /// # Errors
    /// The state's.
    #[expect(clippy::type_complexity, reason = "keys, records and where to go on")]
    pub fn kept_sessions(&self, from: Option<&Key>, limit: usize) -> Result<(Vec<(Key, KeptSession)>, Option<Key>), StateError> {
        let all = vec![keys::SESSIONS];
        let (mut found, mut next) = (Vec::new(), None);
        self.visit_range(from.unwrap_or(&all), &keys::end_of(&all), Direction::Ascending, |key, value| {
            if found.len() >= limit {
                next = Some(key.to_vec());
                return Ok(false);
            }
            found.push((key.to_vec(), decode(value)?));
            Ok(true)
        })?;
        Ok((found, next))
    }

    /// An event that was sent and not acknowledged, as it is now; `None` when it is gone, or the user may not read it any more.
    ///
    /// # Errors
    /// The state's.
    pub fn in_flight(&self, conf: ConfNo, uid: &Uid, sent: &InFlight) -> Result<Option<Event>, Reject> {
        let found = if sent.conversation == ConversationId::topics() {
            self.conversation(conf, &sent.conversation)?
        } else {
            match self.readable(conf, uid, &sent.conversation) {
                Err(reject) if reject.reason.class() == Class::Unavailable => return Err(reject),
                found => found.ok(),
            }
        };
        let Some(found) = found else { return Ok(None) };
        let entry = self.entry(&found, sent.seq)?.filter(|entry| entry.pos == sent.pos);
        Ok(entry.map(|entry| event(&found, sent.seq, entry)))
    }

    /// The oldest and the newest seq of what is kept on applications' topics.
    ///
    /// # Errors
    /// The state's.
    pub fn publications(&self, conf: ConfNo) -> Result<Option<(u64, u64)>, StateError> {
        let Some(found) = self.conversation(conf, &ConversationId::topics())? else { return Ok(None) };
        let mut oldest = None;
        let (from, to) = (keys::entry(conf, found.record.no, 0), keys::entry(conf, found.record.no, u64::MAX));
        self.visit_range(&from, &to, Direction::Ascending, |key, _| {
            oldest = Some(keys::seq_of_entry(key));
            Ok(false)
        })?;
        let newest = self.head(&found)?.seq;
        Ok(oldest.map(|oldest| (oldest, newest)))
    }
}
