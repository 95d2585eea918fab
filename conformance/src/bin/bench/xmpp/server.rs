//! What is measured in turn: Hallway with its accounts, and peers, behind the few questions that a load asks any of them.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use conformance::server::{Options as ServerOptions, rss_bytes_of};

use super::peers::pid_of;
use crate::mqtt::broker::listener;
use crate::options::{Options, Peer};
use crate::place::pin_process;
use crate::stage::{PASSWORD, Stage};

/// The domain of Hallway's demo; a peer serves the same.
pub const DOMAIN: &str = "localhost";
/// The room in which everyone is.
pub const ROOM: &str = "lobby@rooms.localhost";

/// How a client shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// OAUTHBEARER; Hallway's only.
    Token,
    /// PLAIN.
    Password,
    /// SCRAM-SHA-1.
    Scram,
}

/// A running server.
pub enum Server {
    Hallway(Box<Stage>),
    Peer { name: &'static str, plain: SocketAddr, tls: Option<SocketAddr>, pid: u32 },
}

/// Who a client is.
#[derive(Debug, Clone)]
pub struct User {
    /// The local part of its address, and its nick.
    pub name: String,
    /// Password or token.
    pub secret: String,
}

/// Starts what is to be measured: Hallway with that many accounts and these settings. The peers run.
pub fn start(options: &Options, settings: &[(&str, &str)], accounts: usize) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    if !options.without_hallway {
        let stage = Stage::start_on(ServerOptions::new().xmpp(), options, settings, accounts)?;
        servers.push(Server::Hallway(Box::new(stage)));
    }
    for peer in &options.peer {
        if let &Peer::Running { name, plain, tls } = peer {
            let pid = pid_of(plain)?;
            // Started by somebody else, it may have had more cores than Hallway.
            pin_process(&options.cpus, pid);
            servers.push(Server::Peer { name, plain, tls, pid });
        }
    }
    ensure!(!servers.is_empty(), "nothing to measure");
    Ok(servers)
}

impl Server {
    pub fn name(&self) -> &'static str {
        match self {
            Server::Hallway(_) => "hallway",
            Server::Peer { name, .. } => name,
        }
    }

    /// Hallway's accounts and server; `None` for a peer.
    pub fn stage(&self) -> Option<&Stage> {
        match self {
            Server::Hallway(stage) => Some(stage),
            Server::Peer { .. } => None,
        }
    }

    pub fn plain(&self) -> Result<SocketAddr> {
        match self {
            Server::Peer { plain, .. } => Ok(*plain),
            Server::Hallway(stage) => {
                let ready = stage.server.ready_line();
                listener(ready, "xmpp").with_context(|| format!("no XMPP listener: {ready}"))
            }
        }
    }

    /// Where it speaks TLS from the first byte on, if it does.
    pub fn tls(&self) -> Option<SocketAddr> {
        match self {
            Server::Peer { tls, .. } => *tls,
            Server::Hallway(stage) => listener(stage.server.ready_line(), "xmpps"),
        }
    }

    pub fn pid(&self) -> Result<u32> {
        match self {
            Server::Hallway(stage) => stage.server.pid(),
            Server::Peer { pid, .. } => Ok(*pid),
        }
    }

    pub fn rss_bytes(&self) -> Result<f64> {
        Ok(rss_bytes_of(self.pid()?)? as f64)
    }

    /// A fresh process, as far as it is Hallway's.
    pub fn restart(&mut self) -> Result<()> {
        match self {
            Server::Hallway(stage) => {
                stage.server.terminate()?;
                stage.server.restart()
            }
            Server::Peer { .. } => Ok(()),
        }
    }

    /// The account of that number of `accounts`; clients beyond them come again.
    pub fn user(&self, client: usize, accounts: usize, credential: Credential) -> User {
        let number = client % accounts.max(1);
        match self {
            Server::Hallway(stage) => {
                let account = &stage.accounts[number];
                let secret = if credential == Credential::Token { account.token.as_str() } else { PASSWORD };
                User { name: account.uid.clone(), secret: secret.into() }
            }
            Server::Peer { .. } => User { name: format!("bench{number:05}"), secret: PASSWORD.into() },
        }
    }

    /// The cheapest way in that it has, for loads that do not measure it.
    pub fn credential(&self) -> Credential {
        match self {
            Server::Hallway(_) => Credential::Token,
            Server::Peer { .. } => Credential::Password,
        }
    }
}
