//! A conference as the worker has it: its tail, what is being decided, and what is to be written down. The cursor that is written never passes
//! what is neither sent nor written down itself.

use std::collections::VecDeque;
use std::rc::Rc;

use super::catch_up::CatchUp;
use super::expand::{Expansion, Hold};
use super::lanes::Place;
use super::tail::Tail;
use crate::command::Action;
use crate::hub::Hub;
use crate::ids::{ConfNo, ConferenceId, Uid};
use crate::limits::{MAX_STEP, MAX_UNDER_WAY};
use crate::model::{Provider, PushCursor, PushRow, TargetId};
use crate::state::StateError;

/// Changes that wait to be written down: with more nothing new is begun.
const MAX_CHANGES: usize = 1024;

/// What becomes of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is over; it was due then.
    Done(u64),
    /// It is to be tried then.
    Due(u64),
    /// It was given up; it was due then, if it was written down.
    Dead(Option<u64>),
}

/// A change to be written down.
#[derive(Debug)]
pub(super) struct Change {
    pub row: PushRow,
    pub fate: Fate,
    /// The message is not over before it is.
    _hold: Option<Hold>,
}

impl Change {
    /// What it is about.
    pub(super) fn place(&self, conf: ConfNo) -> Place {
        place(conf, &self.row)
    }
}

/// What a row is about.
pub(super) fn place(conf: ConfNo, row: &PushRow) -> Place {
    (conf, row.user.clone(), row.target, row.conversation.clone())
}

/// See the module's text.
pub(super) struct Desk {
    pub conf: ConfNo,
    pub conference: ConferenceId,
    pub tail: Tail,
    pub catch_up: Option<CatchUp>,
    /// Somebody is reached somewhere.
    pub is_reached: bool,
    /// Something waits to be tried again.
    pub has_rows: bool,
    /// When something that waited here last was taken up, in takings of all conferences.
    pub served: u64,
    /// For whom more was due then than there was room for, or may have been.
    pub in_line: Vec<Provider>,
    /// Targets that a gateway found gone, and since when they were registered.
    pub gone: Vec<(Uid, TargetId, u64)>,
    expansions: VecDeque<Expansion>,
    /// Positions whose messages are not over.
    held: Vec<(u64, Hold)>,
    changes: VecDeque<Change>,
    written: PushCursor,
}

impl Desk {
    /// A conference, from where its cursor is.
    pub(super) fn open(hub: &Hub, conf: ConfNo, conference: ConferenceId) -> Result<Self, StateError> {
        let (reader, end) = (hub.reader(), hub.end(conf));
        let is_reached = reader.has_targets(conf)?;
        let cursor = reader.push_state(conf)?.filter(|_| is_reached).map(|state| state.cursor);
        let mut expansions = VecDeque::new();
        for under_way in cursor.iter().flat_map(|cursor| &cursor.under_way) {
            if let Some(expansion) = Expansion::resume(reader, conf, under_way)? {
                expansions.push_back(expansion);
            }
        }
        Ok(Self {
            conf,
            conference,
            tail: Tail::new(cursor.as_ref().map_or(end, |cursor| cursor.pos)),
            catch_up: None,
            is_reached,
            has_rows: reader.has_push_rows(conf)?,
            served: 0,
            in_line: Vec::new(),
            gone: Vec::new(),
            expansions,
            held: Vec::new(),
            changes: VecDeque::new(),
            written: cursor.unwrap_or_default(),
        })
    }

    /// Takes an expansion on.
    pub(super) fn begin(&mut self, expansion: Expansion) {
        if !expansion.is_large() {
            self.held.push((expansion.pos, expansion.hold()));
        }
        self.expansions.push_back(expansion);
    }

    /// Takes the next expansion that is to go on; [`Self::put_back`] brings it to the end of the line.
    pub(super) fn take_expansion(&mut self) -> Option<Expansion> {
        let at = self.expansions.iter().position(|expansion| !expansion.is_done())?;
        self.expansions.remove(at)
    }

