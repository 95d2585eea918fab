//! From a new connection to a session: CONNECT, sign-in, what is on record of the client, CONNACK.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::time::Instant;

use super::clients::{Claim, Verdict};
use super::codec::{AckKind, Code, ConnAck, Connect, Decoder, Packet, Qos, Raw, Stamp, Version, Violation, write_ack, write_connack};
use super::connection::{Connection, Person};
use super::delivery::{Delivery, packet_id};
use super::inbound::TOPIC_ALIASES;
use super::listen::{Arrival, Edge};
use super::publish::Publisher;
use super::refusal;
use super::session::{self, Task};
use super::signin::{self, SCRAM, SignedIn};
use super::subscriptions::Subscription;
use super::topic::rpc_answer_topic;
use super::will::LastWill;
use super::wire::{topic_of, write_json, write_publication};
use crate::allowances::{TopicRights, Use};
use crate::canonical;
use crate::command::Action;
use crate::model::{Body, KeptSession, Via};
use crate::peers::Unauthenticated;
use crate::reject::Reject;
use crate::session::Session;
use crate::shard::{Peer, Shard};
use crate::transport::Transport;

/// How long a connection may take until it has a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a CONNECT at most.
const CONNECT_BYTES: usize = 256 * 1024;
/// Bytes of a client id at most: it is part of keys in the store. The protocol asks for 23 [MQTT-3.1.3-5].
const CLIENT_ID_BYTES: usize = 128;

/// A connection without a session yet.
pub(super) struct Door {
    pub edge: Arc<Edge>,
    pub shard: Rc<Shard>,
    pub transport: Transport,
    pub address: IpAddr,
    pub is_private: bool,
    decoder: Decoder,
    unread: bool,
}

