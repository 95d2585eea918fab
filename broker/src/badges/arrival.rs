//! The way of a scan to the hub: the reader's own payload is read by its format, what comes again within moments is answered, the rest is asked of
//! `apply` in one command. The MQTT edge goes it step by step ([`arrive`]), others at once ([`take`], [`scan`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::contents::pretix::Verdict;
use super::{At, Held, Whence, result_publication};
use crate::command::{Action, Actor, Outcome, Reuse};
use crate::edges::Reading;
use crate::hub::Hub;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::limits::{MAX_SHOWN_BYTES, MAX_TAP_CODES, MAX_TAPS, TAP_FUTURE_MS, TAP_PAST_MS};
use crate::model::{Mode, Properties, Publication, ReaderSettings, Realm, ScanReason, Scanned, Signal, Tap, UserRole, Via};
use crate::mqtt::topic::badge_scan_topic;
use crate::reject::{Reason, Reject};
use crate::session::Who;
use crate::state::StateError;
use crate::topic::Telling;

/// The user property of a reader's message that says whose badges are in it of which no result is kept, one after the other: so an erasure finds it.
pub(crate) const KNOWN_OF: &str = "known";

/// What a reader's message comes to before the hub is asked.
pub struct Arrival {
    /// What is to be asked; nothing when there was no badge, or only such as were there just now, unless the protocol calls it a repetition.
    pub action: Option<Action>,
    /// What was answered without: by its place among the taps.
    pub known: Vec<(usize, Scanned)>,
    pub(crate) held: Held,
}

impl Arrival {
    /// Tells the reader what was answered without the hub; once, however often the rest is asked of it.
    pub(crate) fn tell(&self, hub: &Hub, who: &Who) {
        for (_, scanned) in &self.known {
            hub.metrics().doors.scanned(scanned);
            tell(hub, who, scanned);
        }
    }
}

/// What somebody wants scanned.
#[derive(Debug, Clone)]
pub struct Scan {
    /// For what; without it for what they are set to.
    pub mode: Option<Mode>,
    /// Where; without it where they are set to.
    pub conversation: Option<ConversationId>,
    /// The badges.
    pub taps: Vec<Tap>,
}

/// Reads a reader's message. Health is noted, and what comes again within moments is told on the reader's result topic, as is what is no scan.
///
/// # Errors
/// [`Reason::InvalidParams`] for what is no scan, [`Reason::TooLarge`] for too many badges at once, or the state's.
pub fn arrive(hub: &Hub, who: &Who, payload: &[u8], packet: Reuse, whence: Whence) -> Result<Arrival, Reject> {
    let settings = hub.reader().reader_settings(who.conf, &who.uid)?.unwrap_or_default();
    let formats = hub.badge_formats().ok_or(Reason::NotAllowed)?;
    let now_ms = hub.clock().now_ms();
    let nothing = || Arrival { action: None, known: Vec::new(), held: Held::none(&hub.badges().debounce) };
    let format = if settings.format.is_empty() { "auto" } else { &*settings.format };
    let read = match formats.read(format, payload) {
        Ok(Reading::Taps(taps)) => check(&taps).map(|()| taps),
        Ok(Reading::Health { online, detail }) => {
            hub.badges().health.says(who.conf, &who.uid, online, &detail, now_ms, whence);
            return Ok(nothing());
        }
        Ok(Reading::Nothing) => return Ok(nothing()),
        Err(reject) => Err(reject),
    };
    let taps = match read {
        Ok(taps) if taps.is_empty() => return Ok(nothing()),
        Ok(taps) => taps,
        Err(reject) => {
            let scanned = Scanned::refused(ScanReason::Malformed, settings.mode, &Arc::default(), now_ms);
            hub.metrics().doors.scanned(&scanned);
            tell(hub, who, &scanned);
            return Err(reject);
        }
    };
    hub.badges().health.scanned(who.conf, &who.uid, now_ms, whence);
    let at = At { conf: who.conf, reader: &who.uid, mode: settings.mode, conversation: settings.conversation.as_ref() };
    let Sifted { taps, known, known_of, held } = sift(hub, at, taps)?;
    let raw = (!taps.is_empty()).then(|| Arc::new(publication(who, payload, &known_of)));
    // What came before may be on its way to the disk yet: a repetition is acked after it, and so it asks, if only for nothing.
    let is_repetition = matches!(packet, Reuse::Packet { dup: true, .. });
    let is_asked = raw.is_some() || is_repetition;
    let action = is_asked.then_some(Action::Scan { mode: None, conversation: None, taps, raw, packet });
    Ok(Arrival { action, known, held })
}

