//! What people keep on the server for themselves, and show to others if they like: items in nodes (bookmarks, avatars, keys of devices). A node
//! has a record with its settings, each item one with its payload and one that says when it came in, so that the oldest is found at once.

use std::sync::Arc;

use super::{Applied, Ask, Stop};
use crate::command::{Demanded, Outcome};
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::limits::{MAX_ITEM_BYTES, MAX_ITEM_ID_BYTES, MAX_ITEMS, MAX_ITEMS_BYTES, MAX_NODE_BYTES, MAX_NODES, MAX_STEP};
use crate::model::{Belongings, Item, Node, NodeSettings};
use crate::reject::Reason;
use crate::state::StateError;
use crate::view::View;

/// A name that is part of keys.
fn check_name(name: &str, max_bytes: usize) -> Result<(), Reason> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Reason::InvalidParams);
    }
    if name.len() > max_bytes { Err(Reason::TooLarge) } else { Ok(()) }
}

fn check_settings(settings: NodeSettings) -> Result<(), Reason> {
    if (1..=MAX_ITEMS).contains(&settings.max_items) { Ok(()) } else { Err(Reason::InvalidParams) }
}

/// One user's node under change.
struct Shelf<'a> {
    conf: ConfNo,
    uid: &'a Uid,
    name: &'a str,
    belongings: Belongings,
    /// `None` while there is none.
    node: Option<Node>,
}

impl<'a> Shelf<'a> {
    fn find(view: &mut View<'_>, ask: Ask<'a>, name: &'a str) -> Result<Self, Stop> {
        let (conf, uid) = (ask.conf, &ask.actor.uid);
        check_name(name, MAX_NODE_BYTES)?;
        view.user(conf, uid)?.ok_or(Reason::SessionEnded)?;
        let belongings = view.get(&keys::belongings(conf, uid))?.unwrap_or_default();
        let node = view.get(&keys::node(conf, uid, name))?;
        Ok(Self { conf, uid, name, belongings, node })
    }

    /// The node as it is, or as it will be with these settings.
    fn node_or(&self, settings: NodeSettings) -> Result<Node, Reason> {
        match self.node {
            Some(node) => Ok(node),
            None if self.belongings.nodes >= MAX_NODES => Err(Reason::TooManyItems),
            None => Ok(Node { settings, items: 0 }),
        }
    }

    fn put(mut self, view: &mut View<'_>, node: Node) {
        self.belongings.nodes += u32::from(self.node.is_none());
        view.put(keys::node(self.conf, self.uid, self.name), &node);
        view.put(keys::belongings(self.conf, self.uid), &self.belongings);
    }

    fn item(&self, view: &View<'_>, id: &str) -> Result<Option<Item>, StateError> {
        view.get(&keys::item(self.conf, self.uid, self.name, id))
    }

    /// Takes an item out; the caller takes it out of the node's count.
    fn take_out(&mut self, view: &mut View<'_>, id: &str, item: &Item) {
        view.remove(keys::item(self.conf, self.uid, self.name, id));
        view.remove(keys::item_order(self.conf, self.uid, self.name, item.order));
        self.belongings.items = self.belongings.items.saturating_sub(1);
        self.belongings.bytes = self.belongings.bytes.saturating_sub(weight(id, &item.payload));
    }

    /// Takes out the oldest items, down to `keep` or by [`MAX_STEP`] of them; a later change goes on.
    fn trim(&mut self, view: &mut View<'_>, node: &mut Node, keep: u32) -> Result<(), StateError> {
        let excess = (node.items.saturating_sub(keep) as usize).min(MAX_STEP);
        if excess == 0 {
            return Ok(());
        }
        let orders = keys::item_orders(self.conf, self.uid, self.name);
        for key in view.keys_from(&orders, &orders, excess)? {
            let Some(id) = view.get::<String>(&key)? else { continue };
            match self.item(view, &id)? {
                Some(item) => self.take_out(view, &id, &item),
                None => view.remove(key),
            }
            node.items = node.items.saturating_sub(1);
        }
        Ok(())
    }
}

/// What an item counts against the bound of bytes.
fn weight(id: &str, payload: &str) -> u32 {
    u32::try_from(id.len() + payload.len()).unwrap_or(u32::MAX)
}

