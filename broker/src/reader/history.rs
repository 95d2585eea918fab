//! Entries of conversations: pages of one, and many merged in pos order.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::Reader;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::model::{Entry, Event, Member, Place, Standing};
use crate::recent::Published;
use crate::registry::Refill;
use crate::reject::Class;
use crate::state::{Direction, StateError};
use crate::topic::{Source, Topic};
use crate::view::{Found, decode};

/// Which way a page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// The oldest above a seq.
    Newer(u64),
    /// The newest below a seq.
    Older(u64),
}

/// Some events of one conversation, ascending.
#[derive(Debug, Default)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// Whether nothing more lies in the direction asked for.
    pub complete: bool,
}

/// Bytes of texts in one page, about: what goes out in one piece is bounded.
const PAGE_BYTES: usize = 1 << 20;
/// Events read at once of a conversation while many are merged, at most.
const MERGE_EVENTS: u64 = 32;

/// Entries that are looked at for one page of some kinds.
const MAX_SCAN: usize = 5_000;
/// About what an event takes besides its texts.
const EVENT_BYTES: usize = 200;

impl Reader {
    /// Up to `limit` events of the kinds in `kinds` (all when empty), of which [`MAX_SCAN`] entries are looked at.
    ///
    /// # Errors
    /// The state's.
    pub fn page(&self, found: &Found, toward: Toward, limit: usize, kinds: &[&str]) -> Result<Page, StateError> {
        Ok(self.page_to(found, toward, limit, kinds)?.0)
    }

    /// The same, with the seq from which to go on in that direction when the page is not complete.
    ///
    /// # Errors
    /// The state's.
    pub fn page_to(&self, found: &Found, toward: Toward, limit: usize, kinds: &[&str]) -> Result<(Page, Option<u64>), StateError> {
        self.scan(found, toward, limit, kinds, MAX_SCAN)
    }

    /// A page for which `most` entries are looked at, at most.
    pub(super) fn scan(
        &self,
        found: &Found,
        toward: Toward,
        limit: usize,
        kinds: &[&str],
        most: usize,
    ) -> Result<(Page, Option<u64>), StateError> {
        let (conf, conv) = (found.conf, found.record.no);
        let (from, to, direction) = match toward {
            Toward::Newer(after) => (after.saturating_add(1), u64::MAX, Direction::Ascending),
            Toward::Older(before) => (0, before, Direction::Descending),
        };
        let mut page = Page { events: Vec::new(), complete: true };
        let (mut bytes, mut looked_at, mut reached) = (0, 0, None);
        self.visit_range(&keys::entry(conf, conv, from), &keys::entry(conf, conv, to), direction, |key, value| {
            let (seq, entry): (u64, Entry) = (keys::seq_of_entry(key), decode(value)?);
            let wanted = kinds.is_empty() || kinds.contains(&entry.body.kind());
            if looked_at >= most || (wanted && (page.events.len() >= limit || bytes >= PAGE_BYTES)) {
                page.complete = false;
                return Ok(false);
            }
            looked_at += 1;
            reached = Some(seq);
            if wanted {
                bytes += EVENT_BYTES + entry.body.text_bytes();
                page.events.push(event(found, seq, entry));
            }
            Ok(true)
        })?;
        if direction == Direction::Descending {
            page.events.reverse();
        }
        let next = reached.filter(|_| !page.complete);
        Ok((page, next))
    }

    /// An entry of a conversation.
    ///
    /// # Errors
    /// The state's.
    pub fn entry(&self, found: &Found, seq: u64) -> Result<Option<Entry>, StateError> {
        self.get(&keys::entry(found.conf, found.record.no, seq))
    }

    /// The lowest seq whose pos is above `pos`; the conversation's pos grows with its seq.
    pub(crate) fn seq_above(&self, found: &Found, pos: u64) -> Result<u64, StateError> {
        self.first_seq(found, |entry| entry.pos > pos)
    }

