//! Addresses: from JIDs (RFC 7622) to what the hub knows, and back. A user is `alice@<domain>`, a conversation `lobby@rooms.<domain>`; a
//! direct conversation has no address of its own: it is what is said between the bare JIDs of two people. Ids are lower case ASCII, so
//! nothing is escaped.

mod nick;
mod occupant;

#[cfg(test)]
mod tests;

use hallway_broker::ids::{ConversationId, Uid};
use jid::{DomainPart, Jid};

use super::stanza::Condition;

pub use nick::{NickOwner, nick_of, nick_owner};
pub use occupant::OccupantIds;

/// The address cannot be what was meant. Each is a stanza error of its own (RFC 6120 §8.3.3).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// Not a JID at all: `jid-malformed`.
    #[error("not a JID: {0}")]
    Malformed(jid::Error),
    /// Of another domain: `remote-server-not-found` as long as there is no way to it.
    #[error("{0} is not served here")]
    Foreign(String),
    /// Of our domain, but no user can have this name: `item-not-found`.
    #[error("no user is called {0:?}")]
    NoUser(String),
    /// Of our rooms, but no conversation can have this id, or it is not one that is joined: `item-not-found`.
    #[error("no room is called {0:?}")]
    NoRoom(String),
    /// A conversation with oneself: `not-acceptable`.
    #[error("nobody talks with themselves")]
    Oneself,
    /// The server or the rooms as a whole, where somebody is meant: `service-unavailable`.
    #[error("{0} takes no messages")]
    Service(String),
}

impl NotAnAddress {
    /// The defined condition of the stanza error (RFC 6120 §8.3.3).
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self {
            Self::Malformed(_) => Condition::JidMalformed,
            Self::Foreign(_) => Condition::RemoteServerNotFound,
            Self::NoUser(_) | Self::NoRoom(_) => Condition::ItemNotFound,
            Self::Oneself => Condition::NotAcceptable,
            Self::Service(_) => Condition::ServiceUnavailable,
        }
    }
}

/// What a JID of this conference means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The conference's server.
    Server,
    /// The rooms as a service.
    Rooms,
    /// A user, or one of their sessions.
    User {
        /// Who.
        uid: Uid,
        /// The session's resource.
        resource: Option<String>,
    },
    /// A room, or one of its occupants.
    Room {
        /// Which.
        conversation: ConversationId,
        /// The occupant's nick.
        nick: Option<String>,
    },
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// Those of this conversation; a direct one need not exist yet.
    Conversation(ConversationId),
    /// In private, the occupant of a room with this display name: whose it is, and so the direct conversation, is the caller's to find.
    Occupant {
        /// The room.
        conversation: ConversationId,
        /// The display name.
        name: String,
    },
}

/// The domains of one conference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    domain: String,
    rooms: String,
}

impl Names {
    /// The names under `domain`, and `rooms.` before it for rooms.
    ///
    /// # Errors
    /// [`NotAnAddress::Malformed`] when it cannot be a JID's domain.
    pub fn new(domain: &str) -> Result<Self, NotAnAddress> {
        let part = |domain: &str| DomainPart::new(domain).map(|part| part.as_str().to_owned()).map_err(NotAnAddress::Malformed);
        Ok(Self { domain: part(domain)?, rooms: part(&format!("rooms.{domain}"))? })
    }

    /// The conference's domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The rooms' domain.
    #[must_use]
    pub fn rooms(&self) -> &str {
        &self.rooms
    }

    /// A user's bare JID.
    #[must_use]
    pub fn user(&self, uid: &Uid) -> String {
        format!("{uid}@{}", self.domain)
    }

    /// A room's bare JID; `None` for a direct conversation, an inbox or topics, which are no rooms.
    #[must_use]
    pub fn room(&self, conversation: &ConversationId) -> Option<String> {
        is_room(conversation).then(|| format!("{conversation}@{}", self.rooms))
    }

    /// The bare JIDs of the two people of a direct conversation.
    #[must_use]
    pub fn direct(&self, conversation: &ConversationId) -> Option<(String, String)> {
        let (a, b) = conversation.direct_pair()?;
        Some((self.user(&a), self.user(&b)))
    }

    /// What a JID means.
    ///
    /// # Errors
    /// [`NotAnAddress`] when it is not one of ours.
    pub fn parse(&self, jid: &str) -> Result<Address, NotAnAddress> {
        self.address(&Jid::new(jid).map_err(NotAnAddress::Malformed)?)
    }

    /// What a JID means.
    ///
    /// # Errors
    /// [`NotAnAddress`] when it is not one of ours.
    pub fn address(&self, jid: &Jid) -> Result<Address, NotAnAddress> {
        let (domain, resource) = (jid.domain().as_str(), jid.resource().map(|resource| resource.as_str().to_owned()));
        let in_rooms = domain == self.rooms;
        if !in_rooms && domain != self.domain {
            return Err(NotAnAddress::Foreign(domain.to_owned()));
        }
        let Some(node) = jid.node().map(|node| node.as_str()) else {
            return Ok(if in_rooms { Address::Rooms } else { Address::Server });
        };
        if !in_rooms {
            let uid = Uid::parse(node).map_err(|_| NotAnAddress::NoUser(node.to_owned()))?;
            return Ok(Address::User { uid, resource });
        }
        match ConversationId::parse(node) {
            Ok(conversation) if is_room(&conversation) => Ok(Address::Room { conversation, nick: resource }),
            _ => Err(NotAnAddress::NoRoom(node.to_owned())),
        }
    }

    /// What `me` means by an address that a message goes to.
    ///
    /// # Errors
    /// [`NotAnAddress`] when nobody is meant, or oneself.
    pub fn addressee(&self, me: &Uid, address: Address) -> Result<Addressee, NotAnAddress> {
        let direct = |uid: &Uid| ConversationId::direct(me, uid).map(Addressee::Conversation).ok_or(NotAnAddress::Oneself);
        match address {
            Address::Server => Err(NotAnAddress::Service(self.domain.clone())),
            Address::Rooms => Err(NotAnAddress::Service(self.rooms.clone())),
            Address::User { uid, .. } => direct(&uid),
            Address::Room { conversation, nick: None } => Ok(Addressee::Conversation(conversation)),
            // XEP-0045 §7.5
            Address::Room { conversation, nick: Some(nick) } => match nick_owner(&nick) {
                NickOwner::Uid(uid) => direct(&uid),
                NickOwner::Name(_) => Ok(Addressee::Occupant { conversation, name: nick }),
            },
        }
    }
}

/// Rooms are the conversations with slugs; those with `~` in their ids are not.
fn is_room(conversation: &ConversationId) -> bool {
    !conversation.as_str().contains('~')
}
