//! Personal eventing (XEP-0163): nodes of an account, with items (XEP-0060, as much of it as clients use). The owner publishes, retracts, configures and
//! deletes; others read what is open or for those who see the owner's presence: in a conference that is everybody, but whom the owner has
//! blocked. There are no subscriptions but those by capabilities: who is to be told is the sessions' to find.

pub mod disco;
pub mod event;
mod form;
pub mod owner;

use std::sync::Arc;

use data_encoding::HEXLOWER;
use hallway_broker::clock;
use hallway_broker::command::{Action, Demanded};
use hallway_broker::hub::Reader;
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::limits::MAX_ITEMS;
use hallway_broker::model::{Access, Item, Node, NodeSettings, User};
use hallway_broker::reject::{Reason, Reject};
use minidom::Element;

use super::{Answer, Answered, Asking, OURS, Push, as_text, ns, refused};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// What disco says of an account: PEP's identity is `pubsub`, `pep`.
pub const FEATURES: &[&str] = &[
    ns::PUBSUB,
    "http://jabber.org/protocol/pubsub#access-open",
    "http://jabber.org/protocol/pubsub#access-presence",
    "http://jabber.org/protocol/pubsub#access-whitelist",
    "http://jabber.org/protocol/pubsub#auto-create",
    "http://jabber.org/protocol/pubsub#auto-subscribe",
    "http://jabber.org/protocol/pubsub#config-node",
    "http://jabber.org/protocol/pubsub#config-node-max",
    "http://jabber.org/protocol/pubsub#create-and-configure",
    "http://jabber.org/protocol/pubsub#create-nodes",
    "http://jabber.org/protocol/pubsub#delete-items",
    "http://jabber.org/protocol/pubsub#delete-nodes",
    "http://jabber.org/protocol/pubsub#filtered-notifications",
    "http://jabber.org/protocol/pubsub#item-ids",
    "http://jabber.org/protocol/pubsub#last-published",
    "http://jabber.org/protocol/pubsub#multi-items",
    "http://jabber.org/protocol/pubsub#persistent-items",
    "http://jabber.org/protocol/pubsub#publish",
    "http://jabber.org/protocol/pubsub#publish-options",
    "http://jabber.org/protocol/pubsub#purge-nodes",
    "http://jabber.org/protocol/pubsub#retract-items",
    "http://jabber.org/protocol/pubsub#retrieve-items",
    // Avatars (XEP-0398) and bookmarks (XEP-0402 §4) are the same in their older forms.
    "urn:xmpp:pep-vcard-conversion:0",
    "urn:xmpp:bookmarks:1#compat",
];

/// Nodes that only their owner reads, unless they say otherwise.
const PRIVATE: &[&str] = &[ns::BOOKMARKS, ns::STORAGE, "urn:xmpp:mds:displayed:0"];
/// Nodes with an item for each room, chat or device, unless they say otherwise; others have one item (XEP-0163 §4.3.2).
const MANY: &[&str] = &[ns::BOOKMARKS, "urn:xmpp:mds:displayed:0", "urn:xmpp:omemo:2:bundles"];
/// Nodes of keys (XEP-0384): who writes to a person for the first time needs them.
const OPEN: &[&str] = &["urn:xmpp:omemo:", "eu.siacs.conversations.axolotl."];
/// Items that one request names: each is a command of its own.
const MAX_NAMED: usize = 64;

/// The settings of a node that is made by its first item.
pub(super) fn settings_of(node: &str) -> NodeSettings {
    let access = if PRIVATE.contains(&node) {
        Access::Private
    } else if OPEN.iter().any(|open| node.starts_with(open)) {
        Access::Open
    } else {
        Access::Presence
    };
    NodeSettings { access, max_items: if MANY.contains(&node) { MAX_ITEMS } else { 1 } }
}

/// Who reads a node of the asker's.
pub(super) fn access_of(asking: &Asking<'_>, node: &str) -> Access {
    // When it cannot be read: nobody is told too much.
    let found = asking.hub.reader().item_node(asking.who.conf, asking.me(), node);
    found.map_or(Access::Private, |found| found.map_or(settings_of(node).access, |found| found.settings.access))
}