/// Carries out what a device sent, whatever way it came: what came of each badge, in their order. Durable when it returns.
///
/// # Errors
/// Those of [`arrive`], and the hub's.
pub async fn take(hub: &Hub, who: &Who, payload: &[u8], packet: Reuse, whence: Whence) -> Result<Vec<Scanned>, Reject> {
    let mut arrival = arrive(hub, who, payload, packet, whence)?;
    let actor = Actor { uid: who.uid.clone(), via: Via::Badge, session: 0 };
    let results = carry_out(hub, who.conf, actor, arrival.action.take(), &arrival.known, &arrival.held).await?;
    arrival.tell(hub, who);
    Ok(results)
}

/// Carries out what somebody scanned: what came of each badge, in their order. Durable when it returns.
///
/// # Errors
/// [`Reason::TooLarge`], [`Reason::NotAllowed`], [`Reason::StaffOnly`], and the hub's.
pub async fn scan(hub: &Hub, conf: ConfNo, actor: Actor, scan: Scan) -> Result<Vec<Scanned>, Reject> {
    check(&scan.taps)?;
    let Scan { mode, conversation, taps } = scan;
    let settings = hub.reader().reader_settings(conf, &actor.uid)?;
    let role = hub.reader().user(conf, &actor.uid)?.map(|user| user.role);
    // Everybody can scan, but not everybody is a reader.
    if settings.is_some() || role == Some(UserRole::Device) {
        hub.badges().health.scanned(conf, &actor.uid, hub.clock().now_ms(), Whence::Session(actor.session));
    }
    let at = At {
        conf,
        reader: &actor.uid,
        mode: what_for(mode, settings.as_ref(), role),
        conversation: conversation.as_ref().or(settings.as_ref().and_then(|settings| settings.conversation.as_ref())),
    };
    let Sifted { taps, known, held, .. } = sift(hub, at, taps)?;
    let packet = Reuse::NewMessage;
    let action = (!taps.is_empty()).then_some(Action::Scan { mode, conversation, taps, raw: None, packet });
    let results = carry_out(hub, conf, actor, action, &known, &held).await?;
    known.iter().for_each(|(_, scanned)| hub.metrics().doors.scanned(scanned));
    Ok(results)
}

/// What a scan is for that says `mode`: what who scans is set to; who is set to nothing checks people in, or meets them.
fn what_for(mode: Option<Mode>, settings: Option<&ReaderSettings>, role: Option<UserRole>) -> Mode {
    let default = if role == Some(UserRole::Attendee) { Mode::Meet } else { Mode::default() };
    mode.or(settings.map(|settings| settings.mode)).unwrap_or(default)
}

async fn carry_out(
    hub: &Hub,
    conf: ConfNo,
    actor: Actor,
    action: Option<Action>,
    known: &[(usize, Scanned)],
    held: &Held,
) -> Result<Vec<Scanned>, Reject> {
    let mut results = match action {
        None => Vec::new(),
        Some(action) => match hub.call(conf, actor, action).await {
            Ok(Outcome::Scanned(results)) => results,
            Ok(_) => Vec::new(),
            Err(reject) => {
                held.forget();
                return Err(reject);
            }
        },
    };
    for (at, scanned) in known {
        results.insert((*at).min(results.len()), scanned.clone());
    }
    Ok(results)
}

fn check(taps: &[Tap]) -> Result<(), Reject> {
    let is_long = |tap: &Tap| tap.shown.len() > MAX_SHOWN_BYTES || tap.id.len() > MAX_SHOWN_BYTES || tap.codes.len() > MAX_TAP_CODES;
    if taps.len() > MAX_TAPS || taps.iter().any(is_long) { Err(Reason::TooLarge.into()) } else { Ok(()) }
}

/// What is left of taps when what is known of them is taken out.
struct Sifted {
    /// What is to be asked.
    taps: Vec<Tap>,
    /// What was answered without: by its place among the taps.
    known: Vec<(usize, Scanned)>,
    /// Whose badges those are.
    known_of: BTreeSet<Uid>,
    held: Held,
}

