//! Admission: what an edge checks of a draft before it goes into the log. `apply` checks permissions again, since only it sees the state that
//! the command meets; but what is refused here costs no disk.

use std::time::Duration;

use crate::command::Draft;
use crate::ids::Uid;
use crate::limits::{Limits, MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS, MAX_CLIENT_ID_BYTES, MAX_MENTIONS};
use crate::reject::{Reason, Reject};

/// Lets `per_second` through in the long run and `burst` at once (a token bucket, kept as the time at which it is full again).
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    full_at: Duration,
}

impl Rate {
    /// Takes one at time `now`.
    ///
    /// # Errors
    /// [`Reason::MessageRate`] with the time to wait.
    pub fn take(&mut self, now: Duration, per_second: u32, burst: u32) -> Result<(), Reject> {
        if per_second == 0 {
            return Ok(());
        }
        let one = Duration::from_secs(1) / per_second;
        let full_at = self.full_at.max(now) + one;
        let wait = full_at.saturating_sub(now + one * burst.max(1));
        if wait.is_zero() {
            self.full_at = full_at;
            return Ok(());
        }
        let retry_after_ms = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        Err(Reject { reason: Reason::MessageRate, retry_after_ms: Some(retry_after_ms) })
    }
}

/// The bounds of a text.
///
/// # Errors
/// [`Reason::InvalidParams`] for an empty one, [`Reason::TextTooLarge`].
pub fn check_text(text: &str, limits: &Limits) -> Result<(), Reject> {
    if text.is_empty() {
        return Err(Reason::InvalidParams.into());
    }
    if text.len() > limits.text_bytes { Err(Reason::TextTooLarge.into()) } else { Ok(()) }
}

/// The bounds of a draft's parts.
///
/// # Errors
/// Which one is broken.
pub fn check_draft(draft: &Draft, limits: &Limits) -> Result<(), Reject> {
    check_text(&draft.text, limits)?;
    let named = |mention: &str| mention == "*" || Uid::parse(mention).is_ok();
    if draft.client_id.len() > MAX_CLIENT_ID_BYTES || !draft.mentions.iter().take(MAX_MENTIONS).all(|mention| named(mention)) {
        return Err(Reason::InvalidParams.into());
    }
    let attachments_fit =
        draft.attachments.len() <= MAX_ATTACHMENTS && draft.attachments.iter().all(|url| url.len() <= MAX_ATTACHMENT_BYTES);
    if draft.mentions.len() > MAX_MENTIONS || !attachments_fit {
        return Err(Reason::TooLarge.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut rate = Rate::default();
        let mut now = Duration::from_secs(100);
        for _ in 0..1000 {
            rate.take(now, 100, 1000).unwrap();
        }
        let refused = rate.take(now, 100, 1000).unwrap_err();
        assert_eq!(refused.reason, Reason::MessageRate);
        assert_eq!(refused.retry_after_ms, Some(10));
        now += Duration::from_millis(10);
        rate.take(now, 100, 1000).unwrap();
        assert!(rate.take(now, 100, 1000).is_err());
        let mut passed = 0;
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            passed += u32::from(rate.take(now, 100, 1000).is_ok());
        }
        assert!((995..=1005).contains(&passed), "{passed} in 10 s");
    }

    #[test]
    fn mentions_are_uids_or_all() {
        let draft = |mention: &str| Draft {
            conversation: crate::ids::ConversationId::parse("lobby").unwrap(),
            client_id: "1".into(),
            reuse: crate::command::Reuse::Conflict,
            text: "hi".into(),
            reply_to: None,
            mentions: vec![mention.into()],
            attachments: Vec::new(),
        };
        for good in ["*", "alice"] {
            check_draft(&draft(good), &Limits::default()).unwrap();
        }
        for bad in ["", "**", "Alice", &"x".repeat(65)] {
            assert_eq!(check_draft(&draft(bad), &Limits::default()).unwrap_err().reason, Reason::InvalidParams, "{bad}");
        }
    }

    #[test]
    fn zero_switches_it_off() {
        let mut rate = Rate::default();
        assert!((0..10_000).all(|_| rate.take(Duration::ZERO, 0, 1).is_ok()));
    }
}
