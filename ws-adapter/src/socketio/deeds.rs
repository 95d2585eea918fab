//! The events that are carried out one after the other: rooms, typing, names, one's own connections, JSON-RPC.

use hallway_broker::command::Action;
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::model::{Body, Via};
use hallway_broker::reject::Reason;
use hallway_broker::session::{CatchUp, Session, Subscribed};
use hallway_broker::shard::Ending;
use hallway_broker::topic::{How, Parts};
use serde::Serialize;
use serde_json::value::RawValue;

use super::packet::{self, Event, Packet, ack, event};
use super::shapes::{DisconnectRequest, Done, Room, Typing, place, write, write_message, write_refusal};
use super::speaker::Speaker;
use crate::methods::{self, Caller};
use crate::rpc::{Fault, codes};
use crate::types::{Time, conversation_id};

/// Own connections that `connections` shows, at most.
const MAX_CONNECTIONS: usize = 64;

/// How messages are followed: what one sent oneself, one knows.
pub(crate) fn how() -> How {
    How { echo: false, parts: Parts::MESSAGES | Parts::TYPING, acked: false, stamped: false }
}

/// The argument that must be there.
fn argument<'a>(event: &Event<'a>) -> Result<&'a RawValue, Fault> {
    event.arguments.first().copied().ok_or_else(|| Fault::invalid_params("no argument"))
}

fn read<'a, T: serde::Deserialize<'a>>(event: &Event<'a>) -> Result<T, Fault> {
    serde_json::from_str(argument(event)?.get()).map_err(Fault::invalid_params)
}

impl Speaker {
    fn caller<'a>(&'a self, session: &'a Session) -> Caller<'a> {
        let hub = &session.shard.hub;
        Caller { hub, who: &session.who, via: Via::Socketio, sending: &self.sending, session: Some(session), is_guest: false }
    }

    /// Carries out an event that was heard.
    pub async fn carry_out(&self, session: &Session, text: &str) {
        let Ok(Packet::Event(event, id)) = packet::parse(text) else { return };
        match &*event.name {
            "rpc" => self.rpc(session, &event, id).await,
            "join" => self.join(session, &event, id).await,
            "createUser" => self.rename(session, &event, id).await,
            name => {
                let done = match name {
                    "leave" => self.leave(session, &event),
                    "typing" => self.typing(session, &event),
                    "disconnectRequest" => disconnect(session, &event),
                    _ => Err(Fault::new(codes::UNKNOWN_METHOD, "unknown_event", "there is no such event")),
                };
                session.push(|into| {
                    ack(id, into, |out| match &done {
                        Ok(()) => write(&Done { ok: true, ..Done::default() }, out),
                        Err(fault) => write_refusal(fault, out),
                    });
                });
            }
        }
    }

    /// Follows a room from now on, or from a seq on; who is invited comes in by it.
    async fn join(&self, session: &Session, event: &Event<'_>, id: Option<u64>) {
        let followed = self.follow(session, event).await;
        session.push(|into| match &followed {
            Ok((conversation, subscribed)) => {
                let seq = subscribed.as_ref().map(|subscribed| subscribed.head.seq);
                let done = Done { ok: true, conversation: Some(conversation.as_str()), seq, ..Done::default() };
                ack(id, into, |out| write(&done, out));
                for missed in subscribed.iter().flat_map(|subscribed| &subscribed.page.events) {
                    if let Body::Message(message) = &missed.entry.body {
                        packet::event("message", into, |out| write_message(missed, message, &self.ids, out));
                    }
                }
            }
            Err(fault) => ack(id, into, |out| write_refusal(fault, out)),
        });
    }

