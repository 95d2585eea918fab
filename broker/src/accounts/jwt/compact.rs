//! A token in pieces (RFC 7515 §3.1): three parts of base64url between dots. Nothing in it is believed before its signature was right.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use super::keys::Algorithm;

/// Longest token, in bytes: what identity providers make has 1 to 3 KiB, with many groups in it.
pub const MAX_JWT_BYTES: usize = 8 * 1024;
/// Longest header, in bytes before its base64.
const MAX_HEADER_BYTES: usize = 1024;
/// Longest signature, in bytes: RSA with 8192 bits.
const MAX_SIGNATURE_BYTES: usize = 1024;

/// A token taken apart.
pub struct Compact<'t> {
    /// What its header says that it was signed by.
    pub algorithm: Algorithm,
    /// Which key.
    pub kid: Option<String>,
    /// What is signed.
    pub signed: &'t str,
    /// The signature.
    pub signature: Vec<u8>,
    payload: &'t str,
}

/// RFC 7515 §4.1. A header that says one of these twice is none.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood: there are none that we do.
    crit: Option<serde::de::IgnoredAny>,
}

impl<'t> Compact<'t> {
    /// `None` for what is no token, or one signed by nothing that is spoken here: `none` is no algorithm.
    #[must_use]
    pub fn parse(token: &'t str) -> Option<Self> {
        if token.len() > MAX_JWT_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') || header.len() > MAX_HEADER_BYTES * 4 / 3 || signature.len() > MAX_SIGNATURE_BYTES * 4 / 3 + 3 {
            return None;
        }
        let header: Header = serde_json::from_slice(&BASE64URL_NOPAD.decode(header.as_bytes()).ok()?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        let algorithm = Algorithm::from_name(&header.alg)?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        Some(Self { algorithm, kid: header.kid, signed, signature, payload })
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> Option<Vec<u8>> {
        BASE64URL_NOPAD.decode(self.payload.as_bytes()).ok()
    }
}

/// Whether a text has the look of such a token: a secret that has it is not taken for a password where tokens are.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    // Base64url of `{"`, which every header begins with that a program wrote.
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(header: &str, payload: &str, signature: &[u8]) -> String {
        let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        format!("{}.{}.{}", part(header.as_bytes()), part(payload.as_bytes()), part(signature))
    }

    #[test]
    fn a_token_and_its_parts() {
        let token = token(r#"{"typ":"JWT","alg":"RS256","kid":"k1"}"#, r#"{"sub":"a"}"#, b"sig");
        assert!(looks_like_one(&token));
        let parts = Compact::parse(&token).unwrap();
        assert_eq!((parts.algorithm, parts.kid.as_deref()), (Algorithm::Rs256, Some("k1")));
        assert_eq!(parts.payload().unwrap(), br#"{"sub":"a"}"#);
        assert_eq!(parts.signature, b"sig");
        assert_eq!(parts.signed, token.rsplit_once('.').unwrap().0);
    }

    #[test]
    fn what_is_none() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":""}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"none","alg":"HS256"}"#,
            r#"{"kid":"k"}"#,
            r#"["alg"]"#,
            "",
        ] {
            assert!(Compact::parse(&token(header, "{}", b"s")).is_none(), "{header}");
        }
        let good = token(r#"{"alg":"HS256"}"#, "{}", b"s");
        assert!(Compact::parse(&good).is_some());
        for broken in [format!("{good}="), format!("{good}."), good.replace('.', ""), format!(" {good}"), "a.b.c".into(), "..".into()] {
            assert!(Compact::parse(&broken).is_none(), "{broken}");
        }
        assert!(Compact::parse(&token(r#"{"alg":"HS256"}"#, &"x".repeat(MAX_JWT_BYTES), b"s")).is_none());
    }

    proptest! {
        #[test]
        fn anything_can_be_presented(text in "\\PC{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 1..5)) {
            for text in [text, parts.join("."), format!("eyJ{}", parts.join("."))] {
                if let Some(parts) = Compact::parse(&text) {
                    let _ = parts.payload();
                }
            }
        }

        #[test]
        fn any_header_can_be_presented(header in "[{]\"alg\":\"(HS256|none|RS256)\"[,:\"a-z{}\\[\\]]{0,20}", payload in "\\PC{0,40}") {
            let _ = Compact::parse(&token(&header, &payload, b"s"));
        }
    }
}
