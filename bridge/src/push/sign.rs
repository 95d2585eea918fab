//! JSON Web Tokens that the server makes (RFC 7515 compact form): ES256 for Apple and for push services of browsers, RS256 for Google. One place
//! where keys sign.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It is not PEM.
    #[error("there is no private key in PEM in it (\"-----BEGIN PRIVATE KEY-----\")")]
    Pem,
    /// It is another kind of key.
    #[error("the key is not one of the curve P-256 (PKCS#8)")]
    NotP256,
    /// It is another kind of key.
    #[error("the key is not an RSA key of 2048 bits or more (PKCS#8)")]
    NotRsa,
    /// There is no randomness to sign with.
    #[error("the key cannot sign")]
    CannotSign,
}

/// The DER inside `-----BEGIN PRIVATE KEY-----`.
///
/// # Errors
/// [`BadKey::Pem`].
pub fn pkcs8_of_pem(pem: &str) -> Result<Vec<u8>, BadKey> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----").ok_or(BadKey::Pem)?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----").ok_or(BadKey::Pem)?;
    let body: String = body.split_ascii_whitespace().collect();
    data_encoding::BASE64.decode(body.as_bytes()).map_err(|_| BadKey::Pem)
}

/// A key that signs tokens.
pub enum Signer {
    /// ECDSA with P-256 and SHA-256.
    Es256(EcdsaKeyPair),
    /// RSA, PKCS#1 v1.5, with SHA-256.
    Rs256(RsaKeyPair),
}

impl Signer {
    /// A key of P-256, PKCS#8 in DER.
    ///
    /// # Errors
    /// [`BadKey::NotP256`].
    pub fn es256(pkcs8: &[u8]) -> Result<Self, BadKey> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
        key.map(Self::Es256).map_err(|_| BadKey::NotP256)
    }

    /// An RSA key, PKCS#8 in DER.
    ///
    /// # Errors
    /// [`BadKey::NotRsa`].
    pub fn rs256(pkcs8: &[u8]) -> Result<Self, BadKey> {
        RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rs256).map_err(|_| BadKey::NotRsa)
    }

    /// The public key: an uncompressed point, or the DER of an RSA key.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        match self {
            Self::Es256(key) => key.public_key().as_ref(),
            Self::Rs256(key) => key.public_key().as_ref(),
        }
    }

    /// A signed token with these claims; `kid` names the key to who checks it.
    ///
    /// # Errors
    /// [`BadKey::CannotSign`].
    pub fn token(&self, kid: Option<&str>, claims: &Value) -> Result<String, BadKey> {
        let alg = match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        };
        let mut header = json!({ "typ": "JWT", "alg": alg });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, BadKey> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => key.sign(&random, bytes).map(|signature| signature.as_ref().to_vec()).map_err(|_| BadKey::CannotSign),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).map_err(|_| BadKey::CannotSign)?;
                Ok(signature)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn es256() -> Signer {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Signer::es256(pkcs8.as_ref()).unwrap()
    }

    #[test]
    fn a_token_says_what_was_claimed_and_its_signature_is_the_keys() {
        let signer = es256();
        let token = signer.token(Some("KEY1234567"), &json!({ "iss": "TEAM123456", "iat": 1 })).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let read = |part: &str| serde_json::from_slice::<Value>(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap();
        assert_eq!(read(parts[0]), json!({ "typ": "JWT", "alg": "ES256", "kid": "KEY1234567" }));
        assert_eq!(read(parts[1]), json!({ "iss": "TEAM123456", "iat": 1 }));
        let signature = BASE64URL_NOPAD.decode(parts[2].as_bytes()).unwrap();
        assert_eq!(signature.len(), 64);
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer.public_key());
        key.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
        key.verify(format!("{}.{}x", parts[0], parts[1]).as_bytes(), &signature).unwrap_err();
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert_eq!(Signer::rs256(&pkcs8_of_pem(&pem()).unwrap()).err(), Some(BadKey::NotRsa));
        assert_eq!(Signer::es256(b"no key").err(), Some(BadKey::NotP256));
        assert_eq!(pkcs8_of_pem("-----BEGIN EC PRIVATE KEY-----\n").err(), Some(BadKey::Pem));
    }

    fn pem() -> String {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let body = data_encoding::BASE64.encode(pkcs8.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{}\n{}\n-----END PRIVATE KEY-----\n", &body[..64], &body[64..])
    }

    #[test]
    fn a_key_of_apples_form_is_read() {
        assert!(Signer::es256(&pkcs8_of_pem(&pem()).unwrap()).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_a_file_holds_it_is_a_key_or_an_error(text in ".{0,200}", inside in "[A-Za-z0-9+/=\n]{0,200}") {
            let _ = pkcs8_of_pem(&text);
            if let Ok(der) = pkcs8_of_pem(&format!("-----BEGIN PRIVATE KEY-----{inside}-----END PRIVATE KEY-----")) {
                let _ = (Signer::es256(&der), Signer::rs256(&der));
            }
        }
    }
}
