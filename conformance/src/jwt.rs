//! An identity provider: keys, tokens signed by them, good ones and others, and a server of its key set.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// Who the provider is.
pub const ISSUER: &str = "https://id.example";
/// Whom its tokens are for.
pub const AUDIENCE: &str = "the-app";

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a good token says of somebody.
#[must_use]
pub fn claims(subject: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now(), "exp": now() + 600})
}

/// The same with other members; null takes one out.
#[must_use]
pub fn claims_with(subject: &str, changes: &Value) -> Value {
    let mut claims = claims(subject);
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    if let Some(members) = claims.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    claims
}

/// A key.
#[derive(Debug)]
pub enum Key {
    /// HS256.
    Secret(String),
    /// EdDSA.
    Ed25519(Ed25519KeyPair),
    /// ES256.
    P256(EcdsaKeyPair),
}

impl Key {
    /// A new Ed25519 key.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn ed25519() -> Result<Key> {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok();
        let pair = pair.and_then(|document| Ed25519KeyPair::from_pkcs8(document.as_ref()).ok());
        pair.map(Key::Ed25519).ok_or_else(|| anyhow!("no Ed25519 key"))
    }

    /// A new P-256 key.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn p256() -> Result<Key> {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair = EcdsaKeyPair::generate_pkcs8(kind, &random).ok();
        let pair = pair.and_then(|document| EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).ok());
        pair.map(Key::P256).ok_or_else(|| anyhow!("no P-256 key"))
    }

    /// The algorithm's name.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Key::Secret(_) => "HS256",
            Key::Ed25519(_) => "EdDSA",
            Key::P256(_) => "ES256",
        }
    }

    /// A token under this header, whatever it says.
    #[must_use]
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.to_string().as_bytes()));
        let signature = match self {
            Key::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes()).as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Key::P256(pair) => pair.sign(&SystemRandom::new(), signed.as_bytes()).map_or(Vec::new(), |made| made.as_ref().to_vec()),
        };
        format!("{signed}.{}", part(&signature))
    }

    /// A token as the key with this id makes it.
    #[must_use]
    pub fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "kid": kid, "typ": "JWT"}), claims)
    }

    /// The public key, as a member of a set.
    #[must_use]
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Key::Secret(_) => Value::Null,
            Key::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": part(pair.public_key().as_ref())}),
            Key::P256(pair) => {
                // An uncompressed point: 4, x, y.
                let (x, y) = pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "x": part(x), "y": part(y)})
            }
        }
    }

    /// The public key's bytes as text, for whoever would take it for a secret.
    #[must_use]
    pub fn public_text(&self) -> String {
        match self {
            Key::Secret(_) => String::new(),
            Key::Ed25519(pair) => part(pair.public_key().as_ref()),
            Key::P256(pair) => part(pair.public_key().as_ref()),
        }
    }
}

/// A part of a token.
#[must_use]
pub fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A server of a key set. Its thread lives as long as this program.
#[derive(Debug)]
pub struct KeySet {
    address: SocketAddr,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl KeySet {
    /// Serves these keys.
    ///
    /// # Errors
    /// There is no port.
    pub fn serve(keys: Vec<Value>) -> Result<KeySet> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let set = KeySet { address: listener.local_addr()?, keys: Arc::new(Mutex::new(keys)), asked: Arc::default() };
        let (keys, asked) = (Arc::clone(&set.keys), Arc::clone(&set.asked));
        std::thread::Builder::new().name("key set".into()).spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                // Whoever asks here asks for nothing else, in one piece.
                let _ = stream.read(&mut [0; 4096]);
                asked.fetch_add(1, Ordering::Relaxed);
                let body = json!({"keys": *keys.lock().unwrap_or_else(PoisonError::into_inner)}).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            }
        })?;
        Ok(set)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
