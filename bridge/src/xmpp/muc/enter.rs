//! Entering rooms and leaving them (XEP-0045 §7.2, §7.14): conversations with slugs are rooms, whoever follows one is in it, and its nicks
//! are display names, locked.

use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::command::Action;
use hallway_broker::ids::ConversationId;
use hallway_broker::model::{Event, Kind, Standing};
use hallway_broker::reject::{Class, Reason, Reject};
use hallway_broker::session::{CatchUp, Subscribed, blocking};
use hallway_broker::topic::{Source, Topic};
use hallway_broker::view::Found;
use minidom::Element;

use super::{MUC, occupants};
use crate::xmpp::connection::{Connection, InRoom};
use crate::xmpp::edge::Edge;
use crate::xmpp::inbound::{Refused, by, refused};
use crate::xmpp::names::nick_of;
use crate::xmpp::presence::{HOW, content, own_content};
use crate::xmpp::rooms::{Departure, Entering, RoomKey, standing_of};
use crate::xmpp::stanza::{Condition, Outgoing};
use crate::xmpp::task::Task;
use crate::xmpp::wire::Prepared;

/// Messages of the past that somebody gets who does not say how many, and at most.
const HISTORY: usize = 20;
const MAX_HISTORY: usize = 250;
/// Kinds of events that history has.
const MESSAGES: &[&str] = &["message"];

/// Carries out a presence that is for a room.
pub(in crate::xmpp) async fn presence(
    task: &mut Task,
    element: &Element,
    room: ConversationId,
    nick: Option<String>,
) -> Result<(), Refused> {
    if element.attr("type") == Some("unavailable") {
        leave(task, &room);
        return Ok(());
    }
    let is_in = task.connection.is_in(&room);
    let Some(nick) = nick.filter(|nick| !nick.is_empty()) else {
        return Err(refused(Condition::JidMalformed, "a nick is needed")); // XEP-0045 §7.2.1
    };
    let me = &task.connection.me;
    let asked_for = *nick == *nick_of(&me.name, &me.uid);
    let Some(x) = element.get_child("x", MUC) else {
        // XEP-0045 §7.6, §7.7; nicks are locked (§7.2.4 has a status for it only when entering).
        return match (is_in, asked_for) {
            (true, true) => {
                let content = content(element)?;
                for in_room in task.connection.rooms.borrow().iter().filter(|in_room| in_room.id == room) {
                    task.edge.rooms.update(in_room.key, task.session.id, Arc::clone(&content));
                }
                Ok(())
            }
            (true, false) => Err(refused(Condition::NotAcceptable, "nicks are display names and cannot be chosen here")),
            (false, _) => enter(task, element, &room, History::default(), asked_for).await,
        };
    };
    enter(task, element, &room, History::of(x), asked_for).await
}

/// How much of the past somebody wants (XEP-0045 §7.2.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct History {
    stanzas: usize,
    chars: usize,
    seconds: u64,
    since_ms: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { stanzas: HISTORY, chars: usize::MAX, seconds: u64::MAX, since_ms: 0 }
    }
}

impl History {
    fn of(x: &Element) -> Self {
        let Some(history) = x.get_child("history", MUC) else { return Self::default() };
        let number = |name| history.attr(name).and_then(|number| number.parse::<u64>().ok());
        let since = history.attr("since").and_then(hallway_broker::canonical::parse_time);
        let bounded = number("maxstanzas").or(since.or(number("seconds")).map(|_| MAX_HISTORY as u64));
        let stanzas = bounded.map_or(HISTORY, |most| usize::try_from(most).unwrap_or(MAX_HISTORY).min(MAX_HISTORY));
        let chars = number("maxchars").map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        Self { stanzas, chars, seconds: number("seconds").unwrap_or(u64::MAX), since_ms: since.unwrap_or(0) }
    }

    /// From when on.
    fn begins_ms(self, now_ms: u64) -> u64 {
        self.since_ms.max(now_ms.saturating_sub(self.seconds.saturating_mul(1000)))
    }
}

/// Why somebody does not get in (XEP-0045 §7.2.6 to §7.2.9).
fn not_let_in(reject: &Reject) -> Refused {
    let condition = match (reject.reason, reject.reason.class()) {
        (Reason::NotAMember | Reason::UnknownConversation, _) => Condition::RegistrationRequired,
        (Reason::TooManySubscriptions, _) => Condition::ServiceUnavailable,
        (_, Class::Forbidden) => Condition::Forbidden,
        _ => return by(reject),
    };
    Refused { condition, text: reject.reason.text().into() }
}

