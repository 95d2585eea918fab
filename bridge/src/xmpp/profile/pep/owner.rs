//! What owners do with whole nodes (XEP-0060 §8): make, configure, empty, delete.

use hallway_broker::command::Action;
use hallway_broker::ids::Uid;
use hallway_broker::model::NodeSettings;
use minidom::Element;

use super::{access_of, event, form, named, settings_of};
use crate::xmpp::profile::{Answer, Answered, Asking, ns, refused};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// §8.1: a node of this name, with these settings.
pub(super) async fn create(asking: &Asking<'_>, create: &Element, configure: Option<&Element>) -> Answer {
    let node = named(create.attr("node"))?;
    if settings(asking, node).await?.is_some() {
        return Err(refused(Condition::Conflict, "there is such a node already"));
    }
    let wanted = configure.map_or(Ok(None), |configure| form::configured(configure, settings_of(node)))?;
    let action = Action::SetNode { node: node.into(), settings: wanted.unwrap_or(settings_of(node)) };
    asking.call(action).await?;
    let mut out = Vec::new();
    Writer::new(&mut out).open("pubsub", ns::PUBSUB).inside().open_child("create").attr("node", node).empty().close("pubsub");
    Ok(out.into())
}

/// The settings of a node of the asker's.
async fn settings(asking: &Asking<'_>, node: &str) -> Result<Option<NodeSettings>, StanzaError> {
    let (me, node) = (asking.me().clone(), node.to_owned());
    asking.read(move |reader, conf| Ok(reader.item_node(conf, &me, &node)?.map(|node| node.settings))).await
}

pub(in crate::xmpp::profile) async fn answer(asking: &Asking<'_>, owner: &Uid, is_set: bool, pubsub: &Element) -> Answer {
    asking.check_owner(owner)?;
    let Some(wanted) = pubsub.children().next() else { return Err(refused(Condition::BadRequest, "what is to be done?")) };
    match (wanted.name(), is_set) {
        ("configure", false) => show(asking, named(wanted.attr("node"))?).await,
        ("configure", true) => configure(asking, named(wanted.attr("node"))?, wanted).await,
        ("delete", true) => forget(asking, named(wanted.attr("node"))?, false).await,
        ("purge", true) => forget(asking, named(wanted.attr("node"))?, true).await,
        ("default", false) => Ok(shown("default", None, settings_of(""))),
        _ => Err(refused(Condition::FeatureNotImplemented, "nodes have neither subscribers nor affiliates but their owner")),
    }
}

fn shown(name: &'static str, node: Option<&str>, settings: NodeSettings) -> Answered {
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("pubsub", ns::OWNER).inside().open_child(name).attr_if("node", node).inside();
    form::write(settings, "form", &mut xml);
    xml.close(name).close("pubsub");
    out.into()
}

fn no_node() -> StanzaError {
    refused(Condition::ItemNotFound, "there is no such node")
}

async fn show(asking: &Asking<'_>, node: &str) -> Answer {
    let settings = settings(asking, node).await?.ok_or_else(no_node)?;
    Ok(shown("configure", Some(node), settings))
}

async fn configure(asking: &Asking<'_>, node: &str, configure: &Element) -> Answer {
    let before = settings(asking, node).await?.ok_or_else(no_node)?;
    if let Some(settings) = form::configured(configure, before)? {
        asking.call(Action::SetNode { node: node.into(), settings }).await?;
    }
    Ok(Answered::default())
}

async fn forget(asking: &Asking<'_>, node: &str, keep: bool) -> Answer {
    let access = access_of(asking, node);
    asking.call(Action::DropNode { node: node.into(), keep }).await?;
    let push = if keep { event::purged(node, access) } else { event::deleted(node, access) };
    Ok(Answered { payload: Vec::new(), pushes: vec![push] })
}
