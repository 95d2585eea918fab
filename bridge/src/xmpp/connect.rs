//! From a new connection to a session: the stream's header, TLS, signing in, a resource or the session of before.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::accounts::exchange::ChannelBinding;
use hallway_broker::clock::random;
use hallway_broker::frame;
use hallway_broker::model::Via;
use hallway_broker::reject::Reject;
use hallway_broker::session::{Session, Who};
use hallway_broker::shard::{Ending, Peer, Shard};
use hallway_broker::tls::Current;
use hallway_broker::transport::{Tls, Transport};
use tokio::io::Interest;

use super::connection::{Connection, Me};
use super::directory::Resource;
use super::edge::{Arrival, Edge, note_here};
use super::input::{Fault, Got, Input};
use super::iq;
use super::negotiation::{Bound, Host, Negotiation, Next, Resume, Security, write_bound};
use super::resume;
use super::sasl::Place;
use super::stanza::{Condition, Returned, StanzaError, write_error};
use super::stream::{Framing, Incoming, StreamError};
use super::task::{self, Task};

/// How long a connection may take until it has a session.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last words may take to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest resource in bytes (RFC 7622 §3.4).
const MAX_RESOURCE_BYTES: usize = 1023;

/// A connection without a session yet.
pub(super) struct Door {
    pub edge: Arc<Edge>,
    pub shard: Rc<Shard>,
    pub transport: Transport,
    pub framing: Framing,
    pub input: Input,
    tls: Option<Current>,
    address: IpAddr,
    /// What is held has not all been looked at.
    unread: bool,
}

/// The connection is of no use any more.
pub(super) struct Gone;

/// Serves a new connection until it ends.
pub(super) async fn serve(edge: Arc<Edge>, shard: Rc<Shard>, arrival: Arrival) {
    let Arrival { transport, framing, tls, is_private, address, admitted, leftover } = arrival;
    let input = Input::new(framing, edge.bounds_before_login(), &leftover);
    drop(leftover);
    let security = security(&edge, framing, tls.as_ref(), is_private);
    let mut door = Door { edge, shard, transport, framing, input, tls, address, unread: true };
    let negotiated = Box::pin(tokio::time::timeout(LOGIN_TIMEOUT, door.negotiate(security))).await;
    let task = match negotiated {
        Ok(Ok(Some(who))) => {
            drop(admitted);
            match who {
                Signed::In(bound) => Box::pin(door.begin(bound)).await,
                Signed::Again(connection, session) => Some(task(door, connection, session)),
            }
        }
        Ok(_) => None,
        Err(_) => {
            let error = StreamError::new(super::stream::Condition::ConnectionTimeout, "RFC 6120 §4.9.3.4", "nobody signed in");
            door.close_with(&error).await;
            None
        }
    };
    if let Some(task) = task {
        // A task of its own, since this one keeps the room that signing in took.
        tokio::task::spawn_local(task::serve(task));
    }
}

fn task(door: Door, connection: Rc<Connection>, session: Session) -> Box<Task> {
    let Door { edge, mut input, .. } = door;
    input.set_bounds(edge.bounds());
    Box::new(Task::new(edge, connection, input, session))
}

/// What a client sends first.
const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// The session of somebody who has signed in elsewhere, over a transport that has only stanzas. What comes of it is to be served.
pub(super) fn admitted(
    edge: Arc<Edge>,
    shard: &Rc<Shard>,
    transport: Transport,
    who: Who,
    (resource, stands_for_all): (&str, bool),
) -> Result<Box<Task>, Reject> {
    let framing = Framing::Tcp;
    let (mut input, mut header) = (Input::new(framing, edge.bounds(), &[]), HEADER.as_bytes().to_vec());
    let _ = input.next(&mut header.as_mut_slice());
    let address = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let mut door = Door { edge, shard: Rc::clone(shard), transport, framing, input, tls: None, address, unread: false };
    let (connection, session) = door.open(who, resource)?;
    connection.stands_for_all.set(stands_for_all);
    Ok(task(door, connection, session))
}

fn security(edge: &Edge, framing: Framing, tls: Option<&Current>, is_private: bool) -> Security {
    match tls {
        Some(current) => Security::Tls(bindings(current)),
        None if is_private => Security::Tls(Vec::new()),
        None => {
            let starttls = framing == Framing::Tcp && edge.certificates.is_some();
            Security::Plain { starttls, open: edge.options.plaintext_login }
        }
    }
}

/// What TLS here binds a login to: the certificate. The exporter of TLS 1.3 is not to be had from the unbuffered connection.
fn bindings(current: &Current) -> Vec<ChannelBinding> {
    let end_point = current.end_point.as_ref().map(|hash| ChannelBinding { name: "tls-server-end-point", data: hash.to_vec() });
    end_point.into_iter().collect()
}

