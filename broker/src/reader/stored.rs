//! What is stored with applications' topics.

use super::Reader;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::MAX_STORED_MESSAGES;
use crate::model::Stored;
use crate::state::{Direction, StateError};
use crate::view::decode;

impl Reader {
    /// What is stored with a topic above `after` and up to `through`, oldest first.
    ///
    /// # Errors
    /// The state's.
    pub fn stored(&self, conf: ConfNo, topic: &str, after: u64, through: u64) -> Result<Vec<Stored>, StateError> {
        let mut found = Vec::new();
        let (from, to) = (keys::stored(conf, topic, after.saturating_add(1)), keys::end_of(&keys::stored(conf, topic, through)));
        self.visit_range(&from, &to, Direction::Ascending, |_, value| {
            found.push(decode(value)?);
            Ok(found.len() < MAX_STORED_MESSAGES as usize)
        })?;
        Ok(found)
    }

    /// A step over what somebody stored with topics, from the key `from` on: up to `limit`, and where to go on.
    ///
    /// # Errors
    /// The state's.
    pub fn stored_by(
        &self,
        conf: ConfNo,
        uid: &Uid,
        from: Option<&keys::Key>,
        limit: usize,
    ) -> Result<(Vec<Stored>, Option<keys::Key>), StateError> {
        let all = keys::all_stored_by(conf, uid);
        let (mut named, mut next) = (Vec::new(), None);
        self.visit_range(from.unwrap_or(&all), &keys::end_of(&all), Direction::Ascending, |key, value| {
            if named.len() >= limit {
                next = Some(key.to_vec());
                return Ok(false);
            }
            named.push((keys::pos_of_stored(key), decode::<String>(value)?));
            Ok(true)
        })?;
        let mut found = Vec::new();
        for (pos, topic) in named {
            found.extend(self.get(&keys::stored(conf, &topic, pos))?);
        }
        Ok((found, next))
    }
}
