//! A badge is seldom held to a reader once: tags are read many times a second while they are near, and people tap again when they are not sure.
//! What comes again within moments is answered at once, and not stored. In memory, bounded; a restart forgets it.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use crate::generations::Generations;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::model::{BadgeCode, Direction, Mode, Tap};

/// Badges at readers that are remembered at least.
const REMEMBERED: usize = 16_384;

/// A badge at a reader, with what it is scanned for.
type Place = (ConfNo, Uid, u64);

/// Where and what for badges are scanned.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub conf: ConfNo,
    pub reader: &'a Uid,
    pub mode: Mode,
    pub conversation: Option<&'a ConversationId>,
}

/// When a badge was last at a reader, and what the reader called that.
struct Last {
    at_ms: u64,
    id: u64,
}

/// See the module's text.
pub(crate) struct Debounce {
    within_ms: u64,
    hasher: RandomState,
    last: Mutex<Generations<Place, Last>>,
}

/// Taps that were let through: let go of when the hub refuses them, so that they can come again at once.
pub(crate) struct Held {
    debounce: Arc<Debounce>,
    places: Vec<Place>,
}

impl Held {
    /// Nothing.
    pub fn none(debounce: &Arc<Debounce>) -> Self {
        Self { debounce: Arc::clone(debounce), places: Vec::new() }
    }

    /// They were not taken.
    pub fn forget(&self) {
        let mut last = self.debounce.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.places.iter().for_each(|place| last.remove(place));
    }
}

impl Debounce {
    pub fn new(within_ms: u64) -> Self {
        Self { within_ms, hasher: RandomState::new(), last: Mutex::new(Generations::new(REMEMBERED)) }
    }

    /// Whether a tap, of the badge that is kept by `code`, is another one than the last. A badge that stays where it is counts once, however long; for
    /// something else, or the other way, it counts again. A tap that the reader uploads again under the same id is let through: the hub has its first
    /// result.
    pub fn admits(&self, at: At<'_>, tap: &Tap, code: &BadgeCode, at_ms: u64, held: &mut Held) -> bool {
        if self.within_ms == 0 {
            return true;
        }
        let what: (_, _, _, Option<Direction>) = (code, at.mode, at.conversation, tap.direction);
        let place = (at.conf, at.reader.clone(), self.hasher.hash_one(what));
        let id = if tap.id.is_empty() { 0 } else { self.hasher.hash_one(&tap.id) };
        let mut all = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = all.get(&place) {
            if id != 0 && id == last.id {
                return true;
            }
            if last.at_ms.abs_diff(at_ms) < self.within_ms {
                last.at_ms = last.at_ms.max(at_ms);
                return false;
            }
        }
        all.insert(place.clone(), Last { at_ms, id });
        held.places.push(place);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: ConfNo = ConfNo(1);

    fn tap(code: &str, id: &str) -> Tap {
        Tap { shown: code.into(), codes: vec![BadgeCode(code.into())], at_ms: 0, id: id.into(), direction: None }
    }

    fn admits(debounce: &Debounce, at: At<'_>, tap: &Tap, at_ms: u64, held: &mut Held) -> bool {
        debounce.admits(at, tap, &tap.codes[0], at_ms, held)
    }

    #[test]
    fn a_badge_that_stays_where_it_is_counts_once() {
        let debounce = Arc::new(Debounce::new(2000));
        let mut held = Held::none(&debounce);
        let gate = Uid::parse("gate").unwrap();
        let mut passes = |code, id, at_ms| admits(&debounce, at(&gate), &tap(code, id), at_ms, &mut held);
        assert!(passes("x:1", "", 10_000));
        for at_ms in [10_001, 11_900, 13_000, 14_999, 13_500] {
            assert!(!passes("x:1", "", at_ms), "{at_ms}");
        }
        assert!(passes("x:2", "", 11_000), "another badge");
        assert!(passes("x:1", "", 17_000));
        assert!(passes("x:3", "a", 17_000));
        assert!(passes("x:3", "a", 17_001), "the same upload has its first result");
        assert!(!passes("x:3", "b", 17_002));
        assert!(passes("x:1", "", 1_000), "an old one, from when the reader was offline");
    }

    fn at(reader: &Uid) -> At<'_> {
        At { conf: CONF, reader, mode: Mode::Session, conversation: None }
    }

    #[test]
    fn for_something_else_or_the_other_way_a_badge_counts_again() {
        let debounce = Arc::new(Debounce::new(2000));
        let mut held = Held::none(&debounce);
        let gate = Uid::parse("gate").unwrap();
        let halls = ["a", "b"].map(ConversationId::stored);
        let mut once = |at: At<'_>, direction| {
            let tap = Tap { direction, ..tap("x:1", "") };
            assert!(admits(&debounce, at, &tap, 10_000, &mut held));
            assert!(!admits(&debounce, at, &tap, 10_500, &mut held));
        };
        for mode in [Mode::Checkin, Mode::Session] {
            for conversation in [None, Some(&halls[0]), Some(&halls[1])] {
                for direction in [None, Some(Direction::Enter), Some(Direction::Exit)] {
                    once(At { mode, conversation, ..at(&gate) }, direction);
                }
            }
        }
    }

    #[test]
    fn readers_are_apart_and_what_was_refused_comes_again() {
        let debounce = Arc::new(Debounce::new(2000));
        let mut held = Held::none(&debounce);
        let (gate, hall) = (Uid::parse("gate").unwrap(), Uid::parse("hall").unwrap());
        assert!(admits(&debounce, at(&gate), &tap("x:1", ""), 10_000, &mut held));
        assert!(admits(&debounce, at(&hall), &tap("x:1", ""), 10_000, &mut Held::none(&debounce)));
        held.forget();
        assert!(admits(&debounce, at(&gate), &tap("x:1", ""), 10_000, &mut held));
        assert!(!admits(&debounce, at(&hall), &tap("x:1", ""), 10_000, &mut held));
        let off = Arc::new(Debounce::new(0));
        assert!((0..3).all(|_| admits(&off, at(&gate), &tap("x:1", ""), 10_000, &mut Held::none(&off))));
    }
}
