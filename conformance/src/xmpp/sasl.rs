//! Signing in (RFC 6120 §6): PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677), the client's side, without IO.

use std::num::NonZeroU32;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};

/// How somebody shows who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password as it is.
    Plain,
    /// A proof with SHA-1.
    ScramSha1,
    /// A proof with SHA-256.
    ScramSha256,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Mechanism; 3] = [Mechanism::Plain, Mechanism::ScramSha1, Mechanism::ScramSha256];

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Mechanism> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// Its name in the registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

/// PLAIN's only message.
#[must_use]
pub fn plain(user: &str, password: &str) -> String {
    BASE64.encode(format!("\0{user}\0{password}"))
}

struct Hash {
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
    digest: &'static digest::Algorithm,
}

/// A SCRAM exchange without channel binding.
pub struct Scram {
    hash: Hash,
    password: String,
    bare: String,
    nonce: String,
    server_signature: Option<Vec<u8>>,
}

impl Scram {
    /// The exchange and its first message.
    #[must_use]
    pub fn start(mechanism: Mechanism, user: &str, password: &str) -> (Scram, String) {
        let hash = if mechanism == Mechanism::ScramSha1 {
            Hash { hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1, digest: &digest::SHA1_FOR_LEGACY_USE_ONLY }
        } else {
            Hash { hmac: hmac::HMAC_SHA256, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256, digest: &digest::SHA256 }
        };
        let nonce = BASE64.encode(rand::random::<[u8; 18]>());
        let bare = format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"));
        let first = BASE64.encode(format!("n,,{bare}"));
        (Scram { hash, password: password.to_owned(), bare, nonce, server_signature: None }, first)
    }

    /// The answer to the server's challenge.
    ///
    /// # Errors
    /// When the challenge is none.
    pub fn answer(&mut self, challenge: &str) -> Result<String> {
        let challenge = String::from_utf8(BASE64.decode(challenge.trim())?)?;
        let field = |name: &str| challenge.split(',').find_map(|field| field.strip_prefix(name)).with_context(|| challenge.clone());
        let (nonce, salt, rounds) = (field("r=")?, BASE64.decode(field("s=")?)?, field("i=")?.parse::<NonZeroU32>()?);
        ensure!(nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len(), "the server's nonce is {nonce}");
        let mut salted = vec![0; self.hash.digest.output_len()];
        pbkdf2::derive(self.hash.pbkdf2, rounds, &salt, self.password.as_bytes(), &mut salted);
        let without_proof = format!("c=biws,r={nonce}");
        let authenticated = format!("{},{challenge},{without_proof}", self.bare);
        let client_key = self.sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest, &client_key);
        let signature = self.sign(stored_key.as_ref(), authenticated.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, mask)| key ^ mask).collect();
        self.server_signature = Some(self.sign(&self.sign(&salted, b"Server Key"), authenticated.as_bytes()));
        Ok(BASE64.encode(format!("{without_proof},p={}", BASE64.encode(proof))))
    }

    fn sign(&self, key: &[u8], message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hash.hmac, key), message).as_ref().to_vec()
    }

    /// Whether the server knows the password, too.
    ///
    /// # Errors
    /// When it does not.
    pub fn verify(&self, success: &str) -> Result<()> {
        let text = String::from_utf8(BASE64.decode(success.trim())?)?;
        let Some(signature) = text.strip_prefix("v=") else { bail!("no server signature in {text:?}") };
        ensure!(self.server_signature == Some(BASE64.decode(signature)?), "the server's signature is wrong");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3's example.
    #[test]
    fn the_example_of_the_rfc() {
        let (mut scram, _) = Scram::start(Mechanism::ScramSha256, "user", "pencil");
        scram.nonce = "rOprNGfwEbeRWgbNEkqO".into();
        scram.bare = format!("n=user,r={}", scram.nonce);
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = scram.answer(&BASE64.encode(challenge)).expect("a challenge");
        let answer = String::from_utf8(BASE64.decode(answer).expect("base64")).expect("text");
        assert!(answer.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{answer}");
        assert!(scram.verify(&BASE64.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).is_ok());
        assert!(scram.verify(&BASE64.encode("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).is_err());
    }
}
