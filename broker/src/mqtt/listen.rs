//! Where MQTT connections come from: TCP, TLS, a unix socket, and WebSocket by way of the HTTP edge.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use super::clients::Clients;
use super::connect;
use crate::accept::accept;
use crate::edges::{InWebSocket, JsonRpc, SignIns, Upgraded};
use crate::hub::Hub;
use crate::ids::ConferenceId;
use crate::peers::Unauthenticated;
use crate::shard::Shard;
use crate::tls::Certificates;
use crate::transport::{Tls, Transport, WebSocket};

/// The MQTT edge's part of the configuration.
#[derive(Debug, Clone)]
pub struct MqttOptions {
    /// Clients may connect without a user name.
    pub anonymous: bool,
    /// Topics outside `conf/` and `$` may be used.
    pub plain_topics: bool,
    /// Longest keep alive that a client gets, in seconds; 0 for any.
    pub keepalive_max_s: u16,
    /// QoS 1 and 2 messages of one client under way at once, in each direction.
    pub receive_maximum: u16,
    /// Demo mode: a login with a new name makes the account.
    pub demo: bool,
    /// Whether passwords are taken without TLS.
    pub plaintext_login: bool,
    /// The conference that a user name without one means.
    pub conference: ConferenceId,
}

/// What the edge listens on.
#[derive(Default)]
pub struct Listeners {
    /// Plain TCP.
    pub tcp: Option<TcpListener>,
    /// TLS, and what it is spoken with.
    pub tls: Option<(TcpListener, Arc<Certificates>)>,
    /// A unix socket.
    pub unix: Option<UnixListener>,
}

/// The MQTT edge, as all its connections share it.
pub struct Edge {
    pub(super) hub: Arc<Hub>,
    pub(super) sign_ins: SignIns,
    pub(super) options: MqttOptions,
    pub(super) json_rpc: Arc<dyn JsonRpc>,
    pub(super) clients: Arc<Clients>,
    stopped: watch::Sender<bool>,
}

/// A connection that has not said who it is.
pub(super) struct Arrival {
    /// What it is spoken over.
    pub transport: Transport,
    /// Where it comes from; a unix socket's has no address.
    pub address: Option<IpAddr>,
    /// Whether nobody on the way can read along.
    pub is_private: bool,
    /// Counts it until it has signed in.
    pub admitted: Option<Unauthenticated>,
}

/// Starts the edge; the hub's shards run.
#[must_use]
pub fn start(hub: &Arc<Hub>, sign_ins: SignIns, listeners: Listeners, options: MqttOptions, json_rpc: Arc<dyn JsonRpc>) -> Arc<Edge> {
    let (clients, stopped) = (Arc::default(), watch::Sender::new(false));
    let edge = Arc::new(Edge { hub: Arc::clone(hub), sign_ins, options, json_rpc, clients, stopped });
    let Listeners { tcp, tls, unix } = listeners;
    if let Some(listener) = tcp {
        let at = Arc::clone(&edge);
        edge.listen(move || accept(tokio::net::TcpListener::from_std(listener), move |stream, peer| at.hand_over(stream, peer, None)));
    }
    if let Some((listener, certificates)) = tls {
        let at = Arc::clone(&edge);
        edge.listen(move || {
            accept(tokio::net::TcpListener::from_std(listener), move |stream, peer| at.hand_over(stream, peer, Some(&certificates)))
        });
    }
    if let Some(listener) = unix {
        let at = Arc::clone(&edge);
        edge.listen(move || accept(tokio::net::UnixListener::from_std(listener), move |stream, _| at.hand_over_unix(stream)));
    }
    edge
}

impl Edge {
    /// Takes no more connections. Those that are there go on.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    fn listen<F: Future<Output = ()> + 'static>(&self, accepting: impl FnOnce() -> F + Send + 'static) {
        let mut stopped = self.stopped.subscribe();
        self.hub.run_on_first_shard(Box::new(move |_| {
            tokio::task::spawn_local(async move {
                tokio::select! {
                    () = accepting() => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
            });
        }));
    }

    fn hand_over(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, tls: Option<&Arc<Certificates>>) -> io::Result<()> {
        let address = peer.ip().to_canonical();
        let Some(admitted) = self.sign_ins.peers.admit(address) else {
            tracing::debug!("too many connections of one address that have not signed in");
            return Ok(());
        };
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let tls = tls.map(|certificates| certificates.config());
        let edge = Arc::clone(self);
        self.hub.run_on_next_shard(Box::new(move |shard: &Rc<Shard>| {
            let transport = TcpStream::from_std(stream).and_then(|stream| match tls {
                Some(config) => Ok(Transport::Tls(Box::new(Tls::new(stream, config)?))),
                None => Ok(Transport::Tcp(stream)),
            });
            match transport {
                Ok(transport) => {
                    let is_private = transport.is_private();
                    edge.serve(shard, Arrival { transport, address: Some(address), is_private, admitted: Some(admitted) });
                }
                Err(error) => tracing::debug!(%error, "a connection was lost on its way to its shard"),
            }
        }));
        Ok(())
    }

    /// Who may use the socket, its permissions say: nobody is counted.
    fn hand_over_unix(self: &Arc<Self>, stream: UnixStream) -> io::Result<()> {
        let stream = stream.into_std()?;
        let edge = Arc::clone(self);
        self.hub.run_on_next_shard(Box::new(move |shard: &Rc<Shard>| match UnixStream::from_std(stream) {
            Ok(stream) => {
                edge.serve(shard, Arrival { transport: Transport::Unix(stream), address: None, is_private: true, admitted: None });
            }
            Err(error) => tracing::debug!(%error, "a connection was lost on its way to its shard"),
        }));
        Ok(())
    }

    fn serve(self: Arc<Self>, shard: &Rc<Shard>, arrival: Arrival) {
        tokio::task::spawn_local(connect::serve(self, Rc::clone(shard), arrival));
    }
}

/// How MQTT comes in by WebSocket.
pub struct MqttInWebSocket(pub Arc<Edge>);

impl InWebSocket for MqttInWebSocket {
    fn enter(&self, shard: &Rc<Shard>, upgraded: Upgraded) {
        let Upgraded { stream, leftover, address, is_secure, admitted } = upgraded;
        let socket = WebSocket::new(stream, &leftover, shard.hub.limits().frame_bytes);
        let transport = Transport::WebSocket(Box::new(socket));
        let arrival = Arrival { transport, address: Some(address), is_private: is_secure, admitted: Some(admitted) };
        Arc::clone(&self.0).serve(shard, arrival);
    }
}
