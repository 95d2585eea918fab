//! HTTP as far as a load needs it: the upgrade, and many small POSTs over a few connections that are kept.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use conformance::wire::{self, ResponseHead};
use serde_json::Value;

use crate::arrivals::try_again;
use crate::net::{Conns, Load, Net, Speaks};

/// Requests in flight during the set-up: enough to keep two cores hashing passwords.
const SETUP_CONNECTIONS: usize = 16;
/// How long a whole set-up may take.
const SETUP_WITHIN: Duration = Duration::from_secs(600);

/// Any 16 bytes; one for all connections.
const NONCE: [u8; 16] = *b"the sample nonce";

/// A response, its body still in the read buffer.
pub struct Response<'a> {
    pub head: ResponseHead,
    pub body: &'a [u8],
    pub len: usize,
}

/// The request that turns a connection into a WebSocket of Hallway's JSON protocol.
pub fn upgrade(target: SocketAddr) -> Vec<u8> {
    let protocol = [("Sec-WebSocket-Protocol", wire::SUBPROTOCOL)];
    wire::upgrade_request(&target.to_string(), "/ws", NONCE, &protocol)
}

/// The same for any WebSocket.
pub fn upgrade_at(target: SocketAddr, path: &str) -> Vec<u8> {
    wire::upgrade_request(&target.to_string(), path, NONCE, &[])
}

/// Whether the response accepts [`upgrade`] or [`upgrade_at`].
pub fn check_upgrade(response: &Response<'_>) -> Result<()> {
    let body = || format!("the upgrade failed: {}", String::from_utf8_lossy(response.body));
    wire::check_upgrade(&response.head, NONCE).with_context(body)
}

/// A POST with a JSON body.
#[derive(Debug, Clone)]
pub struct Post {
    pub path: &'static str,
    pub token: Option<String>,
    pub body: Value,
}

impl Post {
    pub fn bytes(&self, target: SocketAddr) -> Vec<u8> {
        let body = self.body.to_string();
        let authorization = self.token.as_ref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let length = body.len();
        format!(
            "POST {} HTTP/1.1\r\nHost: {target}\r\nContent-Type: application/json\r\n{authorization}Content-Length: {length}\r\n\r\n{body}",
            self.path
        )
        .into_bytes()
    }
}

/// The first response of `bytes`, or `None` when more must be read.
pub fn first(bytes: &[u8]) -> Result<Option<Response<'_>>> {
    let Some((head, head_len)) = wire::parse_response_head(bytes)? else {
        return Ok(None);
    };
    ensure!(head.header("transfer-encoding").is_none(), "a chunked response, which the generator does not read");
    let length: usize = match head.header("content-length") {
        Some(length) => length.parse().context("a content-length that is no number")?,
        None => 0,
    };
    let len = head_len + length;
    Ok(bytes.get(head_len..len).map(|body| Response { head, body, len }))
}

/// Sends all requests, a few at a time, and returns status and body of each, in the requests' order.
pub fn post_all(target: SocketAddr, posts: &[Post]) -> Result<Vec<(u16, Value)>> {
    let mut net = Net::new(target)?;
    let mut load = PostAll { posts, next: 0, asked: Vec::new(), answers: vec![(0, Value::Null); posts.len()], open: 0, retries: 0 };
    for _ in 0..SETUP_CONNECTIONS.min(posts.len()) {
        let id = net.conns().open(Speaks::Http)?;
        load.asked.push(None);
        load.ask_next(net.conns(), id);
    }
    net.run(&mut load, SETUP_WITHIN, "HTTP requests of the set-up", |load| load.open == 0)?;
    Ok(load.answers)
}

struct PostAll<'a> {
    posts: &'a [Post],
    next: usize,
    /// By connection: the request that waits for its answer.
    asked: Vec<Option<usize>>,
    answers: Vec<(u16, Value)>,
    open: usize,
    retries: usize,
}

impl PostAll<'_> {
    fn ask_next(&mut self, conns: &mut Conns, id: usize) {
        if let Some(post) = self.posts.get(self.next) {
            conns.queue(id, &post.bytes(conns.target()));
            self.asked[id] = Some(self.next);
            self.next += 1;
            self.open += 1;
        }
    }
}

impl Load for PostAll<'_> {
    fn responded(&mut self, conns: &mut Conns, id: usize, status: u16, body: &[u8]) -> Result<()> {
        let Some(index) = self.asked[id].take() else { bail!("a response {status} that nobody asked for") };
        self.answers[index] = (status, serde_json::from_slice(body).unwrap_or(Value::Null));
        self.open -= 1;
        self.ask_next(conns, id);
        Ok(())
    }

    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        // A server may end a kept connection at any time; registering twice is told apart by its 409.
        if let Some(index) = self.asked[id] {
            try_again(conns, id, spoke, why, &mut self.retries)?;
            conns.queue(id, &self.posts[index].bytes(conns.target()));
        }
        Ok(())
    }
}
