//! What is told of a node's changes (XEP-0060 §7.1.2, §7.2.2, §8.4.2, §8.5.2).

use hallway_broker::model::Access;

use crate::xmpp::profile::{Push, ns};
use crate::xmpp::write::Writer;

fn event(node: &str, access: Access, write: impl FnOnce(&mut Writer<'_>)) -> Push {
    let mut payload = Vec::new();
    let mut xml = Writer::new(&mut payload);
    xml.open("event", ns::EVENT).inside();
    write(&mut xml);
    xml.close("event");
    Push::Event { node: node.to_owned(), access, payload }
}

/// Items came: ids and payloads.
pub(in crate::xmpp::profile) fn published(node: &str, access: Access, items: &[(&str, &str)]) -> Push {
    event(node, access, |xml| {
        xml.open_child("items").attr("node", node).inside();
        for (id, payload) in items {
            xml.open_child("item").attr("id", id).inside().written(payload.as_bytes()).close("item");
        }
        xml.close("items");
    })
}

/// Items went.
pub(in crate::xmpp::profile) fn retracted(node: &str, access: Access, ids: &[&str]) -> Push {
    event(node, access, |xml| {
        xml.open_child("items").attr("node", node).inside();
        for id in ids {
            xml.open_child("retract").attr("id", id).empty();
        }
        xml.close("items");
    })
}

/// The node went.
pub(super) fn deleted(node: &str, access: Access) -> Push {
    event(node, access, |xml| {
        xml.open_child("delete").attr("node", node).empty();
    })
}

/// All its items went.
pub(super) fn purged(node: &str, access: Access) -> Push {
    event(node, access, |xml| {
        xml.open_child("purge").attr("node", node).empty();
    })
}
