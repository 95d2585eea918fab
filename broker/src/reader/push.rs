//! Push: where people are reached, what they want, what waits and what was given up.

use std::sync::Arc;

use super::Reader;
use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::keys::{self, Key};
use crate::limits::MAX_TARGETS;
use crate::model::{Attention, Body, Event, Kind, Provider, PushRow, PushSettings, PushState, Target, TargetId};
use crate::recent::Published;
use crate::state::{Direction, StateError};
use crate::view::{Found, decode};

/// Conversations that are looked at for the number of all that somebody has not read.
const BADGE_CONVERSATIONS: usize = 200;

impl Reader {
    /// Whether anybody of a conference is reached anywhere.
    ///
    /// # Errors
    /// The state's.
    pub fn has_targets(&self, conf: ConfNo) -> Result<bool, StateError> {
        self.has_any(&keys::all_targets(conf))
    }

    /// Whether a push of a conference waits to be tried again.
    ///
    /// # Errors
    /// The state's.
    pub fn has_push_rows(&self, conf: ConfNo) -> Result<bool, StateError> {
        self.has_any(&keys::all_push_rows(conf))
    }

    fn has_any(&self, prefix: &[u8]) -> Result<bool, StateError> {
        let mut found = false;
        self.visit(prefix, Direction::Ascending, |_, _| {
            found = true;
            Ok(false)
        })?;
        Ok(found)
    }

