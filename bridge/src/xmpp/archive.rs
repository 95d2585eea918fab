//! Message archives (XEP-0313): a room's is its conversation, an account's are its direct conversations in one order. Ids are the events'
//! public ids. History shows the present: a message has its text of today; the changes to it are in the archive, too, for clients that
//! only fetch what is new to them.

use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::canonical::parse_time;
use hallway_broker::ids::{ConversationId, EventIds};
use hallway_broker::model::Event;
use hallway_broker::reader::{Reader, Span};
use hallway_broker::reject::Reject;
use hallway_broker::session::blocking;
use hallway_broker::view::Found;
use minidom::Element;

use super::connection::Connection;
use super::deliver::write_direct;
use super::inbound::{Refused, by, refused};
use super::iq::Answer;
use super::names::Address;
use super::stanza::ns::ARCHIVE;
use super::stanza::{ArchiveResult, Condition, Ends, write_archive_result};
use super::task::Task;
use super::wire::Prepared;
use super::write::Writer;

/// The namespace of result sets (XEP-0059).
const RSM: &str = "http://jabber.org/protocol/rsm";
/// The namespace of data forms (XEP-0004).
const FORMS: &str = "jabber:x:data";
/// What archives have.
const KINDS: &[&str] = &["message", "edit", "delete", "react"];
/// Results of a page that does not say how many, and at most.
const PAGE: usize = 50;
const MAX_PAGE: usize = 250;
/// Messages that are asked for by their ids at once.
const MAX_IDS: usize = 100;

/// What is looked for.
struct Query {
    name: Option<String>,
    span: Span,
    with: Option<ConversationId>,
    ids: Vec<u64>,
    most: usize,
    flipped: bool,
}

/// Answers what is asked of an archive: a room's, or the account's own.
pub(super) async fn answer(task: &mut Task, is_set: bool, payload: &Element, room: Option<&Found>) -> Answer {
    match (payload.name(), is_set) {
        ("query", true) => search(task, payload, room).await,
        ("query", false) => Ok(form()),
        ("metadata", false) => metadata(task, room).await,
        ("prefs", false) => Ok(preferences()),
        ("prefs", true) => Err(refused(Condition::FeatureNotImplemented, "everything is archived here")),
        _ => Err(super::iq::unknown()),
    }
}

/// XEP-0313 §5.
async fn search(task: &mut Task, payload: &Element, room: Option<&Found>) -> Answer {
    let query = read(&task.connection, payload, room.is_some())?;
    let founds = founds(task, room, query.with.as_ref()).await?;
    let (reader, ids) = (task.edge.hub.reader().clone(), query.ids.clone());
    let (span, most) = (query.span, query.most);
    let found = blocking(move || {
        if !ids.is_empty() {
            return by_ids(&reader, &founds, &ids).map(|events| (events, true, None));
        }
        let count = if most == 0 { Some(count(&reader, &founds)?) } else { None };
        let (events, complete) = reader.archive(&founds, &span, most, KINDS)?;
        Ok((events, complete, count))
    });
    let (events, complete, count) = found.await.map_err(|reject| by(&reject))?;
    if !query.ids.is_empty() && events.len() < query.ids.len() {
        return Err(refused(Condition::ItemNotFound, "there is no message with this id"));
    }
    let connection = Rc::clone(&task.connection);
    let archive = room.and_then(|found| connection.domain.names().room(&found.id)).unwrap_or_else(|| connection.me.bare.to_string());
    let written = Written { connection: &connection, archive: &archive, query: query.name.as_deref() };
    let stanzas: Vec<Vec<u8>> = events.iter().filter_map(|event| written.result(event)).collect();
    task.session.push(|into| {
        let forward = stanzas.iter().map(Vec::as_slice);
        match query.flipped {
            true => forward.rev().for_each(|stanza| connection.emit(stanza, into)),
            false => forward.for_each(|stanza| connection.emit(stanza, into)),
        }
    });
    Ok(fin(&connection.edge.domains.ids, &events, complete, count))
}

