//! How a push gets to an XMPP service, from the push worker's thread: to a session of the account that the service is, when it is of this server; over a
//! component's link, when it is of another. Its answer comes back on a shard, to who waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hallway_broker::clock::random;
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::Target;
use hallway_broker::push::gateway::Push;
use jid::Jid;
use minidom::Element;
use tokio::sync::{mpsc, oneshot};

use super::{Head, write};
use crate::xmpp::edge::Edge;
use crate::xmpp::names::nick_of;
use crate::xmpp::presence::route_by;
use crate::xmpp::stanza::ns::STANZA_ERRORS;
use crate::xmpp::stream::ns::CLIENT;

/// What the ids of publications begin with.
const PREFIX: &str = "push-";
/// Publications whose answers are awaited.
const MAX_WAITING: usize = 1024;
/// How long a service may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Publications that wait for a component's link.
pub const MAX_FOR_LINK: usize = 64;
/// What people's names begin with on a component's domain.
const COMPONENT_USER: &str = "~";

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The service has it.
    Taken,
    /// The service refuses it, for this condition (RFC 6120 §8.3.3); of type `wait` it may take it later.
    Refused {
        /// The condition.
        condition: String,
        /// It passes.
        passes: bool,
    },
    /// The service is not connected, or does not answer, or too much is awaited.
    Nobody(&'static str),
    /// There is no way to it from here.
    Nowhere,
}

/// Who may answer: an account, or somebody of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answerer {
    /// Of this server.
    Account(ConfNo, Uid),
    /// Of another; the address that was published to.
    Foreign(Box<str>),
}

struct Waiting {
    of: Answerer,
    answer: oneshot::Sender<Published>,
}

/// A component that can be published over.
struct Link {
    conf: ConfNo,
    domain: String,
    publications: mpsc::Sender<Publication>,
}

/// A request that a component sends as it is.
pub struct Publication {
    id: String,
    /// The stanza.
    pub stanza: Vec<u8>,
}

/// The publications that are under way.
#[derive(Default)]
pub struct Publishing {
    waiting: Mutex<HashMap<Box<str>, Waiting>>,
    links: Mutex<Vec<Link>>,
}

/// A place among those that wait; leaves it when it is dropped.
pub struct Place<'p> {
    publishing: &'p Publishing,
    id: String,
    answer: oneshot::Receiver<Published>,
}

impl Place<'_> {
    /// The publication's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The answer, when it comes.
    pub async fn answer(&mut self) -> Option<Published> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.publishing.lock().remove(self.id.as_str());
    }
}

impl Publishing {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A component says that one can publish over it: what it is given.
    pub fn add_link(&self, conf: ConfNo, domain: &str) -> mpsc::Receiver<Publication> {
        let (publications, given) = mpsc::channel(MAX_FOR_LINK);
        self.links().push(Link { conf, domain: domain.to_owned(), publications });
        given
    }

    /// Whether there is a way to services of other servers.
    pub fn has_links(&self) -> bool {
        !self.links().is_empty()
    }

    /// Whether anybody still waits for its answer.
    pub fn is_awaited(&self, publication: &Publication) -> bool {
        self.lock().contains_key(publication.id.as_str())
    }

    /// A place for a publication that this one answers; `None` when too many wait.
    pub fn place(&self, of: Answerer) -> Option<Place<'_>> {
        let id = [PREFIX, &data_encoding::BASE32_NOPAD.encode(&random::<15>()).to_ascii_lowercase()].concat();
        let (tell, answer) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.len() >= MAX_WAITING {
            return None;
        }
        waiting.insert(id.as_str().into(), Waiting { of, answer: tell });
        drop(waiting);
        Some(Place { publishing: self, id, answer })
    }

    /// Takes an answer, if it is one to a publication and of who may answer.
    pub fn answered(&self, iq: &Element, by: &Answerer) -> bool {
        let Some(id) = iq.attr("id").filter(|id| id.starts_with(PREFIX)) else { return false };
        let published = match iq.attr("type") {
            Some("result") => Published::Taken,
            Some("error") => refused(iq),
            _ => return false,
        };
        let mut waiting = self.lock();
        if waiting.get(id).is_none_or(|waiting| waiting.of != *by) {
            return false;
        }
        let Some(found) = waiting.remove(id) else { return false };
        // Who has given up does not hear it.
        let _ = found.answer.send(published);
        true
    }
}

/// What an error says (RFC 6120 §8.3).
fn refused(iq: &Element) -> Published {
    let error = iq.get_child("error", CLIENT);
    let conditions = error.into_iter().flat_map(Element::children);
    let condition = conditions.filter(|child| child.has_ns(STANZA_ERRORS) && child.name() != "text").map(Element::name).next();
    let passes = error.is_some_and(|error| error.attr("type") == Some("wait"));
    Published::Refused { condition: condition.unwrap_or("undefined-condition").to_owned(), passes }
}

