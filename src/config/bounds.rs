//! Between which values sizes, times and counts lie: what is too small makes a server that does nothing, what is too large one without a bound.

use std::ops::RangeInclusive;

use super::Config;
use super::validate::{Wrong, wrong};

/// An hour: longer than anybody means with a badge that is held to a reader again, or with grace before a push.
const HOUR_MS: u64 = 3_600_000;
/// A day: longer Expo keeps no receipt.
const DAY_MS: u64 = 24 * HOUR_MS;
/// Four weeks: what gateways keep a push for at most.
const FOUR_WEEKS_S: u64 = 28 * 24 * 3600;
/// Pushes under way to one gateway: each is a request in memory, and HTTP/2 services take about as many at once.
const MAX_PER_GATEWAY: u64 = 1000;
/// Longest frame, stanza or text: it is held in memory whole.
const MAX_FRAME_BYTES: u64 = 64 << 20;
/// A batch of commands must fit into a segment of the log, and one is made of zeros at start.
const SEGMENT_BYTES: RangeInclusive<u64> = 4 << 10..=1 << 30;
/// Every server takes as much (RFC 6120 §13.12).
const MIN_STANZA_BYTES: u64 = 10_000;
/// Nesting that extensions need, and what a stack bears.
const DEPTH: RangeInclusive<u64> = 16..=512;
/// How short and long a heartbeat may be.
const HEARTBEAT_MS: RangeInclusive<u64> = 100..=600_000;
/// A hundred years, in hours.
const MAX_TOKEN_HOURS: u64 = 100 * 366 * 24;
/// Of what is only not to be zero.
const SOME: RangeInclusive<u64> = 1..=u64::MAX;

/// The first value that is out of its bounds.
pub fn check(config: &Config) -> Result<(), Wrong> {
    let Config { badges, limits, push, socketio, store, xmpp, .. } = config;
    let bounds = [
        ("badges.debounce_ms", badges.debounce_ms, 0..=HOUR_MS, "milliseconds"),
        ("push.grace_ms", push.grace_ms, 0..=HOUR_MS, "milliseconds"),
        ("push.active_ms", push.active_ms, 0..=DAY_MS, "milliseconds"),
        ("push.per_gateway", push.per_gateway as u64, 1..=MAX_PER_GATEWAY, "requests"),
        ("push.time_to_live_s", push.time_to_live_s, 1..=FOUR_WEEKS_S, "seconds"),
        ("push.expo.receipts_after_s", push.expo.receipts_after().as_secs(), 0..=DAY_MS / 1000, "seconds"),
        ("store.segment_bytes", store.segment_bytes, SEGMENT_BYTES, "bytes"),
        ("limits.frame_bytes", limits.frame_bytes as u64, 1..=MAX_FRAME_BYTES, "bytes"),
        ("limits.text_bytes", limits.text_bytes as u64, 1..=MAX_FRAME_BYTES, "bytes"),
        ("limits.subscriptions_per_session", limits.subscriptions_per_session as u64, SOME, "subscriptions"),
        ("limits.requests_per_session", limits.requests_per_session as u64, SOME, "requests"),
        ("limits.answers_bytes", limits.answers_bytes as u64, SOME, "bytes"),
        ("limits.outbox_events", limits.outbox_events as u64, SOME, "events"),
        ("limits.outbox_bytes", limits.outbox_bytes as u64, SOME, "bytes"),
        ("limits.outboxes_bytes", limits.outboxes_bytes as u64, SOME, "bytes"),
        ("limits.token_hours", limits.token_hours.into(), 1..=MAX_TOKEN_HOURS, "hours"),
        ("xmpp.stanza_bytes", xmpp.stanza_bytes as u64, MIN_STANZA_BYTES..=MAX_FRAME_BYTES, "bytes"),
        ("xmpp.depth_max", xmpp.depth_max as u64, DEPTH, "levels"),
        ("socketio.ping_interval_ms", socketio.ping_interval_ms.into(), HEARTBEAT_MS, "milliseconds"),
        ("socketio.ping_timeout_ms", socketio.ping_timeout_ms.into(), HEARTBEAT_MS, "milliseconds"),
    ];
    match bounds.into_iter().find(|(_, value, bounds, _)| !bounds.contains(value)) {
        None => Ok(()),
        Some((key, value, bounds, unit)) if bounds == SOME => wrong(key, format!("is {value}: takes at least 1, in {unit}")),
        Some((key, value, bounds, unit)) => wrong(key, format!("is {value}: takes {} to {} {unit}", bounds.start(), bounds.end())),
    }
}