/// The room and whether it was made now: of a name that is free, a room for those who are invited (XEP-0045 §10.1).
async fn room(task: &mut Task, id: &ConversationId) -> Result<(Found, bool), Refused> {
    let (hub, conf, uid) = (Arc::clone(&task.edge.hub), task.connection.me.conf, task.connection.me.uid.clone());
    let known = |hub: &hallway_broker::hub::Hub| hub.reader().conversation(conf, id).map_err(|error| by(&error.into()));
    let Some(found) = known(&hub)? else {
        let action = Action::Create { kind: Kind::Group, id: id.clone(), title: id.to_string(), members: Vec::new() };
        task.connection.sending.take(&hub, &task.session.who).map_err(|reject| by(&reject))?;
        task.session.call(action).await.map_err(|reject| by(&reject))?;
        let found = known(&hub)?.ok_or_else(|| by(&Reason::UnknownConversation.into()))?;
        return Ok((found, true));
    };
    let standing = hub.reader().standing(&found, &uid).map_err(|error| by(&error.into()))?;
    if !matches!(standing, Some(Standing::In(_))) {
        task.connection.sending.take(&hub, &task.session.who).map_err(|reject| by(&reject))?;
        task.session.call(Action::Join { conversation: id.clone() }).await.map_err(|reject| not_let_in(&reject))?;
    }
    Ok((found, false))
}

/// Enters a room: who is there, oneself, what was said, what it is about, and from then on what is (XEP-0045 §7.1).
async fn enter(task: &mut Task, element: &Element, id: &ConversationId, history: History, asked_for: bool) -> Result<(), Refused> {
    let presence = own_content(task, element)?;
    let (found, is_new) = room(task, id).await?;
    let catch_up = CatchUp::Last(history.stanzas, MESSAGES);
    let subscribed = task.session.subscribe(id, catch_up, HOW).await.map_err(|reject| not_let_in(&reject))?;
    // From here on without waiting: what is said next is given after this.
    let (connection, hub) = (Rc::clone(&task.connection), Arc::clone(&task.edge.hub));
    let me = &connection.me;
    let (pos, reader) = (hub.end(me.conf), hub.reader());
    let account = reader.user(me.conf, &me.uid).map_err(|error| by(&error.into()))?;
    let account = account.ok_or_else(|| by(&Reason::SessionEnded.into()))?;
    let standing = reader.standing(&found, &me.uid).map_err(|error| by(&error.into()))?;
    let (affiliation, role) = standing_of(found.record.kind, account.role, standing);
    let key = (found.conf, found.record.no);
    let entered = task.edge.rooms.enter(
        key,
        Entering {
            session: task.session.id,
            shard: task.session.shard.index,
            uid: me.uid.clone(),
            name: Arc::clone(&me.name),
            affiliation,
            role,
            pos,
            jid: Arc::clone(&me.full),
            presence,
        },
    );
    // What changed between reading and entering found nobody here.
    if let Ok(standing) = reader.standing(&found, &me.uid) {
        let (affiliation, role) = standing_of(found.record.kind, account.role, standing);
        task.edge.rooms.affiliate(key, &me.uid, affiliation, role, hub.end(me.conf));
    }
    connection.forget_room(key);
    let since = subscribed.page.events.last().map_or(0, |event| event.entry.pos).max(subscribed.head.pos);
    connection.rooms.borrow_mut().push(InRoom { key, id: id.clone(), version: entered.version, since });
    if entered.is_first_of_room {
        occupants::watch(&task.edge, key, Some(id));
    }
    let past = past(&subscribed, history, hub.clock().now_ms());
    let prepared: Vec<(&Event, Prepared)> = {
        let ids = &connection.edge.domains.ids;
        past.iter().filter_map(|event| Some((*event, Prepared::of(reader, ids, event).ok()?))).collect()
    };
    task.session.push(|into| {
        let mut codes = vec!["100"];
        codes.extend(is_new.then_some("201"));
        codes.extend((!asked_for).then_some("210"));
        occupants::write_entered(&connection, id, &entered, &codes, into);
        for (event, prepared) in &prepared {
            let mut form = Vec::with_capacity(512);
            let outgoing = Outgoing { is_delayed: true, ..prepared.outgoing(event) };
            if connection.domain.stanzas.write_groupchat(&outgoing, &mut form) {
                connection.emit_addressed(&form, into);
            }
        }
        let mut subject = Vec::new();
        connection.domain.stanzas.write_subject(id, &found.record.title, None, &mut subject);
        connection.emit_addressed(&subject, into);
    });
    Ok(())
}

