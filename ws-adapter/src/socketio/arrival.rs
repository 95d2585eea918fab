//! Coming in: what a client shows of itself in the address of its first request, or (protocol 5) in the packet by which it connects, makes a
//! session; a guest of an open conference may also say a name first.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::accounts::names;
use hallway_broker::clock;
use hallway_broker::edges::Shown;
use hallway_broker::ids::Uid;
use hallway_broker::limits::MAX_NAME_BYTES;
use hallway_broker::model::{SignIn, Via};
use hallway_broker::peers::Unauthenticated;
use hallway_broker::registry::Scope;
use hallway_broker::reject::{Class, Reason, Reject};
use hallway_broker::session::{Session, Who};
use hallway_broker::shard::{Peer, Shard};
use hallway_broker::topic::How;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::crowd::Crowd;
use super::deeds::{how, write_connections, write_taken};
use super::engine::{self, Packet as Carried, Version};
use super::packet::{self, Packet, ack, event};
use super::query::Claims;
use super::shapes::{Welcome, write, write_refusal};
use super::speaker::Speaker;
use crate::rpc::Fault;

/// How long a client may take to connect, and to go when it was refused.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a guest may think about their name.
const NAME_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of a name's slug, at most.
const MAX_SLUG_BYTES: usize = 40;

/// A client that is not signed in.
pub(crate) struct Arrival {
    shard: Rc<Shard>,
    claims: Claims,
    address: IpAddr,
    stage: Stage,
    until: Instant,
    /// Counts it until it has signed in.
    admitted: Option<Unauthenticated>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Has not connected.
    New,
    /// A guest without a name.
    Nameless,
    /// Was refused.
    Refused,
}

/// What came of something that was said.
pub(crate) enum Heard {
    /// Go on.
    More,
    /// A session, which has what is to be said first in its lane.
    Session(Box<Session>),
    /// It is done, or has broken the protocol: by the word for how.
    End(&'static str),
}

/// Somebody who may come in, and what lets a guest back in.
struct Known {
    who: Who,
    token: Option<String>,
}

impl Arrival {
    pub fn new(shard: Rc<Shard>, claims: Claims, address: IpAddr, admitted: Option<Unauthenticated>) -> Self {
        let until = Instant::now() + CONNECT_TIMEOUT;
        Self { shard, claims, address, stage: Stage::New, until, admitted }
    }

    /// When it must have come in.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// In protocol 3 a client is in by its first request.
    pub async fn begin(&mut self, speaker: &Speaker, peer: Rc<dyn Peer>, out: &mut Vec<u8>) -> Heard {
        match speaker.version {
            Version::V3 => self.connect(speaker, peer, out).await,
            Version::V4 => Heard::More,
        }
    }

    /// What is said before there is a session. What is answered is appended to `out`, or in the session's lane when there is one now.
    pub async fn hear(&mut self, text: &str, speaker: &Speaker, peer: Rc<dyn Peer>, out: &mut Vec<u8>) -> Heard {
        let text = match engine::packet(text) {
            Ok(Carried::Message(text)) => text,
            Ok(Carried::Ping(payload)) => {
                packet::frame("3", out, |out| out.extend_from_slice(payload.as_bytes()));
                return Heard::More;
            }
            Ok(Carried::Close) => return Heard::End(""),
            Ok(_) => return Heard::More,
            Err(engine::Malformed::Binary) => return Heard::End("binary"),
            Err(_) => return Heard::End("parse_error"),
        };
        match packet::parse(text) {
            Ok(Packet::Connect(auth)) if self.stage == Stage::New => {
                if let Some(auth) = auth {
                    note_all(&mut self.claims, auth);
                }
                self.connect(speaker, peer, out).await
            }
            Ok(Packet::Event(event, id)) if self.stage == Stage::Nameless && event.name == "createUser" => {
                match self.create(&event, speaker).await {
                    Ok(known) => self.enter(known, id.map(Some), speaker, peer, out).await,
                    Err(fault) => {
                        ack(id, out, |out| write_taken(Some(&fault), out));
                        Heard::More
                    }
                }
            }
            Ok(Packet::Event(_, id)) => {
                ack(id, out, |out| write_refusal(&Reason::NoSession.into(), out));
                Heard::More
            }
            Ok(Packet::Disconnect) => Heard::End(""),
            Ok(Packet::Elsewhere(namespace)) => {
                speaker.refuse_namespace(namespace, out);
                Heard::More
            }
            Ok(Packet::Connect(_) | Packet::Ack) => Heard::More,
            Err(malformed) => Heard::End(malformed.reason()),
        }
    }

