//! The roster (RFC 6121 §2): the people that a user has direct conversations with, whose presence they see, and those of the directory, as
//! far as it is not too long for a list.

use hallway_broker::clock::random;
use hallway_broker::command::Action;
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::UserRole;
use hallway_broker::reader::Reader;
use hallway_broker::session::blocking;
use hallway_broker::state::StateError;
use minidom::Element;
use ring::digest;

use super::connection::Connection;
use super::inbound::{Refused, by, refused};
use super::names::Address;
use super::presence;
use super::stanza::Condition;
use super::stream::ns;
use super::task::Task;
use super::write::Writer;

/// The namespace of rosters.
pub(super) const NS: &str = "jabber:iq:roster";
/// People with whom somebody talks that are contacts, at most.
const MAX_PARTNERS: usize = 1000;
/// The directory is in the roster when it has no more people than this: longer ones are searched.
const MAX_DIRECTORY: usize = 300;
/// The group of people that one has talked with.
const CHATS: &str = "Chats";
/// The group of the others.
const DIRECTORY: &str = "Conference";

/// The people that a user has direct conversations with.
pub(super) fn partners(reader: &Reader, conf: ConfNo, uid: &Uid) -> Result<Vec<Uid>, StateError> {
    let conversations = reader.conversations_of(conf, uid, None, MAX_PARTNERS * 2)?;
    Ok(conversations.iter().filter_map(|id| id.partner(uid)).take(MAX_PARTNERS).collect())
}

/// Somebody in a roster.
struct Contact {
    uid: Uid,
    name: std::sync::Arc<str>,
    is_partner: bool,
}

fn contacts(reader: &Reader, conf: ConfNo, me: &Uid) -> Result<Vec<Contact>, StateError> {
    let partners = partners(reader, conf, me)?;
    let (people, complete) = reader.people(conf, None, MAX_DIRECTORY, |user| user.role != UserRole::Device)?;
    let mut contacts = Vec::new();
    for uid in &partners {
        if let Some(user) = reader.user(conf, uid)? {
            contacts.push(Contact { uid: uid.clone(), name: user.name, is_partner: true });
        }
    }
    let others = people.into_iter().filter(|person| complete && person.uid != *me && !partners.contains(&person.uid));
    contacts.extend(others.map(|person| Contact { uid: person.uid, name: person.user.name, is_partner: false }));
    Ok(contacts)
}

fn write_contact(xml: &mut Writer<'_>, domain: &str, contact: &Contact) {
    xml.open_child("item").attr_of("jid", &[contact.uid.as_str(), "@", domain]).attr("name", &contact.name);
    xml.attr("subscription", if contact.is_partner { "both" } else { "none" }).inside();
    xml.child("group", if contact.is_partner { CHATS } else { DIRECTORY }).close("item");
}

/// Answers a request for the roster, or a change of it.
pub(super) async fn answer(task: &mut Task, is_set: bool, query: &Element) -> Result<Vec<u8>, Refused> {
    if is_set {
        return change(task, query).await;
    }
    let (reader, conf, me) = (task.edge.hub.reader().clone(), task.connection.me.conf, task.connection.me.uid.clone());
    let contacts = blocking(move || Ok(contacts(&reader, conf, &me)?)).await.map_err(|reject| by(&reject))?;
    task.connection.interested.set(true);
    let mut items = Vec::new();
    for contact in &contacts {
        write_contact(&mut Writer::new(&mut items), task.connection.domain.names().domain(), contact);
    }
    let version = data_encoding::HEXLOWER.encode(digest::digest(&digest::SHA256, &items).as_ref().get(..12).unwrap_or_default());
    let mut out = Vec::new();
    if query.attr("ver") != Some(version.as_str()) {
        let mut xml = Writer::new(&mut out);
        xml.open("query", NS).attr("ver", &version).inside().written(&items).close("query");
    }
    Ok(out) // RFC 6121 §2.6.3: nothing when nothing has changed
}

/// Who is added is somebody to talk with. Names and groups are the conference's, and conversations are not undone.
async fn change(task: &mut Task, query: &Element) -> Result<Vec<u8>, Refused> {
    let mut items = query.children().filter(|child| child.is("item", NS));
    let (Some(item), None) = (items.next(), items.next()) else {
        return Err(refused(Condition::BadRequest, "one item at a time")); // RFC 6121 §2.1.5
    };
    if item.attr("subscription") == Some("remove") {
        return Err(refused(Condition::NotAllowed, "who was talked with stays in the roster"));
    }
    let address = task.connection.domain.names().parse(item.attr("jid").unwrap_or_default());
    match address.map_err(|error| Refused::from(&error))? {
        Address::User { uid, resource: None } => {
            task.session.call(Action::Open { with: uid.clone() }).await.map_err(|reject| by(&reject))?;
            let me = &task.connection.me;
            for resource in task.edge.directory.of(me.conf, &me.uid) {
                let uid = uid.clone();
                presence::route_by(&task.edge, &resource, move |connection, into| {
                    if connection.interested.get() {
                        let mut push = Vec::new();
                        write_push(connection, &uid, &push_id(), &mut push);
                        connection.emit(&push, into);
                    }
                });
            }
            Ok(Vec::new())
        }
        _ => Err(refused(Condition::NotAcceptable, "only people are in rosters")),
    }
}

/// An id for what the server sends by itself.
pub(super) fn push_id() -> String {
    data_encoding::BASE32_NOPAD.encode(&random::<10>()).to_ascii_lowercase()
}

/// Appends the news of a contact (RFC 6121 §2.1.6).
pub(super) fn write_push(connection: &Connection, uid: &Uid, id: &str, out: &mut Vec<u8>) {
    let user = connection.edge.hub.reader().user(connection.me.conf, uid);
    let Ok(Some(user)) = user else { return };
    let contact = Contact { uid: uid.clone(), name: user.name, is_partner: true };
    let mut xml = Writer::new(out);
    xml.open("iq", ns::CLIENT).attr("to", &connection.me.full).attr("type", "set").attr("id", id).inside().open("query", NS).inside();
    write_contact(&mut xml, connection.domain.names().domain(), &contact);
    xml.close("query").close("iq");
}
