//! Tickets that pretix signed (`pretix_sig1`), checked without asking anybody.
//!
//! The code is, back to front, the base64 of: a version (1), the lengths of ticket and signature (two bytes each, big endian), the ticket as
//! protobuf, and its Ed25519 signature. The ticket says its seed, what was bought, and when it is good.

use std::collections::HashSet;

use data_encoding::BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::accounts::jwt::spki;

/// Longest code, in characters: a ticket has some forty bytes, its signature 64.
const MAX_CODE_BYTES: usize = 1024;
const VERSION: u8 = 1;
/// Version and lengths.
const HEAD_BYTES: usize = 5;
const SIGNATURE_BYTES: usize = 64;

/// What a signed ticket says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticket {
    /// What tells it from others.
    pub seed: String,
    /// What was bought: the number that the shop has for it.
    pub item: u64,
    /// From when it is good, Unix s; 0: always.
    pub valid_from_s: u64,
    /// Until when it is good, Unix s; 0: for ever.
    pub valid_until_s: u64,
}

/// A code that has the shape of a signed ticket; whether the signature is good is another matter.
#[derive(Debug)]
struct Signed {
    ticket: Ticket,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// What a code comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is no signed ticket at all.
    NotSigned,
    /// Good.
    Good(Ticket),
    /// It looks like one, and nobody we trust has signed it.
    Forged,
    /// It was cancelled or replaced.
    Revoked,
    /// Not good yet, or not any more.
    NotNow,
}

impl Verdict {
    fn worse(self, other: Self) -> Self {
        let badness = |verdict: &Self| match verdict {
            Self::NotSigned => 0,
            Self::Good(_) => 1,
            Self::NotNow => 2,
            Self::Revoked => 3,
            Self::Forged => 4,
        };
        if badness(&other) > badness(&self) { other } else { self }
    }
}

/// Whose tickets are good, and which of them are not.
#[derive(Default)]
pub struct Signers {
    keys: Vec<[u8; 32]>,
    revoked: HashSet<Box<str>>,
}

impl std::fmt::Debug for Signers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever knows a revoked code knows what codes look like; nothing more is said of them.
        write!(f, "Signers({} keys, {} revoked)", self.keys.len(), self.revoked.len())
    }
}

impl Signers {
    /// Those of these keys, as [`public_key`] gave them.
    #[must_use]
    pub fn new(keys: Vec<[u8; 32]>) -> Self {
        Self { keys, revoked: HashSet::new() }
    }

    /// Adds a revocation list: a code per line. Other columns behind a comma and a heading do no harm.
    pub fn revoke(&mut self, list: &str) {
        let code = |line: &str| Some(super::bare(line.split([',', ';', '\t']).next()?).trim_matches('"').to_owned());
        // Spreadsheets begin a file with a mark of its encoding.
        let list = list.trim_start_matches('\u{feff}');
        self.revoked.extend(list.lines().filter_map(code).filter(|code| !code.is_empty()).map(String::into_boxed_str));
    }

    /// The worst of what a text is at a time, and of what it has in it: a ticket is no better on a business card.
    #[must_use]
    pub fn verdict_of_all(&self, text: &str, now_ms: u64) -> Verdict {
        let whole = self.verdict(text, now_ms);
        let inside = super::codes(text);
        inside.iter().map(|code| self.verdict(code, now_ms)).fold(whole, Verdict::worse)
    }

    /// What `code` is at a time.
    #[must_use]
    pub fn verdict(&self, code: &str, now_ms: u64) -> Verdict {
        let code = super::bare(code);
        if self.keys.is_empty() {
            return Verdict::NotSigned;
        }
        if self.revoked.contains(code) {
            return Verdict::Revoked;
        }
        let Some(Signed { ticket, payload, signature }) = Signed::parse(code) else { return Verdict::NotSigned };
        if !self.keys.iter().any(|key| UnparsedPublicKey::new(&ED25519, key).verify(&payload, &signature).is_ok()) {
            return Verdict::Forged;
        }
        let now_s = now_ms / 1000;
        let is_over = ticket.valid_until_s != 0 && now_s > ticket.valid_until_s;
        if is_over || now_s < ticket.valid_from_s { Verdict::NotNow } else { Verdict::Good(ticket) }
    }
}

/// A public key as pretix shows it (base64 of PEM), as PEM, or as base64 of X.509's form or of the key alone.
#[must_use]
pub fn public_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.starts_with("-----BEGIN ") {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        return from_der(&BASE64.decode(body.as_bytes()).ok()?);
    }
    let one_line: String = text.split_whitespace().collect();
    let bytes = BASE64.decode(one_line.as_bytes()).ok()?;
    match std::str::from_utf8(&bytes) {
        Ok(pem) if pem.trim_start().starts_with("-----BEGIN ") => public_key(pem),
        _ => from_der(&bytes).or_else(|| bytes.try_into().ok()),
    }
}

fn from_der(der: &[u8]) -> Option<[u8; 32]> {
    match spki::parse(der)? {
        (spki::Kind::Ed25519, key) => key.try_into().ok(),
        _ => None,
    }
}

impl Signed {
    fn parse(code: &str) -> Option<Self> {
        if code.len() > MAX_CODE_BYTES {
            return None;
        }
        let straight: Vec<u8> = code.bytes().rev().collect();
        let bytes = BASE64.decode(&straight).ok()?;
        let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
        let [version, p1, p2, s1, s2] = *head else { return None };
        let (payload, signature) = body.split_at_checked(usize::from(u16::from_be_bytes([p1, p2])))?;
        let length = usize::from(u16::from_be_bytes([s1, s2]));
        if version != VERSION || length != SIGNATURE_BYTES || signature.len() != length {
            return None;
        }
        Some(Self { ticket: ticket(payload)?, payload: payload.to_vec(), signature: signature.to_vec() })
    }
}

/// The ticket's protobuf: a text and numbers; what a later version adds is passed over.
fn ticket(mut rest: &[u8]) -> Option<Ticket> {
    const SEED: u64 = 1;
    const ITEM: u64 = 2;
    const VALID_FROM: u64 = 5;
    const VALID_UNTIL: u64 = 6;
    let mut ticket = Ticket::default();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (SEED, 2) => ticket.seed = String::from_utf8(delimited(&mut rest)?.to_vec()).ok()?,
            (field, 0) => {
                let number = varint(&mut rest)?;
                match field {
                    ITEM => ticket.item = number,
                    VALID_FROM => ticket.valid_from_s = number,
                    VALID_UNTIL => ticket.valid_until_s = number,
                    _ => {}
                }
            }
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => drop(delimited(&mut rest)?),
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(ticket)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn delimited<'d>(rest: &mut &'d [u8]) -> Option<&'d [u8]> {
    let length = usize::try_from(varint(rest)?).ok()?;
    let (content, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(content)
}

#[cfg(test)]
mod tests;
