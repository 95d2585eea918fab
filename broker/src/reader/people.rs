//! The attendee directory.

use std::collections::{BTreeMap, BTreeSet};

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

/// Entries of an index that are looked at for one search.
const SEARCH_SCAN: usize = 10_000;

impl Reader {
    /// Accounts by uid, those that are `listed`, up to `limit` above `after`; whether these are all.
    ///
    /// # Errors
    /// The state's.
    pub fn people(
        &self,
        conf: ConfNo,
        after: Option<&Uid>,
        limit: usize,
        listed: impl Fn(&User) -> bool,
    ) -> Result<(Vec<Person>, bool), StateError> {
        let prefix = keys::users(conf);
        let from = keys::above(&prefix, after.map(|after| keys::user(conf, after)));
        let mut people = Vec::new();
        let mut complete = true;
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, value| {
            let user: User = decode(value)?;
            let Some(uid) = keys::uid_at(key, prefix.len()) else { return Ok(true) };
            if user.erased || !listed(&user) {
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

    /// Whether somebody has this display name.
    ///
    /// # Errors
    /// The state's.
    pub fn has_name(&self, conf: ConfNo, name: &str) -> Result<bool, StateError> {
        Ok(self.get::<Uid>(&keys::name(conf, name))?.is_some())
    }

    /// Accounts whose uid or a word of whose name starts with `query`, those that are `listed`, by uid, up to `limit` above `after`; whether these are all. Of a query that
    /// so many match that [`SEARCH_SCAN`] does not reach them, not all may be found, and the answer is not complete.
    ///
    /// # Errors
    /// The state's.
    pub fn search_people(
        &self,
        conf: ConfNo,
        query: &str,
        after: Option<&Uid>,
        limit: usize,
        listed: impl Fn(&User) -> bool,
    ) -> Result<(Vec<Person>, bool), StateError> {
        let query = query.trim().to_lowercase();
        let mut found = BTreeMap::new();
        let mut capped = self.search_uids(conf, &query, after, limit, &listed, &mut found)?;
        capped |= self.search_names(conf, &query, after, limit, &listed, &mut found)?;
        let complete = found.len() <= limit && !capped;
        Ok((found.into_iter().take(limit).map(|(uid, user)| Person { uid, user }).collect(), complete))
    }

    /// Adds the first matches by uid, one more than `limit`; whether the scan was cut off.
    fn search_uids(
        &self,
        conf: ConfNo,
        query: &str,
        after: Option<&Uid>,
        limit: usize,
        listed: &impl Fn(&User) -> bool,
        found: &mut BTreeMap<Uid, User>,
    ) -> Result<bool, StateError> {
        let all = keys::users(conf);
        let matching = [&all[..], query.as_bytes()].concat();
        let above = keys::above(&all, after.map(|after| keys::user(conf, after)));
        let (from, end) = (above.max(matching.clone()), keys::end_of(&matching));
        if from >= end {
            return Ok(false);
        }
        let mut visited = 0;
        self.visit_range(&from, &end, Direction::Ascending, |key, value| {
            let user: User = decode(value)?;
            if let Some(uid) = keys::uid_at(key, all.len())
                && !user.erased
                && listed(&user)
            {
                found.insert(uid, user);
            }
            visited += 1;
            Ok(found.len() <= limit && visited < SEARCH_SCAN)
        })?;
        Ok(visited >= SEARCH_SCAN)
    }

    /// Adds the first matches by a word of the name, as they would be by uid; whether the scan was cut off.
    fn search_names(
        &self,
        conf: ConfNo,
        query: &str,
        after: Option<&Uid>,
        limit: usize,
        listed: &impl Fn(&User) -> bool,
        found: &mut BTreeMap<Uid, User>,
    ) -> Result<bool, StateError> {
        let (mut uids, mut visited) = (BTreeSet::new(), 0);
        // By word first: who comes next by uid may be anywhere in it.
        self.visit(&keys::name_word_prefix(conf, query), Direction::Ascending, |key, _| {
            let uid = key.rsplit(|byte| *byte == 0).next().and_then(|uid| std::str::from_utf8(uid).ok());
            let uid = uid.and_then(|uid| Uid::parse(uid).ok()).filter(|uid| after.is_none_or(|after| uid > after));
            uids.extend(uid);
            visited += 1;
            Ok(visited < SEARCH_SCAN)
        })?;
        let mut added = 0;
        for uid in uids {
            if added > limit {
                break;
            }
            if let Some(user) = self.user(conf, &uid)?.filter(listed) {
                found.insert(uid, user);
                added += 1;
            }
        }
        Ok(visited >= SEARCH_SCAN)
    }
}
