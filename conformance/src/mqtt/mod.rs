//! MQTT from the client's side, for tests: whole or broken packets to send, and a strict reading of what a server answers.
//!
//! It shares no code with any broker on purpose: an error in a broker's codec must not hide behind the same error here.
//! - [`property`]: the properties of MQTT 5 as numbers and values.
//! - [`packet`]: builds what a client sends, also what it must never send.
//! - [`parse`]: reads what a server sends, and refuses everything that no server may send.
//! - [`client`]: a blocking connection with time limits.

pub mod client;
pub mod packet;
pub mod parse;
pub mod property;
#[cfg(test)]
mod tests;

/// Which protocol is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V4,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Version {
    /// The protocol level in CONNECT.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }
}
