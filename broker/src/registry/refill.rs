//! Lagging: a session whose lane was full is given what passed it by, once its lane is empty.

use std::collections::HashMap;
use std::sync::Arc;

use super::walk::{Late, ends_for, offer_signal, shared};
use super::{Counts, Filters, PENDING, Readers, Registry, Session, Wires};
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::model::{Body, Event, Kind};
use crate::outbox::{Bounds, Budget, Link, Offered, Piece, Stamped};
use crate::recent::Published;
use crate::topic::{Parts, Source, Topic};

/// A session that waits for what passed it by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    pub(super) cursor: u64,
    pub(super) reading: bool,
    /// A catch-up was settled while the store was read: what was read does not hold all that is missing now.
    pub(super) stale: bool,
}

/// What a lagging session needs: the events of `topics` above their floors, from `after` on.
#[derive(Debug)]
pub struct Refill {
    /// The session's conference.
    pub conf: ConfNo,
    /// Its user.
    pub uid: Uid,
    /// Its cursor.
    pub after: u64,
    /// What it follows.
    pub topics: Vec<(Topic, Source)>,
    /// Whether it follows all that are open to all, too.
    pub everything: bool,
}

impl<L: Link> Registry<L> {
    /// Whether events have passed a session by.
    #[must_use]
    pub fn lags(&self, slot: u32) -> bool {
        self.sessions.get(slot as usize).is_some_and(|session| session.lag.is_some())
    }

    /// What the session needs when it lags and its lane is empty. Answer with [`Registry::refill`] or [`Registry::refill_failed`].
    pub fn wants_refill(&mut self, slot: u32) -> Option<Refill> {
        let session = self.sessions.get_mut(slot as usize)?;
        let everything = session.follows_public();
        let lag = session.lag.as_mut().filter(|lag| !lag.reading)?;
        if !session.outbox.has_no_events() || !session.link.has_room() {
            return None;
        }
        lag.reading = true;
        let source = |topic: &Topic| match topic {
            Topic::Inbox(_, uid) => Some(Source { id: ConversationId::inbox(uid), kind: Kind::Inbox }),
            topic => self.topics.get(topic).and_then(|readers| readers.source.clone()),
        };
        let topics = session.topics.keys().filter_map(|topic| Some((topic.clone(), source(topic)?))).collect();
        Some(Refill { conf: session.conf, uid: session.uid.clone(), after: lag.cursor, topics, everything })
    }

    /// Gives a lagging session the events, in pos order, which are all that there are for it above its cursor up to `through`.
    ///
    /// `false` when the lane took nothing, since the budget of the whole process is used up: the same again a little later.
    pub fn refill(&mut self, slot: u32, id: u64, events: &[Arc<Published>], through: u64) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| session.id == id) else { return true };
        let Some(lag) = session.lag.as_mut() else { return true };
        lag.reading = false;
        if std::mem::take(&mut lag.stale) {
            return true;
        }
        let started_at = lag.cursor;
        let since = session.link.stamps();
        self.scratch.clear();
        let with = With { slot, filters: &self.filters, wires: &self.wires, lane_bytes: self.bounds.bytes };
        let picked = pick(session, &mut self.topics, &with, events, &mut self.scratch);
        if !picked.events.is_empty() {
            match session.outbox.offer(&session.link, Piece::Own(&self.scratch), picked.events.len(), &self.bounds) {
                Offered::Taken => self.counts.deliveries += picked.events.len() as u64,
                Offered::Gone => return true,
                Offered::Full => {
                    session.link.unstamp(since);
                    undo(session, &mut self.topics, &picked.events, started_at);
                    return false;
                }
            }
        }
        let cursor = started_at.max(picked.stopped_at.unwrap_or(through));
        let mut ended = picked.ended;
        for topic in std::mem::take(&mut session.ended) {
            let reader = session.topics.get(&topic).and_then(|at| self.topics.get(&topic)?.list.get(*at as usize));
            if reader.is_some_and(|reader| reader.ended > cursor) { session.ended.push(topic) } else { ended.push(topic) }
        }
        if cursor >= session.passed {
            // It may be ahead of the walk.
            session.passed = cursor;
            end_lag(session, &self.wires, &mut self.scratch, &self.bounds);
        } else if let Some(lag) = session.lag.as_mut() {
            lag.cursor = cursor;
        }
        // Nothing above its removal reaches a removed reader.
        for topic in ended {
            self.drop_reader(slot, &topic);
        }
        true
    }

    /// The store could not be read; [`Registry::wants_refill`] will say the same again.
    pub fn refill_failed(&mut self, slot: u32, id: u64) {
        if let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| session.id == id)
            && let Some(lag) = session.lag.as_mut()
        {
            (lag.reading, lag.stale) = (false, false);
        }
    }
}

/// What of a refill goes out now.
struct Picked<'e> {
    events: Vec<&'e Arc<Published>>,
    /// The pos that was reached, when the lane takes no more.
    stopped_at: Option<u64>,
    /// Topics that the session is put out of by these events.
    ended: Vec<Topic>,
}

