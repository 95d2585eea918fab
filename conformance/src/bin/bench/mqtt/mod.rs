//! MQTT: Hallway and a peer in interleaved rounds of one run. In reading order:
//! - [`peers`], [`broker`]: what is measured, behind the same few questions.
//! - [`packet`], [`canonical`]: the bytes; [`login`]: clients up to the point where a load begins.
//! - [`fanout`] (with [`subscribers`]), [`pairs`] (with [`speech`]), [`idle`], [`storm`]: as over WebSocket.
//! - [`posting`], [`pinger`]: one message after the other to many topics, and what an idle client notices of it; used by
//!   [`topics`] and [`subscriptions`].
//! - [`scans`]: badge readers, which only Hallway has.

pub mod broker;
mod canonical;
pub mod fanout;
pub mod idle;
mod login;
pub mod packet;
pub mod pairs;
pub mod peers;
mod pinger;
mod posting;
pub mod scans;
mod speech;
pub mod storm;
mod subscribers;
pub mod subscriptions;
pub mod topics;

/// What every table's note says about the peer.
fn peer_note(brokers: &[broker::Broker]) -> String {
    match peers::version() {
        Some(version) if brokers.iter().any(|broker| broker.stage().is_none()) => format!("mosquitto {version}: {}", peers::SETTINGS_NOTE),
        _ => "no peer".into(),
    }
}