    async fn connect(&mut self, speaker: &Speaker, peer: Rc<dyn Peer>, out: &mut Vec<u8>) -> Heard {
        match self.identify(speaker).await {
            Ok(Some(known)) => self.enter(known, None, speaker, peer, out).await,
            Ok(None) => {
                (self.stage, self.until) = (Stage::Nameless, Instant::now() + NAME_TIMEOUT);
                write_connected(speaker.version, self.shard.hub.next_session_id(), out);
                Heard::More
            }
            Err(reject) => self.refuse(&reject, speaker, out),
        }
    }

    fn refuse(&mut self, reject: &Reject, speaker: &Speaker, out: &mut Vec<u8>) -> Heard {
        self.stage = Stage::Refused;
        write_refused(speaker.version, reject, out);
        Heard::More
    }

    /// Who it is; `None` for a guest who is yet to say a name.
    async fn identify(&self, speaker: &Speaker) -> Result<Option<Known>, Reject> {
        let hub = &self.shard.hub;
        hub.writable()?;
        let Claims { token, ticket, conference, .. } = &self.claims;
        let shown = token.as_deref().map(Shown::Token).or(ticket.as_deref().map(Shown::Ticket));
        if let Some(shown) = shown {
            let identity = speaker.edge.sign_ins.identify(hub, shown, conference.as_deref()).await?;
            return Ok(Some(Known { who: identity.into(), token: None }));
        }
        let record = hub.reader().conference(self.conference(speaker))?.ok_or(Reason::UnknownConference)?;
        if record.sign_in != SignIn::Open {
            return Err(Reason::NoSession.into());
        }
        match &self.claims.client_id {
            Some(id) => {
                let uid = slug(id).ok_or(Reason::InvalidParams)?;
                self.make_guest(speaker, uid, None).await.map(Some)
            }
            None => Ok(None),
        }
    }

    fn conference<'a>(&'a self, speaker: &'a Speaker) -> &'a str {
        self.claims.conference.as_deref().unwrap_or(&speaker.edge.conference)
    }

    async fn make_guest(&self, speaker: &Speaker, uid: Uid, name: Option<String>) -> Result<Known, Reject> {
        let (hub, accounts) = (&self.shard.hub, &speaker.edge.sign_ins.accounts);
        let made = accounts.add_guest(hub, self.conference(speaker), &uid, name.as_deref(), self.address).await?;
        let identity = accounts.by_token(hub.reader(), &made.token)?;
        Ok(Known { who: identity.into(), token: Some(made.token) })
    }

    /// `createUser(name, cb)`: the uid is the name's slug.
    async fn create(&self, event: &packet::Event<'_>, speaker: &Speaker) -> Result<Known, Fault> {
        let argument = event.arguments.first().ok_or_else(|| Fault::invalid_params("no name"))?;
        let name = display_name(argument)?;
        let uid = slug(&name).filter(|uid| !names::is_reserved(uid.as_str())).map_or_else(random_uid, Ok)?;
        Ok(self.make_guest(speaker, uid, Some(name)).await?)
    }

    /// Opens the session. `named`: it answers `createUser`, by this number.
    async fn enter(&mut self, known: Known, named: Option<Option<u64>>, speaker: &Speaker, peer: Rc<dyn Peer>, out: &mut Vec<u8>) -> Heard {
        let session = match self.open(known, named, speaker, peer).await {
            Ok(session) => session,
            Err(reject) if named.is_some() => {
                ack(named.flatten(), out, |out| write_taken(Some(&reject.into()), out));
                return Heard::More;
            }
            Err(reject) => return self.refuse(&reject, speaker, out),
        };
        self.admitted = None;
        // What was said before the session goes first.
        Crowd::join(&session);
        Heard::Session(Box::new(session))
    }