    /// The lowest seq whose entry is one that all later ones are, too; one above the head when there is none.
    pub(super) fn first_seq(&self, found: &Found, is_one: impl Fn(&Entry) -> bool) -> Result<u64, StateError> {
        let (mut low, mut high) = (1, self.head(found)?.seq + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            // Every seq up to the head has an entry.
            if self.entry(found, middle)?.is_some_and(|entry| is_one(&entry)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// The same as [`Self::missed`] for who is only a little behind: from memory.
    #[must_use]
    pub fn missed_lately(&self, refill: &Refill, limit: usize) -> Option<(Vec<Arc<Published>>, u64)> {
        let follows = |event: &Event| {
            (refill.everything && event.place.kind.is_public()) || refill.topics.iter().any(|(topic, _)| *topic == Topic::of(event))
        };
        self.recent.after(refill.conf, refill.after, limit, follows)
    }

    /// What a lagging session missed: up to `limit` events in pos order, and the pos that they reach. Only what the user may read now.
    ///
    /// # Errors
    /// The state's.
    pub fn missed(&self, refill: &Refill, limit: usize) -> Result<(Vec<Arc<Published>>, u64), StateError> {
        if let Some(found) = self.missed_lately(refill, limit) {
            return Ok(found);
        }
        // What is committed later than this is above it.
        let end = self.conference_head(refill.conf)?.pos;
        let mut readable = Vec::new();
        let mut ids: BTreeSet<ConversationId> = refill.topics.iter().map(|(_, Source { id, .. })| id.clone()).collect();
        if refill.everything {
            ids.extend(self.ids_below(&keys::public_conversations(refill.conf))?);
        }
        for id in &ids {
            match self.readable(refill.conf, &refill.uid, id) {
                Ok(found) => readable.push((found, end)),
                // What cannot be read now must not be passed over.
                Err(reject) if reject.reason.class() == Class::Unavailable => return Err(StateError::Io(reject.to_string())),
                // Who was put out still gets what was said before.
                Err(_) => readable.extend(self.until_put_out(refill, id)?.map(|(found, pos)| (found, pos.min(end)))),
            }
        }
        let (events, all) = self.merge(readable, refill.after, limit)?;
        let through = if all { end } else { events.last().map_or(refill.after, |published| published.pos()) };
        Ok((events, through))
    }

    /// All events of a conference with `after < pos <= end`, up to `limit`, in pos order: fills a hole in the backbone.
    ///
    /// # Errors
    /// The state's.
    pub fn range(&self, conf: ConfNo, after: u64, end: u64, limit: usize) -> Result<Vec<Arc<Published>>, StateError> {
        let mut touched = Vec::new();
        let prefix = keys::conversations(conf);
        self.visit(&prefix, Direction::Ascending, |key, value| {
            let Some(id) = keys::conversation_at(key, prefix.len()) else { return Ok(true) };
            let found = Found { conf, id, record: decode(value)? };
            if self.head(&found)?.pos > after {
                touched.push(found);
            }
            Ok(true)
        })?;
        Ok(self.merge(touched.into_iter().map(|found| (found, end)).collect(), after, limit)?.0)
    }

    /// A conversation that the user can no longer read, and the pos of the event that put them out.
    fn until_put_out(&self, refill: &Refill, id: &ConversationId) -> Result<Option<(Found, u64)>, StateError> {
        let Some(found) = self.conversation(refill.conf, id)? else { return Ok(None) };
        let member: Option<Member> = self.get(&keys::member(refill.conf, found.record.no, &refill.uid))?;
        // Who has been asked in again since is told of their removal on the way there, and that ends it.
        let out = member.filter(|member| !matches!(member.standing, Standing::In(_)));
        Ok(out.map(|member| (found, member.since_pos)))
    }

    /// Merges conversations, each up to its end, in pos order: the next event of each is at the top of a heap. Whether these are all.
    fn merge(&self, conversations: Vec<(Found, u64)>, after: u64, limit: usize) -> Result<(Vec<Arc<Published>>, bool), StateError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut next = BinaryHeap::new();
        for (found, end) in conversations {
            if self.head(&found)?.pos <= after {
                continue;
            }
            let seq = self.seq_above(&found, after)?;
            let mut line = Line { found, end, seq, at_once: 1, events: Vec::new() };
            if let Some(pos) = line.peek(self)? {
                next.push(Reverse((pos, lines.len())));
                lines.push(line);
            }
        }
        let mut merged = Vec::new();
        let mut bytes = 0;
        while let Some(Reverse((pos, at))) = next.pop() {
            if pos > lines[at].end {
                continue;
            }
            if merged.len() >= limit || bytes >= PAGE_BYTES {
                return Ok((merged, false));
            }
            let Some(event) = lines[at].events.pop() else { continue };
            bytes += EVENT_BYTES + event.entry.body.text_bytes();
            merged.push(Published::new(event));
            if let Some(pos) = lines[at].peek(self)? {
                next.push(Reverse((pos, at)));
            }
        }
        Ok((merged, true))
    }

    /// Events by `uid` in a conversation, for the export of what is theirs: those among the `limit` above `after`, and where to go on.
    ///
    /// # Errors
    /// The state's.
    pub fn said_by(&self, found: &Found, uid: &Uid, after: u64, limit: usize) -> Result<(Vec<Event>, Option<u64>), StateError> {
        let (page, next) = self.page_to(found, Toward::Newer(after), limit, &[])?;
        Ok((page.events.into_iter().filter(|event| event.entry.from == *uid).collect(), next))
    }
}

/// A conversation under merge; its next events, last first.
struct Line {
    found: Found,
    end: u64,
    seq: u64,
    /// Events read at once: more each time, so that a thousand conversations with little to give take little memory.
    at_once: u64,
    /// Its next events, last first.
    events: Vec<Event>,
}

impl Line {
    fn peek(&mut self, reader: &Reader) -> Result<Option<u64>, StateError> {
        if self.events.is_empty() {
            let (conf, conv) = (self.found.conf, self.found.record.no);
            let end = self.seq.saturating_add(self.at_once);
            self.at_once = (self.at_once * 2).min(MERGE_EVENTS);
            reader.visit_range(
                &keys::entry(conf, conv, self.seq),
                &keys::entry(conf, conv, end),
                Direction::Descending,
                |key, value| {
                    self.events.push(event(&self.found, keys::seq_of_entry(key), decode(value)?));
                    Ok(true)
                },
            )?;
            self.seq += self.events.len() as u64;
        }
        Ok(self.events.last().map(|event| event.entry.pos))
    }
}

pub(super) fn event(found: &Found, seq: u64, entry: Entry) -> Event {
    let place = Place { conf: found.conf, conv: found.record.no, conversation: found.id.clone(), kind: found.record.kind, seq };
    Event { place, entry, origin: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Actor;
    use crate::model::{Body, Kind};
    use crate::recent::Recent;
    use crate::state::State;
    use crate::state::memory::MemoryStore;
    use crate::view::{Kept, SCHEMA, StoreHead, View};

    /// A lobby with `deletions` and a new title after every tenth.
    fn lobby(deletions: u64) -> (Reader, Found) {
        let state: Arc<dyn State> = Arc::new(MemoryStore::new().open().unwrap());
        let mut kept = Kept::default();
        let head = StoreHead { schema: SCHEMA, applied: 0, secret: [0; 16], conferences: 1 };
        let mut view = View::new(&*state, &mut kept, head);
        let id = ConversationId::parse("lobby").unwrap();
        let found = view.add_conversation(ConfNo(1), &id, Kind::Channel, String::new()).unwrap();
        for target in 1..=deletions {
            view.append(&found, &Actor::system(), "".into(), 0, Body::Delete { target }).unwrap();
            if target % 10 == 0 {
                view.append(&found, &Actor::system(), "".into(), 0, Body::Settings { title: "x".into() }).unwrap();
            }
        }
        let (batch, ..) = view.finish();
        state.commit(&batch).unwrap();
        (Reader::new(state, Arc::new(Recent::default()), [0; 16]), found)
    }

    #[test]
    fn a_page_of_some_kinds_ends_after_so_many_entries_and_goes_on_from_there() {
        let (reader, found) = lobby(50);
        for older in [false, true] {
            let (mut seqs, mut pages, mut at) = (Vec::new(), 0, if older { 56 } else { 0 });
            loop {
                let toward = if older { Toward::Older(at) } else { Toward::Newer(at) };
                let (page, next) = reader.scan(&found, toward, 2, &["settings"], 7).unwrap();
                seqs.extend(page.events.iter().map(|event| event.place.seq));
                pages += 1;
                assert_eq!(page.complete, next.is_none());
                let Some(next) = next else { break };
                assert_eq!(next.abs_diff(at), 7);
                at = next;
            }
            seqs.sort_unstable();
            assert_eq!(seqs, [11, 22, 33, 44, 55]);
            assert_eq!(pages, 8);
        }
        let (page, next) = reader.page_to(&found, Toward::Newer(0), 2, &["settings"]).unwrap();
        assert_eq!((page.events.len(), next), (2, Some(32)));
    }
}
