//! The tail of a conference that is further behind than memory goes back, after a restart for example: one pass over its conversations, some in each
//! turn, for the messages above the cursor.

use super::Moment;
use super::tail::Tail;
use crate::hub::Hub;
use crate::ids::{ConfNo, ConversationId};
use crate::limits::MAX_PAGE;
use crate::reader::Toward;
use crate::state::StateError;

/// Conversations that are looked at in one turn.
const STEP_CONVERSATIONS: usize = 64;
/// Pages of them that are read in one turn: other conferences wait meanwhile.
const STEP_PAGES: usize = 4;

/// See the module's text.
#[derive(Debug)]
pub(super) struct CatchUp {
    /// Up to this pos.
    until: u64,
    /// Conversations up to this one are done.
    after: Option<ConversationId>,
    /// Up to which of its messages the next one is, when it is longer than a turn goes.
    within: Option<u64>,
    /// Pages that may be read in this turn.
    pages: usize,
}

impl CatchUp {
    /// A pass for everything up to `until`.
    pub(super) fn new(until: u64) -> Self {
        Self { until, after: None, within: None, pages: 0 }
    }

    /// Whether it is in the middle of a conversation: what it has of it is not all.
    pub(super) fn is_within(&self) -> bool {
        self.within.is_some()
    }

    /// A step; whether it was the last one, and the tail is where the pass ends.
    pub(super) fn step(&mut self, hub: &Hub, conf: ConfNo, tail: &mut Tail, now: Moment, grace_ms: u64) -> Result<bool, StateError> {
        self.pages = STEP_PAGES;
        let ids = hub.reader().conversation_ids(conf, self.after.as_ref(), STEP_CONVERSATIONS)?;
        let is_last = ids.len() < STEP_CONVERSATIONS;
        for id in ids {
            if !self.read(hub, conf, &id, tail, now, grace_ms)? {
                return Ok(false);
            }
            (self.after, self.within) = (Some(id), None);
        }
        if is_last {
            tail.reach(self.until);
        }
        Ok(is_last)
    }

    /// Notes what there is in a conversation, as far as this turn goes; whether that was all.
    fn read(
        &mut self,
        hub: &Hub,
        conf: ConfNo,
        id: &ConversationId,
        tail: &mut Tail,
        now: Moment,
        grace_ms: u64,
    ) -> Result<bool, StateError> {
        let reader = hub.reader();
        let Some(found) = reader.conversation(conf, id)? else { return Ok(true) };
        if reader.head(&found)?.pos <= tail.pos() {
            return Ok(true);
        }
        let mut from = match self.within {
            Some(after) => after,
            None => reader.seq_above(&found, tail.pos())?.saturating_sub(1),
        };
        loop {
            if self.pages == 0 || tail.is_full() {
                self.within = Some(from);
                return Ok(false);
            }
            self.pages -= 1;
            let (page, next) = reader.page_to(&found, Toward::Newer(from), MAX_PAGE, &["message"])?;
            let last = page.events.last().map_or(0, |event| event.entry.pos);
            for event in page.events.iter().filter(|event| event.entry.pos <= self.until && Tail::concerns(event)) {
                tail.note(event, now, grace_ms);
            }
            match next.filter(|_| last <= self.until) {
                Some(after) => from = after,
                None => return Ok(true),
            }
            self.within = Some(from);
        }
    }
}
