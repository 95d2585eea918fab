//! A conversation as a WebSocket of its own, at `/<conversation>`: who it is comes with the upgrade, messages go in as `{"message": …}` and
//! come out as [`Frame`](frame::Frame)s, one's own too. See COMPATIBILITY.md.

pub mod frame;
mod incoming;
pub mod list;
pub mod wire;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::command::{Action, Outcome};
use hallway_broker::frame as websocket;
use hallway_broker::ids::{ConfNo, ConversationId, EventIds};
use hallway_broker::model::{Event, Via};
use hallway_broker::queue::{Answer, Submission};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::sending::Sending;
use hallway_broker::session::{CatchUp, Session, Who};
use hallway_broker::shard::Ending;
use hallway_broker::topic::{How, Parts};
use slab::Slab;

use crate::methods::send::Early;
use crate::methods::{self, Caller, send};
use crate::rpc::Fault;
use crate::socket::{Closing, Dialect, Entering, Heartbeat, Next};
use frame::{Frame, Notice, write_frame};
use incoming::Incoming;
use wire::CONVERSATION_WIRE;

/// How often `ping` is said.
const PING_EVERY: Duration = Duration::from_secs(25);
/// Pings without any sign of life; with the next one due the connection is given up.
const MISSED_PINGS: u32 = 2;
/// Waiting messages that an idle connection keeps room for.
const IDLE_MESSAGES: usize = 4;

/// What an upgrade's request asks for.
pub(crate) struct Entrance {
    pub who: Who,
    /// What of the past comes first.
    pub past: CatchUp,
    /// Edits, deletions, reactions and changes of the conversation and its members, too.
    pub events: bool,
    /// Who types, too.
    pub typing: bool,
}

/// What is carried out with time.
pub(crate) enum Request {
    /// Tell that one types, or stopped.
    Typing(bool),
    /// Move one's read marker on.
    Read(u64),
}

/// See the module's text.
pub(crate) struct Conversation {
    conf: ConfNo,
    id: ConversationId,
    ids: EventIds,
    /// Messages that wait for the hub's answer, with the sender's ids.
    waiting: RefCell<Slab<Option<Arc<str>>>>,
    sending: Sending,
}

impl Conversation {
    /// Before anybody has come in.
    pub fn new(conf: ConfNo, id: ConversationId, ids: EventIds) -> Self {
        Self { conf, id, ids, waiting: RefCell::new(Slab::new()), sending: Sending::of_user() }
    }

    fn caller<'a>(&'a self, session: &'a Session) -> Caller<'a> {
        let (hub, who, via) = (&session.shard.hub, &session.who, session.via);
        Caller { hub, who, via, sending: &self.sending, session: Some(session), is_guest: true }
    }

    /// What a message comes to: something for the queue, or an answer.
    fn draft(&self, session: &Session, incoming: Incoming<'_>) -> Result<Action, Early> {
        let hub = &session.shard.hub;
        let draft = incoming.draft(&self.id, hub.limits()).map_err(Fault::from)?;
        send::admit(hub, &session.who, &self.sending, draft)
    }

    fn answer_early(&self, session: &Session, id: Option<&str>, early: Early) {
        session.append(|into| match early {
            Early::Answer(answer) => self.write_answer(id, answer, into),
            Early::Fault(fault) => write_fault(id, &fault, into),
        });
    }

    /// A message that is new comes back as its event: only one that was sent before is answered, and a refusal.
    fn write_answer(&self, id: Option<&str>, answer: Answer, into: &mut Vec<u8>) {
        match answer {
            Ok(Outcome::Added { seq, pos, ts_ms, fresh: false, .. }) => {
                let event = self.ids.encode(self.conf, pos);
                write_frame(&Notice::sent(id, &event, self.id.as_str(), seq, ts_ms), into);
            }
            Ok(_) => {}
            Err(reject) => write_fault(id, &reject.into(), into),
        }
    }