impl Edge {
    /// Whether a service at this address can be published to: there is a way to its domain.
    pub(crate) fn reaches(&self, service: &str) -> bool {
        let Ok(jid) = Jid::new(service) else { return false };
        match self.domain_of(&jid) {
            Some(_) => jid.node().is_some(),
            None => self.publishing.has_links(),
        }
    }

    /// The conference whose account a JID is.
    fn domain_of(&self, jid: &Jid) -> Option<&Arc<crate::xmpp::Domain>> {
        self.domains.iter().find(|domain| domain.names().domain() == jid.domain().as_str())
    }

    /// Publishes a push to a service, and waits for its answer.
    pub(crate) async fn publish(&self, target: &Target, push: &Push) -> Published {
        let Ok(jid) = Jid::new(&target.address) else { return Published::Nowhere };
        let conference = self.hub.reader().conference(push.conference.as_str()).ok().flatten();
        let Some(conf) = conference.map(|conference| conference.no) else { return Published::Nowhere };
        let place = match self.domain_of(&jid) {
            Some(domain) => self.to_account(domain, &jid, conf, target, push),
            None => self.over_link(conf, target, push),
        };
        match place {
            Ok(mut place) => match tokio::time::timeout(PATIENCE, place.answer()).await {
                Ok(Some(published)) => published,
                _ => Published::Nobody("the service does not answer"),
            },
            Err(published) => published,
        }
    }

    fn to_account(
        &self,
        domain: &crate::xmpp::Domain,
        jid: &Jid,
        conf: ConfNo,
        target: &Target,
        push: &Push,
    ) -> Result<Place<'_>, Published> {
        let uid = jid.node().and_then(|node| Uid::parse(node.as_str()).ok()).ok_or(Published::Nowhere)?;
        let theirs = self.hub.reader().conference(&domain.host.conference).ok().flatten().ok_or(Published::Nowhere)?.no;
        let from = self.domains.of(conf).ok_or(Published::Nowhere)?.names();
        let session = match jid.resource() {
            Some(resource) => self.directory.find(theirs, &uid, resource.as_str()),
            // Whoever is there has its requests; of several the one that says so (RFC 6121 §8.5.2).
            None => {
                let sessions = self.directory.of(theirs, &uid);
                sessions.into_iter().filter(|session| session.presence.is_some()).max_by_key(|session| session.priority)
            }
        };
        let session = session.ok_or(Published::Nobody("the service is not connected"))?;
        let place = self.publishing.place(Answerer::Account(theirs, uid)).ok_or(Published::Nobody("too much is awaited"))?;
        let to = format!("{}/{}", jid.to_bare(), session.name);
        let sender = self.sender(conf, push, "", from.domain(), from.rooms());
        let head = Head { namespace: Some(CLIENT), from: from.domain(), to: &to, id: &place.id, sender };
        let mut stanza = Vec::with_capacity(1024);
        write(push, target, &head, &mut stanza);
        route_by(self, &session, move |connection, into| connection.emit(&stanza, into));
        Ok(place)
    }

    fn over_link(&self, conf: ConfNo, target: &Target, push: &Push) -> Result<Place<'_>, Published> {
        let found =
            self.publishing.links().iter().find(|link| link.conf == conf).map(|link| (link.domain.clone(), link.publications.clone()));
        let (domain, publications) = found.ok_or(Published::Nowhere)?;
        let of = Answerer::Foreign((*target.address).into());
        let place = self.publishing.place(of).ok_or(Published::Nobody("too much is awaited"))?;
        let sender = self.sender(conf, push, COMPONENT_USER, &domain, &domain);
        let head = Head { namespace: None, from: &domain, to: &target.address, id: &place.id, sender };
        let mut stanza = Vec::with_capacity(1024);
        write(push, target, &head, &mut stanza);
        let given = publications.try_send(Publication { id: place.id.clone(), stanza });
        given.map_err(|_| Published::Nobody("the component's link takes no more"))?;
        Ok(place)
    }

    /// The address of a message's sender: in a room the occupant's; nothing when it is not to be told.
    fn sender(&self, conf: ConfNo, push: &Push, person: &str, people: &str, rooms: &str) -> String {
        let Some(conversation) = push.at.as_ref().map(|at| &at.conversation) else { return String::new() };
        if conversation.direct_pair().is_some() {
            return format!("{person}{}@{people}", push.from);
        }
        let uid = Uid::parse(&push.from).ok();
        let user = uid.as_ref().and_then(|uid| self.hub.reader().user(conf, uid).ok().flatten());
        match uid.as_ref().zip(user.as_ref()) {
            Some((uid, user)) => format!("{}@{rooms}/{}", conversation, nick_of(&user.name, uid)),
            None => format!("{}@{rooms}", conversation),
        }
    }
}
