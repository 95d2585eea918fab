//! A venue's own MQTT broker: readers that already speak to it stay there. Hallway is a client of that broker, takes what they publish as if they had
//! published it here, and publishes the results back.
//!
//! In reading order: [`topics`] (whose a topic is), [`link`] (the connection to the broker), [`lane`] (the way of a scan to the hub),
//! [`outbox`] (the way of acks and results back).
//!
//! A scan is acked to the venue's broker once the hub has it, and the broker keeps it as long: the session there is kept (3.1.1, `clean_session`
//! false), and what comes again after a break or a restart says so (DUP), by which the hub knows it. Nobody waits for the hub
//! on the way in, so that the connection is served whatever the hub does; on the way out, scans wait for their results. What is published is never
//! subscribed to, so nothing goes round.

mod lane;
mod link;
mod outbox;
mod topics;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use hallway_broker::hub::Hub;
use hallway_broker::outward::Trust;
use hallway_broker::shard::Shard;
use tokio::sync::watch;

use self::link::Link;
pub use self::topics::{ReaderTopic, Topics};

/// How long stopping may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A venue's broker.
#[derive(Clone)]
pub struct VenueOptions {
    /// Whose readers these are.
    pub conference: String,
    /// Where it listens.
    pub address: Address,
    /// What TLS is spoken with.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// User name and password there.
    pub login: Option<(String, String)>,
    /// What the broker knows the session by; always the same.
    pub client_id: String,
    /// Whose its topics are.
    pub topics: Topics,
}

/// Where a broker listens: `mqtt://HOST:PORT`, or `mqtts://` for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS.
    pub is_secure: bool,
}

impl Address {
    /// # Errors
    /// What is wrong with the URL.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (is_secure, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(format!("url: '{url}' is neither mqtt://HOST:PORT nor mqtts://HOST:PORT")),
        };
        if rest.contains('@') {
            return Err("url: the user is named by user and password_file".to_owned());
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| format!("url: '{port}' is no port"))?),
            _ => (rest, if is_secure { 8883 } else { 1883 }),
        };
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c));
        if is_host { Ok(Self { host: host.to_owned(), port, is_secure }) } else { Err(format!("url: '{host}' is no host")) }
    }
}

/// What TLS is spoken with: the machine's roots, and those of a PEM file.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn tls(ca_file: Option<&Path>) -> io::Result<Arc<rustls::ClientConfig>> {
    let trust = match ca_file {
        None => Trust::default(),
        Some(file) => Trust::with(&fs::read(file)?).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate"))?,
    };
    Ok(Arc::new(trust.config().map_err(io::Error::other)?.clone()))
}

/// The venues' brokers that are spoken to.
#[derive(Debug)]
pub struct Venues {
    stopping: watch::Sender<bool>,
}

impl Venues {
    /// Speaks to all of them, each on a shard, until they are stopped.
    #[must_use]
    pub fn start(hub: &Arc<Hub>, venues: Vec<VenueOptions>) -> Self {
        let (stopping, stopped) = watch::channel(false);
        for options in venues {
            let stopped = stopped.clone();
            hub.run_on_next_shard(Box::new(move |shard: &Rc<Shard>| match Link::new(&shard.hub, options, stopped) {
                Some(link) => drop(tokio::task::spawn_local(link.run())),
                None => tracing::error!("a venue's conference is not there"),
            }));
        }
        Self { stopping }
    }

    /// Takes no more scans, and waits until what the hub has is acked and the brokers were told goodbye. What was not acked they keep.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        if tokio::time::timeout(STOP_TIMEOUT, self.stopping.closed()).await.is_err() {
            tracing::warn!("a venue's broker was left in the middle");
        }
    }
}

#[cfg(test)]
mod tests;
