//! XMPP: Jabber clients in the same conversations as everybody else. Not served yet; in reading order: bytes to stanzas and back
//! ([`stream`]), who signs in and how ([`negotiation`], [`sasl`]), what has arrived ([`management`]), who is who ([`names`]), what is said
//! ([`stanza`]), what there is ([`disco`]), what people keep and show of themselves ([`profile`], which asks the hub). All else without IO.

pub mod disco;
pub mod escape;
pub mod management;
pub mod names;
pub mod negotiation;
pub mod profile;
pub mod sasl;
pub mod stanza;
pub mod stream;
pub mod write;

#[cfg(test)]
mod testing;
