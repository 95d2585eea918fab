//! SCRAM-SHA-256 from the server's side (RFC 5802, RFC 7677), message by message: for protocols that carry SASL.

use std::net::IpAddr;

use data_encoding::BASE64;
use ring::digest;

use super::login::Attempt;
use super::scram::{self, Hash, SALT_BYTES};
use super::{Accounts, Identity, find_conference};
use crate::clock;
use crate::ids::Uid;
use crate::model::ScramKeys;
use crate::reader::Reader;
use crate::reject::{Reason, Reject};

/// Longest message of a client, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// An exchange that waits for the client's final message.
pub struct Exchange {
    conference: String,
    uid: String,
    keys: ScramKeys,
    /// `client-first-message-bare`.
    client_first: String,
    /// The channel-binding header, in base64: the client says it once more.
    binding: String,
    nonce: String,
    challenge: String,
}

impl Exchange {
    /// The server's first message.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.challenge
    }
}

/// The value of an attribute `name=value` in its place.
fn attribute<'m>(parts: &mut impl Iterator<Item = &'m str>, name: &str) -> Option<&'m str> {
    parts.next()?.strip_prefix(name)?.strip_prefix('=')
}

impl Accounts {
    /// Begins an exchange by the client's first message; a user name without `@conference` is one of `conference`. Whether there is such an account is not
    /// told: who does not exist is asked for a proof, too.
    ///
    /// # Errors
    /// [`Reason::BadCredentials`] for a malformed message, [`Reason::LoginRate`], and those of the store.
    pub fn begin_scram(&self, reader: &Reader, conference: &str, client_first: &[u8], peer: IpAddr) -> Result<Exchange, Reject> {
        self.begin(peer)?;
        let wrong = Reason::BadCredentials;
        let text = std::str::from_utf8(client_first).ok().filter(|text| text.len() <= MAX_MESSAGE_BYTES).ok_or(wrong)?;
        // RFC 5802 §7, gs2-header: no channel binding is offered, and nobody acts for somebody else.
        let bare = text.strip_prefix("n,,").or_else(|| text.strip_prefix("y,,")).ok_or(wrong)?;
        let mut parts = bare.split(',');
        let name = attribute(&mut parts, "n").ok_or(wrong)?.replace("=2C", ",").replace("=3D", "=");
        let nonce = attribute(&mut parts, "r").filter(|nonce| !nonce.is_empty()).ok_or(wrong)?;
        let (uid, conference) = name.split_once('@').unwrap_or((&name, conference));
        let keys = self.keys_of(reader, conference, uid)?;
        let nonce = format!("{nonce}{}", BASE64.encode(&clock::random::<18>()));
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        Ok(Exchange {
            conference: conference.to_owned(),
            uid: uid.to_owned(),
            keys,
            client_first: bare.to_owned(),
            binding: BASE64.encode(&text.as_bytes()[..3]),
            nonce,
            challenge,
        })
    }

    /// What a user's password is kept as; for who does not exist, or has none, something that no password fits and that is the same each time.
    fn keys_of(&self, reader: &Reader, conference: &str, uid: &str) -> Result<ScramKeys, Reject> {
        let found = match (find_conference(reader, conference), Uid::parse(uid)) {
            (Ok((_, record)), Ok(uid)) => reader.user(record.no, &uid)?.and_then(|user| user.credentials),
            _ => None,
        };
        if let Some(credentials) = found {
            return Ok(credentials.sha256);
        }
        let mut keys = self.nobody.sha256.clone();
        let seed = [&keys.stored_key[..], conference.as_bytes(), b"/", uid.as_bytes()].concat();
        keys.salt = digest::digest(&digest::SHA256, &seed).as_ref()[..SALT_BYTES].to_vec();
        Ok(keys)
    }

    /// Ends an exchange by the client's final message: who it is, and the server's final message.
    ///
    /// # Errors
    /// [`Reason::BadCredentials`], [`Reason::LoginRate`], and those of the store.
    pub fn finish_scram(
        &self,
        reader: &Reader,
        exchange: &Exchange,
        client_final: &[u8],
        peer: IpAddr,
    ) -> Result<(Identity, String), Reject> {
        let attempt = self.begin(peer)?;
        match exchange.check(client_final) {
            Some(message) => {
                let (conference, record) = find_conference(reader, &exchange.conference)?;
                let uid = Uid::parse(&exchange.uid).map_err(|_| Reason::BadCredentials)?;
                // The password may have changed meanwhile.
                let user = reader.user(record.no, &uid)?.ok_or(Reason::BadCredentials)?;
                if user.credentials.as_ref().is_none_or(|credentials| credentials.sha256 != exchange.keys) {
                    return Err(Reason::BadCredentials.into());
                }
                let identity = Identity { conf: record.no, conference, uid, user: user.into(), expires_ms: u64::MAX };
                let signature = scram::server_signature(Hash::Sha256, &exchange.keys, message.as_bytes());
                Ok((identity, format!("v={}", BASE64.encode(&signature))))
            }
            None => {
                Attempt::failed(&attempt)?;
                Err(Reason::BadCredentials.into())
            }
        }
    }
}

impl Exchange {
    /// The `AuthMessage` (RFC 5802 §3), when the client's proof is right.
    fn check(&self, client_final: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(client_final).ok().filter(|text| text.len() <= MAX_MESSAGE_BYTES)?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        if attribute(&mut parts, "c")? != self.binding || attribute(&mut parts, "r")? != self.nonce {
            return None;
        }
        let message = format!("{},{},{without_proof}", self.client_first, self.challenge);
        let proof = BASE64.decode(proof.as_bytes()).ok()?;
        scram::verify_proof(Hash::Sha256, &self.keys, message.as_bytes(), &proof).then_some(message)
    }
}
