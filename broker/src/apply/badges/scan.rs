//! The way of a scan: who scans and for what, what the badge is, whether it was uploaded before, what it does, and what the reader is told; all of
//! it in one command.

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::super::{Applied, Ask, Author, Stop, packet_hash, topics};
use super::{announce, checkin, counts, lead, meet, session};
use crate::badges::{KNOWN_OF, PURPOSE, likely_time, result_publication, whose};
use crate::command::{Outcome, Reuse};
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid, key_for};
use crate::keys;
use crate::limits::{IDEMPOTENCY_MS, TAP_PAST_MS};
use crate::model::{Badge, BadgeCode, Body, Direction, KnownScan, Mode, Publication, ReaderSettings, ScanReason, Scanned, Tap, UserRole};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::View;

/// How a scan came.
pub(super) struct Arrival<'a> {
    /// The reader's own message.
    pub raw: Option<&'a Arc<Publication>>,
    /// The packet that it came in.
    pub packet: Reuse,
}

/// Who scans, and for what.
pub(super) struct Desk<'a> {
    pub ask: Ask<'a>,
    pub author: Author,
    pub conference: ConferenceId,
    pub settings: ReaderSettings,
    /// Two badges that are held to it introduce their bearers to each other; otherwise the bearer is introduced to who scans.
    pub is_reader: bool,
}

/// Whose badge was scanned.
pub(super) struct Holder {
    pub uid: Uid,
    pub name: Arc<str>,
    pub role: UserRole,
}

/// What a mode makes of a scan.
pub(super) struct Verdict {
    pub reason: ScanReason,
    /// Where it led.
    pub conversation: Option<ConversationId>,
}

impl From<ScanReason> for Verdict {
    fn from(reason: ScanReason) -> Self {
        Self { reason, conversation: None }
    }
}

pub(super) fn scan(
    view: &mut View<'_>,
    ask: Ask<'_>,
    mode: Option<Mode>,
    conversation: Option<&ConversationId>,
    taps: &[Tap],
    arrival: &Arrival<'_>,
) -> Applied {
    let desk = Desk::of(view, ask, mode, conversation)?;
    if let Some(raw) = arrival.raw
        && are_all_here(view, ask.conf, raw)?
    {
        publish(view, &desk, Arc::clone(raw))?;
    }
    let mut results = Vec::with_capacity(taps.len());
    for (index, tap) in taps.iter().enumerate() {
        let scanned = tapped(view, &desk, tap, arrival, index)?;
        if desk.author.role == UserRole::Device {
            let result = result_publication(desk.conference.as_str(), &ask.actor.uid, &scanned, ask.at_ms);
            publish(view, &desk, Arc::new(result))?;
        }
        results.push(scanned);
    }
    Ok(Outcome::Scanned(results))
}

impl<'a> Desk<'a> {
    /// Devices scan for what they are set to; staff for what they say, and where they are set to when they say nothing; who has a handheld for what it
    /// is set to; everybody else introduces themselves.
    fn of(view: &mut View<'_>, ask: Ask<'a>, mode: Option<Mode>, conversation: Option<&ConversationId>) -> Result<Self, Stop> {
        let author = ask.author(view)?;
        let conference = view.get(&keys::conference_id(ask.conf))?.ok_or(Reason::UnknownConference)?;
        let known: Option<ReaderSettings> = view.get(&keys::reader(ask.conf, &ask.actor.uid))?;
        let is_device = author.role == UserRole::Device;
        let is_reader = is_device || (known.is_some() && mode.is_none());
        let settings = match (known, author.role) {
            (known, role) if role.is_staff() => {
                let known = known.filter(|known| mode.is_none_or(|mode| mode == known.mode)).unwrap_or_default();
                let conversation = conversation.cloned().or(known.conversation);
                ReaderSettings { mode: mode.unwrap_or(known.mode), conversation, ..known }
            }
            (_, UserRole::Attendee) if mode == Some(Mode::Meet) => introducing(),
            (Some(known), _) => known,
            (None, UserRole::Device) => ReaderSettings::default(),
            (None, UserRole::Attendee) => introducing(),
            _ => return Err(Reason::NotAllowed.into()),
        };
        let asks_other =
            mode.is_some_and(|mode| mode != settings.mode) || conversation.is_some_and(|id| settings.conversation.as_ref() != Some(id));
        if asks_other {
            return Err(Reason::NotAllowed.into());
        }
        Ok(Self { ask, author, conference, settings, is_reader })
    }
}

