//! Tickets: what a browser shows where it can set no header, in the URL of an upgrade. Each is good once and for a moment, so that one in a log
//! or in somebody's history is worth nothing. In memory only: whoever connects to a server that was started anew takes a new one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use ring::digest;
use subtle::ConstantTimeEq as _;

use super::Identity;
use crate::clock;
use crate::ids::{ConfNo, Uid};
use crate::reject::{Reason, Reject};

/// How long a ticket is good.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);
/// Tickets of one user that are good at once; with one more the oldest goes.
const MAX_OF_USER: usize = 16;
/// Tickets of all users that are good at once.
const MAX_IN_ALL: usize = 65_536;
/// How often it is looked which have expired, when there is no room.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Longest ticket, in bytes.
const MAX_TICKET_BYTES: usize = 128;

struct Ticket {
    /// Of the code that goes with the connection's id.
    hash: [u8; 32],
    identity: Identity,
    made_at: Duration,
}

#[derive(Default)]
struct Held {
    /// By the id of the connection to come.
    tickets: HashMap<String, Ticket>,
    /// Each user's, oldest first; some may be gone.
    of: HashMap<(ConfNo, Uid), Vec<String>>,
    /// When it was last looked which have expired.
    swept_at: Option<Duration>,
}

/// See the module's text.
#[derive(Default)]
pub struct Tickets {
    held: Mutex<Held>,
}

impl Tickets {
    /// A ticket for somebody, as `<connection id>:<code>`.
    ///
    /// # Errors
    /// [`Reason::Busy`] when too many are out.
    pub fn issue(&self, identity: Identity, now: Duration) -> Result<String, Reject> {
        let id = text(&clock::random::<10>());
        let code = text(&clock::random::<20>());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.tickets.len() >= MAX_IN_ALL {
            held.forget_expired(now);
            if held.tickets.len() >= MAX_IN_ALL {
                return Err(Reason::Busy.into());
            }
        }
        held.make_room(&(identity.conf, identity.uid.clone()), &id);
        held.tickets.insert(id.clone(), Ticket { hash: hash(&code), identity, made_at: now });
        Ok(format!("{id}:{code}"))
    }

    /// Whom a ticket was made for; it is gone then.
    ///
    /// # Errors
    /// [`Reason::BadTicket`].
    pub fn redeem(&self, ticket: &str, now: Duration) -> Result<Identity, Reject> {
        let (id, code) = parts(ticket).ok_or(Reason::BadTicket)?;
        let shown = hash(code);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_right = |ticket: &Ticket| bool::from(ticket.hash.ct_eq(&shown));
        // A wrong code leaves the ticket to whom it belongs: the id is no secret.
        if !held.tickets.get(id).is_some_and(is_right) {
            return Err(Reason::BadTicket.into());
        }
        let ticket = held.take(id).ok_or(Reason::BadTicket)?;
        if ticket.is_good(now) { Ok(ticket.identity) } else { Err(Reason::BadTicket.into()) }
    }
}

impl Ticket {
    fn is_good(&self, now: Duration) -> bool {
        now.saturating_sub(self.made_at) < TICKET_LIFE
    }
}

impl Held {
    fn take(&mut self, id: &str) -> Option<Ticket> {
        let ticket = self.tickets.remove(id)?;
        let user = (ticket.identity.conf, ticket.identity.uid.clone());
        if let Some(own) = self.of.get_mut(&user) {
            own.retain(|other| other != id);
            if own.is_empty() {
                self.of.remove(&user);
            }
        }
        Some(ticket)
    }

    fn make_room(&mut self, user: &(ConfNo, Uid), id: &str) {
        let own = self.of.entry(user.clone()).or_default();
        if own.len() >= MAX_OF_USER {
            self.tickets.remove(&own.remove(0));
        }
        own.push(id.to_owned());
    }

    fn forget_expired(&mut self, now: Duration) {
        if self.swept_at.is_some_and(|swept| now.saturating_sub(swept) < SWEEP_EVERY) {
            return;
        }
        self.swept_at = Some(now);
        let expired: Vec<String> = self.tickets.iter().filter(|(_, ticket)| !ticket.is_good(now)).map(|(id, _)| id.clone()).collect();
        for id in expired {
            self.take(&id);
        }
    }
}

/// The connection's id in a ticket.
#[must_use]
pub fn connection_id(ticket: &str) -> Option<&str> {
    Some(parts(ticket)?.0)
}

fn parts(ticket: &str) -> Option<(&str, &str)> {
    (ticket.len() <= MAX_TICKET_BYTES).then(|| ticket.split_once(':')).flatten()
}

fn text(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_lowercase()
}

fn hash(code: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, code.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::ConferenceId;
    use crate::model::{User, UserRole};
    use proptest::prelude::*;

    fn identity(uid: &str) -> Identity {
        let user = User { name: "n".into(), role: UserRole::Attendee, about: "".into(), credentials: None, version: 0, erased: false };
        let conference = ConferenceId::parse("demo").unwrap();
        let uid = Uid::parse(uid).unwrap();
        Identity { conf: ConfNo(1), conference, uid, user: Arc::new(user), expires_ms: u64::MAX, token: None }
    }

    fn at(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_ticket_is_good_once_and_for_a_moment() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(identity("alice"), at(100)).unwrap();
        let (id, code) = ticket.split_once(':').unwrap();
        assert_eq!((connection_id(&ticket), id.len(), code.len()), (Some(id), 16, 32));
        for wrong in
            [format!("{id}:"), format!("{id}:{}", &code[1..]), format!("{id}:{code} "), format!("x{ticket}"), id.into(), String::new()]
        {
            assert_eq!(tickets.redeem(&wrong, at(100)).unwrap_err().reason, Reason::BadTicket, "{wrong}");
        }
        assert_eq!(tickets.redeem(&ticket, at(129)).unwrap().uid.as_str(), "alice", "a wrong guess spoils nothing");
        assert_eq!(tickets.redeem(&ticket, at(129)).unwrap_err().reason, Reason::BadTicket);
        let late = tickets.issue(identity("alice"), at(200)).unwrap();
        assert!(tickets.redeem(&late, at(230)).is_err());
    }

    #[test]
    fn a_users_tickets_are_bounded() {
        let tickets = Tickets::default();
        let made: Vec<String> = (0..=MAX_OF_USER).map(|_| tickets.issue(identity("alice"), at(0)).unwrap()).collect();
        let others = tickets.issue(identity("bob"), at(0)).unwrap();
        assert!(tickets.redeem(&made[0], at(0)).is_err(), "the oldest went");
        for ticket in made[1..].iter().chain([&others]) {
            assert!(tickets.redeem(ticket, at(0)).is_ok());
        }
        let held = tickets.held.lock().unwrap();
        assert!(held.tickets.is_empty() && held.of.is_empty());
    }

    #[test]
    fn all_tickets_are_bounded_and_expired_ones_make_room() {
        let tickets = Tickets::default();
        for n in 0..MAX_IN_ALL {
            tickets.issue(identity(&format!("u{}", n / MAX_OF_USER)), at(0)).unwrap();
        }
        assert_eq!(tickets.issue(identity("late"), at(29)).unwrap_err().reason, Reason::Busy);
        assert!(tickets.issue(identity("late"), at(30)).is_ok());
        assert_eq!(tickets.held.lock().unwrap().of.len(), 1);
    }

    proptest! {
        #[test]
        fn anything_can_be_shown(ticket in "\\PC{0,200}") {
            prop_assert!(Tickets::default().redeem(&ticket, at(0)).is_err());
        }
    }
}
