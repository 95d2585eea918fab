//! `[listen]`: one address for each protocol, or `none`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Where a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// Nowhere: the protocol is off.
    Off,
    /// Here; port 0 takes a free one.
    At(SocketAddr),
}

/// The text is no address.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an address: ADDR:PORT as in 127.0.0.1:8080 or [::1]:8080, or none")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text == "none" {
            return Ok(Self::Off);
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric.as_deref().unwrap_or(text).parse().map(Self::At).map_err(|_| BadAddress(text.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("none"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl Address {
    const fn loopback(port: u16) -> Self {
        Self::At(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// Whether only this machine gets in.
    #[must_use]
    pub fn is_private(self) -> bool {
        match self {
            Self::Off => true,
            Self::At(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

/// The listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// HTTP and WebSocket.
    pub http: Address,
    /// MQTT.
    pub mqtt: Address,
    /// MQTT over TLS.
    pub mqtts: Address,
    /// MQTT on a unix socket: its path, or `none`.
    #[serde(deserialize_with = "path_or_none")]
    pub mqtt_unix: Option<PathBuf>,
    /// XMPP with STARTTLS.
    pub xmpp: Address,
    /// XMPP over TLS.
    pub xmpps: Address,
    /// Always `none`: as a component of an existing XMPP server Hallway connects there, see `xmpp.components`.
    pub xmpp_component: Address,
}

fn path_or_none<'d, D: Deserializer<'d>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(from)?;
    Ok((text != "none").then(|| text.into()))
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            http: Address::loopback(8080),
            mqtt: Address::loopback(1883),
            mqtts: Address::loopback(8883),
            mqtt_unix: None,
            xmpp: Address::loopback(5222),
            xmpps: Address::loopback(5223),
            xmpp_component: Address::Off,
        }
    }
}

impl Listen {
    /// All of them, by key.
    #[must_use]
    pub fn all(&self) -> [(&'static str, Address); 6] {
        [
            ("listen.http", self.http),
            ("listen.mqtt", self.mqtt),
            ("listen.mqtts", self.mqtts),
            ("listen.xmpp", self.xmpp),
            ("listen.xmpps", self.xmpps),
            ("listen.xmpp_component", self.xmpp_component),
        ]
    }
}
