//! What is left of somebody in records that are not theirs, when they are erased: who asked them, who scanned them, whom they scanned,
//! whose leads a reader collects, and what is retained. (Whom others block stays theirs.) No index leads there, since nothing but an erasure asks: so it goes through all of a kind, in
//! bounded steps, each from where the one before stopped.

use super::Stop;
use crate::ids::{ConfNo, Uid};
use crate::keys::{self, Key};
use crate::limits::MAX_STEP;
use crate::model::{Checkin, KnownScan, Lead, Mode, ReaderSettings, Retained, Waiting};
use crate::view::View;

type Forget = fn(&mut View<'_>, ConfNo, &Uid, Key) -> Result<(), Stop>;

/// Which kinds of records, and what is done about one; in the order of their keys' prefixes.
const KINDS: [(u8, Forget); 7] =
    [(keys::KNOWN_SCANS, known_scan), (b'2', waiting), (b'H', checkin), (b'L', lead), (b'O', contact), (b'R', retained), (b'd', reader)];

/// A bounded step; where the next begins, `None` at the end.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid, from: Option<&Key>) -> Result<Option<Key>, Stop> {
    let begins = from.and_then(|from| from.first()).copied().unwrap_or_default();
    for (kind, forget) in KINDS.into_iter().filter(|(kind, _)| *kind >= begins) {
        let prefix = keys::all_of(kind, conf);
        let first = from.filter(|from| from.starts_with(&prefix)).unwrap_or(&prefix);
        let found = view.keys_from(first, &prefix, MAX_STEP)?;
        let next = found.last().map(|last| [last, &[0][..]].concat());
        for key in found {
            forget(view, conf, uid, key)?;
        }
        if next.is_some() {
            return Ok(next);
        }
    }
    Ok(None)
}

/// The two uids in a key, with a zero byte between them.
fn pair(key: &[u8]) -> Option<(Uid, Uid)> {
    let (one, other) = std::str::from_utf8(key.get(keys::CONF_KEY_BYTES..)?).ok()?.split_once('\0')?;
    Some((Uid::parse(one).ok()?, Uid::parse(other).ok()?))
}

fn known_scan(view: &mut View<'_>, _: ConfNo, uid: &Uid, key: Key) -> Result<(), Stop> {
    if view.get::<KnownScan>(&key)?.is_some_and(|known| known.user.as_ref() == Some(uid)) {
        view.remove(key);
    }
    Ok(())
}

fn waiting(view: &mut View<'_>, _: ConfNo, uid: &Uid, key: Key) -> Result<(), Stop> {
    if view.get::<Waiting>(&key)?.is_some_and(|waiting| waiting.user == *uid) {
        view.remove(key);
    }
    Ok(())
}

/// Who was checked in by them has come by themselves.
fn checkin(view: &mut View<'_>, _: ConfNo, uid: &Uid, key: Key) -> Result<(), Stop> {
    let known: Option<Checkin> = view.get(&key)?;
    if let (Some(known), Some(bearer)) = (known.filter(|known| known.by == *uid), keys::uid_at(&key, keys::CONF_KEY_BYTES)) {
        view.put(key, &Checkin { by: bearer, ..known });
    }
    Ok(())
}

/// Whom they scanned for somebody, that one has scanned.
fn lead(view: &mut View<'_>, _: ConfNo, uid: &Uid, key: Key) -> Result<(), Stop> {
    let known: Option<Lead> = view.get(&key)?;
    if let (Some(known), Some((owner, _))) = (known.filter(|known| known.by == *uid), pair(&key)) {
        view.put(key, &Lead { by: owner, ..known });
    }
    Ok(())
}

/// They declined, which the other was not told: so only the other's record was left.
fn contact(view: &mut View<'_>, _: ConfNo, uid: &Uid, key: Key) -> Result<(), Stop> {
    if pair(&key).is_some_and(|(_, other)| other == *uid) {
        view.remove(key);
    }
    Ok(())
}

fn retained(view: &mut View<'_>, conf: ConfNo, uid: &Uid, key: Key) -> Result<(), Stop> {
    if view.get::<Retained>(&key)?.is_some_and(|retained| retained.from == *uid) {
        let mut head = view.conference_head(conf)?;
        head.retained = head.retained.saturating_sub(1);
        view.put_conference_head(conf, head);
        view.remove(key);
    }
    Ok(())
}

/// Nobody gets the leads that it scans: until it is set anew it lets nobody in, instead of doing what nobody wanted of it.
fn reader(view: &mut View<'_>, _: ConfNo, uid: &Uid, key: Key) -> Result<(), Stop> {
    let known: Option<ReaderSettings> = view.get(&key)?;
    if let Some(known) = known.filter(|known| known.owner.as_ref() == Some(uid)) {
        let leads_nowhere = ReaderSettings { mode: Mode::Session, format: known.format, ..ReaderSettings::default() };
        view.put(key, &leads_nowhere);
    }
    Ok(())
}