    /// An expansion that was taken goes on later, or is over when all that it began is.
    pub(super) fn put_back(&mut self, expansion: Expansion) {
        if expansion.is_large() || !expansion.is_done() {
            self.expansions.push_back(expansion);
        }
    }

    /// Expansions that are to go on.
    pub(super) fn expansions(&self) -> usize {
        self.expansions.iter().filter(|expansion| !expansion.is_done()).count()
    }

    /// Notes a change to be written down.
    pub(super) fn change(&mut self, row: PushRow, fate: Fate, hold: Option<Hold>) {
        self.changes.push_back(Change { row, fate, _hold: hold });
    }

    /// Whether more is to be written down than fits into a command.
    pub(super) fn is_full(&self) -> bool {
        self.changes.len() >= MAX_STEP
    }

    /// Whether nothing more can be begun before something is written down.
    pub(super) fn is_stuck(&self) -> bool {
        self.changes.len() >= MAX_CHANGES
    }

    /// Up to where everything is over, and what is under way above it.
    fn cursor(&mut self) -> PushCursor {
        self.held.retain(|(_, hold)| Rc::strong_count(hold) > 1);
        let mut settled = VecDeque::with_capacity(self.expansions.len());
        for mut expansion in self.expansions.drain(..) {
            if !expansion.is_settled() {
                settled.push_back(expansion);
            }
        }
        self.expansions = settled;
        let held = self.held.iter().map(|(pos, _)| pos - 1);
        let mut pos = held.fold(self.tail.floor(), u64::min);
        let mut large: Vec<&Expansion> = self.expansions.iter().filter(|expansion| expansion.is_large()).collect();
        // Those that a restart goes on with come first: the cursor is above their messages, and there are no more of them than fit.
        large.sort_by(|one, other| (one.pos, &one.found.id).cmp(&(other.pos, &other.found.id)));
        let kept = large.len().min(MAX_UNDER_WAY);
        let under_way = large[..kept].iter().map(|expansion| expansion.under_way()).collect();
        if let Some(first) = large.get(kept) {
            pos = pos.min(first.pos.saturating_sub(1));
        }
        PushCursor { pos, under_way }
    }

    /// Whether there is anything to be written down.
    pub(super) fn has_news(&mut self) -> bool {
        !self.changes.is_empty() || (self.is_reached && self.cursor() != self.written)
    }

    /// Takes what goes into one command.
    pub(super) fn take_changes(&mut self) -> (PushCursor, Vec<Change>) {
        let cursor = self.cursor();
        let most = self.changes.len().min(MAX_STEP);
        (cursor, self.changes.drain(..most).collect())
    }

    /// It is written down.
    pub(super) fn is_written(&mut self, cursor: PushCursor, changes: &[Change]) {
        self.has_rows |= changes.iter().any(|change| matches!(change.fate, Fate::Due(_)));
        self.written = cursor;
    }

    /// It is not: later.
    pub(super) fn is_not_written(&mut self, changes: Vec<Change>) {
        changes.into_iter().rev().for_each(|change| self.changes.push_front(change));
    }
}

/// The command that writes changes down.
pub(super) fn action(cursor: &PushCursor, changes: &[Change]) -> Action {
    let (mut done, mut due, mut dead) = (Vec::new(), Vec::new(), Vec::new());
    for Change { row, fate, .. } in changes {
        match fate {
            Fate::Done(was_due_ms) => done.push((*was_due_ms, row.clone())),
            Fate::Due(due_ms) => due.push((*due_ms, row.clone())),
            Fate::Dead(was_due_ms) => {
                done.extend(was_due_ms.map(|due_ms| (due_ms, row.clone())));
                dead.push(row.clone());
            }
        }
    }
    Action::PushProgress { cursor: Some(cursor.clone()), done, due, dead }
}
