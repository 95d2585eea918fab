//! What a hub is opened with, and why it did not open.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::allowances::TopicRule;
use crate::backbone::BackboneGone;
use crate::backup::BackupError;
use crate::badges::BadgeOptions;
use crate::commit::StoreError;
use crate::limits::Limits;

/// The store's options; sizes in bytes.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// What the state may keep in memory.
    pub cache_bytes: u64,
    /// Days that applied segments of the log are kept.
    pub log_keep_days: u32,
    /// Length of a log segment.
    pub segment_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 16 << 20, log_keep_days: 7, segment_bytes: 16 << 20 }
    }
}

/// What a hub is opened with.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The store's options.
    pub store: StoreOptions,
    /// The bounds.
    pub limits: Limits,
    /// Shards; 0 for one per core.
    pub shards: usize,
    /// Demo mode.
    pub demo: bool,
    /// The rules over applications' topics, by conference.
    pub topic_rules: HashMap<String, Vec<TopicRule>>,
    /// What is done about badges.
    pub badges: BadgeOptions,
}

impl HubOptions {
    /// What is kept in `data_dir`, with a shard per core and the defaults of everything else.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            store: StoreOptions::default(),
            limits: Limits::default(),
            shards: 0,
            demo: false,
            topic_rules: HashMap::new(),
            badges: BadgeOptions::default(),
        }
    }
}

/// Why a hub did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log or the state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backbone.
    #[error(transparent)]
    Backbone(#[from] BackboneGone),
    /// What a restore left to be done.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A thread could not be started, or what was being brought when the server ended cannot be removed.
    #[error("no thread, or no way into the data directory: {0}")]
    System(#[from] std::io::Error),
}
