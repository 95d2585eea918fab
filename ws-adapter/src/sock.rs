//! Topics as a WebSocket of their own, at `/sock`: who it is comes with the upgrade's ticket, `{store, action, topic, payload}` goes in,
//! `{type, topic, sender, store, timestamp, payload}` comes out. See COMPATIBILITY.md.

mod incoming;
pub mod wire;

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use hallway_broker::canonical::{Welcome, write_publication, write_topic_error};
use hallway_broker::frame::write_text_with;
use hallway_broker::model::Via;
use hallway_broker::queue::{Answer, Submission};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::sending::Sending;
use hallway_broker::session::{Session, Who};
use hallway_broker::shard::Ending;
use slab::Slab;

use crate::rpc::Fault;
use crate::socket::{Closing, Dialect, Entering, Next};
use crate::topics::{Message, whole_name};
use hallway_broker::clock::Clock;
use incoming::{Deed, Incoming};
use wire::SOCK_WIRE;

/// Waiting messages that an idle connection keeps room for.
const IDLE_MESSAGES: usize = 4;

/// What an upgrade's request says.
pub(crate) struct Entrance {
    pub who: Who,
}

/// What is carried out with time.
pub(crate) enum Request {
    /// Follow a topic, by its whole name.
    Subscribe(Arc<str>),
    /// Follow it no more.
    Unsubscribe(Arc<str>),
    /// Say something.
    Say(Box<str>, Message),
}

/// See the module's text.
pub(crate) struct Sock {
    /// The connection's id, as others at its topics see it: its ticket's, or else its session's.
    connection: OnceCell<Arc<str>>,
    /// Messages that wait for the hub's answer, by their topics.
    waiting: RefCell<Slab<Box<str>>>,
    sending: Sending,
    clock: Arc<dyn Clock>,
}

impl Sock {
    /// Before anything was said.
    pub fn new(connection: Option<Arc<str>>, clock: Arc<dyn Clock>) -> Self {
        let connection = connection.map_or_else(OnceCell::new, OnceCell::from);
        Self { connection, waiting: RefCell::new(Slab::new()), sending: Sending::of_user(), clock }
    }

    fn write_error(&self, topic: &str, fault: &Fault, into: &mut Vec<u8>) {
        write_text_with(into, |into| write_topic_error(topic, fault.reason, &fault.message, self.clock.now_ms(), into));
    }

    /// A message: posted or told if nobody has to be asked and nothing of this connection is under way that it must not overtake.
    fn say(&self, session: &Session, topic: &str, message: Message, submissions: &mut Vec<Submission>) -> Result<Next<Request>, Fault> {
        let hub = &session.shard.hub;
        hub.writable()?;
        self.sending.take(hub, &session.who)?;
        match message.may_be_said(&*session.topic_rights()?) {
            Some(false) => Err(Reason::NotAllowed.into()),
            Some(true) if message.is_stored() || self.waiting.borrow().is_empty() => {
                if let Some(action) = message.say(hub, &session.who, session.id) {
                    let tag = u32::try_from(self.waiting.borrow_mut().insert(topic.into())).unwrap_or(u32::MAX);
                    submissions.push(session.submission(tag, action));
                }
                Ok(Next::More)
            }
            _ => Ok(Next::Request(Request::Say(topic.into(), message))),
        }
    }

    fn deed(&self, session: &Session, incoming: &Incoming<'_>, submissions: &mut Vec<Submission>) -> Result<Next<Request>, Fault> {
        let name = whole_name(&session.who, &incoming.topic)?;
        match incoming.deed() {
            Deed::Subscribe => Ok(Next::Request(Request::Subscribe(name))),
            Deed::Unsubscribe => Ok(Next::Request(Request::Unsubscribe(name))),
            Deed::Say => {
                let message = Message::new(&session.shard.hub, &name, &incoming.action, incoming.payload, incoming.store)?;
                self.say(session, &incoming.topic, message, submissions)
            }
        }
    }

    async fn subscribe(&self, session: &Session, name: &Arc<str>) -> Result<(), Reject> {
        self.sending.take(&session.shard.hub, &session.who)?;
        let connection = self.connection.get_or_init(|| session.id.to_string().into());
        let gathered = session.join_topic(name, connection).await?;
        // At once: what comes after it is given when others of the shard run.
        session.push(|into| {
            let (user, people) = (&session.who.uid, &*gathered.people);
            let welcome = Welcome { topic: name, user, connection, people, stored: gathered.stored.len() };
            write_text_with(into, |into| welcome.write_frame(self.clock.now_ms(), into));
            for stored in &gathered.stored {
                write_text_with(into, |into| write_publication(&stored.publication, &stored.from, true, stored.ts_ms, into));
            }
        });
        Ok(())
    }
}

impl Dialect for Sock {
    type Entrance = Entrance;
    type Request = Request;

    fn wire(&self) -> usize {
        SOCK_WIRE
    }

    async fn sign_in(entering: &mut Entering<'_, Self>, entrance: Entrance) -> Result<Session, Closing> {
        let session = Session::open(entering.shard, entrance.who, Via::Ws, None, entering.peer());
        session.map_err(|reject| Closing::refused(&reject))
    }

    fn text(&self, session: &Session, text: &str, submissions: &mut Vec<Submission>) -> Next<Request> {
        let incoming = match Incoming::parse(text) {
            Ok(incoming) => incoming,
            Err(fault) => {
                session.append(|into| self.write_error("", &fault, into));
                return Next::More;
            }
        };
        self.deed(session, &incoming, submissions).unwrap_or_else(|fault| {
            session.append(|into| self.write_error(&incoming.topic, &fault, into));
            Next::More
        })
    }

    async fn carry_out(&self, session: &Session, request: Request) {
        let (hub, who) = (&session.shard.hub, &session.who);
        let (topic, done) = match request {
            Request::Unsubscribe(name) => {
                session.leave_topic(&name);
                return;
            }
            Request::Subscribe(name) => {
                let done = self.subscribe(session, &name).await;
                (hallway_broker::mqtt::topic::app_name(&name).into(), done)
            }
            Request::Say(topic, message) => {
                let done = async {
                    message.settle(&*session.topic_rights()?).await?;
                    message.deliver(hub, who, session.actor()).await
                };
                (topic, done.await)
            }
        };
        if let Err(reject) = done {
            session.push(|into| self.write_error(&topic, &reject.into(), into));
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// A message that is kept comes back as its event: only a refusal is said.
    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        let mut waiting = self.waiting.borrow_mut();
        let Some(topic) = waiting.try_remove(tag as usize) else { return };
        if waiting.is_empty() && waiting.capacity() > IDLE_MESSAGES {
            *waiting = Slab::new();
        }
        if let Err(reject) = answer {
            self.write_error(&topic, &reject.into(), into);
        }
    }

    fn goodbye(&self, ending: Ending, _: &mut Vec<u8>) -> Closing {
        Closing::of(ending)
    }
}
