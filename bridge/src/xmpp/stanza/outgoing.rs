//! What clients are told: from an event to a `<message/>`, written straight into a buffer. In two shapes: `groupchat`, made once for all
//! occupants of a room, whose copies differ in `to` alone; and `chat`, from one person to the other.
//!
//! An event says what it changes by a seq; XMPP wants ids, and repeats what it is about. What the event does not hold itself, the caller
//! looks up and gives along ([`Outgoing`]).

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::files::capability_in;
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::model::{Body, Event};

use super::content::{Shape, write_content};
use super::ns;
use super::state::ChatState;
use crate::xmpp::escape::escape_attribute;
use crate::xmpp::names::{Names, OccupantIds, nick_of};
use crate::xmpp::write::Writer;

/// Where in every stanza written here the attribute `to` goes when it is not there yet, in bytes from its beginning.
pub const TO_AT: usize = "<message".len();

/// A message that an event is about.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Its public id.
    pub id: &'a str,
    /// The id that its sender gave it; empty for none.
    pub client_id: &'a str,
    /// Who wrote it.
    pub author: &'a Uid,
    /// Their display name at the time.
    pub name: &'a str,
    /// Its text now; empty once it is deleted.
    pub text: &'a str,
}

impl<'a> Original<'a> {
    /// The `id` of its stanza.
    #[must_use]
    pub fn message_id(&self) -> &'a str {
        message_id(self.client_id, self.id)
    }
}

/// The `id` of a message's stanza: its sender's, or its public one when there is none.
#[must_use]
pub fn message_id<'a>(client_id: &'a str, public_id: &'a str) -> &'a str {
    if client_id.is_empty() { public_id } else { client_id }
}

/// How a message came to be deleted.
#[derive(Debug, Clone, Copy)]
pub struct Retraction<'a> {
    /// The public id of the event that deleted it.
    pub id: &'a str,
    /// When, Unix ms.
    pub ts_ms: u64,
    /// Who did it: uid and display name at the time.
    pub by: (&'a Uid, &'a str),
}

/// An event, and what it takes to tell it.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its public id, which is its stanza-id and archive id.
    pub id: &'a str,
    /// For the session that made it: the `id` of the stanza it came by, of what is not a message. A message holds its own.
    pub echo: Option<&'a str>,
    /// The message that is edited, deleted or reacted to. Without it these are not told.
    pub target: Option<Original<'a>>,
    /// The message that is answered: by this one, or by the one that is edited.
    pub reply_to: Option<Original<'a>>,
    /// For a reaction: all reactions of its author to that message, as they are when it is told (XEP-0444 §3.2).
    pub reactions: &'a [Arc<str>],
    /// For a message that is deleted. Without it that message is not told.
    pub retraction: Option<Retraction<'a>>,
    /// It is told out of history: with the time that it is of (XEP-0203).
    pub is_delayed: bool,
}

impl<'a> Outgoing<'a> {
    /// An event that needs nothing else, told live.
    #[must_use]
    pub fn new(event: &'a Event, id: &'a str) -> Self {
        Self { event, id, echo: None, target: None, reply_to: None, reactions: &[], retraction: None, is_delayed: false }
    }

    fn message_id(&self) -> &'a str {
        match &self.event.entry.body {
            Body::Message(message) => message_id(&message.client_id, self.id),
            _ => self.echo.unwrap_or(self.id),
        }
    }
}

/// Between whom a message of a direct conversation goes.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// The JID it comes from: bare, or full when it is known. Clients take a retraction from the message's author only (XEP-0424 §5).
    pub from: &'a str,
    /// The JID it goes to.
    pub to: &'a str,
    /// The bare JID of the account whose copy this is, which gives the stanza-id (XEP-0359 §3).
    pub archive: &'a str,
    /// From occupant to occupant of a room, whose JIDs these are (XEP-0045 §7.5).
    pub is_private: bool,
}

/// Somebody in a room.
#[derive(Debug, Clone, Copy)]
pub struct Occupant<'a> {
    /// The conference.
    pub conf: ConfNo,
    /// The room.
    pub conversation: &'a ConversationId,
    /// Who.
    pub uid: &'a Uid,
    /// Their display name.
    pub name: &'a str,
}

