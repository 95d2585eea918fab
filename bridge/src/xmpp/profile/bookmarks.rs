//! Bookmarks in private storage (XEP-0048) as those of PEP (XEP-0402), and back (XEP-0411): there is one list of them, each an item by its room's
//! JID. What else was in the old list (URLs) stays in private storage.

use hallway_broker::command::{Action, Demanded};
use hallway_broker::limits::MAX_ITEMS;
use hallway_broker::reject::Reason;
use jid::BareJid;
use minidom::{Element, Node};

use super::pep::{self, event};
use super::{Asking, Push, as_element, as_text, ns, private, refused, rejected};
use crate::xmpp::stanza::{Condition, StanzaError};
use crate::xmpp::write::Writer;

/// Bookmarks that one request changes: each is a command of its own.
const MAX_CHANGES: usize = 256;

/// A bookmark as both forms have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bookmark {
    jid: String,
    name: Option<String>,
    autojoin: bool,
    nick: Option<String>,
    password: Option<String>,
    /// Of other protocols (XEP-0402 §3.1), as they are.
    extensions: Option<Element>,
}

impl Bookmark {
    fn of(jid: &str, conference: &Element) -> Self {
        let namespace = conference.ns();
        let child = |name: &str| conference.get_child(name, namespace.as_str());
        Self {
            jid: jid.to_owned(),
            name: conference.attr("name").map(str::to_owned),
            autojoin: matches!(conference.attr("autojoin"), Some("true" | "1")),
            nick: child("nick").map(Element::text),
            password: child("password").map(Element::text),
            extensions: child("extensions").cloned(),
        }
    }

    fn write(&self, xml: &mut Writer<'_>, namespace: &'static str) {
        if namespace == ns::STORAGE {
            xml.open_child("conference").attr("jid", &self.jid);
        } else {
            xml.open("conference", namespace);
        }
        xml.attr_if("name", self.name.as_deref()).attr_if("autojoin", self.autojoin.then_some("true")).inside();
        for (name, text) in [("nick", &self.nick), ("password", &self.password)] {
            if let Some(text) = text {
                xml.child(name, text);
            }
        }
        if let Some(extensions) = self.extensions.as_ref().filter(|_| namespace != ns::STORAGE) {
            xml.element(extensions, Some(namespace));
        }
        xml.close("conference");
    }
}

/// All bookmarks, oldest first.
async fn all(asking: &Asking<'_>) -> Result<Vec<Bookmark>, StanzaError> {
    let me = asking.me().clone();
    let items = asking.read(move |reader, conf| Ok(reader.items(conf, &me, ns::BOOKMARKS, MAX_ITEMS as usize)?)).await?;
    let read = items.iter().rev().filter_map(|(id, item)| as_element(&item.payload).map(|element| Bookmark::of(id, &element)));
    Ok(read.collect())
}

/// The old form of them, with what else was in it.
pub(super) async fn as_storage(asking: &Asking<'_>, asked: &Element) -> Result<Vec<u8>, StanzaError> {
    let rest = private::kept(asking, asked).await?;
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("storage", ns::STORAGE).inside();
    for bookmark in all(asking).await? {
        bookmark.write(&mut xml, ns::STORAGE);
    }
    for other in rest.as_deref().and_then(as_element).iter().flat_map(Element::children) {
        xml.element(other, Some(ns::STORAGE));
    }
    xml.close("storage");
    Ok(out)
}

/// Makes the bookmarks what the old form says; what changed is to be told.
pub(super) async fn set_storage(asking: &Asking<'_>, storage: &Element) -> Result<Vec<Push>, StanzaError> {
    let before = all(asking).await?;
    let after = read_storage(storage, &before)?;
    let gone: Vec<&Bookmark> = before.iter().filter(|old| !after.iter().any(|new| new.jid == old.jid)).collect();
    let new: Vec<&Bookmark> = after.iter().filter(|new| !before.contains(new)).collect();
    if gone.len() + new.len() > MAX_CHANGES {
        return Err(refused(Condition::PolicyViolation, "too many bookmarks are changed at once"));
    }
    keep_rest(asking, storage).await?;
    let mut pushes = Vec::new();
    for bookmark in gone {
        let item = Action::DropItem { node: ns::BOOKMARKS.into(), id: bookmark.jid.as_str().into() };
        asking.call(item).await?;
        pushes.push(event::retracted(ns::BOOKMARKS, pep::settings_of(ns::BOOKMARKS).access, &[&bookmark.jid]));
    }
    for bookmark in new {
        let mut out = Vec::new();
        bookmark.write(&mut Writer::new(&mut out), ns::BOOKMARKS);
        let payload = String::from_utf8(out).map_err(|_| rejected(Reason::StoreError))?;
        let settings = pep::settings_of(ns::BOOKMARKS);
        asking.keep(ns::BOOKMARKS, &bookmark.jid, payload.as_str(), settings, Demanded::default()).await?;
        pushes.push(event::published(ns::BOOKMARKS, settings.access, &[(&bookmark.jid, &payload)]));
    }
    Ok(pushes)
}

/// The bookmarks in the old form; of two for a room the later one. What it cannot say is as it was `before`.
fn read_storage(storage: &Element, before: &[Bookmark]) -> Result<Vec<Bookmark>, StanzaError> {
    let mut bookmarks: Vec<Bookmark> = Vec::new();
    for conference in storage.children().filter(|child| child.is("conference", ns::STORAGE)) {
        let jid = conference.attr("jid").and_then(|jid| BareJid::new(jid).ok());
        let jid = jid.ok_or(refused(Condition::JidMalformed, "a bookmark without a room's JID"))?.to_string();
        bookmarks.retain(|known| known.jid != jid);
        let extensions = before.iter().find(|known| known.jid == jid).and_then(|known| known.extensions.clone());
        bookmarks.push(Bookmark { extensions, ..Bookmark::of(&jid, conference) });
    }
    Ok(bookmarks)
}

/// Keeps what of the old form is no bookmark of a room.
async fn keep_rest(asking: &Asking<'_>, storage: &Element) -> Result<(), StanzaError> {
    let mut rest = Element::bare(storage.name(), ns::STORAGE);
    for child in storage.children().filter(|child| !child.is("conference", ns::STORAGE)) {
        rest.append_node(Node::Element(child.clone()));
    }
    let known = private::kept(asking, storage).await?;
    if known.unwrap_or_else(|| as_text(&Element::bare(storage.name(), ns::STORAGE))) == as_text(&rest) {
        return Ok(());
    }
    private::keep(asking, &rest).await
}
