//! The server's life: open the store, make what is configured, listen, say `ready`, wait for a signal, drain.

mod unix;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hallway_bridge::badge;
use hallway_bridge::push::{self, GatewayError};
use hallway_bridge::venue::{VenueOptions, Venues};
use hallway_bridge::xmpp::negotiation::Host;
use hallway_bridge::xmpp::{self, ComponentOptions, XmppInWebSocket, XmppOptions};
use hallway_broker::accounts::jwt::{ProviderError, Providers};
use hallway_broker::allowances::{Webhook, WebhookOptions};
use hallway_broker::backup::BackupError;
use hallway_broker::clock::{Clock, SystemClock};
use hallway_broker::control::socket::ControlServer;
use hallway_broker::edges::{InWebSocket, SignIns};
use hallway_broker::hub::{Hub, HubOptions, OpenError};
use hallway_broker::ids::ConferenceId;
use hallway_broker::mqtt::{self, MqttInWebSocket, MqttOptions};
use hallway_broker::outward::Outward;
use hallway_broker::recent::WIRES;
use hallway_broker::registry::{Wire, Wires};
use hallway_broker::tls::{Certificates, TlsError};
use hallway_ws_adapter::{HttpOptions, Others};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{self, JoinHandle};

use crate::conferences::{self, ConferencesError};
use crate::config::{Address, Component, Config, Loaded, Mode};
use crate::tickets::{self, Tickets};

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
    /// A unix socket.
    #[error("cannot listen on {} for listen.mqtt_unix: {error}: take another path, in a directory that the server may write to", path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The control socket.
    #[error("cannot make the control socket in the data directory: {0}")]
    Control(io::Error),
    /// A configured conference.
    #[error(transparent)]
    Conferences(#[from] ConferencesError),
    /// An identity provider's keys.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Who delivers pushes.
    #[error(transparent)]
    Gateways(#[from] GatewayError),
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
        topic_rules: config.conference.iter().filter_map(|(id, conference)| Some((id.clone(), conference.topics.clone()?))).collect(),
        badges: config.badges.clone(),
    };
    Hub::open(options, Arc::new(SystemClock::start()))
}

/// Whether the server could be started with what the configuration names: files are read, and none is made.
///
/// # Errors
/// What cannot be used, by its key.
pub fn look(config: &Config) -> Result<(), ServeError> {
    if config.tls.files().is_some() {
        Certificates::open(&config.store.path, config.tls.files(), &[])?;
    }
    push::check(&gateway_options(Arc::new(SystemClock::start()), config))?;
    venues(config).map_err(ServeError::Start)?;
    tickets::look(config).map_err(ServeError::Start)?;
    components(config, &[]).map_err(ServeError::Start)?;
    Ok(())
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
}

/// What must be kept while the server runs.
struct Running {
    signals: Signals,
    control: ControlServer,
    /// What keeps the keys of identity providers new.
    keys: Vec<JoinHandle<()>>,
    http: Option<hallway_ws_adapter::Handle>,
    mqtt: Option<Arc<mqtt::Edge>>,
    xmpp: Option<Arc<xmpp::Edge>>,
    venues: Venues,
}

/// What is listened on, and what the ready line says of it.
struct Bound {
    http: Option<TcpListener>,
    mqtt: mqtt::Listeners,
    xmpp: xmpp::Listeners,
    /// Protocol and address.
    addresses: Vec<(String, String)>,
}

