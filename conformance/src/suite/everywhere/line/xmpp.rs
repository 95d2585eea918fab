//! A session over XMPP. A conversation is a room, or what is said with somebody.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Change, Heard, Line, Target};
use crate::script::password;
use crate::server::Server;
use crate::suite::everywhere::sight::{Sight, What, as_xml_has_it};
use crate::xmpp::client::{Client, Over, Seen};
use crate::xmpp::element::{self, Element};

/// The domain of the rooms.
pub const ROOMS: &str = "rooms.localhost";
const DOMAIN: &str = "localhost";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
const CARBONS: &str = "urn:xmpp:carbons:2";
const MODERATION: &str = "urn:xmpp:message-moderate:1";
const ARCHIVE: &str = "urn:xmpp:mam:2";

/// The connection, and who it is.
pub struct Xmpp {
    client: Client,
    uid: String,
    next: u64,
}

/// Where a conversation is, seen by somebody.
enum Place {
    Room(String),
    Person(String),
}

impl Xmpp {
    /// Signs in, over WebSocket when the device is called so, and comes online with carbons.
    ///
    /// # Errors
    /// When that is refused.
    pub fn open(server: &Server, uid: &str, device: &str) -> Result<Xmpp> {
        let over = if device.ends_with("phone") { Over::WebSocket } else { Over::Tcp };
        let (mut client, _) = Client::sign_in(&server.xmpp_endpoints()?, over, uid, &password(uid), device)?;
        let enabled = client.ask("carbons", &format!("<iq type='set' id='carbons'><enable xmlns='{CARBONS}'/></iq>"))?;
        ensure!(enabled.attr("type") == Some("result"), "carbons were answered by {enabled}");
        client.send("<presence/>")?;
        Ok(Xmpp { client, uid: uid.to_owned(), next: 0 })
    }

    /// Enters a room with so many messages of its past, which are returned.
    ///
    /// # Errors
    /// The room does not let them in.
    pub fn enter(&mut self, room: &str, messages: usize) -> Result<Heard> {
        self.client.send(&format!(
            "<presence to='{room}@{ROOMS}/{}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='{messages}'/></x></presence>",
            self.uid
        ))?;
        let (mut heard, uid, mut refusal) = (Heard::default(), self.uid.clone(), None);
        // [XEP-0045 §7.1]: the subject is the last.
        self.client.expect_where(&format!("the subject of {room}"), |element| {
            if element.name == "presence" && element.attr("type") == Some("error") {
                refusal = Some(element.to_string());
                return true;
            }
            if element.child("subject").is_some() && element.child("body").is_none() {
                return element.attr("from").unwrap_or_default().starts_with(room);
            }
            take(element, &uid, &mut heard);
            false
        })?;
        match refusal {
            None => Ok(heard),
            Some(refusal) => bail!("{room} does not let {uid} in: {refusal}"),
        }
    }

    /// A whole archive, in pages of `page`: a room's, one's own of what was said with somebody, or, of no conversation, all of one's own.
    ///
    /// # Errors
    /// The server refuses.
    pub fn archive(&mut self, conversation: &str, page: usize) -> Result<Vec<Sight>> {
        let (to, with) = match self.place(conversation) {
            Place::Room(room) if room.is_empty() => (String::new(), String::new()),
            Place::Room(room) => (format!(" to='{room}@{ROOMS}'"), String::new()),
            Place::Person(other) => {
                let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
                let fields = field("FORM_TYPE", ARCHIVE) + &field("with", &format!("{other}@{DOMAIN}"));
                (String::new(), format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"))
            }
        };
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let id = self.fresh();
            let set = format!("<set xmlns='http://jabber.org/protocol/rsm'><max>{page}</max>{after}</set>");
            self.client.send(&format!("<iq type='set' id='{id}'{to}><query xmlns='{ARCHIVE}'>{with}{set}</query></iq>"))?;
            let (uid, mut heard, mut last) = (self.uid.clone(), Heard::default(), String::new());
            let end = self.client.expect_where("a page of the archive", |element| {
                if let Some(result) = element.child_of("result", ARCHIVE)
                    && let Some(message) = result.child("forwarded").and_then(|forwarded| forwarded.child("message"))
                {
                    let before = heard.sights.len();
                    take(message, &uid, &mut heard);
                    last = result.attr("id").unwrap_or_default().to_owned();
                    // The archive's own id is what counts.
                    heard.sights[before..].iter_mut().for_each(|sight| sight.id.clone_from(&last));
                }
                element.name == "iq" && element.attr("id") == Some(&id)
            })?;
            let fin = end.child_of("fin", ARCHIVE).with_context(|| format!("a page ended with {end}"))?;
            all.append(&mut heard.sights);
            if fin.attr("complete") == Some("true") {
                return Ok(all);
            }
            ensure!(!last.is_empty(), "an empty page that is not the last: {end}");
            after = format!("<after>{last}</after>");
        }
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{}-q{}", self.uid, self.next)
    }

