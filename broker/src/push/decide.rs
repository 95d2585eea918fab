//! Whether somebody is pushed a message, and when: a pure question of what is known of both.

use crate::model::{Attention, Kind, Level, PushSettings};

const MINUTES_PER_DAY: i64 = 24 * 60;
const MINUTE_MS: u64 = 60_000;

/// What is known of a member and a message.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    /// The conversation's kind.
    pub kind: Kind,
    /// They are in the conversation.
    pub is_member: bool,
    /// They wrote it.
    pub is_author: bool,
    /// It was taken back.
    pub is_deleted: bool,
    /// Their read marker is at it or above.
    pub has_read: bool,
    /// They are named in it.
    pub names_them: bool,
    /// What of the conversation they want.
    pub attention: Attention,
    /// What of all.
    pub settings: &'a PushSettings,
    /// When they last did something with a session that lives, Unix ms.
    pub last_active_ms: Option<u64>,
}

/// When somebody is pushed a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Now,
    /// At the end of their quiet hours, Unix ms.
    From(u64),
}

/// Why somebody is not pushed a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    NotAMember,
    Own,
    Deleted,
    Read,
    Unwanted,
    There,
    Blocked,
}

/// Decides, at `now_ms`; who did something since `since_ms` is there.
pub(super) fn decide(facts: &Facts<'_>, now_ms: u64, since_ms: u64) -> Result<When, Why> {
    let tests = [
        (!facts.is_member, Why::NotAMember),
        (facts.is_author, Why::Own),
        (facts.is_deleted, Why::Deleted),
        (facts.has_read, Why::Read),
        (facts.attention.is_muted(now_ms) || !is_wanted(facts), Why::Unwanted),
        (facts.last_active_ms.is_some_and(|last_ms| last_ms >= since_ms), Why::There),
    ];
    match tests.into_iter().find(|(holds, _)| *holds) {
        Some((_, why)) => Err(why),
        None => Ok(quiet_until_ms(facts.settings, now_ms).map_or(When::Now, When::From)),
    }
}

fn is_wanted(facts: &Facts<'_>) -> bool {
    let own = Some(facts.attention.level).filter(|level| *level != Level::Default);
    match own.unwrap_or(facts.settings.level) {
        Level::All => true,
        Level::Mentions => facts.names_them,
        Level::None => false,
        Level::Default => matches!(facts.kind, Kind::Direct | Kind::Announcements) || facts.names_them,
    }
}