async fn start(hub: &Arc<Hub>, loaded: &Loaded) -> Result<Running, ServeError> {
    let config = &loaded.config;
    let with_tls = [config.listen.mqtts, config.listen.xmpp, config.listen.xmpps];
    let certificates = match with_tls.iter().any(|address| *address != Address::Off) {
        false => None,
        true => Some(Certificates::open(&config.store.path, config.tls.files(), &config.server.host_names())?),
    };
    let bound = bind_all(config, certificates.clone())?;
    conferences::ensure(hub, config, true).await?;
    let providers = providers(hub, config)?;
    let control = ControlServer::start(Arc::clone(hub), &config.store.path).map_err(ServeError::Control)?;
    let tickets = Tickets::open(hub, config).map_err(ServeError::Start)?;
    let signals = Signals::listen(certificates, tickets).map_err(ServeError::Signals)?;
    let mut ready = String::from("ready");
    for (protocol, address) in &bound.addresses {
        ready.push_str(&format!(" {protocol}={address}"));
    }
    let outward = Arc::new(Outward::new(true));
    hub.set_topic_webhooks(topic_webhooks(hub, config, &outward));
    hub.set_badge_formats(badge::formats());
    let mut gateways = push::gateways(&gateway_options(Arc::clone(hub.clock()), config))?;
    let keys = providers.tend(&outward);
    let sign_ins = SignIns::with_providers(hub, providers);
    let venues = venues(config).map_err(ServeError::Start)?;
    let edges = start_edges(hub, bound, config, conferences::default_id(config)?, sign_ins).map_err(ServeError::Start)?;
    gateways.extend(edges.xmpp.as_ref().map(push::of_xmpp));
    hub.start_push(gateways, config.push.options())?;
    let venues = Venues::start(hub, venues);
    say(&ready);
    let Edges { http, mqtt, xmpp } = edges;
    Ok(Running { signals, control, keys, http, mqtt, xmpp, venues })
}

/// What those are told who deliver pushes.
fn gateway_options(clock: Arc<dyn Clock>, config: &Config) -> push::Options {
    // Who is behind a proxy listens on loopback, too, and serves others.
    let is_private = config.server.mode == Mode::Demo && config.listen.all().iter().all(|(_, address)| address.is_private());
    push::Options {
        data_dir: config.store.path.clone(),
        ca_file: config.push.ca_file.clone(),
        allow_private_urls: config.push.allow_private_urls.unwrap_or(is_private),
        apns: config.push.apns.clone(),
        fcm: config.push.fcm.clone(),
        expo: config.push.expo.clone(),
        webpush: config.push.webpush.clone(),
        public_url: config.server.public_url.as_ref().map(|url| url.as_str().to_owned()),
        clock,
    }
}

/// The webhooks that are asked about applications' topics: the organisers' own, too.
fn topic_webhooks(hub: &Arc<Hub>, config: &Config, outward: &Arc<Outward>) -> HashMap<String, Arc<Webhook>> {
    let named = config.conference.iter().filter_map(|(id, conference)| Some((id, conference.topic_webhook.as_ref()?)));
    let webhook = |options: &WebhookOptions| Arc::new(Webhook::new(options.clone(), Arc::clone(outward), Arc::clone(hub.clock())));
    named.map(|(id, options)| (id.clone(), webhook(options))).collect()
}

/// The brokers of venues, with the passwords there.
fn venues(config: &Config) -> io::Result<Vec<VenueOptions>> {
    let configured = config.conference.iter().flat_map(|(id, conference)| conference.venue.iter().flatten().map(move |venue| (id, venue)));
    configured.map(|(id, venue)| venue.options(id)).collect()
}

/// The identity providers of the conferences; they are the organisers', so their keys may be in a private network.
fn providers(hub: &Arc<Hub>, config: &Config) -> Result<Providers, ServeError> {
    let named = config.conference.iter().filter_map(|(id, conference)| Some((id, conference.jwt.as_ref()?)));
    let mut options = Vec::new();
    for (id, jwt) in named {
        let id = ConferenceId::parse(id).map_err(ConferencesError::from)?;
        options.push((id, jwt.provider().map_err(|error| ServeError::Start(io::Error::other(error)))?));
    }
    Ok(Providers::open(options, hub.clock())?)
}

/// The edges that run.
struct Edges {
    http: Option<hallway_ws_adapter::Handle>,
    mqtt: Option<Arc<mqtt::Edge>>,
    xmpp: Option<Arc<xmpp::Edge>>,
}

