//! What a session is given of the hub's events and signals: a room's in the form that all occupants share, a direct conversation's in one
//! of its own, since that depends on who looks.

use std::collections::HashMap;

use hallway_broker::ids::{ConvNo, ConversationId, Uid};
use hallway_broker::model::{Body, Change, Event, Kind, Notice, Signal, Status, Via};
use hallway_broker::outbox::Stamped;
use hallway_broker::sessions::Live;
use hallway_broker::topic::Telling;

use super::connection::Connection;
use super::directory::Going;
use super::muc::enter;
use super::presence;
use super::rooms::Departure;
use super::stanza::{self, Carbon, ChatState, Ends, Invitation, message_id, write_carbon, write_chat_read, write_chat_state};
use super::wire::Prepared;

/// Direct conversations as they are while a session that comes back catches up with them.
pub(super) struct Catching {
    /// What is at or below this pos is of the past.
    pub through: u64,
    /// What is at or below this one is not told.
    pub from: u64,
    /// Of each conversation with unread messages, the seq up to which the user has read: that is not told again, nor is what was said where
    /// everything is read.
    pub read: HashMap<ConvNo, u64>,
    /// What is above the first pos, and not above the second, was told already.
    pub told: (u64, u64),
}

/// Gives an event (see [`hallway_broker::outbox::Link::stamp`]).
pub(super) fn event(connection: &Connection, event: &Event, form: &[u8], into: &mut Vec<u8>) -> Stamped {
    let pos = event.entry.pos;
    if had_before(connection, pos) {
        return Stamped::Unwanted;
    }
    if !connection.takes_events() {
        return Stamped::NoRoom;
    }
    let begin = into.len();
    match (event.place.kind, &event.entry.body) {
        (Kind::Direct | Kind::Inbox, _) if was_told(connection, pos) => {}
        (Kind::Direct, _) => direct(connection, event, into),
        (Kind::Inbox, Body::Notice(notice)) => told(connection, event, notice, into),
        (Kind::Inbox | Kind::Topics, _) => {}
        // Who was put out of what is open to all is given its events until the task lets go of it.
        _ if !connection.occupies((event.place.conf, event.place.conv)) => {}
        (_, Body::Member { user, change }) if *user == connection.me.uid => put_out(connection, event, *change, into),
        _ if form.is_empty() => {}
        _ => connection.emit_event(pos, form, into),
    }
    if into.len() > begin { Stamped::Given } else { Stamped::Unwanted }
}

fn had_before(connection: &Connection, pos: u64) -> bool {
    connection.managed.borrow().as_ref().is_some_and(|managed| managed.had.binary_search(&pos).is_ok())
}

/// Whether the event was given while direct conversations were followed for copies alone.
fn was_told(connection: &Connection, pos: u64) -> bool {
    connection.catching.borrow().as_ref().is_some_and(|catching| catching.told.0 < pos && pos <= catching.told.1)
}

/// The user's own standing in a room changed: who is put out is told by the room, and is no occupant any more (XEP-0045 §8.2, §9.1, §9.4).
fn put_out(connection: &Connection, event: &Event, change: Change, into: &mut Vec<u8>) {
    let how = match change {
        Change::Removed => Departure::Kicked,
        Change::Banned => Departure::Banned,
        Change::Left if !event.place.kind.is_public() => Departure::NoLongerMember,
        _ => return,
    };
    let key = (event.place.conf, event.place.conv);
    if !connection.forget_room(key) {
        return;
    }
    enter::left(&connection.edge, key, connection.session.get(), how);
    let mut stanza = Vec::new();
    presence::write_own_departure(connection, (key, &event.place.conversation), how, &mut stanza);
    connection.emit_addressed(&stanza, into);
    connection.left.borrow_mut().push(event.place.conversation.clone());
    connection.bell.ring();
}

