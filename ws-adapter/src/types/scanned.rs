//! What is kept of somebody because of badges, in `people.export`.

use std::sync::Arc;

use hallway_broker::ids::{ConversationId, Uid};
use schemars::JsonSchema;
use serde::Serialize;

use super::Time;
use super::contact::{Card, ContactStateWord};

/// See the module's text.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct OwnScanned {
    /// Their badges.
    pub badges: Vec<OwnBadge>,
    /// What the organisers know from the ticket shop.
    pub ticket: Option<OwnTicket>,
    /// When they arrived.
    pub checked_in: Option<Time>,
    /// Sessions that they were scanned at.
    pub sessions: Vec<OwnAttendance>,
    /// Where they stand with others.
    pub contacts: Vec<OwnContact>,
    /// Visitors whose contacts they have.
    pub leads: Vec<OwnLead>,
    /// Exhibitors who have theirs.
    pub holders: Vec<OwnHolder>,
}

/// A badge.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnBadge {
    /// As it was given out.
    #[schemars(with = "String")]
    pub badge: Arc<str>,
    /// It opens nothing any more.
    pub revoked: bool,
    /// When it was given out.
    pub since: Time,
}

/// A ticket.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnTicket {
    /// What the ticket shop calls it.
    #[schemars(with = "String")]
    pub id: Arc<str>,
    /// Its kind.
    #[schemars(with = "String")]
    pub kind: Arc<str>,
    /// What it says of its owner.
    #[serde(flatten)]
    pub card: Card,
}

/// A session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnAttendance {
    /// Its conversation.
    #[schemars(with = "String")]
    pub conversation: ConversationId,
    /// How often they came in.
    pub enters: u32,
    /// How long they were inside, as far as they went out again.
    pub seconds: u64,
    /// When they first came.
    pub first: Time,
    /// When they were last scanned.
    pub last: Time,
}

/// Somebody they know, or may.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnContact {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Where they stand.
    #[schemars(with = "ContactStateWord")]
    pub state: &'static str,
    /// Since when.
    pub since: Time,
}

/// A visitor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnLead {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// 0 for none, else 1 to 5.
    pub rating: u8,
    /// Free text.
    #[schemars(with = "String")]
    pub note: Arc<str>,
    /// Words to sort by.
    #[schemars(with = "Vec<String>")]
    pub tags: Vec<Arc<str>>,
    /// First scan.
    pub since: Time,
    /// How often they were scanned.
    pub scans: u32,
}

/// An exhibitor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnHolder {
    /// Who.
    #[schemars(with = "String")]
    pub owner: Uid,
    /// First scan.
    pub since: Time,
    /// How often they scanned.
    pub scans: u32,
}