    fn place(&self, conversation: &str) -> Place {
        match conversation.strip_prefix("dm~").and_then(|pair| pair.split_once('~')) {
            None => Place::Room(conversation.to_owned()),
            Some((one, two)) => Place::Person(if one == self.uid { two } else { one }.to_owned()),
        }
    }

    fn message(&mut self, conversation: &str, id: &str, content: &str) -> Result<()> {
        let (to, kind) = match self.place(conversation) {
            Place::Room(room) => (format!("{room}@{ROOMS}"), "groupchat"),
            Place::Person(other) => (format!("{other}@{DOMAIN}"), "chat"),
        };
        self.client.send(&format!("<message to='{to}' type='{kind}' id='{id}'>{content}</message>"))
    }
}

/// Text as a careful client writes it: a parser would make line feeds of its carriage returns (XML 1.0 §2.11).
fn escape(text: &str) -> String {
    element::escape(&as_xml_has_it(text)).replace('\r', "&#xD;")
}

/// What an element tells `uid`.
fn take(element: &Element, uid: &str, heard: &mut Heard) {
    match element.name.as_str() {
        "presence" => take_presence(element, uid, heard),
        "message" | "iq" if element.attr("type") == Some("error") => heard.refused.push(element.to_string()),
        "message" => {
            let carbon = ["sent", "received"].iter().find_map(|name| element.child_of(name, CARBONS));
            let inner = carbon.and_then(|carbon| carbon.child("forwarded")).and_then(|forwarded| forwarded.child("message"));
            heard.sights.extend(sight(inner.unwrap_or(element), uid));
        }
        _ => {}
    }
}

fn take_presence(element: &Element, uid: &str, heard: &mut Heard) {
    let Some((room, nick)) = element.attr("from").and_then(|from| from.split_once(&format!("@{ROOMS}/"))) else { return };
    let Some(x) = element.child_of("x", MUC_USER) else { return };
    let is_here = element.attr("type") != Some("unavailable");
    heard.occupants.push((room.to_owned(), nick.to_owned(), is_here));
    let was_put_out = x.children.iter().any(|child| child.name == "status" && matches!(child.attr("code"), Some("307" | "301" | "321")));
    if !is_here && nick == uid && was_put_out {
        heard.put_out.push(room.to_owned());
    }
}

/// What a message says; `None` when it is nothing that other protocols have, too.
fn sight(message: &Element, uid: &str) -> Option<Sight> {
    let from = message.attr("from")?;
    let (account, resource) = from.split_once('/').unwrap_or((from, ""));
    let local = |jid: &str| jid.split('@').next().unwrap_or_default().to_owned();
    let is_room = message.attr("type") == Some("groupchat");
    let (conversation, author) = if is_room {
        (local(account), String::new())
    } else {
        let author = local(account);
        let other = if author == uid { local(message.attr("to")?) } else { author.clone() };
        let mut pair = [uid.to_owned(), other];
        pair.sort();
        (format!("dm~{}~{}", pair[0], pair[1]), author)
    };
    let what = what(message)?;
    let nick = message.child_of("nick", "http://jabber.org/protocol/nick").map(|nick| nick.text.clone());
    let name = nick.or_else(|| moderator(message)).unwrap_or_else(|| if is_room { resource.to_owned() } else { String::new() });
    let id = message.child_of("stanza-id", "urn:xmpp:sid:0").and_then(|id| id.attr("id")).unwrap_or_default().to_owned();
    let client_id = if matches!(what, What::Said(_)) { message.attr("id").unwrap_or_default().to_owned() } else { String::new() };
    Some(Sight { conversation, id, seq: None, client_id, from: author, name, what })
}

