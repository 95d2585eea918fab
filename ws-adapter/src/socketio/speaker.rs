//! Somebody who speaks Socket.IO, whatever carries it: what they say is prepared for the queue or carried out ([`super::deeds`]), and what waits
//! for an answer is remembered. Goes along when WebSocket takes over from polling.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hallway_broker::command::Outcome;
use hallway_broker::ids::{ConfNo, EventIds};
use hallway_broker::queue::{Answer, Submission};
use hallway_broker::sending::Sending;
use hallway_broker::session::Session;
use hallway_broker::shard::{Ending, Shard};
use serde_json::value::RawValue;
use slab::Slab;

use super::deeds::write_connections;
use super::edge::Edge;
use super::engine::{self, Packet as Carried, Version};
use super::packet::{self, Packet, ack};
use super::shapes::{Done, Outgoing, write, write_refusal};
use crate::methods::send::{self, Early};
use crate::rpc::Fault;
use crate::types::Time;

/// Waiting requests that an idle connection keeps room for.
const IDLE_REQUESTS: usize = 16;

/// See the module's text.
pub(crate) struct Speaker {
    pub edge: Arc<Edge>,
    pub version: Version,
    pub ids: EventIds,
    /// The conference, once signed in.
    pub conf: Cell<ConfNo>,
    pub sending: Sending,
    /// Messages that wait for the hub's answer, by tag.
    waiting: RefCell<Slab<Waiting>>,
}

/// A message that waits for the hub's answer.
struct Waiting {
    /// The answer's number; none is wanted without.
    ack: Option<u64>,
    /// The sender's id for it.
    id: Arc<str>,
}

/// What to do after a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Go on.
    More,
    /// An event that is carried out: the Socket.IO packet.
    Request(String),
    /// The client is done.
    End,
    /// The client has broken the protocol, by the word for how.
    Broken(&'static str),
}

impl Speaker {
    pub fn new(edge: Arc<Edge>, version: Version) -> Self {
        let ids = edge.hub.reader().ids();
        Self { edge, version, ids, conf: Cell::new(ConfNo(0)), sending: Sending::of_user(), waiting: RefCell::default() }
    }

    /// What was sent: `message` goes to the queue without a detour, and its answer comes through the shard's mailbox.
    pub fn hear(&self, session: &Session, text: &str, submissions: &mut Vec<Submission>) -> Step {
        let text = match engine::packet(text) {
            Ok(Carried::Message(text)) => text,
            Ok(Carried::Ping(payload)) => {
                session.append(|into| packet::frame("3", into, |into| into.extend_from_slice(payload.as_bytes())));
                return Step::More;
            }
            Ok(Carried::Close) => return Step::End,
            Ok(_) => return Step::More,
            Err(engine::Malformed::Binary) => return Step::Broken("binary"),
            Err(_) => return Step::Broken("parse_error"),
        };
        match packet::parse(text) {
            Ok(Packet::Event(event, id)) if event.name == "message" => {
                self.post(session, event.arguments.first().copied(), id, submissions);
                Step::More
            }
            Ok(Packet::Event(..)) => Step::Request(text.to_owned()),
            Ok(Packet::Connect(_) | Packet::Ack) => Step::More,
            Ok(Packet::Disconnect) => Step::End,
            Ok(Packet::Elsewhere(namespace)) => {
                session.append(|into| self.refuse_namespace(namespace, into));
                Step::More
            }
            Err(malformed) => Step::Broken(malformed.reason()),
        }
    }

    fn post(&self, session: &Session, argument: Option<&RawValue>, id: Option<u64>, submissions: &mut Vec<Submission>) {
        match self.prepare(session, argument) {
            Ok((client_id, action)) => {
                let waiting = Waiting { ack: id, id: client_id };
                let tag = u32::try_from(self.waiting.borrow_mut().insert(waiting)).unwrap_or(u32::MAX);
                submissions.push(session.submission(tag, action));
            }
            Err((client_id, Early::Answer(answer))) => {
                session.append(|into| self.write_answer(&Waiting { ack: id, id: client_id }, answer, into));
            }
            Err((_, Early::Fault(fault))) => session.append(|into| ack(id, into, |out| write_refusal(&fault, out))),
        }
    }

    /// Admission of a `message`, with the sender's id for it.
    fn prepare(
        &self,
        session: &Session,
        argument: Option<&RawValue>,
    ) -> Result<(Arc<str>, hallway_broker::command::Action), (Arc<str>, Early)> {
        let read = || {
            let json = argument.ok_or_else(|| Fault::invalid_params("no argument"))?;
            let outgoing: Outgoing<'_> = serde_json::from_str(json.get()).map_err(Fault::invalid_params)?;
            outgoing.draft(&session.who.uid, session.shard.hub.limits())
        };
        let draft = read().map_err(|fault| ("".into(), Early::Fault(fault)))?;
        let id = Arc::clone(&draft.client_id);
        match send::admit(&session.shard.hub, &session.who, &self.sending, draft) {
            Ok(action) => Ok((id, action)),
            Err(early) => Err((id, early)),
        }
    }

    /// Messages that wait for the hub's answer.
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Appends the hub's answer to message `tag`.
    pub fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        let mut all = self.waiting.borrow_mut();
        let Some(waiting) = all.try_remove(tag as usize) else { return };
        if all.is_empty() && all.capacity() > IDLE_REQUESTS {
            *all = Slab::new();
        }
        if answer.is_err() {
            self.sending.forget();
        }
        self.write_answer(&waiting, answer, into);
    }

    fn write_answer(&self, waiting: &Waiting, answer: Answer, into: &mut Vec<u8>) {
        ack(waiting.ack, into, |out| match answer {
            Ok(Outcome::Added { conversation, seq, pos, ts_ms, .. }) => {
                let own = (!waiting.id.is_empty()).then(|| String::from(&*waiting.id));
                let id = own.unwrap_or_else(|| self.ids.encode(self.conf.get(), pos));
                let conversation = Some(conversation.as_str());
                write(&Done { ok: true, id: Some(&id), conversation, seq: Some(seq), timestamp: Some(Time(ts_ms)) }, out);
            }
            Ok(_) => write(&Done { ok: true, ..Done::default() }, out),
            Err(reject) => write_refusal(&reject.into(), out),
        });
    }

    /// Appends what asks for a sign of life: in protocol 3 the client does so itself.
    pub fn ping(&self, into: &mut Vec<u8>) {
        if self.version == Version::V4 {
            packet::frame("2", into, |_| {});
        }
    }

    /// The user's connections have changed.
    pub fn tell_connections(&self, shard: &Rc<Shard>, slot: u32, id: u64) {
        let Some(who) = shard.registry(|registry| registry.owner(slot, id)) else { return };
        let mut frame = Vec::new();
        write_connections(&shard.hub, who.0, &who.1, id, &mut frame);
        let frame = Bytes::from(frame);
        shard.registry(|registry| registry.signal(slot, id, &frame));
    }

    /// Appends what is said before a session ends. A client that was sent away does not come back by itself, one whose server stops does.
    pub fn goodbye(ending: Ending, into: &mut Vec<u8>) {
        if ending != Ending::Draining {
            packet::frame("41", into, |_| {});
        }
    }

    /// Appends that there is no such namespace.
    pub fn refuse_namespace(&self, namespace: &str, into: &mut Vec<u8>) {
        packet::frame("44", into, |out| {
            out.extend_from_slice(namespace.as_bytes());
            out.extend_from_slice(match self.version {
                Version::V4 => b",{\"message\":\"Invalid namespace\"}",
                Version::V3 => b",\"Invalid namespace\"",
            });
        });
    }
}