/// The one place where the edges are joined: their wire forms, who they sign in, and what one offers another.
fn start_edges(hub: &Arc<Hub>, bound: Bound, config: &Config, conference: ConferenceId, sign_ins: SignIns) -> io::Result<Edges> {
    let mut wires: Wires = [const { None }; WIRES];
    for (number, wire) in mqtt::wires(hub).into_iter().chain(hallway_ws_adapter::wires(hub)) {
        wires[number] = Some(wire);
    }
    let hosts = conferences::xmpp_hosts(config, &conference);
    let public_url = config.server.public_url.as_ref().map(|url| url.as_str().to_owned());
    let listened = bound.addresses.iter().find(|(protocol, _)| protocol == "http").map(|(_, address)| format!("http://{address}"));
    let site = public_url.clone().or(listened).unwrap_or_default();
    let domains = xmpp::Domains::new(hub, &hosts, &site).map_err(io::Error::other)?;
    let (number, xmpp_wire) = xmpp::wire(hub, &domains);
    wires[number] = Some(Arc::clone(&xmpp_wire) as Arc<dyn Wire>);
    hub.start_shards(&Arc::new(wires)).map_err(io::Error::other)?;
    let is_demo = config.server.mode == Mode::Demo;
    let plaintext_login = config.server.takes_plaintext_logins();
    let is_mqtt_on = config.listen.mqtt != Address::Off || config.listen.mqtts != Address::Off || config.listen.mqtt_unix.is_some();
    let default_conference = conference.to_string();
    let mqtt = is_mqtt_on.then(|| {
        let options = MqttOptions {
            anonymous: config.mqtt.anonymous,
            plain_topics: config.mqtt.plain_topics,
            keepalive_max_s: config.mqtt.keepalive_max_s,
            receive_maximum: config.mqtt.receive_maximum,
            demo: is_demo,
            plaintext_login,
            conference,
        };
        mqtt::start(hub, sign_ins.clone(), bound.mqtt, options, hallway_ws_adapter::json_rpc())
    });
    let options = HttpOptions {
        origins: config.http.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
        public_url,
        demo: is_demo,
        listeners: bound.addresses,
        plaintext_login,
        conference: default_conference,
        heartbeat: config.socketio.heartbeat(),
        trusted_proxies: config.server.trusted_proxies.iter().map(|range| (range.address, range.prefix)).collect(),
    };
    let is_xmpp_on = [config.listen.xmpp, config.listen.xmpps].iter().any(|address| *address != Address::Off);
    let components = components(config, &hosts)?;
    let xmpp = (is_xmpp_on || !components.is_empty()).then(|| {
        let options = XmppOptions { components, ..xmpp_options(config, hosts, is_demo, plaintext_login) };
        xmpp::start(hub, sign_ins.clone(), bound.xmpp, options, domains)
    });
    if let Some(edge) = &xmpp {
        xmpp_wire.tell(edge);
    }
    let others = Others {
        mqtt: mqtt.as_ref().map(|edge| Arc::new(MqttInWebSocket(Arc::clone(edge))) as Arc<dyn InWebSocket>),
        xmpp: xmpp.as_ref().map(|edge| Arc::new(XmppInWebSocket(Arc::clone(edge))) as Arc<dyn InWebSocket>),
    };
    let start_http = |listener| hallway_ws_adapter::start(hub, sign_ins, listener, options, others);
    Ok(Edges { http: bound.http.map(start_http).transpose()?, mqtt, xmpp })
}

/// The servers that this one is a component of, with their secrets.
fn components(config: &Config, hosts: &[Host]) -> io::Result<Vec<ComponentOptions>> {
    let default = hosts.first().map(|host| host.conference.clone()).unwrap_or_default();
    let options = |component: &Component| {
        let unread = |error| io::Error::other(format!("xmpp.components: the secret of {}: {error}", component.domain));
        Ok(ComponentOptions {
            server: component.server.clone(),
            secret: component.read_secret().map_err(unread)?,
            domain: component.domain.clone(),
            conference: component.conference.clone().unwrap_or_else(|| default.clone()),
            users_max: config.xmpp.remote_users_max.try_into().unwrap_or(usize::MAX),
        })
    };
    config.xmpp.components.iter().map(options).collect()
}

fn xmpp_options(config: &Config, hosts: Vec<Host>, demo: bool, plaintext_login: bool) -> XmppOptions {
    XmppOptions {
        hosts,
        room_presence_max: config.xmpp.room_presence_max.try_into().unwrap_or(usize::MAX),
        stanza_bytes: config.xmpp.stanza_bytes,
        depth_max: config.xmpp.depth_max,
        demo,
        plaintext_login,
        services: config.xmpp.services.clone(),
        components: Vec::new(),
    }
}