/// What of the past is told.
fn past(subscribed: &Subscribed, history: History, now_ms: u64) -> Vec<&Event> {
    let begins_ms = history.begins_ms(now_ms);
    let mut chars = 0usize;
    let mut newest: Vec<&Event> = Vec::new();
    for event in subscribed.page.events.iter().rev().filter(|event| event.entry.ts_ms >= begins_ms) {
        chars = chars.saturating_add(event.entry.body.text_bytes());
        if chars > history.chars {
            break;
        }
        newest.push(event);
    }
    newest.reverse();
    newest
}

/// Leaves a room (XEP-0045 §7.14).
fn leave(task: &mut Task, room: &ConversationId) {
    let connection = Rc::clone(&task.connection);
    let key = connection.rooms.borrow().iter().find(|in_room| in_room.id == *room).map(|in_room| in_room.key);
    let Some(key) = key else { return };
    connection.forget_room(key);
    left(&task.edge, key, task.session.id, Departure::Left);
    let _ = task.session.unsubscribe(room);
    task.session.push(|into| {
        let mut stanza = Vec::new();
        occupants::write_own_departure(&connection, (key, room), Departure::Left, &mut stanza);
        connection.emit_addressed(&stanza, into);
    });
}

/// A session is in a room no more.
pub(in crate::xmpp) fn left(edge: &Edge, key: RoomKey, session: u64, how: Departure) {
    if edge.rooms.leave(key, session, how).is_some_and(|leaving| leaving.was_last_of_room) {
        occupants::watch(edge, key, None);
    }
}

/// A session that was resumed is in its rooms again in place of `before`, from where that was; those that it may not read any more it has left.
pub(in crate::xmpp) async fn come_back(task: &mut Task, before: u64, rooms: Vec<InRoom>, cursor: u64) {
    for InRoom { key, id, version, since } in rooms {
        let connection = Rc::clone(&task.connection);
        let (session, shard) = (task.session.id, task.session.shard.index);
        let (reader, conf, uid, name) = (task.edge.hub.reader().clone(), connection.me.conf, connection.me.uid.clone(), id.clone());
        let followed = blocking(move || reader.readable(conf, &uid, &name)).await.and_then(|found| {
            let source = Source { id: id.clone(), kind: found.record.kind };
            task.session.follow(&Topic::Chat(key.0, key.1), Some(source), HOW, cursor.max(since))
        });
        if followed.is_ok() && task.edge.rooms.replace(key, before, session, shard) {
            connection.rooms.borrow_mut().push(InRoom { key, id, version, since });
            continue;
        }
        let _ = task.session.unsubscribe(&id);
        task.session.push(|into| {
            let mut stanza = Vec::new();
            occupants::write_own_departure(&connection, (key, &id), Departure::Kicked, &mut stanza);
            connection.emit_addressed(&stanza, into);
        });
    }
}

impl Connection {
    /// The room with this number that the session is in, and what it has been told of it.
    pub(in crate::xmpp) fn in_room(&self, key: RoomKey) -> Option<(ConversationId, u64)> {
        self.rooms.borrow().iter().find(|room| room.key == key).map(|room| (room.id.clone(), room.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(attributes: &str) -> History {
        let x = format!("<x xmlns='http://jabber.org/protocol/muc'><history {attributes}/></x>");
        History::of(&x.parse().unwrap())
    }

    #[test]
    fn how_much_of_the_past() {
        assert_eq!(History::of(&"<x xmlns='http://jabber.org/protocol/muc'/>".parse().unwrap()), History::default());
        assert_eq!(history("maxstanzas='0'").stanzas, 0);
        assert_eq!(history("maxstanzas='99999999'").stanzas, MAX_HISTORY);
        assert_eq!(history("maxstanzas='-1'"), History::default());
        assert_eq!(history("maxchars='10'").chars, 10);
        let recent = history("seconds='60'");
        assert_eq!((recent.stanzas, recent.begins_ms(100_000), recent.begins_ms(0)), (MAX_HISTORY, 40_000, 0));
        assert_eq!(history("since='1970-01-01T00:00:05Z'").begins_ms(100_000), 5000);
        assert_eq!(history("since='yesterday'"), History::default());
    }
}
