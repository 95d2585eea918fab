//! Signed tokens (RFC 7515, compact), as those read them who are shown them.

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

/// What a token says, once its signature has been seen to be good.
#[derive(Debug)]
pub struct Token {
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

impl Token {
    /// Reads a token that is signed with this algorithm by this public key: an uncompressed point for ES256, an `RSAPublicKey` for RS256.
    ///
    /// # Errors
    /// It is none, or not signed so.
    pub fn verify(text: &str, algorithm: &str, key: &[u8]) -> Result<Token> {
        let (signed, signature) = text.rsplit_once('.').context("not a token")?;
        let (header, claims) = signed.split_once('.').context("not a token")?;
        let token = Token { header: json_of(header)?, claims: json_of(claims)? };
        ensure!(token.header["alg"] == algorithm, "the token's alg is {}, not {algorithm}", token.header["alg"]);
        ensure!(token.header.get("typ").is_none_or(|typ| typ == "JWT"), "the token's typ is {}", token.header["typ"]);
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            "ES256" => &ECDSA_P256_SHA256_FIXED,
            _ => &RSA_PKCS1_2048_8192_SHA256,
        };
        let signature = base64url(signature)?;
        let verified = UnparsedPublicKey::new(verification, key).verify(signed.as_bytes(), &signature);
        verified.map_err(|_| anyhow!("the token's signature is wrong"))?;
        Ok(token)
    }

    /// A claim that is a number of seconds.
    ///
    /// # Errors
    /// It is something else, or missing.
    pub fn seconds(&self, claim: &str) -> Result<u64> {
        self.claims[claim].as_u64().with_context(|| format!("{claim} is {}, not seconds", self.claims[claim]))
    }

    /// A claim that is text.
    ///
    /// # Errors
    /// It is something else, or missing.
    pub fn text(&self, claim: &str) -> Result<&str> {
        self.claims[claim].as_str().with_context(|| format!("{claim} is {}, not text", self.claims[claim]))
    }
}

fn json_of(part: &str) -> Result<Value> {
    let value: Value = serde_json::from_slice(&base64url(part)?).context("a part of the token is not JSON")?;
    ensure!(value.is_object(), "a part of the token is no object");
    Ok(value)
}

/// Bytes of base64url without padding.
///
/// # Errors
/// It is none.
pub fn base64url(text: &str) -> Result<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).with_context(|| format!("{text:?} is not base64url without padding"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{Key, claims, part};

    #[test]
    fn only_what_the_key_signed_is_believed() {
        let (key, other) = (Key::p256().expect("a key"), Key::p256().expect("a key"));
        let public = base64url(&key.public_text()).expect("a point");
        let token = key.token("k", &claims("alice"));
        assert_eq!(Token::verify(&token, "ES256", &public).expect("good").claims["sub"], "alice");
        assert!(Token::verify(&other.token("k", &claims("alice")), "ES256", &public).is_err(), "another's");
        assert!(Token::verify(&token, "RS256", &public).is_err(), "another algorithm");
        let (signed, signature) = token.rsplit_once('.').expect("parts");
        let (header, _) = signed.split_once('.').expect("parts");
        assert!(Token::verify(&format!("{header}.{}.{signature}", part(b"{\"sub\":\"eve\"}")), "ES256", &public).is_err(), "other claims");
        assert!(Token::verify(&format!("{token}="), "ES256", &public).is_err(), "padded");
    }
}