/// A notice of the user's inbox: an invitation, and a contact who is new.
fn told(connection: &Connection, event: &Event, notice: &Notice, into: &mut Vec<u8>) {
    let Notice::Invited { conversation } = notice else { return };
    let id = connection.edge.domains.ids.encode(event.place.conf, event.entry.pos);
    let mut stanza = Vec::new();
    match conversation.partner(&connection.me.uid) {
        Some(partner) => {
            connection.met.borrow_mut().push(partner);
            connection.bell.ring();
        }
        None => {
            let found = connection.edge.hub.reader().conversation(event.place.conf, conversation).ok().flatten();
            let reason = found.and_then(|found| connection.edge.rooms.reason((found.conf, found.record.no), &connection.me.uid));
            let (inviter, to, reason) = (&event.entry.from, &*connection.me.full, reason.as_deref());
            connection.domain.stanzas.write_invitation(conversation, &Invitation { inviter, to, id: &id, reason }, &mut stanza);
        }
    }
    if !stanza.is_empty() {
        connection.emit_own_event(event.entry.pos, &stanza, into);
    }
}

/// An event of a direct conversation, as it looks from here.
fn direct(connection: &Connection, event: &Event, into: &mut Vec<u8>) {
    let (me, entry) = (&connection.me, &event.entry);
    let Some(partner) = event.place.conversation.partner(&me.uid) else { return };
    let is_own = entry.from == me.uid;
    if event.place.seq == 1 {
        connection.met.borrow_mut().push(partner.clone());
        connection.bell.ring();
    }
    if is_own && (event.origin == connection.session.get() || !connection.carbons.get()) {
        return;
    }
    let is_delayed = match connection.catching.borrow().as_deref() {
        Some(catching) if entry.pos <= catching.through => {
            // A conversation in which everything is read is not in the list.
            let Some(read) = catching.read.get(&event.place.conv) else { return };
            if event.place.seq <= *read || entry.pos <= catching.from {
                return;
            }
            true
        }
        _ => false,
    };
    let going = going(connection, event);
    let is_elsewhere = |resource: std::sync::Arc<str>| *resource != *me.resource() && !connection.stands_for_all.get();
    let for_other = !is_own && going.resource.is_some_and(is_elsewhere);
    if (for_other && !connection.carbons.get()) || (going.is_private && (is_own || for_other)) {
        return;
    }
    let names = connection.domain.names();
    let room = going.room.filter(|room| connection.is_in(room));
    let in_room = |uid: &Uid| room.as_ref().and_then(|room| occupant(connection, room, uid));
    let from = if is_own { None } else { in_room(&entry.from) }.unwrap_or_else(|| sender(connection, event));
    let other = in_room(&partner).unwrap_or_else(|| names.user(&partner));
    let (to, carbon) = match (is_own, for_other) {
        (true, _) => (&*other, Some(Carbon::Sent)),
        (false, true) => (&*me.bare, Some(Carbon::Received)),
        (false, false) => (&*me.full, None),
    };
    let ends = Ends { from: &from, to, archive: &me.bare, is_private: room.is_some() };
    let mut stanza = Vec::with_capacity(512);
    if !write_direct(connection, event, &ends, is_delayed, &mut stanza) {
        return;
    }
    if let Some(carbon) = carbon {
        let inner = std::mem::take(&mut stanza);
        write_carbon(carbon, &me.bare, &me.full, &inner, &mut stanza);
    }
    connection.touched.set(true);
    connection.emit_own_event(entry.pos, &stanza, into);
}

/// Appends an event of a direct conversation; false when it is not told by a message.
pub(super) fn write_direct(connection: &Connection, event: &Event, ends: &Ends<'_>, is_delayed: bool, out: &mut Vec<u8>) -> bool {
    let prepared = match Prepared::fresh(&connection.edge, event) {
        Ok(prepared) => prepared,
        Err(error) => {
            tracing::warn!(%error, "an event is not told over XMPP, since what it is about cannot be read");
            return false;
        }
    };
    if prepared.is_hidden() {
        return false;
    }
    let outgoing = stanza::Outgoing { is_delayed, ..prepared.outgoing(event) };
    connection.domain.stanzas.write_chat(&outgoing, ends, out)
}

/// Whom it comes from: the session, as long as it is there, so that answers find it; else the account.
fn sender(connection: &Connection, event: &Event) -> String {
    let bare = connection.domain.names().user(&event.entry.from);
    let session = (event.entry.via == Via::Xmpp && event.origin != 0).then_some(event.origin);
    match session.and_then(|session| connection.edge.directory.resource(event.place.conf, &event.entry.from, session)) {
        Some(resource) => format!("{bare}/{resource}"),
        None => bare,
    }
}

