//! Keys that tokens are checked by. Each is for one algorithm, which it was given with and which no token can change (RFC 8725 §3.1): so a
//! public key is never the secret of an HMAC, and nothing is signed by `none`.
//!
//! The signatures are ring's. (Of the crates that do the rest, `jsonwebtoken` has had no ring since version 10, and the last that had it takes
//! a claim of the wrong type for none.)

use data_encoding::BASE64URL_NOPAD;
use ring::{hmac, signature};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::compact::Compact;
use super::spki::{self, Kind};

/// Most keys of one set.
const MAX_KEYS: usize = 64;
/// Keys that are tried on a token that does not say which.
const MAX_TRIED: usize = 8;
/// Least bytes of a shared secret (RFC 7518 §3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// What a key signs by (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSA PKCS #1 with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of a name; they are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "RS256" => Self::Rs256,
            "ES256" => Self::Es256,
            // By its name of before, and by that of RFC 9864.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Too short to keep anything.
    #[error("the shared secret must have at least {MIN_SECRET_BYTES} bytes")]
    ShortSecret,
    /// No PEM.
    #[error("there is no public key in PEM (-----BEGIN PUBLIC KEY-----) in it")]
    NoPem,
    /// A key that nothing is signed with here.
    #[error("the public key must be RSA, P-256 or Ed25519")]
    OtherKey,
    /// No JWKS.
    #[error("it is no JSON Web Key Set: {0}")]
    NoJwks(serde_json::Error),
    /// None of the set is for us.
    #[error("the key set has no RSA, P-256 or Ed25519 key for RS256, ES256 or EdDSA")]
    Empty,
    /// More than anybody has.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooMany,
}

/// A key.
struct Key {
    kid: Option<String>,
    check: Check,
}

enum Check {
    Secret(hmac::Key),
    /// As modulus and exponent.
    Rsa(signature::RsaPublicKeyComponents<Vec<u8>>),
    /// The rest: ring knows the algorithm with the key.
    Public(Algorithm, signature::UnparsedPublicKey<Vec<u8>>),
}

impl Check {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::Hs256,
            Self::Rsa(_) => Algorithm::Rs256,
            Self::Public(algorithm, _) => *algorithm,
        }
    }

    fn public(algorithm: Algorithm, bytes: Vec<u8>) -> Option<Self> {
        let by: &'static dyn signature::VerificationAlgorithm = match algorithm {
            Algorithm::Hs256 => return None,
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDsa => &signature::ED25519,
        };
        Some(Self::Public(algorithm, signature::UnparsedPublicKey::new(by, bytes)))
    }

    fn is_right(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
            Self::Rsa(key) => key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok(),
            Self::Public(_, key) => key.verify(signed, signature).is_ok(),
        }
    }
}

/// The keys of one identity provider.
pub struct Keys(Vec<Key>);

/// What a set of keys makes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One of them signed it.
    Signed,
    /// None did.
    Forged,
    /// It names one that is not among them: there may be newer ones.
    UnknownKey,
}

impl Keys {
    /// A shared secret, for HS256.
    ///
    /// # Errors
    /// [`KeyError::ShortSecret`].
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::ShortSecret);
        }
        Ok(Self(vec![Key { kid: None, check: Check::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)) }]))
    }

    /// A public key in PEM, for the algorithm that goes with its kind.
    ///
    /// # Errors
    /// [`KeyError::NoPem`], [`KeyError::OtherKey`].
    pub fn pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::NoPem)?;
        let (kind, key) = spki::parse(der.as_ref()).ok_or(KeyError::OtherKey)?;
        let algorithm = match kind {
            Kind::Rsa => Algorithm::Rs256,
            Kind::P256 => Algorithm::Es256,
            Kind::Ed25519 => Algorithm::EdDsa,
        };
        let check = Check::public(algorithm, key.to_vec()).ok_or(KeyError::OtherKey)?;
        Ok(Self(vec![Key { kid: None, check }]))
    }

    /// A JSON Web Key Set (RFC 7517 §5). Keys in it that are for something else are passed over; secrets are, too: what is published is none.
    ///
    /// # Errors
    /// [`KeyError::NoJwks`], [`KeyError::TooMany`], [`KeyError::Empty`].
    pub fn jwks(json: &[u8]) -> Result<Self, KeyError> {
        let set: Jwks = serde_json::from_slice(json).map_err(KeyError::NoJwks)?;
        if set.keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        let keys: Vec<Key> = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.key()).collect();
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys)) }
    }

    /// Whether one of the keys signed a token, by its own algorithm.
    #[must_use]
    pub fn judge(&self, token: &Compact<'_>) -> Verdict {
        let named = |key: &&Key| key.kid.is_none() || token.kid.is_none() || key.kid == token.kid;
        let mut candidates = self.0.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Verdict::UnknownKey;
        }
        let fitting = candidates.filter(|key| key.check.algorithm() == token.algorithm).take(MAX_TRIED);
        let signed = token.signed.as_bytes();
        if fitting.into_iter().any(|key| key.check.is_right(signed, &token.signature)) { Verdict::Signed } else { Verdict::Forged }
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn key(self) -> Option<Key> {
        let verifies = self.used_for.as_deref().is_none_or(|used_for| used_for == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let (algorithm, check) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(self.n.as_deref())?, bytes(self.e.as_deref())?);
                (Algorithm::Rs256, Check::Rsa(signature::RsaPublicKeyComponents { n: without_zeros(n), e: without_zeros(e) }))
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(self.x.as_deref())?, bytes(self.y.as_deref())?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                // SEC 1 §2.3.3: an uncompressed point.
                (Algorithm::Es256, Check::public(Algorithm::Es256, [&[4], &x[..], &y[..]].concat())?)
            }
            ("OKP", Some("Ed25519")) => {
                let x = bytes(self.x.as_deref())?;
                (Algorithm::EdDsa, Check::public(Algorithm::EdDsa, x)?)
            }
            _ => return None,
        };
        let fits = self.alg.as_deref().is_none_or(|alg| Algorithm::from_name(alg) == Some(algorithm));
        (verifies && fits).then_some(Key { kid: self.kid, check })
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text?.trim_end_matches('=').as_bytes()).ok()
}

/// RFC 7518 §6.3.1.1 has no zeros in front; some providers do.
fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
