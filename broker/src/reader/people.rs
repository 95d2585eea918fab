//! The attendee directory.

use std::collections::BTreeSet;

use super::Reader;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::model::User;
use crate::state::{Direction, StateError};
use crate::view::decode;

/// Somebody in the directory.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their uid.
    pub uid: Uid,
    /// Their account.
    pub user: User,
}

/// Most matches of one search.
const SEARCH_MATCHES: usize = 2000;

impl Reader {
    /// Accounts by uid, up to `limit` above `after`; whether these are all.
    ///
    /// # Errors
    /// The state's.
    pub fn people(&self, conf: ConfNo, after: Option<&Uid>, limit: usize) -> Result<(Vec<Person>, bool), StateError> {
        let prefix = keys::users(conf);
        let from = after.map_or(prefix.clone(), |after| [&keys::user(conf, after)[..], &[0]].concat());
        let mut people = Vec::new();
        let mut complete = true;
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, value| {
            let user: User = decode(value)?;
            let Ok(uid) = Uid::parse(std::str::from_utf8(&key[prefix.len()..]).unwrap_or_default()) else { return Ok(true) };
            if user.erased {
                return Ok(true);
            }
            complete = people.len() < limit;
            if complete {
                people.push(Person { uid, user });
            }
            Ok(complete)
        })?;
        Ok((people, complete))
    }

    /// Accounts whose uid or a word of whose name starts with `query`, by uid, up to `limit` above `after`; whether these are all.
    ///
    /// # Errors
    /// The state's.
    pub fn search_people(&self, conf: ConfNo, query: &str, after: Option<&Uid>, limit: usize) -> Result<(Vec<Person>, bool), StateError> {
        let query = query.trim().to_lowercase();
        let mut uids = BTreeSet::new();
        let all = keys::users(conf);
        let by_uid = [&all[..], query.as_bytes()].concat();
        self.visit(&by_uid, Direction::Ascending, |key, _| {
            uids.extend(Uid::parse(std::str::from_utf8(&key[all.len()..]).unwrap_or_default()));
            Ok(uids.len() < SEARCH_MATCHES)
        })?;
        self.visit(&keys::name_word_prefix(conf, &query), Direction::Ascending, |key, _| {
            let uid = key.rsplit(|byte| *byte == 0).next().and_then(|uid| std::str::from_utf8(uid).ok());
            uids.extend(uid.and_then(|uid| Uid::parse(uid).ok()));
            Ok(uids.len() < SEARCH_MATCHES)
        })?;
        let mut people = Vec::new();
        for uid in uids {
            if after.is_some_and(|after| uid <= *after) {
                continue;
            }
            let Some(user) = self.user(conf, &uid)? else { continue };
            if people.len() >= limit {
                return Ok((people, false));
            }
            people.push(Person { uid, user });
        }
        Ok((people, true))
    }
}
