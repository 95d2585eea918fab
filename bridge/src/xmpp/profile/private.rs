//! Private storage (XEP-0049): any element, kept under its name and namespace. The one of bookmarks is a view of the newer ones.

use hallway_broker::command::Demanded;
use hallway_broker::ids::Uid;
use hallway_broker::limits::MAX_ITEMS;
use hallway_broker::model::{Access, NodeSettings};
use minidom::Element;

use super::{Answer, Answered, Asking, as_text, bookmarks, ns, refused};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// The node that it is kept in.
const NODE: &str = "~private";
const SETTINGS: NodeSettings = NodeSettings { access: Access::Private, max_items: MAX_ITEMS };
/// Elements of one request: each is a command of its own.
const MAX_ELEMENTS: usize = 16;

pub(super) async fn answer(asking: &Asking<'_>, owner: &Uid, is_set: bool, query: &Element) -> Answer {
    asking.check_owner(owner)?;
    let elements: Vec<&Element> = query.children().collect();
    match elements.as_slice() {
        [] => Err(refused(Condition::BadRequest, "which element?")),
        many if is_set && many.len() <= MAX_ELEMENTS => set(asking, many).await,
        [one] => get(asking, one).await,
        _ => Err(refused(Condition::NotAcceptable, "too many elements at once")), // §2.3
    }
}

/// The item that an element is kept as.
fn id(element: &Element) -> String {
    format!("{} {}", element.name(), element.ns())
}

/// What is kept under an element's name.
pub(super) async fn kept(asking: &Asking<'_>, element: &Element) -> Result<Option<String>, StanzaError> {
    let (me, id) = (asking.me().clone(), id(element));
    asking.read(move |reader, conf| Ok(reader.item(conf, &me, NODE, &id)?.map(|item| item.payload.to_string()))).await
}

/// Keeps an element under its name.
pub(super) async fn keep(asking: &Asking<'_>, element: &Element) -> Result<(), StanzaError> {
    asking.keep(NODE, &id(element), as_text(element), SETTINGS, Demanded::default()).await
}

async fn get(asking: &Asking<'_>, element: &Element) -> Answer {
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("query", ns::PRIVATE).inside();
    if element.is("storage", ns::STORAGE) {
        xml.written(&bookmarks::as_storage(asking, element).await?);
    } else {
        match kept(asking, element).await? {
            Some(kept) => xml.written(kept.as_bytes()),
            // §2.3: nothing there is an empty element
            None => xml.element(&Element::bare(element.name(), element.ns()), Some(ns::PRIVATE)),
        };
    }
    xml.close("query");
    Ok(out.into())
}

async fn set(asking: &Asking<'_>, elements: &[&Element]) -> Answer {
    let mut answered = Answered::default();
    for element in elements {
        if element.is("storage", ns::STORAGE) {
            answered.pushes.extend(bookmarks::set_storage(asking, element).await?);
        } else {
            keep(asking, element).await?;
        }
    }
    Ok(answered)
}
