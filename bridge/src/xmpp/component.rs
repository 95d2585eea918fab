//! Hallway as a component of another XMPP server (XEP-0114): that server's people, and those of servers that it is federated with, enter
//! rooms and talk with people here.
//!
//! In reading order: who they are here ([`people`]) and where everything is there ([`addresses`]), the stream to the other server
//! ([`link`]), each of them as a client of ours ([`occupant`]), what goes out ([`queue`]), what comes in ([`inbound`]).
//!
//! Everybody who comes this way has connections like those of clients, whose other end is here and not a socket: what they may do and what
//! they are told is what clients may and are. Here addresses are exchanged and many connections are put on one link. When the link is slow or
//! gone nothing is taken out of those connections, they lag, and are given the rest from the store when it is back.

mod addresses;
mod inbound;
mod link;
mod occupant;
mod people;
mod queue;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::ids::ConferenceId;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::shard::Shard;
use hallway_broker::transport::Transport;
use minidom::Element;
use tokio::io::Interest;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::addresses::{Addresses, resource_here};
use self::link::{Link, NoLink};
use self::occupant::{Occupant, Told};
use self::people::People;
use self::queue::Queue;
use super::edge::Edge;
use super::push::publishing::Publication;
use super::stanza::ns::{HINTS, MUC_USER};
use super::stream::{Bounds, Framing, Incoming, ns, write_close, write_element};
use super::write::Writer;
use super::{connect, iq, task};
use crate::backoff::Backoff;

/// Clients of other servers that are here at once, by one component.
const MAX_OCCUPANTS: usize = 10_000;
/// How long a client that is in no room is kept that says nothing.
const IDLE: Duration = Duration::from_secs(300);
/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(1);
/// Silence after which the server is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(60);
/// How long occupants are kept while there is no link: shorter cuts they do not notice.
const KEEP_WITHOUT_LINK: Duration = Duration::from_secs(300);
/// How often those who wait for the link are kept from being taken for gone.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);
/// How long a link must have lasted for the next to be tried soon.
const GOOD_LINK: Duration = Duration::from_secs(10);
/// How often the server may end the stream at once before what it was sent is given up.
const MAX_REFUSALS: u32 = 5;
/// How long the last words may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that this one is a component of.
#[derive(Clone)]
pub struct ComponentOptions {
    /// Where it takes components: host and port.
    pub server: String,
    /// What it knows the component by.
    pub secret: String,
    /// The component's domain.
    pub domain: String,
    /// Whose rooms and people are there.
    pub conference: String,
    /// Most people of other servers in the conference.
    pub users_max: usize,
}

impl std::fmt::Debug for ComponentOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComponentOptions").field("server", &self.server).field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Starts all components of the edge, each on a shard.
pub(super) fn start(edge: &Arc<Edge>) {
    for options in &edge.options.components {
        let (edge, options) = (Arc::clone(edge), options.clone());
        edge.hub.clone().run_on_next_shard(Box::new(move |shard: &Rc<Shard>| {
            match Component::new(Arc::clone(&edge), shard, options.clone()) {
                Some(component) => drop(tokio::task::spawn_local(component.run())),
                None => tracing::error!(domain = %options.domain, "a component's conference is not there"),
            }
        }));
    }
}

/// See the module's text.
struct Component {
    edge: Arc<Edge>,
    shard: Rc<Shard>,
    options: ComponentOptions,
    addresses: Addresses,
    people: People,
    occupants: HashMap<u64, Occupant>,
    /// By full JID, accounts by bare ones.
    by_jid: HashMap<Box<str>, u64>,
    last_id: u64,
    told: Rc<Told>,
    queue: Queue,
    /// Accounts that have to be opened again.
    ended_accounts: Vec<Arc<str>>,
    /// What is published to push services of other servers.
    publications: mpsc::Receiver<Publication>,
}

/// Why the exchange on a link ends.
enum End {
    Lost(NoLink),
    Stopped,
}

impl Component {
    fn new(edge: Arc<Edge>, shard: &Rc<Shard>, options: ComponentOptions) -> Option<Self> {
        let conference = ConferenceId::parse(&options.conference).ok()?;
        let conf = edge.hub.reader().conference(&options.conference).ok().flatten()?.no;
        let addresses = Addresses::new(&options.domain, edge.domains.of(conf)?.names());
        let people = People::new(&edge.hub, conf, conference, options.users_max);
        let (occupants, by_jid, told, queue) = (HashMap::new(), HashMap::new(), Rc::default(), Queue::default());
        let (shard, last_id, ended_accounts) = (Rc::clone(shard), 0, Vec::new());
        let publications = edge.publishing.add_link(conf, &options.domain);
        Some(Self { edge, shard, options, addresses, people, occupants, by_jid, last_id, told, queue, ended_accounts, publications })
    }

