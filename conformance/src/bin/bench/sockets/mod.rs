//! WebSocket and Socket.IO: Hallway and a server of Node for each, in interleaved rounds of one run. In reading order:
//! - [`node`], [`server`]: what is measured, behind the same few questions.
//! - [`socketio`]: Socket.IO's bytes; [`login`]: its clients up to the point where a load begins. Over WebSocket the servers of Node speak
//!   Hallway's JSON protocol, so that the loads of [`crate::fanout`] and the others are used as they are.
//! - [`fanout`] (with [`listeners`]), [`pairs`] (with [`speech`]), [`idle`], [`storm`]: each over what `--over` names.

pub mod fanout;
pub mod idle;
mod listeners;
mod login;
mod node;
pub mod pairs;
mod server;
mod socketio;
mod speech;
pub mod storm;

/// What every table's note says about the peers.
fn peer_note(servers: &[server::Server]) -> String {
    let versions: Vec<String> = servers.iter().filter_map(server::Server::version).collect();
    if versions.is_empty() { "no peer".into() } else { format!("{}, storing nothing", versions.join(", ")) }
}
