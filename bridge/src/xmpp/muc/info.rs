//! What a room is, and which rooms there are (XEP-0045 §6).

use hallway_broker::ids::ConversationId;
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::model::Kind;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::blocking;
use hallway_broker::view::Found;
use minidom::Element;

use super::form::{self, Field};
use super::{Asking, MUC, error};
use crate::xmpp::disco::{self, Identity, Info};
use crate::xmpp::names::nick_of;
use crate::xmpp::stanza::{Condition, StanzaError, ns};
use crate::xmpp::write::Writer;

/// The node that a client asks for its own nick by (§7.12).
const RESERVED_NICK: &str = "x-roomuser-item";
/// Result sets in pages (XEP-0059).
const RSM: &str = "http://jabber.org/protocol/rsm";
const ROOM_INFO: &str = "http://jabber.org/protocol/muc#roominfo";

/// What all rooms can do.
const FEATURES: [&str; 14] = [
    disco::INFO,
    disco::ITEMS,
    MUC,
    "http://jabber.org/protocol/muc#self-ping-optimization",
    "http://jabber.org/protocol/muc#stable_id",
    "muc_nonanonymous",
    "muc_persistent",
    "muc_unsecured",
    ns::ARCHIVE,
    ns::MODERATE,
    ns::OCCUPANT_ID,
    ns::RETRACT,
    ns::STANZA_IDS,
    ns::REPLY,
];

fn text_conference(name: &str) -> Vec<Identity> {
    vec![Identity { category: "conference", kind: "text", name: name.to_owned() }]
}

/// What the rooms' service is.
#[must_use]
pub fn of_service(title: &str) -> Info {
    Info { identities: text_conference(title), features: vec![disco::INFO, disco::ITEMS, MUC, RSM] }
}

/// What a room is; of a node, the asker's own nick.
///
/// # Errors
/// The stanza error that is answered.
pub fn of_room(asking: &Asking<'_>, found: &Found, node: Option<&str>) -> Result<Vec<u8>, StanzaError> {
    let mut out = Vec::new();
    match node {
        None => info(found).write_with(None, &room_info(asking, found), &mut out),
        Some(RESERVED_NICK) => {
            let uid = &asking.session.who.uid;
            let user = asking.session.shard.hub.reader().user(found.conf, uid).map_err(Reject::from);
            let user = user.and_then(|user| user.ok_or(Reason::SessionEnded.into())).map_err(|reject| StanzaError::from(&reject))?;
            let nick = Info { identities: text_conference(&nick_of(&user.name, uid)), features: Vec::new() };
            nick.write(node, &mut out);
        }
        Some(_) => return Err(error(Condition::ItemNotFound, "there is no such node")),
    }
    Ok(out)
}

fn info(found: &Found) -> Info {
    let kind = found.record.kind;
    let mut features = FEATURES.to_vec();
    features.push(if kind.is_public() { "muc_public" } else { "muc_hidden" });
    features.push(if kind == Kind::Group { "muc_membersonly" } else { "muc_open" });
    features.push(if kind == Kind::Announcements { "muc_moderated" } else { "muc_unmoderated" });
    Info { identities: text_conference(&found.record.title), features }
}

/// The form of what else there is to say (§6.4).
fn room_info(asking: &Asking<'_>, found: &Found) -> Vec<u8> {
    let title = &found.record.title;
    let fields = [
        Field::text("muc#roominfo_description", "Description", title),
        Field::text("muc#roominfo_subject", "Subject", title),
        Field::text("muc#roominfo_occupants", "Number of occupants", &asking.rooms.count(asking.key(found)).to_string()),
        Field::boolean("muc#roominfo_changesubject", "Occupants may change the subject", false),
    ];
    let mut out = Vec::new();
    form::write("result", ROOM_INFO, None, &fields, &mut out);
    out
}

/// An empty list of what is at an address.
#[must_use]
pub fn nothing(node: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    disco::write_items(&[], node, &mut out);
    out
}

/// The rooms that the asker may enter, by id: those that are open to all and their own groups (§6.3). In pages when asked so (XEP-0059), or
/// when there are more than fit in one.
///
/// # Errors
/// The stanza error that is answered.
pub async fn rooms(asking: &Asking<'_>, query: &Element) -> Result<Vec<u8>, StanzaError> {
    if query.attr("node").is_some() {
        return Err(error(Condition::ItemNotFound, "there is no such node"));
    }
    let page = read_page(query)?;
    let (paged, max) = (page.is_some(), page.as_ref().map_or(MAX_PAGE, |page| page.max));
    let after = page.and_then(|page| page.after);
    // Only their number is wanted (XEP-0059 §2.7).
    let counts = max == 0;
    let (reader, who) = (asking.session.shard.hub.reader().clone(), asking.session.who.clone());
    let read = move || {
        let mut ids = reader.readable_ids(who.conf, &who.uid)?;
        ids.retain(|id| id.direct_pair().is_none() && after.as_ref().is_none_or(|after| id.as_str() > after.as_str()));
        ids.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        let mut listed: Vec<(ConversationId, String)> = Vec::new();
        for id in ids {
            if listed.len() > max && !counts {
                break;
            }
            // What somebody was in is among them.
            match reader.readable(who.conf, &who.uid, &id) {
                Ok(found) if matches!(found.record.kind, Kind::Channel | Kind::Group | Kind::Announcements) => {
                    listed.push((id, found.record.title));
                }
                Err(reject) if reject.reason == Reason::StoreError => return Err(reject),
                _ => {}
            }
        }
        Ok(listed)
    };
    let mut listed = blocking(read).await.map_err(|reject| StanzaError::from(&reject))?;
    let (complete, count) = (listed.len() <= max, listed.len().to_string());
    listed.truncate(max);
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("query", disco::ITEMS).inside();
    for (id, title) in &listed {
        let Some(jid) = asking.names.room(id) else { continue };
        xml.open_child("item").attr("jid", &jid).attr_if("name", Some(title.as_str()).filter(|title| !title.is_empty())).empty();
    }
    if paged || !complete {
        xml.open("set", RSM).inside();
        if let (Some((first, _)), Some((last, _))) = (listed.first(), listed.last()) {
            xml.child("first", first.as_str()).child("last", last.as_str());
        }
        if counts {
            xml.child("count", &count);
        }
        xml.close("set");
    }
    xml.close("query");
    Ok(out)
}

/// A page that is asked for.
struct Page {
    max: usize,
    after: Option<String>,
}

fn read_page(query: &Element) -> Result<Option<Page>, StanzaError> {
    let Some(set) = query.get_child("set", RSM) else { return Ok(None) };
    if set.has_child("before", RSM) || set.has_child("index", RSM) {
        return Err(error(Condition::FeatureNotImplemented, "pages are read forwards"));
    }
    let max = match set.get_child("max", RSM).map(|max| max.text().trim().parse::<usize>()) {
        None => MAX_PAGE,
        Some(Ok(max)) => max.min(MAX_PAGE),
        Some(Err(_)) => return Err(error(Condition::BadRequest, "max is a number")),
    };
    Ok(Some(Page { max, after: set.get_child("after", RSM).map(Element::text) }))
}