fn introducing() -> ReaderSettings {
    ReaderSettings { mode: Mode::Meet, ..ReaderSettings::default() }
}

fn tapped(view: &mut View<'_>, desk: &Desk<'_>, tap: &Tap, arrival: &Arrival<'_>, index: usize) -> Result<Scanned, Stop> {
    let at_ms = likely_time(tap, desk.ask.at_ms);
    let repeated = identity(view, desk, tap, arrival, index);
    let unknown = Scanned::refused(ScanReason::UnknownBadge, desk.settings.mode, &tap.shown, at_ms);
    let mut scanned = Scanned { id: Arc::clone(&tap.id), ..unknown };
    if let Some(Identity { key, is_asked: true }) = &repeated
        && let Some(known) = view.get::<KnownScan>(key)?.filter(|known| !known.is_expired(desk.ask.at_ms))
    {
        return again(view, desk, scanned, known);
    }
    scanned.scan = counts::next_scan(view, desk.ask.conf)?;
    if let Some((holder, is_revoked)) = find(view, desk, &tap.codes)? {
        let verdict = if is_revoked { ScanReason::Revoked.into() } else { judge(view, desk, &holder, tap, &scanned)? };
        scanned.reason = verdict.reason;
        scanned.accepted = verdict.reason == ScanReason::Ok;
        scanned.conversation = verdict.conversation;
        scanned.user = Some(holder.uid);
        scanned.name = holder.name;
    }
    // Whose badge is not known comes to nothing however often: nobody fills the store with such.
    if let Some(Identity { key, .. }) = repeated.filter(|_| scanned.user.is_some()) {
        let Scanned { scan, accepted, user, conversation, .. } = scanned.clone();
        view.put(key, &KnownScan { came_ms: desk.ask.at_ms, scan, accepted, user, at_ms, conversation });
    }
    Ok(scanned)
}

fn judge(view: &mut View<'_>, desk: &Desk<'_>, holder: &Holder, tap: &Tap, scanned: &Scanned) -> Result<Verdict, Stop> {
    if holder.role == UserRole::Device {
        return Ok(ScanReason::NotAllowed.into());
    }
    // Readers tell when a badge is taken away, too: only a session has anybody leave.
    if tap.direction == Some(Direction::Exit) && desk.settings.mode != Mode::Session {
        return Ok(ScanReason::Ok.into());
    }
    match desk.settings.mode {
        Mode::Checkin => checkin::arrive(view, desk, holder, scanned.at_ms, scanned.scan),
        Mode::Session => session::pass(view, desk, holder, scanned.at_ms, tap.direction),
        Mode::Meet => meet::meet(view, desk, holder, scanned.at_ms),
        Mode::Lead => lead::collect(view, desk, holder, scanned.at_ms),
        Mode::Announce => announce::announce(view, desk, holder),
    }
}

/// The first result again.
fn again(view: &mut View<'_>, desk: &Desk<'_>, scanned: Scanned, known: KnownScan) -> Result<Scanned, Stop> {
    let KnownScan { scan, accepted, user, at_ms, conversation, .. } = known;
    let name = match &user {
        Some(uid) => view.user(desk.ask.conf, uid)?.map_or_else(Arc::default, |user| Arc::clone(&user.name)),
        None => Arc::default(),
    };
    Ok(Scanned { accepted, reason: ScanReason::Duplicate, user, name, scan, at_ms, conversation, ..scanned })
}

/// What tells a tap from others, so that it counts once however often it is uploaded.
struct Identity {
    key: keys::Key,
    /// It may have come before.
    is_asked: bool,
}