/// Somebody who has signed in.
enum Signed {
    /// With a resource.
    In(Bound),
    /// To the session that they had before.
    Again(Rc<Connection>, Session),
}

impl Door {
    /// Speaks until somebody is in.
    async fn negotiate(&mut self, security: Security) -> Result<Option<Signed>, Gone> {
        let hosts = self.edge.options.hosts.clone();
        let registers = self.edge.options.demo;
        let mut negotiation =
            Negotiation::new(self.framing, security, hosts, random::<16>).registering(registers).with_features(features());
        loop {
            let mut out = Vec::new();
            let next = match self.next().await? {
                Ok(incoming) => {
                    let (edge, address) = (Arc::clone(&self.edge), self.address);
                    negotiation.take(incoming, |host| place(&edge, address, host), &mut out).await
                }
                Err(error) => negotiation.fail(&error, &mut out),
            };
            self.write(&out).await?;
            match next {
                Next::Read => {}
                Next::Restart => self.input.restart(),
                Next::StartTls => negotiation.secured(self.start_tls().await?),
                Next::Bound(bound) => return Ok(Some(Signed::In(bound))),
                Next::Resume(resume) => {
                    if let Some((connection, session)) = self.resume(resume).await? {
                        return Ok(Some(Signed::Again(connection, session)));
                    }
                }
                Next::Close => {
                    self.close().await;
                    return Ok(None);
                }
            }
        }
    }

