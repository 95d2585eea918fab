//! What was put off: tried again when it is due, when it still is to be pushed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::super::compose::compose;
use super::super::decide::When;
use super::super::desk::{Desk, Fate, place};
use super::super::expand::{Hold, newest};
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
/// Pushes of a provider with one: most of them are sent, or none is when those that they are for are there.
const TURN_ROWS: usize = 256;
/// How long a push is of use after the quiet hours that it waited for, at least.
const AFTER_QUIET_MS: u64 = 3_600_000;
/// Quiet hours end within a day.
const LONGEST_QUIET_MS: u64 = 24 * 3_600_000;

/// What comes of a push that was put off and is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// It is on its way.
    Sent,
    /// It is over, or put off again.
    Settled,
    /// There is no room for it now.
    Stays,
}

impl Worker {
    /// Sends what was put off and is due, in that order; of several conferences each has its share, and the one that had none for longest is first.
    pub(super) fn retry_all(&mut self, desks: &mut [Desk]) {
        desks.sort_by_key(|desk| desk.served);
        let takes_part = |desk: &Desk| desk.has_rows && !desk.is_stuck();
        for provider in Provider::ALL {
            let wait = desks.iter().any(|desk| takes_part(desk) && desk.in_line.contains(&provider));
            self.lanes.rows_wait(provider, wait);
        }
        let mut in_line = desks.iter().filter(|desk| takes_part(desk) && !desk.in_line.is_empty()).count();
        for desk in desks.iter_mut().filter(|desk| takes_part(desk)) {
            let is_in_line = !desk.in_line.is_empty();
            let among = in_line + usize::from(!is_in_line);
            in_line -= usize::from(is_in_line);
            if let Err(error) = self.retry_due(desk, among) {
                tracing::warn!(%error, "what was put off waits for the store");
            }
        }
    }

    fn retry_due(&mut self, desk: &mut Desk, among: usize) -> Result<(), StateError> {
        let now_ms = self.now_ms();
        let (mut taken, mut in_line) = (false, Vec::new());
        for provider in Provider::ALL {
            let Some(most) = self.lanes.room_for_rows(provider, now_ms) else {
                self.expire(desk, provider, now_ms)?;
                continue;
            };
            let is_left = if most == 0 {
                // Whoever waited still does.
                desk.in_line.contains(&provider)
            } else {
                let (some, is_left) = self.retry_some(desk, provider, most.div_ceil(among), now_ms)?;
                taken |= some;
                is_left
            };
            if is_left {
                in_line.push(provider);
            }
        }
        desk.in_line = in_line;
        if taken {
            self.takings += 1;
            desk.served = self.takings;
        }
        Ok(())
    }

    /// Sends up to `share` of what waits for a provider; those that are over or wait on take nobody's place. Whether there were any, and whether some
    /// may be left.
    fn retry_some(&mut self, desk: &mut Desk, provider: Provider, share: usize, now_ms: u64) -> Result<(bool, bool), StateError> {
        let (mut looked_at, mut sent) = (0, 0);
        while sent < share && looked_at < TURN_ROWS && !desk.is_stuck() {
            let (lanes, most) = (&self.lanes, share - sent);
            let is_free = |_, row: &PushRow| !lanes.is_busy(&place(desk.conf, row));
            let due = self.hub.reader().push_rows_due(desk.conf, provider, now_ms, most, is_free)?;
            let is_all = due.len() < most;
            looked_at += due.len();
            for (due_ms, row) in due {
                match self.retry(desk, due_ms, row, now_ms)? {
                    Tried::Sent => sent += 1,
                    Tried::Settled => {}
                    Tried::Stays => return Ok((true, true)),
                }
            }
            if is_all {
                return Ok((looked_at > 0, false));
            }
        }
        Ok((looked_at > 0, true))
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
        now_ms >= self.useless_ms(row)
    }

    /// From when on a push is of no use.
    pub(super) fn useless_ms(&self, row: &PushRow) -> u64 {
        row.since_ms.saturating_add(ms(self.options.time_to_live))
    }

