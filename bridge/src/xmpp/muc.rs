//! Multi-user chat (XEP-0045). Who enters and leaves: [`enter`], and whom they are told of: [`occupants`]. What is asked of a room: what it is ([`info`]), who belongs to it and in which role ([`admin`]), and its
//! settings ([`config`]), which follow from the conversation's kind but for the title. Rights are the hub's: it is asked to act, and its
//! refusals are what is answered.

pub mod admin;
pub mod config;
pub(super) mod enter;
pub(super) mod form;
pub mod info;
pub(super) mod occupants;

#[cfg(test)]
mod tests;

use hallway_broker::ids::Uid;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::Session;
use hallway_broker::view::Found;
use minidom::Element;

use super::disco;
use super::names::{Address, Names, NickOwner, nick_owner};
use super::rooms::{Affiliation, Role, RoomKey, Rooms, standing_of};
use super::stanza::{Condition, StanzaError};

/// Multi-user chat (XEP-0045).
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// The same, for admins (§9).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// The same, for owners (§10).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";

/// Who asks, and what is needed to answer.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The session that asks.
    pub session: &'a Session,
    /// The conference's names.
    pub names: &'a Names,
    /// Who is in the rooms.
    pub rooms: &'a Rooms,
}

/// The answer to what is asked of a room that the asker may read: the payload of the result, which may be empty. `None` for payloads that are
/// not known here.
pub async fn answer(asking: &Asking<'_>, found: &Found, is_set: bool, payload: &Element) -> Option<Result<Vec<u8>, StanzaError>> {
    if payload.name() != "query" {
        return None;
    }
    let answer = match (payload.ns().as_str(), is_set) {
        (MUC_ADMIN, true) => admin::set(asking, found, payload).await,
        (MUC_ADMIN, false) => admin::get(asking, found, payload).await,
        (MUC_OWNER, true) => config::set(asking, found, payload).await,
        (MUC_OWNER, false) => config::get(asking, found),
        (disco::INFO, false) => info::of_room(asking, found, payload.attr("node")),
        // Who is in the room is told to those who enter it (§6.5).
        (disco::ITEMS, false) => Ok(info::nothing(payload.attr("node"))),
        _ => return None,
    };
    Some(answer)
}

impl Asking<'_> {
    fn key(&self, found: &Found) -> RoomKey {
        (found.conf, found.record.no)
    }

    /// What the asker is in the room.
    fn own_standing(&self, found: &Found) -> Result<(Affiliation, Role), Reject> {
        let (reader, uid) = (self.session.shard.hub.reader(), &self.session.who.uid);
        let user = reader.user(found.conf, uid)?.ok_or(Reason::SessionEnded)?;
        Ok(standing_of(found.record.kind, user.role, reader.standing(found, uid)?))
    }

    /// Refuses who does not moderate the room.
    fn must_moderate(&self, found: &Found) -> Result<(), StanzaError> {
        match self.own_standing(found).map_err(|reject| StanzaError::from(&reject))? {
            (_, Role::Moderator) => Ok(()),
            _ => Err(StanzaError::from(&Reject::from(Reason::NotModerator))),
        }
    }

    /// The hub's refusal to somebody. A moderator who is refused wants something of somebody above them (§8.2, §9.1).
    fn refused(&self, found: &Found, reject: &Reject) -> StanzaError {
        if reject.reason == Reason::NotModerator && self.must_moderate(found).is_ok() {
            return error(Condition::NotAllowed, "not of somebody above oneself");
        }
        reject.into()
    }

    /// Whose nick it is in the room.
    fn by_nick(&self, found: &Found, nick: &str) -> Option<Uid> {
        self.rooms.occupant_by_nick(self.key(found), nick).or_else(|| match nick_owner(nick) {
            NickOwner::Uid(uid) => Some(uid),
            NickOwner::Name(_) => None,
        })
    }

    /// Whom a JID in a request about a room names: a user, or an occupant of this room.
    fn by_jid(&self, found: &Found, jid: &str) -> Result<Uid, StanzaError> {
        match self.names.parse(jid).map_err(|error| StanzaError::from(&error))? {
            Address::User { uid, .. } => Ok(uid),
            Address::Room { conversation, nick: Some(nick) } if conversation == found.id => {
                self.by_nick(found, &nick).ok_or(error(Condition::ItemNotFound, "nobody here has this nick"))
            }
            _ => Err(error(Condition::ItemNotFound, "not somebody's address")),
        }
    }
}

fn error(condition: Condition, text: &'static str) -> StanzaError {
    StanzaError { condition, text: text.into() }
}
