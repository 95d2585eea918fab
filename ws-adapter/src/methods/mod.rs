//! The methods' handlers: from parameters to the hub and back to a result. What a method is called and takes is in
//! [`crate::table`]; what it means is in `PROTOCOL.md`.

mod attendees;
mod badges;
mod contacts;
mod conversations;
mod leads;
mod people;
mod push;
mod readers;
mod scanned;
mod search;
pub(crate) mod send;
mod sessions;
mod topics;

use std::sync::Arc;

use hallway_broker::command::{Action, Actor, Outcome};
use hallway_broker::hub::Hub;
use hallway_broker::ids::EventIds;
use hallway_broker::model::{Conference, ContactDeed, UserRole, Via};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::sending::Sending;
use hallway_broker::session::{Session, Who};
use hallway_broker::topic::How;
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) use conversations::type_in;
pub(crate) use sessions::hello;

use crate::rpc::{self, Batch, Call, Entry, Fault, Id, Message};
use crate::table::MethodId;

/// Who calls, and over what.
pub(crate) struct Caller<'a> {
    pub hub: &'a Arc<Hub>,
    pub who: &'a Who,
    pub via: Via,
    pub sending: &'a Sending,
    /// The live session; none over HTTP.
    pub session: Option<&'a Session>,
    /// The session is another edge's.
    pub is_guest: bool,
}

/// A result as JSON, or why there is none.
type Json = Result<Vec<u8>, Fault>;

fn json<T: Serialize>(result: &T) -> Json {
    serde_json::to_vec(result).map_err(|error| {
        tracing::error!(%error, "a result that is not JSON");
        Reason::StoreError.into()
    })
}

impl Caller<'_> {
    fn ids(&self) -> EventIds {
        self.hub.reader().ids()
    }

    fn live(&self) -> Result<&Session, Fault> {
        self.session.ok_or_else(Fault::needs_session)
    }

    fn conference(&self) -> Result<Conference, Fault> {
        let found = self.hub.reader().conference(self.who.conference.as_str()).map_err(Reject::from)?;
        Ok(found.ok_or(Reason::UnknownConference)?)
    }

    fn role(&self) -> Result<UserRole, Fault> {
        let user = self.hub.reader().user(self.who.conf, &self.who.uid).map_err(Reject::from)?;
        Ok(user.ok_or(Reason::SessionEnded)?.role)
    }

    /// Whether the caller is more than a badge reader.
    fn takes_part(&self) -> Result<bool, Fault> {
        self.session.map_or_else(|| Ok(self.role()?.takes_part()), |session| Ok(session.takes_part))
    }

    /// # Errors
    /// `staff_only`.
    fn staff(&self) -> Result<(), Fault> {
        if self.role()?.is_staff() { Ok(()) } else { Err(Reason::StaffOnly.into()) }
    }

    /// Counts a request that changes something, or tells it to others, like a message.
    fn take_rate(&self) -> Result<(), Fault> {
        Ok(self.sending.take(self.hub, self.who)?)
    }

    /// How a session reads what it subscribes to: over Socket.IO, whose own events have other shapes, each gets a copy as notifications.
    fn how(&self, echo: bool) -> How {
        How { stamped: self.via == Via::Socketio, ..How::plain(echo) }
    }

    fn actor(&self) -> Actor {
        match self.session {
            Some(session) => session.actor(),
            None => Actor { uid: self.who.uid.clone(), via: self.via, session: 0 },
        }
    }

    /// Somebody does something: they are not away.
    fn note(&self, action: &Action) {
        match self.session {
            Some(session) => session.note(action),
            None if action.is_deed() => self.hub.sessions().note_request(self.who.conf, &self.who.uid, self.hub.clock().now_ms()),
            None => {}
        }
    }

    async fn act(&self, action: Action) -> Result<Outcome, Fault> {
        self.note(&action);
        Ok(self.hub.call(self.who.conf, self.actor(), action).await?)
    }
}

