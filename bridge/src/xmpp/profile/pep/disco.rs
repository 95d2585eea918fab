//! An account's nodes in service discovery (XEP-0060 §5).

use hallway_broker::ids::Uid;
use hallway_broker::model::Access;

use super::{MAX_ITEMS, OURS, closed, named, readable};
use crate::xmpp::disco::{INFO, ITEMS, Identity, Info};
use crate::xmpp::profile::{Answer, Asking, ns};
use crate::xmpp::write::Writer;

/// §5.2, §5.5: the nodes that the asker may read, or the items of one.
pub(in crate::xmpp::profile) async fn items(asking: &Asking<'_>, owner: &Uid, node: Option<&str>) -> Answer {
    let jid = asking.names.user(owner);
    let (of, me) = (owner.clone(), asking.me().clone());
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("query", ITEMS).attr_if("node", node).inside();
    if node.is_some_and(|node| !node.is_empty()) {
        let name = named(node)?.to_owned();
        let found = asking.read(move |reader, conf| match readable(reader, conf, &of, &me, &name)? {
            Some(_) => Ok(Some(reader.item_ids(conf, &of, &name, MAX_ITEMS as usize)?)),
            None => Ok(None),
        });
        for id in found.await?.ok_or_else(closed)? {
            xml.open_child("item").attr("jid", &jid).attr("name", &id).empty();
        }
    } else {
        let is_own = of == me;
        for (name, node) in asking.read(move |reader, conf| Ok(reader.item_nodes(conf, &of)?)).await? {
            if !name.starts_with(OURS) && (is_own || node.settings.access != Access::Private) {
                xml.open_child("item").attr("jid", &jid).attr("node", &name).empty();
            }
        }
    }
    xml.close("query");
    Ok(out.into())
}

/// §5.3: what a node is. That it is there was looked up before.
pub(in crate::xmpp::profile) fn info(node: Option<&str>) -> Answer {
    let identity = Identity { category: "pubsub", kind: "leaf", name: String::new() };
    let mut out = Vec::new();
    Info { identities: vec![identity], features: vec![ns::PUBSUB, INFO] }.write(node, &mut out);
    Ok(out.into())
}
