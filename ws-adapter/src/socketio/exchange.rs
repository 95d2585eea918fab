//! What the HTTP routes ask of a polling session, and what they are answered.

use super::query::{BadRequest, Query};
use super::sid::Sid;
use crate::rpc::Fault;

/// A request of a polling client.
#[derive(Debug)]
pub enum Ask {
    /// The first.
    Open(Query),
    /// For packets.
    Get(Sid),
    /// With packets.
    Post(Sid, String),
}

/// What it is answered.
#[derive(Debug)]
pub enum Answered {
    /// Packets.
    Packets(Vec<u8>),
    /// They were taken.
    Taken,
    /// It is none that can be carried out.
    Bad(BadRequest),
    /// A packet of it breaks the protocol, by the word for how.
    Broken(&'static str),
    /// Not now.
    Refused(Fault),
}

impl Ask {
    /// The session's shard; none for the first request, which makes a session where it came in.
    #[must_use]
    pub fn shard(&self) -> Option<u16> {
        match self {
            Self::Open(_) => None,
            Self::Get(sid) | Self::Post(sid, _) => Some(sid.shard()),
        }
    }
}