/// When the quiet hours end that it is in; within a day.
fn quiet_until_ms(settings: &PushSettings, now_ms: u64) -> Option<u64> {
    let now_minutes = now_ms / MINUTE_MS;
    let minutes = i64::try_from(now_minutes).unwrap_or(i64::MAX / 2) + i64::from(settings.utc_offset_minutes);
    let minute = minutes.rem_euclid(MINUTES_PER_DAY);
    let (from, to) = (i64::from(settings.quiet_minutes.0), i64::from(settings.quiet_minutes.1));
    let is_quiet = if from <= to { (from..to).contains(&minute) } else { !(to..from).contains(&minute) };
    let left = (to - minute).rem_euclid(MINUTES_PER_DAY).unsigned_abs();
    is_quiet.then(|| now_minutes.saturating_add(left).saturating_mul(MINUTE_MS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    /// Noon of some day.
    const NOON_MS: u64 = 20_000 * 24 * HOUR_MS + 12 * HOUR_MS;

    fn facts(settings: &PushSettings) -> Facts<'_> {
        Facts {
            kind: Kind::Direct,
            is_member: true,
            is_author: false,
            is_deleted: false,
            has_read: false,
            names_them: false,
            attention: Attention::default(),
            settings,
            last_active_ms: None,
        }
    }

    #[test]
    fn an_idle_desktop_does_not_silence_the_phone_and_a_busy_one_does() {
        let settings = PushSettings::default();
        let since_ms = NOON_MS - 3000 - 60_000;
        let active_at = |last_ms| decide(&Facts { last_active_ms: Some(last_ms), ..facts(&settings) }, NOON_MS, since_ms);
        assert_eq!(decide(&facts(&settings), NOON_MS, since_ms), Ok(When::Now));
        assert_eq!(active_at(since_ms - 1), Ok(When::Now));
        for there in [since_ms, NOON_MS - 3000, NOON_MS] {
            assert_eq!(active_at(there), Err(Why::There));
        }
    }

    #[test]
    fn the_conversations_level_counts_before_the_one_for_all_and_that_before_its_kind() {
        let wanted = |kind, of_all, own, names_them| {
            let settings = PushSettings { level: of_all, ..PushSettings::default() };
            let attention = Attention { level: own, silent_until_ms: 0 };
            decide(&Facts { kind, names_them, attention, ..facts(&settings) }, NOON_MS, 0).is_ok()
        };
        use Level::{All, Default, Mentions, None};
        for kind in [Kind::Direct, Kind::Announcements] {
            assert!(wanted(kind, Default, Default, false));
            assert!(!wanted(kind, Mentions, Default, false) && wanted(kind, Mentions, Default, true));
        }
        for kind in [Kind::Channel, Kind::Group] {
            assert!(!wanted(kind, Default, Default, false) && wanted(kind, Default, Default, true));
            assert!(wanted(kind, Default, All, false) && wanted(kind, All, Default, false) && wanted(kind, None, All, false));
            assert!(!wanted(kind, All, None, true) && !wanted(kind, None, Default, true) && !wanted(kind, All, Mentions, false));
        }
    }

    #[test]
    fn quiet_hours_are_by_the_users_clock_and_go_over_midnight() {
        let at = |utc_hour: u64, from: u16, to: u16, offset: i16| {
            let settings = PushSettings { quiet_minutes: (from * 60, to * 60), utc_offset_minutes: offset, ..PushSettings::default() };
            decide(&facts(&settings), NOON_MS - 12 * HOUR_MS + utc_hour * HOUR_MS, 0)
        };
        let until = |utc_hour: u64| Ok(When::From(NOON_MS - 12 * HOUR_MS + utc_hour * HOUR_MS));
        for (quiet, end) in [(22, 31), (23, 31), (0, 7), (3, 7), (6, 7)] {
            assert_eq!(at(quiet, 22, 7, 0), until(end), "{quiet}");
        }
        for loud in [7, 12, 21] {
            assert_eq!(at(loud, 22, 7, 0), Ok(When::Now), "{loud}");
        }
        assert_eq!(at(21, 22, 7, 60), until(30));
        assert_eq!(at(6, 22, 7, 60), Ok(When::Now));
        assert_eq!(at(3, 22, 7, -480), Ok(When::Now));
        assert_eq!(at(12, 11, 13, 0), until(13));
        assert_eq!(at(12, 9, 9, 0), Ok(When::Now), "from then until then is never");
    }

    #[test]
    fn a_silence_ends() {
        let settings = PushSettings::default();
        let silenced = |now_ms| {
            let attention = Attention { level: Level::Default, silent_until_ms: NOON_MS };
            decide(&Facts { attention, ..facts(&settings) }, now_ms, 0)
        };
        assert_eq!((silenced(NOON_MS - 1), silenced(NOON_MS)), (Err(Why::Unwanted), Ok(When::Now)));
    }

    proptest! {
        #[test]
        fn nobody_is_pushed_their_own_or_what_is_read_gone_or_not_theirs(
            is_member: bool, is_author: bool, is_deleted: bool, has_read: bool, names_them: bool, level in 0..4usize, now_ms: u64, since_ms: u64,
            last_active_ms: Option<u64>, quiet_minutes in (0..1440u16, 0..1440u16), utc_offset_minutes in -840..840i16,
        ) {
            let level = [Level::Default, Level::All, Level::Mentions, Level::None][level];
            let settings = PushSettings { level, content: true, quiet_minutes, utc_offset_minutes };
            let facts = Facts { is_member, is_author, is_deleted, has_read, names_them, last_active_ms, ..facts(&settings) };
            let decided = decide(&facts, now_ms, since_ms);
            if let Ok(When::From(until_ms)) = decided {
                // Unless time itself ends.
                prop_assert!(now_ms > u64::MAX / 2 || (now_ms + 1..=now_ms + 24 * HOUR_MS).contains(&until_ms));
                prop_assert!(now_ms > u64::MAX / 2 || decide(&facts, until_ms, since_ms) == Ok(When::Now));
            }
            if decided.is_ok() {
                prop_assert!(is_member && !is_author && !is_deleted && !has_read && level != Level::None);
                prop_assert!(last_active_ms.is_none_or(|last_ms| last_ms < since_ms));
            }
        }
    }
}