    /// Where a user is reached.
    ///
    /// # Errors
    /// The state's.
    pub fn targets(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<(TargetId, Target)>, StateError> {
        let mut targets = Vec::new();
        self.visit(&keys::targets(conf, uid), Direction::Ascending, |key, value| {
            if let Some(id) = keys::id_of_target(key) {
                targets.push((id, decode(value)?));
            }
            Ok(targets.len() < MAX_TARGETS)
        })?;
        Ok(targets)
    }

    /// One of a user's targets.
    ///
    /// # Errors
    /// The state's.
    pub fn target(&self, conf: ConfNo, uid: &Uid, id: &TargetId) -> Result<Option<Target>, StateError> {
        self.get(&keys::target(conf, uid, id))
    }

    /// What of all a user wants to be pushed.
    ///
    /// # Errors
    /// The state's.
    pub fn push_settings(&self, conf: ConfNo, uid: &Uid) -> Result<PushSettings, StateError> {
        Ok(self.get(&keys::push_settings(conf, uid))?.unwrap_or_default())
    }

    /// What of a conversation a user wants to be pushed.
    ///
    /// # Errors
    /// The state's.
    pub fn attention(&self, conf: ConfNo, conv: ConvNo, uid: &Uid) -> Result<Attention, StateError> {
        Ok(self.get(&keys::attention(conf, conv, uid))?.unwrap_or_default())
    }

    /// Those who want something else of a conversation than of others, by uid, up to `limit` above `after`.
    ///
    /// # Errors
    /// The state's.
    pub fn attentions(&self, conf: ConfNo, conv: ConvNo, after: Option<&Uid>, limit: usize) -> Result<Vec<(Uid, Attention)>, StateError> {
        let prefix = keys::attentions(conf, conv);
        let from = keys::above(&prefix, after.map(|after| keys::attention(conf, conv, after)));
        let mut found = Vec::new();
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, value| {
            if let Some(uid) = keys::uid_at(key, prefix.len()) {
                found.push((uid, decode(value)?));
            }
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// Those who want everything of every conversation, by uid, up to `limit` above `after`.
    ///
    /// # Errors
    /// The state's.
    pub fn who_wants_all(&self, conf: ConfNo, after: Option<&Uid>, limit: usize) -> Result<Vec<Uid>, StateError> {
        self.uids_above(&keys::who_wants_all(conf), after.map(|after| keys::wants_all(conf, after)), limit)
    }

    /// Uids that end the keys which start with `prefix`, up to `limit` above the key `after`.
    fn uids_above(&self, prefix: &[u8], after: Option<Key>, limit: usize) -> Result<Vec<Uid>, StateError> {
        let mut uids = Vec::new();
        self.visit_range(&keys::above(prefix, after), &keys::end_of(prefix), Direction::Ascending, |key, _| {
            uids.extend(keys::uid_at(key, prefix.len()));
            Ok(uids.len() < limit)
        })?;
        Ok(uids)
    }

    /// How far push is in a conference; `None` where nobody ever was reached.
    ///
    /// # Errors
    /// The state's.
    pub fn push_state(&self, conf: ConfNo) -> Result<Option<PushState>, StateError> {
        self.get(&keys::push_state(conf))
    }

    /// The uids of a conversation's members, present and past, up to `limit` above `after`: a page of memberships that is decided one by one.
    ///
    /// # Errors
    /// The state's.
    pub fn member_uids(&self, found: &Found, after: Option<&Uid>, limit: usize) -> Result<Vec<Uid>, StateError> {
        let (conf, conv) = (found.conf, found.record.no);
        self.uids_above(&keys::members(conf, conv), after.map(|after| keys::member(conf, conv, after)), limit)
    }

    /// The pushes to a provider that are due by `until_ms` and wanted, in due order, up to `limit`.
    ///
    /// # Errors
    /// The state's.
    pub fn push_rows_due(
        &self,
        conf: ConfNo,
        provider: Provider,
        until_ms: u64,
        limit: usize,
        mut wanted: impl FnMut(u64, &PushRow) -> bool,
    ) -> Result<Vec<(u64, PushRow)>, StateError> {
        let mut rows = Vec::new();
        self.visit(&keys::push_rows(conf, provider), Direction::Ascending, |key, value| {
            let Some(due_ms) = keys::due_of_row(key).filter(|due_ms| *due_ms <= until_ms) else { return Ok(false) };
            let row: PushRow = decode(value)?;
            if wanted(due_ms, &row) {
                rows.push((due_ms, row));
            }
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    /// The push of a row's conversation to its target that waits already, and when it is due.
    ///
    /// # Errors
    /// The state's.
    pub fn push_row(&self, conf: ConfNo, row: &PushRow) -> Result<Option<(u64, PushRow)>, StateError> {
        let due_ms: Option<u64> = self.get(&keys::push_row_of(conf, &row.user, &row.target, &row.conversation))?;
        let Some(due_ms) = due_ms else { return Ok(None) };
        let there: Option<PushRow> = self.get(&keys::push_row(conf, due_ms, row))?;
        Ok(there.map(|there| (due_ms, there)))
    }

    /// A message of a conversation, as it is now.
    ///
    /// # Errors
    /// The state's.
    pub fn message(&self, found: &Found, seq: u64) -> Result<Option<Event>, StateError> {
        let entry = self.entry(found, seq)?.filter(|entry| matches!(entry.body, Body::Message(_)));
        Ok(entry.map(|entry| super::history::event(found, seq, entry)))
    }

    /// Up to `limit` of the newest events of a conference above `after` that are wanted, and the pos that they go up to; `None` when memory does
    /// not go back so far.
    #[must_use]
    pub fn lately(&self, conf: ConfNo, after: u64, limit: usize, wanted: impl Fn(&Event) -> bool) -> Option<(Vec<Arc<Published>>, u64)> {
        self.recent.after(conf, after, limit, wanted)
    }

    /// Conversations of a conference by id, up to `limit` above `after`.
    ///
    /// # Errors
    /// The state's.
    pub fn conversation_ids(&self, conf: ConfNo, after: Option<&ConversationId>, limit: usize) -> Result<Vec<ConversationId>, StateError> {
        self.ids_above(&keys::conversations(conf), after.map(|after| keys::conversation(conf, after)), limit)
    }

    /// Pushes that were given up, newest first, up to `limit` below number `before`.
    ///
    /// # Errors
    /// The state's.
    pub fn dead_letters(&self, conf: ConfNo, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PushRow)>, StateError> {
        let prefix = keys::dead_letters(conf);
        let end = before.map_or_else(|| keys::end_of(&prefix), |before| keys::dead_letter(conf, before));
        let mut letters = Vec::new();
        self.visit_range(&prefix, &end, Direction::Descending, |key, value| {
            letters.push((keys::number_of_letter(key), decode(value)?));
            Ok(letters.len() < limit)
        })?;
        Ok(letters)
    }

    /// Messages above somebody's read markers in all conversations that they are in and have not silenced, of which [`BADGE_CONVERSATIONS`] are
    /// looked at. Counted by the heads alone: it goes with every push, and no history is read for it.
    ///
    /// # Errors
    /// The state's.
    pub fn unread_in_all(&self, conf: ConfNo, uid: &Uid, now_ms: u64) -> Result<u64, StateError> {
        let mut unread = 0;
        for id in self.conversations_of(conf, uid, None, BADGE_CONVERSATIONS)? {
            let Some(found) = self.conversation(conf, &id)?.filter(|found| !matches!(found.record.kind, Kind::Inbox | Kind::Topics)) else {
                continue;
            };
            let (head, mark) = (self.head(&found)?, self.read_mark(&found, uid)?);
            if head.n <= mark.n
                || self.standing(&found, uid)?.is_none_or(|standing| standing.role().is_none())
                || self.attention(conf, found.record.no, uid)?.is_muted(now_ms)
            {
                continue;
            }
            unread += head.n - mark.n;
        }
        Ok(unread)
    }
}
