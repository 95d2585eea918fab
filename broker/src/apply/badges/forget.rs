//! What an erasure takes along of what badges led to, and how it finds the words that were made of it.

use super::super::Stop;
use super::{checkin, contacts, import, lead, readers, take};
use crate::badges::KNOWN_OF;
use crate::canonical::names;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{MAX_BADGES, MAX_TAPS};
use crate::model::{BadgeCode, Body, Entry, Realm};
use crate::state::StateError;
use crate::view::{Found, View};

/// A bounded step of an erasure: forgets some of what badges led to for a user; whether there was any.
pub(in super::super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, Stop> {
    Ok(forget_badges(view, conf, uid)? || contacts::forget_some(view, conf, uid)? || lead::forget_some(view, conf, uid)?)
}

fn forget_badges(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, Stop> {
    let prefix = keys::user_badges(conf, uid);
    let found = view.keys_from(&prefix, &prefix, MAX_BADGES as usize)?;
    if found.is_empty() {
        return Ok(false);
    }
    for key in found {
        if let Some(code) = keys::text_at(&key, prefix.len()) {
            take(view, conf, &BadgeCode(code.into()), uid)?;
        }
        view.remove(key);
    }
    Ok(true)
}

/// The last of it, which is one record of each kind.
pub(in super::super) fn forget_last(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<(), Stop> {
    checkin::forget(view, conf, uid)?;
    import::forget(view, conf, uid)?;
    if let Some(before) = view.get(&keys::reader(conf, uid))? {
        view.remove(keys::reader(conf, uid));
        readers::leave(view, conf, &before)?;
    }
    view.remove(keys::waiting_tap(conf, uid));
    view.remove(keys::bearer(conf, uid));
    Ok(())
}

/// How the topics end that readers tell their scans on; among those of badges no other does.
const SCAN: &str = "/scan";

/// Whether it is what a badge reader sent or was told about somebody, or what was announced of them.
pub(in super::super) fn is_about(entry: &Entry, uid: &Uid) -> bool {
    match &entry.body {
        Body::Publication(publication) if publication.realm == Realm::Badges => match &publication.properties {
            Some(properties) if publication.topic.ends_with(SCAN) => {
                properties.user.iter().any(|(name, value)| **name == *KNOWN_OF && **value == *uid.as_str())
            }
            _ => names(&publication.payload, uid),
        },
        _ => entry.announces(uid),
    }
}

/// The reader's own message that the result at `seq` is of, when there is something left of it: it says what was scanned, but not whose it is. One
/// command appends it and then its results.
pub(in super::super) fn raw_of(view: &View<'_>, found: &Found, seq: u64, result: &Entry) -> Result<Option<(u64, Entry)>, StateError> {
    if matches!(&result.body, Body::Publication(publication) if publication.topic.ends_with(SCAN)) {
        return Ok(None);
    }
    for before in (seq.saturating_sub(MAX_TAPS as u64)..seq).rev() {
        let Some(entry) = view.entry(found, before)? else { return Ok(None) };
        let Body::Publication(publication) = &entry.body else { return Ok(None) };
        if publication.realm != Realm::Badges || entry.from != result.from || entry.ts_ms != result.ts_ms {
            return Ok(None);
        }
        if publication.topic.ends_with(SCAN) {
            return Ok(Some((before, entry)).filter(|(_, entry)| matches!(&entry.body, Body::Publication(raw) if !raw.payload.is_empty())));
        }
    }
    Ok(None)
}
