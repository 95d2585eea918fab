//! What a room says by itself: what it is about, and invitations.

use hallway_broker::ids::{ConversationId, Uid};

use super::ns;
use super::outgoing::{Stanzas, write_delay};
use crate::xmpp::write::Writer;

/// Somebody is asked into a room.
#[derive(Debug, Clone, Copy)]
pub struct Invitation<'a> {
    /// By whom.
    pub inviter: &'a Uid,
    /// The JID that it goes to.
    pub to: &'a str,
    /// The stanza's id: of a notice, its public one.
    pub id: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
}

impl Stanzas {
    /// Appends a room's subject as it is told to somebody who enters, after the history: without `to`, which goes to
    /// [`TO_AT`](super::TO_AT). An empty `title` has to be told, too (XEP-0045 §7.2.15). `since_ms` is when it was set, Unix ms, if
    /// anybody ever did.
    pub fn write_subject(&self, room: &ConversationId, title: &str, since_ms: Option<u64>, out: &mut Vec<u8>) {
        let room = [room.as_str(), "@", self.names.rooms()];
        let mut xml = Writer::new(out);
        xml.open("message", ns::CLIENT).attr_of("from", &room).attr("type", "groupchat").inside();
        xml.child("subject", title);
        if let Some(since_ms) = since_ms {
            write_delay(&mut xml, &room, since_ms);
        }
        xml.close("message");
    }

    /// Appends an invitation into a room, from the room (XEP-0045 §7.8.2), in both forms, as some clients know only one (XEP-0249 §2).
    pub fn write_invitation(&self, room: &ConversationId, invitation: &Invitation<'_>, out: &mut Vec<u8>) {
        let Invitation { inviter, to, id, reason } = *invitation;
        let room = [room.as_str(), "@", self.names.rooms()];
        let mut xml = Writer::new(out);
        xml.open("message", ns::CLIENT).attr_of("from", &room).attr("to", to).attr("id", id).inside();
        xml.open("x", ns::MUC_USER).inside();
        xml.open_child("invite").attr_of("from", &[inviter.as_str(), "@", self.names.domain()]);
        match reason {
            Some(reason) => xml.inside().child("reason", reason).close("invite"),
            None => xml.empty(),
        };
        xml.close("x").open("x", ns::CONFERENCE).attr_of("jid", &room).attr_if("reason", reason).empty();
        xml.close("message");
    }
}
