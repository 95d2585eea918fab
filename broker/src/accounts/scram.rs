//! Passwords as SCRAM keeps them (RFC 5802, RFC 7677): keys for SHA-1 and SHA-256, and what can be checked against them. Pure: the
//! salts come in as arguments. One PBKDF2 is milliseconds of work, so only [`work`](super::work) calls this from a running server.

use std::fmt;
use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};
use stringprep::saslprep;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;

use crate::model::{Credentials, ScramKeys};

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// PBKDF2 rounds of new credentials.
pub const DEFAULT_ITERATIONS: u32 = 10_000;
/// Fewest rounds that a password is kept with. [RFC 5802 §5.1]
pub const MIN_ITERATIONS: u32 = 4096;
/// Longest password, in bytes of UTF-8.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// The hash of a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-1, which RFC 6120 makes every XMPP server offer.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
}

impl Hash {
    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        }
    }
}

/// A password of a permitted length, normalised as SCRAM asks, so that every keyboard's form of it is the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    /// Normalises a password by `SASLprep`, `None` when nothing is left of it, it is longer than [`MAX_PASSWORD_BYTES`] or has a NUL
    /// in it: SASL PLAIN cannot carry one, and HMAC pads its key with them, so one at the end would make no difference.
    ///
    /// What `SASLprep` prohibits (emoji, say: its Unicode is of 2002) is taken by NFKC alone, as clients without `SASLprep` send it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_PASSWORD_BYTES || text.contains('\0') {
            return None;
        }
        let prepared = saslprep(text).map_or_else(|_| text.nfkc().collect(), std::borrow::Cow::into_owned);
        (!prepared.is_empty()).then_some(Self(prepared))
    }

    /// The normalised bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// `Hi(password, salt, i)`, as long as the hash. [RFC 5802 §2.2]
fn salted(hash: Hash, password: &Password, salt: &[u8], iterations: u32) -> Vec<u8> {
    // A record without rounds is damaged; one round then checks as wrong instead of ending the thread.
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    let mut out = vec![0; hash.digest().output_len()];
    pbkdf2::derive(hash.pbkdf2(), rounds, salt, password.as_bytes(), &mut out);
    out
}

fn mac(hash: Hash, key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hash.hmac(), key), text)
}

/// The stored form of a password. [RFC 5802 §3]
#[must_use]
pub fn keys(hash: Hash, password: &Password, salt: [u8; SALT_BYTES], iterations: u32) -> ScramKeys {
    derive(hash, password, &salt, iterations.max(MIN_ITERATIONS))
}

fn derive(hash: Hash, password: &Password, salt: &[u8], iterations: u32) -> ScramKeys {
    let salted = salted(hash, password, salt, iterations);
    let client_key = mac(hash, &salted, b"Client Key");
    ScramKeys {
        salt: salt.to_vec(),
        iterations,
        stored_key: digest::digest(hash.digest(), client_key.as_ref()).as_ref().to_vec(),
        server_key: mac(hash, &salted, b"Server Key").as_ref().to_vec(),
    }
}

/// A password in both forms, each with its own salt.
#[must_use]
pub fn credentials(password: &Password, salts: [[u8; SALT_BYTES]; 2], iterations: u32) -> Credentials {
    let [sha1, sha256] = salts;
    Credentials { sha1: keys(Hash::Sha1, password, sha1, iterations), sha256: keys(Hash::Sha256, password, sha256, iterations) }
}

/// Credentials that cost as much to check as any and that no password matches.
#[must_use]
pub fn unmatched(salt: [u8; SALT_BYTES], random: [u8; 32], iterations: u32) -> Credentials {
    let keys = || ScramKeys {
        salt: salt.to_vec(),
        iterations: iterations.max(MIN_ITERATIONS),
        stored_key: random.to_vec(),
        server_key: random.to_vec(),
    };
    Credentials { sha1: keys(), sha256: keys() }
}

/// Whether this is the password, by its SHA-256 form.
#[must_use]
pub fn verify(credentials: &Credentials, password: &Password) -> bool {
    let kept = &credentials.sha256;
    let derived = derive(Hash::Sha256, password, &kept.salt, kept.iterations);
    derived.stored_key.ct_eq(&kept.stored_key).into()
}

/// Whether a client that sent `proof` knows the password. [RFC 5802 §3]
#[must_use]
pub fn verify_proof(hash: Hash, kept: &ScramKeys, auth_message: &[u8], proof: &[u8]) -> bool {
    let signature = mac(hash, &kept.stored_key, auth_message);
    if proof.len() != signature.as_ref().len() {
        return false;
    }
    let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    digest::digest(hash.digest(), &client_key).as_ref().ct_eq(&kept.stored_key).into()
}

impl Credentials {
    /// The form of a hash.
    #[must_use]
    pub fn of(&self, hash: Hash) -> &ScramKeys {
        match hash {
            Hash::Sha1 => &self.sha1,
            Hash::Sha256 => &self.sha256,
        }
    }
}

/// What shows the client that the server knows its keys. [RFC 5802 §3]
#[must_use]
pub fn server_signature(hash: Hash, kept: &ScramKeys, auth_message: &[u8]) -> Vec<u8> {
    mac(hash, &kept.server_key, auth_message).as_ref().to_vec()
}