/// Whether a reader's time tells a tap from others. A clock that is days ahead or behind still does, even though it does not say when it was: what was
/// too late to count when it first came may be likely when it is uploaded again, or the other way round. One that was never set does not.
fn tells_apart(tap_ms: u64, now_ms: u64) -> bool {
    let from_ms = now_ms.saturating_sub(TAP_PAST_MS + IDEMPOTENCY_MS).max(1);
    (from_ms..=now_ms + IDEMPOTENCY_MS).contains(&tap_ms)
}

/// The reader's own id; without one its time, when that is a time; without both the packet that it came in, when the protocol calls that a
/// repetition.
fn identity(view: &View<'_>, desk: &Desk<'_>, tap: &Tap, arrival: &Arrival<'_>, index: usize) -> Option<Identity> {
    let ask = desk.ask;
    let mut hasher = SipHasher24::new_with_key(&view.head.secret);
    let mut part = |text: &str| {
        hasher.write(text.as_bytes());
        hasher.write_u8(0);
    };
    part(ask.actor.uid.as_str());
    // Readers count from the beginning when they are switched on: the same id for another badge is another scan.
    tap.codes.iter().for_each(|code| part(code.as_str()));
    // For something or somebody else, or the other way, it is another one, too.
    part(desk.settings.mode.word());
    part(desk.settings.conversation.as_ref().map_or("", ConversationId::as_str));
    part(tap.direction.map_or("", Direction::word));
    part(desk.settings.owner.as_ref().map_or("", Uid::as_str));
    let mut is_asked = true;
    if !tap.id.is_empty() {
        hasher.write_u8(1);
        hasher.write(tap.id.as_bytes());
    } else if tells_apart(tap.at_ms, ask.at_ms) {
        hasher.write_u8(2);
        hasher.write_u64(tap.at_ms);
    } else {
        hasher.write_u8(3);
        hasher.write_u128(packet_hash(&view.head.secret, &ask.actor.uid, arrival.packet)?);
        hasher.write_u64(index as u64);
        is_asked = matches!(arrival.packet, Reuse::Packet { dup: true, .. });
    }
    Some(Identity { key: keys::known_scan(ask.conf, hasher.finish128().as_u128()), is_asked })
}

/// Whose badge it is, and whether it is revoked.
fn find(view: &mut View<'_>, desk: &Desk<'_>, codes: &[BadgeCode]) -> Result<Option<(Holder, bool)>, StateError> {
    let conf = desk.ask.conf;
    for code in codes {
        let known: Option<Badge> = view.get(&keys::badge(conf, code))?;
        let (uid, is_revoked) = match known {
            Some(badge) => (badge.user, badge.revoked),
            None => match whose(&key_for(&view.head.secret, PURPOSE), &desk.conference, code) {
                Some(uid) => (uid, false),
                None => continue,
            },
        };
        // Nobody's, when they are erased.
        if let Some(user) = view.user(conf, &uid)? {
            return Ok(Some((Holder { uid, name: Arc::clone(&user.name), role: user.role }, is_revoked)));
        }
    }
    Ok(None)
}

/// Whose own code it is.
pub(super) fn own(view: &mut View<'_>, conf: ConfNo, code: &BadgeCode) -> Result<Option<Uid>, StateError> {
    let Some(conference) = view.get::<ConferenceId>(&keys::conference_id(conf))? else { return Ok(None) };
    let Some(uid) = whose(&key_for(&view.head.secret, PURPOSE), &conference, code) else { return Ok(None) };
    Ok(view.user(conf, &uid)?.map(|_| uid))
}

/// Whether nobody of whom a reader's message says that it has their badge was erased since it was read: of such nothing is kept.
fn are_all_here(view: &mut View<'_>, conf: ConfNo, raw: &Publication) -> Result<bool, StateError> {
    for (name, value) in raw.properties.iter().flat_map(|properties| &properties.user) {
        if **name == *KNOWN_OF
            && let Ok(uid) = Uid::parse(value)
            && view.user(conf, &uid)?.is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends to what is published on topics.
fn publish(view: &mut View<'_>, desk: &Desk<'_>, publication: Arc<Publication>) -> Result<(), Stop> {
    let found = topics::topics(view, desk.ask)?;
    view.append(&found, desk.ask.actor, Arc::clone(&desk.author.name), desk.ask.at_ms, Body::Publication(publication))?;
    Ok(())
}
