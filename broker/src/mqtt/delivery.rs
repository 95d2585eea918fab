//! What is on its way to one client: the copies that are made for it alone, and what of them it has not acknowledged. No IO, no clock.
//!
//! A packet id follows from the message's pos, so that the same message has the same id whenever it is sent again, after a crash of the server
//! too, without a record of which id was given to what.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use super::aliases::Aliases;
use super::codec::{Qos, Stamp, Version, restamp, topic_in};
use super::subscriptions::{Subscription, Subscriptions};
use super::wire::{topic_of, write_publication, write_signal};
use crate::model::{Body, Event, InFlight, Signal};
use crate::outbox::Stamped;
use crate::recent::Published;
use crate::shares::{Message, Share};
use crate::topic::Telling;

/// Capacity that an empty window may keep.
const IDLE_CAPACITY: usize = 1;

/// The packet id of the message at `pos`.
#[must_use]
pub fn packet_id(pos: u64) -> u16 {
    // 1 to 65,535 [MQTT-2.2.1-3]
    u16::try_from(pos % u64::from(u16::MAX)).unwrap_or(0) + 1
}

/// What a client said of a QoS 2 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is to be released.
    Release,
    /// The client refused it: its id is free.
    Refused,
    /// Nothing of this id is under way.
    Unknown,
}

/// See the module's text.
#[derive(Debug)]
pub struct Delivery {
    version: Version,
    /// The session, for what it must not get of its own.
    session: u64,
    /// The session's subscriptions.
    pub subscriptions: Subscriptions,
    /// Sent and not acknowledged, in the order in which they were sent.
    in_flight: VecDeque<InFlight>,
    /// QoS 2 messages of a session that outlives its connection: sent only when it is on record that they are.
    reserved: Vec<InFlight>,
    is_kept: bool,
    /// Bounds of the pos in flight: while they are near, no two have the same packet id.
    span: (u64, u64),
    /// How many may be in flight (MQTT 5 §4.9).
    window: usize,
    max_packet_bytes: usize,
    /// The numbers of topics on this connection.
    aliases: Aliases,
    /// What was in flight when the session came back, ascending.
    resent: Vec<u64>,
    /// What is at or below this pos may have been sent by a server that was killed.
    dup_through: u64,
    /// There was no room for the next message; said until something is acknowledged or reserved.
    blocked: bool,
    /// Grows with every change of what is in flight.
    changes: u64,
}

impl Delivery {
    /// For a client that takes packets of `max_packet_bytes`, of which `window` may be in flight, and so many topic aliases.
    #[must_use]
    pub fn new(version: Version, window: u16, max_packet_bytes: u32, topic_aliases: u16) -> Self {
        Self {
            version,
            session: 0,
            subscriptions: Subscriptions::default(),
            in_flight: VecDeque::new(),
            reserved: Vec::new(),
            is_kept: false,
            span: (u64::MAX, 0),
            window: window.into(),
            max_packet_bytes: usize::try_from(max_packet_bytes).unwrap_or(usize::MAX),
            aliases: Aliases::new(topic_aliases),
            resent: Vec::new(),
            dup_through: 0,
            blocked: false,
            changes: 0,
        }
    }

    /// Belongs to a session from now on, that `is_kept` when the connection ends. What was `in_flight` before is, and is to be sent again; what is
    /// at or below `dup_through` may have been sent already.
    pub fn begin(&mut self, session: u64, is_kept: bool, in_flight: Vec<InFlight>, dup_through: u64) {
        (self.session, self.is_kept, self.dup_through) = (session, is_kept, dup_through);
        self.resent = in_flight.iter().map(|sent| sent.pos).collect();
        self.resent.sort_unstable();
        in_flight.into_iter().for_each(|sent| self.push(sent));
    }

    /// Whether the message was in flight when the session came back: it was sent again then, and is not given from the store, too.
    fn is_resent(&self, pos: u64) -> bool {
        self.resent.last().is_some_and(|last| pos <= *last) && self.resent.binary_search(&pos).is_ok()
    }

