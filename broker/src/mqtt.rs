//! The MQTT edge: lightweight clients in the same conversations, MQTT 3.1.1 and 5 on one port.
//!
//! In reading order: [`codec`] (packets, without IO), [`topic`] (what names and filters mean), [`payload`] (what clients say), [`publish`] (what it
//! comes to), [`subscriptions`] and [`delivery`] (what goes to a client, and what it has not acknowledged), [`wire`] (how events look);
//! then what runs it: [`transport`], `listen`, `connect` and `signin` (from a socket to a session), `session` (the connection's loop), `inbound`,
//! `subscribe`, `retained`, `will`, [`clients`] (who has which client id), `connection` (what the shard sees), `refusal`.
//!
//! For users: `broker/MQTT.md`.

pub mod aliases;
pub mod clients;
pub mod codec;
mod connect;
mod connection;
pub mod delivery;
mod follow;
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
mod will;
pub mod wire;

pub use listen::{Edge, Listeners, MqttInWebSocket, MqttOptions, start};
pub use wire::wires;
