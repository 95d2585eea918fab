//! A file's URL: `/files/<capability>/<name>`, and in messages behind it what the file is, for clients of every protocol:
//! `#type=image/webp&bytes=1234&width=800&height=600`.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use ring::digest;

use super::name::write_percent_encoded;
use crate::ids::ConfNo;
use crate::model::{File, FileId};

/// What files' paths begin with.
const PATH: &str = "/files/";
/// Characters of a capability: base32 of its 20 bytes.
const CAPABILITY_CHARS: usize = 32;

/// The right to read a file: its conference's number and 128 random bits. Whoever has it may read; nothing else of the server gives it away, and
/// what the state keeps is its hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Capability([u8; 20]);

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capability(…)")
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl Capability {
    /// One of a new file; `random` comes from the system.
    #[must_use]
    pub fn new(conf: ConfNo, random: [u8; 16]) -> Self {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&conf.0.to_be_bytes());
        bytes[4..].copy_from_slice(&random);
        Self(bytes)
    }

    /// Reads one as it is in a URL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != CAPABILITY_CHARS || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// The conference that the file is in.
    #[must_use]
    pub fn conf(&self) -> ConfNo {
        let [a, b, c, d, ..] = self.0;
        ConfNo(u32::from_be_bytes([a, b, c, d]))
    }

    /// What the file is found by.
    #[must_use]
    pub fn id(&self) -> FileId {
        let digest = digest::digest(&digest::SHA256, &self.0);
        FileId(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

/// A file's path on this server.
#[must_use]
pub fn path(capability: &Capability, name: &str) -> String {
    let mut path = format!("{PATH}{capability}/");
    write_percent_encoded(name, &mut path);
    path
}

/// A file's URL as it is in messages.
#[must_use]
pub fn attachment(capability: &Capability, file: &File) -> Arc<str> {
    let mut url = path(capability, &file.name);
    url.push_str(&format!("#type={}&bytes={}", file.media.word(), file.bytes));
    if let Some((width, height)) = file.size {
        url.push_str(&format!("&width={width}&height={height}"));
    }
    url.into()
}

/// The capability in a file's URL: as the server gave it, or with its scheme and host in front, as clients of XMPP send it back. Whose host that
/// is does not matter: it is the capability that counts.
#[must_use]
pub fn capability_in(url: &str) -> Option<Capability> {
    let path = match url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) {
        Some(rest) => &rest[rest.find('/')?..],
        None => url,
    };
    let (capability, name) = path.strip_prefix(PATH)?.split_once('/')?;
    if name.is_empty() { None } else { Capability::parse(capability) }
}