/// Why a connection gets no session.
pub(super) enum Refused {
    /// It is gone, or not worth a word.
    Silently,
    /// By a CONNACK.
    With(Version, Code, &'static str),
}

impl Refused {
    pub fn by(version: Version, reject: &Reject) -> Self {
        Self::With(version, refusal::of_connect(reject.reason), reject.reason.word())
    }
}

/// Serves a new connection until it ends.
pub(super) async fn serve(edge: Arc<Edge>, shard: Rc<Shard>, arrival: Arrival) {
    let Arrival { transport, address, is_private, admitted } = arrival;
    let address = address.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let most = CONNECT_BYTES.min(shard.hub.limits().frame_bytes);
    let door = Door { edge, shard, transport, address, is_private, decoder: Decoder::new(most), unread: false };
    if let Ok(Some(task)) = Box::pin(tokio::time::timeout(CONNECT_TIMEOUT, welcome(door, admitted))).await {
        // A task of its own, since this one keeps the room that signing in took.
        tokio::task::spawn_local(session::serve(task));
    }
}

/// Reads the CONNECT and answers it; the session's task when there is one.
async fn welcome(mut door: Door, admitted: Option<Unauthenticated>) -> Option<Box<Task>> {
    let packet = match door.next_packet().await {
        Ok(packet) => packet,
        Err(refused) => {
            door.refuse(refused).await;
            return None;
        }
    };
    let connect = match Packet::parse(None, Raw { first: packet.0, body: &packet.1 }) {
        Ok(Packet::Connect(connect)) => connect,
        Ok(_) => return None,
        Err(violation) => {
            door.refuse(of_violation(violation, &packet.1)).await;
            return None;
        }
    };
    let signed_in = match signin::sign_in(&mut door, &connect).await {
        Ok(signed_in) => signed_in,
        Err(refused) => {
            door.refuse(refused).await;
            return None;
        }
    };
    drop(admitted);
    begin(door, &connect, signed_in).await
}

/// A CONNECT that breaks a rule: only of a version that is not spoken here, a client is told (§3.1.2.2, 3.1.1 [MQTT-3.1.2-2]).
fn of_violation(violation: Violation, body: &[u8]) -> Refused {
    if violation.code != Code::UNSUPPORTED_PROTOCOL_VERSION || violation.clause == "MQTT-3.1.2-1" {
        return Refused::Silently;
    }
    let name = body.first_chunk::<2>().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
    let level = body.get(2 + name).copied().unwrap_or_default();
    // 3.1.1 says how an unknown level is answered, 5 leaves it open; only a client of 5 itself expects its form.
    Refused::With(if level == 5 { Version::V5 } else { Version::V4 }, violation.code, "")
}

impl Door {
    /// The next packet: its first byte and its body.
    pub async fn next_packet(&mut self) -> Result<(u8, Vec<u8>), Refused> {
        loop {
            let shard = Rc::clone(&self.shard);
            let found = shard.read_buffer(|buffer| {
                let read = match self.unread {
                    true => 0,
                    false => match self.transport.try_read(buffer) {
                        Ok(0) => return Err(Refused::Silently),
                        Ok(read) => read,
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
                        Err(_) => return Err(Refused::Silently),
                    },
                };
                let mut input = &buffer[..read];
                let packet = match self.decoder.next(&mut input) {
                    Ok(found) => found.map(|raw| (raw.first, raw.body.to_vec())),
                    Err(_) => return Err(Refused::Silently),
                };
                self.decoder.hold(input);
                self.unread = packet.is_some();
                Ok(packet)
            })?;
            if let Some(packet) = found {
                return Ok(packet);
            }
            if !self.transport.has_unread() {
                let is_written = self.transport.flush().map_err(|_| Refused::Silently)?;
                let interest = if is_written { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
                self.transport.ready(interest).await.map_err(|_| Refused::Silently)?;
            }
        }
    }

    /// Writes all of it.
    pub async fn write(&self, bytes: &[u8]) -> Result<(), Refused> {
        write_all(&self.transport, bytes).await.map_err(|_| Refused::Silently)
    }

    async fn refuse(&self, refused: Refused) {
        refuse(&self.transport, refused).await;
    }
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

async fn refuse(transport: &Transport, refused: Refused) {
    if let Refused::With(version, code, reason) = refused {
        let mut bytes = Vec::new();
        let reason_string = Some(reason).filter(|reason| !reason.is_empty());
        write_connack(version, &ConnAck { reason_string, ..ConnAck::new(code, false) }, &mut bytes);
        // Who does not read it is gone.
        let _ = write_all(transport, &bytes).await;
    }
    transport.shutdown();
}

/// The client id of a connection, and whether the server made it up.
fn client_id(connect: &Connect<'_>) -> Result<(Arc<str>, bool), Code> {
    if connect.client_id.len() > CLIENT_ID_BYTES {
        return Err(Code::CLIENT_IDENTIFIER_NOT_VALID);
    }
    if !connect.client_id.is_empty() {
        return Ok((connect.client_id.into(), false));
    }
    // [MQTT-3.1.3-8 of 3.1.1]: without an id there is nothing to come back to.
    if connect.version == Version::V4 && !connect.clean_start {
        return Err(Code::CLIENT_IDENTIFIER_NOT_VALID);
    }
    let random = data_encoding::BASE32_NOPAD.encode(&crate::clock::random::<15>()).to_ascii_lowercase();
    Ok((format!("hw-{random}").into(), true)) // [MQTT-3.1.3-6]
}

/// Seconds that the session is kept: in 3.1.1 for ever, or not at all.
fn expiry_s(connect: &Connect<'_>) -> u32 {
    match connect.version {
        Version::V4 if connect.clean_start => 0,
        Version::V4 => u32::MAX,
        Version::V5 => connect.properties.session_expiry_s.unwrap_or(0),
    }
}

async fn begin(door: Door, connect: &Connect<'_>, signed_in: SignedIn) -> Option<Box<Task>> {
    let version = connect.version;
    let refused = |code, reason| Refused::With(version, code, reason);
    let (client, assigned) = match client_id(connect) {
        Ok(client) => client,
        Err(code) => {
            door.refuse(refused(code, "client_id")).await;
            return None;
        }
    };
    let key = (signed_in.who.conf, signed_in.who.uid.clone(), Arc::clone(&client));
    let Some(claim) = door.edge.clients.claim(&door.edge.hub, key).await else {
        door.refuse(refused(Code::SERVER_BUSY, "client_id_in_use")).await;
        return None;
    };
    let rights = Some(door.edge.hub.topic_rights(&signed_in.who, signed_in.role));
    if let (Some(will), Some(rights)) = (&connect.will, &rights)
        && rights.must_ask(will.topic)
    {
        // What it says is looked at below.
        let _ = rights.settle(will.topic, Use::Publish).await;
    }
    let publisher = Publisher {
        hub: &door.edge.hub,
        who: &signed_in.who,
        role: signed_in.role,
        plain_topics: door.edge.options.plain_topics,
        rights: rights.as_deref(),
        session: 0,
    };
    let will = match connect.will.as_ref().map(|will| LastWill::new(publisher, will)).transpose() {
        Ok(will) => will.map(Box::new),
        Err(reject) => {
            door.refuse(refused(Code::NOT_AUTHORIZED, reject.reason.word())).await;
            return None;
        }
    };
    let known = match recorded(&door.edge, &claim, connect.clean_start).await {
        Ok(known) => known,
        Err(reject) => {
            door.refuse(Refused::by(version, &reject)).await;
            return None;
        }
    };
    let new = New { connect, client, assigned, claim, will, known, rights };
    open(door, new, signed_in).await
}

/// What a session begins with.
struct New<'c> {
    connect: &'c Connect<'c>,
    client: Arc<str>,
    assigned: bool,
    claim: Claim,
    will: Option<Box<LastWill>>,
    known: Option<(KeptSession, Vec<Subscription>)>,
    rights: Option<Arc<TopicRights>>,
}

/// What is on record of the client; nothing any more when it begins anew [MQTT-3.1.2-4], or was away for too long.
async fn recorded(edge: &Edge, claim: &Claim, clean_start: bool) -> Result<Option<(KeptSession, Vec<Subscription>)>, Reject> {
    let (conf, uid, client) = claim.key();
    let Some((kept, subscriptions)) = edge.hub.reader().kept_session(*conf, uid, client)? else { return Ok(None) };
    let until_ms = kept.ended_ms.saturating_add(u64::from(kept.expiry_s) * 1000);
    let is_over = kept.ended_ms > 0 && kept.expiry_s != u32::MAX && until_ms <= edge.hub.clock().now_ms();
    if clean_start || is_over {
        let action = Action::ForgetSession { uid: uid.clone(), client: Arc::clone(client), ended_ms: None };
        edge.hub.call_to_end(*conf, crate::command::Actor::system(), action).await?;
        return Ok(None);
    }
    Ok(Some((kept, subscriptions.into_iter().map(Subscription::from_kept).collect())))
}

async fn open(door: Door, new: New<'_>, signed_in: SignedIn) -> Option<Box<Task>> {
    let Door { edge, shard, transport, decoder, unread, .. } = door;
    let New { connect, client, assigned, claim, will, known, rights } = new;
    let version = connect.version;
    let window = connect.properties.receive_maximum.unwrap_or(u16::MAX).min(edge.options.receive_maximum.max(1));
    let most = connect.properties.maximum_packet_size.unwrap_or(u32::MAX);
    let wants_reasons = connect.properties.request_problem_information;
    let clock = Arc::clone(edge.hub.clock());
    let delivery = Delivery::new(version, window, most, connect.properties.topic_alias_maximum);
    let person = Person { role: signed_in.role, rights };
    let connection = Rc::new(Connection::new(transport, version, person, wants_reasons, delivery, clock));
    let peer: Rc<dyn Peer> = Rc::clone(&connection) as Rc<dyn Peer>;
    let conf = signed_in.who.conf;
    let proof = signed_in.proof;
    let session = match Session::open(&shard, signed_in.who, Via::Mqtt, Some(&client), peer) {
        Ok(session) => session,
        Err(reject) => {
            refuse(&connection.transport, Refused::by(version, &reject)).await;
            return None;
        }
    };
    if !claim.is_live(session.live()) {
        refuse(&connection.transport, Refused::With(version, Code::SERVER_BUSY, "taken_over")).await;
        return None;
    }
    let keep_alive_s = keep_alive(connect, edge.options.keepalive_max_s);
    let decoder = decoder.with_bound(edge.hub.limits().frame_bytes);
    let mut task = Box::new(Task {
        patience: (keep_alive_s > 0).then(|| Duration::from_millis(u64::from(keep_alive_s) * 1500)),
        expiry_s: expiry_s(connect),
        is_on_record: known.is_some() || expiry_s(connect) > 0,
        new_expiry_s: None,
        client_hash: (!assigned).then(|| hash(&client)),
        decoder,
        unread,
        edge,
        connection,
        session,
        claim,
        will,
        aliases: Vec::new(),
        resumed_at: 0,
        submissions: Vec::new(),
        last_seen: Instant::now(),
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        jobs: Default::default(),
        releases: Vec::new(),
        sys_at: None,
        save_at: Instant::now() + Duration::from_secs(1),
        saved: 0,
    });
    let present = known.is_some();
    let (cursor, subscriptions) = task.take_over(known, conf);
    task.resumed_at = if present { cursor } else { 0 };
    if task.expiry_s > 0
        && let Err(reject) = task.save_at_cursor(cursor).await
    {
        refuse(&task.connection.transport, Refused::by(version, &reject)).await;
        return None;
    }
    // Only now is its client back.
    let verdict = if connect.clean_start { Verdict::Due } else { Verdict::Cancelled };
    task.edge.clients.judge_will(task.claim.key(), verdict);
    let (mut ack, mut answers) = (Vec::new(), String::new());
    rpc_answer_topic(&mut answers, task.session.who.conference.as_str(), &task.session.who.uid);
    let answers = Some(&*answers).filter(|_| connect.properties.request_response_information);
    write_connack(
        version,
        &task.connack(connect, &Welcome { client: &client, assigned, present, keep_alive_s, answers, proof: proof.as_deref() }),
        &mut ack,
    );
    task.session.push(|into| into.extend_from_slice(&ack));
    let resumed = match task.send_again() {
        Ok(()) => task.resume(subscriptions, cursor).await,
        Err(reject) => Err(reject),
    };
    if let Err(reject) = resumed {
        // It ends at once, and what is on record of it stays: the client comes again.
        tracing::warn!(%reject, "a kept session could not be resumed");
        task.connection.must_retry.set(true);
        task.is_on_record = false;
    }
    Some(task)
}

/// What a client is told in its CONNACK.
struct Welcome<'a> {
    client: &'a str,
    assigned: bool,
    present: bool,
    keep_alive_s: u16,
    /// Where answers may be sent (§3.2.2.3.15).
    answers: Option<&'a str>,
    /// The server's proof, with enhanced authentication.
    proof: Option<&'a str>,
}

/// The keep alive in force: the client's, but for a bound.
fn keep_alive(connect: &Connect<'_>, most_s: u16) -> u16 {
    match (connect.version, connect.keep_alive_s) {
        // 3.1.1 clients cannot be told of another.
        (Version::V4, wanted) => wanted,
        (Version::V5, wanted) if most_s > 0 && (wanted == 0 || wanted > most_s) => most_s,
        (Version::V5, wanted) => wanted,
    }
}

/// What a client id comes to, for messages without ids: the same after a restart.
fn hash(client: &str) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = siphasher::sip::SipHasher24::new();
    hasher.write(client.as_bytes());
    hasher.finish()
}

