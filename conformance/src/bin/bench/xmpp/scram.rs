//! SCRAM-SHA-1 (RFC 5802) as a client that comes again does it: what the password comes to is computed once per salt and kept, as real
//! clients do, so that a storm measures the server and not the generator.

use std::collections::HashMap;
use std::num::NonZeroU32;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use ring::{digest, pbkdf2};

const HASH_BYTES: usize = 20;
/// `n,,` in base64: no channel binding.
const CHANNEL: &str = "c=biws";

type Hash = [u8; HASH_BYTES];

/// The salted passwords so far, by password, salt and iterations.
#[derive(Debug, Default)]
pub struct Keys {
    known: HashMap<(String, Vec<u8>, u32), Hash>,
    /// How many had to be computed.
    pub computed: usize,
}

/// An exchange whose first message is sent.
#[derive(Debug, Clone)]
pub struct Exchange {
    bare: String,
    nonce: String,
    server_signature: Option<Hash>,
}

impl Exchange {
    /// `user` needs no escaping.
    pub fn new(user: &str) -> Exchange {
        Exchange::with_nonce(user, format!("{:032x}", rand::random::<u128>()))
    }

    fn with_nonce(user: &str, nonce: String) -> Exchange {
        Exchange { bare: format!("n={user},r={nonce}"), nonce, server_signature: None }
    }

    pub fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The answer to the server's challenge.
    pub fn answer(&mut self, challenge: &str, password: &str, keys: &mut Keys) -> Result<String> {
        let field = |name: &str| challenge.split(',').find_map(|field| field.strip_prefix(name)).context("a challenge that misses a field");
        let (nonce, salt, iterations) = (field("r=")?, BASE64.decode(field("s=")?)?, field("i=")?.parse()?);
        ensure!(nonce.starts_with(&self.nonce), "a challenge with another nonce: {challenge}");
        let salted = keys.salted(password, salt, iterations)?;
        let client_key = hmac(&salted, b"Client Key");
        let without_proof = format!("{CHANNEL},r={nonce}");
        let auth = format!("{},{challenge},{without_proof}", self.bare);
        let stored_key = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &client_key);
        let signature = hmac(stored_key.as_ref(), auth.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        self.server_signature = Some(hmac(&hmac(&salted, b"Server Key"), auth.as_bytes()));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Whether the server's last words show that it knows the password too.
    pub fn check(&self, last: &str) -> Result<()> {
        let said = last.strip_prefix("v=").context("a success without the server's signature")?;
        let signature = self.server_signature.context("a success before an answer")?;
        ensure!(BASE64.decode(said)? == signature, "the server's signature is wrong");
        Ok(())
    }
}

impl Keys {
    fn salted(&mut self, password: &str, salt: Vec<u8>, iterations: u32) -> Result<Hash> {
        let rounds = NonZeroU32::new(iterations).context("no iterations")?;
        let key = (password.to_owned(), salt, iterations);
        if let Some(&salted) = self.known.get(&key) {
            return Ok(salted);
        }
        let mut salted = [0; HASH_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, rounds, &key.1, password.as_bytes(), &mut salted);
        self.known.insert(key, salted);
        self.computed += 1;
        Ok(salted)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Hash {
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), message);
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(tag.as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_5802() {
        let mut keys = Keys::default();
        let mut exchange = Exchange::with_nonce("user", "fyko+d2lbbFgONRv9qkxdawL".into());
        assert_eq!(exchange.first(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let answer = exchange.answer(challenge, "pencil", &mut keys).expect("a challenge");
        assert_eq!(answer, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        exchange.check("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").expect("the server's signature");
        assert!(exchange.check("v=rmF9pqV8S7suAoZWja4dJRkFsKA=").is_err());
        exchange.answer(challenge, "pencil", &mut keys).expect("again");
        assert_eq!(keys.computed, 1, "the second time it is known");
    }
}
