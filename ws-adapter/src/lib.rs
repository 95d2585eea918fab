//! The JSON edge: HTTP, JSON-RPC over WebSocket and POST.
//!
//! In reading order: [`frame`] (WebSocket's framing without IO), [`rpc`] (JSON-RPC's messages), [`canonical`] (what events look like),
//! [`table`] (the methods), [`types`] (their parameters and results), `methods` (their handlers), `session` (a connection's life).

pub mod canonical;
pub mod frame;
mod methods;
pub mod peers;
pub mod rpc;
mod session;
pub mod table;
pub mod types;
pub mod wire;
