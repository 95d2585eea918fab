//! XMPP from outside, on its own: what a client needs, and no more.
//!
//! - [`element`]: XML as tests look at it. [`split`]: a stream cut into elements. [`sasl`]: signing in.
//! - [`link`](mod@link): bytes over TCP, TLS or WebSocket. [`client`]: a blocking client on all of it.
//! - [`script`]: the language of `conformance/xmpp/*.txt`.

pub mod client;
pub mod element;
pub mod link;
pub mod sasl;
pub mod script;
pub mod split;
