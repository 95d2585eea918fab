//! What is sealed for a web app alone, so that the push service in between cannot read it: the content coding `aes128gcm` (RFC 8188) with keys as
//! RFC 8291 makes them.

use hallway_broker::clock::random;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::SystemRandom;

/// An uncompressed point of P-256.
pub const POINT_BYTES: usize = 65;
/// The secret that the web app gives.
pub const AUTH_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// Length of the only record, as it is announced: what push services take at least (RFC 8030 §7.2).
const RECORD_BYTES: u32 = 4096;
/// Salt, record size, length of the key id, key id (RFC 8188 §2.1).
const HEADER_BYTES: usize = SALT_BYTES + 4 + 1 + POINT_BYTES;
/// Most bytes that are sealed: one for the delimiter after them.
pub const MAX_PLAINTEXT_BYTES: usize = RECORD_BYTES as usize - HEADER_BYTES - TAG_BYTES - 1;

/// It could not be sealed: the web app's key is no point of the curve, or the plaintext is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key of the target is not one of the curve P-256")]
pub struct CannotSeal;

impl From<Unspecified> for CannotSeal {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// A length in bytes, as HKDF asks for it.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn hkdf<const N: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<[u8; N], CannotSeal> {
    let mut key = [0; N];
    Salt::new(HKDF_SHA256, salt).extract(secret).expand(info, Bytes(N))?.fill(&mut key)?;
    Ok(key)
}

/// Whether a web app's public key is a point of the curve.
#[must_use]
pub fn is_point(public: &[u8]) -> bool {
    public.len() == POINT_BYTES && agree(public).is_ok()
}

/// A shared secret with the owner of a public key, and our own public key of it.
fn agree(public: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CannotSeal> {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let own_public = own.compute_public_key()?.as_ref().to_vec();
    let secret = agree_ephemeral(own, &UnparsedPublicKey::new(&ECDH_P256, public), <[u8]>::to_vec)?;
    Ok((secret, own_public))
}

/// Seals for the web app with this public key and secret.
///
/// # Errors
/// [`CannotSeal`].
pub fn seal(plaintext: &[u8], public: &[u8], auth: &[u8]) -> Result<Vec<u8>, CannotSeal> {
    let (secret, own) = agree(public)?;
    let material = key_material(&secret, public, &own, auth)?;
    encode(plaintext, &material, &random(), &own, RECORD_BYTES)
}

/// What keys are made from (RFC 8291 §3.4).
fn key_material(secret: &[u8], public: &[u8], own: &[u8], auth: &[u8]) -> Result<[u8; 32], CannotSeal> {
    hkdf(auth, secret, &[b"WebPush: info\0", public, own])
}

/// The content coding, in one record (RFC 8188 §2).
fn encode(plaintext: &[u8], material: &[u8], salt: &[u8; SALT_BYTES], key_id: &[u8], record_bytes: u32) -> Result<Vec<u8>, CannotSeal> {
    if plaintext.len() + 1 + TAG_BYTES > record_bytes as usize {
        return Err(CannotSeal);
    }
    let key: [u8; 16] = hkdf(salt, material, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = hkdf(salt, material, &[b"Content-Encoding: nonce\0"])?;
    let mut out = Vec::with_capacity(HEADER_BYTES + plaintext.len() + 1 + TAG_BYTES);
    out.extend_from_slice(salt);
    out.extend_from_slice(&record_bytes.to_be_bytes());
    out.push(u8::try_from(key_id.len()).map_err(|_| CannotSeal)?);
    out.extend_from_slice(key_id);
    // The last record ends with 2 (RFC 8188 §2). Its number is 0, so that the nonce is the one derived.
    let mut record = [plaintext, &[2]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)?;
    out.extend_from_slice(&record);
    Ok(out)
}

#[cfg(test)]
pub mod tests;