/// The conversations whose events are looked at.
async fn founds(task: &Task, room: Option<&Found>, with: Option<&ConversationId>) -> Result<Vec<Found>, Refused> {
    if let Some(found) = room {
        return Ok(vec![found.clone()]);
    }
    let (reader, conf, uid, with) =
        (task.edge.hub.reader().clone(), task.connection.me.conf, task.connection.me.uid.clone(), with.cloned());
    let founds = blocking(move || match with {
        Some(id) => Ok(reader.conversation(conf, &id)?.into_iter().collect()),
        None => Ok(reader.direct_of(conf, &uid)?),
    });
    founds.await.map_err(|reject| by(&reject))
}

fn by_ids(reader: &Reader, founds: &[Found], ids: &[u64]) -> Result<Vec<Arc<Event>>, Reject> {
    let mut events = Vec::new();
    for pos in ids {
        let span = Span { after: pos - 1, before: pos + 1, ..Span::default() };
        events.extend(reader.archive(founds, &span, 1, KINDS)?.0);
    }
    Ok(events)
}

fn count(reader: &Reader, founds: &[Found]) -> Result<u64, Reject> {
    founds.iter().try_fold(0, |sum, found| Ok(sum + reader.head(found)?.n))
}

/// Reads a query (XEP-0313 §4.1, §4.3, XEP-0059).
fn read(connection: &Connection, payload: &Element, is_room: bool) -> Result<Query, Refused> {
    let no_such = || refused(Condition::ItemNotFound, "there is no message with this id");
    let conf = connection.me.conf;
    let pos = |id: &str| connection.edge.domains.ids.decode(conf, id).ok_or_else(no_such);
    let (mut span, mut with, mut ids) = (Span::default(), None, Vec::new());
    if let Some(form) = payload.get_child("x", FORMS) {
        for field in form.children().filter(|child| child.is("field", FORMS)) {
            let values: Vec<String> = field.children().filter(|child| child.is("value", FORMS)).map(Element::text).collect();
            let Some(value) = values.first().map(String::as_str).filter(|value| !value.is_empty()) else { continue };
            let bad_time = || refused(Condition::BadRequest, "a time is not one of XEP-0082");
            match field.attr("var").unwrap_or_default() {
                "start" => span.start_ms = parse_time(value).ok_or_else(bad_time)?,
                "end" => span.end_ms = parse_time(value).ok_or_else(bad_time)?,
                "after-id" => span.after = span.after.max(pos(value)?),
                "before-id" => span.before = span.before.min(pos(value)?),
                "ids" if values.len() <= MAX_IDS => ids = values.iter().map(|id| pos(id)).collect::<Result<_, _>>()?,
                "with" if !is_room => with = Some(partner(connection, value)?),
                "FORM_TYPE" => {}
                _ => return Err(refused(Condition::FeatureNotImplemented, "archives cannot be searched by this")),
            }
        }
    }
    let mut most = PAGE;
    if let Some(set) = payload.get_child("set", RSM) {
        let text = |name| set.get_child(name, RSM).map(Element::text);
        if let Some(max) = text("max") {
            most = max.trim().parse::<usize>().map_err(|_| refused(Condition::BadRequest, "max is no number"))?.min(MAX_PAGE);
        }
        if let Some(after) = text("after").filter(|after| !after.is_empty()) {
            span.after = span.after.max(pos(&after)?);
        }
        if let Some(before) = text("before") {
            span.from_end = true;
            if !before.is_empty() {
                span.before = span.before.min(pos(&before)?);
            }
        }
    }
    let (name, flipped) = (payload.attr("queryid").map(Into::into), payload.has_child("flip-page", ARCHIVE));
    Ok(Query { name, span, with, ids, most, flipped })
}

/// The direct conversation with somebody.
fn partner(connection: &Connection, jid: &str) -> Result<ConversationId, Refused> {
    let address = connection.domain.names().parse(jid).map_err(|error| Refused::from(&error))?;
    let direct = match &address {
        Address::User { uid, .. } => ConversationId::direct(&connection.me.uid, uid),
        _ => None,
    };
    direct.ok_or_else(|| refused(Condition::ItemNotFound, "an account's archive has what was said with people"))
}

