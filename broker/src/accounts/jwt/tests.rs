//! Signatures and keys: which token which keys take.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::compact::Compact;
use super::keys::{KeyError, Keys, MIN_SECRET_BYTES, Verdict};
use super::testing::Signer;

const SECRET: &str = "a secret of at least 32 bytes, as RFC 7518 wants";

fn claims() -> Value {
    json!({"sub": "u1", "exp": 1})
}

fn judge(keys: &Keys, token: &str) -> Option<Verdict> {
    Some(keys.judge(&Compact::parse(token)?))
}

fn jwks(keys: &[Value]) -> Result<Keys, KeyError> {
    Keys::jwks(json!({"keys": keys}).to_string().as_bytes())
}

#[test]
fn every_algorithm_from_a_set_and_from_pem() {
    for signer in [Signer::rsa(), Signer::p256(), Signer::ed25519()] {
        let (set, pem) = (jwks(&[signer.jwk("k")]).unwrap(), Keys::pem(signer.pem().as_bytes()).unwrap());
        let token = signer.token("k", &claims());
        let unnamed = signer.token_with(&json!({"alg": signer.algorithm()}), &claims());
        for keys in [&set, &pem] {
            assert_eq!(judge(keys, &token), Some(Verdict::Signed), "{}", signer.algorithm());
            assert_eq!(judge(keys, &unnamed), Some(Verdict::Signed), "{}", signer.algorithm());
        }
        assert_eq!(judge(&set, &signer.token("other", &claims())), Some(Verdict::UnknownKey));
        let forged = format!("{}{}", &token[..token.len() - 8], "AAAAAAAA");
        assert_eq!(judge(&set, &forged), Some(Verdict::Forged));
        let (head, rest) = token.split_once('.').unwrap();
        let changed = format!("{head}.{}{}", if rest.starts_with('e') { "f" } else { "e" }, &rest[1..]);
        assert_eq!(judge(&set, &changed), Some(Verdict::Forged));
    }
    let signer = Signer::secret(SECRET);
    let keys = Keys::secret(SECRET.as_bytes()).unwrap();
    assert_eq!(judge(&keys, &signer.token("whatever", &claims())), Some(Verdict::Signed));
    assert_eq!(judge(&keys, &Signer::secret("another secret, which nobody told us").token("k", &claims())), Some(Verdict::Forged));
}

#[test]
fn the_algorithm_is_the_keys() {
    let rsa = Signer::rsa();
    let pem = rsa.pem();
    // Whoever has the public key has no secret: its text, or its bytes, sign nothing.
    for keys in [Keys::pem(pem.as_bytes()).unwrap(), jwks(&[rsa.jwk("k")]).unwrap()] {
        let n = rsa.jwk("k")["n"].as_str().unwrap().to_owned();
        for secret in [pem.as_str(), pem.trim(), n.as_str()] {
            assert_eq!(judge(&keys, &Signer::secret(secret).token("k", &claims())), Some(Verdict::Forged));
        }
        assert_eq!(judge(&keys, &rsa.token_with(&json!({"alg": "HS256", "kid": "k"}), &claims())), Some(Verdict::Forged));
        assert_eq!(judge(&keys, &rsa.token_with(&json!({"alg": "ES256", "kid": "k"}), &claims())), Some(Verdict::Forged));
        for alg in ["none", "NONE", "RS512", "PS256"] {
            assert_eq!(judge(&keys, &rsa.token_with(&json!({"alg": alg, "kid": "k"}), &claims())), None, "{alg}");
        }
    }
    let secret = Keys::secret(SECRET.as_bytes()).unwrap();
    assert_eq!(judge(&secret, &rsa.token("k", &claims())), Some(Verdict::Forged));
}

#[test]
fn sets_with_what_is_not_for_us() {
    let (rsa, p256) = (Signer::rsa(), Signer::p256());
    let mut for_encryption = rsa.jwk("enc");
    for_encryption["use"] = "enc".into();
    let mut by_another = rsa.jwk("rs512");
    by_another["alg"] = "RS512".into();
    let mut short_point = p256.jwk("short");
    short_point["x"] = "AAAA".into();
    let secret = Signer::secret(SECRET);
    let others =
        [for_encryption, by_another, short_point, secret.jwk("oct"), json!({"kty": "EC", "crv": "P-384"}), json!("key"), json!({})];
    assert!(matches!(jwks(&others), Err(KeyError::Empty)));
    let keys = jwks(&[&others[..], &[p256.jwk("good")]].concat()).unwrap();
    assert_eq!(judge(&keys, &p256.token("good", &claims())), Some(Verdict::Signed));
    for (signer, kid) in [(&rsa, "enc"), (&rsa, "rs512"), (&secret, "oct")] {
        assert_eq!(judge(&keys, &signer.token(kid, &claims())), Some(Verdict::UnknownKey), "{kid}");
    }
    let many: Vec<Value> = (0..65).map(|n| p256.jwk(&n.to_string())).collect();
    assert!(matches!(jwks(&many), Err(KeyError::TooMany)));
    for broken in ["", "[]", "{}", r#"{"keys":{}}"#, "-----BEGIN PUBLIC KEY-----"] {
        assert!(matches!(Keys::jwks(broken.as_bytes()), Err(KeyError::NoJwks(_))), "{broken}");
    }
}

#[test]
fn ed25519_by_either_name() {
    let signer = Signer::ed25519();
    for (of_the_key, of_the_token) in [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA"), ("Ed25519", "Ed25519")] {
        let mut key = signer.jwk("k");
        key["alg"] = of_the_key.into();
        let token = signer.token_with(&json!({"alg": of_the_token, "kid": "k"}), &claims());
        assert_eq!(judge(&jwks(&[key]).unwrap(), &token), Some(Verdict::Signed), "{of_the_key} {of_the_token}");
    }
}

proptest! {
    #[test]
    fn any_set_can_be_published(text in "\\PC{0,60}", n in "[A-Za-z0-9_=-]{0,80}", kty in "(RSA|EC|OKP|oct)", crv in "(P-256|Ed25519|X25519)") {
        let key = json!({"kty": kty, "crv": crv, "kid": "k", "n": n, "e": "AQAB", "x": n, "y": n, "use": text});
        for json in [text.clone(), json!({"keys": [key.clone(), text]}).to_string(), json!({"keys": key}).to_string()] {
            if let Ok(keys) = Keys::jwks(json.as_bytes()) {
                let _ = judge(&keys, &Signer::secret(SECRET).token("k", &claims()));
            }
        }
        let _ = Keys::pem(text.as_bytes());
        let _ = Keys::pem(format!("-----BEGIN PUBLIC KEY-----\n{n}\n-----END PUBLIC KEY-----").as_bytes());
    }
}

#[test]
fn keys_that_cannot_be_used() {
    assert!(matches!(Keys::secret(&[b'x'; MIN_SECRET_BYTES - 1]), Err(KeyError::ShortSecret)));
    assert!(Keys::secret(&[b'x'; MIN_SECRET_BYTES]).is_ok());
    assert!(matches!(Keys::pem(b"no PEM"), Err(KeyError::NoPem)));
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    assert!(matches!(Keys::pem(other.public_key_pem().as_bytes()), Err(KeyError::OtherKey)));
    assert!(matches!(Keys::pem(other.serialize_pem().as_bytes()), Err(KeyError::NoPem)), "a private key is not read");
}
