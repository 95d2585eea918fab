//! Who this server is to push services of browsers (RFC 8292): a key of its own, made at the first start, that signs a token for each service.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use hallway_broker::clock::Clock;
use hallway_broker::outward::Uri;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

use super::options::{GatewayError, Options};
use super::sign::{BadKey, Signer, pkcs8_of_pem};

/// The key's file in the data directory.
const FILE: &str = "vapid.key";
/// Where the key is, or will be. It is in no backup.
#[must_use]
pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// What errors about it are headed with.
const KEY: &str = "the Web Push key";
/// How long a token is good; 24 hours at most (RFC 8292 §2).
const LIFE_S: u64 = 12 * 3600;
/// After so long another one is made.
const RENEW_S: u64 = 6 * 3600;
/// Services whose tokens are kept.
const MAX_KEPT: usize = 256;

/// See the module's text.
pub struct Vapid {
    signer: Signer,
    public_key: String,
    subject: String,
    clock: Arc<dyn Clock>,
    /// By service: the header's value, and when it was made, Unix s.
    kept: Mutex<HashMap<String, (String, u64)>>,
}

impl Vapid {
    /// Reads the key, or makes it.
    ///
    /// # Errors
    /// It cannot be read or written, or the subject is none.
    pub fn open(options: &Options) -> Result<Self, GatewayError> {
        let subject = subject(options)?;
        let path = file(&options.data_dir);
        let signer = match read(&path)? {
            Some(signer) => signer,
            None => {
                let made = make(&options.data_dir, &path).map_err(|error| GatewayError::File { key: KEY, path: path.clone(), error })?;
                Signer::es256(&made).map_err(|error| GatewayError::bad_key(KEY, path, &error))?
            }
        };
        let public_key = BASE64URL_NOPAD.encode(signer.public_key());
        Ok(Self { signer, public_key, subject, clock: Arc::clone(&options.clock), kept: Mutex::default() })
    }

    /// Whether it could be opened; no key is made.
    ///
    /// # Errors
    /// The key is there and is none, or the subject is none.
    pub fn check(options: &Options) -> Result<(), GatewayError> {
        subject(options)?;
        read(&file(&options.data_dir)).map(drop)
    }

    /// The public key, as web apps need it to subscribe: an uncompressed point in base64url.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The value of `Authorization` for a service (RFC 8292 §3).
    ///
    /// # Errors
    /// [`BadKey::CannotSign`].
    pub fn authorization(&self, endpoint: &Uri) -> Result<String, BadKey> {
        let audience = origin(endpoint);
        let now_s = self.clock.now_ms() / 1000;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, made_s)) = kept.get(&audience)
            && (*made_s..*made_s + RENEW_S).contains(&now_s)
        {
            return Ok(value.clone());
        }
        let claims = json!({ "aud": audience, "exp": now_s + LIFE_S, "sub": self.subject });
        let value = format!("vapid t={}, k={}", self.signer.token(None, &claims)?, self.public_key);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(audience, (value.clone(), now_s));
        Ok(value)
    }
}

/// The origin of a service's URL, in its usual form (RFC 6454 §6.1): without the scheme's own port.
fn origin(endpoint: &Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or("https");
    let host = endpoint.host().unwrap_or_default().to_ascii_lowercase();
    let own = if scheme == "http" { 80 } else { 443 };
    match endpoint.port_u16().filter(|port| *port != own) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

/// The key in its file; `None` when it is not made yet.
fn read(path: &Path) -> Result<Option<Signer>, GatewayError> {
    let pem = match fs::read_to_string(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GatewayError::File { key: KEY, path: path.to_owned(), error }),
    };
    let signer = pkcs8_of_pem(&pem).and_then(|pkcs8| Signer::es256(&pkcs8));
    signer.map(Some).map_err(|error| GatewayError::bad_key(KEY, path.to_owned(), &error))
}

/// How those who run push services reach those who run this server.
fn subject(options: &Options) -> Result<String, GatewayError> {
    let key = "push.webpush.subject";
    match (&options.webpush.subject, &options.public_url) {
        (Some(subject), _) if subject.starts_with("mailto:") || subject.starts_with("https://") => Ok(subject.clone()),
        (Some(subject), _) => Err(GatewayError::Value { key, what: format!("'{subject}' is neither mailto: nor https://") }),
        (None, Some(url)) if url.starts_with("https://") => Ok(url.clone()),
        (None, _) => Ok("mailto:postmaster@localhost".to_owned()),
    }
}

/// Makes the key and puts it into its file: whole, or not at all.
fn make(data_dir: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let pkcs8 = pkcs8.map_err(|_| io::Error::other("there is no randomness"))?.as_ref().to_vec();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines(&BASE64.encode(&pkcs8)));
    let beside = path.with_extension("key.new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(data_dir)?.sync_all()?;
    Ok(pkcs8)
}

/// In lines of 64 characters (RFC 7468 §2).
fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    lines.join("\n")
}

#[cfg(test)]
pub mod tests;
