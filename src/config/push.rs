//! `[push]`: the push worker's settings, and those of the gateways that deliver.

use std::path::PathBuf;

use hallway_bridge::push::{ApnsOptions, ExpoOptions, FcmOptions, WebPushOptions};
use serde::{Deserialize, Serialize};

/// The settings of push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// How long somebody must be away before they are pushed to.
    pub grace_ms: u64,
    /// URLs that users bring may point into private networks; by default only while everything is served on loopback.
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
            allow_private_urls: None,
            ca_file: None,
            apns: ApnsOptions::default(),
            fcm: FcmOptions::default(),
            expo: ExpoOptions::default(),
            webpush: WebPushOptions::default(),
        }
    }
}
