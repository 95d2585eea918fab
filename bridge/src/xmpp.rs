//! XMPP: Jabber clients in the same conversations as everybody else.
//!
//! In reading order: where connections come from ([`edge`]), how they sign in ([`connect`]) and go on with a session that was cut off
//! ([`resume`]), the session's loop ([`task`]), what comes in ([`inbound`]: [`say`] for messages, [`presence`], [`iq`]) and what is given
//! ([`deliver`], of the forms that [`wire`] makes). Rooms are in [`muc`] and [`rooms`], archives in [`archive`],
//! what people keep and show of themselves in [`profile`], what they are pushed by services of their own in [`push`]. Other servers' people come by a [`component`].
//!
//! Beneath, without IO: bytes to stanzas and back ([`stream`]), who signs in and how ([`negotiation`], [`sasl`]), what has arrived
//! ([`management`]), who is who ([`names`]), what is said ([`stanza`]), what there is ([`disco`]).

mod archive;
mod component;
mod connect;
mod connection;
mod deliver;
pub mod directory;
pub mod disco;
mod edge;
pub mod escape;
mod inbound;
mod input;
mod iq;
pub mod lately;
pub mod management;
pub mod muc;
pub mod names;
pub mod negotiation;
mod notify;
mod presence;
pub mod profile;
pub mod push;
mod resume;
pub mod rooms;
mod roster;
pub mod sasl;
mod say;
pub mod stanza;
pub mod stream;
mod task;
mod wire;
pub mod write;

#[cfg(test)]
mod testing;

pub use component::ComponentOptions;
pub use edge::{Domain, Domains, Edge, Listeners, Service, XmppInWebSocket, XmppOptions, start};
pub use wire::{XMPP_WIRE, XmppWire, wire};