    /// What is in flight.
    pub fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.in_flight.iter()
    }

    /// What goes on record: what is in flight, and what is to be.
    #[must_use]
    pub fn record(&self) -> Vec<InFlight> {
        let sent = |one: &&InFlight| !self.in_flight.iter().any(|other| other.pos == one.pos);
        self.in_flight.iter().chain(self.reserved.iter().filter(sent)).cloned().collect()
    }

    /// Grows with every change of what is in flight.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether the client takes more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.blocked
    }

    /// How many messages are in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether nothing is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether one more message, at `pos`, may be in flight.
    #[must_use]
    pub fn takes(&mut self, pos: u64) -> bool {
        if self.in_flight.len() >= self.window {
            return false;
        }
        let (low, high) = self.span;
        if self.in_flight.is_empty() || (pos > high && pos - low < u64::from(u16::MAX)) {
            return true;
        }
        // The span only grows while something is in flight: seldom, it is measured anew.
        let (mut span, mut is_free) = ((u64::MAX, 0), true);
        for sent in &self.in_flight {
            is_free &= packet_id(sent.pos) != packet_id(pos);
            span = (sent.pos.min(span.0), sent.pos.max(span.1));
        }
        self.span = span;
        is_free
    }

    /// Nothing more is taken until something is acknowledged.
    pub fn block(&mut self) {
        self.blocked = !self.in_flight.is_empty();
    }

    /// Whether the client takes copies that all receivers share: packets of any length, with their topics.
    #[must_use]
    pub fn takes_shared(&self) -> bool {
        self.max_packet_bytes >= u32::MAX as usize && self.aliases.most == 0
    }

    /// Whether the client does not take packets of so many bytes [MQTT-3.1.2-24].
    #[must_use]
    pub fn is_too_large(&self, bytes: usize) -> bool {
        bytes > self.max_packet_bytes
    }

    /// A message is in flight from now on.
    pub fn push(&mut self, sent: InFlight) {
        self.changes += 1;
        let (low, high) = if self.in_flight.is_empty() { (u64::MAX, 0) } else { self.span };
        self.span = (low.min(sent.pos), high.max(sent.pos));
        if self.in_flight.capacity() == 0 {
            // Most clients are given one now and then.
            self.in_flight.reserve_exact(1);
        }
        self.in_flight.push_back(sent);
    }

    /// See [`crate::outbox::Link::stamp`].
    pub fn stamp(&mut self, published: &Published, form: &[u8], now_ms: impl Fn() -> u64, into: &mut Vec<u8>) -> Stamped {
        let event = &published.event;
        let (pos, is_own) = (event.entry.pos, event.origin == self.session);
        if self.is_resent(pos) {
            return Stamped::Unwanted;
        }
        let publication = match &event.entry.body {
            Body::Publication(publication) | Body::Stored(publication) => Some(publication),
            _ => None,
        };
        // The window's check comes before, since the grant borrows the subscriptions.
        let takes = self.takes(pos);
        let Some(grant) = self.subscriptions.grant(topic_in(form), pos, is_own) else { return Stamped::Unwanted };
        let qos = publication.map_or(grant.qos, |publication| grant.qos.min(Qos::from_bits(publication.qos).unwrap_or(grant.qos)));
        // The clock is only looked at for what it matters to.
        let expiring = publication.filter(|publication| publication.expires_ms != u64::MAX).map(|publication| (publication, now_ms()));
        if expiring.is_some_and(|(publication, now_ms)| publication.is_expired(now_ms)) {
            return Stamped::Unwanted; // [MQTT-3.3.2-5]
        }
        let is_reserved = || !self.is_kept || self.reserved.iter().any(|reserved| reserved.pos == pos);
        if qos != Qos::AtMostOnce && !(takes && (qos == Qos::AtLeastOnce || is_reserved())) {
            // What is only to go on record first is reserved by the next refill.
            if !takes {
                self.block();
            }
            return Stamped::NoRoom;
        }
        let retain = grant.retain_as_published && publication.is_some_and(|publication| publication.retain); // [MQTT-3.3.1-13]
        let (start, names) = (into.len(), self.aliases.len());
        let (dup, packet_id, identifiers) = (pos <= self.dup_through, packet_id(pos), grant.identifiers);
        let stamp = Stamp { dup, qos, retain, packet_id, identifiers, alias: self.aliases.of(topic_in(form)) };
        match expiring {
            Some((publication, now_ms)) => write_publication(self.version, publication, &stamp, now_ms, into),
            None => restamp(self.version, form, &stamp, into),
        }
        if into.len() - start > self.max_packet_bytes {
            into.truncate(start); // [MQTT-3.1.2-25]: as if it had been sent
            self.aliases.truncate(names);
            return Stamped::Unwanted;
        }
        if qos != Qos::AtMostOnce {
            self.reserved.retain(|reserved| reserved.pos != pos);
            self.push(in_flight(event, qos));
        }
        Stamped::Given
    }

    /// See [`crate::outbox::Link::stamp_signal`].
    pub fn stamp_signal(&mut self, telling: &Telling, form: &[u8], into: &mut Vec<u8>) -> Stamped {
        let (is_own, retain) = match &telling.signal {
            Signal::Published { origin, publication, .. } => (*origin == self.session, publication.retain),
            _ => (false, false),
        };
        let topic = topic_in(form);
        let Some(grant) = self.subscriptions.grant(topic, u64::MAX, is_own) else { return Stamped::Unwanted };
        let (start, names) = (into.len(), self.aliases.len());
        let retain = grant.retain_as_published && retain;
        let stamp = Stamp { retain, identifiers: grant.identifiers, alias: self.aliases.of(topic), ..Stamp::default() };
        // The form has QoS 0: it is written anew when there is something to add.
        match &telling.signal {
            _ if stamp == Stamp::default() => into.extend_from_slice(form),
            Signal::Published { publication, .. } => write_publication(self.version, publication, &stamp, 0, into),
            signal => write_signal(self.version, topic, signal, &stamp, into),
        }
        if into.len() - start > self.max_packet_bytes {
            into.truncate(start);
            self.aliases.truncate(names);
            return Stamped::Unwanted;
        }
        Stamped::Given
    }

    /// See [`crate::outbox::Link::stamp_share`].
    pub fn stamp_share(&mut self, share: &Share, form: &[u8], now_ms: u64, into: &mut Vec<u8>) -> Stamped {
        let Some(subscription) = self.subscriptions.get(&share.filter) else { return Stamped::Unwanted };
        let Subscription { qos: granted, identifier, .. } = *subscription;
        let identifiers = Subscription::identifiers(&identifier);
        let (publication, event) = match &share.message {
            Message::Event(published) => match &published.event.entry.body {
                Body::Publication(publication) | Body::Stored(publication) => (publication, Some(&published.event)),
                _ => return Stamped::Unwanted,
            },
            Message::Telling(telling) => match &telling.signal {
                Signal::Published { publication, .. } => (publication, None),
                _ => return Stamped::Unwanted,
            },
        };
        if publication.is_expired(now_ms) {
            return Stamped::Unwanted;
        }
        let qos = event.map_or(Qos::AtMostOnce, |_| granted.min(Qos::from_bits(publication.qos).unwrap_or(Qos::AtMostOnce)));
        let pos = event.map_or(0, |event| event.entry.pos);
        if qos != Qos::AtMostOnce && !self.takes(pos) {
            self.block();
            return Stamped::NoRoom;
        }
        let (start, names) = (into.len(), self.aliases.len());
        let stamp = Stamp { qos, packet_id: packet_id(pos), identifiers, alias: self.aliases.of(&publication.topic), ..Stamp::default() };
        match event {
            Some(_) if publication.expires_ms == u64::MAX => restamp(self.version, form, &stamp, into),
            _ => write_publication(self.version, publication, &stamp, now_ms, into),
        }
        if self.is_too_large(into.len() - start) {
            into.truncate(start);
            self.aliases.truncate(names);
            return Stamped::Unwanted;
        }
        if let Some(event) = event.filter(|_| qos != Qos::AtMostOnce) {
            self.push(in_flight(event, qos));
        }
        Stamped::Given
    }

    /// Where the stamping is: how many messages are in flight. Next comes [`Delivery::unstamp`] at most.
    pub fn stamps(&mut self) -> usize {
        self.aliases.mark = self.aliases.len();
        self.in_flight.len()
    }

    /// Takes back what was stamped since [`Delivery::stamps`], when as many were in flight.
    pub fn unstamp(&mut self, len: usize) {
        self.changes += 1;
        self.in_flight.truncate(len);
        self.aliases.truncate(self.aliases.mark);
    }

    /// Of messages that are about to be stamped, puts those on the list of what is to be on record first that have to be. Whether there are any
    /// that were not.
    pub fn reserve(&mut self, conference: &str, events: &[Arc<Published>]) -> bool {
        self.blocked = false;
        if !self.is_kept {
            return false;
        }
        let mut topic = String::new();
        let (mut fresh, mut room) = (false, self.window.saturating_sub(self.in_flight.len()));
        self.reserved.retain(|reserved| events.iter().any(|published| published.pos() == reserved.pos));
        for published in events {
            let event = &published.event;
            if self.is_resent(event.entry.pos) {
                continue;
            }
            topic.clear();
            topic_of(conference, event, &mut topic);
            let Some(grant) = self.subscriptions.grant(&topic, event.entry.pos, event.origin == self.session) else { continue };
            let most = match &event.entry.body {
                Body::Publication(publication) | Body::Stored(publication) => publication.qos,
                _ => Qos::ExactlyOnce.into(),
            };
            if u8::from(grant.qos).min(most) == 0 {
                continue;
            }
            if room == 0 {
                break;
            }
            room -= 1;
            let is_known = self.reserved.iter().any(|reserved| reserved.pos == event.entry.pos);
            if grant.qos == Qos::ExactlyOnce && most == 2 && !is_known {
                self.reserved.push(in_flight(event, Qos::ExactlyOnce));
                fresh = true;
            }
        }
        fresh
    }

    /// The connection is over: what was only to be sent is not.
    pub fn forget_reserved(&mut self) {
        self.reserved.clear();
    }

    /// PUBACK. Whether something of this id was under way.
    pub fn acknowledged(&mut self, id: u16) -> bool {
        self.take(id, |sent| sent.qos == 1)
    }

    /// PUBREC.
    pub fn received(&mut self, id: u16, is_refused: bool) -> Received {
        if is_refused {
            return if self.take(id, |sent| sent.qos == 2) { Received::Refused } else { Received::Unknown };
        }
        match self.in_flight.iter_mut().find(|sent| packet_id(sent.pos) == id && sent.qos == 2) {
            Some(sent) => {
                sent.released = true;
                self.changes += 1;
                Received::Release
            }
            None => Received::Unknown,
        }
    }

    /// PUBCOMP. Whether something of this id was to be completed.
    pub fn completed(&mut self, id: u16) -> bool {
        self.take(id, |sent| sent.qos == 2 && sent.released)
    }

    /// Takes out what is in flight and not as it should be: it can be read no more.
    pub fn drop_unsent(&mut self, pos: u64) {
        self.changes += 1;
        self.in_flight.retain(|sent| sent.pos != pos);
    }

    fn take(&mut self, id: u16, fits: impl Fn(&InFlight) -> bool) -> bool {
        // Acknowledgements come in the order in which messages were sent, or nearly so.
        let Some(at) = self.in_flight.iter().position(|sent| packet_id(sent.pos) == id && fits(sent)) else { return false };
        self.in_flight.remove(at);
        self.changes += 1;
        self.blocked = false;
        if self.in_flight.is_empty() && self.in_flight.capacity() > IDLE_CAPACITY {
            self.in_flight = VecDeque::new();
        }
        true
    }
}

/// A message that is sent from now on.
#[must_use]
pub fn in_flight(event: &Event, qos: Qos) -> InFlight {
    let conversation = event.place.conversation.clone();
    InFlight { pos: event.entry.pos, conversation, seq: event.place.seq, qos: qos.into(), released: false }
}