    fn bounds(&self) -> Bounds {
        self.edge.bounds()
    }

    /// Links to the server, again and again, until the edge stops.
    async fn run(mut self) {
        let mut stopping = self.edge.stopping();
        let (mut backoff, mut refusals, domain) = (Backoff::default(), 0, self.options.domain.clone());
        loop {
            let why = match link::connect(&self.options, self.bounds()).await {
                Ok(link) => {
                    tracing::info!(%domain, server = %self.options.server, "a component is linked");
                    let since = Instant::now();
                    let End::Lost(why) = self.exchange(link, &mut stopping).await else { return };
                    let is_good = since.elapsed() >= GOOD_LINK || self.queue.has_returned();
                    if is_good {
                        backoff = Backoff::default();
                    }
                    refusals = if is_good || !matches!(why, NoLink::Stream(_)) { 0 } else { refusals + 1 };
                    why
                }
                Err(why) => why,
            };
            let wait = backoff.next();
            tracing::warn!(%domain, server = %self.options.server, %why, again_in_ms = wait.as_millis(), "a component is not linked");
            self.queue.begin_again();
            if refusals >= MAX_REFUSALS {
                // It would be refused for ever.
                let had = self.queue.clear();
                tracing::error!(%domain, stanzas = had.len(), "what the server ends the stream for is not sent again");
                self.note_had(&had);
                refusals = 0;
            }
            if !self.wait_for_link(wait, &mut stopping).await {
                return;
            }
        }
    }