    /// Puts a push off to the end of quiet hours, or beyond when it has to wait longer, and has it live long enough; but not by the quiet hours of
    /// more than one day, for who is never reached in between.
    pub(super) fn wait_for_loud(
        &mut self,
        desk: &mut Desk,
        row: PushRow,
        due_ms: Option<u64>,
        until_ms: u64,
        event: &Event,
        hold: Option<Hold>,
    ) {
        let live_from_ms = until_ms.saturating_add(AFTER_QUIET_MS).saturating_sub(ms(self.options.time_to_live));
        let latest_ms = event.entry.ts_ms.saturating_add(LONGEST_QUIET_MS + AFTER_QUIET_MS);
        let since_ms = row.since_ms.max(live_from_ms.min(latest_ms));
        self.put_off(desk, PushRow { since_ms, ..row }, due_ms.map_or(until_ms, |due_ms| due_ms.max(until_ms)), hold);
    }

    fn drop_row(&mut self, desk: &mut Desk, due_ms: u64, row: PushRow) {
        self.hub.metrics().push_dropped.fetch_add(1, Relaxed);
        self.change(desk, row, Fate::Done(due_ms), None);
    }

    /// Tries a push that was put off, when it still is to be pushed.
    fn retry(&mut self, desk: &mut Desk, due_ms: u64, row: PushRow, now_ms: u64) -> Result<Tried, StateError> {
        let hub = Arc::clone(&self.hub);
        let target = hub.reader().target(desk.conf, &row.user, &row.target)?;
        let (Some(target), false) = (target, self.is_expired(&row, now_ms)) else {
            self.drop_row(desk, due_ms, row);
            return Ok(Tried::Settled);
        };
        if let Room::From(later_ms) = self.lanes.room(&(desk.conf, row.user.clone()), &target, now_ms) {
            // A lane that filled up meanwhile, or one of many of a host that does not answer.
            if later_ms <= now_ms {
                return Ok(Tried::Stays);
            }
            let later_ms = later_ms + spread(&row) % 1000;
            self.put_off(desk, row, later_ms, None);
            return Ok(Tried::Settled);
        }
        let Some((found, person, event, when)) = self.still_wanted(desk.conf, &row, now_ms)? else {
            self.drop_row(desk, due_ms, row);
            return Ok(Tried::Settled);
        };
        if let When::From(until_ms) = when {
            self.wait_for_loud(desk, row, None, until_ms, &event, None);
            return Ok(Tried::Settled);
        }
        let left = self.useless_ms(&row).saturating_sub(now_ms);
        let push = compose(&hub, &desk.conference, &found, &person, &event, now_ms, Duration::from_millis(left))?;
        self.send(desk, row, Some(due_ms), &target, Arc::new(push), None);
        Ok(Tried::Sent)
    }

    /// What a row is about, when it is still to be pushed.
    fn still_wanted(&self, conf: ConfNo, row: &PushRow, now_ms: u64) -> Result<Option<(Found, Person, Event, When)>, StateError> {
        let reader = self.hub.reader();
        let Some(found) = reader.conversation(conf, &row.conversation)? else { return Ok(None) };
        let Some(person) = Person::find(&self.hub, &found, &row.user)? else { return Ok(None) };
        // Who was there when it was said may have gone since, and somebody else come.
        let since_ms = now_ms.saturating_sub(ms(self.options.active));
        if let Some(event) = reader.message(&found, row.seq)?
            && let Ok(when) = person.decide(&self.hub, &event, now_ms, since_ms)?
        {
            return Ok(Some((found, person, event, when)));
        }
        // The newest was taken back, for example: what was said before it still counts.
        for event in newest(reader, &found, row.first_seq, row.seq.saturating_sub(1))?.into_iter().rev() {
            if let Ok(when) = person.decide(&self.hub, &event, now_ms, since_ms)? {
                return Ok(Some((found, person, event, when)));
            }
        }
        Ok(None)
    }
}
