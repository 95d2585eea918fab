//! Many WebSocket connections up to the point where a load begins: upgraded, `session.hello` answered, subscribed.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

pub use crate::arrivals::GENTLE;
use crate::arrivals::{Arrivals, Arriving, arrive, try_again};
use crate::latency::Latency;
use crate::net::{Conns, Load, Net, Speaks};
use crate::request;
use crate::rpc::{self, Message};

/// Requests of the set-up; single digits other than 1, so that they are never taken for a `message.send`.
pub const HELLO: u64 = 2;
pub const SUBSCRIBE: u64 = 3;

/// One connection to be.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    pub token: &'a str,
    /// The conversation to subscribe to.
    pub follow: Option<&'a str>,
    /// Whether the own messages come back as notifications too.
    pub echo: bool,
}

/// Connections that are signed in.
pub struct SignedIn {
    pub conns: Range<usize>,
    /// By client: the head of its conversation when it subscribed; 0 without one.
    pub heads: Vec<u64>,
    /// From the beginning of all to each client's last answer.
    pub latency: Latency,
    pub took: Duration,
    pub retries: usize,
}

/// Signs all clients in, `at_once` at a time. The connections' numbers follow on those that `net` has.
pub fn sign_in(net: &mut Net, clients: &[Client<'_>], at_once: usize) -> Result<SignedIn> {
    let mut load = SigningIn { clients, heads: vec![0; clients.len()], arrivals: Arrivals::new(net, clients.len()) };
    arrive(net, &mut load, Speaks::Upgrade, at_once)?;
    let conns = load.arrivals.conns();
    let Arrivals { latency, took, retries, .. } = load.arrivals;
    Ok(SignedIn { conns, heads: load.heads, latency, took, retries })
}

struct SigningIn<'a> {
    clients: &'a [Client<'a>],
    heads: Vec<u64>,
    arrivals: Arrivals,
}

impl Arriving for SigningIn<'_> {
    fn arrivals(&mut self) -> &mut Arrivals {
        &mut self.arrivals
    }
}

impl Load for SigningIn<'_> {
    fn opened(&mut self, conns: &mut Conns, id: usize) -> Result<()> {
        if let Some(client) = self.arrivals.client(id) {
            let hello = json!({ "token": self.clients[client].token });
            conns.queue(id, &request::call(HELLO, "session.hello", &hello));
        }
        Ok(())
    }

    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        let Some(number) = self.arrivals.client(id) else {
            return Ok(());
        };
        let client = self.clients[number];
        match (rpc::parse(payload)?, client.follow) {
            (Message::Answer { id: HELLO, .. }, Some(conversation)) => {
                let params = json!({ "conversation": conversation, "echo": client.echo });
                conns.queue(id, &request::call(SUBSCRIBE, "conversation.subscribe", &params));
            }
            (Message::Answer { id: HELLO, .. }, None) => self.arrivals.is_in(conns),
            (Message::Answer { id: SUBSCRIBE, result }, _) => {
                self.heads[number] = result["seq"].as_u64().unwrap_or(0);
                self.arrivals.is_in(conns);
            }
            (Message::Notification { .. }, _) => {}
            (other, _) => bail!("client {number} cannot sign in: {other:?}"),
        }
        Ok(())
    }

    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        try_again(conns, id, spoke, why, &mut self.arrivals.retries)
    }
}
