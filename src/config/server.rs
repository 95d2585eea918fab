//! `[server]`: what kind of server this is.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::WebOrigin;

/// Whom the server is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// This machine only; open sign-in, logins without TLS.
    #[default]
    Demo,
    /// Others; everything that is open is so by name.
    Server,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// An address range: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The range's address.
    pub address: IpAddr,
    /// How many of its bits count.
    pub prefix: u8,
}

/// The text is no range.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an address or range, as 127.0.0.1 or 10.0.0.0/8")]
pub struct BadCidr(String);

impl TryFrom<String> for Cidr {
    type Error = BadCidr;

    fn try_from(text: String) -> Result<Self, BadCidr> {
        let bad = || BadCidr(text.clone());
        let (address, prefix) = text.split_once('/').map_or((text.as_str(), None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |prefix| prefix.parse::<u8>().map_err(|_| bad()))?;
        if prefix > most {
            return Err(bad());
        }
        Ok(Self { address, prefix })
    }
}

impl From<Cidr> for String {
    fn from(range: Cidr) -> Self {
        format!("{}/{}", range.address, range.prefix)
    }
}

/// The server's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Whom it is for.
    pub mode: Mode,
    /// Where it is reached from outside.
    pub public_url: Option<WebOrigin>,
    /// Who may set `X-Forwarded-*`.
    pub trusted_proxies: Vec<Cidr>,
    /// Logins without TLS are taken; by default in demo mode only.
    pub plaintext_login: Option<bool>,
    /// How the log looks.
    pub log: LogFormat,
    /// Threads that hold connections; 0 for one per core.
    pub shards: usize,
}

impl Server {
    /// The names that people reach the server by, for its certificate.
    #[must_use]
    pub fn host_names(&self) -> Vec<String> {
        self.public_url.iter().map(|url| url.host().to_owned()).collect()
    }

    /// Whether passwords are taken on connections without TLS.
    #[must_use]
    pub fn takes_plaintext_logins(&self) -> bool {
        self.plaintext_login.unwrap_or(self.mode == Mode::Demo)
    }
}
