//! Hallway from outside: a server under test, wire clients of its own, readable scenarios, and suites that break things.
//!
//! Depends on no other crate of the workspace; `ws-adapter/PROTOCOL.md` and the standards of MQTT and XMPP are all it knows. In reading order:
//! - [`server`]: the release binary as a child process: start, kill, drain, measure.
//! - [`wire`]: WebSocket bytes without IO; [`http`]: one HTTP request; [`sse`]: a stream of events; [`client`]: a blocking JSON-RPC client on both.
//! - [`jwt`]: an identity provider. [`time`]: how moments are written.
//! - [`check`]: what a history must be, as pure functions.
//! - [`script`]: the language of `scenarios/*.txt`, and its interpreter.
//! - [`mqtt`]: MQTT packets and a blocking client, both versions.
//! - [`xmpp`]: XML streams, a blocking client, and the language of `xmpp/*.txt`. [`tls`]: for whoever needs it.
//! - [`gateway`]: strict fakes of those who deliver pushes.
//! - [`suite`]: what `cargo run -p conformance -- <suite>` runs.
#![allow(clippy::disallowed_methods, reason = "a measuring program: it reads the real clock, and blocks in threads of its own")]

pub mod check;
pub mod client;
pub mod gateway;
pub mod http;
pub mod jwt;
pub mod mqtt;
pub mod script;
pub mod server;
pub mod sse;
pub mod suite;
pub mod time;
pub mod tls;
pub mod wire;
pub mod xmpp;
