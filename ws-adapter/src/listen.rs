//! The listener: accepts on the first shard, hands each connection to the next one.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::accept::{accept, watch};
use hallway_broker::edges::{InWebSocket, SignIns};
use hallway_broker::hub::Hub;
use hallway_broker::peers::Peers;
use hallway_broker::registry::Wire;
use hallway_broker::shard::Shard;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::app::{Connection, Shared, VIEWERS_PER_ADDRESS};
use crate::conversation::wire::{CONVERSATION_WIRE, ConversationWire};
use crate::events::{SSE_WIRE, SseWire};
use crate::http::client::Network;
use crate::http::{self, Settings, Socket};
use crate::origin::Site;
use crate::sock::wire::{SOCK_WIRE, SockWire};
use crate::socketio::edge::Edge;
use crate::socketio::engine::Heartbeat;
use crate::socketio::wire::{SOCKETIO_WIRE, SocketioWire};
use crate::upload::Uploads;
use crate::wire::{WS_WIRE, WsWire};

/// The HTTP edge's part of the configuration.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Origins besides our own that browsers may come from.
    pub origins: Vec<String>,
    /// Where people reach the server.
    pub public_url: Option<String>,
    /// Demo mode.
    pub demo: bool,
    /// Protocol and address of each listener, for the page.
    pub listeners: Vec<(String, String)>,
    /// Whether passwords are taken without TLS.
    pub plaintext_login: bool,
    /// The conference of Socket.IO clients that name none.
    pub conference: String,
    /// Socket.IO's heartbeat.
    pub heartbeat: Heartbeat,
    /// Networks whose `X-Forwarded-*` is believed: address and prefix bits.
    pub trusted_proxies: Vec<(IpAddr, u8)>,
}

/// The other edges that are spoken inside WebSocket.
#[derive(Clone, Default)]
pub struct Others {
    /// At `/mqtt`.
    pub mqtt: Option<Arc<dyn InWebSocket>>,
    /// At `/xmpp-websocket`.
    pub xmpp: Option<Arc<dyn InWebSocket>>,
}

impl Others {
    /// The edge that a socket is for.
    #[must_use]
    pub fn of(&self, socket: Socket) -> Option<&Arc<dyn InWebSocket>> {
        match socket {
            Socket::Hallway | Socket::Socketio | Socket::Conversation | Socket::Topics => None,
            Socket::Mqtt => self.mqtt.as_ref(),
            Socket::Xmpp => self.xmpp.as_ref(),
        }
    }
}

/// A listener that runs.
#[derive(Debug)]
pub struct Handle {
    stop: Arc<Notify>,
}

impl Handle {
    /// Takes no more connections. Those that are there go on.
    pub fn stop(&self) {
        self.stop.notify_one();
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// What this edge adds to the hub's wire forms, with their numbers.
#[must_use]
pub fn wires(hub: &Hub) -> [(usize, Arc<dyn Wire>); 5] {
    let ids = hub.reader().ids();
    [
        (WS_WIRE, Arc::new(WsWire::new(ids))),
        (SOCKETIO_WIRE, Arc::new(SocketioWire::new(ids))),
        (CONVERSATION_WIRE, Arc::new(ConversationWire::new(ids))),
        (SOCK_WIRE, Arc::new(SockWire)),
        (SSE_WIRE, Arc::new(SseWire::new(hub.reader().clone()))),
    ]
}

/// Starts serving HTTP and WebSocket on `listener`; the hub's shards run. `others` take what comes at their paths.
///
/// # Errors
/// An origin, URL or network that is none.
pub fn start(hub: &Arc<Hub>, sign_ins: SignIns, listener: TcpListener, options: HttpOptions, others: Others) -> io::Result<Handle> {
    let address = listener.local_addr()?;
    let site = Site::new(address, options.public_url.as_deref(), &options.origins).map_err(invalid)?;
    let network = |(address, bits): &(IpAddr, u8)| format!("{address}/{bits}").parse::<Network>();
    let trusted_proxies = options.trusted_proxies.iter().map(network).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    let shared = Arc::new(Shared {
        settings: Settings { site, trusted_proxies, body_bytes: hub.limits().frame_bytes },
        hub: Arc::clone(hub),
        socketio: Arc::new(Edge {
            hub: Arc::clone(hub),
            sign_ins: sign_ins.clone(),
            arrivals: Peers::new(hub.limits().unauthenticated_per_address),
            conference: options.conference,
            heartbeat: options.heartbeat,
        }),
        sign_ins,
        others,
        listeners: options.listeners,
        plaintext_login: options.plaintext_login,
        uploads: Uploads::default(),
        viewers: Peers::new(VIEWERS_PER_ADDRESS),
    });
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    hub.run_on_first_shard(Box::new(move |_| {
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = accept(tokio::net::TcpListener::from_std(listener), |stream, peer| hand_over(&shared, stream, peer)) => {}
                () = stopped.notified() => {}
            }
        });
    }));
    Ok(Handle { stop })
}

fn hand_over(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    // A trusted proxy brings many people: they are counted by the address that it names.
    let is_proxy = shared.settings.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
    let admitted = if is_proxy { None } else { shared.sign_ins.peers.admit(peer.ip()) };
    if admitted.is_none() && !is_proxy {
        tracing::debug!("too many connections of one address that have not signed in");
        return Ok(());
    }
    stream.set_nodelay(true)?;
    watch(&stream)?;
    let stream = stream.into_std()?;
    let shared = Arc::clone(shared);
    let hub = Arc::clone(&shared.hub);
    hub.run_on_next_shard(Box::new(move |shard: &Rc<Shard>| {
        let connection = Rc::new(Connection { shared, shard: Rc::clone(shard), admitted: RefCell::new(admitted) });
        match TcpStream::from_std(stream) {
            Ok(stream) => drop(tokio::task::spawn_local(async move {
                if let Err(error) = http::serve(connection, stream, peer).await {
                    tracing::debug!(%error, "an HTTP connection ended badly");
                }
            })),
            Err(error) => tracing::debug!(%error, "a connection was lost on its way to its shard"),
        }
    }));
    Ok(())
}
