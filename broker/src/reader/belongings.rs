//! Whom people block, and what they keep.

use std::sync::Arc;

use super::Reader;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::limits::MAX_NODES;
use crate::model::{Item, Node};
use crate::reject::Reason;
use crate::state::{Direction, StateError};
use crate::view::decode;

impl Reader {
    /// Whether one has blocked the other.
    ///
    /// # Errors
    /// The state's.
    pub fn has_blocked(&self, conf: ConfNo, who: &Uid, whom: &Uid) -> Result<bool, StateError> {
        Ok(self.get::<()>(&keys::block(conf, who, whom))?.is_some())
    }

    /// Why `me` can tell `other` nothing, if it is so.
    ///
    /// # Errors
    /// The state's.
    pub fn block_between(&self, conf: ConfNo, me: &Uid, other: &Uid) -> Result<Option<Reason>, StateError> {
        if self.has_blocked(conf, me, other)? {
            return Ok(Some(Reason::Blocking));
        }
        Ok(self.has_blocked(conf, other, me)?.then_some(Reason::Blocked))
    }

    /// The same of a conversation: a direct one is for one person.
    ///
    /// # Errors
    /// The state's.
    pub fn block_in(&self, conf: ConfNo, me: &Uid, id: &ConversationId) -> Result<Option<Reason>, StateError> {
        id.partner(me).map_or(Ok(None), |partner| self.block_between(conf, me, &partner))
    }

    /// Whom a user has blocked, by uid, up to `limit` above `after`; whether these are all.
    ///
    /// # Errors
    /// The state's.
    pub fn blocked(&self, conf: ConfNo, uid: &Uid, after: Option<&Uid>, limit: usize) -> Result<(Vec<Uid>, bool), StateError> {
        let prefix = keys::blocks(conf, uid);
        let from = keys::above(&prefix, after.map(|after| keys::block(conf, uid, after)));
        let (mut blocked, mut complete) = (Vec::new(), true);
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, _| {
            complete = blocked.len() < limit;
            if complete {
                blocked.extend(keys::uid_at(key, prefix.len()));
            }
            Ok(complete)
        })?;
        Ok((blocked, complete))
    }

    /// A node of a user's items.
    ///
    /// # Errors
    /// The state's.
    pub fn item_node(&self, conf: ConfNo, uid: &Uid, node: &str) -> Result<Option<Node>, StateError> {
        self.get(&keys::node(conf, uid, node))
    }

    /// All nodes of a user's items, by name.
    ///
    /// # Errors
    /// The state's.
    pub fn item_nodes(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<(Arc<str>, Node)>, StateError> {
        let prefix = keys::nodes(conf, uid);
        let mut nodes = Vec::new();
        self.visit(&prefix, Direction::Ascending, |key, value| {
            nodes.push((keys::text_at(key, prefix.len()).unwrap_or_default().into(), decode(value)?));
            Ok(nodes.len() < MAX_NODES as usize)
        })?;
        Ok(nodes)
    }

    /// A kept item.
    ///
    /// # Errors
    /// The state's.
    pub fn item(&self, conf: ConfNo, uid: &Uid, node: &str, id: &str) -> Result<Option<Item>, StateError> {
        self.get(&keys::item(conf, uid, node, id))
    }

    /// The newest `limit` items of a node with their ids, newest first, and no more than it has room for.
    ///
    /// # Errors
    /// The state's.
    pub fn items(&self, conf: ConfNo, uid: &Uid, node: &str, limit: usize) -> Result<Vec<(Arc<str>, Item)>, StateError> {
        let mut items = Vec::new();
        for id in self.item_ids(conf, uid, node, limit)? {
            // One that went meanwhile is passed over.
            if let Some(item) = self.item(conf, uid, node, &id)? {
                items.push((id, item));
            }
        }
        Ok(items)
    }

    /// The ids of the newest `limit` items of a node, newest first.
    ///
    /// # Errors
    /// The state's.
    pub fn item_ids(&self, conf: ConfNo, uid: &Uid, node: &str, limit: usize) -> Result<Vec<Arc<str>>, StateError> {
        let Some(record) = self.item_node(conf, uid, node)? else { return Ok(Vec::new()) };
        let (limit, mut ids) = (limit.min(record.settings.max_items as usize), Vec::new());
        if limit == 0 {
            return Ok(ids);
        }
        self.visit(&keys::item_orders(conf, uid, node), Direction::Descending, |_, value| {
            ids.push(decode::<Arc<str>>(value)?);
            Ok(ids.len() < limit)
        })?;
        Ok(ids)
    }
}
