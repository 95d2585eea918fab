//! The XMPP edge, as all its connections share it, and where they come from: TCP, TLS, and WebSocket by way of the HTTP edge.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, OnceLock};

use hallway_broker::accept::accept;
use hallway_broker::edges::{InWebSocket, SignIns, Upgraded};
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, ConversationId, EventIds};
use hallway_broker::peers::Unauthenticated;
use hallway_broker::shard::{Audience, Shard};
use hallway_broker::tls::{Certificates, Current};
use hallway_broker::transport::{Tls, Transport};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::component::{self, ComponentOptions};
use super::connect;
use super::connection::Connection;
use super::directory::Directory;
use super::names::{Names, NotAnAddress, OccupantIds};
use super::negotiation::Host;
use super::push::publishing::Publishing;
use super::resume::Resumable;
use super::rooms::{RoomKey, Rooms};
use super::stanza::Stanzas;
use super::stream::{Bounds, Framing};

/// The XMPP edge's part of the configuration.
#[derive(Debug, Clone)]
pub struct XmppOptions {
    /// The domains that are served, one at least.
    pub hosts: Vec<Host>,
    /// Occupants of a room whose presence all of them see.
    pub room_presence_max: usize,
    /// Longest stanza in bytes.
    pub stanza_bytes: usize,
    /// Deepest nesting in a stanza.
    pub depth_max: usize,
    /// Demo mode: a login with a new name makes the account.
    pub demo: bool,
    /// Whether passwords are taken without TLS.
    pub plaintext_login: bool,
    /// Services beside this one that clients are told of (XEP-0215).
    pub services: Vec<Service>,
    /// Servers that this one is a component of (XEP-0114).
    pub components: Vec<ComponentOptions>,
}

/// A service beside this one (XEP-0215 §3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `stun`, `turn`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where.
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
    /// `udp`, `tcp`.
    pub transport: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// Who may use it.
    pub username: Option<String>,
    /// With this password.
    pub password: Option<String>,
}

/// What the edge listens on.
#[derive(Default)]
pub struct Listeners {
    /// TCP, with STARTTLS if there are certificates.
    pub tcp: Option<TcpListener>,
    /// TLS from the first byte (XEP-0368).
    pub tls: Option<TcpListener>,
    /// What TLS is spoken with.
    pub certificates: Option<Arc<Certificates>>,
}

/// A conference, as XMPP sees it.
pub struct Domain {
    /// Its domain and id.
    pub host: Host,
    /// How its stanzas are written.
    pub stanzas: Stanzas,
    conf: OnceLock<ConfNo>,
}

impl Domain {
    /// The conference's addresses.
    #[must_use]
    pub fn names(&self) -> &Names {
        self.stanzas.names()
    }
}

/// See the module's text.
pub struct Edge {
    pub(super) hub: Arc<Hub>,
    pub(super) sign_ins: SignIns,
    pub(super) options: XmppOptions,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) domains: Domains,
    pub(super) rooms: Arc<Rooms>,
    /// The conversations of rooms that somebody is in.
    pub(super) open_rooms: Mutex<HashMap<RoomKey, ConversationId>>,
    pub(super) directory: Directory,
    pub(super) resumable: Resumable,
    pub(super) publishing: Publishing,
    stopped: watch::Sender<bool>,
}

/// All conferences that have a domain.
#[derive(Clone)]
pub struct Domains {
    hub: Arc<Hub>,
    list: Arc<[Arc<Domain>]>,
    /// The public ids of events.
    pub ids: EventIds,
}

impl Domains {
    /// The domains of these hosts. `site` is the URL that people reach the server at over HTTP, if they do.
    ///
    /// # Errors
    /// One of them is no domain.
    pub fn new(hub: &Arc<Hub>, hosts: &[Host], site: &str) -> Result<Self, NotAnAddress> {
        let occupants = OccupantIds::new(hub.reader().key_for("xmpp occupants"));
        let domain = |host: &Host| {
            let stanzas = Stanzas::new(Names::new(&host.domain)?, occupants).at_site(site);
            Ok(Arc::new(Domain { host: host.clone(), stanzas, conf: OnceLock::new() }))
        };
        let list = hosts.iter().map(domain).collect::<Result<_, _>>()?;
        Ok(Self { hub: Arc::clone(hub), list, ids: hub.reader().ids() })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.list.iter()
    }

    /// The domain of a conference, if it has one.
    #[must_use]
    pub fn of(&self, conf: ConfNo) -> Option<&Arc<Domain>> {
        self.list.iter().find(|domain| {
            let known = domain.conf.get().copied().or_else(|| {
                let record = self.hub.reader().conference(&domain.host.conference).ok()??;
                Some(*domain.conf.get_or_init(|| record.no))
            });
            known == Some(conf)
        })
    }
}

/// A connection that has not said who it is.
pub(super) struct Arrival {
    pub transport: Transport,
    pub framing: Framing,
    /// The certificate, of a connection that has TLS here.
    pub tls: Option<Current>,
    /// There is TLS in front, or nobody in between.
    pub is_private: bool,
    pub address: IpAddr,
    /// Counts it until it has signed in.
    pub admitted: Unauthenticated,
    /// What was read already.
    pub leftover: Vec<u8>,
}