/// Takes out what was there just now, and what is no good ticket.
fn sift(hub: &Hub, place: At<'_>, taps: Vec<Tap>) -> Result<Sifted, StateError> {
    let debounce = &hub.badges().debounce;
    let mode = place.mode;
    let now_ms = hub.clock().now_ms();
    let mut sifted = Sifted { taps: Vec::new(), known: Vec::new(), known_of: BTreeSet::new(), held: Held::none(debounce) };
    for (at, tap) in taps.into_iter().enumerate() {
        let at_ms = likely_time(&tap, now_ms);
        let known_as = |reason| Scanned { id: Arc::clone(&tap.id), ..Scanned::refused(reason, mode, &tap.shown, at_ms) };
        let Some(first) = tap.codes.first() else {
            // What of a batch was no scan.
            sifted.known.push((at, known_as(ScanReason::Malformed)));
            continue;
        };
        // Readers write the same badge in several ways: it is the one that was given out.
        let (code, bearer) = match hub.reader().bearer_meant(place.conf, &tap.codes)? {
            Some((code, uid)) => (code, Some(uid)),
            None => (first, None),
        };
        let scanned = match no_ticket(hub, place.conf, mode, &tap, bearer.as_ref(), at_ms) {
            None if debounce.admits(place, &tap, code, at_ms, &mut sifted.held) => {
                sifted.taps.push(tap);
                continue;
            }
            None => known_as(ScanReason::Duplicate),
            Some(scanned) => scanned,
        };
        sifted.known.push((at, scanned));
        sifted.known_of.extend(bearer);
    }
    Ok(sifted)
}

/// What is told of a ticket that has no good signature, was revoked, or is for another day: nothing of it is stored. `None` for all others.
fn no_ticket(hub: &Hub, conf: ConfNo, mode: Mode, tap: &Tap, bearer: Option<&Uid>, at_ms: u64) -> Option<Scanned> {
    if !hub.knows_ticket_signers() {
        return None;
    }
    let conference = hub.reader().conference_id(conf).ok().flatten()?;
    let reason = match hub.ticket_signers(conference.as_str())?.verdict_of_all(&tap.shown, at_ms) {
        Verdict::NotSigned | Verdict::Good(_) => return None,
        Verdict::Forged => ScanReason::UnknownBadge,
        Verdict::Revoked => ScanReason::Revoked,
        Verdict::NotNow => ScanReason::NotAllowed,
    };
    let mut scanned = Scanned { id: Arc::clone(&tap.id), ..Scanned::refused(reason, mode, &tap.shown, at_ms) };
    if reason != ScanReason::UnknownBadge
        && let Some(uid) = bearer
        && let Some(user) = hub.reader().user(conf, uid).ok().flatten()
    {
        scanned.user = Some(uid.clone());
        scanned.name = user.name;
    }
    Some(scanned)
}

/// A reader's own time, when it can be right; otherwise the server's.
pub(crate) fn likely_time(tap: &Tap, now_ms: u64) -> u64 {
    let is_likely = tap.at_ms >= now_ms.saturating_sub(TAP_PAST_MS) && tap.at_ms <= now_ms + TAP_FUTURE_MS;
    if is_likely { tap.at_ms } else { now_ms }
}

/// Tells a reader what is not stored.
fn tell(hub: &Hub, who: &Who, scanned: &Scanned) {
    let at_ms = hub.clock().now_ms();
    let result = result_publication(who.conference.as_str(), &who.uid, scanned, at_ms);
    let publication = Arc::new(Publication { qos: 0, ..result });
    hub.tell(&Telling::of(who.conf, Signal::Published { from: who.uid.clone(), origin: 0, publication, at_ms }));
}

/// The reader's own message, for the staff.
fn publication(who: &Who, payload: &[u8], known_of: &BTreeSet<Uid>) -> Publication {
    let mut topic = String::new();
    badge_scan_topic(&mut topic, who.conference.as_str(), &who.uid);
    let payload = Bytes::copy_from_slice(payload);
    let properties = (!known_of.is_empty()).then(|| {
        let user = known_of.iter().map(|uid| (KNOWN_OF.into(), uid.as_str().into())).collect();
        Box::new(Properties { user, ..Properties::default() })
    });
    Publication { realm: Realm::Badges, topic: topic.into(), payload, qos: 1, retain: false, expires_ms: u64::MAX, properties }
}

#[cfg(test)]
mod tests;
