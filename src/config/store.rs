//! `[store]`: where everything is kept.

use std::path::PathBuf;

use hallway_broker::hub::StoreOptions;
use serde::{Deserialize, Serialize};

/// The store's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The data directory.
    pub path: PathBuf,
    /// What the state may keep in memory.
    pub cache_bytes: u64,
    /// Days that applied segments of the log are kept.
    pub log_keep_days: u32,
    /// Length of a log segment.
    pub segment_bytes: u64,
    /// The cluster's log; not built yet.
    pub url: Option<String>,
}

impl Default for Store {
    fn default() -> Self {
        let options = StoreOptions::default();
        Self {
            path: "data".into(),
            cache_bytes: options.cache_bytes,
            log_keep_days: options.log_keep_days,
            segment_bytes: options.segment_bytes,
            url: None,
        }
    }
}

impl Store {
    /// The same for the hub.
    #[must_use]
    pub fn options(&self) -> StoreOptions {
        StoreOptions { cache_bytes: self.cache_bytes, log_keep_days: self.log_keep_days, segment_bytes: self.segment_bytes }
    }
}