/// A node's name that a client may use.
fn named(name: Option<&str>) -> Result<&str, StanzaError> {
    let name = name.filter(|name| !name.is_empty()).ok_or(refused(Condition::NodeIdRequired, "which node?"))?;
    if name.starts_with(OURS) { Err(refused(Condition::NotAllowed, "names of nodes do not begin with ~")) } else { Ok(name) }
}

/// Whether somebody has such a node that the asker may read.
pub(super) fn has_node(asking: &Asking<'_>, owner: &Uid, name: Option<&str>) -> bool {
    let Ok(name) = named(name) else { return false };
    let found = asking.hub.reader().item_node(asking.who.conf, owner, name).ok().flatten();
    found.is_some_and(|node| asking.me() == owner || node.settings.access != Access::Private)
}

/// The node, when `asker` may read it.
fn readable(reader: &Reader, conf: ConfNo, owner: &Uid, asker: &Uid, name: &str) -> Result<Option<Node>, Reject> {
    let node = reader.item_node(conf, owner, name)?.ok_or(Reason::UnknownItem)?;
    Ok((asker == owner || node.settings.access != Access::Private).then_some(node))
}

fn closed() -> StanzaError {
    refused(Condition::ClosedNode, "only the owner reads this node")
}

pub(super) async fn answer(asking: &Asking<'_>, owner: &Uid, is_set: bool, pubsub: &Element) -> Answer {
    let child = |name: &str| pubsub.get_child(name, ns::PUBSUB);
    if is_set {
        asking.check_owner(owner)?;
    }
    match is_set {
        true => match (child("publish"), child("retract"), child("create")) {
            (Some(publish), None, None) => self::publish(asking, publish, child("publish-options")).await,
            (None, Some(retract), None) => self::retract(asking, retract).await,
            (None, None, Some(create)) => owner::create(asking, create, child("configure")).await,
            _ => Err(refused(Condition::FeatureNotImplemented, "nodes are followed by capabilities")),
        },
        false => match child("items") {
            Some(items) => self::items(asking, owner, items).await,
            None => Err(refused(Condition::FeatureNotImplemented, "items can be got, no more")),
        },
    }
}

/// §7.1: an item, or some.
async fn publish(asking: &Asking<'_>, publish: &Element, options: Option<&Element>) -> Answer {
    let node = named(publish.attr("node"))?;
    let items: Vec<&Element> = publish.children().filter(|child| child.is("item", ns::PUBSUB)).collect();
    if items.is_empty() {
        return Err(refused(Condition::ItemRequired, "no item"));
    }
    if items.len() > MAX_NAMED {
        return Err(refused(Condition::PolicyViolation, "too many items at once"));
    }
    let demanded = options.map_or(Ok(Demanded::default()), form::demanded)?;
    // What is demanded of a node that is not there is how it is made (§7.1.5).
    let of_its_kind = settings_of(node);
    let settings = NodeSettings {
        access: demanded.access.unwrap_or(of_its_kind.access),
        max_items: demanded.max_items.unwrap_or(of_its_kind.max_items),
    };
    let mut kept: Vec<(String, String)> = Vec::new();
    for item in items {
        let payload = payload_of(asking, node, item)?;
        let id = item.attr("id").filter(|id| !id.is_empty()).map_or_else(|| HEXLOWER.encode(&clock::random::<16>()), str::to_owned);
        asking.keep(node, &id, payload.as_str(), settings, demanded).await?;
        kept.push((id, payload));
    }
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("pubsub", ns::PUBSUB).inside().open_child("publish").attr("node", node).inside();
    for (id, _) in &kept {
        xml.open_child("item").attr("id", id).empty();
    }
    xml.close("publish").close("pubsub");
    let told: Vec<(&str, &str)> = kept.iter().map(|(id, payload)| (id.as_str(), payload.as_str())).collect();
    Ok(Answered { payload: out, pushes: vec![event::published(node, access_of(asking, node), &told)] })
}

