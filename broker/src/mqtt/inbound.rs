//! What a client sends once it has a session, packet by packet.

use std::sync::Arc;

use super::codec::{Ack, AckKind, Auth, Code, Disconnect, Packet, Publish, Qos, Raw, Violation, write_ack, write_pingresp};
use super::connection::{About, Person};
use super::delivery::Received;
use super::publish::{Deed, Incoming, Publisher};
use super::session::{End, Task};
use crate::allowances::Use;
use crate::badges::{self, Arrival, Whence};
use crate::command::{Action, Reuse};
use crate::model::Signal;
use crate::reject::{Reason, Reject};
use crate::topic::Telling;

/// Topic aliases that a client may use.
pub(super) const TOPIC_ALIASES: u16 = 32;

/// A packet that is carried out when the buffer that it was read into is free again.
pub(super) struct Later {
    first: u8,
    body: Vec<u8>,
}

/// What to do after a packet.
pub(super) enum Next {
    /// The next one.
    More,
    /// This one, with time.
    Later(Later),
}

impl Task {
    /// Handles a packet.
    pub(super) fn packet(&mut self, raw: Raw<'_>) -> Result<Next, End> {
        let later = || Ok(Next::Later(Later { first: raw.first, body: raw.body.to_vec() }));
        match Packet::parse(Some(self.connection.version), raw)? {
            Packet::Publish(publish) => return if self.publish(&publish)? { Ok(Next::More) } else { later() },
            Packet::PubAck(ack) => drop(self.connection.delivery.borrow_mut().acknowledged(ack.packet_id)),
            Packet::PubRec(ack) => self.pubrec(&ack),
            Packet::PubRel(ack) => self.pubrel(&ack),
            Packet::PubComp(ack) => drop(self.connection.delivery.borrow_mut().completed(ack.packet_id)),
            Packet::PingReq => self.ping(),
            Packet::Disconnect(disconnect) => return Err(self.disconnect(&disconnect)),
            Packet::Subscribe(_) | Packet::Unsubscribe(_) => return later(),
            Packet::Auth(auth) => return Err(reauthenticate(&auth)),
            Packet::Connect(_) => return Err(End::with(Code::PROTOCOL_ERROR, "MQTT-3.1.0-2")),
        }
        Ok(Next::More)
    }