struct Written<'a> {
    connection: &'a Connection,
    archive: &'a str,
    query: Option<&'a str>,
}

impl Written<'_> {
    /// An event as a result; `None` when it is not told by a message.
    fn result(&self, event: &Event) -> Option<Vec<u8>> {
        let connection = self.connection;
        let mut message = Vec::with_capacity(512);
        let id = connection.edge.domains.ids.encode(event.place.conf, event.entry.pos);
        let is_told = match event.place.conversation.partner(&connection.me.uid) {
            Some(partner) => {
                let names = connection.domain.names();
                let (me, partner) = (&*connection.me.bare, names.user(&partner));
                let (from, to) = if event.entry.from == connection.me.uid { (me, &*partner) } else { (&*partner, me) };
                write_direct(connection, event, &Ends { from, to, archive: me, is_private: false }, false, &mut message)
            }
            None => {
                let prepared = Prepared::of(connection.edge.hub.reader(), &connection.edge.domains.ids, event).ok()?;
                connection.domain.stanzas.write_groupchat(&prepared.outgoing(event), &mut message)
            }
        };
        let result =
            ArchiveResult { archive: self.archive, to: &connection.me.full, query_id: self.query, id: &id, ts_ms: event.entry.ts_ms };
        let mut out = Vec::with_capacity(message.len() + 384);
        is_told.then(|| write_archive_result(&result, &message, &mut out))?;
        Some(out)
    }
}

/// The end of a page (XEP-0313 §4.4).
fn fin(ids: &EventIds, events: &[Arc<Event>], complete: bool, count: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("fin", ARCHIVE).attr_if("complete", complete.then_some("true")).inside().open("set", RSM).inside();
    for (name, event) in [("first", events.first()), ("last", events.last())] {
        if let Some(event) = event {
            xml.child(name, &ids.encode(event.place.conf, event.entry.pos));
        }
    }
    if let Some(count) = count {
        xml.child("count", &count.to_string());
    }
    xml.close("set").close("fin");
    out
}

/// By what archives are searched (XEP-0313 §4.1.5).
fn form() -> Vec<u8> {
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("query", ARCHIVE).inside().open("x", FORMS).attr("type", "form").inside();
    xml.open_child("field").attr("type", "hidden").attr("var", "FORM_TYPE").inside().child("value", ARCHIVE).close("field");
    for (name, kind) in [
        ("with", "jid-single"),
        ("start", "text-single"),
        ("end", "text-single"),
        ("before-id", "text-single"),
        ("after-id", "text-single"),
        ("ids", "list-multi"),
    ] {
        xml.open_child("field").attr("type", kind).attr("var", name).empty();
    }
    xml.close("x").close("query");
    out
}

/// The archive's first and last message (XEP-0313 §6).
async fn metadata(task: &mut Task, room: Option<&Found>) -> Answer {
    let founds = founds(task, room, None).await?;
    let reader = task.edge.hub.reader().clone();
    let ends = blocking(move || {
        let end = |from_end| Ok::<_, Reject>(reader.archive(&founds, &Span { from_end, ..Span::default() }, 1, KINDS)?.0.pop());
        Ok([end(false)?, end(true)?])
    });
    let ends = ends.await.map_err(|reject| by(&reject))?;
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("metadata", ARCHIVE).inside();
    for (name, event) in ["start", "end"].into_iter().zip(ends) {
        if let Some(event) = event {
            let id = task.edge.domains.ids.encode(event.place.conf, event.entry.pos);
            xml.open_child(name).attr("id", &id).time_attr("timestamp", event.entry.ts_ms).empty();
        }
    }
    xml.close("metadata");
    Ok(out)
}

/// Everything is archived (XEP-0441 §3).
fn preferences() -> Vec<u8> {
    let mut out = Vec::new();
    let mut xml = Writer::new(&mut out);
    xml.open("prefs", ARCHIVE).attr("default", "always").inside().open_child("always").empty().open_child("never").empty().close("prefs");
    out
}
