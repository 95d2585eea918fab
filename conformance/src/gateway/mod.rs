//! Strict fake gateways: Apple's, Google's, Expo's, browsers' push services, distributors of UnifiedPush, webhook receivers and an XMPP push service,
//! written from their documents. Each verifies what the real one verifies, opens what the device would open, answers as it is told, and writes
//! everything down; whatever is not strictly valid is a violation, and fails whoever waits for something ([`Book::wait`]).
//!
//! - [`book`]: devices, what arrived, answers, violations. [`exchange`]: requests and replies.
//! - [`token`]: signed tokens. [`sealed`]: Web Push's encryption.
//! - [`apns`], [`fcm`], [`webpush`], [`expo`], [`webhook`]: one provider each, all behind one [`listener`]. [`service`]: XEP-0357.

pub mod apns;
pub mod book;
pub mod exchange;
pub mod expo;
pub mod fcm;
pub mod listener;
pub mod receipts;
pub mod sealed;
pub mod service;
pub mod token;
pub mod webhook;
pub mod webpush;

#[cfg(test)]
mod tests;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ring::digest;
use ring::signature::{KeyPair as _, RsaKeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tempfile::TempDir;

use book::{Answer, Book, Device, Provider};
use exchange::{Reply, Request};
use listener::Listener;
use sealed::Subscription;

/// The app's bundle id.
pub const TOPIC: &str = "example.conference.app";
/// A service account's key. Making one takes seconds, so that it is the one of the sign-in tests.
const RSA_PKCS8: &str = include_str!("../../../broker/src/accounts/jwt/testing/rsa.p8.base64");
/// Where a redirect leads; nobody must ask for it.
const ELSEWHERE: &str = "/elsewhere";

/// What all gateways know.
#[derive(Debug)]
pub struct World {
    /// What is kept.
    pub book: Book,
    /// `https://127.0.0.1:PORT`.
    pub origin: String,
    /// The public key of APNs' tokens: an uncompressed point.
    pub apns_public: Vec<u8>,
    /// That of the service account.
    pub fcm_public: Vec<u8>,
    /// The tokens that were given to it.
    pub fcm_tokens: fcm::Tokens,
    /// The tickets that Expo gave.
    pub receipts: receipts::Receipts,
    vapid: Mutex<Option<Vec<u8>>>,
    latency_ms: AtomicU64,
    connections: AtomicU64,
}

impl World {
    /// The key that browsers were told, once they were.
    #[must_use]
    pub fn vapid(&self) -> Option<Vec<u8>> {
        self.vapid.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long every answer takes.
    #[must_use]
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))
    }
}

/// All of them, at one address.
#[derive(Debug)]
pub struct Gateways {
    world: Arc<World>,
    listener: Listener,
    files: TempDir,
}

impl Gateways {
    /// Makes keys, certificates and a service account, and listens.
    ///
    /// # Errors
    /// There is no port, or no place for files.
    pub fn start() -> Result<Gateways> {
        let files = tempfile::Builder::new().prefix("gateways-").tempdir()?;
        let socket = TcpListener::bind("127.0.0.1:0")?;
        let origin = format!("https://{}", socket.local_addr()?);
        let apns_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        fs::write(files.path().join("AuthKey.p8"), apns_key.serialize_pem())?;
        let fcm_public = service_account(files.path(), &origin)?;
        let world = Arc::new(World {
            book: Book::default(),
            origin,
            apns_public: apns_key.public_key_raw().to_vec(),
            fcm_public,
            fcm_tokens: fcm::Tokens::default(),
            receipts: receipts::Receipts::default(),
            vapid: Mutex::default(),
            latency_ms: AtomicU64::default(),
            connections: AtomicU64::default(),
        });
        let listener = Listener::start(socket, Arc::clone(&world), Arc::new(certificate(files.path())?))?;
        Ok(Gateways { world, listener, files })
    }

