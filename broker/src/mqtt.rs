//! The MQTT edge: lightweight clients in the same conversations, MQTT 3.1.1 and 5 on one port.
//!
//! In reading order: [`codec`] (packets), [`topic`] (what names and filters mean), [`payload`] (what clients say), [`subscriptions`].

pub mod clients;
pub mod codec;
mod connect;
mod connection;
pub mod delivery;
mod inbound;
mod listen;
pub mod payload;
pub mod publish;
mod refusal;
mod retained;
mod session;
mod signin;
mod subscribe;
pub mod subscriptions;
pub mod topic;
pub mod transport;
mod will;
pub mod wire;

pub use listen::{Edge, Listeners, MqttInWebSocket, MqttOptions, start};
pub use wire::wires;
