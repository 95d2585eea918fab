//! `[conference.<id>.pretix]`: tickets that pretix signed (`pretix_sig1`), and which of them are good no more.

use std::io;
use std::path::PathBuf;

use hallway_broker::badges::contents::pretix::{Signers, public_key};
use serde::{Deserialize, Serialize};

/// Longest revocation list, in bytes.
const MAX_REVOKED_BYTES: u64 = 16 << 20;

/// Whose signature a ticket must have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pretix {
    /// The event's public keys, as pretix's API shows them (`valid_keys.pretix_sig1`), or as PEM.
    pub public_keys: Vec<String>,
    /// Codes of tickets that were cancelled or replaced, one on each line; read at start and on SIGHUP.
    pub revoked_file: Option<PathBuf>,
}

impl Pretix {
    /// The keys.
    ///
    /// # Errors
    /// Which is none.
    pub fn keys(&self) -> Result<Vec<[u8; 32]>, String> {
        if self.public_keys.is_empty() {
            return Err("public_keys is empty: without a key no signature can be checked".to_owned());
        }
        let key = |(at, text): (usize, &String)| {
            public_key(text).ok_or_else(|| format!("public_keys: number {} is no Ed25519 key, neither PEM nor base64 of it", at + 1))
        };
        self.public_keys.iter().enumerate().map(key).collect()
    }

    /// The keys with what is revoked.
    ///
    /// # Errors
    /// The file cannot be read, or a key is none.
    pub fn signers(&self) -> io::Result<Signers> {
        let mut signers = Signers::new(self.keys().map_err(io::Error::other)?);
        if let Some(file) = &self.revoked_file {
            let told = |error: io::Error| io::Error::new(error.kind(), format!("pretix.revoked_file {}: {error}", file.display()));
            if std::fs::metadata(file).map_err(told)?.len() > MAX_REVOKED_BYTES {
                return Err(told(io::Error::other("over 16 MiB")));
            }
            signers.revoke(&std::fs::read_to_string(file).map_err(told)?);
        }
        Ok(signers)
    }
}
