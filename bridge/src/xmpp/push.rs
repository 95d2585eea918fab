//! Push notifications (XEP-0357): a client names a push service of its own, and who is away is told of messages by that service.
//!
//! Here what clients enable and disable, and what is published. Who publishes is the push worker, by [`crate::push::xmpp`]; how a publication gets to
//! the service and its answer back is in [`publishing`].

pub mod publishing;

use hallway_broker::command::{Action, Actor};
use hallway_broker::limits::{MAX_TARGET_BYTES, MAX_TARGET_NAME_BYTES, MAX_TARGET_OPTIONS_BYTES, beginning};
use hallway_broker::model::{Provider, Target, Via};
use hallway_broker::push::gateway::Push;
use hallway_broker::session::blocking;
use jid::Jid;
use minidom::Element;

use super::inbound::{Refused, by, refused};
use super::iq::{Answer, unknown};
use super::muc::form::DATA;
use super::profile::{as_element, as_text};
use super::stanza::Condition;
use super::task::Task;
use super::write::Writer;

/// The namespace.
pub const NS: &str = "urn:xmpp:push:0";
/// The type of the form that sums up what there is (§7).
const SUMMARY: &str = "urn:xmpp:push:summary";
/// The type of the form that clients give for their service (§5).
const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// The namespace of publish-subscribe.
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Most bytes of a message's text that go along.
const MAX_TEXT_BYTES: usize = 1024;

/// What a client may ask for.
pub(super) async fn answer(task: &Task, payload: &Element) -> Answer {
    match payload.name() {
        "enable" => enable(task, payload).await,
        "disable" => disable(task, payload).await,
        _ => Err(unknown()),
    }
}

/// §5.
async fn enable(task: &Task, payload: &Element) -> Answer {
    let gateway = task.edge.hub.gateway(Provider::Xmpp).ok_or_else(unknown)?;
    let target = Target {
        provider: Provider::Xmpp,
        address: service(payload)?.into(),
        secret: Vec::new(),
        topic: payload.attr("node").unwrap_or_default().into(),
        is_sandbox: false,
        options: payload.get_child("x", DATA).map(as_text).unwrap_or_default().into(),
        device: beginning(task.connection.me.resource(), MAX_TARGET_NAME_BYTES).into(),
        since_ms: 0,
    };
    gateway.check(&target).map_err(|_| refused(Condition::NotAcceptable, "no push service can be reached there, or the form is none"))?;
    act(task, Action::RegisterTarget { target: Box::new(target) }).await
}

/// §6.
async fn disable(task: &Task, payload: &Element) -> Answer {
    let (service, node) = (service(payload)?, payload.attr("node"));
    let (reader, conf, me) = (task.edge.hub.reader().clone(), task.connection.me.conf, task.connection.me.uid.clone());
    let targets = blocking(move || Ok(reader.targets(conf, &me)?)).await.map_err(|reject| by(&reject))?;
    for (id, target) in targets {
        let is_node = node.is_none_or(|node| *target.topic == *node);
        if target.provider == Provider::Xmpp && *target.address == *service && is_node {
            act(task, Action::ForgetTarget { uid: task.connection.me.uid.clone(), target: id, since_ms: None }).await?;
        }
    }
    Ok(Vec::new())
}

async fn act(task: &Task, action: Action) -> Answer {
    let me = &task.connection.me;
    let actor = Actor { uid: me.uid.clone(), via: Via::Xmpp, session: task.connection.session.get() };
    task.edge.hub.call(me.conf, actor, action).await.map_err(|reject| by(&reject))?;
    Ok(Vec::new())
}

/// The address of the service that is meant.
fn service(payload: &Element) -> Result<String, Refused> {
    let jid = payload.attr("jid").ok_or_else(|| refused(Condition::BadRequest, "which service?"))?;
    Jid::new(jid).map(|jid| jid.to_string()).map_err(|_| refused(Condition::JidMalformed, "the service's address is none"))
}

/// Whether a target is one that can be published to, as far as its own words go: `options` is a form as this edge writes it, and nothing else.
#[must_use]
pub fn is_target(target: &Target) -> bool {
    let is_jid = target.address.len() <= MAX_TARGET_BYTES && Jid::new(&target.address).is_ok_and(|jid| jid.as_str() == &*target.address);
    let is_node = target.topic.len() <= MAX_TARGET_NAME_BYTES && !target.topic.chars().any(char::is_control);
    is_jid && is_node && (target.options.is_empty() || is_form(&target.options))
}

fn is_form(text: &str) -> bool {
    let form = Some(text).filter(|text| text.len() <= MAX_TARGET_OPTIONS_BYTES).and_then(as_element);
    form.is_some_and(|form| {
        let mut fields = form.children().filter(|field| field.attr("var") == Some("FORM_TYPE"));
        let of_type = fields.next().and_then(|field| field.get_child("value", DATA)).map(Element::text);
        form.is("x", DATA) && of_type.as_deref() == Some(PUBLISH_OPTIONS) && as_text(&form) == text
    })
}

/// What a publication is headed with.
pub struct Head<'a> {
    /// The namespace, where it is not that of the stream.
    pub namespace: Option<&'static str>,
    /// The conference's domain, as the service knows it (§7: the server publishes).
    pub from: &'a str,
    /// The service.
    pub to: &'a str,
    /// The request's id.
    pub id: &'a str,
    /// Who wrote the message, as the service knows them: in a room the occupant.
    pub sender: String,
}

/// Appends the request that publishes a push (§7).
pub fn write(push: &Push, target: &Target, head: &Head<'_>, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open_child("iq").attr_if("xmlns", head.namespace);
    xml.attr("from", head.from).attr("to", head.to).attr("type", "set").attr("id", head.id).inside();
    xml.open("pubsub", PUBSUB).inside().open_child("publish");
    xml.attr_if("node", Some(&*target.topic).filter(|node| !node.is_empty())).inside();
    xml.open_child("item").inside().open("notification", NS).inside();
    xml.open("x", DATA).attr("type", "submit").inside();
    field(&mut xml, "FORM_TYPE", SUMMARY);
    // Of all conversations: the account's, as everything in XMPP.
    field(&mut xml, "message-count", &push.badge.to_string());
    // Without a sender the user wants nothing said of the message.
    if !push.from.is_empty() {
        field(&mut xml, "last-message-sender", &head.sender);
        field(&mut xml, "last-message-body", beginning(&push.text, MAX_TEXT_BYTES));
    }
    xml.close("x").close("notification").close("item").close("publish");
    if !target.options.is_empty() {
        xml.open_child("publish-options").inside().written(target.options.as_bytes()).close("publish-options");
    }
    xml.close("pubsub").close("iq");
}

fn field(xml: &mut Writer<'_>, var: &str, value: &str) {
    xml.open_child("field").attr("var", var);
    if var == "FORM_TYPE" {
        xml.attr("type", "hidden");
    }
    xml.inside().child("value", value).close("field");
}

#[cfg(test)]
mod tests;
