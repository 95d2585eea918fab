//! `[push]`: the push worker's settings, and those of the gateways that deliver.

use std::path::PathBuf;
use std::time::Duration;

use hallway_bridge::push::{ApnsOptions, ExpoOptions, FcmOptions, WebPushOptions};
use hallway_broker::push::PushOptions;
use serde::{Deserialize, Serialize};

/// The settings of push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// How long after a message it is decided who is away.
    pub grace_ms: u64,
    /// Who did something so long before a message, and is still there, is not away.
    pub active_ms: u64,
    /// Pushes that are on their way to one gateway at the same time.
    pub per_gateway: usize,
    /// How long a push is of use; it is not tried any more after that.
    pub time_to_live_s: u64,
    /// URLs that users bring may point into private networks; by default only in demo mode, on loopback.
    pub allow_private_urls: Option<bool>,
    /// Roots that gateways trust besides the machine's, PEM: for services of one's own.
    pub ca_file: Option<PathBuf>,
    /// Apple's service.
    pub apns: ApnsOptions,
    /// Google's service.
    pub fcm: FcmOptions,
    /// Expo's service.
    pub expo: ExpoOptions,
    /// The services of browsers, and `UnifiedPush`.
    pub webpush: WebPushOptions,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            grace_ms: 3000,
            active_ms: 60_000,
            per_gateway: 32,
            time_to_live_s: 24 * 3600,
            allow_private_urls: None,
            ca_file: None,
            apns: ApnsOptions::default(),
            fcm: FcmOptions::default(),
            expo: ExpoOptions::default(),
            webpush: WebPushOptions::default(),
        }
    }
}

impl Push {
    /// What the push worker is started with.
    #[must_use]
    pub fn options(&self) -> PushOptions {
        PushOptions {
            grace: Duration::from_millis(self.grace_ms),
            active: Duration::from_millis(self.active_ms),
            per_gateway: self.per_gateway,
            time_to_live: Duration::from_secs(self.time_to_live_s),
        }
    }
}