fn bind_all(config: &Config, certificates: Option<Arc<Certificates>>) -> Result<Bound, ServeError> {
    let mut addresses = Vec::new();
    let mut listening = |protocol: &str, listener: &Option<TcpListener>| match listener.as_ref().map(TcpListener::local_addr) {
        Some(Ok(address)) => {
            addresses.push((protocol.to_owned(), address.to_string()));
            Ok(())
        }
        Some(Err(error)) => Err(ServeError::Start(error)),
        None => Ok(()),
    };
    let http = bind("listen.http", "--http", config.listen.http)?;
    listening("http", &http)?;
    let tcp = bind("listen.mqtt", "--mqtt", config.listen.mqtt)?;
    listening("mqtt", &tcp)?;
    let tls = bind("listen.mqtts", "--mqtts", config.listen.mqtts)?;
    listening("mqtts", &tls)?;
    let xmpp_tcp = bind("listen.xmpp", "--xmpp", config.listen.xmpp)?;
    listening("xmpp", &xmpp_tcp)?;
    let xmpp_tls = bind("listen.xmpps", "--xmpps", config.listen.xmpps)?;
    listening("xmpps", &xmpp_tls)?;
    let unix = config.listen.mqtt_unix.as_deref().map(bind_unix).transpose()?;
    if let Some(path) = &config.listen.mqtt_unix {
        addresses.push(("mqtt_unix".to_owned(), path.display().to_string()));
    }
    let mqtt = mqtt::Listeners { tcp, tls: tls.zip(certificates.clone()), unix };
    Ok(Bound { http, mqtt, xmpp: xmpp::Listeners { tcp: xmpp_tcp, tls: xmpp_tls, certificates }, addresses })
}

fn bind_unix(path: &Path) -> Result<UnixListener, ServeError> {
    unix::listen(path).map_err(|error| ServeError::Unix { path: path.to_owned(), error })
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
        if let Some(mqtt) = self.mqtt {
            mqtt.stop();
        }
        if let Some(xmpp) = self.xmpp {
            xmpp.stop();
        }
        self.venues.stop().await;
        self.keys.iter().for_each(JoinHandle::abort);
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
    certificates: Option<Arc<Certificates>>,
    tickets: Tickets,
}

impl Signals {
    fn listen(certificates: Option<Arc<Certificates>>, tickets: Tickets) -> io::Result<Self> {
        Ok(Self {
            certificates,
            tickets,
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
                _ = self.hangup.recv() => self.read_again(),
            }
        }
    }

    /// What is in files of its own; the configuration itself is read at start.
    fn read_again(&self) {
        match self.certificates.as_ref().map(|certificates| certificates.reload()) {
            Some(Ok(())) => tracing::info!("SIGHUP: the certificate is read again; restart for the rest of the configuration"),
            Some(Err(error)) => tracing::error!(%error, "SIGHUP: the certificate of before stays"),
            None => tracing::info!("SIGHUP: no certificate to read again; restart for the configuration"),
        }
        for (conference, read) in self.tickets.reload() {
            match read {
                Ok(()) => tracing::info!(conference, "SIGHUP: the list of revoked tickets is read again"),
                Err(error) => tracing::error!(conference, %error, "SIGHUP: the list of revoked tickets of before stays"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    #[test]
    fn what_the_configuration_names_is_looked_at_without_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(dir.path().join("x"), "something else").unwrap();
        let look = |key: &str, value: &str| {
            let mut layers = Layers::default();
            layers.flag("store.path", "--data", &at("data"));
            layers.environment([(key.to_owned(), value.to_owned())].into_iter());
            look(&Loaded::from_layers(layers).unwrap().config).map_err(|error| error.to_string())
        };
        assert_eq!(look("HALLWAY_PUSH__GRACE_MS", "1"), Ok(()));
        for (key, named) in [
            ("HALLWAY_PUSH__APNS__KEY_FILE", "push.apns.key_file: "),
            ("HALLWAY_PUSH__FCM__SERVICE_ACCOUNT_FILE", "push.fcm.service_account_file: "),
            ("HALLWAY_PUSH__CA_FILE", "push.ca_file: "),
        ] {
            for file in ["x", "missing"] {
                let refused = look(key, &at(file)).unwrap_err();
                assert!(refused.contains(named) && refused.contains(&at(file)), "{refused}");
            }
        }
        assert!(!dir.path().join("data").exists(), "nothing is made");
    }
}