/// Somebody's address in a room.
fn occupant(connection: &Connection, room: &ConversationId, uid: &Uid) -> Option<String> {
    let rooms = connection.rooms.borrow();
    let in_room = rooms.iter().find(|in_room| in_room.id == *room)?;
    let shown = connection.edge.rooms.occupant(in_room.key, uid)?;
    Some(format!("{room}@{}/{}", connection.domain.names().rooms(), shown.nick))
}

/// How a message goes that came by XMPP and is fresh. A session that is not there any more cannot be meant alone.
fn going(connection: &Connection, event: &Event) -> Going {
    let Body::Message(message) = &event.entry.body else { return Going::default() };
    if event.entry.via != Via::Xmpp || event.origin == 0 {
        return Going::default();
    }
    let directory = &connection.edge.directory;
    let mut going = directory.going(event.origin, &event.place.conversation, &message.client_id);
    let receiver = event.place.conversation.partner(&event.entry.from);
    going.resource = going.resource.filter(|resource| receiver.is_some_and(|uid| directory.has(event.place.conf, &uid, resource)));
    going
}

/// Gives a signal (see [`hallway_broker::outbox::Link::stamp_signal`]).
pub(super) fn signal(connection: &Connection, telling: &Telling, form: &[u8], into: &mut Vec<u8>) -> Stamped {
    if connection.detached.get() || !connection.takes_events() {
        return Stamped::NoRoom;
    }
    let mut stanza = Vec::new();
    match &telling.signal {
        Signal::Presence { user, status, text, .. } => return presence_of(connection, user, *status, text, into),
        Signal::Typing { .. } if connection.inactive.get() => return Stamped::Unwanted, // XEP-0352 §3
        Signal::Typing { conversation, from, on, .. } if conversation.direct_pair().is_some() => {
            let state = connection.edge.directory.chat_state(telling.conf, conversation, from).filter(|state| state.is_typing() == *on);
            let from = connection.domain.names().user(from);
            let ends = Ends { from: &from, to: &connection.me.full, archive: &connection.me.bare, is_private: false };
            write_chat_state(&ends, state.unwrap_or(ChatState::of(*on)), &mut stanza);
        }
        Signal::Read { conversation, from, seq } if conversation.direct_pair().is_some() => {
            let (Some(conv), ids) = (telling.conv, &connection.edge.domains.ids) else { return Stamped::Unwanted };
            let Ok(Some(entry)) = connection.edge.hub.reader().entry_of(telling.conf, conv, *seq) else { return Stamped::Unwanted };
            let id = ids.encode(telling.conf, entry.pos);
            let client_id = if let Body::Message(message) = &entry.body { &*message.client_id } else { "" };
            let from = connection.domain.names().user(from);
            let ends = Ends { from: &from, to: &connection.me.full, archive: &connection.me.bare, is_private: false };
            write_chat_read(&ends, message_id(client_id, &id), &mut stanza);
        }
        _ if form.is_empty() => return Stamped::Unwanted,
        _ => {
            connection.emit_addressed(form, into);
            return Stamped::Given;
        }
    }
    connection.emit(&stanza, into);
    Stamped::Given
}

/// How somebody is who is here by another protocol than XMPP: a resource of the server's. Their XMPP sessions speak for themselves.
fn presence_of(connection: &Connection, user: &Uid, status: Status, text: &str, into: &mut Vec<u8>) -> Stamped {
    // Whoever is blocked says nothing by this, either (XEP-0191 §3.4).
    if connection.edge.hub.reader().has_blocked(connection.me.conf, &connection.me.uid, user).unwrap_or(true) {
        return Stamped::Unwanted;
    }
    let live: Vec<Live> = connection.edge.hub.sessions().of(connection.me.conf, user);
    let is_elsewhere = live.iter().any(|live| live.via != Via::Xmpp);
    if !connection.show_elsewhere(user, is_elsewhere) {
        return Stamped::Unwanted;
    }
    let status = if is_elsewhere { status } else { Status::Offline };
    let mut stanza = Vec::new();
    presence::write_of_service(connection, user, status, text, &mut stanza);
    connection.emit(&stanza, into);
    Stamped::Given
}