/// What a client that knows the password proves it by. [RFC 5802 §3]
#[cfg(test)]
pub(super) fn client_proof(hash: Hash, password: &Password, kept: &ScramKeys, auth_message: &[u8]) -> Vec<u8> {
    let client_key = mac(hash, &salted(hash, password, &kept.salt, kept.iterations), b"Client Key");
    let signature = mac(hash, &kept.stored_key, auth_message);
    client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64, HEXLOWER};
    use proptest::prelude::*;

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    fn base64(text: &str) -> Vec<u8> {
        BASE64.decode(text.as_bytes()).unwrap()
    }

    struct Exchange {
        hash: Hash,
        salt: &'static str,
        auth_message: &'static str,
        proof: &'static str,
        signature: &'static str,
    }

    /// User `user`, password `pencil`, 4096 rounds.
    const EXCHANGES: &[Exchange] = &[
        // RFC 5802 §5
        Exchange {
            hash: Hash::Sha1,
            salt: "QSXCR+Q6sek8bf92",
            auth_message: "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
            proof: "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            signature: "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        },
        // RFC 7677 §3
        Exchange {
            hash: Hash::Sha256,
            salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
            auth_message: "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            proof: "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            signature: "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        },
    ];

    #[test]
    fn the_rfcs_exchanges() {
        for exchange in EXCHANGES {
            let kept = derive(exchange.hash, &password("pencil"), &base64(exchange.salt), 4096);
            let (message, proof) = (exchange.auth_message.as_bytes(), base64(exchange.proof));
            assert!(verify_proof(exchange.hash, &kept, message, &proof));
            assert_eq!(server_signature(exchange.hash, &kept, message), base64(exchange.signature));
            let wrong = derive(exchange.hash, &password("pencils"), &base64(exchange.salt), 4096);
            assert!(!verify_proof(exchange.hash, &wrong, message, &proof));
            assert!(!verify_proof(exchange.hash, &kept, message, &proof[1..]));
            assert!(!verify_proof(exchange.hash, &kept, b"another exchange", &proof));
        }
    }

    #[test]
    fn hi_is_pbkdf2() {
        // RFC 6070 §2
        let rfc6070 = salted(Hash::Sha1, &password("password"), b"salt", 4096);
        assert_eq!(HEXLOWER.encode(&rfc6070), "4b007901b765489abead49d926f721d065a429c1");
    }

    #[test]
    fn saslprep_examples() {
        // RFC 4013 §3, and what it prohibits but people type
        for (text, prepared) in [
            ("I\u{AD}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{AA}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{A0}b", "a b"),
            ("e\u{301}", "é"),
            ("\u{1F600}ﬁ", "\u{1F600}fi"),
            ("\u{7}", "\u{7}"),
            (" ", " "),
        ] {
            assert_eq!(password(text).as_bytes(), prepared.as_bytes(), "{text:?}");
        }
        assert_eq!(Password::parse(""), None);
        assert_eq!(Password::parse("\u{AD}"), None, "nothing is left of it");
        assert_eq!(Password::parse("x\0"), None, "HMAC takes it for x");
        assert!(Password::parse(&"x".repeat(1024)).is_some());
        assert_eq!(Password::parse(&"x".repeat(1025)), None);
    }

    #[test]
    fn only_the_password_itself_is_right() {
        let kept = credentials(&password("correct horse"), [[1; 16], [2; 16]], DEFAULT_ITERATIONS);
        assert!(verify(&kept, &password("correct horse")));
        for wrong in ["correct horsE", "correct horse ", "c", " correct horse"] {
            assert!(!verify(&kept, &password(wrong)), "{wrong:?}");
        }
        assert_eq!((kept.sha1.iterations, kept.sha256.iterations), (10_000, 10_000));
        assert_ne!(kept.sha1.salt, kept.sha256.salt);
    }

    #[test]
    fn too_few_rounds_are_raised() {
        assert_eq!(keys(Hash::Sha1, &password("p"), [0; 16], 1).iterations, MIN_ITERATIONS);
    }

    #[test]
    fn damaged_records_check_as_wrong() {
        let mut kept = credentials(&password("p"), [[1; 16], [2; 16]], MIN_ITERATIONS);
        kept.sha256.iterations = 0;
        assert!(!verify(&kept, &password("p")));
        kept.sha256.stored_key.clear();
        assert!(!verify(&kept, &password("p")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn preparing_is_stable_and_never_panics(text in "\\PC{0,40}") {
            if let Some(once) = Password::parse(&text) {
                let again = Password::parse(std::str::from_utf8(once.as_bytes()).unwrap());
                prop_assert_eq!(Some(once), again);
            }
        }

        #[test]
        fn a_flipped_proof_is_refused(flip in 0..256usize) {
            let exchange = &EXCHANGES[1];
            let kept = derive(exchange.hash, &password("pencil"), &base64(exchange.salt), 4096);
            let mut proof = base64(exchange.proof);
            proof[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!verify_proof(exchange.hash, &kept, exchange.auth_message.as_bytes(), &proof));
        }
    }
}