/// Carries out a message's text and appends the answer, nothing when there is none. The answers of a batch are written as one, so that all are
/// held until the last: what comes after [`answers_bytes`](hallway_broker::limits::Limits::answers_bytes) of them is not carried out.
pub(crate) async fn message(caller: &Caller<'_>, text: &str, out: &mut Vec<u8>) {
    match rpc::parse(text) {
        Err((id, fault)) => rpc::write_error(out, &id, &fault),
        Ok(Message::One(call)) => entry(caller, Ok(call), out).await,
        Ok(Message::Batch(entries)) => {
            let mut batch = Batch::new();
            let mut entries = entries.into_iter().peekable();
            while let Some(first) = entries.next() {
                if batch.bytes() > caller.hub.limits().answers_bytes {
                    batch.add(|out| put_off(first, out));
                    continue;
                }
                // Messages in a row go to the log together; anything else sees what came before it.
                let mut run: Vec<Call<'_>> = Vec::new();
                match first {
                    Ok(call) if is_send(&call) => run.push(call),
                    one => {
                        let mut answer = Vec::new();
                        entry(caller, one, &mut answer).await;
                        batch.add(|out| out.extend_from_slice(&answer));
                        continue;
                    }
                }
                while let Some(Ok(call)) = entries.next_if(|next| next.as_ref().is_ok_and(is_send)) {
                    run.push(call);
                }
                send::run(caller, run, &mut batch).await;
            }
            out.extend(batch.finish().unwrap_or_default());
        }
    }
}

/// Answers that there is no room for the answer; notifications are dropped.
fn put_off(entry: Entry<'_>, out: &mut Vec<u8>) {
    match entry {
        Ok(Call { id: Some(id), .. }) => rpc::write_error(out, &id, &Reason::Busy.into()),
        Ok(Call { id: None, .. }) => {}
        Err((id, fault)) => rpc::write_error(out, &id, &fault),
    }
}

fn is_send(call: &Call<'_>) -> bool {
    MethodId::named(&call.method) == Some(MethodId::MessageSend)
}

async fn entry(caller: &Caller<'_>, entry: Entry<'_>, out: &mut Vec<u8>) {
    let Call { id, method, params } = match entry {
        Ok(call) => call,
        Err((id, fault)) => return rpc::write_error(out, &id, &fault),
    };
    let result = match MethodId::named(&method) {
        Some(method) => call(caller, method, params).await,
        None => Err(Fault::unknown_method()),
    };
    if let Some(id) = id {
        write(&id, result, out);
    }
}

/// Appends a result or fault.
pub(crate) fn write(id: &Id, result: Json, out: &mut Vec<u8>) {
    match result {
        Ok(json) => rpc::write_result_with(out, id, |out| out.extend_from_slice(&json)),
        Err(fault) => rpc::write_error(out, id, &fault),
    }
}

/// Whether a method begins a session or says what it follows, for which each protocol has its own words.
fn is_of_the_edge(method: MethodId) -> bool {
    use MethodId as M;
    matches!(method, M::SessionHello | M::ConversationSubscribe | M::ConversationUnsubscribe | M::TopicSubscribe | M::TopicUnsubscribe)
}

/// What a badge reader may call.
fn is_of_readers(method: MethodId) -> bool {
    use MethodId as M;
    matches!(method, M::SessionHello | M::SessionList | M::SessionClose | M::BadgeScan)
}

