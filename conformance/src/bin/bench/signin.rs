//! Many connections up to the point where a load begins: connected, upgraded, `session.hello` answered, subscribed.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::json;

use crate::latency::Latency;
use crate::net::{Conns, Load, Net, Speaks};
use crate::request;
use crate::rpc::{self, Message};

/// Requests of the set-up; single digits other than 1, so that they are never taken for a `message.send`.
pub const HELLO: u64 = 2;
pub const SUBSCRIBE: u64 = 3;

/// How many connections are on their way at once when a load does not want a storm.
pub const GENTLE: usize = 128;
const WITHIN: Duration = Duration::from_secs(300);
/// Of all connections of a load together.
const RETRIES_MAX: usize = 10_000;

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

/// What a client does whose connection ended before anything was answered (a full listen queue): it tries again.
pub fn try_again(conns: &mut Conns, id: usize, spoke: Speaks, why: &str, retries: &mut usize) -> Result<()> {
    ensure!(spoke != Speaks::WebSocket, "connection {id} ended: {why}");
    *retries += 1;
    ensure!(*retries <= RETRIES_MAX, "after {retries} retries connection {id} still ends before its first answer: {why}");
    conns.reopen(id, spoke)
}

/// Signs all clients in, `at_once` at a time. The connections' numbers follow on those that `net` has.
pub fn sign_in(net: &mut Net, clients: &[Client<'_>], at_once: usize) -> Result<SignedIn> {
    let mut load = SigningIn {
        clients,
        first_conn: None,
        started: 0,
        done: 0,
        heads: vec![0; clients.len()],
        latency: Latency::default(),
        start: Instant::now(),
        retries: 0,
    };
    // Connecting is interleaved with answering, so that the first clients do not wait for the last.
    while load.done < clients.len() {
        if load.start.elapsed() > WITHIN {
            bail!("only {} of {} clients are signed in after {WITHIN:?}", load.done, clients.len());
        }
        let room = at_once.saturating_sub(load.started - load.done).min(clients.len() - load.started);
        for _ in 0..room.min(64) {
            let id = net.conns().open(Speaks::Upgrade)?;
            load.first_conn.get_or_insert(id);
            load.started += 1;
        }
        let wait = if room > 0 { Duration::ZERO } else { Duration::from_millis(100) };
        net.turn(wait, &mut load)?;
    }
    let first = load.first_conn.unwrap_or(0);
    Ok(SignedIn {
        conns: first..first + clients.len(),
        heads: load.heads,
        latency: load.latency,
        took: load.start.elapsed(),
        retries: load.retries,
    })
}

struct SigningIn<'a> {
    clients: &'a [Client<'a>],
    first_conn: Option<usize>,
    started: usize,
    done: usize,
    heads: Vec<u64>,
    latency: Latency,
    start: Instant,
    retries: usize,
}

impl SigningIn<'_> {
    fn is_done(&mut self, conns: &Conns) {
        self.done += 1;
        self.latency.add(conns.now() - self.start);
    }
}

impl Load for SigningIn<'_> {
    fn opened(&mut self, conns: &mut Conns, id: usize) -> Result<()> {
        let client = &self.clients[id - self.first_conn.unwrap_or(0)];
        conns.queue(id, &request::call(HELLO, "session.hello", &json!({ "token": client.token })));
        Ok(())
    }

    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        let first = self.first_conn.unwrap_or(0);
        if id < first {
            // An earlier connection of this loop: whatever it hears belongs to no load now.
            return Ok(());
        }
        let client = self.clients[id - first];
        match (rpc::parse(payload)?, client.follow) {
            (Message::Answer { id: HELLO, .. }, Some(conversation)) => {
                let params = json!({ "conversation": conversation, "echo": client.echo });
                conns.queue(id, &request::call(SUBSCRIBE, "conversation.subscribe", &params));
            }
            (Message::Answer { id: HELLO, .. }, None) => self.is_done(conns),
            (Message::Answer { id: SUBSCRIBE, result }, _) => {
                self.heads[id - first] = result["seq"].as_u64().unwrap_or(0);
                self.is_done(conns);
            }
            (Message::Notification { .. }, _) => {}
            (other, _) => bail!("client {} cannot sign in: {other:?}", id - first),
        }
        Ok(())
    }

    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        try_again(conns, id, spoke, why, &mut self.retries)
    }
}
