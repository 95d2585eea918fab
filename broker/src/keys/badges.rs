//! Keys of badges, of the readers that they are held to, and of what scans lead to.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{Key, conf_key, conv_key, user_key};
use crate::ids::{ConfNo, ConvNo, Uid};
use crate::model::BadgeCode;

/// Prefix of scans that may be uploaded again.
pub const KNOWN_SCANS: u8 = b'1';

/// A badge.
#[must_use]
pub fn badge(conf: ConfNo, code: &BadgeCode) -> Key {
    conf_key(b'A', conf, code.as_str().as_bytes())
}

/// All badges of a conference.
#[must_use]
pub fn badges(conf: ConfNo) -> Key {
    conf_key(b'A', conf, b"")
}

/// The code at the end of a badge's key; `None` for a key of something else.
#[must_use]
pub fn code_of_badge(key: &[u8]) -> Option<BadgeCode> {
    let (_, code) = key.strip_prefix(b"A")?.split_first_chunk::<4>()?;
    Some(BadgeCode(std::str::from_utf8(code).ok()?.into()))
}

/// All badges of a user.
#[must_use]
pub fn user_badges(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'J', conf, uid)
}

/// That a badge is a user's.
#[must_use]
pub fn user_badge(conf: ConfNo, uid: &Uid, code: &BadgeCode) -> Key {
    let mut key = user_badges(conf, uid);
    key.extend_from_slice(code.as_str().as_bytes());
    key
}

/// What a reader scans for.
#[must_use]
pub fn reader(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'd', conf, uid.as_str().as_bytes())
}

/// All readers of a conference.
#[must_use]
pub fn readers(conf: ConfNo) -> Key {
    conf_key(b'd', conf, b"")
}

/// That somebody has arrived.
#[must_use]
pub fn checkin(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'H', conf, uid.as_str().as_bytes())
}

/// Everybody who has.
#[must_use]
pub fn checkins(conf: ConfNo) -> Key {
    conf_key(b'H', conf, b"")
}

/// A lead.
#[must_use]
pub fn lead(conf: ConfNo, owner: &Uid, attendee: &Uid) -> Key {
    let mut key = leads(conf, owner);
    key.extend_from_slice(attendee.as_str().as_bytes());
    key
}

/// All leads of an owner.
#[must_use]
pub fn leads(conf: ConfNo, owner: &Uid) -> Key {
    user_key(b'L', conf, owner)
}

/// That an owner has an attendee as a lead.
#[must_use]
pub fn holder(conf: ConfNo, attendee: &Uid, owner: &Uid) -> Key {
    let mut key = holders(conf, attendee);
    key.extend_from_slice(owner.as_str().as_bytes());
    key
}

/// All who have an attendee as a lead.
#[must_use]
pub fn holders(conf: ConfNo, attendee: &Uid) -> Key {
    user_key(b'M', conf, attendee)
}

/// Somebody's coming to and going from a session.
#[must_use]
pub fn attendance(conf: ConfNo, conv: ConvNo, uid: &Uid) -> Key {
    conv_key(b'N', conf, conv, uid.as_str().as_bytes())
}

/// Everybody's at all sessions, session by session.
#[must_use]
pub fn all_attendances(conf: ConfNo) -> Key {
    conf_key(b'N', conf, b"")
}

/// Everybody's.
#[must_use]
pub fn attendances(conf: ConfNo, conv: ConvNo) -> Key {
    conv_key(b'N', conf, conv, b"")
}

/// Where somebody stands with somebody else.
#[must_use]
pub fn contact(conf: ConfNo, uid: &Uid, other: &Uid) -> Key {
    let mut key = contacts(conf, uid);
    key.extend_from_slice(other.as_str().as_bytes());
    key
}

/// Where somebody stands with others.
#[must_use]
pub fn contacts(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'O', conf, uid)
}

/// A scan that may be uploaded again, by a hash of what tells it from others.
#[must_use]
pub fn known_scan(conf: ConfNo, hash: u128) -> Key {
    conf_key(KNOWN_SCANS, conf, &hash.to_be_bytes())
}

/// The tap that waits for a second one at a reader.
#[must_use]
pub fn waiting_tap(conf: ConfNo, reader: &Uid) -> Key {
    conf_key(b'2', conf, reader.as_str().as_bytes())
}

/// Who is inside a session, counted.
#[must_use]
pub fn occupancy(conf: ConfNo, conv: ConvNo) -> Key {
    conv_key(b'3', conf, conv, b"")
}

/// What the organisers know of an attendee.
#[must_use]
pub fn attendee(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'4', conf, uid.as_str().as_bytes())
}

/// Who has a ticket of the ticket shop. Its text may be longer than a key should be.
#[must_use]
pub fn ticket(conf: ConfNo, external: &str) -> Key {
    let mut hasher = SipHasher24::new();
    hasher.write(external.as_bytes());
    conf_key(b'5', conf, &hasher.finish128().as_bytes())
}

/// What somebody is counted for.
#[must_use]
pub fn bearer(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'6', conf, uid.as_str().as_bytes())
}

/// What everybody is counted for.
#[must_use]
pub fn bearers(conf: ConfNo) -> Key {
    conf_key(b'6', conf, b"")
}

/// What a conference's badges come to.
#[must_use]
pub fn badge_totals(conf: ConfNo) -> Key {
    conf_key(b'7', conf, b"")
}
