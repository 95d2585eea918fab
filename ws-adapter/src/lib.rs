//! The JSON edge: HTTP, JSON-RPC over WebSocket and POST.
//!
//! In reading order: [`frame`] (WebSocket's framing without IO), [`rpc`] (JSON-RPC's messages), [`canonical`] (what events look like),
//! [`table`] (the methods), [`types`] (their parameters and results), `methods` (their handlers), `session` (a WebSocket connection's
//! life), [`http`] (the routes), `app` (what they ask of the hub), `listen` (where connections come from).

mod app;
pub mod canonical;
pub mod frame;
pub mod http;
mod listen;
mod methods;
pub mod openrpc;
pub mod origin;
pub mod peers;
pub mod rpc;
mod session;
pub mod table;
pub mod types;
pub mod wire;

pub use listen::{Handle, HttpOptions, start};
