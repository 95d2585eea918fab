//! What a room says by itself: what it is about, and invitations.

use hallway_broker::ids::{ConversationId, Uid};

use super::ns;
use super::outgoing::{Stanzas, write_delay};
use crate::xmpp::write::Writer;

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

    /// Appends an invitation into a room, from the room (XEP-0045 §7.8.2), in both forms, as some clients know only one (XEP-0249 §2). `id`
    /// is the public id of the notice that it comes from.
    pub fn write_invitation(&self, room: &ConversationId, inviter: &Uid, to: &str, id: &str, out: &mut Vec<u8>) {
        let room = [room.as_str(), "@", self.names.rooms()];
        let mut xml = Writer::new(out);
        xml.open("message", ns::CLIENT).attr_of("from", &room).attr("to", to).attr("id", id).inside();
        xml.open("x", ns::MUC_USER).inside();
        xml.open_child("invite").attr_of("from", &[inviter.as_str(), "@", self.names.domain()]).empty().close("x");
        xml.open("x", ns::CONFERENCE).attr_of("jid", &room).empty();
        xml.close("message");
    }
}
