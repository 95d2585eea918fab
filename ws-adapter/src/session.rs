//! JSON-RPC over WebSocket, at `/ws`: sign-in by `session.hello`, then requests in, answers and notifications out.

use std::cell::{Cell, RefCell};

use hallway_broker::edges::SignIns;
use hallway_broker::frame;
use hallway_broker::ids::{ConfNo, EventIds};
use hallway_broker::model::Via;
use hallway_broker::queue::{Answer, Submission};
use hallway_broker::sending::Sending;
use hallway_broker::session::Session;
use hallway_broker::shard::Ending;
use slab::Slab;

use crate::methods::{self, Caller, send};
use crate::rpc::{self, Call, Id, Message};
use crate::socket::{Closing, Dialect, Entering, Next};
use crate::table::MethodId;
use crate::wire::WS_WIRE;

/// Waiting requests that an idle connection keeps room for.
const IDLE_REQUESTS: usize = 16;

/// See the module's text.
pub(crate) struct JsonRpc {
    /// Requests that wait for the hub's answer, by tag.
    waiting: RefCell<Slab<Id>>,
    ids: EventIds,
    /// The conference, once signed in.
    conf: Cell<ConfNo>,
    sending: Sending,
}

impl JsonRpc {
    /// Before anything was said; events have ids by `ids`.
    pub fn new(ids: EventIds) -> Self {
        Self { waiting: RefCell::new(Slab::new()), ids, conf: Cell::new(ConfNo(0)), sending: Sending::of_user() }
    }
}

impl Dialect for JsonRpc {
    type Entrance = SignIns;
    type Request = String;

    fn wire(&self) -> usize {
        WS_WIRE
    }

    /// Reads until `session.hello` has succeeded. Other methods are told to sign in first.
    async fn sign_in(entering: &mut Entering<'_, Self>, sign_ins: SignIns) -> Result<Session, Closing> {
        loop {
            let text = entering.next_text().await?;
            let mut out = Vec::new();
            let session = methods::hello(entering.shard, &sign_ins, entering.peer(), &text, &mut out).await;
            let mut framed = Vec::with_capacity(out.len() + 10);
            if !out.is_empty() {
                frame::write_text_with(&mut framed, |framed| framed.extend_from_slice(&out));
            }
            if let Some(session) = session {
                entering.dialect().conf.set(session.who.conf);
                // By its lane: from now on the shard writes to the socket, too.
                session.push(|into| into.extend_from_slice(&framed));
                return Ok(session);
            }
            entering.write(&framed).await?;
        }
    }

    /// A single `message.send` goes to the queue without a detour; its answer comes through the shard's mailbox.
    fn text(&self, session: &Session, text: &str, submissions: &mut Vec<Submission>) -> Next<String> {
        match rpc::parse(text) {
            Ok(Message::One(Call { id: Some(id), method, params })) if MethodId::named(&method) == Some(MethodId::MessageSend) => {
                match send::prepare(&session.shard.hub, &session.who, &self.sending, params) {
                    Ok(action) => {
                        let tag = u32::try_from(self.waiting.borrow_mut().insert(id)).unwrap_or(u32::MAX);
                        submissions.push(session.submission(tag, action));
                    }
                    Err(early) => {
                        session.append(|into| frame::write_text_with(into, |into| early.write(&id, session.who.conf, &self.ids, into)));
                    }
                }
                Next::More
            }
            Ok(_) => Next::Request(text.to_owned()),
            Err((id, fault)) => {
                session.append(|into| frame::write_text_with(into, |into| rpc::write_error(into, &id, &fault)));
                Next::More
            }
        }
    }

    async fn carry_out(&self, session: &Session, text: String) {
        let caller = Caller {
            hub: &session.shard.hub,
            who: &session.who,
            via: Via::Ws,
            sending: &self.sending,
            session: Some(session),
            is_guest: false,
        };
        let mut out = Vec::new();
        methods::message(&caller, &text, &mut out).await;
        if !out.is_empty() {
            session.push(|into| frame::write_text_with(into, |into| into.extend_from_slice(&out)));
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    fn answer(&self, tag: u32, answer: Answer, into: &mut Vec<u8>) {
        let mut waiting = self.waiting.borrow_mut();
        let Some(id) = waiting.try_remove(tag as usize) else { return };
        if waiting.is_empty() && waiting.capacity() > IDLE_REQUESTS {
            *waiting = Slab::new();
        }
        if answer.is_err() {
            self.sending.forget();
        }
        frame::write_text_with(into, |into| send::write_answer(&id, answer, self.conf.get(), &self.ids, into));
    }

    fn goodbye(&self, ending: Ending, into: &mut Vec<u8>) -> Closing {
        frame::write_text_with(into, |into| crate::wire::write_session_notice(ending, into));
        Closing::of(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::idle_bytes;

    #[test]
    fn an_idle_connection_costs_little() {
        let bytes = idle_bytes::<JsonRpc>();
        assert!(bytes <= 1024, "{bytes} bytes of task and connection");
    }
}
