//! What is stored with an application's topic, for those who come to it later: the newest messages, bounded in number and bytes for each topic,
//! each attendee and the conference. Whose they are is kept, too, so that an erasure finds them.

use std::sync::Arc;

use super::topics::{author, topics};
use super::{Applied, Ask, Stop, added};
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{
    MAX_DROPPED_TOPICS, MAX_STEP, MAX_STORED_BYTES, MAX_STORED_BYTES_PER_CONFERENCE, MAX_STORED_BYTES_PER_USER, MAX_STORED_MESSAGE_BYTES,
    MAX_STORED_MESSAGES, MAX_STORED_TOPICS, MAX_STORED_TOPICS_PER_USER,
};
use crate::model::{Body, Publication, Stored, StoredTotals, UserRole};
use crate::reject::Reason;
use crate::view::View;

/// Publishes and stores. What is too much for the topic goes from its beginning; what is too much for the conference goes with the topics that were
/// stored on least recently, so that nobody can close them for others.
pub(super) fn publish(view: &mut View<'_>, ask: Ask<'_>, publication: &Arc<Publication>) -> Applied {
    let author = author(view, ask)?;
    if ask.actor.uid == Uid::anonymous() {
        return Err(Reason::NotAllowed.into());
    }
    let bytes = publication.bytes() as u64;
    if bytes > MAX_STORED_MESSAGE_BYTES {
        return Err(Reason::TooLarge.into());
    }
    let (conf, name, from) = (ask.conf, &publication.topic, &ask.actor.uid);
    let mut topic = Totals::of(view, keys::stored_topic(conf, name))?;
    let gone = too_many(view, conf, name, topic.now, bytes)?;
    if author.role == UserRole::Attendee {
        let own = gone.iter().filter(|stored| stored.from == *from).map(|stored| stored.publication.bytes() as u64).sum();
        check_quota(view, conf, from, name, bytes.saturating_sub(own))?;
    }
    let found = topics(view, ask)?;
    let event = view.append(&found, ask.actor, author.name, ask.at_ms, Body::Stored(Arc::clone(publication)))?;
    let (pos, ts_ms, from) = (event.entry.pos, event.entry.ts_ms, from.clone());
    if let Some(before) = view.last_key(&keys::stored_of(conf, name))? {
        view.remove(keys::stored_at(conf, keys::pos_of_stored(&before)));
    }
    let mut all = Totals::of(view, keys::stored_totals(conf))?;
    all.now.count += u32::from(topic.now.count == 0);
    for stored in &gone {
        let bytes = forget(view, conf, stored)?;
        topic.now.count = topic.now.count.saturating_sub(1);
        topic.now.bytes = topic.now.bytes.saturating_sub(bytes);
        all.now.bytes = all.now.bytes.saturating_sub(bytes);
    }
    topic.now.count += 1;
    topic.now.bytes += bytes;
    all.now.bytes += bytes;
    let mut own = Totals::of(view, keys::stored_totals_of(conf, &from))?;
    own.now.count += u32::from(!has_stored(view, conf, &from, name)?);
    own.now.bytes += bytes;
    own.put(view);
    view.put(keys::stored_by(conf, &from, name, pos), name);
    view.put(keys::stored_at(conf, pos), name);
    view.put(keys::stored(conf, name, pos), &Stored { pos, ts_ms, from, publication: Arc::clone(publication) });
    topic.put(view);
    make_room(view, conf, pos, &mut all)?;
    all.put(view);
    Ok(added(&event, true))
}

/// What of a topic, whose totals are `now`, goes when `bytes` come.
fn too_many(view: &View<'_>, conf: ConfNo, name: &str, mut now: StoredTotals, bytes: u64) -> Result<Vec<Stored>, Stop> {
    let prefix = keys::stored_of(conf, name);
    let (mut from, mut gone) = (prefix.clone(), Vec::new());
    while now.count >= MAX_STORED_MESSAGES || now.bytes + bytes > MAX_STORED_BYTES {
        let Some(oldest) = view.keys_from(&from, &prefix, 1)?.pop() else { break };
        let Some(stored) = view.get::<Stored>(&oldest)? else { break };
        now.count = now.count.saturating_sub(1);
        now.bytes = now.bytes.saturating_sub(stored.publication.bytes() as u64);
        gone.push(stored);
        from = keys::above(&prefix, Some(oldest));
    }
    Ok(gone)
}

