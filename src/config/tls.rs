//! `[tls]`: the certificate of all TLS listeners.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The settings of TLS. Without files a self-signed certificate is made in the data directory at the first start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM of the certificate and those that vouch for it.
    pub certificate: Option<PathBuf>,
    /// PEM of its private key.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Both files, when they are configured.
    #[must_use]
    pub fn files(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.clone().zip(self.key.clone())
    }
}
