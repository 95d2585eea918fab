//! Somebody's coming to and going from a session. Readers upload late, and each for itself: so what is kept are the passes, in the order of their
//! times, and what they come to is made from them anew with each.

use serde::{Deserialize, Serialize};

use super::badge::Direction;

/// Passes that are kept each for itself; the oldest beyond are only kept as what they came to.
const MAX_PASSES: usize = 64;

/// A badge held to a session's door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pass {
    /// When, Unix ms.
    pub at_ms: u64,
    /// Which way, when the reader knows; else the other way than before.
    pub way: Option<Direction>,
}

/// What passes come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stay {
    /// Since when they are inside, Unix ms; `None` when they are not.
    pub inside_since_ms: Option<u64>,
    /// How often they came in.
    pub enters: u32,
    /// How long they were inside, as far as they went out again, in ms.
    pub total_ms: u64,
    /// When they were first scanned, Unix ms.
    pub first_ms: u64,
    /// When they were last scanned, Unix ms.
    pub last_ms: u64,
}

/// Record: somebody's coming to and going from a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attendance {
    /// What all passes come to.
    pub stay: Stay,
    /// The last of them, a bounded number, in the order of their times.
    pub passes: Vec<Pass>,
    /// What those before came to.
    pub folded: Stay,
}

impl Stay {
    /// Who is inside and comes in once more was not seen going out, who is outside and goes out was not seen coming in: nothing changes.
    fn take(&mut self, pass: Pass) {
        let is_first = *self == Self::default();
        let way = pass.way.unwrap_or(if self.inside_since_ms.is_some() { Direction::Exit } else { Direction::Enter });
        match (way, self.inside_since_ms) {
            (Direction::Enter, None) => {
                self.inside_since_ms = Some(pass.at_ms);
                self.enters += 1;
            }
            (Direction::Exit, Some(since_ms)) => {
                self.inside_since_ms = None;
                self.total_ms += pass.at_ms.saturating_sub(since_ms);
            }
            _ => {}
        }
        self.first_ms = if is_first { pass.at_ms } else { self.first_ms.min(pass.at_ms) };
        self.last_ms = self.last_ms.max(pass.at_ms);
    }
}

impl Attendance {
    /// With one more pass. What is older than all that is kept each for itself, when some was folded, comes too late to change anything.
    #[must_use]
    pub fn with(&self, pass: Pass) -> Self {
        let mut with = self.clone();
        if pass.at_ms < self.folded.last_ms {
            return with;
        }
        let at = with.passes.partition_point(|known| *known <= pass);
        with.passes.insert(at, pass);
        if with.passes.len() > MAX_PASSES {
            let oldest = with.passes.remove(0);
            with.folded.take(oldest);
        }
        with.stay = with.counted();
        with
    }

    /// Whether they were inside at some time.
    #[must_use]
    pub fn was_inside(&self) -> bool {
        self.stay.enters > 0
    }

    /// What the passes come to.
    #[must_use]
    pub fn counted(&self) -> Stay {
        let mut stay = self.folded;
        self.passes.iter().for_each(|pass| stay.take(*pass));
        stay
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_MS: u64 = 60_000;

    /// Passes at minutes, each with its way.
    fn told(passes: &[(u64, Option<Direction>)]) -> Stay {
        let taken = passes.iter().fold(Attendance::default(), |all, (minute, way)| all.with(Pass { at_ms: minute * MINUTE_MS, way: *way }));
        taken.stay
    }

    fn minutes(stay: Stay) -> (Option<u64>, u32, u64) {
        (stay.inside_since_ms.map(|since_ms| since_ms / MINUTE_MS), stay.enters, stay.total_ms / MINUTE_MS)
    }

    #[test]
    fn what_comes_late_counts_where_it_belongs() {
        let (enter, exit) = (Some(Direction::Enter), Some(Direction::Exit));
        assert_eq!(minutes(told(&[(90, exit), (40, enter)])), (None, 1, 50), "out before in");
        assert_eq!(minutes(told(&[(95, enter), (30, enter), (60, exit)])), (Some(95), 2, 30), "an earlier visit");
        assert_eq!(minutes(told(&[(97, None), (10, None)])), (None, 1, 87), "in, then out");
        assert_eq!(minutes(told(&[(97, None), (10, None), (20, None)])), (Some(97), 2, 10));
        assert_eq!(minutes(told(&[(50, exit)])), (None, 0, 0), "not seen coming in");
        assert_eq!(minutes(told(&[(50, enter), (60, enter), (70, exit)])), (None, 1, 20), "not seen going out");
    }

    #[test]
    fn a_badge_that_passes_all_day_takes_bounded_room() {
        let (mut all, mut stay) = (Attendance::default(), Stay::default());
        for minute in 0..1000 {
            let pass = Pass { at_ms: minute * MINUTE_MS, way: None };
            all = all.with(pass);
            stay.take(pass);
        }
        assert_eq!((all.stay, all.passes.len()), (stay, MAX_PASSES));
        assert_eq!((stay.enters, stay.total_ms / MINUTE_MS), (500, 500));
        let late = all.with(Pass { at_ms: MINUTE_MS / 2, way: None });
        assert_eq!(late, all, "older than what is kept");
    }

    fn passes() -> impl Strategy<Value = (Vec<Pass>, Vec<Pass>)> {
        let way = prop_oneof![Just(None), Just(Some(Direction::Enter)), Just(Some(Direction::Exit))];
        let pass = (1..40u64, way).prop_map(|(at_ms, way)| Pass { at_ms, way });
        let passes = prop::collection::vec(pass, 0..=MAX_PASSES);
        passes.prop_flat_map(|passes| (Just(passes.clone()), Just(passes).prop_shuffle()))
    }

    proptest! {
        #[test]
        fn any_order_of_the_same_passes_comes_to_the_same((passes, shuffled) in passes()) {
            let all = |passes: &[Pass]| passes.iter().fold(Attendance::default(), |all, pass| all.with(*pass));
            let (one, other) = (all(&passes), all(&shuffled));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.stay, one.counted());
            prop_assert!(one.stay.total_ms <= one.stay.last_ms - one.stay.first_ms);
        }
    }
}