impl Task {
    fn connack<'a>(&self, connect: &Connect<'_>, new: &Welcome<'a>) -> ConnAck<'a> {
        let Welcome { client, assigned, present, keep_alive_s, answers, proof } = *new;
        ConnAck {
            receive_maximum: Some(self.edge.options.receive_maximum.max(1)),
            maximum_packet_size: Some(u32::try_from(self.edge.hub.limits().frame_bytes).unwrap_or(u32::MAX)),
            assigned_client_id: assigned.then_some(client), // [MQTT-3.2.2-16]
            topic_alias_maximum: Some(TOPIC_ALIASES),
            server_keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s), // [MQTT-3.2.2-21]
            response_information: answers,
            authentication_method: proof.map(|_| SCRAM), // [MQTT-4.12.0-5]
            authentication_data: proof.map(str::as_bytes),
            ..ConnAck::new(Code::SUCCESS, present)
        }
    }

    /// Takes over what is on record of the session: the pos from which it goes on, and its subscriptions.
    fn take_over(&mut self, known: Option<(KeptSession, Vec<Subscription>)>, conf: crate::ids::ConfNo) -> (u64, Vec<Subscription>) {
        let is_kept = self.expiry_s > 0;
        let mut delivery = self.connection.delivery.borrow_mut();
        let Some((kept, mut subscriptions)) = known else {
            delivery.begin(self.session.id, is_kept, Vec::new(), 0);
            return (self.edge.hub.end(conf), Vec::new());
        };
        // Whoever was connected when the server was killed may have been sent more than is on record.
        let dup_through = if kept.ended_ms > 0 { kept.cursor } else { self.edge.hub.started_at(conf).max(kept.cursor) };
        delivery.begin(self.session.id, is_kept, kept.in_flight, dup_through);
        for subscription in &mut subscriptions {
            subscription.everywhere = self.selection(&subscription.filter).everywhere();
            delivery.subscriptions.insert(subscription.clone());
        }
        (kept.cursor, subscriptions)
    }

    /// Puts on record that the session is connected; nothing was given to it yet.
    async fn save_at_cursor(&mut self, cursor: u64) -> Result<(), Reject> {
        let in_flight = self.connection.delivery.borrow().record();
        let session = KeptSession { expiry_s: self.expiry_s, ended_ms: 0, cursor, in_flight };
        let client = Arc::clone(&self.claim.key().2);
        self.session.call(Action::KeepSession { client, session }).await.map(drop)
    }

    /// Sends again what was not acknowledged, in its order [MQTT-4.4.0-1] [MQTT-4.6.0-1].
    fn send_again(&self) -> Result<(), Reject> {
        let who = &self.session.who;
        let (version, reader) = (self.connection.version, self.edge.hub.reader());
        let mut delivery = self.connection.delivery.borrow_mut();
        let unacknowledged: Vec<_> = delivery.in_flight().cloned().collect();
        let mut bytes = Vec::new();
        for sent in unacknowledged {
            let id = packet_id(sent.pos);
            if sent.released {
                write_ack(version, AckKind::PubRel, id, Code::SUCCESS, None, &mut bytes);
                continue;
            }
            // What the user may not read any more is not sent again.
            let event = reader.in_flight(who.conf, &who.uid, &sent)?;
            let Some(event) = event.filter(|event| self.connection.person.may_read_event(event)) else {
                delivery.drop_unsent(sent.pos);
                continue;
            };
            let mut topic = String::new();
            topic_of(who.conference.as_str(), &event, &mut topic);
            let identifiers = delivery.subscriptions.grant(&topic, sent.pos, false).map_or(Vec::new(), |grant| grant.identifiers.to_vec());
            let qos = Qos::from_bits(sent.qos).unwrap_or(Qos::AtLeastOnce);
            let stamp = Stamp { dup: true, qos, packet_id: id, identifiers: &identifiers, ..Stamp::default() };
            match &event.entry.body {
                Body::Publication(publication) | Body::Stored(publication) => {
                    write_publication(version, publication, &stamp, self.edge.hub.clock().now_ms(), &mut bytes);
                }
                _ => {
                    let mut payload = Vec::new();
                    canonical::write_event(&event, &reader.ids(), &mut payload);
                    write_json(version, &topic, &payload, &stamp, &mut bytes);
                }
            }
        }
        drop(delivery);
        if !bytes.is_empty() {
            self.session.push(|into| into.extend_from_slice(&bytes));
        }
        Ok(())
    }
}