    async fn open(&self, known: Known, named: Option<Option<u64>>, speaker: &Speaker, peer: Rc<dyn Peer>) -> Result<Session, Reject> {
        let Known { who, token } = known;
        let hub = &self.shard.hub;
        let record = hub.reader().conference(who.conference.as_str())?.ok_or(Reason::UnknownConference)?;
        let session = Session::open(&self.shard, who, Via::Socketio, None, peer)?;
        speaker.conf.set(session.who.conf);
        let end = hub.end(session.who.conf);
        let is_known = |after: &u64| *after <= end && self.claims.epoch.is_none_or(|epoch| epoch == record.epoch);
        let after = self.claims.after.filter(is_known);
        let welcome = Welcome {
            user: session.who.uid.as_str(),
            name: &session.who.name,
            conference: session.who.conference.as_str(),
            session: session.id.to_string(),
            epoch: record.epoch.to_string(),
            after: end,
            token: token.as_deref(),
            resync: self.claims.after.is_some() && after.is_none(),
        };
        // In the lane before anything is followed: events come behind it.
        session.append(|into| {
            match named {
                Some(id) => ack(id, into, |out| write_taken(None, out)),
                None => write_connected(speaker.version, session.id, into),
            }
            event("welcome", into, |out| write(&welcome, out));
            write_connections(hub, session.who.conf, &session.who.uid, session.id, into);
        });
        session.follow_inbox(How::default())?;
        session.subscribe_all(Scope::Direct, how(), Some(after.unwrap_or(end))).await?;
        Ok(session)
    }
}

/// What a client says in its connect packet.
fn note_all(claims: &mut Claims, auth: &RawValue) {
    let Ok(Value::Object(members)) = serde_json::from_str(auth.get()) else { return };
    for (name, value) in members {
        match value {
            Value::String(text) => claims.note(&name, &text),
            Value::Number(number) => claims.note(&name, &number.to_string()),
            _ => {}
        }
    }
}

/// A display name that somebody may give themselves.
///
/// # Errors
/// `invalid_params`, `reserved`.
pub(crate) fn display_name(argument: &RawValue) -> Result<String, Fault> {
    let name: Cow<'_, str> = serde_json::from_str(argument.get()).map_err(Fault::invalid_params)?;
    let name = name.trim();
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Fault::invalid_params(format_args!("a name has 1 to {MAX_NAME_BYTES} bytes")));
    }
    if names::is_reserved(name) { Err(Reason::Reserved.into()) } else { Ok(name.to_owned()) }
}

/// The uid that a name makes, if any.
fn slug(name: &str) -> Option<Uid> {
    let mut slug = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' | '0'..='9' => slug.push(character),
            '.' | '_' | '-' | ' ' if !slug.is_empty() => slug.push(if character == ' ' { '-' } else { character }),
            _ => {}
        }
        if slug.len() >= MAX_SLUG_BYTES {
            break;
        }
    }
    Uid::parse(slug.trim_end_matches(['-', '.', '_'])).ok()
}

fn random_uid() -> Result<Uid, Fault> {
    let random: [u8; 10] = clock::random();
    let text = format!("guest-{}", data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase());
    Uid::parse(&text).map_err(|_| Reason::InvalidParams.into())
}

/// Appends that a client is in.
fn write_connected(version: Version, session: u64, out: &mut Vec<u8>) {
    packet::frame("40", out, |out| {
        if version == Version::V4 {
            out.extend_from_slice(format!("{{\"sid\":\"{session}\"}}").as_bytes());
        }
    });
}

#[derive(Serialize)]
struct ConnectError<'a> {
    message: &'a str,
    data: ErrorData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorData<'a> {
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// Appends that it is not: `connect_error` for protocol 5, `error` for protocol 4.
fn write_refused(version: Version, reject: &Reject, out: &mut Vec<u8>) {
    let message = match reject.reason.class() {
        Class::RateLimited => "Too many connections",
        Class::Unavailable => "Unavailable",
        _ => "Unauthorized",
    };
    packet::frame("44", out, |out| match version {
        Version::V3 => write(&message, out),
        Version::V4 => {
            let data = ErrorData { reason: reject.reason.word(), retry_after_ms: reject.retry_after_ms };
            write(&ConnectError { message, data }, out);
        }
    });
}

/// The speaker of a connection that is yet to come in.
pub(crate) fn speaker(edge: &Arc<super::edge::Edge>, version: Version) -> Rc<Speaker> {
    Rc::new(Speaker::new(Arc::clone(edge), version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_make_uids() {
        let rows = [
            ("Bob", Some("bob")),
            ("Bob Smith", Some("bob-smith")),
            ("  Ada L. ", Some("ada-l")),
            ("9f1c2d3e-AAAA-4bbb-8ccc-123456789abc", Some("9f1c2d3e-aaaa-4bbb-8ccc-123456789abc")),
            ("-x-", Some("x")),
            ("李", None),
            ("", None),
        ];
        for (name, uid) in rows {
            assert_eq!(slug(name).as_ref().map(Uid::as_str), uid, "{name}");
        }
    }

    #[test]
    fn refusals_as_clients_know_them() {
        let text = |version, reason: Reason| {
            let mut out = Vec::new();
            write_refused(version, &reason.into(), &mut out);
            super::super::wire::texts(&out).collect::<String>()
        };
        assert_eq!(text(Version::V3, Reason::BadToken), r#"44"Unauthorized""#);
        assert_eq!(text(Version::V4, Reason::BadToken), r#"44{"message":"Unauthorized","data":{"reason":"bad_token"}}"#);
        assert_eq!(text(Version::V3, Reason::TooManySessions), r#"44"Too many connections""#);
    }

    proptest! {
        #[test]
        fn any_name_can_be_given(name: String) {
            let _ = slug(&name);
            if let Ok(json) = serde_json::to_string(&name) {
                let raw: &RawValue = serde_json::from_str(&json).unwrap();
                let _ = display_name(raw).is_ok();
            }
        }
    }
}
