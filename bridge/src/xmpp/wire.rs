//! The wire form of the XMPP edge: a room's events as stanzas without `to`, made once for all occupants. Of a direct conversation each
//! session has a form of its own, which [`super::deliver`] makes of the same parts.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, EventIds, Uid};
use hallway_broker::model::{Body, Change, Entry, Event, Kind, Signal};
use hallway_broker::reader::Reader;
use hallway_broker::recent::Published;
use hallway_broker::registry::Wire;
use hallway_broker::state::StateError;
use hallway_broker::topic::Telling;

use super::edge::{Domains, Edge};
use super::muc::occupants;
use super::rooms::{Departure, standing_of};
use super::stanza::{Occupant, Original, Outgoing, Retraction};

/// The number of the XMPP form among the hub's wires.
pub const XMPP_WIRE: usize = 5;

/// What this edge adds to the hub's wire forms, with its number.
#[must_use]
pub fn wire(hub: &Arc<Hub>, domains: &Domains) -> (usize, Arc<XmppWire>) {
    let edge = OnceLock::new();
    (XMPP_WIRE, Arc::new(XmppWire { reader: hub.reader().clone(), domains: domains.clone(), edge }))
}

/// See the module's text.
pub struct XmppWire {
    reader: Reader,
    domains: Domains,
    edge: OnceLock<Arc<Edge>>,
}

impl XmppWire {
    /// The rooms of this edge are told who speaks and who comes and goes: each event is encoded once.
    pub fn tell(&self, edge: &Arc<Edge>) {
        let _ = self.edge.set(Arc::clone(edge));
    }

    fn note(&self, event: &Event) {
        let Some(edge) = self.edge.get() else { return };
        let (key, entry) = ((event.place.conf, event.place.conv), &event.entry);
        match &entry.body {
            Body::Message(_) if entry.from != Uid::system() => edge.rooms.spoke(key, &entry.from, &entry.name, entry.ts_ms),
            Body::Member { user, change } => {
                let out = match change {
                    Change::Removed => Departure::Kicked,
                    Change::Banned => Departure::Banned,
                    Change::Left if !event.place.kind.is_public() => Departure::NoLongerMember,
                    _ => return self.affiliate(edge, event, user),
                };
                if edge.rooms.put_out(key, user, out, entry.pos).was_last_of_room {
                    occupants::watch(edge, key, None);
                }
            }
            _ => {}
        }
    }

    fn affiliate(&self, edge: &Edge, event: &Event, user: &Uid) {
        let (conf, kind) = (event.place.conf, event.place.kind);
        let Ok(Some(account)) = self.reader.user(conf, user) else { return };
        let Ok(Some(found)) = self.reader.conversation(conf, &event.place.conversation) else { return };
        let Ok(standing) = self.reader.standing(&found, user) else { return };
        let (affiliation, role) = standing_of(kind, account.role, standing);
        edge.rooms.affiliate((conf, event.place.conv), user, affiliation, role, event.entry.pos);
    }
}

impl Wire for XmppWire {
    fn event(&self, published: &Published) -> Bytes {
        let event = &published.event;
        if !is_of_room(event) {
            return Bytes::new();
        }
        self.note(event);
        let Some(domain) = self.domains.of(event.place.conf) else { return Bytes::new() };
        let mut out = Vec::with_capacity(512);
        let prepared = match self.edge.get() {
            Some(edge) => Prepared::fresh(edge, event),
            None => Prepared::of(&self.reader, &self.domains.ids, event),
        };
        match prepared {
            Ok(prepared) if prepared.is_hidden => {}
            Ok(prepared) => drop(domain.stanzas.write_groupchat(&prepared.outgoing(event), &mut out)),
            Err(error) => tracing::warn!(%error, "an event is not told over XMPP, since what it is about cannot be read"),
        }
        out.into()
    }

    fn signal(&self, telling: &Telling) -> Bytes {
        let mut out = Vec::new();
        let Some(domain) = self.domains.of(telling.conf) else { return Bytes::new() };
        match &telling.signal {
            Signal::Typing { conversation, from, name, on } if conversation.direct_pair().is_none() => {
                let occupant = Occupant { conf: telling.conf, conversation, uid: from, name };
                domain.stanzas.write_groupchat_typing(&occupant, *on, &mut out);
            }
            Signal::Read { conversation, from, seq } if conversation.direct_pair().is_none() => {
                let Some(conv) = telling.conv else { return Bytes::new() };
                let read = self.reader.entry_of(telling.conf, conv, *seq);
                let user = self.reader.user(telling.conf, from);
                if let (Ok(Some(entry)), Ok(Some(user))) = (read, user) {
                    let occupant = Occupant { conf: telling.conf, conversation, uid: from, name: &user.name };
                    domain.stanzas.write_groupchat_read(&occupant, &self.domains.ids.encode(telling.conf, entry.pos), &mut out);
                }
            }
            _ => {}
        }
        out.into()
    }
}