/// Who took back what another had said (XEP-0425 §5): the room says so.
fn moderator(message: &Element) -> Option<String> {
    let by = message.child("retract")?.child_of("moderated", MODERATION)?.attr("by")?;
    by.split_once('/').map(|(_, nick)| nick.to_owned())
}

fn what(message: &Element) -> Option<What> {
    let about = |name: &str, ns: &str| message.child_of(name, ns).map(|child| child.attr("id").unwrap_or_default().to_owned());
    let body = message.child("body").map(|body| body.text.clone());
    if let Some(target) = about("replace", "urn:xmpp:message-correct:0") {
        return Some(What::Edited(target, body.unwrap_or_default()));
    }
    if let Some(target) = about("retract", "urn:xmpp:message-retract:1") {
        return Some(What::Deleted(target));
    }
    if message.child_of("retracted", "urn:xmpp:message-retract:1").is_some() {
        return Some(What::Said(None));
    }
    if let Some(reactions) = message.child_of("reactions", "urn:xmpp:reactions:0") {
        let emoji = reactions.children.first().map(|reaction| reaction.text.clone());
        return Some(What::Reacted(reactions.attr("id").unwrap_or_default().to_owned(), emoji));
    }
    if let Some(target) = about("displayed", "urn:xmpp:chat-markers:0") {
        return Some(What::Read(target));
    }
    if body.is_some() {
        return Some(What::Said(body));
    }
    if let Some(subject) = message.child("subject") {
        return Some(What::Titled(subject.text.clone()));
    }
    let state = message.children.iter().find(|child| child.ns == "http://jabber.org/protocol/chatstates")?;
    Some(What::Typing(state.name == "composing"))
}

impl Line for Xmpp {
    fn follow(&mut self, conversation: &str) -> Result<()> {
        match self.place(conversation) {
            Place::Room(room) => self.enter(&room, 0).map(drop),
            // What is said with people comes by itself.
            Place::Person(_) => Ok(()),
        }
    }

    fn say(&mut self, conversation: &str, id: &str, text: &str) -> Result<()> {
        let id = if id.is_empty() { self.fresh() } else { id.to_owned() };
        self.message(conversation, &id, &format!("<body>{}</body>", escape(text)))
    }

    fn change(&mut self, conversation: &str, target: &Target, change: &Change) -> Result<()> {
        let id = self.fresh();
        let own = if target.client_id.is_empty() { &target.id } else { &target.client_id };
        // What in a room goes by the room's id goes by the sender's between two people.
        let about = if matches!(self.place(conversation), Place::Room(_)) { &target.id } else { own };
        let content = match change {
            Change::Moderate => {
                let moderate =
                    format!("<moderate xmlns='{MODERATION}' id='{about}'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>");
                return self.client.send(&format!("<iq type='set' id='{id}' to='{conversation}@{ROOMS}'>{moderate}</iq>"));
            }
            Change::Edit(text) => format!("<body>{}</body><replace xmlns='urn:xmpp:message-correct:0' id='{own}'/>", escape(text)),
            Change::React(emoji, on) => {
                let reaction = if *on { format!("<reaction>{emoji}</reaction>") } else { String::new() };
                format!("<reactions xmlns='urn:xmpp:reactions:0' id='{about}'>{reaction}</reactions>")
            }
            Change::Delete => format!("<retract xmlns='urn:xmpp:message-retract:1' id='{about}'/>"),
            Change::Read => format!("<displayed xmlns='urn:xmpp:chat-markers:0' id='{about}'/>"),
            Change::Typing(on) => format!("<{} xmlns='http://jabber.org/protocol/chatstates'/>", if *on { "composing" } else { "paused" }),
            Change::Title(title) => format!("<subject>{}</subject>", escape(title)),
        };
        self.message(conversation, &id, &content)
    }

    fn hear(&mut self, within: Duration) -> Result<Heard> {
        let mut heard = Heard::default();
        match self.client.see(within)? {
            Seen::Nothing => {}
            Seen::Element(element) if element.is("error", element::STREAMS) => bail!("the stream ended with {element}"),
            Seen::Element(element) => take(&element, &self.uid, &mut heard),
            other => bail!("the stream ended: {other:?}"),
        }
        Ok(heard)
    }
}
