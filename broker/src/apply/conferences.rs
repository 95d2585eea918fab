//! Conferences, and the housekeeping of what expires.

use super::{Applied, Ask, Stop};
use crate::command::Outcome;
use crate::ids::{ConfNo, ConferenceId};
use crate::keys;
use crate::limits::MAX_STEP;
use crate::model::{Conference, KnownScan, SignIn, Token};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::{View, decode};

use super::messages::Idempotency;

/// Epochs are JSON numbers in results: 53 bits.
const EPOCH_BITS: u64 = (1 << 53) - 1;

pub(super) fn add(view: &mut View<'_>, id: &ConferenceId, title: &str, sign_in: SignIn, epoch: u64) -> Applied {
    let key = keys::conference(id.as_str());
    if let Some(known) = view.get::<Conference>(&key)? {
        return Ok(Outcome::Conference(known.no));
    }
    view.head.conferences += 1;
    let no = ConfNo(view.head.conferences);
    view.put(key, &Conference { no, title: title.to_owned(), sign_in, epoch: epoch & EPOCH_BITS });
    view.put(keys::conference_id(no), id);
    Ok(Outcome::Conference(no))
}

fn find(view: &View<'_>, conf: ConfNo) -> Result<(ConferenceId, Conference), Stop> {
    let id: ConferenceId = view.get(&keys::conference_id(conf))?.ok_or(Reason::UnknownConference)?;
    let record = view.get(&keys::conference(id.as_str()))?.ok_or(Reason::UnknownConference)?;
    Ok((id, record))
}

pub(super) fn set(view: &mut View<'_>, ask: Ask<'_>, title: Option<&str>, sign_in: Option<SignIn>, epoch: Option<u64>) -> Applied {
    let (id, mut record) = find(view, ask.conf)?;
    if let Some(title) = title {
        title.clone_into(&mut record.title);
    }
    record.sign_in = sign_in.unwrap_or(record.sign_in);
    record.epoch = epoch.map_or(record.epoch, |epoch| epoch & EPOCH_BITS);
    view.put(keys::conference(id.as_str()), &record);
    Ok(Outcome::Done)
}

/// One bounded step of forgetting a conference. Its name goes first, so that nobody comes in any more.
pub(super) fn remove(view: &mut View<'_>, ask: Ask<'_>) -> Applied {
    if let Some(id) = view.get::<ConferenceId>(&keys::conference_id(ask.conf))? {
        view.remove(keys::conference(id.as_str()));
        view.remove(keys::conference_id(ask.conf));
        return Ok(Outcome::Continue(Vec::new()));
    }
    for prefix in keys::of_conference(ask.conf) {
        let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
        if found.is_empty() {
            continue;
        }
        for key in found {
            view.remove(key);
        }
        view.forget_kept();
        return Ok(Outcome::Continue(Vec::new()));
    }
    Ok(Outcome::Done)
}

/// Prefixes of what expires, in the order in which a sweep looks at them.
const EXPIRING: [u8; 3] = [keys::IDEMPOTENCY, keys::TOKENS, keys::KNOWN_SCANS];

/// Where a sweep begins, and where it goes on that has no more of `prefix`.
pub fn swept_after(prefix: Option<u8>) -> Option<keys::Key> {
    let next = prefix.map_or(Some(0), |prefix| EXPIRING.iter().position(|other| *other == prefix).map(|at| at + 1))?;
    EXPIRING.get(next).map(|prefix| vec![*prefix])
}

/// Whether a record is an idempotency key, a token or a known scan that has expired.
pub fn is_expired(key: &[u8], record: &[u8], now_ms: u64) -> Result<bool, StateError> {
    match key.first() {
        Some(&keys::TOKENS) => Ok(decode::<Token>(record)?.is_expired(now_ms)),
        Some(&keys::IDEMPOTENCY) => Ok(decode::<Idempotency>(record)?.is_expired(now_ms)),
        Some(&keys::KNOWN_SCANS) => Ok(decode::<KnownScan>(record)?.is_expired(now_ms)),
        _ => Ok(false),
    }
}

/// One bounded step of forgetting what has expired: idempotency keys, tokens and known scans, in key order.
pub(super) fn sweep(view: &mut View<'_>, ask: Ask<'_>, from: &[u8]) -> Applied {
    let prefix = from.first().copied().filter(|prefix| EXPIRING.contains(prefix)).unwrap_or(EXPIRING[0]);
    let from = if from.is_empty() { &[prefix][..] } else { from };
    let found = view.keys_from(from, &[prefix], MAX_STEP)?;
    for key in &found {
        let expired = match prefix {
            keys::TOKENS => {
                let token = view.get::<Token>(key)?.filter(|token| token.is_expired(ask.at_ms));
                token.map(|token| keys::user_tokens(token.conf, &token.uid))
            }
            keys::KNOWN_SCANS => view.get::<KnownScan>(key)?.filter(|known| known.is_expired(ask.at_ms)).map(|_| Vec::new()),
            _ => view.get::<Idempotency>(key)?.filter(|known| known.is_expired(ask.at_ms)).map(|_| Vec::new()),
        };
        let Some(mut of_user) = expired else { continue };
        if !of_user.is_empty() {
            of_user.extend_from_slice(&key[1..]);
            view.remove(of_user);
        }
        view.remove(key.clone());
    }
    let next = match found.into_iter().next_back() {
        Some(mut last) => {
            last.push(0);
            Some(last)
        }
        None => swept_after(Some(prefix)),
    };
    Ok(next.map_or(Outcome::Done, Outcome::Continue))
}
