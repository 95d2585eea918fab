//! `[push]`: read and checked from the start, used by the push worker.

use serde::{Deserialize, Serialize};

/// The settings of push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// How long somebody must be away before they are pushed to.
    pub grace_ms: u64,
    /// URLs that users bring may point into private networks; by default only while everything is served on loopback.
    pub allow_private_urls: Option<bool>,
}

impl Default for Push {
    fn default() -> Self {
        Self { grace_ms: 3000, allow_private_urls: None }
    }
}
