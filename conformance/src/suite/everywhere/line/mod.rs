//! One session of somebody, whatever the protocol: what they do, and what they see.
//!
//! - [`websocket`]: JSON-RPC. [`mqtt`]: both versions. [`xmpp`]: rooms and people.

pub mod mqtt;
pub mod websocket;
pub mod xmpp;

use std::time::Duration;

use anyhow::Result;

use super::sight::Sight;
use crate::mqtt::Version;
use crate::server::Server;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// JSON-RPC over WebSocket.
    WebSocket,
    /// MQTT, either version.
    Mqtt(Version),
    /// XMPP.
    Xmpp,
}

/// All of them.
pub const PROTOCOLS: [Protocol; 4] = [Protocol::WebSocket, Protocol::Mqtt(Version::V4), Protocol::Mqtt(Version::V5), Protocol::Xmpp];

impl Protocol {
    /// As people are called that speak it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Protocol::WebSocket => "ws",
            Protocol::Mqtt(Version::V4) => "mqtt4",
            Protocol::Mqtt(Version::V5) => "mqtt5",
            Protocol::Xmpp => "xmpp",
        }
    }
}

/// A message that something is about, in every way that a protocol may want to name it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its number.
    pub seq: u64,
    /// Its public id.
    pub id: String,
    /// Its sender's id; empty for none.
    pub client_id: String,
}

/// What is done to a message, or to a conversation.
#[derive(Debug, Clone)]
pub enum Change {
    /// Another text.
    Edit(String),
    /// A reaction, or none any more.
    React(&'static str, bool),
    /// It is taken back.
    Delete,
    /// It is taken back by somebody else.
    Moderate,
    /// It is read.
    Read,
    /// The doer types, or stops to; of the conversation.
    Typing(bool),
    /// Another title; of the conversation.
    Title(String),
}

/// What a read brought.
#[derive(Debug, Default)]
pub struct Heard {
    /// What is seen of conversations, in order.
    pub sights: Vec<Sight>,
    /// What was not done that one had asked for, and why.
    pub refused: Vec<String>,
    /// People who are in rooms (XMPP): room, nick, and whether they are there.
    pub occupants: Vec<(String, String, bool)>,
    /// Conversations out of which one was put, where that is told.
    pub put_out: Vec<String>,
}

/// A session.
pub trait Line {
    /// Is told from now on what happens there.
    ///
    /// # Errors
    /// The server refuses.
    fn follow(&mut self, conversation: &str) -> Result<()>;

    /// Says something, and does not wait. An empty id is none, where the protocol lets that be.
    ///
    /// # Errors
    /// The connection is gone.
    fn say(&mut self, conversation: &str, id: &str, text: &str) -> Result<()>;

    /// Changes something, and does not wait.
    ///
    /// # Errors
    /// The connection is gone.
    fn change(&mut self, conversation: &str, target: &Target, change: &Change) -> Result<()>;

    /// What comes within the time; returns as soon as something has.
    ///
    /// # Errors
    /// The connection is gone, or the server breaks the protocol.
    fn hear(&mut self, within: Duration) -> Result<Heard>;
}

/// Somebody's session.
///
/// # Errors
/// They are not let in.
pub fn open(server: &Server, protocol: Protocol, uid: &str, device: &str) -> Result<Box<dyn Line>> {
    Ok(match protocol {
        Protocol::WebSocket => Box::new(websocket::WebSocket::open(server, uid)?),
        Protocol::Mqtt(version) => Box::new(mqtt::Mqtt::open(server, version, uid, device)?),
        Protocol::Xmpp => Box::new(xmpp::Xmpp::open(server, uid, device)?),
    })
}
