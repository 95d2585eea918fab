//! `lead.*`.

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::ids::Uid;
use hallway_broker::model::LeadNotes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::contact::Card;

/// Parameters of `lead.export`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TableParams<'a> {
    /// Whose leads: one's own or of whom one scans for; anybody's for staff. Not said: of whom one scans for, else one's own.
    #[serde(borrow)]
    pub owner: Option<Cow<'a, str>>,
    /// Uids above this one, without a heading.
    #[serde(borrow)]
    pub after: Option<Cow<'a, str>>,
}

/// Parameters of `lead.list`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LeadsParams<'a> {
    /// Whose leads: one's own or of whom one scans for; anybody's for staff. Not said: of whom one scans for, else one's own.
    #[serde(borrow)]
    pub owner: Option<Cow<'a, str>>,
    /// Uids above this one.
    #[serde(borrow)]
    pub after: Option<Cow<'a, str>>,
    /// At most this many (50, up to 500).
    pub limit: Option<u64>,
}

/// A lead.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LeadRow {
    /// Who.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Their display name.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// What the ticket shop knows of them.
    #[serde(flatten)]
    pub card: Card,
    /// First scan.
    pub since: Time,
    /// Last scan.
    pub last: Time,
    /// How often they were scanned.
    pub scans: u32,
    /// Who scanned them last.
    #[schemars(with = "String")]
    pub by: Uid,
    /// 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<u8>,
    /// What was written to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub note: Option<Arc<str>>,
    /// Words to sort by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub tags: Vec<Arc<str>>,
}

/// Result of `lead.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Leads {
    /// By uid.
    pub leads: Vec<LeadRow>,
    /// There are no more.
    pub complete: bool,
}

/// Names a lead.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LeadName<'a> {
    /// Who.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    /// Whose lead; of whom one scans for when it is not said, else one's own.
    #[serde(borrow)]
    pub owner: Option<Cow<'a, str>>,
}

/// Parameters of `lead.update`: what is not said stays.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LeadParams<'a> {
    /// Who.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    /// Whose lead; of whom one scans for when it is not said, else one's own.
    #[serde(borrow)]
    pub owner: Option<Cow<'a, str>>,
    /// 1 to 5; 0 for none.
    pub rating: Option<u8>,
    /// Free text, at most 4,096 bytes.
    #[serde(borrow)]
    pub note: Option<Cow<'a, str>>,
    /// At most 16 words of 64 bytes.
    pub tags: Option<Vec<String>>,
}

impl LeadParams<'_> {
    /// What is written then, of what was.
    #[must_use]
    pub fn notes(&self, before: LeadNotes) -> LeadNotes {
        LeadNotes {
            rating: self.rating.unwrap_or(before.rating),
            note: self.note.as_deref().map_or(before.note, Into::into),
            tags: self.tags.as_ref().map_or(before.tags, |tags| tags.iter().map(|tag| tag.as_str().into()).collect()),
        }
    }
}

/// Result of `lead.export`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LeadsCsv {
    /// A row for each lead, with commas, and without `after` a heading; no cell begins a formula.
    pub csv: String,
    /// That is all.
    pub complete: bool,
    /// What to go on with as `after`, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<Uid>,
}

/// Somebody who has one's data.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HolderRow {
    /// Who.
    #[schemars(with = "String")]
    pub owner: Uid,
    /// Their display name.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// Since when.
    pub since: Time,
    /// How often they scanned one's badge.
    pub scans: u32,
}

/// Result of `lead.holders`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Holders {
    /// By uid.
    pub holders: Vec<HolderRow>,
    /// There are no more.
    pub complete: bool,
}

/// Parameters of `lead.withdraw`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WithdrawParams<'a> {
    /// From whom.
    #[serde(borrow)]
    pub owner: Cow<'a, str>,
}
