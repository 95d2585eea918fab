//! XMPP: Hallway and peers that run already, in interleaved rounds of one run. In reading order:
//! - [`server`], [`peers`]: what is measured, behind the same few questions.
//! - [`stanza`]: the bytes; [`scram`], [`login`]: clients up to the point where a load begins.
//! - [`fanout`] (with [`occupants`]), [`pairs`], [`idle`], [`storm`]: as over WebSocket and MQTT.

pub mod fanout;
pub mod idle;
mod login;
mod occupants;
pub mod pairs;
mod peers;
mod scram;
mod server;
pub mod stanza;
pub mod storm;

/// What every table's note says about the peers.
fn peer_note(servers: &[server::Server]) -> String {
    let names: Vec<&str> = servers.iter().filter(|server| server.stage().is_none()).map(server::Server::name).collect();
    if names.is_empty() { "no peer".into() } else { format!("{}: as they were started", names.join(", ")) }
}