    /// What is kept.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.world.book
    }

    /// How often somebody has connected.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.world.connections.load(Ordering::Relaxed)
    }

    /// What the service account was given.
    #[must_use]
    pub fn tokens_of_fcm(&self) -> usize {
        self.world.fcm_tokens.count()
    }

    /// What Expo takes for this device from now on does not get through: it is gone, by its receipts.
    pub fn departs(&self, device: &Device) {
        self.world.receipts.departs(&device.name);
    }

    /// What all gateways know.
    #[must_use]
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    /// `[push.…]` for the server; what stands in `[push]` itself comes first.
    #[must_use]
    pub fn config(&self, push: &str) -> String {
        let (origin, at) = (&self.world.origin, |name: &str| self.files.path().join(name).display().to_string());
        format!(
            "[push]\nca_file = \"{ca}\"\n{push}\n\
             [push.apns]\nkey_file = \"{key}\"\nkey_id = \"{kid}\"\nteam_id = \"{team}\"\ntopic = \"{TOPIC}\"\nurl = \"{origin}\"\n\
             [push.fcm]\nservice_account_file = \"{account}\"\nurl = \"{origin}\"\n\
             [push.expo]\naccess_token = \"{expo}\"\nurl = \"{origin}{expo_path}\"\nreceipts_after_s = 1\n\
             [push.webpush]\nsubject = \"mailto:staff@conference.example\"\n",
            ca = at("ca.pem"),
            key = at("AuthKey.p8"),
            account = at("service-account.json"),
            kid = apns::KEY_ID,
            team = apns::TEAM_ID,
            expo = expo::ACCESS_TOKEN,
            expo_path = expo::PATH,
        )
    }

    /// The same for a server that trusts another's certificates instead.
    #[must_use]
    pub fn config_of_trust_in(&self, other: &Gateways, push: &str) -> String {
        self.config(push).replace(&self.authority(), &other.authority())
    }

    fn authority(&self) -> String {
        self.files.path().join("ca.pem").display().to_string()
    }

    /// From now on pushes to browsers must be signed by this key (base64url).
    ///
    /// # Errors
    /// It is none.
    pub fn subscribe_for(&self, key: &str) -> Result<()> {
        let key = token::base64url(key)?;
        ensure!(key.len() == 65 && key[0] == 4, "push.key is no uncompressed point");
        *self.world.vapid.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(())
    }

    /// A new device of a provider.
    #[must_use]
    pub fn device(&self, provider: Provider, name: &str) -> Arc<Device> {
        let hash = digest::digest(&digest::SHA256, format!("{}{name}", provider.word()).as_bytes());
        let (hex, short) = (hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>(), text_of(&hash.as_ref()[..16]));
        let address = match provider {
            Provider::Apns => hex,
            Provider::Fcm => format!("{short}:APA91b{}", text_of(hash.as_ref())),
            Provider::Expo => format!("ExponentPushToken[{short}]"),
            Provider::WebPush => format!("{}{}{short}", self.world.origin, webpush::PATH),
            Provider::UnifiedPush => format!("{}{}{short}?up=1", self.world.origin, webpush::UNIFIED_PATH),
            Provider::Webhook => format!("{}{}{short}", self.world.origin, webhook::PATH),
            Provider::Xmpp => service::JID.to_owned(),
        };
        let (subscription, secret) = (Subscription::new(), format!("secret of {name}"));
        self.book().add(Device { provider, name: name.to_owned(), address, subscription, secret })
    }

    /// The next pushes for a device are answered so.
    pub fn script(&self, device: &Device, answers: &[Answer]) {
        self.book().script(&device.name, answers);
    }

    /// Every answer takes so long from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.world.latency_ms.store(latency.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// They listen, or refuse connections and drop those they have.
    ///
    /// # Errors
    /// They have ended.
    pub fn set_up(&self, is_up: bool) -> Result<()> {
        self.listener.set_up(is_up)
    }
}

