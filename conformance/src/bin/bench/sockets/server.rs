//! What is measured in turn: Hallway with its accounts, and the peers, behind the few questions that a load asks any of them.

use anyhow::{Result, ensure};

use super::node::{self, Node};
use crate::options::{Options, Over, Peer};
use crate::stage::{Served, Stage};

/// A running server.
pub enum Server {
    Hallway(Box<Stage>),
    Node(Box<Node>),
}

/// Starts what is to be measured: Hallway with that many accounts and these settings, and a peer for each of `--over`.
pub fn start(options: &Options, settings: &[(&str, &str)], accounts: usize) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    if !options.without_hallway {
        servers.push(Server::Hallway(Box::new(Stage::start(options, settings, accounts)?)));
    }
    if options.peer.contains(&Peer::Node) {
        match node::set_up() {
            Ok(()) => {
                for &over in &options.over {
                    servers.push(Server::Node(Box::new(Node::start(over, accounts)?)));
                }
            }
            Err(error) => eprintln!("the peers in Node are skipped: {error}"),
        }
    }
    ensure!(!servers.is_empty(), "nothing to measure");
    Ok(servers)
}

impl Server {
    pub fn name(&self) -> &'static str {
        match self {
            Server::Hallway(_) => "hallway",
            Server::Node(node) if node.over == Over::Websocket => "ws",
            Server::Node(_) => "socket.io",
        }
    }

    /// A peer's library with its version.
    pub fn version(&self) -> Option<String> {
        match self {
            Server::Hallway(_) => None,
            Server::Node(node) => Some(format!("{} {}", self.name(), node.version)),
        }
    }

    /// Hallway's accounts and server; `None` for a peer.
    pub fn stage(&self) -> Option<&Stage> {
        match self {
            Server::Hallway(stage) => Some(stage),
            Server::Node(_) => None,
        }
    }

    pub fn speaks(&self, over: Over) -> bool {
        match self {
            Server::Hallway(_) => true,
            Server::Node(node) => node.over == over,
        }
    }

    pub fn served(&self) -> Result<Served<'_>> {
        match self {
            Server::Hallway(stage) => stage.served(),
            Server::Node(node) => Ok(Served { target: node.address, pid: node.pid(), accounts: &node.accounts }),
        }
    }

    /// A fresh process: what was allocated and freed before would hide what is needed next.
    pub fn restart(&mut self) -> Result<()> {
        match self {
            Server::Hallway(stage) => {
                stage.server.terminate()?;
                stage.server.restart()
            }
            Server::Node(node) => node.restart(),
        }
    }
}

/// Those that speak it; Hallway, if it is there, is the first.
pub fn speaking(servers: &[Server], over: Over) -> Vec<&Server> {
    servers.iter().filter(|server| server.speaks(over)).collect()
}

/// Of each.
pub fn names(servers: &[&Server]) -> Vec<&'static str> {
    servers.iter().map(|server| server.name()).collect()
}
