//! What was put off: tried again when it is due, when it still is to be pushed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::super::compose::compose;
use super::super::desk::{Desk, Fate, place};
use super::super::lanes::Room;
use super::super::ms;
use super::super::person::Person;
use super::{Worker, spread};
use crate::ids::ConfNo;
use crate::model::{Event, Provider, PushRow};
use crate::state::StateError;
use crate::view::Found;

/// Pushes of a provider without a gateway that are looked at in one turn.
const TURN_EXPIRED: usize = 64;

impl Worker {
    /// Sends what was put off and is due, in that order.
    pub(super) fn retry_due(&mut self, desk: &mut Desk) -> Result<(), StateError> {
        if !desk.has_rows || desk.is_stuck() {
            return Ok(());
        }
        let now_ms = self.now_ms();
        for provider in Provider::ALL {
            let Some(most) = self.lanes.room_for_rows(provider, now_ms) else {
                self.expire(desk, provider, now_ms)?;
                continue;
            };
            if most == 0 {
                continue;
            }
            let lanes = &self.lanes;
            let is_free = |_, row: &PushRow| !lanes.is_busy(&place(desk.conf, row));
            for (due_ms, row) in self.hub.reader().push_rows_due(desk.conf, provider, now_ms, most, is_free)? {
                self.retry(desk, due_ms, row, now_ms)?;
            }
        }
        Ok(())
    }

    /// What waits for a provider that nobody delivers for any more goes when it is of no use.
    fn expire(&mut self, desk: &mut Desk, provider: Provider, now_ms: u64) -> Result<(), StateError> {
        let lanes = &self.lanes;
        let is_free = |_, row: &PushRow| !lanes.is_busy(&place(desk.conf, row));
        for (due_ms, row) in self.hub.reader().push_rows_due(desk.conf, provider, now_ms, TURN_EXPIRED, is_free)? {
            if self.is_expired(&row, now_ms) {
                self.drop_row(desk, due_ms, row);
            }
        }
        Ok(())
    }

    fn is_expired(&self, row: &PushRow, now_ms: u64) -> bool {
        now_ms.saturating_sub(row.since_ms) >= ms(self.options.time_to_live)
    }

    fn drop_row(&mut self, desk: &mut Desk, due_ms: u64, row: PushRow) {
        self.hub.metrics().push_dropped.fetch_add(1, Relaxed);
        self.change(desk, row, Fate::Done(due_ms), None);
    }

    /// Tries a push that was put off, when it still is to be pushed.
    fn retry(&mut self, desk: &mut Desk, due_ms: u64, row: PushRow, now_ms: u64) -> Result<(), StateError> {
        let hub = Arc::clone(&self.hub);
        let target = hub.reader().target(desk.conf, &row.user, &row.target)?;
        let (Some(target), false) = (target, self.is_expired(&row, now_ms)) else {
            self.drop_row(desk, due_ms, row);
            return Ok(());
        };
        if let Room::From(later_ms) = self.lanes.room(&target, now_ms) {
            // One of many of a host that does not answer, or of a lane that filled up meanwhile.
            if later_ms > now_ms {
                let later_ms = later_ms + spread(&row) % 1000;
                self.put_off(desk, row, later_ms, None);
            }
            return Ok(());
        }
        let Some((found, person, event)) = self.still_wanted(desk.conf, &row, now_ms)? else {
            self.drop_row(desk, due_ms, row);
            return Ok(());
        };
        let left = ms(self.options.time_to_live).saturating_sub(now_ms.saturating_sub(row.since_ms));
        let push = compose(&hub, &desk.conference, &found, &person, &event, now_ms, Duration::from_millis(left))?;
        self.send(desk, row, Some(due_ms), &target, Arc::new(push), None);
        Ok(())
    }

    /// What a row is about, when it is to be pushed now.
    fn still_wanted(&self, conf: ConfNo, row: &PushRow, now_ms: u64) -> Result<Option<(Found, Person, Event)>, StateError> {
        let reader = self.hub.reader();
        let Some(found) = reader.conversation(conf, &row.conversation)? else { return Ok(None) };
        let Some(event) = reader.message(&found, row.seq)? else { return Ok(None) };
        let Some(person) = Person::find(&self.hub, &found, &row.user)? else { return Ok(None) };
        let is_wanted = person.decide(&self.hub, &event, now_ms, ms(self.options.active))?.is_ok();
        Ok(is_wanted.then_some((found, person, event)))
    }
}
