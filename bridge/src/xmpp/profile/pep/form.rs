//! The settings of nodes as data forms (XEP-0004, XEP-0060 §16.4): what is demanded, what is set, what is shown. Fields that change nothing here are
//! accepted: titles, and who is notified how.

use hallway_broker::command::Demanded;
use hallway_broker::limits::MAX_ITEMS;
use hallway_broker::model::{Access, NodeSettings};
use minidom::Element;

use crate::xmpp::profile::{ns, refused};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

const ACCESS: &str = "pubsub#access_model";
const MAX: &str = "pubsub#max_items";
const PERSIST: &str = "pubsub#persist_items";

/// A field of a submitted form.
fn field(form: &Element, var: &str) -> Option<String> {
    let field = form.children().find(|child| child.is("field", ns::FORMS) && child.attr("var") == Some(var))?;
    Some(field.get_child("value", ns::FORMS).map(Element::text).unwrap_or_default().trim().to_owned())
}

/// The submitted form in an element.
fn form<'e>(parent: &'e Element, of_type: &str) -> Result<Option<&'e Element>, StanzaError> {
    let Some(form) = parent.get_child("x", ns::FORMS) else { return Ok(None) };
    if field(form, "FORM_TYPE").is_some_and(|found| found != of_type) {
        return Err(refused(Condition::BadRequest, "the form is of another type"));
    }
    Ok((form.attr("type") != Some("cancel")).then_some(form))
}

/// The fields that mean something here; `wrong` when one cannot be had.
fn read(form: &Element, wrong: Condition) -> Result<Demanded, StanzaError> {
    let cannot = |var: &'static str| refused(wrong, format!("{var} cannot be so here"));
    let access = match field(form, ACCESS).as_deref() {
        None => None,
        Some("open") => Some(Access::Open),
        Some("presence") => Some(Access::Presence),
        Some("whitelist") => Some(Access::Private),
        Some(_) => return Err(cannot(ACCESS)),
    };
    let max_items = match field(form, MAX).as_deref() {
        None | Some("") => None,
        // §16.4.3: as many as there may be
        Some("max") => Some(MAX_ITEMS),
        Some(number) => match number.parse::<u64>() {
            Ok(0) | Err(_) => return Err(cannot(MAX)),
            Ok(number) => Some(u32::try_from(number).unwrap_or(MAX_ITEMS).min(MAX_ITEMS)),
        },
    };
    if matches!(field(form, PERSIST).as_deref(), Some("0" | "false")) {
        return Err(cannot(PERSIST));
    }
    Ok(Demanded { access, max_items })
}

/// What `<publish-options/>` demand (§7.1.5).
pub(super) fn demanded(options: &Element) -> Result<Demanded, StanzaError> {
    form(options, ns::PUBLISH_OPTIONS)?.map_or(Ok(Demanded::default()), |form| read(form, Condition::PreconditionNotMet))
}

/// The settings that `<configure/>` asks for, over those that are (§8.2.4); `None`: it was given up.
pub(super) fn configured(configure: &Element, before: NodeSettings) -> Result<Option<NodeSettings>, StanzaError> {
    let Some(form) = form(configure, ns::NODE_CONFIG)? else { return Ok(None) };
    let Demanded { access, max_items } = read(form, Condition::NotAcceptable)?;
    Ok(Some(NodeSettings { access: access.unwrap_or(before.access), max_items: max_items.unwrap_or(before.max_items) }))
}

/// Appends the form of a node's settings (§8.2.2).
pub(super) fn write(settings: NodeSettings, of_type: &str, xml: &mut Writer<'_>) {
    let access = match settings.access {
        Access::Open => "open",
        Access::Presence => "presence",
        Access::Private => "whitelist",
    };
    xml.open("x", ns::FORMS).attr("type", of_type).inside();
    let mut field = |var: &str, kind: &str, value: &str, options: &[&str]| {
        xml.open_child("field").attr("var", var).attr("type", kind).inside().child("value", value);
        for option in options {
            xml.open_child("option").inside().child("value", option).close("option");
        }
        xml.close("field");
    };
    field("FORM_TYPE", "hidden", ns::NODE_CONFIG, &[]);
    field(ACCESS, "list-single", access, &["open", "presence", "whitelist"]);
    field(MAX, "text-single", &settings.max_items.to_string(), &[]);
    field(PERSIST, "boolean", "1", &[]);
    field("pubsub#send_last_published_item", "list-single", "on_sub_and_presence", &[]);
    xml.close("x");
}
