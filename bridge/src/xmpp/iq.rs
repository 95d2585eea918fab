//! Requests: each to who answers it. What the server, a room or an account answers is here or a file away; what is for a session goes there.

use std::rc::Rc;

use hallway_broker::canonical::time_text;
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::view::Found;
use minidom::Element;

use super::disco::{self, Info, Item};
use super::edge::Service;
use super::inbound::{Refused, by, refused};
use super::muc::{self, Asking};
use super::names::{Address, NickOwner, nick_owner};
use super::presence::{follow_direct, from_session, may_reach, route};
use super::push::publishing::Answerer;
use super::stanza::ns::{CARBONS, CLIENT, MODERATE};
use super::stanza::{Condition, read_moderation};
use super::task::Task;
use super::write::Writer;
use super::{archive, notify, profile, push, roster, say};

/// The namespace of pings (XEP-0199).
pub(super) const PING: &str = "urn:xmpp:ping";
/// Of versions (XEP-0092).
pub(super) const VERSION: &str = "jabber:iq:version";
/// Of times (XEP-0202).
pub(super) const TIME: &str = "urn:xmpp:time";
/// Of last activity, which of the server is its uptime (XEP-0012).
pub(super) const LAST: &str = "jabber:iq:last";
/// Of services elsewhere (XEP-0215).
pub(super) const SERVICES: &str = "urn:xmpp:extdisco:2";

/// Who says what the server can do (XEP-0115 §4).
pub(super) const CAPS_NODE: &str = "urn:x-hallway";

/// An answer's payload: nothing, or an element.
pub(super) type Answer = Result<Vec<u8>, Refused>;

/// A request for nothing that is known here.
pub(super) fn unknown() -> Refused {
    refused(Condition::ServiceUnavailable, "this is not answered here")
}