    /// Carries out a packet that needs time.
    pub(super) async fn carry_out(&mut self, later: Later) -> Result<(), End> {
        let raw = Raw { first: later.first, body: &later.body };
        match Packet::parse(Some(self.connection.version), raw)? {
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe).await,
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe).await,
            Packet::Publish(publish) => return self.publish_slowly(&publish).await,
            _ => {}
        }
        Ok(())
    }

    /// [MQTT-3.12.4-1]: in its turn, so that who has the answer knows that what they sent before it was taken, with QoS 0 too.
    fn ping(&mut self) {
        let mut acks = self.connection.acks.borrow_mut();
        if acks.len() == 0 {
            drop(acks);
            return self.session.append(write_pingresp);
        }
        let tag = acks.push(0, Qos::AtMostOnce, About::Ping);
        drop(acks);
        let connection = std::rc::Rc::clone(&self.connection);
        self.session.append(|into| connection.settle(tag, Ok(()), into));
    }

    /// PUBREC: the message has arrived, or was refused.
    fn pubrec(&mut self, ack: &Ack<'_>) {
        let version = self.connection.version;
        let received = self.connection.delivery.borrow_mut().received(ack.packet_id, ack.code.is_failure());
        match received {
            // Put on record first.
            Received::Release if self.expiry_s > 0 => self.releases.push(ack.packet_id),
            Received::Release => self.session.append(|into| write_ack(version, AckKind::PubRel, ack.packet_id, Code::SUCCESS, None, into)),
            Received::Refused => {}
            Received::Unknown => {
                let code = Code::PACKET_IDENTIFIER_NOT_FOUND;
                self.session.append(|into| write_ack(version, AckKind::PubRel, ack.packet_id, code, None, into));
            }
        }
    }

    /// PUBREL: the client will not send the message again; its id is free [MQTT-4.3.3-11].
    fn pubrel(&mut self, ack: &Ack<'_>) {
        let mut acks = self.connection.acks.borrow_mut();
        let before = acks.unreleased.len();
        acks.unreleased.retain(|id| *id != ack.packet_id);
        let code = if acks.unreleased.len() < before { Code::SUCCESS } else { Code::PACKET_IDENTIFIER_NOT_FOUND };
        drop(acks);
        let version = self.connection.version;
        self.session.append(|into| write_ack(version, AckKind::PubComp, ack.packet_id, code, None, into));
    }

    fn disconnect(&mut self, disconnect: &Disconnect<'_>) -> End {
        if let Some(expiry_s) = disconnect.session_expiry_s {
            // §3.14.2.2.2
            if self.expiry_s == 0 && expiry_s > 0 {
                return End::with(Code::PROTOCOL_ERROR, "MQTT-3.14.2.2.2");
            }
            self.new_expiry_s = Some(expiry_s);
        }
        if disconnect.code == Code::SUCCESS {
            self.will = None; // [MQTT-3.14.4-3 / 3.1.2-10]
        }
        End::GONE
    }

    /// A message from the client. `false` when it needs time.
    fn publish(&mut self, publish: &Publish<'_>) -> Result<bool, End> {
        let Some(incoming) = self.admit(publish)? else { return Ok(true) };
        if self.connection.person.rights.as_ref().is_some_and(|rights| rights.must_ask(&incoming.topic)) {
            return Ok(false);
        }
        let deed = self.deed(&incoming.as_incoming());
        // Too fast: nothing more is read until it may be. Refusals count, too. JSON-RPC counts for itself.
        if matches!(deed, Ok(Deed::Rpc)) || self.connection.sending.take(&self.edge.hub, &self.session.who).is_err() {
            return Ok(false);
        }
        match deed {
            Ok(deed) => self.act(publish, &incoming.topic, deed),
            Err(reject) => self.answer_now(publish, About::Topic(Arc::clone(&incoming.topic)), Err(reject)),
        }
        Ok(true)
    }

    /// The same with time: waits until the client's rate allows it, and carries out JSON-RPC.
    async fn publish_slowly(&mut self, publish: &Publish<'_>) -> Result<(), End> {
        let Some(incoming) = self.admit(publish)? else { return Ok(()) };
        if !matches!(self.deed(&incoming.as_incoming()), Ok(Deed::Rpc)) {
            self.connection.sending.wait(&self.edge.hub, &self.session.who).await;
        }
        if let Some(rights) = self.connection.person.rights.clone().filter(|rights| rights.must_ask(&incoming.topic)) {
            // What it says is looked at below.
            let _ = rights.settle(&incoming.topic, Use::Publish).await;
        }
        match self.deed(&incoming.as_incoming()) {
            Ok(Deed::Rpc) => self.rpc(publish, &incoming.topic).await,
            Ok(deed) => {
                self.act(publish, &incoming.topic, deed);
                let submissions = std::mem::take(&mut self.submissions);
                if !submissions.is_empty() {
                    self.edge.hub.queue().submit(submissions).await;
                }
            }
            Err(reject) => self.answer_now(publish, About::Topic(Arc::clone(&incoming.topic)), Err(reject)),
        }
        Ok(())
    }

    /// The protocol's half of admission: topic alias, how many are under way, repetitions. `None` when there is nothing to do.
    fn admit<'p>(&mut self, publish: &'p Publish<'p>) -> Result<Option<Admitted<'p>>, End> {
        let topic = self.topic(publish)?;
        if publish.qos != Qos::AtMostOnce {
            let acks = self.connection.acks.borrow();
            if publish.qos == Qos::ExactlyOnce {
                // [MQTT-4.3.3-10]: until it is released, it is the same message.
                if acks.unreleased.contains(&publish.packet_id) {
                    drop(acks);
                    let version = self.connection.version;
                    self.session.append(|into| write_ack(version, AckKind::PubRec, publish.packet_id, Code::SUCCESS, None, into));
                    return Ok(None);
                }
                if acks.waits_for(publish.packet_id) {
                    return Ok(None);
                }
            }
            if acks.under_way() >= self.edge.options.receive_maximum.into() {
                return Err(Violation { code: Code::RECEIVE_MAXIMUM_EXCEEDED, clause: "MQTT-3.3.4-7" }.into());
            }
        }
        let packet = match self.client_hash.filter(|_| publish.qos != Qos::AtMostOnce) {
            Some(client) => Reuse::Packet { client, id: publish.packet_id, dup: publish.dup },
            None => Reuse::NewMessage,
        };
        Ok(Some(Admitted { topic, publish, packet }))
    }

    /// The topic's name, by its alias if need be.
    fn topic(&mut self, publish: &Publish<'_>) -> Result<Arc<str>, End> {
        let Some(alias) = publish.topic_alias else { return Ok(publish.topic.into()) };
        // [MQTT-3.3.2-9]
        let invalid = End::with(Code::TOPIC_ALIAS_INVALID, "MQTT-3.3.2-9");
        if alias > TOPIC_ALIASES {
            return Err(invalid);
        }
        let at = usize::from(alias) - 1;
        if publish.topic.is_empty() {
            return self.aliases.get(at).cloned().flatten().ok_or(End::with(Code::PROTOCOL_ERROR, "MQTT-3.3.2-12"));
        }
        if self.aliases.len() <= at {
            self.aliases.resize(at + 1, None);
        }
        let topic: Arc<str> = publish.topic.into();
        self.aliases[at] = Some(Arc::clone(&topic));
        Ok(topic)
    }

    fn deed(&self, incoming: &Incoming<'_>) -> Result<Deed, Reject> {
        let (who, session) = (&self.session.who, self.session.id);
        let Person { role, rights } = &self.connection.person;
        let (plain_topics, rights) = (self.edge.options.plain_topics, rights.as_deref());
        Publisher { hub: &self.edge.hub, who, role: *role, plain_topics, rights, session }.deed(incoming)
    }

    /// Carries a deed out, or has it carried out.
    fn act(&mut self, publish: &Publish<'_>, topic: &Arc<str>, deed: Deed) {
        match deed {
            Deed::Ask(action) => self.ask(publish, topic, action),
            Deed::Tell(signal) => {
                let told = self.tell(signal);
                self.answer_now(publish, About::Topic(Arc::clone(topic)), told);
            }
            Deed::Presence(presence) => {
                self.session.set_presence(&presence);
                self.answer_now(publish, About::Topic(Arc::clone(topic)), Ok(()));
            }
            Deed::Rpc => {}
            Deed::Scan(packet) => self.scan(publish, topic, packet),
        }
    }

    /// What a badge reader scanned: acknowledged when it is durable. What it is told comes on its result topic.
    fn scan(&mut self, publish: &Publish<'_>, topic: &Arc<str>, packet: Reuse) {
        let (hub, who) = (&self.edge.hub, &self.session.who);
        let arrival = hub.writable().and_then(|()| badges::arrive(hub, who, publish.payload, packet, Whence::Session(self.session.id)));
        if let Ok(arrival) = &arrival {
            arrival.tell(hub, who);
        }
        match arrival {
            Ok(Arrival { action: Some(action), held, .. }) => {
                let tag = self.connection.acks.borrow_mut().push(publish.packet_id, publish.qos, About::Scan(Arc::clone(topic), held));
                self.submissions.push(self.session.submission(tag, action));
            }
            arrival => self.answer_now(publish, About::Topic(Arc::clone(topic)), arrival.map(drop)),
        }
    }

    fn ask(&mut self, publish: &Publish<'_>, topic: &Arc<str>, action: Action) {
        let (hub, who) = (&self.edge.hub, &self.session.who);
        let admitted = hub.writable().and_then(|()| match &action {
            Action::Send(draft) => self.connection.sending.may_post(hub, who, &draft.conversation),
            _ => Ok(()),
        });
        let about = match &action {
            Action::Send(draft) => About::Conversation(who.conference.as_str().into(), draft.conversation.clone()),
            Action::Publish(publication, _) => About::Publication(Arc::clone(publication)),
            _ => About::Topic(Arc::clone(topic)),
        };
        if let Err(reject) = admitted {
            // A repetition gets its old answer even when it would be refused now.
            let earlier = match &action {
                Action::Send(draft) => hub.reader().earlier_answer(who.conf, &who.uid, draft, hub.clock().now_ms()),
                _ => Ok(None),
            };
            let answer = earlier.ok().flatten().map_or(Err(reject), |answer| answer.map(drop));
            return self.answer_now(publish, about, answer);
        }
        let tag = self.connection.acks.borrow_mut().push(publish.packet_id, publish.qos, about);
        self.submissions.push(self.session.submission(tag, action));
    }

    /// Tells a signal; of a conversation, only where the user may read.
    fn tell(&self, signal: Signal) -> Result<(), Reject> {
        let who = &self.session.who;
        let telling = match &signal {
            Signal::Typing { conversation, .. } => {
                Telling::about(&self.edge.hub.reader().readable(who.conf, &who.uid, conversation)?, signal)
            }
            _ => Telling::of(who.conf, signal),
        };
        self.edge.hub.tell(&telling);
        Ok(())
    }

    /// Acknowledges a message that the hub was not asked about, in its turn.
    pub(super) fn answer_now(&mut self, publish: &Publish<'_>, about: About, answer: Result<(), Reject>) {
        if answer.is_ok() && publish.qos == Qos::AtMostOnce {
            return;
        }
        let tag = self.connection.acks.borrow_mut().push(publish.packet_id, publish.qos, about);
        let connection = std::rc::Rc::clone(&self.connection);
        self.session.append(|into| connection.settle(tag, answer, into));
    }

    /// JSON-RPC: the answer goes to the response topic, or to the user's own topic for answers.
    async fn rpc(&mut self, publish: &Publish<'_>, topic: &Arc<str>) {
        let answer = match std::str::from_utf8(publish.payload) {
            Err(_) => Err(Reason::InvalidParams.into()),
            Ok(text) => {
                let rpc = Arc::clone(&self.edge.json_rpc);
                let answer = rpc.call(&self.session, &self.connection.sending, text).await;
                if !answer.is_empty() {
                    self.answer_rpc(publish, &answer);
                }
                Ok(())
            }
        };
        self.answer_now(publish, About::Topic(Arc::clone(topic)), answer);
    }

    /// Sends an answer to this client alone, when it subscribes to where it wants it.
    fn answer_rpc(&mut self, publish: &Publish<'_>, answer: &[u8]) {
        let mut own = String::new();
        let who = &self.session.who;
        super::topic::rpc_answer_topic(&mut own, who.conference.as_str(), &who.uid);
        let topic = publish.message.response_topic.unwrap_or(&own);
        let mut delivery = self.connection.delivery.borrow_mut();
        let Some(grant) = delivery.subscriptions.grant(topic, u64::MAX, false) else { return };
        let message = super::codec::MessageProperties {
            payload_is_utf8: true,
            content_type: Some("application/json"),
            correlation_data: publish.message.correlation_data,
            ..Default::default()
        };
        let packet = super::codec::Outgoing {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: false,
            topic,
            packet_id: 0,
            topic_alias: None,
            subscription_identifiers: grant.identifiers,
            message,
            payload: answer,
        };
        let version = self.connection.version;
        self.session.append(|into| {
            super::codec::write_publish(version, &packet, into);
        });
    }
}

/// A message that the protocol admits.
struct Admitted<'p> {
    topic: Arc<str>,
    publish: &'p Publish<'p>,
    packet: Reuse,
}

impl Admitted<'_> {
    fn as_incoming(&self) -> Incoming<'_> {
        let Publish { payload, qos, retain, message, .. } = *self.publish;
        Incoming { topic: &self.topic, payload, qos, retain, message, packet: self.packet }
    }
}

/// AUTH after the connection was made: whoever signed in stays who they are (§4.12.1 lets a server refuse).
fn reauthenticate(auth: &Auth<'_>) -> End {
    match auth.code {
        Code::REAUTHENTICATE => End::with(Code::BAD_AUTHENTICATION_METHOD, "MQTT-4.12.1-1"),
        _ => End::with(Code::PROTOCOL_ERROR, "MQTT-4.12.0-5"),
    }
}
