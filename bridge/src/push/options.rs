//! What gateways are told: `[push.apns]`, `[push.fcm]`, `[push.expo]`, `[push.webpush]` of the configuration, and what the server knows itself.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::clock::Clock;
use serde::{Deserialize, Serialize};

use super::place;
use super::sign::BadKey;

/// Apple's service for apps of the store.
const APNS: &str = "https://api.push.apple.com";
/// Apple's service for apps under development.
const APNS_SANDBOX: &str = "https://api.sandbox.push.apple.com";
/// Google's service.
const FCM: &str = "https://fcm.googleapis.com";
/// Expo's service.
const EXPO: &str = "https://exp.host/--/api/v2/push/send";
/// When its receipts are there.
const EXPO_RECEIPTS_AFTER: Duration = Duration::from_secs(15 * 60);

/// Apple's push service. Without a key there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApnsOptions {
    /// The key for provider tokens, as Apple gives it (`.p8`).
    pub key_file: Option<PathBuf>,
    /// Its id: ten characters.
    pub key_id: Option<String>,
    /// The team that it is of: ten characters.
    pub team_id: Option<String>,
    /// The app's bundle id, for devices that do not say it.
    pub topic: Option<String>,
    /// Where the service is; Apple's by default.
    pub url: Option<String>,
    /// Where it is for apps under development; `url` if that is set, else Apple's.
    pub sandbox_url: Option<String>,
}

impl ApnsOptions {
    /// The service's URL.
    #[must_use]
    pub fn url(&self, is_sandbox: bool) -> &str {
        let own = if is_sandbox { self.sandbox_url.as_deref().or(self.url.as_deref()) } else { self.url.as_deref() };
        own.unwrap_or(if is_sandbox { APNS_SANDBOX } else { APNS })
    }
}

/// Google's push service. Without a service account there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FcmOptions {
    /// The service account's key, as Google gives it (JSON).
    pub service_account_file: Option<PathBuf>,
    /// Where the service is; Google's by default.
    pub url: Option<String>,
    /// Where access tokens are had; what the service account says by default.
    pub token_url: Option<String>,
}

impl FcmOptions {
    /// The service's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(FCM)
    }
}

/// Expo's push service.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpoOptions {
    /// The access token, of projects that want one. Never shown.
    pub access_token: Option<String>,
    /// Where the service is; Expo's by default.
    pub url: Option<String>,
    /// How long after a push it is asked for its receipt; a quarter of an hour by default, as Expo asks for.
    pub receipts_after_s: Option<u64>,
}

impl ExpoOptions {
    /// The service's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(EXPO)
    }

    /// Where receipts are asked for: beside it.
    #[must_use]
    pub fn receipts_url(&self) -> String {
        let beside = self.url().rsplit_once('/').map_or(self.url(), |(beside, _)| beside);
        format!("{beside}/getReceipts")
    }

    /// See `receipts_after_s`.
    #[must_use]
    pub fn receipts_after(&self) -> Duration {
        self.receipts_after_s.map_or(EXPO_RECEIPTS_AFTER, Duration::from_secs)
    }
}

impl std::fmt::Debug for ExpoOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExpoOptions({})", self.url())
    }
}

/// The push services of browsers, and `UnifiedPush`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebPushOptions {
    /// How those who run push services reach those who run this one: `mailto:…` or `https://…` (RFC 8292 §2.1); the server's public URL by default.
    pub subject: Option<String>,
}

/// Everything that gateways are told.
pub struct Options {
    /// Where the keys are kept that are made here.
    pub data_dir: PathBuf,
    /// Roots that are trusted besides the machine's, PEM.
    pub ca_file: Option<PathBuf>,
    /// URLs that users bring may lead into private networks, and need no TLS.
    pub allow_private_urls: bool,
    /// Apple's.
    pub apns: ApnsOptions,
    /// Google's.
    pub fcm: FcmOptions,
    /// Expo's.
    pub expo: ExpoOptions,
    /// Browsers'.
    pub webpush: WebPushOptions,
    /// Who is reached about this server when `webpush.subject` does not say.
    pub public_url: Option<String>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// Whether what is said of the services can be meant; no file is looked at.
    pub(super) fn check(&self) -> Result<(), GatewayError> {
        let Self { apns, fcm, expo, .. } = self;
        for (key, url) in [
            ("push.apns.url", &apns.url),
            ("push.apns.sandbox_url", &apns.sandbox_url),
            ("push.fcm.url", &fcm.url),
            ("push.fcm.token_url", &fcm.token_url),
            ("push.expo.url", &expo.url),
        ] {
            if let Some(url) = url.as_ref().filter(|url| place::url(url, true).is_err()) {
                return Err(GatewayError::Value {
                    key,
                    what: format!("'{url}' is not https://HOST, or http:// for a service of one's own"),
                });
            }
        }
        let has_names = [&apns.key_id, &apns.team_id, &apns.topic].into_iter().any(Option::is_some);
        if has_names && apns.key_file.is_none() {
            let what = "is missing: without the key nothing is pushed to Apple's devices, whatever push.apns says besides".to_owned();
            return Err(GatewayError::Value { key: "push.apns.key_file", what });
        }
        // It goes into a header.
        let is_token = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if expo.access_token.as_ref().is_some_and(|token| !is_token(token)) {
            return Err(GatewayError::Value {
                key: "push.expo.access_token",
                what: "is no token: letters, digits and signs, no spaces".to_owned(),
            });
        }
        Ok(())
    }
}

/// Why the gateways cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A file that cannot be read or written.
    #[error("{key}: {}: {error}", path.display())]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file that holds something else.
    #[error("{key}: {}: {what}", path.display())]
    Content {
        /// The key of the configuration.
        key: &'static str,
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A key of the configuration that is missing or cannot be.
    #[error("{key} {what}")]
    Value {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl GatewayError {
    /// A file whose key cannot be used.
    pub(super) fn bad_key(key: &'static str, path: PathBuf, error: &BadKey) -> Self {
        Self::Content { key, path, what: error.to_string() }
    }
}