/// Writes the stanzas of one conference.
#[derive(Clone)]
pub struct Stanzas {
    pub(super) names: Names,
    occupants: OccupantIds,
    /// Where the server's own URLs are, as `https://chat.example`; empty when nothing is served over HTTP.
    site: Arc<str>,
}

impl Stanzas {
    /// Stanzas under these names.
    #[must_use]
    pub fn new(names: Names, occupants: OccupantIds) -> Self {
        Self { names, occupants, site: "".into() }
    }

    /// The same, for a server that people reach at this URL.
    #[must_use]
    pub fn at_site(self, url: &str) -> Self {
        Self { site: url.trim_end_matches('/').into(), ..self }
    }

    /// An attachment's URL as clients fetch it. What it says of the file behind `#` is not theirs: some take that for a key.
    pub(super) fn url_of<'u>(&self, attachment: &'u str) -> Cow<'u, str> {
        if capability_in(attachment).is_none() {
            return Cow::Borrowed(attachment);
        }
        let path = attachment.split('#').next().unwrap_or_default();
        if path.starts_with('/') { format!("{}{path}", self.site).into() } else { path.into() }
    }

    /// The conference's names.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Appends the shared form of an event in a room: without `to`, which goes to [`TO_AT`]. False, and nothing appended, when it is not
    /// told by a message (members' changes are presence) or something is missing that it takes.
    pub fn write_groupchat(&self, outgoing: &Outgoing<'_>, out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        let (place, entry) = (&outgoing.event.place, &outgoing.event.entry);
        let room = [place.conversation.as_str(), "@", self.names.rooms()];
        let author = Occupant { conf: place.conf, conversation: &place.conversation, uid: &entry.from, name: &entry.name };
        let speaker = if is_by_the_room(outgoing) { None } else { Some(&author) };

        let mut xml = Writer::new(out);
        self.begin_groupchat(&mut xml, &room, speaker).attr("id", outgoing.message_id()).inside();
        if !write_content(&mut xml, self, outgoing, Shape::Groupchat) {
            out.truncate(begin);
            return false;
        }
        if let Some(occupant) = speaker {
            self.write_identity(&mut xml, occupant);
        }
        // XEP-0359 §3: by the room
        xml.open("stanza-id", ns::STANZA_IDS).attr("id", outgoing.id).attr_of("by", &room).empty();
        if outgoing.is_delayed {
            write_delay(&mut xml, &room, entry.ts_ms); // XEP-0045 §7.2.13
        }
        xml.close("message");
        true
    }

    /// Appends an event of a direct conversation. False, and nothing appended, when it is not told by a message or something is missing
    /// that it takes.
    pub fn write_chat(&self, outgoing: &Outgoing<'_>, ends: &Ends<'_>, out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        let entry = &outgoing.event.entry;
        let mut xml = Writer::new(out);
        begin_chat(&mut xml, ends).attr("id", outgoing.message_id()).inside();
        if !write_content(&mut xml, self, outgoing, Shape::Chat) {
            out.truncate(begin);
            return false;
        }
        if ends.is_private {
            xml.open("x", ns::MUC_USER).empty();
        }
        write_nick(&mut xml, &entry.name); // XEP-0172 §4.2
        xml.open("stanza-id", ns::STANZA_IDS).attr("id", outgoing.id).attr("by", ends.archive).empty();
        if outgoing.is_delayed {
            write_delay(&mut xml, &[self.names.domain()], entry.ts_ms);
        }
        xml.close("message");
        true
    }

    /// Appends the shared form of somebody's typing in a room, or stopping to (XEP-0085 §5.5).
    pub fn write_groupchat_typing(&self, occupant: &Occupant<'_>, on: bool, out: &mut Vec<u8>) {
        self.write_groupchat_signal(occupant, out, |xml| write_state(xml, ChatState::of(on)));
    }

    /// Appends the shared form of somebody's having read up to the message with this public id (XEP-0333 §4.3).
    pub fn write_groupchat_read(&self, occupant: &Occupant<'_>, id: &str, out: &mut Vec<u8>) {
        self.write_groupchat_signal(occupant, out, |xml| write_displayed(xml, id));
    }

    fn write_groupchat_signal(&self, occupant: &Occupant<'_>, out: &mut Vec<u8>, content: impl FnOnce(&mut Writer<'_>)) {
        let room = [occupant.conversation.as_str(), "@", self.names.rooms()];
        let mut xml = Writer::new(out);
        self.begin_groupchat(&mut xml, &room, Some(occupant)).inside();
        content(&mut xml);
        self.write_identity(&mut xml, occupant);
        xml.close("message");
    }

    fn begin_groupchat<'x, 'o>(&self, xml: &'x mut Writer<'o>, room: &[&str; 3], speaker: Option<&Occupant<'_>>) -> &'x mut Writer<'o> {
        xml.open("message", ns::CLIENT);
        let [conversation, at, rooms] = room;
        match speaker {
            Some(occupant) => xml.attr_of("from", &[conversation, at, rooms, "/", &nick_of(occupant.name, occupant.uid)]),
            None => xml.attr_of("from", room),
        };
        xml.attr("type", "groupchat")
    }

    /// Appends who an occupant is beside their nick.
    pub fn write_identity(&self, xml: &mut Writer<'_>, occupant: &Occupant<'_>) {
        self.write_occupant_id(xml, occupant); // XEP-0421 §4: on every message
        if nick_of(occupant.name, occupant.uid) != occupant.name {
            write_nick(xml, occupant.name);
        }
    }

    pub(super) fn write_occupant_id(&self, xml: &mut Writer<'_>, occupant: &Occupant<'_>) {
        let id = self.occupants.encode(occupant.conf, occupant.conversation, occupant.uid);
        xml.open("occupant-id", ns::OCCUPANT_ID).attr("id", &id).empty();
    }
}

