//! What is stored with an application's topic, for those who come to it later: the newest messages, bounded in number and bytes for each topic
//! and for the conference. Whose they are is kept, too, so that an erasure finds them.

use std::sync::Arc;

use super::topics::{author, topics};
use super::{Applied, Ask, Stop, added};
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{
    MAX_STEP, MAX_STORED_BYTES, MAX_STORED_BYTES_PER_CONFERENCE, MAX_STORED_MESSAGE_BYTES, MAX_STORED_MESSAGES, MAX_STORED_TOPICS,
};
use crate::model::{Body, Publication, Stored, StoredTotals};
use crate::reject::Reason;
use crate::view::View;

/// Publishes and stores.
pub(super) fn publish(view: &mut View<'_>, ask: Ask<'_>, publication: &Arc<Publication>) -> Applied {
    let author = author(view, ask)?;
    if ask.actor.uid == Uid::anonymous() {
        return Err(Reason::NotAllowed.into());
    }
    let bytes = publication.bytes() as u64;
    if bytes > MAX_STORED_MESSAGE_BYTES {
        return Err(Reason::TooLarge.into());
    }
    let mut topic = Totals::of(view, keys::stored_topic(ask.conf, &publication.topic))?;
    let mut all = Totals::of(view, keys::stored_totals(ask.conf))?;
    let is_new = topic.now.count == 0;
    if (is_new && all.now.count >= MAX_STORED_TOPICS) || all.now.bytes + bytes > MAX_STORED_BYTES_PER_CONFERENCE {
        return Err(Reason::Quota.into());
    }
    let found = topics(view, ask)?;
    let event = view.append(&found, ask.actor, author.name, ask.at_ms, Body::Stored(Arc::clone(publication)))?;
    let (pos, ts_ms, from) = (event.entry.pos, event.entry.ts_ms, ask.actor.uid.clone());
    topic.now.count += 1;
    topic.now.bytes += bytes;
    all.now.count += u32::from(is_new);
    all.now.bytes += bytes;
    while topic.now.count > MAX_STORED_MESSAGES || topic.now.bytes > MAX_STORED_BYTES {
        let prefix = keys::stored_of(ask.conf, &publication.topic);
        let Some(oldest) = view.keys_from(&prefix, &prefix, 1)?.pop() else { break };
        let gone = forget(view, ask.conf, &oldest)?;
        topic.now.count = topic.now.count.saturating_sub(1);
        topic.now.bytes = topic.now.bytes.saturating_sub(gone);
        all.now.bytes = all.now.bytes.saturating_sub(gone);
    }
    view.put(keys::stored_by(ask.conf, &from, &publication.topic, pos), &Arc::clone(&publication.topic));
    let stored = Stored { pos, ts_ms, from, publication: Arc::clone(publication) };
    view.put(keys::stored(ask.conf, &publication.topic, pos), &stored);
    topic.put(view);
    all.put(view);
    Ok(added(&event, true))
}

/// One bounded step of an erasure: forgets some of what somebody stored. Whether there was any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, Stop> {
    let prefix = keys::all_stored_by(conf, uid);
    let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
    for key in &found {
        let Some(name) = view.get::<Arc<str>>(key)? else { continue };
        let gone = forget(view, conf, &keys::stored(conf, &name, keys::pos_of_stored(key)))?;
        let mut topic = Totals::of(view, keys::stored_topic(conf, &name))?;
        let mut all = Totals::of(view, keys::stored_totals(conf))?;
        topic.now.count = topic.now.count.saturating_sub(1);
        topic.now.bytes = topic.now.bytes.saturating_sub(gone);
        all.now.count = all.now.count.saturating_sub(u32::from(topic.now.count == 0));
        all.now.bytes = all.now.bytes.saturating_sub(gone);
        topic.put(view);
        all.put(view);
    }
    Ok(!found.is_empty())
}

/// Forgets a stored publication; its bytes.
fn forget(view: &mut View<'_>, conf: ConfNo, key: &[u8]) -> Result<u64, Stop> {
    let Some(stored) = view.get::<Stored>(key)? else { return Ok(0) };
    view.remove(key.to_vec());
    view.remove(keys::stored_by(conf, &stored.from, &stored.publication.topic, stored.pos));
    Ok(stored.publication.bytes() as u64)
}

/// A record of totals, to be written back.
struct Totals {
    key: keys::Key,
    now: StoredTotals,
}

impl Totals {
    fn of(view: &View<'_>, key: keys::Key) -> Result<Self, Stop> {
        let now = view.get(&key)?.unwrap_or_default();
        Ok(Self { key, now })
    }

    /// Nothing is kept of where there is nothing any more.
    fn put(self, view: &mut View<'_>) {
        if self.now == StoredTotals::default() { view.remove(self.key) } else { view.put(self.key, &self.now) }
    }
}
