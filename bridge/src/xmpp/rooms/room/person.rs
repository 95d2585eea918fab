//! Somebody in a room: what keeps them there, and how they are shown.

use std::sync::Arc;

use hallway_broker::ids::Uid;

use super::super::{Affiliation, Role, Shown};

/// What somebody is there by; the first ones are shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Spoke lately.
    Speaker,
    /// An XMPP session.
    Occupant,
    /// A session of another protocol.
    Follower,
}

/// A rank, and in which turn it was attained: the order in which people are shown.
pub type Place = (Rank, u64);

/// One XMPP session.
pub struct Seat {
    pub session: u64,
    pub shard: u16,
    pub jid: Arc<str>,
    pub presence: Arc<[u8]>,
}

/// See the module's text.
#[derive(Default)]
pub struct Person {
    /// Their display name and the nick that it makes; `None` as long as it is not known.
    pub name: Option<(Arc<str>, Arc<str>)>,
    standing: Option<(Affiliation, Role)>,
    /// How far the conference was when they stood so.
    pub pos: u64,
    /// The newest last.
    pub seats: Vec<Seat>,
    /// Sessions of other protocols.
    pub following: Vec<u64>,
    /// The turn in which they last spoke, and when, Unix ms; `None` when that was not lately.
    pub spoke: Option<(u64, u64)>,
    pub place: Option<Place>,
    pub is_in_front: bool,
    /// How they are shown, or would be.
    pub shown: Option<Arc<Shown>>,
    /// The version above which their own sessions have been told of `shown`.
    pub own_at: u64,
}

impl Person {
    pub fn rank(&self) -> Option<Rank> {
        if self.spoke.is_some() {
            return Some(Rank::Speaker);
        }
        if !self.seats.is_empty() {
            return Some(Rank::Occupant);
        }
        (!self.following.is_empty()).then_some(Rank::Follower)
    }

    /// Their standing, unless what was known is newer.
    pub fn stand(&mut self, standing: (Affiliation, Role), pos: u64) {
        if self.standing.is_none() || pos > self.pos {
            (self.standing, self.pos) = (Some(standing), pos.max(self.pos));
        }
    }

    /// A session says how it is, and is the newest thereby.
    pub fn newest(&mut self, session: u64, presence: Arc<[u8]>) {
        if let Some(at) = self.seats.iter().position(|seat| seat.session == session) {
            let seat = self.seats.remove(at);
            self.seats.push(Seat { presence, ..seat });
        }
    }

    pub fn sessions(&self) -> Vec<(u16, u64)> {
        self.seats.iter().map(|seat| (seat.shard, seat.session)).collect()
    }

    /// How they are to be shown; `None` as long as it is not known who they are.
    pub fn view(&self, uid: &Uid) -> Option<Shown> {
        let ((name, nick), (affiliation, role)) = (self.name.clone()?, self.standing?);
        let newest = self.seats.last();
        let presence = newest.map_or_else(Arc::default, |seat| Arc::clone(&seat.presence));
        let jid = newest.map(|seat| Arc::clone(&seat.jid));
        Some(Shown { uid: uid.clone(), name, nick, affiliation, role, presence, jid })
    }
}

/// How somebody is shown of whom nothing is known but the uid.
pub fn nobody(uid: &Uid) -> Shown {
    let name: Arc<str> = uid.as_str().into();
    let nick = crate::xmpp::names::nick_of("", uid).into();
    Shown { uid: uid.clone(), name, nick, affiliation: Affiliation::None, role: Role::Participant, presence: Arc::default(), jid: None }
}
