//! HTTP for one connection, until it ends or becomes a WebSocket: the page, sign-in, `POST /rpc`, and what operators ask.
//!
//! hyper reads and writes; [`routes`] says who answers what; what there is to answer comes from an [`App`]. Every bound is here: head
//! size and time, number of headers, body size and time, and how long a peer may not read its answer. Everything runs on the
//! connection's shard, so nothing needs to be `Send`. After an upgrade the socket is handed over and nothing of hyper stays.

mod account;
mod answer;
mod body;
pub mod client;
mod conversations;
mod cors;
pub mod credential;
mod events;
mod files;
mod host_meta;
mod notify;
mod page;
pub mod query;
mod range;
mod request;
pub(crate) mod routes;
mod rpc;
mod socketio;
mod stall;
#[cfg(test)]
mod tests;
mod ticket;
mod upgrade;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpStream;

use hallway_broker::files::Capability;
use hallway_broker::model::File;

use crate::events::{EventsBody, EventsWanted};
use crate::origin::Site;
use crate::rpc::Fault;
use crate::socketio::exchange::{Answered, Ask};
use crate::socketio::notify::Notify;
use crate::types::account::{Login, Register, SignedIn, Ticket};
use crate::upload::Upload;
use client::{Client, Network};
use credential::Credential;
use stall::Stall;

/// A request's head must be there after this time; also how long a connection is kept for another request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A request's body must be there after this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that takes nothing of its answer for this long is let go.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// Most bytes of a request's head, and of what hyper buffers of a body.
const HEAD_BYTES: usize = 16 * 1024;
/// Most headers of a request.
const MAX_HEADERS: usize = 100;

/// What the HTTP edge must know of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which hosts and origins are ours.
    pub site: Site,
    /// Who may set `X-Forwarded-*`.
    pub trusted_proxies: Vec<Network>,
    /// Longest request body in bytes: `limits.frame_bytes`.
    pub body_bytes: usize,
}

/// What runs, for the page.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// The program.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// `demo` or `server`.
    pub mode: String,
    /// The conferences that people may know of.
    pub conferences: Vec<AboutConference>,
    /// Protocol and address of each listener.
    pub listeners: Vec<(String, String)>,
}

/// A conference, for the page.
#[derive(Debug, Clone, Serialize)]
pub struct AboutConference {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How people get accounts: `open`, `invite`, `password`, `token`.
    pub sign_in: String,
}

/// What is spoken in a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// `/ws`: JSON-RPC.
    Hallway,
    /// `/mqtt`: MQTT.
    Mqtt,
    /// `/xmpp-websocket`: XMPP.
    Xmpp,
    /// `/socket.io/`: Engine.IO.
    Socketio,
    /// `/<conversation>`: one conversation.
    Conversation,
    /// `/sock`: topics.
    Topics,
}

/// A connection that has become a WebSocket: the 101 is written.
#[derive(Debug)]
pub struct Upgraded<E> {
    /// The socket.
    pub stream: TcpStream,
    /// What the client sent right after its request.
    pub leftover: Bytes,
    /// Who it is.
    pub client: Client,
    /// What it is for.
    pub route: Socket,
    /// What its request said of it.
    pub entrance: E,
}

/// A WebSocket whose 101 is about to be written.
pub(crate) struct Opening<E> {
    client: Client,
    route: Socket,
    entrance: E,
}

