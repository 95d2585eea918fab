//! Presence: how people are, to those they talk with; and whom they are told of.

use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::command::Action;
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::model::Status;
use hallway_broker::registry::Scope;
use hallway_broker::session::blocking;
use hallway_broker::sessions::Presence;
use hallway_broker::shard::Shard;
use hallway_broker::topic::{How, Parts, Topic};
use minidom::Element;

use super::connection::Connection;
use super::deliver::Catching;
use super::directory::Resource;
use super::edge::{Edge, connection_here};
use super::inbound::{Refused, by, refused};
use super::muc::enter as muc;
use super::names::Address;
use super::notify;
use super::profile::avatar;
use super::rooms::Departure;
use super::roster;
use super::stanza::Condition;
use super::stream::{Framing, ns, write_element};
use super::task::Task;
use super::write::Writer;

pub(super) use super::muc::occupants::{tell_rooms, write_own_departure};

/// The resource that stands for all that somebody is connected by but XMPP.
pub(super) const SERVICE_RESOURCE: &str = "hallway";
/// Bytes of what a presence holds that goes to others.
const MAX_PRESENCE_BYTES: usize = 8192;
/// Bytes that wait for a session before more presence is held back.
pub(super) const MAX_WAITING_BYTES: usize = 262_144;
/// The same of a session that waits for its next link, which has it resent.
const MAX_KEPT_BYTES: usize = 32_768;
/// Blocked people who are kept from seeing the user: all that there can be.
const MAX_BLOCKED: usize = 1000;
/// Longest status text of presence that other protocols are told, in bytes.
const MAX_STATUS_BYTES: usize = 256;

/// The namespace of the picture's hash in presence (XEP-0153).
const VCARD_UPDATE: &str = "vcard-temp:x:update";

/// How the session's part of its user's conversations is read.
pub(super) const HOW: How = How { echo: true, parts: Parts::ALL, acked: false, stamped: true };

