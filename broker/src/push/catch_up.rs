//! The tail of a conference that is further behind than memory goes back, after a restart for example: one pass over its conversations, some in each
//! turn, for the messages above the cursor.

use super::tail::Tail;
use crate::hub::Hub;
use crate::ids::{ConfNo, ConversationId};
use crate::limits::MAX_PAGE;
use crate::reader::Toward;
use crate::state::StateError;

/// Conversations that are looked at in one turn.
const STEP_CONVERSATIONS: usize = 64;

/// See the module's text.
#[derive(Debug)]
pub(super) struct CatchUp {
    /// Up to this pos.
    until: u64,
    /// Conversations up to this one are done.
    after: Option<ConversationId>,
}

impl CatchUp {
    /// A pass for everything up to `until`.
    pub(super) fn new(until: u64) -> Self {
        Self { until, after: None }
    }

    /// A step; whether it was the last one, and the tail is where the pass ends.
    pub(super) fn step(&mut self, hub: &Hub, conf: ConfNo, tail: &mut Tail, now_ms: u64, grace_ms: u64) -> Result<bool, StateError> {
        let reader = hub.reader();
        let ids = reader.conversation_ids(conf, self.after.as_ref(), STEP_CONVERSATIONS)?;
        for id in &ids {
            let Some(found) = reader.conversation(conf, id)? else { continue };
            if reader.head(&found)?.pos <= tail.pos() {
                continue;
            }
            let mut from = Some(reader.seq_above(&found, tail.pos())?.saturating_sub(1));
            while let Some(after) = from {
                let (page, next) = reader.page_to(&found, Toward::Newer(after), MAX_PAGE, &["message"])?;
                let last = page.events.last().map_or(0, |event| event.entry.pos);
                for event in page.events.iter().filter(|event| event.entry.pos <= self.until && Tail::concerns(event)) {
                    tail.note(event, now_ms, grace_ms);
                }
                from = next.filter(|_| last <= self.until);
            }
        }
        let is_last = ids.len() < STEP_CONVERSATIONS;
        self.after = ids.into_iter().next_back().or(self.after.take());
        if is_last {
            tail.reach(self.until);
        }
        Ok(is_last)
    }
}
