//! The server's life: open the store, make what is configured, listen, say `ready`, wait for a signal, drain.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use hallway_broker::backup::BackupError;
use hallway_broker::clock::SystemClock;
use hallway_broker::control::socket::ControlServer;
use hallway_broker::hub::{Hub, HubOptions, OpenError};
use hallway_ws_adapter::HttpOptions;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task;

use crate::conferences::{self, ConferencesError};
use crate::config::{Address, Config, Loaded, Mode, Origin};

/// Connections that wait to be accepted: a whole venue may come back at once.
const BACKLOG: i32 = 4096;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A listener.
    #[error("cannot listen on {address} for {key}: {error}: {hint}")]
    Bind {
        /// The address's key.
        key: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
        /// What to do.
        hint: String,
    },
    /// The control socket.
    #[error("cannot make the control socket in the data directory: {0}")]
    Control(io::Error),
    /// A configured conference.
    #[error(transparent)]
    Conferences(#[from] ConferencesError),
    /// An edge.
    #[error("cannot start serving: {0}")]
    Start(io::Error),
    /// The process's signals.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

/// Serves until a signal says stop.
///
/// # Errors
/// Why it does not start. Once it runs, it ends well.
pub async fn run(loaded: &Loaded) -> Result<(), ServeError> {
    announce(loaded);
    let hub = open(&loaded.config)?;
    match start(&hub, loaded).await {
        Ok(running) => running.until_told(hub).await,
        Err(error) => {
            hub.close();
            Err(error)
        }
    }
}

/// Opens the store of the configuration.
///
/// # Errors
/// The hub's.
pub fn open(config: &Config) -> Result<Arc<Hub>, OpenError> {
    // What people wrote is in it.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&config.store.path);
    made.map_err(|error| BackupError::Io { path: config.store.path.clone(), error })?;
    let options = HubOptions {
        data_dir: config.store.path.clone(),
        store: config.store.options(),
        limits: config.limits.clone(),
        shards: config.server.shards,
        demo: config.server.mode == Mode::Demo,
    };
    Hub::open(options, Arc::new(SystemClock::start()))
}

fn announce(loaded: &Loaded) {
    let version = env!("CARGO_PKG_VERSION");
    let mode = if loaded.config.server.mode == Mode::Demo { "demo" } else { "server" };
    tracing::info!(version, mode, data = %loaded.config.store.path.display(), "hallway starts");
    for line in loaded.changed() {
        tracing::info!("{line}");
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for (key, address) in loaded.config.listen.all().into_iter().filter(|(key, _)| *key != "listen.http") {
        if address != Address::Off && loaded.origin(key) != Origin::Default {
            tracing::warn!("{key} is set, but this build does not listen there yet");
        }
    }
}

/// What must be kept while the server runs.
struct Running {
    signals: Signals,
    control: ControlServer,
    http: Option<hallway_ws_adapter::Handle>,
}

async fn start(hub: &Arc<Hub>, loaded: &Loaded) -> Result<Running, ServeError> {
    let config = &loaded.config;
    let http = bind("listen.http", "--http", config.listen.http)?;
    conferences::ensure(hub, config, true).await?;
    let control = ControlServer::start(Arc::clone(hub), &config.store.path).map_err(ServeError::Control)?;
    let signals = Signals::listen().map_err(ServeError::Signals)?;
    let mut ready = String::from("ready");
    let http = match http {
        Some(listener) => {
            let address = listener.local_addr().map_err(ServeError::Start)?;
            ready.push_str(&format!(" http={address}"));
            Some(start_http(hub, listener, config).map_err(ServeError::Start)?)
        }
        None => None,
    };
    say(&ready);
    Ok(Running { signals, control, http })
}

/// The one place where the HTTP edge is joined.
fn start_http(hub: &Arc<Hub>, listener: TcpListener, config: &Config) -> io::Result<hallway_ws_adapter::Handle> {
    let options = HttpOptions {
        origins: config.http.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
        public_url: config.server.public_url.as_ref().map(|url| url.as_str().to_owned()),
        demo: config.server.mode == Mode::Demo,
        plaintext_login: config.server.takes_plaintext_logins(),
        trusted_proxies: config.server.trusted_proxies.iter().map(|range| (range.address, range.prefix)).collect(),
    };
    hallway_ws_adapter::start(hub, listener, options)
}

fn bind(key: &'static str, flag: &str, address: Address) -> Result<Option<TcpListener>, ServeError> {
    let Address::At(address) = address else { return Ok(None) };
    listen(address).map(Some).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("another program listens there, so take another address with {flag} ADDR:PORT (port 0 is any free one)")
            }
            io::ErrorKind::PermissionDenied => format!("ports below 1024 need a privilege, so take another with {flag} ADDR:PORT"),
            _ => format!("take another address with {flag} ADDR:PORT"),
        };
        ServeError::Bind { key, address, error, hint }
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Prints the one line that stdout carries.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "nobody reads the ready line");
    }
}

impl Running {
    async fn until_told(mut self, hub: Arc<Hub>) -> Result<(), ServeError> {
        let name = self.signals.stop().await;
        tracing::info!(signal = name, "draining; once more stops at once");
        if let Some(http) = self.http {
            http.stop();
        }
        self.control.stop();
        let drained = task::spawn_blocking(move || hub.drain());
        tokio::select! {
            drained = drained => {
                if drained.is_err() {
                    tracing::error!("the drain panicked");
                }
            }
            name = self.signals.stop() => {
                tracing::warn!(signal = name, "stopped before the drain was done; what was acked is kept");
                std::process::exit(1);
            }
        }
        tracing::info!("stopped");
        Ok(())
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop.
    async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => tracing::info!("SIGHUP is ignored: restart to read the configuration again"),
            }
        }
    }
}