/// Carries out an `<iq/>` (RFC 6120 §8.2.3).
pub(super) async fn received(task: &mut Task, iq: &Element) {
    let kind = iq.attr("type");
    let is_request = matches!(kind, Some("get" | "set"));
    let address = match iq.attr("to") {
        None => Ok(Address::User { uid: task.connection.me.uid.clone(), resource: None }),
        Some(to) => task.connection.domain.names().parse(to).map_err(|error| Refused::from(&error)),
    };
    if let Ok(Address::User { uid, resource: Some(resource) }) = &address
        && pass_on(task, iq, uid, resource)
    {
        return;
    }
    if let Ok(Address::Room { conversation, nick: Some(nick) }) = &address
        && is_request
        && to_occupant(task, iq, conversation, nick)
    {
        return;
    }
    if !is_request {
        let me = &task.connection.me;
        if task.edge.publishing.answered(iq, &Answerer::Account(me.conf, me.uid.clone())) {
            return;
        }
        if kind == Some("result") {
            notify::answered(task, iq).await;
        }
        if !matches!(kind, Some("result" | "error")) {
            give(task, iq, Err(refused(Condition::BadRequest, "an iq is get, set, result or error")));
        }
        return;
    }
    let rate = task.connection.sending.take(&task.session.shard.hub, &task.session.who).map_err(|reject| by(&reject));
    let answer = match (rate, address) {
        (Ok(()), Ok(address)) => Box::pin(answer(task, iq, address)).await,
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    give(task, iq, answer);
}

/// Appends an answer.
fn give(task: &Task, iq: &Element, answer: Answer) {
    let (connection, id) = (Rc::clone(&task.connection), iq.attr("id"));
    task.session.push(|into| match answer {
        Ok(payload) => {
            let mut stanza = Vec::with_capacity(payload.len() + 128);
            let mut xml = Writer::new(&mut stanza);
            xml.open("iq", CLIENT).attr_if("from", iq.attr("to")).attr("to", &connection.me.full);
            xml.attr_if("id", id).attr("type", "result");
            if payload.is_empty() {
                xml.empty();
            } else {
                xml.inside().written(&payload).close("iq");
            }
            connection.emit(&stanza, into);
        }
        Err(error) => connection.refuse("iq", id, iq.attr("to"), &error, into),
    });
}

/// What is for a session goes to it. False when there is none, and it is for the server to answer.
fn pass_on(task: &Task, iq: &Element, uid: &Uid, resource: &str) -> bool {
    let me = &task.connection.me;
    let Some(to) = task.edge.directory.find(me.conf, uid, resource) else { return false };
    if task.connection.sending.take(&task.session.shard.hub, &task.session.who).is_err() || !may_reach(&task.connection, uid) {
        return false;
    }
    if let Some(stanza) = from_session(&task.connection, iq) {
        route(&task.edge, &to, stanza);
    }
    true
}

/// A ping of an occupant (XEP-0410 §3): oneself, as long as one is in.
fn to_occupant(task: &Task, iq: &Element, room: &ConversationId, nick: &str) -> bool {
    if iq.get_child("ping", PING).is_none() {
        return false;
    }
    let answer = if task.connection.is_in(room) {
        let own = super::names::nick_of(&task.connection.me.name, &task.connection.me.uid);
        if nick == own { Ok(Vec::new()) } else { Err(unknown()) }
    } else {
        Err(refused(Condition::NotAcceptable, "enter the room first"))
    };
    give(task, iq, answer);
    true
}

async fn answer(task: &mut Task, iq: &Element, address: Address) -> Answer {
    let is_set = iq.attr("type") == Some("set");
    let mut payloads = iq.children();
    let (Some(payload), None) = (payloads.next(), payloads.next()) else {
        return Err(refused(Condition::BadRequest, "one payload at a time")); // RFC 6120 §8.2.3
    };
    if iq.attr("id").is_none() {
        return Err(refused(Condition::BadRequest, "an iq needs an id"));
    }
    match address {
        Address::Server => of_server(task, is_set, payload),
        Address::Rooms => of_rooms(task, payload).await,
        Address::Room { conversation, nick: None } => of_room(task, is_set, payload, &conversation).await,
        Address::Room { conversation, nick: Some(nick) } => {
            let uid = occupant(task, &conversation, &nick)?;
            Box::pin(of_user(task, is_set, payload, &uid)).await
        }
        Address::User { uid, resource } => {
            if resource.is_some_and(|resource| resource != super::presence::SERVICE_RESOURCE) {
                return Err(unknown());
            }
            Box::pin(of_user(task, is_set, payload, &uid)).await
        }
    }
}

fn occupant(task: &Task, room: &ConversationId, nick: &str) -> Result<Uid, Refused> {
    let found = readable(task, room)?;
    let uid = match nick_owner(nick) {
        NickOwner::Uid(uid) => Some(uid),
        NickOwner::Name(name) => task.edge.rooms.occupant_by_nick((found.conf, found.record.no), name),
    };
    uid.ok_or_else(|| refused(Condition::ItemNotFound, "there is nobody with this nick"))
}

pub(super) fn readable(task: &Task, id: &ConversationId) -> Result<Found, Refused> {
    let me = &task.connection.me;
    task.edge.hub.reader().readable(me.conf, &me.uid, id).map_err(|reject| by(&reject))
}

/// The server itself.
fn of_server(task: &mut Task, is_set: bool, payload: &Element) -> Answer {
    let mut out = Vec::new();
    let node = payload.attr("node");
    match (is_set, payload.ns().as_str(), payload.name()) {
        (false, disco::INFO, "query") => {
            // XEP-0115 §6.2
            let known =
                node.is_none_or(|node| node.strip_prefix(CAPS_NODE).and_then(|ver| ver.strip_prefix('#')) == Some(&server_info().hash()));
            if !known {
                return Err(refused(Condition::ItemNotFound, "there is no such node"));
            }
            server_info().write(node, &mut out);
        }
        (false, disco::ITEMS, "query") if node.is_none() => {
            let rooms = Item { jid: task.connection.domain.names().rooms().to_owned(), name: Some("Rooms".into()) };
            disco::write_items(&[rooms], node, &mut out);
        }
        (false, PING, "ping") => {}
        (false, VERSION, "query") => {
            let mut xml = Writer::new(&mut out);
            xml.open("query", VERSION).inside().child("name", "Hallway").child("version", env!("CARGO_PKG_VERSION")).close("query");
        }
        (false, TIME, "time") => {
            let utc = time_text(task.edge.hub.clock().now_ms());
            let mut xml = Writer::new(&mut out);
            xml.open("time", TIME).inside().child("tzo", "+00:00").child("utc", &utc).close("time");
        }
        (false, LAST, "query") => {
            let seconds = usize::try_from(task.edge.hub.clock().elapsed().as_secs()).unwrap_or(usize::MAX);
            Writer::new(&mut out).open("query", LAST).number_attr("seconds", seconds).empty();
        }
        (false, SERVICES, "services") => write_services(&task.edge.options.services, payload.attr("type"), &mut out),
        _ => return Err(unknown()),
    }
    Ok(out)
}

/// What the server is and can do.
pub(super) fn server_info() -> Info {
    let identity = |category, kind, name: &str| disco::Identity { category, kind, name: name.into() };
    let features = vec![
        disco::INFO,
        disco::ITEMS,
        PING,
        VERSION,
        TIME,
        LAST,
        SERVICES,
        CARBONS,
        "urn:xmpp:carbons:rules:0",
        "jabber:iq:roster",
        "vcard-temp",
        profile::blocking::FEATURE,
        "jabber:iq:private",
        "urn:xmpp:sid:0",
    ];
    Info { identities: vec![identity("server", "im", "Hallway"), identity("pubsub", "pep", "")], features }
}

/// XEP-0215 §3.
fn write_services(services: &[Service], kind: Option<&str>, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open("services", SERVICES).attr_if("type", kind).inside();
    for service in services.iter().filter(|service| kind.is_none_or(|kind| kind == service.kind)) {
        xml.open_child("service").attr("type", &service.kind).attr("host", &service.host);
        xml.attr_if("port", service.port.map(|port| port.to_string()).as_deref());
        let texts =
            [("transport", &service.transport), ("name", &service.name), ("username", &service.username), ("password", &service.password)];
        for (name, text) in texts {
            xml.attr_if(name, text.as_deref());
        }
        xml.empty();
    }
    xml.close("services");
}

/// The rooms as a service.
async fn of_rooms(task: &mut Task, payload: &Element) -> Answer {
    let asking = asking(task);
    let mut out = Vec::new();
    match (payload.ns().as_str(), payload.name()) {
        (disco::INFO, "query") => muc::info::of_service("Rooms").write(payload.attr("node"), &mut out),
        (disco::ITEMS, "query") => return muc::info::rooms(&asking, payload).await,
        (PING, "ping") => {}
        _ => return Err(unknown()),
    }
    Ok(out)
}

fn asking(task: &Task) -> Asking<'_> {
    Asking { session: &task.session, names: task.connection.domain.names(), rooms: &task.edge.rooms }
}

