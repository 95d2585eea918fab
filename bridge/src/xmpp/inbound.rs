//! What comes in on a session: each stanza to where it is carried out. Messages that are only to be stored are prepared while the buffer is lent;
//! everything else takes its turn afterwards.

use hallway_broker::reject::Reject;
use minidom::Element;

use super::connection::Managed;
use super::management::{self, Unacknowledged};
use super::negotiation::CSI;
use super::resume::{RESUME_WITHIN_S, too_high};
use super::stanza::{Condition, StanzaError};
use super::stream::{self, StreamError, ns};
use super::task::{End, Task};
use super::write::Writer;
use super::{iq, presence, say};

/// A stanza's error, or the stream's.
pub(super) type Refused = StanzaError;

/// A refusal of ours.
pub(super) fn refused(condition: Condition, text: &'static str) -> Refused {
    StanzaError { condition, text: text.into() }
}

/// The hub's refusal.
pub(super) fn by(reject: &Reject) -> Refused {
    StanzaError::from(reject)
}

impl Task {
    /// Carries out an element as far as that needs no waiting; `Some` number when it is to be gone on with.
    pub fn stanza(&mut self, element: &Element) -> Result<Option<u32>, End> {
        if !element.has_ns(ns::CLIENT) {
            self.nonza(element)?;
            return Ok(None);
        }
        let kind = element.name();
        if !matches!(kind, "message" | "presence" | "iq") {
            return Err(StreamError::new(stream::Condition::UnsupportedStanzaType, "RFC 6120 §4.9.3.24", "no such stanza").into());
        }
        let is_own = |from: &str| from == &*self.connection.me.full || from == &*self.connection.me.bare;
        if element.attr("from").is_some_and(|from| !is_own(from)) {
            return Err(StreamError::new(stream::Condition::InvalidFrom, "RFC 6120 §8.1.2.1", "from is not this session").into());
        }
        let number = self.connection.begin();
        if kind == "message" && say::at_once(self, element, number) {
            return Ok(None);
        }
        Ok(Some(number))
    }

    /// Carries out a stanza that takes time.
    pub async fn carry_out(&mut self, element: &Element) -> Result<(), End> {
        let answered = match element.name() {
            "message" => Box::pin(say::message(self, element)).await,
            "presence" => Box::pin(presence::received(self, element)).await,
            _ => {
                Box::pin(iq::received(self, element)).await;
                Ok(())
            }
        };
        // An error is never answered by one (RFC 6120 §8.3.1).
        if let Err(error) = answered
            && element.attr("type") != Some("error")
        {
            let kind = if element.name() == "message" { "message" } else { "presence" };
            let connection = &self.connection;
            self.session.push(|into| connection.refuse(kind, element.attr("id"), element.attr("to"), &error, into));
        }
        Ok(())
    }

    /// What is no stanza: stream management, and whether anybody looks.
    fn nonza(&mut self, element: &Element) -> Result<(), End> {
        match (element.ns().as_str(), element.name()) {
            (management::NS, "enable") => self.enable(element),
            (management::NS, "resume") => self.failed("unexpected-request"),
            (management::NS, "r") => {
                let connection = &self.connection;
                let wants = connection.received.borrow().next();
                if let Some(managed) = connection.managed.borrow_mut().as_mut() {
                    managed.wants = Some(wants);
                }
                self.session.push(|into| connection.acknowledge_if_due(into));
            }
            (management::NS, "a") => return self.acknowledged(element),
            (CSI, "active") => self.connection.inactive.set(false),
            (CSI, "inactive") => self.connection.inactive.set(true),
            _ => {
                return Err(StreamError::new(stream::Condition::UnsupportedStanzaType, "RFC 6120 §4.9.3.24", "no such element here").into());
            }
        }
        Ok(())
    }

    /// XEP-0198 §3.
    fn enable(&self, element: &Element) {
        let connection = &self.connection;
        if connection.managed.borrow().is_some() {
            return self.failed("unexpected-request");
        }
        let resumes = matches!(element.attr("resume"), Some("true" | "1"));
        let name = data_encoding::BASE32_NOPAD.encode(&hallway_broker::clock::random::<15>()).to_ascii_lowercase();
        let before = connection.received.borrow().next();
        self.session.push(|into| {
            let mut enabled = Vec::new();
            let mut xml = Writer::new(&mut enabled);
            xml.open("enabled", management::NS);
            if resumes {
                xml.attr("id", &name).attr("resume", "true").number_attr("max", usize::try_from(RESUME_WITHIN_S).unwrap_or(0));
            }
            xml.empty();
            connection.emit_uncounted(&enabled, into);
        });
        let (unacknowledged, had) = (Unacknowledged::default(), Vec::new());
        let managed = Managed { id: name.as_str().into(), resumes, unacknowledged, asked: false, wants: None, before, had };
        connection.managed.replace(Some(Box::new(managed)));
        if resumes {
            connection.edge.resumable.add(&name, connection, self.session.shard.index);
        }
    }

    fn failed(&self, condition: &'static str) {
        self.session.push(|into| {
            let mut failed = Vec::new();
            management::write_failed(condition, &mut failed);
            self.connection.emit_uncounted(&failed, into);
        });
    }

    /// XEP-0198 §4.
    fn acknowledged(&self, element: &Element) -> Result<(), End> {
        let connection = &self.connection;
        let handled = element.attr("h").and_then(|handled| handled.parse().ok());
        let Some(handled) = handled else {
            return Err(StreamError::new(stream::Condition::BadFormat, "XEP-0198 §4", "how many were handled is not said").into());
        };
        let mut managed = connection.managed.borrow_mut();
        let Some(managed) = managed.as_mut() else { return Ok(()) };
        let before = managed.unacknowledged.len();
        managed.unacknowledged.acknowledge(handled, self.session.cursor()).map_err(|_| too_high())?;
        let (left, was_asked) = (managed.unacknowledged.len(), managed.asked);
        managed.asked = left > 0;
        // A client that counts otherwise is not asked again and again.
        if left > 0 && (left < before || !was_asked) {
            self.session.push(|into| connection.write_request(into));
        }
        Ok(())
    }
}
