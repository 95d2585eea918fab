//! Who is in a room, as its occupants are told: at once who enters, and once a second everybody of what has changed.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::session::blocking;
use hallway_broker::shard::Shard;
use hallway_broker::topic::Topic;

use super::enter;
use crate::xmpp::connection::Connection;
use crate::xmpp::edge::{Edge, connection_here};
use crate::xmpp::names::nick_of;
use crate::xmpp::presence::{MAX_WAITING_BYTES, room_jid};
use crate::xmpp::rooms::{Affiliation, Change, Changes, Departure, Entered, Look, Role, RoomKey, Shown, standing_of};
use crate::xmpp::stanza::Occupant;
use crate::xmpp::stanza::ns::{CLIENT, MUC_USER};
use crate::xmpp::write::Writer;

/// How often it is looked who is no recent speaker any more.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long is waited after each telling for every session that was told, so that what is told in all is bounded, and at least and at most: in small
/// rooms people see at once who comes and goes, in large ones once a second, the latest only.
const PAUSE_FOR_EACH: Duration = Duration::from_millis(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Tells those in rooms who came and went, as long as the edge runs.
pub async fn tell_rooms(edge: Arc<Edge>) {
    loop {
        // Without news: for those who are no recent speakers any more.
        let _ = tokio::time::timeout(LOOK_EVERY, edge.rooms.news()).await;
        let mut told = 0;
        for Look { key, sessions, strangers } in edge.rooms.tick(edge.hub.clock().now_ms()) {
            if !strangers.is_empty() {
                introduce(&edge, key, strangers).await;
            }
            for (shard, sessions) in sessions {
                told += sessions.len();
                let at = Arc::clone(&edge);
                edge.hub.run_on_shard(shard, Box::new(move |shard| look(&at, shard, key, &sessions)));
            }
        }
        let pause = PAUSE_FOR_EACH * u32::try_from(told).unwrap_or(u32::MAX).min(1000);
        tokio::time::sleep(pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

/// Says who people are that are known by their uid alone.
async fn introduce(edge: &Arc<Edge>, key: RoomKey, strangers: Vec<Uid>) {
    let (hub, conf) = (Arc::clone(&edge.hub), key.0);
    let Some(id) = edge.open_rooms.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned() else { return };
    let found = blocking(move || {
        let (reader, pos) = (hub.reader(), hub.end(conf));
        let Some(found) = reader.conversation(conf, &id)? else { return Ok(Vec::new()) };
        let mut known = Vec::new();
        for uid in strangers {
            let Some(user) = reader.user(conf, &uid)? else { continue };
            let standing = standing_of(found.record.kind, user.role, reader.standing(&found, &uid)?);
            known.push((uid, Arc::clone(&user.name), standing, pos));
        }
        Ok(known)
    });
    for (uid, name, standing, pos) in found.await.unwrap_or_default() {
        edge.rooms.introduce(key, &uid, &name, standing, pos);
    }
}

/// Sessions of this shard look at what has changed in a room: each is told what it has not been, as far as its lane takes it.
fn look(edge: &Arc<Edge>, shard: &Rc<Shard>, key: RoomKey, sessions: &[u64]) {
    // Most have been told the same: what they are told now is written once.
    let mut forms: HashMap<(u64, u64), Vec<Vec<u8>>> = HashMap::new();
    for session in sessions {
        let Some(connection) = connection_here(*session).filter(|connection| !connection.detached.get()) else { continue };
        let Some((id, since)) = connection.in_room(key) else { continue };
        let Changes { version, list, resync, is_personal } = edge.rooms.changes(key, *session, since);
        let slot = connection.slot.get();
        let own;
        let stanzas = if is_personal {
            own = write_changes(&connection, (key, &id), &list);
            &own
        } else {
            forms.entry((since, version)).or_insert_with(|| write_changes(&connection, (key, &id), &list))
        };
        let is_told = shard.registry(|registry| {
            let Some((outbox, _)) = registry.outbox(slot, *session) else { return false };
            if outbox.answers_bytes() >= MAX_WAITING_BYTES || !connection.takes_events() {
                return false;
            }
            if resync {
                let mut out = Vec::new();
                write_lost_touch(&connection, &id, &mut out);
                connection.emit_addressed(&out, outbox.answers());
            }
            for stanza in stanzas {
                connection.emit_addressed(stanza, outbox.answers());
            }
            registry.flush(slot);
            true
        });
        if !is_told {
            edge.rooms.look_again(key, *session);
            continue;
        }
        if resync {
            connection.forget_room(key);
            enter::left(edge, key, *session, Departure::Left);
        } else if let Some(room) = connection.rooms.borrow_mut().iter_mut().find(|room| room.key == key) {
            room.version = version;
        }
    }
}

fn uid_of(change: &Change) -> &Uid {
    match change {
        Change::Here(shown) | Change::Gone(shown, _) => &shown.uid,
    }
}

/// A room's number and its conversation.
pub type Room<'a> = (RoomKey, &'a ConversationId);

fn write_changes(connection: &Connection, (key, room): Room<'_>, list: &[Change]) -> Vec<Vec<u8>> {
    let write = |change: &Change| {
        let mut out = Vec::with_capacity(384);
        let own = if uid_of(change) == &connection.me.uid { &["110"][..] } else { &[] };
        match change {
            Change::Here(shown) => write_here(connection, room, shown, own, &mut out),
            Change::Gone(shown, how) => write_gone(connection, (key, room), shown, *how, own, &mut out),
        }
        out
    };
    list.iter().map(write).collect()
}

/// Appends what who enters is told of those who are there, and of themselves last (XEP-0045 §7.2.2, §7.2.3).
pub fn write_entered(connection: &Connection, room: &ConversationId, entered: &Entered, codes: &[&str], into: &mut Vec<u8>) {
    let mut out = Vec::with_capacity(384);
    for shown in &entered.others {
        out.clear();
        write_here(connection, room, shown, &[], &mut out);
        connection.emit_addressed(&out, into);
    }
    out.clear();
    let own: Vec<&str> = codes.iter().copied().chain(["110"]).collect();
    write_here(connection, room, &entered.own, &own, &mut out);
    connection.emit_addressed(&out, into);
}

/// Appends an occupant's presence, without `to`.
fn write_here(connection: &Connection, room: &ConversationId, shown: &Shown, codes: &[&str], out: &mut Vec<u8>) {
    let [id, at, rooms] = room_jid(connection, room);
    let mut xml = Writer::new(out);
    xml.open("presence", CLIENT).attr_of("from", &[id, at, rooms, "/", &shown.nick]).inside().written(&shown.presence);
    let real = real_jid(connection, shown);
    let item = Item { affiliation: shown.affiliation, role: shown.role, jid: &real, nick: None, reason: None };
    write_item(&mut xml, &item, codes);
    write_who(connection, room, shown, &mut xml);
    xml.close("presence");
}

/// Appends that an occupant is gone, without `to` (XEP-0045 §7.14, §8.2, §9.1, §9.4).
fn write_gone(connection: &Connection, (key, room): Room<'_>, shown: &Shown, how: Departure, codes: &[&str], out: &mut Vec<u8>) {
    let [id, at, rooms] = room_jid(connection, room);
    let (code, affiliation) = standing_after(how, shown.affiliation);
    let codes: Vec<&str> = codes.iter().copied().chain(code).collect();
    let mut xml = Writer::new(out);
    xml.open("presence", CLIENT).attr_of("from", &[id, at, rooms, "/", &shown.nick]).attr("type", "unavailable").inside();
    let nick = (how == Departure::Renamed).then(|| nick_of(&shown.name, &shown.uid));
    let (real, reason) = (real_jid(connection, shown), reason(connection, key, &shown.uid, how));
    let item = Item { affiliation, role: Role::None, jid: &real, nick: nick.as_deref(), reason: reason.as_deref() };
    write_item(&mut xml, &item, &codes);
    write_who(connection, room, shown, &mut xml);
    xml.close("presence");
}

/// Appends that the session itself is gone from a room, without `to`.
pub fn write_own_departure(connection: &Connection, (key, room): Room<'_>, how: Departure, out: &mut Vec<u8>) {
    let me = &connection.me;
    let [id, at, rooms] = room_jid(connection, room);
    let (code, affiliation) = standing_after(how, Affiliation::None);
    let codes: Vec<&str> = ["110"].into_iter().chain(code).collect();
    let mut xml = Writer::new(out);
    xml.open("presence", CLIENT).attr_of("from", &[id, at, rooms, "/", &nick_of(&me.name, &me.uid)]).attr("type", "unavailable").inside();
    let reason = reason(connection, key, &me.uid, how);
    let item = Item { affiliation, role: Role::None, jid: &me.full, nick: None, reason: reason.as_deref() };
    write_item(&mut xml, &item, &codes);
    xml.close("presence");
}

/// Appends that the room has lost touch with the session, which may enter again (XEP-0045 §8.6, status 333).
fn write_lost_touch(connection: &Connection, room: &ConversationId, out: &mut Vec<u8>) {
    let me = &connection.me;
    let [id, at, rooms] = room_jid(connection, room);
    let mut xml = Writer::new(out);
    xml.open("presence", CLIENT).attr_of("from", &[id, at, rooms, "/", &nick_of(&me.name, &me.uid)]).attr("type", "unavailable").inside();
    let item = Item { affiliation: Affiliation::None, role: Role::None, jid: &me.full, nick: None, reason: None };
    write_item(&mut xml, &item, &["110", "307", "333"]);
    xml.close("presence");
}

/// Why somebody was put out, if a moderator said so.
fn reason(connection: &Connection, key: RoomKey, uid: &Uid, how: Departure) -> Option<Arc<str>> {
    matches!(how, Departure::Kicked | Departure::Banned).then(|| connection.edge.rooms.reason(key, uid)).flatten()
}

fn standing_after(how: Departure, affiliation: Affiliation) -> (Option<&'static str>, Affiliation) {
    match how {
        Departure::Left => (None, affiliation),
        Departure::Kicked => (Some("307"), Affiliation::None),
        Departure::Banned => (Some("301"), Affiliation::Outcast),
        Departure::NoLongerMember => (Some("321"), Affiliation::None),
        Departure::Renamed => (Some("303"), affiliation),
    }
}

/// Everybody is known to everybody in a conference: rooms are not anonymous (XEP-0045 §7.2.3, status 100).
fn real_jid(connection: &Connection, shown: &Shown) -> String {
    shown.jid.as_deref().map_or_else(|| connection.domain.names().user(&shown.uid), str::to_owned)
}

/// Who an occupant is, and what they may do (XEP-0045 §7.2.2).
struct Item<'a> {
    affiliation: Affiliation,
    role: Role,
    jid: &'a str,
    nick: Option<&'a str>,
    reason: Option<&'a str>,
}

fn write_item(xml: &mut Writer<'_>, item: &Item<'_>, codes: &[&str]) {
    xml.open("x", MUC_USER).inside();
    xml.open_child("item").attr("affiliation", item.affiliation.word()).attr("role", item.role.word());
    xml.attr("jid", item.jid).attr_if("nick", item.nick);
    match item.reason {
        Some(reason) => xml.inside().child("reason", reason).close("item"),
        None => xml.empty(),
    };
    for code in codes {
        xml.open_child("status").attr("code", code).empty();
    }
    xml.close("x");
}

/// XEP-0421, and the true name when no nick can hold it (XEP-0172).
fn write_who(connection: &Connection, room: &ConversationId, shown: &Shown, xml: &mut Writer<'_>) {
    let occupant = Occupant { conf: connection.me.conf, conversation: room, uid: &shown.uid, name: &shown.name };
    connection.domain.stanzas.write_identity(xml, &occupant);
}

/// Somebody is in the room, or (`None`) nobody any more: as long as somebody is, it is told who follows its conversation by other protocols.
pub fn watch(edge: &Edge, key: RoomKey, id: Option<&ConversationId>) {
    let mut open = edge.open_rooms.lock().unwrap_or_else(PoisonError::into_inner);
    match id {
        Some(id) => drop(open.insert(key, id.clone())),
        // Another may have come in between.
        None if edge.rooms.is_open(key) => {}
        None => drop(open.remove(&key)),
    }
    drop(open);
    let (conf, conv) = key;
    edge.hub.watch(&Topic::Chat(conf, conv));
}