async fn call(caller: &Caller<'_>, method: MethodId, params: Option<&RawValue>) -> Json {
    use MethodId as M;
    if !is_of_readers(method) && !caller.takes_part()? {
        return Err(Reason::NotAllowed.into());
    }
    if caller.is_guest && is_of_the_edge(method) {
        return Err(Fault::not_over_this_protocol());
    }
    match method {
        M::SessionHello => caller.live().and(Err(Reason::AlreadySignedIn.into())),
        M::SessionList => sessions::list(caller),
        M::SessionClose => sessions::close(caller, params).await,
        M::PresenceSet => sessions::set_presence(caller, params),
        M::MessageSend => send::send(caller, params).await,
        M::MessageEdit => send::edit(caller, params).await,
        M::MessageDelete => send::delete(caller, params).await,
        M::MessageReact => send::react(caller, params).await,
        M::MessageSearch => search::search(caller, params).await,
        M::ConversationList => conversations::list(caller, params).await,
        M::ConversationOpen => conversations::open(caller, params).await,
        M::ConversationCreate => conversations::create(caller, params).await,
        M::ConversationUpdate => conversations::update(caller, params).await,
        M::ConversationJoin => conversations::join(caller, params).await,
        M::ConversationLeave => conversations::leave(caller, params).await,
        M::ConversationInvite => conversations::invite(caller, params).await,
        M::ConversationRemove => conversations::remove(caller, params).await,
        M::ConversationRole => conversations::role(caller, params).await,
        M::ConversationMembers => conversations::members(caller, params).await,
        M::ConversationSubscribe => conversations::subscribe(caller, params).await,
        M::ConversationUnsubscribe => conversations::unsubscribe(caller, params).await,
        M::ConversationHistory => conversations::history(caller, params).await,
        M::ConversationRead => conversations::read(caller, params).await,
        M::ConversationTyping => conversations::typing(caller, params).await,
        M::ConversationNotify => push::notify(caller, params).await,
        M::PushRegister => push::register(caller, params).await,
        M::PushUnregister => push::unregister(caller, params).await,
        M::PushList => push::list(caller).await,
        M::PushKey => push::key(caller),
        M::PushSettings => push::settings(caller, params).await,
        M::PushDead => push::dead(caller, params).await,
        M::PushReplay => push::replay(caller, params).await,
        M::TopicSubscribe => topics::subscribe(caller, params).await,
        M::TopicUnsubscribe => topics::unsubscribe(caller, params),
        M::TopicTransmit => topics::transmit(caller, params).await,
        M::PeopleList => people::list(caller, params).await,
        M::PeopleGet => people::get(caller, params),
        M::PeopleUpdate => people::update(caller, params).await,
        M::PeopleBlock => people::block(caller, params).await,
        M::PeopleExport => people::export(caller, params).await,
        M::PeopleErase => people::erase(caller, params).await,
        M::BadgeAssign => badges::assign(caller, params).await,
        M::BadgeRevoke => badges::revoke(caller, params).await,
        M::BadgeList => badges::list(caller, params).await,
        M::BadgeMine => badges::mine(caller),
        M::BadgeScan => badges::scan(caller, params).await,
        M::ReaderSet => readers::set(caller, params).await,
        M::ReaderRemove => readers::remove(caller, params).await,
        M::ReaderList => readers::list(caller, params).await,
        M::CheckinList => badges::checkins(caller, params).await,
        M::CheckinCount => badges::checkin_count(caller),
        M::CheckinUndo => badges::undo_checkin(caller, params).await,
        M::AttendanceList => badges::attendance(caller, params).await,
        M::ContactList => contacts::list(caller, params).await,
        M::ContactAsk => contacts::deed(caller, params, ContactDeed::Ask).await,
        M::ContactAccept => contacts::deed(caller, params, ContactDeed::Accept).await,
        M::ContactDecline => contacts::deed(caller, params, ContactDeed::Decline).await,
        M::ContactRemove => contacts::deed(caller, params, ContactDeed::Remove).await,
        M::LeadList => leads::list(caller, params).await,
        M::LeadUpdate => leads::update(caller, params).await,
        M::LeadRemove => leads::remove(caller, params).await,
        M::LeadExport => leads::export(caller, params).await,
        M::LeadHolders => leads::holders(caller, params).await,
        M::LeadWithdraw => leads::withdraw(caller, params).await,
        M::AttendeeImport => attendees::import(caller, params).await,
    }
}