pub(super) fn keep(
    view: &mut View<'_>,
    ask: Ask<'_>,
    node: &str,
    id: &str,
    payload: &Arc<str>,
    settings: NodeSettings,
    demanded: Demanded,
) -> Applied {
    check_name(id, MAX_ITEM_ID_BYTES)?;
    check_settings(settings)?;
    if payload.len() > MAX_ITEM_BYTES {
        return Err(Reason::TooLarge.into());
    }
    let mut shelf = Shelf::find(view, ask, node)?;
    let mut node = shelf.node_or(settings)?;
    let has = node.settings;
    if demanded.access.is_some_and(|access| access != has.access) || demanded.max_items.is_some_and(|max| max != has.max_items) {
        return Err(Reason::OtherSettings.into());
    }
    let before = shelf.item(view, id)?;
    let Belongings { items, bytes, .. } = shelf.belongings;
    let (old_items, old_bytes) = match &before {
        Some(before) => (1, weight(id, &before.payload)),
        // The oldest makes room for a new one; that its bytes come free, too, is not counted on.
        None => (u32::from(node.items >= node.settings.max_items), 0),
    };
    if items - old_items.min(items) >= MAX_ITEMS || bytes - old_bytes.min(bytes) + weight(id, payload) > MAX_ITEMS_BYTES {
        return Err(Reason::TooManyItems.into());
    }
    if let Some(before) = &before {
        shelf.take_out(view, id, before);
        node.items = node.items.saturating_sub(1);
    }
    let room_for_one = node.settings.max_items.saturating_sub(1);
    shelf.trim(view, &mut node, room_for_one)?;
    let belongings = &mut shelf.belongings;
    belongings.order += 1;
    belongings.items += 1;
    belongings.bytes += weight(id, payload);
    node.items += 1;
    let order = belongings.order;
    view.put(keys::item(ask.conf, shelf.uid, shelf.name, id), &Item { order, at_ms: ask.at_ms, payload: Arc::clone(payload) });
    view.put(keys::item_order(ask.conf, shelf.uid, shelf.name, order), &id);
    shelf.put(view, node);
    Ok(Outcome::Done)
}

pub(super) fn set_node(view: &mut View<'_>, ask: Ask<'_>, node: &str, settings: NodeSettings) -> Applied {
    check_settings(settings)?;
    let mut shelf = Shelf::find(view, ask, node)?;
    let mut node = Node { settings, ..shelf.node_or(settings)? };
    shelf.trim(view, &mut node, settings.max_items)?;
    shelf.put(view, node);
    Ok(Outcome::Done)
}

pub(super) fn drop_item(view: &mut View<'_>, ask: Ask<'_>, node: &str, id: &str) -> Applied {
    check_name(id, MAX_ITEM_ID_BYTES)?;
    let mut shelf = Shelf::find(view, ask, node)?;
    let (Some(mut node), Some(item)) = (shelf.node, shelf.item(view, id)?) else { return Err(Reason::UnknownItem.into()) };
    shelf.take_out(view, id, &item);
    node.items = node.items.saturating_sub(1);
    shelf.put(view, node);
    Ok(Outcome::Done)
}

pub(super) fn drop_node(view: &mut View<'_>, ask: Ask<'_>, name: &str, keep: bool) -> Applied {
    let mut shelf = Shelf::find(view, ask, name)?;
    let mut node = shelf.node.ok_or(Reason::UnknownItem)?;
    shelf.trim(view, &mut node, 0)?;
    let (uid, more) = (shelf.uid, node.items > 0);
    if more || keep {
        shelf.put(view, node);
        return Ok(if more { Outcome::Continue(Vec::new()) } else { Outcome::Done });
    }
    shelf.belongings.nodes = shelf.belongings.nodes.saturating_sub(1);
    view.remove(keys::node(ask.conf, uid, name));
    view.put(keys::belongings(ask.conf, uid), &shelf.belongings);
    Ok(Outcome::Done)
}

/// A bounded step of an erasure: forgets some of what a user blocks and keeps; whether there was any.
pub(super) fn forget_some(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<bool, StateError> {
    // What belongs to something goes before it, so that a check in between finds nothing wrong.
    let all = [keys::user_item_orders(conf, uid), keys::user_items(conf, uid), keys::nodes(conf, uid), keys::blocks(conf, uid)];
    for prefix in all {
        let found = view.keys_from(&prefix, &prefix, MAX_STEP)?;
        if !found.is_empty() {
            found.into_iter().for_each(|key| view.remove(key));
            return Ok(true);
        }
    }
    view.remove(keys::belongings(conf, uid));
    Ok(false)
}