/// What events are picked with.
struct With<'r> {
    /// The session's.
    slot: u32,
    filters: &'r Filters,
    wires: &'r Wires,
    lane_bytes: usize,
}

/// Picks what is above the floors and fits into the lane, and raises the floors.
fn pick<'e, L: Link>(
    session: &mut Session<L>,
    topics: &mut HashMap<Topic, Readers>,
    with: &With<'_>,
    events: &'e [Arc<Published>],
    into: &mut Vec<u8>,
) -> Picked<'e> {
    let mut picked = Picked { events: Vec::new(), stopped_at: None, ended: Vec::new() };
    for published in events {
        if let Some(everything) = session.everything.as_mut() {
            everything.note(&session.uid, &published.event);
        }
        if session.is_let_in_by(&published.event) {
            session.come_back(topics, &published.event);
            picked.ended.retain(|ended| *ended != Topic::of(&published.event));
        }
        let Some((topic, at)) = session.reads_by(&published.event) else { continue };
        let Some(reader) = topics.get_mut(&topic).and_then(|readers| readers.list.get_mut(at as usize)) else { continue };
        // A ban from one conversation that is open to all does not end the reading of the others.
        let ends = !matches!(topic, Topic::Public(_)) && ends_for(published).is_some_and(|uid| uid == session.uid);
        let beyond_removal = reader.ended > 0 && published.pos() > reader.ended;
        if reader.floor == PENDING || published.pos() <= reader.floor || beyond_removal || picked.ended.contains(&topic) {
            continue;
        }
        let is_own = !reader.how.echo && published.event.origin == session.id;
        let unwanted = is_own || !reader.how.parts.contains(Parts::of_event(&published.event)) || !selects(with, session, &published.event);
        if !unwanted {
            let form = shared(with.wires, session.link.wire() + usize::from(reader.how.acked), published);
            // Time has passed: what of it is left, or none, is for the session to say.
            let is_stamped = reader.how.stamped || expires(&published.event);
            let is_full = into.len() + form.len() > with.lane_bytes && !picked.events.is_empty();
            let stamped = match is_stamped {
                _ if is_full => Stamped::NoRoom,
                true => session.link.stamp(published, form, into),
                false => {
                    into.extend_from_slice(form);
                    Stamped::Given
                }
            };
            match stamped {
                Stamped::Given => picked.events.push(published),
                Stamped::Unwanted => {}
                Stamped::NoRoom => {
                    picked.stopped_at = Some(published.pos() - 1);
                    break;
                }
            }
        }
        reader.floor = published.pos();
        if ends && published.pos() > reader.checked {
            picked.ended.push(topic);
        }
    }
    picked
}

/// Whether the event is of use for some time only.
fn expires(event: &Event) -> bool {
    matches!(&event.entry.body, Body::Publication(publication) | Body::Stored(publication) if publication.expires_ms != u64::MAX)
}

/// Whether a publication is for the session by its filters; a conversation's events are.
fn selects<L: Link>(with: &With<'_>, session: &Session<L>, event: &Event) -> bool {
    let (Body::Publication(publication) | Body::Stored(publication)) = &event.entry.body else { return true };
    let Some(tree) = with.filters.get(&(event.place.conf, publication.realm)) else { return false };
    let mut selected = false;
    tree.for_each_match(&publication.topic, |other| selected |= *other == with.slot);
    selected && session.may_read(publication)
}

/// The session has all that passed it by: it is live again, and gets the latest signals.
fn end_lag<L: Link>(session: &mut Session<L>, wires: &Wires, scratch: &mut Vec<u8>, bounds: &Bounds) {
    session.lag = None;
    bounds.budget.lag_ends();
    let Some(form) = wires[session.link.wire()].as_ref() else { return };
    for Late { telling, stamped } in std::mem::take(&mut session.late) {
        if !session.may_hear(&telling) {
            continue;
        }
        offer_signal(session, &telling, &form.signal(&telling), stamped, scratch, bounds);
    }
}

pub(super) fn lag_from<L: Link>(session: &mut Session<L>, cursor: u64, budget: &Budget, counts: &mut Counts) {
    match &mut session.lag {
        Some(lag) => lag.cursor = lag.cursor.min(cursor),
        None => {
            session.lag = Some(Lag { cursor, reading: false, stale: false });
            counts.lags += 1;
            budget.lag_begins();
        }
    }
    session.link.wake();
}

/// Takes the floors back to where they were before a refill that could not be offered.
fn undo<L>(session: &Session<L>, topics: &mut HashMap<Topic, Readers>, given: &[&Arc<Published>], cursor: u64) {
    for published in given.iter().rev() {
        if let Some((topic, at)) = session.reads_by(&published.event)
            && let Some(reader) = topics.get_mut(&topic).and_then(|readers| readers.list.get_mut(at as usize))
        {
            reader.floor = reader.floor.min(published.pos() - 1).max(cursor);
        }
    }
}
