//! SCRAM from the server's side (RFC 5802, RFC 7677), with and without channel binding, message by message: for protocols that carry SASL.

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

/// A mechanism of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanism {
    /// Its hash.
    pub hash: Hash,
    /// With channel binding (`-PLUS`).
    pub plus: bool,
}

impl Mechanism {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [
        Self { hash: Hash::Sha256, plus: true },
        Self { hash: Hash::Sha256, plus: false },
        Self { hash: Hash::Sha1, plus: true },
        Self { hash: Hash::Sha1, plus: false },
    ];

    /// Its name (RFC 5802 §4).
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.hash, self.plus) {
            (Hash::Sha256, true) => "SCRAM-SHA-256-PLUS",
            (Hash::Sha256, false) => "SCRAM-SHA-256",
            (Hash::Sha1, true) => "SCRAM-SHA-1-PLUS",
            (Hash::Sha1, false) => "SCRAM-SHA-1",
        }
    }

    /// The mechanism of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// What a channel is bound by: the type's registered name (RFC 5929, RFC 9266), and the channel's data of that type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBinding {
    /// `tls-exporter`, `tls-server-end-point`.
    pub name: &'static str,
    /// The data.
    pub data: Vec<u8>,
}

/// What a server's side of an exchange takes.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The mechanism that the client chose.
    pub mechanism: Mechanism,
    /// The channel's bindings, when mechanisms with them were offered.
    pub bindings: &'a [ChannelBinding],
    /// The conference of a user name without one.
    pub conference: &'a str,
}

/// An exchange that waits for the client's final message.
pub struct Exchange {
    hash: Hash,
    conference: String,
    uid: String,
    keys: ScramKeys,
    /// `client-first-message-bare`.
    client_first: String,
    /// The header and the channel's data, in base64: the client says them once more.
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

/// A client's first message, taken apart (RFC 5802 §7).
struct First<'m> {
    /// `gs2-header`.
    header: &'m str,
    /// What the channel is bound by, when the client binds it.
    bound_by: Option<&'m str>,
    authzid: Option<&'m str>,
    /// `client-first-message-bare`.
    bare: &'m str,
}

impl<'m> First<'m> {
    fn parse(text: &'m str, terms: &Terms<'_>) -> Option<Self> {
        let (flag, rest) = text.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let bound_by = match (flag, terms.mechanism.plus) {
            ("n", false) => None,
            // §6: the client believes that we bind no channel; if we do, somebody took the mechanisms out of our list.
            ("y", false) if terms.bindings.is_empty() => None,
            (flag, true) => Some(flag.strip_prefix("p=")?),
            _ => return None,
        };
        let authzid = if authzid.is_empty() { None } else { Some(authzid.strip_prefix("a=")?) };
        Some(Self { header: &text[..text.len() - bare.len()], bound_by, authzid, bare })
    }
}

/// A `saslname` as it was meant (RFC 5802 §5.1).
fn unescaped(name: &str) -> String {
    name.replace("=2C", ",").replace("=3D", "=")
}

/// The value of an attribute `name=value` in its place.
fn attribute<'m>(parts: &mut impl Iterator<Item = &'m str>, name: &str) -> Option<&'m str> {
    parts.next()?.strip_prefix(name)?.strip_prefix('=')
}

impl Accounts {
    /// Begins an exchange by the client's first message. Whether there is such an account is not told: who does not exist is asked for a proof, too.
    ///
    /// # Errors
    /// [`Reason::BadCredentials`] for a malformed message, [`Reason::LoginRate`], and those of the store.
    pub fn begin_scram(&self, reader: &Reader, terms: &Terms<'_>, client_first: &[u8], peer: IpAddr) -> Result<Exchange, Reject> {
        self.begin(peer)?;
        let wrong = Reason::BadCredentials;
        let text = std::str::from_utf8(client_first).ok().filter(|text| text.len() <= MAX_MESSAGE_BYTES).ok_or(wrong)?;
        let first = First::parse(text, terms).ok_or(wrong)?;
        let mut parts = first.bare.split(',');
        let name = unescaped(attribute(&mut parts, "n").ok_or(wrong)?);
        let nonce = attribute(&mut parts, "r").filter(|nonce| !nonce.is_empty()).ok_or(wrong)?;
        let (uid, conference) = name.split_once('@').unwrap_or((&name, terms.conference));
        // Nobody acts for somebody else.
        if first.authzid.is_some_and(|authzid| unescaped(authzid) != name) {
            return Err(wrong.into());
        }
        let mut binding = first.header.as_bytes().to_vec();
        if let Some(name) = first.bound_by {
            let known = terms.bindings.iter().find(|binding| binding.name == name).ok_or(wrong)?;
            binding.extend_from_slice(&known.data);
        }
        let hash = terms.mechanism.hash;
        let keys = self.keys_of(reader, hash, conference, uid)?;
        let nonce = format!("{nonce}{}", BASE64.encode(&clock::random::<18>()));
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        Ok(Exchange {
            hash,
            conference: conference.to_owned(),
            uid: uid.to_owned(),
            keys,
            client_first: first.bare.to_owned(),
            binding: BASE64.encode(&binding),
            nonce,
            challenge,
        })
    }

    /// What a user's password is kept as; for who does not exist, or has none, something that no password fits and that is the same each time.
    fn keys_of(&self, reader: &Reader, hash: Hash, conference: &str, uid: &str) -> Result<ScramKeys, Reject> {
        let found = match (find_conference(reader, conference), Uid::parse(uid)) {
            (Ok((_, record)), Ok(uid)) => reader.user(record.no, &uid)?.and_then(|user| user.credentials),
            _ => None,
        };
        if let Some(credentials) = found {
            return Ok(credentials.of(hash).clone());
        }
        let mut keys = self.nobody.of(hash).clone();
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
                if user.credentials.as_ref().is_none_or(|credentials| *credentials.of(exchange.hash) != exchange.keys) {
                    return Err(Reason::BadCredentials.into());
                }
                let identity = Identity { conf: record.no, conference, uid, user: user.into(), expires_ms: u64::MAX, token: None };
                let signature = scram::server_signature(exchange.hash, &exchange.keys, message.as_bytes());
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
        scram::verify_proof(self.hash, &self.keys, message.as_bytes(), &proof).then_some(message)
    }
}
