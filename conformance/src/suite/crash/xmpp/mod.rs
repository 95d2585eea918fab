//! Senders and readers over XMPP that survive crashes.
//!
//! - [`sender`]: counts by XEP-0198, and sees its reflections. [`reader`]: catches up from the archive, or from what entering a room gives.

pub mod reader;
pub mod sender;

use anyhow::{Context, Result, ensure};

use super::cast::Addresses;
use crate::script::password;
use crate::xmpp::client::{Client, Over};
use crate::xmpp::element::Element;

const ROOMS: &str = "rooms.localhost";
const SM: &str = "urn:xmpp:sm:3";

/// Stanzas of the server as XEP-0198 counts them, and the answer when it asks.
struct Counted {
    client: Client,
    received: u32,
}

impl Counted {
    fn sign_in(to: &Addresses, uid: &str) -> Result<Counted> {
        let endpoints = to.xmpp.as_ref().context("nobody listens for XMPP")?;
        let (mut client, _) = Client::sign_in(endpoints, Over::Tcp, uid, &password(uid), "crash")?;
        client.send(&format!("<enable xmlns='{SM}' resume='true'/>"))?;
        let enabled = client.expect_where("<enabled/>", |element| element.ns == SM)?;
        ensure!(enabled.name == "enabled", "<enable/> was answered by {enabled}");
        Ok(Counted { client, received: 0 })
    }

    /// Counts an element; what asks for a count is answered.
    fn count(&mut self, element: &Element) -> Result<()> {
        self.received = self.received.wrapping_add(u32::from(element.is_stanza()));
        if element.is("r", SM) {
            self.client.send(&format!("<a xmlns='{SM}' h='{}'/>", self.received))?;
        }
        Ok(())
    }

    /// The next element.
    fn next(&mut self, what: &str) -> Result<Element> {
        let element = self.client.expect(what)?;
        self.count(&element)?;
        ensure!(element.attr("type") != Some("error"), "refused: {element}");
        Ok(element)
    }

    /// Enters a room with so much of its past; all that comes until the subject, with it.
    fn enter(&mut self, room: &str, nick: &str, messages: usize) -> Result<Vec<Element>> {
        self.client.send(&format!(
            "<presence to='{room}@{ROOMS}/{nick}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='{messages}'/></x></presence>"
        ))?;
        let mut all = Vec::new();
        loop {
            let element = self.next(&format!("the subject of {room}"))?;
            let is_subject = element.child("subject").is_some() && element.child("body").is_none() && room_of(&element) == Some(room);
            all.push(element);
            if is_subject {
                return Ok(all);
            }
        }
    }
}

/// The room that an element comes from.
fn room_of(element: &Element) -> Option<&str> {
    element.attr("from")?.split_once('@').filter(|(_, rest)| rest.starts_with(ROOMS)).map(|(room, _)| room)
}

/// The room's id of a message.
fn stanza_id(message: &Element) -> Option<&str> {
    message.child_of("stanza-id", "urn:xmpp:sid:0")?.attr("id")
}
