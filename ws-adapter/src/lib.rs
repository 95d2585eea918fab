//! The JSON edge: HTTP, JSON-RPC over WebSocket and POST.
//!
//! In reading order: [`rpc`] (JSON-RPC's messages), [`table`] (the methods), [`types`] (their parameters and results), `methods` (their
//! handlers), `socket` (a WebSocket connection's life), `session` (JSON-RPC in it), [`events`] (a stream of Server-Sent Events),
//! [`conversation`] and [`sock`] (the compatibility endpoints), [`socketio`] (Socket.IO, over WebSocket and long polling), [`upload`] and
//! `media` (files that come in), [`http`] (the routes), `app` (what they ask of the hub), `listen` (where connections come from).
//! WebSocket's framing and what events look like are in the broker, since its MQTT edge needs them, too.

mod app;
pub mod conversation;
mod entrance;
pub mod events;
pub mod http;
mod json_rpc;
mod listen;
mod media;
mod methods;
pub mod openrpc;
pub mod origin;
pub mod rpc;
mod session;
pub mod sock;
mod socket;
pub mod socketio;
pub mod table;
mod topics;
pub mod types;
pub mod upload;
pub mod wire;

pub use json_rpc::json_rpc;
pub use listen::{Handle, HttpOptions, Others, start, wires};
pub use socketio::engine::Heartbeat;