/// Whether it is an event of a conversation that is a room.
pub(super) fn is_of_room(event: &Event) -> bool {
    matches!(event.place.kind, Kind::Channel | Kind::Group | Kind::Announcements)
}

/// An entry and its public id.
type Known = (String, Entry);

/// What it takes to tell an event, looked up.
#[derive(Default)]
pub(super) struct Prepared {
    id: String,
    echo: Option<Box<str>>,
    /// Not to be told: another event of the same stanza says it all.
    is_hidden: bool,
    target: Option<Known>,
    reply_to: Option<Known>,
    reactions: Vec<Arc<str>>,
    retraction: Option<Known>,
}

impl Prepared {
    /// The same of a fresh event: a change has the id of the stanza that asked for it (XEP-0045 §7.4).
    pub fn fresh(edge: &Edge, event: &Event) -> Result<Self, StateError> {
        let prepared = Self::of(edge.hub.reader(), &edge.domains.ids, event)?;
        let target = match event.entry.body {
            Body::Edit { target, .. } | Body::Delete { target } | Body::React { target, .. } => Some(target),
            Body::Settings { .. } => None,
            _ => return Ok(prepared),
        };
        if event.origin == 0 {
            return Ok(prepared);
        }
        let Some(change) = edge.directory.change_of(event.origin, &event.place.conversation, target) else { return Ok(prepared) };
        let is_last =
            |(last, was_on): &(Arc<str>, bool)| matches!(&event.entry.body, Body::React { emoji, on, .. } if emoji == last && on == was_on);
        let is_hidden = change.last.as_ref().is_some_and(|last| !is_last(last));
        Ok(Self { echo: Some(change.id), is_hidden, ..prepared })
    }

    /// Looks up what the event does not hold itself.
    pub fn of(reader: &Reader, ids: &EventIds, event: &Event) -> Result<Self, StateError> {
        let (conf, conv) = (event.place.conf, event.place.conv);
        let find = |seq: u64| known(reader, ids, conf, event, seq);
        let mut prepared = Self { id: ids.encode(conf, event.entry.pos), ..Self::default() };
        match &event.entry.body {
            Body::Message(message) => {
                prepared.reply_to = message.reply_to.map(find).transpose()?.flatten();
                prepared.retraction = message.deleted.map(find).transpose()?.flatten();
            }
            Body::Edit { target, .. } => {
                prepared.target = find(*target)?;
                let answered = prepared.target.as_ref().and_then(|(_, entry)| reply_of(entry));
                prepared.reply_to = answered.map(find).transpose()?.flatten();
            }
            Body::Delete { target } => prepared.target = find(*target)?,
            Body::React { target, .. } => {
                prepared.target = find(*target)?;
                prepared.reactions = reader.reactions_by(conf, conv, *target, &event.entry.from)?;
            }
            _ => {}
        }
        Ok(prepared)
    }

    /// Whether it is not to be told: another event of the same stanza says it all.
    pub fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    /// The event with all that.
    pub fn outgoing<'a>(&'a self, event: &'a Event) -> Outgoing<'a> {
        let by = |(id, entry): &'a Known| Retraction { id, ts_ms: entry.ts_ms, by: (&entry.from, &entry.name) };
        Outgoing {
            target: self.target.as_ref().map(original),
            reply_to: self.reply_to.as_ref().map(original),
            reactions: &self.reactions,
            retraction: self.retraction.as_ref().map(by),
            echo: self.echo.as_deref(),
            ..Outgoing::new(event, &self.id)
        }
    }
}

fn known(reader: &Reader, ids: &EventIds, conf: ConfNo, event: &Event, seq: u64) -> Result<Option<Known>, StateError> {
    Ok(reader.entry_of(conf, event.place.conv, seq)?.map(|entry| (ids.encode(conf, entry.pos), entry)))
}

fn reply_of(entry: &Entry) -> Option<u64> {
    match &entry.body {
        Body::Message(message) => message.reply_to,
        _ => None,
    }
}

fn original((id, entry): &Known) -> Original<'_> {
    let (client_id, text) = match &entry.body {
        Body::Message(message) => (&*message.client_id, &*message.text),
        _ => ("", ""),
    };
    Original { id, client_id, author: &entry.from, name: &entry.name, text }
}
