//! What comes from the other server: each stanza to the occupant that it is of, with addresses as they are here.

use std::sync::Arc;

use jid::Jid;
use minidom::Element;

use super::addresses::Place;
use super::{Component, of_link};
use crate::xmpp::inbound::refused;
use crate::xmpp::names::NotAnAddress;
use crate::xmpp::push::publishing::Answerer;
use crate::xmpp::stanza::{Condition, Returned, StanzaError, ns, write_error};
use crate::xmpp::stream::ns::CLIENT;
use crate::xmpp::write::Writer;
use crate::xmpp::{disco, iq, muc};

/// What the ids of our own pings begin with.
pub const PING_ID: &str = "link-";
/// Errors by which an occupant is known to be gone: of the other server, or of the one that its people are of.
const GONE: [&str; 8] = [
    "gone",
    "internal-server-error",
    "item-not-found",
    "jid-malformed",
    "recipient-unavailable",
    "remote-server-not-found",
    "remote-server-timeout",
    "service-unavailable",
];

/// Who sent a stanza, and where it is for.
struct Sent {
    kind: &'static str,
    bare: Arc<str>,
    resource: Option<String>,
    place: Place,
}

impl Component {
    /// Takes a stanza.
    pub async fn take(&mut self, mut element: Element) {
        if let Some(number) = self.returned(&element) {
            let had = self.queue.returned(number);
            return self.note_had(&had);
        }
        let kind = ["message", "presence", "iq"].into_iter().find(|kind| *kind == element.name());
        let Some(kind) = kind.filter(|_| element.has_ns(CLIENT)) else { return };
        if kind == "iq" && self.is_of_service(&element) {
            return;
        }
        let answered = match self.read_sender(kind, &element) {
            Ok(Some(sent)) => self.give(&sent, &mut element).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = answered {
            self.refuse(kind, &element, &error);
        }
    }

    /// Whether it is a push service's answer to what was published: it was taken then.
    fn is_of_service(&self, element: &Element) -> bool {
        let from = element.attr("from").and_then(|from| Jid::new(from).ok());
        from.is_some_and(|from| self.edge.publishing.answered(element, &Answerer::Foreign(from.as_str().into())))
    }

    /// Refuses a stanza, unless it is an answer itself (RFC 6120 §8.3.1).
    fn refuse(&mut self, kind: &'static str, element: &Element, error: &StanzaError) {
        let Some(from) = element.attr("from").filter(|_| !matches!(element.attr("type"), Some("error" | "result"))) else { return };
        if kind == "presence" && element.attr("type").is_some() {
            return;
        }
        let mut refusal = Vec::with_capacity(256);
        write_error(&Returned { kind, id: element.attr("id"), from: element.attr("to"), to: from }, error, &mut refusal);
        self.queue.push(0, &of_link(&refusal));
    }

    /// Who sent it; `None` when it was answered, or there is nothing to do.
    fn read_sender(&mut self, kind: &'static str, element: &Element) -> Result<Option<Sent>, StanzaError> {
        let (Some(from), Some(to)) = (element.attr("from"), element.attr("to")) else { return Ok(None) };
        let malformed = |error| StanzaError::from(&NotAnAddress::Malformed(error));
        let (from, to) = (Jid::new(from).map_err(malformed)?, Jid::new(to).map_err(malformed)?);
        if self.addresses.is_own(from.domain().as_str()) {
            tracing::warn!(%from, domain = %self.addresses.domain(), "the other server sends what is from here");
            return Err(refused(Condition::NotAllowed, "nobody of another server has this address"));
        }
        let (place, _) = self.addresses.inward(&to).map_err(|error| StanzaError::from(&error))?;
        if place == Place::Service && kind == "iq" && self.of_service(element) {
            return Ok(None);
        }
        if from.node().is_none() {
            return Err(iq::unknown());
        }
        let bare = Arc::from(from.to_bare().as_str());
        let resource = from.resource().map(|resource| resource.as_str().to_owned());
        Ok(Some(Sent { kind, bare, resource, place }))
    }

    /// Answers what anybody may know of the component without being known here: what it is, and that it is there.
    fn of_service(&mut self, element: &Element) -> bool {
        let Some(payload) = element.children().next().filter(|_| element.attr("type") == Some("get")) else { return false };
        let mut answer = Vec::new();
        match (payload.ns().as_str(), payload.name()) {
            (disco::INFO, "query") => muc::info::of_service("Hallway").write(payload.attr("node"), &mut answer),
            (iq::PING, "ping") => {}
            _ => return false,
        }
        let mut result = Vec::with_capacity(answer.len() + 128);
        let mut xml = Writer::new(&mut result);
        xml.open_child("iq").attr_if("from", element.attr("to")).attr_if("to", element.attr("from"));
        xml.attr_if("id", element.attr("id")).attr("type", "result").inside().written(&answer).close("iq");
        self.queue.push(0, &result);
        true
    }

    /// Gives a stanza to the occupant that sent it.
    async fn give(&mut self, sent: &Sent, element: &mut Element) -> Result<(), StanzaError> {
        if let Place::User(uid) = &sent.place
            && *uid == self.people.uid_of(&sent.bare)
        {
            return Err(refused(Condition::ItemNotFound, "this is the sender's own"));
        }
        let resource = match self.whose(sent, element)? {
            Whose::Nobodys => return Ok(()),
            Whose::Accounts => None,
            Whose::Clients => sent.resource.as_deref(),
        };
        let nick = self.nick(sent, element);
        let id = self.open(&sent.bare, resource, nick.as_deref()).await.map_err(|reject| StanzaError::from(&reject))?;
        if resource.is_some() {
            // The account hears what is said to its owner alone.
            self.open(&sent.bare, None, None).await.map_err(|reject| StanzaError::from(&reject))?;
        }
        let people = &self.people;
        self.addresses.receive(element, &|jid| people.uid_of(jid));
        // It is of the occupant's own connection.
        element.attrs_mut().retain(|namespace, name, _| !namespace.is_none() || name != "from");
        let occupant = self.occupants.get_mut(&id).ok_or_else(iq::unknown)?;
        occupant.note_client(element.attr("id"), sent.resource.as_deref());
        if occupant.give(element) { Ok(()) } else { Err(refused(Condition::ResourceConstraint, "too much at once")) }
    }

    /// How somebody wants to be called who enters a room.
    fn nick(&self, sent: &Sent, element: &Element) -> Option<String> {
        let is_entering = sent.kind == "presence" && sent.place == Place::Occupant;
        let to = element.attr("to").filter(|_| is_entering)?;
        to.split_once('/').map(|(_, nick)| nick.to_owned())
    }

    /// Of which of the sender's occupants a stanza is.
    fn whose(&mut self, sent: &Sent, element: &Element) -> Result<Whose, StanzaError> {
        let kind = element.attr("type");
        let full = sent.resource.as_ref().map(|resource| format!("{}/{resource}", sent.bare));
        let here = full.as_ref().and_then(|full| self.by_jid.get(full.as_str())).copied();
        let if_here = if here.is_some() { Whose::Clients } else { Whose::Nobodys };
        let of_room = matches!(sent.place, Place::Room | Place::Occupant);
        match (sent.kind, kind) {
            ("message" | "presence", Some("error")) => {
                let occupant = here.and_then(|id| self.occupants.get(&id)).filter(|_| of_room && is_gone(element));
                if let Some(occupant) = occupant {
                    occupant.close();
                }
                Ok(Whose::Nobodys)
            }
            ("presence", None) if of_room && sent.resource.is_some() => Ok(Whose::Clients),
            ("presence", _) if of_room => Ok(if_here),
            ("presence", _) if matches!(sent.place, Place::User(_)) => Ok(Whose::Accounts),
            ("message", _) if of_room && here.is_none() => Err(refused(Condition::NotAcceptable, "enter the room first")), // XEP-0045 §7.4
            ("message", _) if of_room => Ok(Whose::Clients),
            ("message", _) if matches!(sent.place, Place::User(_)) => Ok(Whose::Accounts),
            ("message", _) => Err(iq::unknown()),
            ("iq", Some("set")) if matches!(sent.place, Place::User(_) | Place::Occupant) => {
                // Of oneself nothing can be changed from elsewhere.
                Err(iq::unknown())
            }
            ("iq", Some("get" | "set")) if sent.resource.is_some() => Ok(Whose::Clients),
            ("iq", Some("result" | "error")) => Ok(if_here),
            ("iq", _) => Err(iq::unknown()),
            _ => Ok(Whose::Nobodys),
        }
    }
}

/// Which of somebody's occupants is meant.
enum Whose {
    Nobodys,
    Accounts,
    Clients,
}

fn is_gone(element: &Element) -> bool {
    let Some(error) = element.get_child("error", CLIENT) else { return false };
    error.children().any(|child| child.has_ns(ns::STANZA_ERRORS) && GONE.contains(&child.name()))
}