    /// Follows the conversation; what there is already of it is said first.
    async fn follow(&self, session: &Session, entrance: &Entrance) -> Result<(), Reject> {
        let mut parts = Parts::MESSAGES;
        if entrance.events {
            parts |= Parts::EVENTS;
        }
        if entrance.typing {
            parts |= Parts::TYPING;
        }
        let how = How { parts, ..How::default() };
        let subscribed = match session.subscribe(&self.id, entrance.past, how).await {
            Err(reject) if reject.reason == Reason::UnknownConversation => {
                // The direct conversation with somebody begins with the first who comes.
                let with = self.id.partner(&session.who.uid).ok_or(reject)?;
                session.call(Action::Open { with }).await?;
                session.subscribe(&self.id, entrance.past, how).await?
            }
            subscribed => subscribed?,
        };
        let wanted = |event: &&Event| parts.contains(Parts::of_event(event));
        session.push(|into| subscribed.page.events.iter().filter(wanted).for_each(|event| write_frame(&Frame::of(event, &self.ids), into)));
        Ok(())
    }
}

fn write_fault(id: Option<&str>, fault: &Fault, into: &mut Vec<u8>) {
    write_frame(&Notice::error(id, fault), into);
}

impl Dialect for Conversation {
    type Entrance = Entrance;
    type Request = Request;

    fn wire(&self) -> usize {
        CONVERSATION_WIRE
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat { every: PING_EVERY, missed: MISSED_PINGS }
    }

    async fn sign_in(entering: &mut Entering<'_, Self>, entrance: Entrance) -> Result<Session, Closing> {
        let session = Session::open(entering.shard, entrance.who.clone(), Via::Ws, None, entering.peer());
        let session = session.map_err(|reject| Closing::refused(&reject))?;
        let followed = entering.dialect().follow(&session, &entrance).await;
        followed.map(|()| session).map_err(|reject| Closing::refused(&reject))
    }

    fn text(&self, session: &Session, text: &str, submissions: &mut Vec<Submission>) -> Next<Request> {
        match text {
            "pong" => return Next::More,
            "ping" => {
                session.append(|into| websocket::write_text("pong", into));
                return Next::More;
            }
            _ => {}
        }
        let incoming = match Incoming::parse(text) {
            Ok(incoming) => incoming,
            Err(fault) => {
                session.append(|into| write_fault(None, &fault, into));
                return Next::More;
            }
        };
        if let Some(on) = incoming.typing {
            return Next::Request(Request::Typing(on));
        }
        if let Some(seq) = incoming.read {
            return Next::Request(Request::Read(seq));
        }
        let id = incoming.id();
        match self.draft(session, incoming) {
            Ok(action) => {
                let tag = u32::try_from(self.waiting.borrow_mut().insert(id)).unwrap_or(u32::MAX);
                submissions.push(session.submission(tag, action));
            }
            Err(early) => self.answer_early(session, id.as_deref(), early),
        }
        Next::More
    }

    async fn carry_out(&self, session: &Session, request: Request) {
        let caller = self.caller(session);
        let done = match request {
            Request::Typing(on) => methods::type_in(&caller, self.id.clone(), on),
            Request::Read(seq) => match self.sending.take(&session.shard.hub, &session.who) {
                Ok(()) => session.call(Action::Read { conversation: self.id.clone(), seq }).await.map(drop).map_err(Fault::from),
                Err(reject) => Err(reject.into()),
            },
        };
        if let Err(fault) = done {
            session.push(|into| write_fault(None, &fault, into));
        }
    }

    /// Who may not read it any more is sent away.
    fn look(&self, session: &Session) -> Option<Closing> {
        let Who { conf, uid, .. } = &session.who;
        match session.shard.hub.reader().readable(*conf, uid, &self.id) {
            Err(reject) if Closing::refused(&reject).code >= 4000 => Some(Closing::refused(&reject)),
            _ => None,
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        let mut waiting = self.waiting.borrow_mut();
        let Some(id) = waiting.try_remove(tag as usize) else { return };
        if waiting.is_empty() && waiting.capacity() > IDLE_MESSAGES {
            *waiting = Slab::new();
        }
        drop(waiting);
        if answer.is_err() {
            self.sending.forget();
        }
        self.write_answer(id.as_deref(), answer, into);
    }

    /// In text for who can read nothing else, and as RFC 6455 §5.5.2 has it, which clients answer by themselves.
    fn ping(&self, into: &mut Vec<u8>) {
        websocket::write_text("ping", into);
        websocket::write_ping(b"", into);
    }

    fn goodbye(&self, ending: Ending, _: &mut Vec<u8>) -> Closing {
        Closing::of(ending)
    }
}