thread_local! {
    /// The connections with a session on this shard, by session.
    static HERE: RefCell<HashMap<u64, Weak<Connection>>> = RefCell::default();
}

/// The connection of a session of this shard.
pub(super) fn connection_here(session: u64) -> Option<Rc<Connection>> {
    HERE.with_borrow(|here| here.get(&session)?.upgrade())
}

/// Makes a connection known on its shard, or (`None`) forgets it.
pub(super) fn note_here(session: u64, connection: Option<&Rc<Connection>>) {
    HERE.with_borrow_mut(|here| match connection {
        Some(connection) => drop(here.insert(session, Rc::downgrade(connection))),
        None => drop(here.remove(&session)),
    });
}

/// Starts the edge; the hub's shards run.
#[must_use]
pub fn start(hub: &Arc<Hub>, sign_ins: SignIns, listeners: Listeners, options: XmppOptions, domains: Domains) -> Arc<Edge> {
    let Listeners { tcp, tls, certificates } = listeners;
    let rooms = Arc::new(Rooms::new(options.room_presence_max));
    hub.set_audience(Arc::clone(&rooms) as Arc<dyn Audience>);
    let edge = Arc::new(Edge {
        hub: Arc::clone(hub),
        sign_ins,
        options,
        certificates,
        domains,
        rooms,
        open_rooms: Mutex::default(),
        directory: Directory::default(),
        resumable: Resumable::default(),
        publishing: Publishing::default(),
        stopped: watch::Sender::new(false),
    });
    for (listener, is_tls) in [(tcp, false), (tls, true)] {
        let Some(listener) = listener else { continue };
        let at = Arc::clone(&edge);
        edge.run(move || accept(tokio::net::TcpListener::from_std(listener), move |stream, peer| at.hand_over(stream, peer, is_tls)));
    }
    let at = Arc::clone(&edge);
    edge.run(move || super::presence::tell_rooms(at));
    component::start(&edge);
    edge
}

impl Edge {
    /// Takes no more connections. Those that are there go on.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Turns true when the edge is to stop.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    /// Runs something on the first shard until the edge is stopped.
    fn run<F: Future<Output = ()> + 'static>(&self, begin: impl FnOnce() -> F + Send + 'static) {
        let mut stopped = self.stopped.subscribe();
        self.hub.run_on_first_shard(Box::new(move |_| {
            tokio::task::spawn_local(async move {
                tokio::select! {
                    () = begin() => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
            });
        }));
    }

    /// What a client may send that has not signed in.
    pub(super) fn bounds_before_login(&self) -> Bounds {
        let Bounds { attribute_bytes, .. } = self.bounds();
        Bounds { stanza_bytes: 10_000, depth: 8, nodes: 64, attribute_bytes, ..Bounds::default() }
    }

    /// What a client may send that has.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { stanza_bytes: self.options.stanza_bytes, depth: self.options.depth_max, ..Bounds::default() }
    }

    fn hand_over(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, is_tls: bool) -> io::Result<()> {
        let address = peer.ip().to_canonical();
        let Some(admitted) = self.sign_ins.peers.admit(address) else {
            tracing::debug!("too many connections of one address that have not signed in");
            return Ok(());
        };
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let tls = self.certificates.as_ref().filter(|_| is_tls).map(|certificates| certificates.current());
        let edge = Arc::clone(self);
        self.hub.run_on_next_shard(Box::new(move |shard: &Rc<Shard>| {
            let transport = TcpStream::from_std(stream).and_then(|stream| match &tls {
                Some(current) => Ok(Transport::Tls(Box::new(Tls::new(stream, Arc::clone(&current.config))?))),
                None => Ok(Transport::Tcp(stream)),
            });
            match transport {
                Ok(transport) => {
                    let is_private = transport.is_private();
                    let arrival = Arrival { transport, framing: Framing::Tcp, tls, is_private, address, admitted, leftover: Vec::new() };
                    edge.serve(shard, arrival);
                }
                Err(error) => tracing::debug!(%error, "a connection was lost on its way to its shard"),
            }
        }));
        Ok(())
    }

    fn serve(self: Arc<Self>, shard: &Rc<Shard>, arrival: Arrival) {
        tokio::task::spawn_local(connect::serve(self, Rc::clone(shard), arrival));
    }
}

/// How XMPP comes in by WebSocket (RFC 7395).
pub struct XmppInWebSocket(pub Arc<Edge>);

impl InWebSocket for XmppInWebSocket {
    fn enter(&self, shard: &Rc<Shard>, upgraded: Upgraded) {
        let Upgraded { stream, leftover, address, is_secure, admitted } = upgraded;
        let transport = Transport::Tcp(stream);
        let arrival = Arrival { transport, framing: Framing::WebSocket, tls: None, is_private: is_secure, address, admitted, leftover };
        Arc::clone(&self.0).serve(shard, arrival);
    }
}