/// An item's one element, as it is kept.
fn payload_of(asking: &Asking<'_>, node: &str, item: &Element) -> Result<String, StanzaError> {
    let mut children = item.children();
    let (Some(payload), None) = (children.next(), children.next()) else {
        return Err(refused(Condition::InvalidPayload, "an item holds one element"));
    };
    // Others show a nick as the name; names are unique, and changed in the profile.
    let is_other_nick = |user: User| *user.name != *payload.text();
    if node == ns::NICK && !payload.text().is_empty() && asking.user(asking.me())?.is_none_or(is_other_nick) {
        return Err(refused(Condition::NotAcceptable, "the nick is the display name"));
    }
    Ok(as_text(payload))
}

/// §7.2
async fn retract(asking: &Asking<'_>, retract: &Element) -> Answer {
    let node = named(retract.attr("node"))?;
    let ids: Vec<&str> = retract.children().filter_map(|child| child.attr("id")).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return Err(refused(Condition::ItemRequired, "which item?"));
    }
    if ids.len() > MAX_NAMED {
        return Err(refused(Condition::PolicyViolation, "too many items at once"));
    }
    let access = access_of(asking, node);
    let mut gone = Vec::new();
    for id in ids {
        match asking.call(Action::DropItem { node: node.into(), id: id.into() }).await {
            Ok(_) => gone.push(id),
            Err(error) if gone.is_empty() => return Err(error),
            // What was done before is told.
            Err(_) => break,
        }
    }
    // `notify` is not looked at: bookmarks that went must go everywhere.
    Ok(Answered { payload: Vec::new(), pushes: vec![event::retracted(node, access, &gone)] })
}

/// §6.5: all items, the newest of them, or those named.
async fn items(asking: &Asking<'_>, owner: &Uid, asked: &Element) -> Answer {
    let node = named(asked.attr("node"))?;
    let ids: Vec<String> =
        asked.children().filter(|child| child.is("item", ns::PUBSUB)).filter_map(|child| child.attr("id")).map(str::to_owned).collect();
    if ids.len() > MAX_NAMED {
        return Err(refused(Condition::PolicyViolation, "too many items at once"));
    }
    let limit = match asked.attr("max_items").map(str::parse) {
        None => MAX_ITEMS as usize,
        Some(Ok(limit)) if limit > 0 => limit,
        Some(_) => return Err(refused(Condition::BadRequest, "max_items is a number above 0")),
    };
    let (of, me, name) = (owner.clone(), asking.me().clone(), node.to_owned());
    let found = asking
        .read(move |reader, conf| {
            let Some(_) = readable(reader, conf, &of, &me, &name)? else { return Ok(None) };
            if ids.is_empty() {
                return Ok(Some(reader.items(conf, &of, &name, limit)?));
            }
            let mut found: Vec<(Arc<str>, Item)> = Vec::new();
            for id in ids {
                if let Some(item) = reader.item(conf, &of, &name, &id)? {
                    found.push((id.into(), item));
                }
            }
            Ok(Some(found))
        })
        .await?
        .ok_or_else(closed)?;
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("pubsub", ns::PUBSUB).inside().open_child("items").attr("node", node).inside();
    for (id, item) in &found {
        xml.open_child("item").attr("id", id).inside().written(item.payload.as_bytes()).close("item");
    }
    xml.close("items").close("pubsub");
    Ok(out.into())
}

/// The newest item of a node, as those are told who come later (XEP-0163 §4.3.3); `None` when there is none, or `to` may not see it.
///
/// # Errors
/// The state's.
pub fn last_event(reader: &Reader, conf: ConfNo, owner: &Uid, to: &Uid, node: &str) -> Result<Option<Push>, Reject> {
    if node.starts_with(OURS) || (owner != to && reader.block_between(conf, to, owner)?.is_some()) {
        return Ok(None);
    }
    let found = match readable(reader, conf, owner, to, node) {
        Err(reject) if reject.reason == Reason::UnknownItem => None,
        found => found?,
    };
    let Some(record) = found else { return Ok(None) };
    let newest = reader.items(conf, owner, node, 1)?.pop();
    Ok(newest.map(|(id, item)| event::published(node, record.settings.access, &[(&id, &item.payload)])))
}
