//! Files that are attached to messages.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Time;

/// Result of `POST /files`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Uploaded {
    /// What to put among a message's `attachments`, and where to get it.
    pub url: String,
    /// What it is called.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// What it is, by its bytes.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub media: &'static str,
    /// Its length, as it is kept.
    pub bytes: u64,
    /// Of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// A file in `people.export`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OwnFile {
    /// What it is called.
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// What it is.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub media: &'static str,
    /// Its length.
    pub bytes: u64,
    /// When it came.
    pub ts: Time,
    /// Messages that have it; where it is, they say.
    pub messages: u32,
}