/// Carries out a `<presence/>`.
pub(super) async fn received(task: &mut Task, element: &Element) -> Result<(), Refused> {
    let kind = element.attr("type");
    let Some(to) = element.attr("to") else {
        return match kind {
            None => available(task, element).await,
            Some("unavailable") => {
                unavailable(task, element).await;
                Ok(())
            }
            Some(_) => Ok(()),
        };
    };
    let address = task.connection.domain.names().parse(to).map_err(|error| Refused::from(&error))?;
    match (address, kind) {
        (Address::Room { conversation, nick }, None | Some("unavailable")) => muc::presence(task, element, conversation, nick).await,
        (Address::User { uid, resource: None }, Some("subscribe")) => subscribe(task, &uid).await,
        (Address::User { uid, resource: None }, Some("probe")) => {
            let connection = Rc::clone(&task.connection);
            task.session.push(|into| write_presence_of(&connection, &uid, into));
            Ok(())
        }
        (Address::User { uid, resource }, None | Some("unavailable")) => {
            // Directed (RFC 6121 §4.6).
            task.connection.sending.take(&task.session.shard.hub, &task.session.who).map_err(|reject| by(&reject))?;
            if may_reach(&task.connection, &uid) {
                route_to_user(task, element, &uid, resource.as_deref());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// People with whom a conversation has begun are contacts: in the roster, and seen.
pub(super) fn meet(task: &Task) {
    let connection = &task.connection;
    let own = task.edge.directory.presence(connection.me.conf, &connection.me.uid, task.session.id);
    for uid in connection.met.take() {
        if let Some(content) = &own {
            let topic = Topic::Presence(connection.me.conf, uid.clone());
            task.session.shard.registry(|registry| registry.register(task.session.slot, &topic, None, HOW));
            show_to(connection, &uid, Some(content));
        }
        task.session.push(|into| {
            if connection.interested.get() {
                let mut push = Vec::new();
                roster::write_push(connection, &uid, &roster::push_id(), &mut push);
                connection.emit(&push, into);
            }
            if own.is_some() {
                write_presence_of(connection, &uid, into);
            }
        });
    }
}

/// Shows a session's presence, or (`None`) that it is gone, to all sessions of somebody.
fn show_to(connection: &Connection, uid: &Uid, content: Option<&[u8]>) {
    let mut stanza = Vec::new();
    match content {
        Some(content) => write_available(&connection.me.bare, connection.me.resource(), content, &mut stanza),
        None => {
            let mut xml = Writer::new(&mut stanza);
            xml.open("presence", ns::CLIENT).attr("from", &connection.me.full).attr("type", "unavailable").empty();
        }
    }
    let stanza: Arc<[u8]> = stanza.into();
    for resource in connection.edge.directory.of(connection.me.conf, uid).iter().filter(|resource| resource.presence.is_some()) {
        route(&connection.edge, resource, Arc::clone(&stanza));
    }
}

/// Who is blocked sees nothing of the user any more, and who is not any more sees it again (XEP-0191 §3.3, §3.4).
pub(super) fn blocked(task: &Task, users: &[Uid], on: bool) {
    let connection = &task.connection;
    let own = task.edge.directory.presence(connection.me.conf, &connection.me.uid, task.session.id);
    let Some(content) = own else { return };
    for uid in users {
        show_to(connection, uid, Some(&*content).filter(|_| !on));
    }
}

/// Asking to see somebody: people of a conference may, so it is granted at once, and the two have a direct conversation (RFC 6121 §3.1).
async fn subscribe(task: &mut Task, uid: &Uid) -> Result<(), Refused> {
    let me = &task.connection.me;
    if *uid == me.uid {
        return Ok(());
    }
    task.connection.sending.take(&task.session.shard.hub, &task.session.who).map_err(|reject| by(&reject))?;
    task.session.call(Action::Open { with: uid.clone() }).await.map_err(|reject| by(&reject))?;
    let connection = Rc::clone(&task.connection);
    let topic = Topic::Presence(me.conf, uid.clone());
    task.session.shard.registry(|registry| registry.register(task.session.slot, &topic, None, HOW));
    task.session.push(|into| {
        let (mut push, mut granted) = (Vec::new(), Vec::new());
        roster::write_push(&connection, uid, &roster::push_id(), &mut push);
        let mut xml = Writer::new(&mut granted);
        xml.open("presence", ns::CLIENT).attr("from", &connection.domain.names().user(uid)).attr("to", &connection.me.bare);
        xml.attr("type", "subscribed").empty();
        connection.emit(&push, into);
        connection.emit(&granted, into);
        write_presence_of(&connection, uid, into);
    });
    Ok(())
}

/// What is in a presence that others are told: everything but what the server says itself.
pub(super) fn content(element: &Element) -> Result<Arc<[u8]>, Refused> {
    let mut out = Vec::new();
    for child in element.children().filter(|child| !child.ns().starts_with("http://jabber.org/protocol/muc")) {
        if child.is("occupant-id", "urn:xmpp:occupant-id:0")
            || child.is("delay", "urn:xmpp:delay")
            || child.is("nick", "http://jabber.org/protocol/nick")
        {
            continue;
        }
        write_element(Framing::Tcp, child, &mut out);
    }
    if out.len() > MAX_PRESENCE_BYTES {
        return Err(refused(Condition::PolicyViolation, "the presence is too long"));
    }
    Ok(out.into())
}

/// The same of the user's own, with the hash of their picture (XEP-0153 §3.1, XEP-0398 §3).
pub(super) fn own_content(task: &Task, element: &Element) -> Result<Arc<[u8]>, Refused> {
    let content = content(element)?;
    let me = &task.connection.me;
    let photo = avatar::photo_hash(task.edge.hub.reader(), me.conf, &me.uid).map_err(|error| by(&error.into()))?;
    let Some(photo) = photo.filter(|_| !element.has_child("x", VCARD_UPDATE)) else { return Ok(content) };
    let mut content = content.to_vec();
    Writer::new(&mut content).open("x", VCARD_UPDATE).inside().child("photo", &photo).close("x");
    Ok(content.into())
}

/// The user is here (RFC 6121 §4.2), or is so in another way (§4.4).
async fn available(task: &mut Task, element: &Element) -> Result<(), Refused> {
    task.connection.sending.take(&task.session.shard.hub, &task.session.who).map_err(|reject| by(&reject))?;
    let content = own_content(task, element)?;
    notify::ask(task, element);
    let text = |name| element.get_child(name, ns::CLIENT).map(Element::text);
    let priority = text("priority").and_then(|priority| priority.trim().parse().ok()).unwrap_or(0i8);
    let is_first = set(task, Some((Arc::clone(&content), priority)));
    if priority >= 0 {
        follow_direct(task, true).await?;
    }
    let status = match text("show").as_deref() {
        Some("away" | "xa") => Status::Away,
        Some("dnd") => Status::Dnd,
        _ => Status::Online,
    };
    let mut said = text("status").unwrap_or_default();
    while said.len() > MAX_STATUS_BYTES {
        said.pop();
    }
    task.session.set_presence(&Presence { status, text: said.as_str().into() });
    if is_first {
        begin(task).await?;
    }
    for room in task.connection.rooms.borrow().iter() {
        task.edge.rooms.update(room.key, task.session.id, Arc::clone(&content));
    }
    broadcast(task, Some(&content)).await;
    Ok(())
}

/// Notes how the session is; whether it was not available before.
fn set(task: &Task, presence: Option<(Arc<[u8]>, i8)>) -> bool {
    let (me, session) = (&task.connection.me, task.session.id);
    let directory = &task.edge.directory;
    let was = directory.of(me.conf, &me.uid).into_iter().any(|resource| resource.session == session && resource.presence.is_some());
    let (content, priority) = presence.map_or((None, 0), |(content, priority)| (Some(content), priority));
    directory.set_presence(me.conf, &me.uid, session, content, priority);
    !was
}

/// The first presence: contacts are told of.
async fn begin(task: &mut Task) -> Result<(), Refused> {
    let contacts = see_contacts(task).await?;
    let (conf, connection) = (task.connection.me.conf, Rc::clone(&task.connection));
    task.session.push(|into| {
        for uid in &contacts {
            write_presence_of(&connection, uid, into);
        }
        for resource in connection.edge.directory.of(conf, &connection.me.uid) {
            if let (Some(presence), true) = (&resource.presence, resource.session != connection.session.get()) {
                let mut stanza = Vec::new();
                write_available(&connection.domain.names().user(&connection.me.uid), &resource.name, presence, &mut stanza);
                connection.emit_addressed(&stanza, into);
            }
        }
    });
    Ok(())
}

/// Follows how contacts are who are here by other protocols, if the session is available; those contacts.
pub(super) async fn see_contacts(task: &Task) -> Result<Vec<Uid>, Refused> {
    let (slot, me) = (task.session.slot, &task.connection.me);
    if task.edge.directory.presence(me.conf, &me.uid, task.session.id).is_none() {
        return Ok(Vec::new());
    }
    let contacts = contacts(task).await?;
    task.session.shard.registry(|registry| {
        for uid in &contacts {
            // Signals need no catch-up: it is never settled.
            registry.register(slot, &Topic::Presence(me.conf, uid.clone()), None, HOW);
        }
    });
    Ok(contacts)
}

/// Follows the user's direct conversations and inbox: with what came since they were last told over XMPP and is unread, if `from_past`. Who
/// followed them for copies alone catches up, too.
pub(super) async fn follow_direct(task: &mut Task, from_past: bool) -> Result<(), Refused> {
    if task.follows && !(from_past && task.connection.copies_since.get().is_some()) {
        return Ok(());
    }
    let (hub, me) = (Arc::clone(&task.edge.hub), &task.connection.me);
    let end = hub.end(me.conf);
    let from = if from_past {
        let (reader, conf, uid, kept) = (hub.reader().clone(), me.conf, me.uid.clone(), task.kept_cursor());
        let unread = blocking(move || Ok(reader.unread_direct(conf, &uid)?)).await.map_err(|reject| by(&reject))?;
        let from = unread.iter().map(|unread| unread.first_pos - 1).min().unwrap_or(end).max(kept.unwrap_or(0)).min(end);
        let read = unread.into_iter().map(|unread| (unread.conv, unread.read)).collect();
        // From here on without waiting, until all is followed again.
        let told = task.connection.copies_since.take().map_or((0, 0), |since| (since, task.session.cursor()));
        if std::mem::replace(&mut task.follows, true) {
            task.session.unsubscribe_all();
        }
        let catching = Catching { through: end, from, read, told };
        task.connection.catching.replace(Some(Box::new(catching)));
        from
    } else {
        task.connection.copies_since.set(Some(end));
        end
    };
    follow_direct_from(task, from).await
}

/// The same from a pos on.
pub(super) async fn follow_direct_from(task: &mut Task, from: u64) -> Result<(), Refused> {
    task.follows = true;
    task.session.subscribe_all(Scope::Direct, HOW, Some(from)).await.map_err(|reject| by(&reject))?;
    let me = &task.connection.me;
    let inbox = Topic::Inbox(me.conf, me.uid.clone());
    task.session.follow(&inbox, None, HOW, from).map_err(|reject| by(&reject))?;
    task.connection.touched.set(true);
    Ok(())
}

/// The people that the user has direct conversations with.
async fn contacts(task: &Task) -> Result<Vec<Uid>, Refused> {
    let (reader, conf, uid) = (task.edge.hub.reader().clone(), task.connection.me.conf, task.connection.me.uid.clone());
    blocking(move || Ok(roster::partners(&reader, conf, &uid)?)).await.map_err(|reject| by(&reject))
}

/// The user is not here any more, by this session.
async fn unavailable(task: &mut Task, element: &Element) {
    if set(task, None) {
        return;
    }
    leave_rooms(task);
    let content = content(element).unwrap_or_else(|_| Arc::from([]));
    // Before the next presence is carried out, which is to come after it.
    broadcast_unavailable(Rc::clone(&task.connection), content).await;
    if task.follows && !task.connection.carbons.get() {
        // From there it goes on when the user is here again.
        task.save().await;
        task.follows = false;
        task.connection.copies_since.set(None);
        let me = &task.connection.me;
        task.session.unsubscribe_all();
        let inbox = Topic::Inbox(me.conf, me.uid.clone());
        task.session.shard.registry(|registry| registry.unsubscribe(task.session.slot, &inbox));
    }
}

fn leave_rooms(task: &mut Task) {
    for room in task.connection.rooms.take() {
        muc::left(&task.edge, room.key, task.session.id, Departure::Left);
        let _ = task.session.unsubscribe(&room.id);
    }
}

/// The session has ended: everybody is told.
pub(super) async fn gone(task: &Task) {
    for room in task.connection.rooms.take() {
        muc::left(&task.edge, room.key, task.session.id, Departure::Left);
    }
    let me = &task.connection.me;
    if task.edge.directory.remove(me.conf, &me.uid, task.session.id).is_some() {
        broadcast_unavailable(Rc::clone(&task.connection), Arc::from([])).await;
    }
}

async fn broadcast_unavailable(connection: Rc<Connection>, content: Arc<[u8]>) {
    let mut stanza = Vec::new();
    let mut xml = Writer::new(&mut stanza);
    xml.open("presence", ns::CLIENT)
        .attr("from", &connection.me.full)
        .attr("type", "unavailable")
        .inside()
        .written(&content)
        .close("presence");
    send_to_contacts(&connection, stanza.into()).await;
}

/// Tells contacts, and the user's other sessions, how this one is.
async fn broadcast(task: &Task, content: Option<&Arc<[u8]>>) {
    let Some(content) = content else { return };
    let mut stanza = Vec::new();
    write_available(&task.connection.me.bare, task.connection.me.resource(), content, &mut stanza);
    send_to_contacts(&task.connection, stanza.into()).await;
}

async fn send_to_contacts(connection: &Rc<Connection>, stanza: Arc<[u8]>) {
    let (edge, conf, uid) = (Arc::clone(&connection.edge), connection.me.conf, connection.me.uid.clone());
    let reader = edge.hub.reader().clone();
    let contacts = blocking(move || {
        let mut contacts = roster::partners(&reader, conf, &uid)?;
        let (blocked, _) = reader.blocked(conf, &uid, None, MAX_BLOCKED)?;
        // Nor those who have blocked the user; when it cannot be read, neither.
        contacts.retain(|contact| !blocked.contains(contact) && matches!(reader.has_blocked(conf, contact, &uid), Ok(false)));
        Ok(contacts)
    });
    let Ok(contacts) = contacts.await else { return };
    for uid in contacts.iter().chain([&connection.me.uid]) {
        for resource in edge.directory.of(conf, uid) {
            // The session itself, too, as long as it is available (RFC 6121 §4.2.2, §4.4.2).
            if resource.presence.is_some() {
                route(&edge, &resource, Arc::clone(&stanza));
            }
        }
    }
}

/// Appends a session's available presence, without `to`.
pub(super) fn write_available(bare: &str, resource: &str, content: &[u8], out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open("presence", ns::CLIENT).attr_of("from", &[bare, "/", resource]).inside().written(content).close("presence");
}

/// Appends how somebody is: each of their sessions that is available, and the service's for other protocols.
pub(super) fn write_presence_of(connection: &Connection, uid: &Uid, into: &mut Vec<u8>) {
    let (conf, edge) = (connection.me.conf, &connection.edge);
    if edge.hub.reader().has_blocked(conf, uid, &connection.me.uid).unwrap_or(true) {
        return;
    }
    let bare = connection.domain.names().user(uid);
    for resource in edge.directory.of(conf, uid) {
        if let Some(presence) = &resource.presence {
            let mut stanza = Vec::new();
            write_available(&bare, &resource.name, presence, &mut stanza);
            connection.emit_addressed(&stanza, into);
        }
    }
    let is_elsewhere = edge.hub.sessions().of(conf, uid).iter().any(|live| live.via != hallway_broker::model::Via::Xmpp);
    if connection.show_elsewhere(uid, is_elsewhere) && is_elsewhere {
        let Presence { status, text } = edge.hub.sessions().presence(conf, uid);
        let mut stanza = Vec::new();
        write_of_service(connection, uid, status, &text, &mut stanza);
        connection.emit(&stanza, into);
    }
}

/// Appends the presence of somebody who is here by other protocols.
pub(super) fn write_of_service(connection: &Connection, uid: &Uid, status: Status, text: &str, out: &mut Vec<u8>) {
    let names = connection.domain.names();
    let mut xml = Writer::new(out);
    xml.open("presence", ns::CLIENT).attr_of("from", &[uid.as_str(), "@", names.domain(), "/", SERVICE_RESOURCE]);
    xml.attr("to", &connection.me.full);
    if status == Status::Offline {
        xml.attr("type", "unavailable").empty();
        return;
    }
    xml.inside();
    write_show(&mut xml, status, text);
    xml.close("presence");
}

/// Appends `<show/>` and `<status/>` (RFC 6121 §4.7.2).
pub(super) fn write_show(xml: &mut Writer<'_>, status: Status, text: &str) {
    match status {
        Status::Away => xml.child("show", "away"),
        Status::Dnd => xml.child("show", "dnd"),
        Status::Online | Status::Offline => xml,
    };
    if !text.is_empty() {
        xml.child("status", text);
    }
}

/// Whether what the user sends may come to somebody: not when one of them has blocked the other (XEP-0191 §3.4), or it cannot be read.
pub(super) fn may_reach(connection: &Connection, uid: &Uid) -> bool {
    let me = &connection.me;
    *uid == me.uid || matches!(connection.edge.hub.reader().block_between(me.conf, &me.uid, uid), Ok(None))
}

/// Sends a stanza of this session to somebody's sessions, or to one, as it is: `from` is ours.
pub(super) fn route_to_user(task: &Task, element: &Element, uid: &Uid, resource: Option<&str>) {
    let Some(stanza) = from_session(&task.connection, element) else { return };
    let resources = task.edge.directory.of(task.connection.me.conf, uid);
    for other in resources.iter().filter(|other| resource.is_none_or(|name| *name == *other.name)) {
        route(&task.edge, other, Arc::clone(&stanza));
    }
}

/// A stanza of this session as others get it, without `to`; `None` when it is none.
pub(super) fn from_session(connection: &Connection, element: &Element) -> Option<Arc<[u8]>> {
    let kind = ["message", "presence", "iq"].into_iter().find(|kind| *kind == element.name())?;
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open(kind, ns::CLIENT)
        .attr("from", &connection.me.full)
        .attr_if("id", element.attr("id"))
        .attr_if("type", element.attr("type"))
        .inside();
    let mut content = Vec::new();
    // Ids in archives are the server's to give (XEP-0359 §6).
    let children = element.children().filter(|child| !child.is("stanza-id", "urn:xmpp:sid:0"));
    children.for_each(|child| write_element(Framing::Tcp, child, &mut content));
    xml.written(&content).close(kind);
    Some(out.into())
}

/// Gives a stanza without `to` to a session on any shard. One that has too much waiting does not get it.
pub(super) fn route(edge: &Edge, to: &Resource, stanza: Arc<[u8]>) {
    route_by(edge, to, move |connection, into| connection.emit_addressed(&stanza, into));
}

/// The same of a stanza that names its receiver.
pub(super) fn route_whole(edge: &Edge, to: &Resource, stanza: Arc<[u8]>) {
    route_by(edge, to, move |connection, into| connection.emit(&stanza, into));
}

/// Has something written to a session on any shard, unless too much waits for it already.
pub(super) fn route_by(edge: &Edge, to: &Resource, write: impl FnOnce(&Connection, &mut Vec<u8>) + Send + 'static) {
    let Resource { shard, slot, session, .. } = *to;
    edge.hub.run_on_shard(
        shard,
        Box::new(move |shard: &Rc<Shard>| {
            let Some(connection) = connection_here(session) else { return };
            let most = if connection.detached.get() { MAX_KEPT_BYTES } else { MAX_WAITING_BYTES };
            shard.registry(|registry| {
                if let Some((outbox, _)) = registry.outbox(slot, session)
                    && outbox.answers_bytes() < most
                {
                    write(&connection, outbox.answers());
                }
                registry.flush(slot);
            });
        }),
    );
}

/// A room's JID for a stanza.
pub(super) fn room_jid<'a>(connection: &'a Connection, room: &'a ConversationId) -> [&'a str; 3] {
    [room.as_str(), "@", connection.domain.names().rooms()]
}