    /// The next that came, or what is wrong with it.
    async fn next(&mut self) -> Result<Result<Incoming, StreamError>, Gone> {
        loop {
            let shard = Rc::clone(&self.shard);
            let found = shard.read_buffer(|buffer| {
                let read = match self.unread {
                    true => 0,
                    false => match self.transport.try_read(buffer) {
                        Ok(0) => return Err(Gone),
                        Ok(read) => read,
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
                        Err(_) => return Err(Gone),
                    },
                };
                let mut input = &mut buffer[..read];
                let found = self.input.next(&mut input);
                self.input.hold(input);
                self.unread = matches!(found, Ok(Some(_)));
                Ok(found)
            })?;
            match found {
                Ok(Some(Got::Incoming(incoming))) => return Ok(Ok(incoming)),
                Ok(Some(Got::Ping(payload))) => {
                    let mut pong = Vec::new();
                    frame::write_pong(&payload, &mut pong);
                    write_all(&self.transport, &pong).await.map_err(|_| Gone)?;
                }
                Ok(Some(Got::Pong)) => tokio::task::yield_now().await,
                Ok(Some(Got::Closed)) => return Err(Gone),
                Ok(None) => self.wait().await?,
                Err(Fault::Stream(error)) => return Ok(Err(error)),
                Err(Fault::Frame(violation)) => {
                    let mut close = Vec::new();
                    frame::write_close(Some(violation.close_code()), "", &mut close);
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, write_all(&self.transport, &close)).await;
                    return Err(Gone);
                }
            }
        }
    }

    async fn wait(&self) -> Result<(), Gone> {
        if self.transport.has_unread() {
            return Ok(());
        }
        let is_written = self.transport.flush().map_err(|_| Gone)?;
        let interest = if is_written { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        self.transport.ready(interest).await.map(drop).map_err(|_| Gone)
    }

    /// Writes parts, each a message of its own over WebSocket.
    pub async fn write(&self, parts: &[Vec<u8>]) -> Result<(), Gone> {
        let mut bytes = Vec::new();
        for part in parts {
            if self.framing == Framing::WebSocket {
                frame::text_frame_header(part.len(), &mut bytes);
            }
            bytes.extend_from_slice(part);
        }
        write_all(&self.transport, &bytes).await.map_err(|_| Gone)
    }

    /// TLS from here on (RFC 6120 §5.4.3); what binds a login to it.
    async fn start_tls(&mut self) -> Result<Vec<ChannelBinding>, Gone> {
        let current = self.edge.certificates.as_ref().map(|certificates| certificates.current()).ok_or(Gone)?;
        self.input.discard();
        self.unread = false;
        let plain = std::mem::replace(&mut self.transport, Transport::Closed);
        let Transport::Tcp(stream) = plain else { return Err(Gone) };
        self.transport = Transport::Tls(Box::new(Tls::new(stream, Arc::clone(&current.config)).map_err(|_| Gone)?));
        let bindings = bindings(&current);
        self.tls = Some(current);
        Ok(bindings)
    }

    /// The last words, and the end of the connection.
    async fn close(&mut self) {
        if self.framing == Framing::WebSocket {
            let mut close = Vec::new();
            frame::write_close(Some(1000), "", &mut close);
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, write_all(&self.transport, &close)).await;
        }
        self.transport.shutdown();
    }

    async fn close_with(&mut self, error: &StreamError) {
        let parts = super::stream::failure(self.framing, None, error);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.write(&parts)).await;
        self.close().await;
    }

    /// The session of before, if it is there.
    async fn resume(&mut self, resume: Resume) -> Result<Option<(Rc<Connection>, Session)>, Gone> {
        match Box::pin(resume::resume(self, resume)).await {
            Ok(found) => Ok(Some(found)),
            Err(resume::Failed::Element(element)) => self.write(&[element]).await.map(|()| None),
            Err(resume::Failed::Stream(error)) => {
                self.close_with(&error).await;
                Err(Gone)
            }
        }
    }

    /// Opens the session of who is in.
    async fn begin(mut self, bound: Bound) -> Option<Box<Task>> {
        let Bound { identity, host, resource, id } = bound;
        let resource = resource.map_or_else(made_up, |resource| prepared(&resource).unwrap_or_else(made_up));
        match self.open(Who::from(*identity), &resource) {
            Ok((connection, session)) => {
                let mut answer = Vec::new();
                write_bound(self.framing, &id, &connection.me.full, &mut answer);
                session.push(|into| connection.emit_uncounted(&answer, into));
                Some(task(self, connection, session))
            }
            Err(reject) => {
                // RFC 6120 §7.6.2.1
                let error = StanzaError { condition: Condition::ResourceConstraint, text: reject.reason.text().into() };
                let mut answer = Vec::new();
                write_error(&Returned { kind: "iq", id: Some(&id), from: Some(&host.domain), to: "" }, &error, &mut answer);
                let mut close = Vec::new();
                super::stream::write_close(self.framing, &mut close);
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.write(&[answer, close])).await;
                self.close().await;
                None
            }
        }
    }

    /// Makes connection and session. The transport goes to the connection.
    pub fn open(&mut self, who: Who, resource: &str) -> Result<(Rc<Connection>, Session), Reject> {
        let Some(domain) = self.edge.domains.of(who.conf).cloned() else {
            return Err(hallway_broker::reject::Reason::UnknownConference.into());
        };
        let bare: Arc<str> = domain.names().user(&who.uid).into();
        let full: Arc<str> = format!("{bare}/{resource}").into();
        let me = Me { conf: who.conf, uid: who.uid.clone(), name: Arc::clone(&who.name), bare, full };
        let transport = std::mem::replace(&mut self.transport, Transport::Closed);
        let connection = Rc::new(Connection::new(Arc::clone(&self.edge), domain, transport, self.framing, me));
        let peer: Rc<dyn Peer> = Rc::clone(&connection) as Rc<dyn Peer>;
        let session = match Session::open(&self.shard, who, Via::Xmpp, Some(resource), peer) {
            Ok(session) => session,
            Err(reject) => {
                if let Ok(connection) = Rc::try_unwrap(connection) {
                    self.transport = connection.transport;
                }
                return Err(reject);
            }
        };
        connection.session.set(session.id);
        connection.slot.set(session.slot);
        note_here(session.id, Some(&connection));
        let here = Resource {
            name: resource.into(),
            shard: session.shard.index,
            slot: session.slot,
            session: session.id,
            presence: None,
            priority: 0,
        };
        let me = &connection.me;
        if let Some(before) = self.edge.directory.add(me.conf, &me.uid, here) {
            self.edge.hub.end_session_at(before.shard, before.slot, before.session, Ending::TakenOver);
        }
        Ok((connection, session))
    }
}

/// What the server can do (XEP-0115 §6.3).
fn features() -> String {
    let mut out = Vec::new();
    iq::server_info().write_caps(iq::CAPS_NODE, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn place<'e>(edge: &'e Edge, peer: IpAddr, host: &Host) -> Place<'e> {
    // The host is one of the edge's own.
    let own = edge.options.hosts.iter().find(|own| own.domain == host.domain);
    let (conference, domain) = own.map_or(("", ""), |own| (&own.conference, &own.domain));
    Place { sign_ins: &edge.sign_ins, hub: &edge.hub, conference, domain, peer, makes_accounts: edge.options.demo }
}

/// The resource as it is compared (RFC 7622 §3.4); `None` when it cannot be one.
fn prepared(resource: &str) -> Option<String> {
    let fits = resource.len() <= MAX_RESOURCE_BYTES;
    jid::ResourcePart::new(resource).ok().filter(|_| fits).map(|part| part.as_str().to_owned())
}

fn made_up() -> String {
    data_encoding::BASE32_NOPAD.encode(&random::<10>()).to_ascii_lowercase()
}

async fn write_all(transport: &Transport, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() || !transport.flush()? {
        match if bytes.is_empty() { Err(std::io::ErrorKind::WouldBlock.into()) } else { transport.try_write(bytes) } {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => drop(transport.ready(Interest::WRITABLE).await?),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
