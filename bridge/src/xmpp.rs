//! XMPP: Jabber clients in the same conversations as everybody else.

pub mod names;
pub mod stanza;