/// Appends somebody's chat state for the other of a direct conversation (XEP-0085 §5.4). Copies for the sender's other sessions
/// are the caller's.
pub fn write_chat_state(ends: &Ends<'_>, state: ChatState, out: &mut Vec<u8>) {
    write_chat_signal(ends, out, |xml| write_state(xml, state));
}

/// Appends somebody's having read up to the message with this id of its stanza (XEP-0333 §4.2): see [`message_id`].
pub fn write_chat_read(ends: &Ends<'_>, message_id: &str, out: &mut Vec<u8>) {
    write_chat_signal(ends, out, |xml| write_displayed(xml, message_id));
}

/// Appends one receiver's copy of a stanza that was written without `to`. A slice that is too short to be one is appended as it is.
pub fn write_addressed(shared: &[u8], to: &str, out: &mut Vec<u8>) {
    let (head, tail) = shared.split_at(TO_AT.min(shared.len()));
    out.reserve(shared.len() + to.len() + 8);
    out.extend_from_slice(head);
    out.extend_from_slice(b" to=\"");
    escape_attribute(to, out);
    out.push(b'"');
    out.extend_from_slice(tail);
}

/// The server's own words, and what a moderator does to others' messages (XEP-0425 §5), come from the room itself.
fn is_by_the_room(outgoing: &Outgoing<'_>) -> bool {
    let entry = &outgoing.event.entry;
    entry.from == Uid::system() || super::content::is_moderation(outgoing)
}

fn begin_chat<'x, 'o>(xml: &'x mut Writer<'o>, ends: &Ends<'_>) -> &'x mut Writer<'o> {
    xml.open("message", ns::CLIENT).attr("from", ends.from).attr("to", ends.to).attr("type", "chat")
}

fn write_chat_signal(ends: &Ends<'_>, out: &mut Vec<u8>, content: impl FnOnce(&mut Writer<'_>)) {
    let mut xml = Writer::new(out);
    begin_chat(&mut xml, ends).inside();
    content(&mut xml);
    xml.close("message");
}

fn write_state(xml: &mut Writer<'_>, state: ChatState) {
    xml.open(state.name(), ns::CHAT_STATES).empty();
    xml.open("no-store", ns::HINTS).empty(); // XEP-0334 §4.2
}

fn write_displayed(xml: &mut Writer<'_>, id: &str) {
    xml.open("displayed", ns::MARKERS).attr("id", id).empty();
}

fn write_nick(xml: &mut Writer<'_>, name: &str) {
    if !name.is_empty() {
        xml.open("nick", ns::NICK).inside().text(name).close("nick");
    }
}

pub(super) fn write_delay(xml: &mut Writer<'_>, by: &[&str], ts_ms: u64) {
    xml.open("delay", ns::DELAY).attr_of("from", by).time_attr("stamp", ts_ms).empty();
}
