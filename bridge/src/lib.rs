//! What joins other systems to the hub. Four rooms, which know nothing of each other but that one gateway of [`push`] goes by the edge of [`xmpp`]:
//!
//! - [`xmpp`]: the edge for Jabber clients, and for people of other servers, who come over a component's link;
//! - [`badge`]: what badge readers send, each maker in a format of its own;
//! - [`venue`]: a venue's own MQTT broker, whose readers are heard as if they spoke to this server;
//! - [`push`]: the gateways that deliver what the hub's push worker decides.
//!
//! `backoff` says how long to wait until another server is tried again.

mod backoff;
pub mod badge;
pub mod push;
pub mod venue;
pub mod xmpp;