/// A room.
async fn of_room(task: &mut Task, is_set: bool, payload: &Element, room: &ConversationId) -> Answer {
    if payload.is("moderate", MODERATE) && is_set {
        let said = read_moderation(payload)?.ok_or_else(unknown)?;
        say::moderate(task, room, &said).await?;
        return Ok(Vec::new());
    }
    if payload.is("ping", PING) {
        return if task.connection.is_in(room) { Ok(Vec::new()) } else { Err(refused(Condition::NotAcceptable, "enter the room first")) };
    }
    let found = readable(task, room)?;
    if payload.has_ns(super::stanza::ns::ARCHIVE) {
        return archive::answer(task, is_set, payload, Some(&found)).await;
    }
    muc::answer(&asking(task), &found, is_set, payload).await.unwrap_or_else(|| Err(unknown()))
}

/// An account: the user's own, or somebody else's.
async fn of_user(task: &mut Task, is_set: bool, payload: &Element, uid: &Uid) -> Answer {
    let is_own = *uid == task.connection.me.uid;
    match (payload.ns().as_str(), payload.name()) {
        (roster::NS, "query") if is_own => return roster::answer(task, is_set, payload).await,
        (CARBONS, "enable" | "disable") if is_own && is_set => {
            let is_on = payload.name() == "enable";
            task.connection.carbons.set(is_on);
            if is_on {
                follow_direct(task, false).await?;
            }
            return Ok(Vec::new());
        }
        (super::stanza::ns::ARCHIVE, _) if is_own => return archive::answer(task, is_set, payload, None).await,
        ("urn:ietf:params:xml:ns:xmpp-session", "session") if is_own && is_set => return Ok(Vec::new()),
        (disco::INFO, "query") if !is_set && payload.attr("node").is_none() => {
            let mut out = Vec::new();
            account_info(is_own).write(None, &mut out);
            return Ok(out);
        }
        (PING, "ping") if is_own => return Ok(Vec::new()),
        (push::NS, _) if is_own && is_set => return push::answer(task, payload).await,
        ("urn:xmpp:blocking", "blocklist") if is_own => task.connection.sees_blocks.set(true),
        _ => {}
    }
    let asking = profile::Asking::of(&task.session, task.connection.domain.names());
    if let Some(answer) = profile::answer(&asking, uid, is_set, payload).await {
        let profile::Answered { payload, pushes } = answer?;
        notify::tell(task, pushes).await;
        return Ok(payload);
    }
    // Of requests without `to` some are for the server.
    if is_own { of_server(task, is_set, payload) } else { Err(unknown()) }
}

/// What an account is and can do.
fn account_info(is_own: bool) -> Info {
    let identity = |category, kind| disco::Identity { category, kind, name: String::new() };
    let mut features = vec![disco::INFO, disco::ITEMS, "vcard-temp", "urn:xmpp:sid:0"];
    if is_own {
        features.extend([super::stanza::ns::ARCHIVE, "urn:xmpp:mam:2#extended", CARBONS, push::NS]);
    }
    features.extend(profile::pep::FEATURES);
    Info { identities: vec![identity("account", "registered"), identity("pubsub", "pep")], features }
}
