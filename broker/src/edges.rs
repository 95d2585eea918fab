//! What one edge offers another. The binary joins them, so that edges never see each other.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::accounts::Accounts;
use crate::hub::Hub;
use crate::peers::{Peers, Unauthenticated};
use crate::sending::Sending;
use crate::session::Session;
use crate::shard::Shard;

/// What all edges sign people in by: limits count over all of them.
#[derive(Clone)]
pub struct SignIns {
    /// Passwords and tokens.
    pub accounts: Arc<Accounts>,
    /// Connections that have not signed in.
    pub peers: Peers,
}

impl SignIns {
    /// Those of a hub.
    #[must_use]
    pub fn new(hub: &Hub) -> Self {
        let limits = hub.limits();
        Self { accounts: Arc::new(Accounts::new(limits, Arc::clone(hub.clock()))), peers: Peers::new(limits.unauthenticated_per_address) }
    }
}

/// The answer to a JSON-RPC message: its text, empty when there is none.
pub type RpcAnswer<'a> = Pin<Box<dyn Future<Output = Vec<u8>> + 'a>>;

/// JSON-RPC, as other edges offer it to their clients.
pub trait JsonRpc: Send + Sync {
    /// Carries out a message (a request or a batch) of a live session, at the rate of `sending`, which counts all that the connection does.
    /// `session.*`, `conversation.subscribe` and `conversation.unsubscribe` are refused: a session and what it follows are its own edge's.
    fn call<'a>(&'a self, session: &'a Session, sending: &'a Sending, text: &'a str) -> RpcAnswer<'a>;
}

/// A WebSocket that was opened for another edge.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket; the 101 is written.
    pub stream: TcpStream,
    /// What the client sent right after its request.
    pub leftover: Vec<u8>,
    /// Its address, as a trusted proxy names it.
    pub address: IpAddr,
    /// Whether there is TLS in front.
    pub is_secure: bool,
    /// Counts it until somebody signs in on it.
    pub admitted: Unauthenticated,
}

/// An edge that is spoken inside WebSocket.
pub trait InWebSocket: Send + Sync {
    /// Takes a connection over. Must not block: it spawns a task.
    fn enter(&self, shard: &Rc<Shard>, upgraded: Upgraded);
}