/// Whether an attendee may store so many bytes more, on this topic.
fn check_quota(view: &View<'_>, conf: ConfNo, uid: &Uid, name: &str, bytes: u64) -> Result<(), Stop> {
    let own: StoredTotals = view.get(&keys::stored_totals_of(conf, uid))?.unwrap_or_default();
    let has_room = own.count < MAX_STORED_TOPICS_PER_USER || has_stored(view, conf, uid, name)?;
    if !has_room || own.bytes + bytes > MAX_STORED_BYTES_PER_USER { Err(Reason::Quota.into()) } else { Ok(()) }
}

fn has_stored(view: &View<'_>, conf: ConfNo, uid: &Uid, name: &str) -> Result<bool, Stop> {
    let prefix = keys::stored_by_on(conf, uid, name);
    Ok(!view.keys_from(&prefix, &prefix, 1)?.is_empty())
}

/// Drops topics that were stored on least recently, other than at `pos`, until what is stored with `all` is not too much. A bounded part of it: the next
/// command goes on.
fn make_room(view: &mut View<'_>, conf: ConfNo, pos: u64, all: &mut Totals) -> Result<(), Stop> {
    let is_full = |all: &Totals| all.now.count > MAX_STORED_TOPICS || all.now.bytes > MAX_STORED_BYTES_PER_CONFERENCE;
    if !is_full(all) {
        return Ok(());
    }
    let ages = keys::stored_ages(conf);
    let mut dropped = 0;
    for age in view.keys_from(&ages, &ages, MAX_DROPPED_TOPICS)? {
        if !is_full(all) || dropped >= MAX_STORED_MESSAGES as usize || keys::pos_of_stored(&age) == pos {
            break;
        }
        let Some(name) = view.get::<Arc<str>>(&age)? else { continue };
        let prefix = keys::stored_of(conf, &name);
        for key in view.keys_from(&prefix, &prefix, MAX_STORED_MESSAGES as usize)? {
            let Some(stored) = view.get::<Stored>(&key)? else { continue };
            all.now.bytes = all.now.bytes.saturating_sub(forget(view, conf, &stored)?);
            dropped += 1;
        }
        all.now.count = all.now.count.saturating_sub(1);
        view.remove(keys::stored_topic(conf, &name));
        view.remove(age);
    }
    Ok(())
}

/// One bounded step of an erasure: forgets some of what somebody stored. Whether there was any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, Stop> {
    let prefix = keys::all_stored_by(conf, uid);
    let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
    for key in &found {
        let Some(name) = view.get::<Arc<str>>(key)? else { continue };
        view.remove(key.clone());
        let pos = keys::pos_of_stored(key);
        let Some(stored) = view.get::<Stored>(&keys::stored(conf, &name, pos))? else { continue };
        let gone = forget(view, conf, &stored)?;
        let mut topic = Totals::of(view, keys::stored_topic(conf, &name))?;
        let mut all = Totals::of(view, keys::stored_totals(conf))?;
        topic.now.count = topic.now.count.saturating_sub(1);
        topic.now.bytes = topic.now.bytes.saturating_sub(gone);
        all.now.count = all.now.count.saturating_sub(u32::from(topic.now.count == 0));
        all.now.bytes = all.now.bytes.saturating_sub(gone);
        topic.put(view);
        all.put(view);
        if view.has(&keys::stored_at(conf, pos))? {
            // It was the topic's newest.
            view.remove(keys::stored_at(conf, pos));
            if let Some(newest) = view.last_key(&keys::stored_of(conf, &name))? {
                view.put(keys::stored_at(conf, keys::pos_of_stored(&newest)), &name);
            }
        }
    }
    Ok(!found.is_empty())
}

/// Forgets a stored publication, but not in the totals of its topic and of the conference; its bytes.
fn forget(view: &mut View<'_>, conf: ConfNo, stored: &Stored) -> Result<u64, Stop> {
    let Stored { pos, from, publication, .. } = stored;
    let (name, bytes) = (&publication.topic, publication.bytes() as u64);
    view.remove(keys::stored(conf, name, *pos));
    view.remove(keys::stored_by(conf, from, name, *pos));
    let mut own = Totals::of(view, keys::stored_totals_of(conf, from))?;
    own.now.count = own.now.count.saturating_sub(u32::from(!has_stored(view, conf, from, name)?));
    own.now.bytes = own.now.bytes.saturating_sub(bytes);
    own.put(view);
    Ok(bytes)
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
