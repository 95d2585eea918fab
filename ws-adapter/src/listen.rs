//! The listener: accepts on the first shard, hands each connection to the next one.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::hub::Hub;
use hallway_broker::recent::WIRES;
use hallway_broker::registry::Wires;
use hallway_broker::shard::Shard;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::app::{Connection, Shared};
use crate::http::client::Network;
use crate::http::{self, Settings};
use crate::origin::Site;
use crate::wire::{WS_WIRE, WsWire};

/// How long to wait when the process has no file descriptor left for one more connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The HTTP edge's part of the configuration.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Origins besides our own that browsers may come from.
    pub origins: Vec<String>,
    /// Where people reach the server.
    pub public_url: Option<String>,
    /// Demo mode.
    pub demo: bool,
    /// Whether passwords are taken without TLS.
    pub plaintext_login: bool,
    /// Networks whose `X-Forwarded-*` is believed: address and prefix bits.
    pub trusted_proxies: Vec<(IpAddr, u8)>,
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

/// Starts serving HTTP and WebSocket on `listener`, and the hub's shards when they do not run yet.
///
/// # Errors
/// An origin, URL or network that is none; a thread that does not start.
pub fn start(hub: &Arc<Hub>, listener: TcpListener, options: HttpOptions) -> io::Result<Handle> {
    let address = listener.local_addr()?;
    let site = Site::new(address, options.public_url.as_deref(), &options.origins).map_err(invalid)?;
    let network = |(address, bits): &(IpAddr, u8)| format!("{address}/{bits}").parse::<Network>();
    let trusted_proxies = options.trusted_proxies.iter().map(network).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    let settings = Settings { site, trusted_proxies, body_bytes: hub.limits().frame_bytes };
    let shared = Arc::new(Shared::new(Arc::clone(hub), settings, address, options.plaintext_login));
    let mut wires: Wires = [const { None }; WIRES];
    wires[WS_WIRE] = Some(Arc::new(WsWire::new(hub.reader().ids())));
    hub.start_shards(&Arc::new(wires)).map_err(io::Error::other)?;
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    hub.run_on_first_shard(Box::new(move |_| {
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = accept(shared, listener) => {}
                () = stopped.notified() => {}
            }
        });
    }));
    Ok(Handle { stop })
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = hand_over(&shared, stream, peer) {
                    tracing::debug!(%error, "a connection was lost on its way to its shard");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn hand_over(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    // A trusted proxy brings many people: they are counted by the address that it names.
    let is_proxy = shared.settings.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
    let admitted = if is_proxy { None } else { shared.peers.admit(peer.ip()) };
    if admitted.is_none() && !is_proxy {
        tracing::debug!("too many connections of one address that have not signed in");
        return Ok(());
    }
    stream.set_nodelay(true)?;
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
