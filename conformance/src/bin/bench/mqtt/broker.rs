//! What is measured in turn: Hallway with its accounts, and the peer, behind the few questions that a load asks either.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use conformance::mqtt::Version;
use conformance::mqtt::packet::Connect;
use conformance::server::rss_bytes_of;

use super::peers::{self, Mosquitto};
use crate::options::{Options, Peer};
use crate::stage::{PASSWORD, Stage};

/// The longest that Hallway gives by default: nobody pings during a measurement.
const KEEP_ALIVE_S: u16 = 3_600;

/// How a client shows who it is. The peer lets everyone in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    Token,
    Password,
}

/// A running broker.
pub struct Broker {
    process: Process,
    pub version: Version,
}

enum Process {
    Hallway(Box<Stage>),
    Mosquitto(Mosquitto),
}

/// Starts what is to be measured: Hallway with that many accounts and these settings, and the peer.
pub fn start(options: &Options, settings: &[(&str, &str)], accounts: usize) -> Result<Vec<Broker>> {
    let version = options.version();
    let mut brokers = Vec::new();
    if !options.without_hallway {
        let stage = Stage::start(options, settings, accounts)?;
        match listener(stage.server.ready_line(), "mqtt") {
            Some(_) => brokers.push(Broker::hallway(stage, version)),
            None => eprintln!("Hallway is skipped, it has no MQTT listener: {}", stage.server.ready_line()),
        }
    }
    if options.peer.contains(&Peer::Mosquitto) {
        match peers::version() {
            Some(_) => brokers.push(Broker { process: Process::Mosquitto(Mosquitto::start()?), version }),
            None => eprintln!("mosquitto is skipped, it is not installed"),
        }
    }
    if brokers.is_empty() {
        bail!("nothing to measure");
    }
    Ok(brokers)
}

/// An address in `ready http=127.0.0.1:8080 mqtt=127.0.0.1:1883 …`.
pub fn listener(ready: &str, name: &str) -> Option<SocketAddr> {
    ready.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

impl Broker {
    /// Hallway alone, once its accounts are as they should be.
    pub fn hallway(stage: Stage, version: Version) -> Broker {
        Broker { process: Process::Hallway(Box::new(stage)), version }
    }

    pub fn name(&self) -> &'static str {
        match self.process {
            Process::Hallway(_) => "hallway",
            Process::Mosquitto(_) => "mosquitto",
        }
    }

    /// Hallway's accounts and server; `None` for the peer.
    pub fn stage(&self) -> Option<&Stage> {
        match &self.process {
            Process::Hallway(stage) => Some(stage),
            Process::Mosquitto(_) => None,
        }
    }

    pub fn plain(&self) -> Result<SocketAddr> {
        match &self.process {
            Process::Mosquitto(mosquitto) => Ok(mosquitto.plain),
            Process::Hallway(stage) => match listener(stage.server.ready_line(), "mqtt") {
                Some(address) => Ok(address),
                None => bail!("no MQTT listener: {}", stage.server.ready_line()),
            },
        }
    }

    /// Where it speaks TLS, if it does.
    pub fn tls(&self) -> Option<SocketAddr> {
        match &self.process {
            Process::Mosquitto(mosquitto) => mosquitto.tls,
            Process::Hallway(stage) => listener(stage.server.ready_line(), "mqtts"),
        }
    }

    pub fn pid(&self) -> Result<u32> {
        match &self.process {
            Process::Hallway(stage) => stage.server.pid(),
            Process::Mosquitto(mosquitto) => mosquitto.pid(),
        }
    }

    pub fn rss_bytes(&self) -> Result<f64> {
        Ok(rss_bytes_of(self.pid()?)? as f64)
    }

    /// A fresh process: what was allocated and freed before would hide what is needed next.
    pub fn restart(&mut self) -> Result<()> {
        match &mut self.process {
            Process::Hallway(stage) => {
                stage.server.terminate()?;
                stage.server.restart()
            }
            Process::Mosquitto(mosquitto) => mosquitto.restart(),
        }
    }

    /// A clean session of that number's own account (several per account when there are fewer accounts).
    pub fn connect(&self, client: usize, credential: Credential) -> Vec<u8> {
        let mut connect = Connect::new(self.version, &format!("bench-{client}"));
        connect.keep_alive = KEEP_ALIVE_S;
        if let Some(stage) = self.stage() {
            let account = &stage.accounts[client % stage.accounts.len()];
            let secret = if credential == Credential::Token { account.token.as_str() } else { PASSWORD };
            connect.user = Some(format!("{}@demo", account.uid).into_bytes());
            connect.password = Some(secret.into());
        }
        connect.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_whole_name() {
        let ready = "ready http=127.0.0.1:1 mqtt=127.0.0.1:2 mqtts=none";
        assert_eq!(listener(ready, "mqtt").map(|address| address.port()), Some(2));
        assert_eq!(listener(ready, "mqtts"), None);
        assert_eq!(listener("ready http=127.0.0.1:1 mqtts=127.0.0.1:3", "mqtt"), None);
    }
}