/// What the routes need of the server.
#[allow(async_fn_in_trait, reason = "everything of a connection runs on its shard: no future here needs to be Send")]
pub trait App: 'static {
    /// What a WebSocket's request says of it: who asks, and for what, where the path or its query says so.
    type Entrance;

    /// The configuration.
    fn settings(&self) -> &Settings;

    /// Makes an account and signs it in.
    async fn register(&self, wanted: Register, client: &Client) -> Result<SignedIn, Fault>;

    /// Signs in.
    async fn login(&self, login: Login, client: &Client) -> Result<SignedIn, Fault>;

    /// A ticket for the user of a token.
    async fn ticket(&self, token: &str) -> Result<Ticket, Fault>;

    /// Carries out the message in `text` for whoever shows this; for one of their streams of events, when `session` names it. `None` when there is
    /// nothing to answer; an error is for what was shown or the session, before anything is carried out.
    async fn rpc(&self, text: &str, credential: &Credential, session: Option<&str>, client: &Client) -> Result<Option<Vec<u8>>, Fault>;

    /// Begins to take a file of so many bytes in, if that is known.
    ///
    /// # Errors
    /// Why it is not taken.
    async fn upload(&self, credential: &Credential, bytes: Option<u64>) -> Result<Upload, Fault>;

    /// A file, and where its bytes are.
    async fn file(&self, capability: &Capability, client: &Client) -> Result<(File, std::fs::File), Fault>;

    /// Opens a stream of events.
    async fn events(&self, wanted: EventsWanted, client: &Client) -> Result<EventsBody, Fault>;

    /// The conversations of whoever shows this, as JSON.
    async fn conversations(&self, credential: &Credential) -> Result<Vec<u8>, Fault>;

    /// Whoever shows this leaves a conversation.
    async fn leave(&self, credential: &Credential, conversation: &str) -> Result<(), Fault>;
    /// Carries out a request of a polling Socket.IO session.
    async fn poll(&self, ask: Ask, client: &Client) -> Answered;

    /// Tells the Socket.IO clients of some users something, for the service that shows this; how many are told.
    async fn notify(&self, wanted: Notify, credential: &Credential) -> Result<usize, Fault>;

    /// Whether this is spoken here.
    fn speaks(&self, socket: Socket) -> bool;

    /// Whether one more WebSocket of this client is taken, and what its request says of it.
    ///
    /// # Errors
    /// Why not: too many that have not signed in, draining, or, where the request says who asks and for what, because they may not.
    async fn admits(&self, socket: Socket, request: &Parts, client: &Client) -> Result<Self::Entrance, Fault>;

    /// Takes a WebSocket over. Must not block: it spawns the session's task.
    fn upgraded(&self, upgraded: Upgraded<Self::Entrance>);

    /// What runs.
    async fn about(&self) -> About;

    /// Whether the server takes requests: not before it has started, nor while it drains.
    fn ready(&self) -> bool;

    /// The metrics, in Prometheus' text form.
    fn metrics(&self) -> String;
}

/// Serves one connection from `peer`. Returns when it has ended or was handed to [`App::upgraded`].
///
/// # Errors
/// hyper's, for the log at debug level: what peers do wrong is not this server's failure.
pub async fn serve<A: App>(app: Rc<A>, stream: TcpStream, peer: SocketAddr) -> Result<(), hyper::Error> {
    let upgrade = Rc::new(RefCell::new(None::<Opening<A::Entrance>>));
    let service = {
        let (app, upgrade) = (Rc::clone(&app), Rc::clone(&upgrade));
        service_fn(move |request: hyper::Request<Incoming>| {
            let (app, upgrade) = (Rc::clone(&app), Rc::clone(&upgrade));
            // Boxed: while no request is under way, the connection's task is small.
            Box::pin(async move { Ok::<_, Infallible>(routes::answer(&*app, request, peer.ip(), &upgrade).await) })
        })
    };
    let io = TokioIo::new(Stall::new(stream, WRITE_STALL));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service);
    // Ends after a 101, too; only then there is a client to hand over.
    std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await?;
    let parts = connection.into_parts();
    if let Some(Opening { client, route, entrance }) = upgrade.take() {
        let stream = parts.io.into_inner().into_inner();
        app.upgraded(Upgraded { stream, leftover: parts.read_buf, client, route, entrance });
    }
    Ok(())
}

/// The address that a peer is counted under: an IPv4 address in IPv6's clothes is IPv4.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