    /// Whether the edge goes on after this time; as long, occupants are kept.
    async fn wait_for_link(&mut self, wait: Duration, stopping: &mut watch::Receiver<bool>) -> bool {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            let now = Instant::now();
            for occupant in self.occupants.values() {
                if occupant.is_account() || now < occupant.last + KEEP_WITHOUT_LINK {
                    occupant.keep_alive();
                }
            }
            tokio::select! {
                () = tokio::time::sleep_until(until.min(now + KEEP_ALIVE_EVERY)) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {
                    self.occupants.values().for_each(Occupant::close);
                    return false;
                }
            }
        }
        true
    }

    /// Everything that happens while there is a link.
    async fn exchange(&mut self, mut link: Link, stopping: &mut watch::Receiver<bool>) -> End {
        if let Err(reject) = self.open_accounts().await {
            tracing::warn!(%reject, "who came by a component before could not be read");
        }
        self.probe();
        let (told, mut tick, mut last_sent) = (Rc::clone(&self.told), tokio::time::interval(TICK), Instant::now());
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.gather();
            match self.write(&link) {
                Ok(true) => last_sent = Instant::now(),
                Ok(false) => {}
                Err(why) => return End::Lost(why),
            }
            let is_unwritten = self.queue.front().is_some();
            let interest = if is_unwritten { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let takes_more = self.queue.has_room();
            tokio::select! {
                ready = link.stream.ready(interest) => match ready {
                    Ok(ready) if ready.is_readable() => {
                        if let Err(why) = self.read(&mut link).await {
                            return End::Lost(why);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => return End::Lost(error.into()),
                },
                () = told.wait(), if takes_more => {}
                Some(publication) = self.publications.recv(), if takes_more => {
                    // What waited for the link so long that nobody waits for it any more is tried again anyway.
                    if self.edge.publishing.is_awaited(&publication) {
                        self.queue.push(0, &publication.stanza);
                    }
                }
                _ = tick.tick() => {
                    let now = Instant::now();
                    if self.queue.is_dead(now) {
                        return End::Lost(NoLink::TooLate);
                    }
                    if now >= last_sent + PING_AFTER {
                        self.ping();
                    }
                    self.look(now);
                    self.open_again().await;
                }
                _ = stopping.wait_for(|stopping| *stopping) => {
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.leave(&mut link)).await;
                    return End::Stopped;
                }
            }
        }
    }

    /// Writes what the socket takes; whether that was anything.
    fn write(&mut self, link: &Link) -> Result<bool, NoLink> {
        let mut any = false;
        loop {
            while let Some(bytes) = self.queue.front() {
                let written = link.try_write(bytes)?;
                if written == 0 {
                    return Ok(any);
                }
                self.queue.wrote(written);
                any = true;
            }
            if !self.queue.is_due() {
                return Ok(any);
            }
            self.ping();
        }
    }

    /// Asks the server what it has: by a request to oneself, which comes back.
    fn ping(&mut self) {
        let domain = &self.options.domain;
        self.queue.ping(Instant::now(), |number| {
            let mut ping = Vec::with_capacity(160);
            let mut xml = Writer::new(&mut ping);
            xml.open_child("iq").attr("from", domain).attr("to", domain).attr("type", "get");
            xml.attr_of("id", &[inbound::PING_ID, &number.to_string()]).inside().open("ping", iq::PING).empty().close("iq");
            ping
        });
    }

    async fn read(&mut self, link: &mut Link) -> Result<(), NoLink> {
        while let Some(incoming) = link.next()? {
            if let Incoming::Stanza(element) = incoming {
                Box::pin(self.take(element)).await;
                self.gather();
            }
        }
        Ok(())
    }

    /// Puts what occupants are told on the queue, as long as it has room.
    fn gather(&mut self) {
        while self.queue.has_room() {
            let Some(id) = self.told.next() else { return };
            let (queue, addresses, people) = (&mut self.queue, &self.addresses, &self.people);
            let Some(occupant) = self.occupants.get_mut(&id) else { continue };
            let mut stanzas = Vec::new();
            let has_more = occupant.take(|stanza| stanzas.push(stanza));
            for mut stanza in stanzas {
                // Nobody answers what an account is asked; what it is told of contacts and the like is the other server's to know.
                let is_for_here = occupant.is_account() && stanza.name() == "iq" && matches!(stanza.attr("type"), Some("get" | "set"));
                let mut bytes = Vec::new();
                let from = stanza.attr("from").map(str::to_owned);
                addresses.send(&mut stanza, &|uid| people.jid_of(uid).map(|jid| jid.to_string()));
                let is_from_here = addresses.set_sender(&mut stanza, from.as_deref(), &occupant.bare);
                if is_from_here && !is_for_here {
                    occupant.note_room(&stanza);
                    if let Some(client) = occupant.client_of(&stanza) {
                        set_attribute(&mut stanza, "to", client);
                    }
                    write_element(Framing::Tcp, &stanza, &mut bytes);
                }
                queue.push(id, &bytes);
            }
            if has_more {
                self.told.again(id);
            } else if occupant.is_over() {
                self.ended(id);
            }
        }
    }

    /// An occupant's connection is no more: it is told of the rooms that it was in (XEP-0045 §8.6).
    fn ended(&mut self, id: u64) {
        let Some(occupant) = self.occupants.remove(&id) else { return };
        let jid = occupant.jid();
        self.by_jid.remove(jid.as_str());
        if occupant.is_account() {
            self.ended_accounts.push(Arc::clone(&occupant.bare));
        }
        for own in occupant.rooms.values() {
            let mut gone = Vec::with_capacity(256);
            write_gone(own, &jid, &mut gone);
            self.queue.push(0, &gone);
        }
    }

    /// Everybody who has come before hears what is said to them alone.
    async fn open_accounts(&mut self) -> Result<(), Reject> {
        for jid in self.people.known().await? {
            if !self.by_jid.contains_key(&*jid)
                && let Err(reject) = self.open(&jid, None, None).await
            {
                tracing::debug!(%reject, %jid, "somebody of another server is not told what is said to them");
            }
        }
        Ok(())
    }

    /// Accounts whose session was ended for another of theirs, or by somebody, go on with a new one.
    async fn open_again(&mut self) {
        for jid in std::mem::take(&mut self.ended_accounts) {
            if let Err(reject) = self.open(&jid, None, None).await {
                tracing::debug!(%reject, %jid, "somebody of another server is not told what is said to them");
            }
        }
    }

    /// Who was in a room before the link was cut may be gone, and the other server did not say so: each is sent a message without content,
    /// which comes back if it is so.
    fn probe(&mut self) {
        for occupant in self.occupants.values() {
            let Some(room) = occupant.rooms.keys().next() else { continue };
            let mut probe = Vec::with_capacity(160);
            let mut xml = Writer::new(&mut probe);
            xml.open_child("message").attr("from", room).attr("to", &occupant.jid()).attr("type", "groupchat").inside();
            xml.open("no-store", HINTS).empty().close("message");
            self.queue.push(0, &probe);
        }
    }

    /// The occupant of this JID, opened now if it is not there.
    async fn open(&mut self, bare: &Arc<str>, resource: Option<&str>, nick: Option<&str>) -> Result<u64, Reject> {
        let key = resource.map_or_else(|| bare.to_string(), |resource| format!("{bare}/{resource}"));
        if let Some(id) = self.by_jid.get(key.as_str()) {
            return Ok(*id);
        }
        if self.occupants.len() >= MAX_OCCUPANTS + self.options.users_max {
            return Err(Reason::TooManySessions.into());
        }
        let who = self.people.account(bare, nick).await?;
        self.last_id += 1;
        let id = self.last_id;
        let (occupant, near) = Occupant::new(id, bare, resource, self.bounds(), &self.told);
        let transport = Transport::Pipe(Box::new(near));
        let admitted =
            connect::admitted(Arc::clone(&self.edge), &self.shard, transport, who, (&resource_here(resource), resource.is_none()))?;
        tokio::task::spawn_local(task::serve(admitted));
        if occupant.is_account() {
            occupant.begin_account();
        }
        self.occupants.insert(id, occupant);
        self.by_jid.insert(key.into(), id);
        Ok(id)
    }

    /// What is due: what a server has that does not say so, and clients that are in no room and say nothing.
    fn look(&mut self, now: Instant) {
        let had = self.queue.settle(now);
        self.note_had(&had);
        for occupant in self.occupants.values() {
            if !occupant.is_account() && occupant.rooms.is_empty() && now >= occupant.last + IDLE {
                occupant.close();
            }
        }
    }

    fn note_had(&mut self, occupants: &[u64]) {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for id in occupants {
            *counts.entry(*id).or_default() += 1;
        }
        for (id, count) in counts {
            if let Some(occupant) = self.occupants.get_mut(&id) {
                occupant.has_had(count);
            }
        }
    }

    /// The edge stops: everybody is told that they are out of their rooms, and what the server has is put on record.
    async fn leave(&mut self, link: &mut Link) {
        self.gather();
        for occupant in self.occupants.values() {
            for own in occupant.rooms.values() {
                let mut gone = Vec::with_capacity(256);
                write_gone(own, &occupant.jid(), &mut gone);
                self.queue.push(0, &gone);
            }
        }
        while !self.queue.is_settled() {
            if self.write(link).is_err() {
                break;
            }
            let is_unwritten = self.queue.front().is_some();
            let interest = if is_unwritten { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            if link.stream.ready(interest).await.is_err() || self.read_returned(link).is_err() {
                break;
            }
        }
        let mut close = Vec::new();
        write_close(Framing::Tcp, &mut close);
        let _ = link.try_write(&close);
        for occupant in self.occupants.values() {
            occupant.close();
        }
        // What they still have to do is to put on record up to where they were told.
        while !self.occupants.values().all(Occupant::is_over) {
            self.told.wait().await;
            while let Some(id) = self.told.next() {
                if let Some(occupant) = self.occupants.get_mut(&id)
                    && occupant.take(drop)
                {
                    self.told.again(id);
                }
            }
        }
    }

    /// Takes nothing of what comes in but what says what the server has.
    fn read_returned(&mut self, link: &mut Link) -> Result<(), NoLink> {
        while let Some(incoming) = link.next()? {
            if let Incoming::Stanza(element) = incoming
                && let Some(number) = self.returned(&element)
            {
                let had = self.queue.returned(number);
                self.note_had(&had);
            }
        }
        Ok(())
    }

    /// The number of a ping that came back.
    fn returned(&self, element: &Element) -> Option<u64> {
        let is_own = element.name() == "iq" && element.attr("from") == Some(&self.options.domain);
        element.attr("id").filter(|_| is_own)?.strip_prefix(inbound::PING_ID)?.parse().ok()
    }
}

/// Appends that somebody is out of a room because of the link, or the server (XEP-0045 §17.6, status 332).
fn write_gone(own: &str, jid: &str, out: &mut Vec<u8>) {
    let mut xml = Writer::new(out);
    xml.open_child("presence").attr("from", own).attr("to", jid).attr("type", "unavailable").inside();
    xml.open("x", MUC_USER).inside().open_child("item").attr("affiliation", "none").attr("role", "none").empty();
    for code in ["110", "332"] {
        xml.open_child("status").attr("code", code).empty();
    }
    xml.close("x").close("presence");
}

/// Gives an attribute that is there another value.
fn set_attribute(stanza: &mut Element, name: &str, value: String) {
    if let Some(attribute) = stanza.attrs_mut().get_mut(&rxml::Namespace::NONE, name) {
        *attribute = value;
    }
}

/// A stanza that was written for a client, as it goes over the link: with its content namespace.
fn of_link(stanza: &[u8]) -> Vec<u8> {
    let declaration = format!(" xmlns=\"{}\"", ns::CLIENT).into_bytes();
    let at = stanza.windows(declaration.len()).position(|window| window == declaration);
    match at {
        Some(at) => [&stanza[..at], &stanza[at + declaration.len()..]].concat(),
        None => stanza.to_vec(),
    }
}
