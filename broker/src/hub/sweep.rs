//! Forgetting what has expired: idempotency keys, tokens, scans that may be uploaded again. Looking for it is only reading; what is found is forgotten by a command, so that every
//! copy of the state forgets the same.

use std::ops::ControlFlow;

use super::{Hub, housekeeping};
use crate::apply::{is_expired, swept_after};
use crate::command::{Action, Outcome};
use crate::ids::ConfNo;
use crate::keys::{self, Key};
use crate::state::{Direction, StateError};

/// Records that are looked at in one step.
const LOOK: usize = 2048;
/// Steps of one tick.
const STEPS: usize = 8;

/// A sweep under way, when there is one.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The key that is next.
    from: Option<Key>,
}

/// What a look found.
enum Look {
    /// The first record that has expired.
    Expired(Key),
    /// Nothing so far, go on here.
    On(Key),
    /// Nothing more.
    Done,
}

impl Sweep {
    /// Begins anew, unless one is under way.
    pub(super) fn begin(&mut self) {
        self.from = self.from.take().or_else(|| swept_after(None));
    }

    /// A bounded part of it.
    pub(super) fn go_on(&mut self, hub: &Hub) {
        for _ in 0..STEPS {
            let Some(from) = self.from.take() else { return };
            if hub.health.check().is_err() {
                self.from = Some(from);
                return;
            }
            self.from = match look(hub, &from) {
                Ok(Look::On(next)) => Some(next),
                Ok(Look::Expired(key)) => match housekeeping::call(hub, ConfNo(0), Action::Sweep { from: key.clone() }) {
                    Some(Outcome::Continue(next)) => Some(next),
                    Some(_) => None,
                    // Refused: at the next tick.
                    None => {
                        self.from = Some(key);
                        return;
                    }
                },
                Ok(Look::Done) => None,
                Err(error) => {
                    tracing::warn!(%error, "what has expired stays until the next sweep");
                    None
                }
            };
        }
    }
}

fn look(hub: &Hub, from: &[u8]) -> Result<Look, StateError> {
    let prefix = [from.first().copied().unwrap_or(keys::IDEMPOTENCY)];
    let now_ms = hub.clock.now_ms();
    let (mut looked_at, mut found) = (0, Ok(None));
    hub.reader.state().scan(from, &keys::end_of(&prefix), Direction::Ascending, &mut |key, value| {
        looked_at += 1;
        found = match is_expired(key, value, now_ms) {
            Ok(true) => Ok(Some(Look::Expired(key.to_vec()))),
            Ok(false) if looked_at >= LOOK => Ok(Some(Look::On([key, &[0]].concat()))),
            Ok(false) => return ControlFlow::Continue(()),
            Err(error) => Err(error),
        };
        ControlFlow::Break(())
    })?;
    Ok(found?.unwrap_or_else(|| swept_after(Some(prefix[0])).map_or(Look::Done, Look::On)))
}