    async fn follow(&self, session: &Session, event: &Event<'_>) -> Result<(ConversationId, Option<Subscribed>), Fault> {
        let room = Room::parse(argument(event)?)?;
        let conversation = conversation_id(&room.conversation)?;
        self.sending.take(&session.shard.hub, &session.who)?;
        if conversation.partner(&session.who.uid).is_some() {
            // Direct messages come anyway.
            return Ok((conversation, None));
        }
        let catch_up = room.after.map_or(CatchUp::Live, CatchUp::After);
        let subscribed = match session.subscribe(&conversation, catch_up, how()).await {
            Err(reject) if reject.reason == Reason::NotAMember => {
                session.call(Action::Join { conversation: conversation.clone() }).await?;
                session.subscribe(&conversation, catch_up, how()).await?
            }
            subscribed => subscribed?,
        };
        Ok((conversation, Some(subscribed)))
    }

    /// Stops following a room; a member stays one.
    fn leave(&self, session: &Session, event: &Event<'_>) -> Result<(), Fault> {
        let conversation = conversation_id(&Room::parse(argument(event)?)?.conversation)?;
        self.sending.take(&session.shard.hub, &session.who)?;
        if conversation.partner(&session.who.uid).is_none() {
            session.unsubscribe(&conversation)?;
        }
        Ok(())
    }

    fn typing(&self, session: &Session, event: &Event<'_>) -> Result<(), Fault> {
        let wanted: Typing<'_> = read(event)?;
        let conversation = place(&session.who.uid, wanted.receiver_id.as_deref(), wanted.conversation.as_deref())?;
        methods::type_in(&self.caller(session), conversation, wanted.on)
    }

    /// One who is signed in takes another display name.
    async fn rename(&self, session: &Session, event: &Event<'_>, id: Option<u64>) {
        let renamed = async {
            let name = super::arrival::display_name(argument(event)?)?;
            self.sending.take(&session.shard.hub, &session.who)?;
            session.call(Action::UpdateProfile { name: Some(name), about: None }).await?;
            Ok::<(), Fault>(())
        };
        let renamed = renamed.await;
        session.push(|into| ack(id, into, |out| write_taken(renamed.err().as_ref(), out)));
    }

    /// JSON-RPC; a notification, which has no answer, is acknowledged by nothing.
    async fn rpc(&self, session: &Session, event: &Event<'_>, id: Option<u64>) {
        let mut answer = Vec::new();
        match event.arguments.first() {
            Some(request) => methods::message(&self.caller(session), request.get(), &mut answer).await,
            None => crate::rpc::write_error(&mut answer, &crate::rpc::Id::NULL, &Fault::invalid_request("no argument")),
        }
        session.push(|into| ack(id, into, |out| out.extend_from_slice(&answer)));
    }
}

/// `createUser`'s answer: whether one has the name, and if not, why.
pub(crate) fn write_taken(fault: Option<&Fault>, out: &mut Vec<u8>) {
    match fault {
        None => out.extend_from_slice(b"true"),
        Some(fault) => {
            out.extend_from_slice(b"false,");
            write_refusal(fault, out);
        }
    }
}

/// Ends one of one's own connections, of whatever protocol.
fn disconnect(session: &Session, event: &Event<'_>) -> Result<(), Fault> {
    let wanted: DisconnectRequest<'_> = read(event)?;
    let hub = &session.shard.hub;
    let own = hub.sessions().of(session.who.conf, &session.who.uid);
    let live = own.iter().find(|live| live.id.to_string() == *wanted.socket_id.0).ok_or(Reason::UnknownSession)?;
    hub.end_session(live, Ending::Closed);
    Ok(())
}

/// One of somebody's own connections.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    socket_id: String,
    protocol: &'static str,
    since: Time,
    current: bool,
}

/// Appends the user's live connections as event `connections`, for the session `current`.
pub(crate) fn write_connections(hub: &Hub, conf: ConfNo, uid: &Uid, current: u64, into: &mut Vec<u8>) {
    let own = hub.sessions().of(conf, uid);
    let rows: Vec<Connection> = own
        .into_iter()
        .take(MAX_CONNECTIONS)
        .map(|live| Connection {
            socket_id: live.id.to_string(),
            protocol: live.via.word(),
            since: Time(live.since_ms),
            current: live.id == current,
        })
        .collect();
    event("connections", into, |out| write(&rows, out));
}