/// An authority, in `ca.pem`, and a certificate of it for `localhost` and 127.0.0.1.
fn certificate(files: &Path) -> Result<ServerConfig> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    fs::write(files.join("ca.pem"), authority.pem())?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf.der().to_vec())], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The file that Google's console gives; the public key.
fn service_account(files: &Path, origin: &str) -> Result<Vec<u8>> {
    let text: String = RSA_PKCS8.split_whitespace().collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(&text)?).map_err(|error| anyhow!("the RSA key: {error}"))?;
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let account = json!({
        "type": "service_account", "project_id": fcm::PROJECT, "private_key_id": fcm::KEY_ID, "private_key": pem,
        "client_email": fcm::EMAIL, "client_id": "100000000000000000000", "token_uri": format!("{origin}{}", fcm::TOKEN_PATH),
    });
    fs::write(files.join("service-account.json"), account.to_string())?;
    Ok(pair.public_key().as_ref().to_vec())
}

/// Whose path it is.
fn provider_of(path: &str) -> Option<Provider> {
    let begins = |prefix: &str| path.starts_with(prefix);
    Some(match () {
        () if begins(apns::PATH) => Provider::Apns,
        () if begins("/v1/projects/") => Provider::Fcm,
        () if path == expo::PATH || path == receipts::PATH => Provider::Expo,
        () if begins(webpush::PATH) => Provider::WebPush,
        () if begins(webpush::UNIFIED_PATH) => Provider::UnifiedPush,
        () if begins(webhook::PATH) => Provider::Webhook,
        () => return None,
    })
}

/// Whoever is asked answers.
fn answer(world: &World, request: &Request) -> Reply {
    match provider_of(&request.path) {
        Some(Provider::Apns) => apns::answer(world, request),
        Some(Provider::Fcm) => fcm::answer(world, request),
        Some(Provider::Expo) if request.path == receipts::PATH => receipts::answer(world, request),
        Some(Provider::Expo) => expo::answer(world, request),
        Some(provider @ (Provider::WebPush | Provider::UnifiedPush)) => webpush::answer(world, provider, request),
        Some(Provider::Webhook) => webhook::answer(world, request),
        Some(Provider::Xmpp) | None if request.path == fcm::TOKEN_PATH => fcm::token(world, request),
        Some(Provider::Xmpp) | None => {
            world.book.violation(format!("{} {}: nobody is there", request.method, request.path));
            Reply::empty(404)
        }
    }
}

/// How one answers that says all with the status, but for what only itself knows to say.
fn by_status(answer: &Answer) -> Reply {
    match answer {
        Answer::Gone => Reply::empty(410),
        Answer::Unknown => Reply::empty(404),
        Answer::Refuse => Reply::empty(400),
        Answer::TooLarge => Reply::empty(413),
        Answer::Throttle(after) => Reply::empty(429).again_after(*after),
        Answer::Broken => Reply::empty(500),
        Answer::Unavailable(after) => Reply::empty(503).again_after(*after),
        other => misbehave(other),
    }
}

/// What no provider would do.
fn misbehave(answer: &Answer) -> Reply {
    match answer {
        Answer::Silence => Reply::Never,
        Answer::Endless => Reply::endless(),
        Answer::Drip => Reply::drip(),
        _ => Reply::empty(307).with("location", Some(ELSEWHERE.into())),
    }
}

// ---- Ways to write bytes ----

/// base64url without padding.
#[must_use]
pub fn text_of(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of small hexadecimal digits.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let is_small = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_small || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

/// The fields of a form (`application/x-www-form-urlencoded`).
fn form(text: &str) -> Result<Vec<(String, String)>> {
    let pairs = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').with_context(|| format!("the field {pair:?}"))?;
        Ok((unescaped(name)?, unescaped(value)?))
    });
    pairs.collect()
}

fn unescaped(text: &str) -> Result<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let two = [rest.next().context("half an escape")?, rest.next().context("half an escape")?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&two)?, 16)?);
            }
            other => bytes.push(other),
        }
    }
    Ok(String::from_utf8(bytes)?)
}
