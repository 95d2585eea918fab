//! Web Push's messages, opened as a browser opens them (RFC 8291 on RFC 8188), and sealed to see that the opening is right.
//!
//! The private key of a subscription lives as long as the subscription; `ring` has only keys for one agreement, so the curve is another crate's.

use anyhow::{Context, Result, anyhow, ensure};
use p256::ecdh::diffie_hellman;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

/// Salt, record size, length of the key's id, and the key (RFC 8188 §2.1 with the uncompressed point of RFC 8291 §4).
const HEADER_BYTES: usize = 16 + 4 + 1 + POINT_BYTES;
const POINT_BYTES: usize = 65;
const TAG_BYTES: usize = 16;
/// A push service need not take more (RFC 8030 §7.2).
pub const MAX_BYTES: usize = 4096;

/// What a browser keeps of a subscription.
pub struct Subscription {
    secret: SecretKey,
    /// `p256dh`: the uncompressed point.
    pub public: Vec<u8>,
    /// `auth`: 16 bytes.
    pub auth: [u8; 16],
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription")
    }
}

impl Subscription {
    /// A new one.
    #[must_use]
    pub fn new() -> Subscription {
        let secret = fresh();
        Subscription { public: point(&secret), secret, auth: rand::random() }
    }

    /// The text that was sealed for it, and what must be another in every message: the sender's key, and the salt.
    ///
    /// # Errors
    /// Which rule of RFC 8291 and 8188 is broken.
    pub fn open(&self, body: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        ensure!(body.len() <= MAX_BYTES, "the body has {} bytes, over {MAX_BYTES}", body.len());
        ensure!(body.len() > HEADER_BYTES + TAG_BYTES, "the body has only {} bytes", body.len());
        let (header, sealed) = body.split_at(HEADER_BYTES);
        let record_size = u32::from_be_bytes([header[16], header[17], header[18], header[19]]) as usize;
        ensure!(usize::from(header[20]) == POINT_BYTES, "the sender's key has {} bytes", header[20]);
        // RFC 8291 §4: a single record.
        ensure!(record_size > TAG_BYTES + 1 && record_size >= sealed.len(), "a record size of {record_size} for {} bytes", sealed.len());
        let sender = PublicKey::from_sec1_bytes(&header[21..]).map_err(|_| anyhow!("the sender's key is no point"))?;
        let (key, nonce) = self.keys(&sender, &header[21..], &header[..16])?;
        let mut text = sealed.to_vec();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut text).map_err(|_| anyhow!("it was not sealed for this subscription"))?;
        // RFC 8188 §2: padding of zeros, before it 2 in the last record.
        let end = plain.iter().rposition(|byte| *byte != 0).context("nothing but padding")?;
        ensure!(plain[end] == 2, "the last record's delimiter is {}", plain[end]);
        Ok((plain[..end].to_vec(), header.to_vec()))
    }

    /// Seals for it, as an application server does.
    ///
    /// # Errors
    /// It is too long.
    pub fn seal(&self, text: &[u8]) -> Result<Vec<u8>> {
        let (sender, salt) = (fresh(), rand::random::<[u8; 16]>());
        let public = point(&sender);
        let own = SecretKey::from_slice(&sender.to_bytes()).map_err(|_| anyhow!("no key"))?;
        let theirs = PublicKey::from_sec1_bytes(&self.public).map_err(|_| anyhow!("no point"))?;
        let shared = diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
        let (key, nonce) = content_keys(shared.raw_secret_bytes(), &self.auth, &self.public, &public, &salt)?;
        let mut body = [&salt[..], &4096_u32.to_be_bytes(), &[65], &public].concat();
        let mut sealed = [text, &[2]].concat();
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).map_err(|_| anyhow!("not sealed"))?;
        body.extend(sealed);
        ensure!(body.len() <= MAX_BYTES, "too long");
        Ok(body)
    }

    fn keys(&self, sender: &PublicKey, sender_point: &[u8], salt: &[u8]) -> Result<(LessSafeKey, Nonce)> {
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), sender.as_affine());
        content_keys(shared.raw_secret_bytes(), &self.auth, &self.public, sender_point, salt)
    }
}

impl Default for Subscription {
    fn default() -> Self {
        Self::new()
    }
}

fn fresh() -> SecretKey {
    loop {
        // One in 2³² is no scalar of the curve.
        if let Ok(secret) = SecretKey::from_slice(&rand::random::<[u8; 32]>()) {
            return secret;
        }
    }
}

fn point(secret: &SecretKey) -> Vec<u8> {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    secret.public_key().to_sec1_point(false).as_bytes().to_vec()
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Result<[u8; N]> {
    let mut out = [0; N];
    prk.expand(info, Bytes(N)).and_then(|okm| okm.fill(&mut out)).map_err(|_| anyhow!("no key"))?;
    Ok(out)
}

/// RFC 8291 §3.4, then RFC 8188 §2.2 and §2.3.
fn content_keys(shared: &[u8], auth: &[u8], receiver: &[u8], sender: &[u8], salt: &[u8]) -> Result<(LessSafeKey, Nonce)> {
    let first = Salt::new(HKDF_SHA256, auth).extract(shared);
    let material: [u8; 32] = expand(&first, &[b"WebPush: info\0", receiver, sender])?;
    let second = Salt::new(HKDF_SHA256, salt).extract(&material);
    let key: [u8; 16] = expand(&second, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = expand(&second, &[b"Content-Encoding: nonce\0"])?;
    let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| anyhow!("no key"))?;
    Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::token::base64url;

    #[test]
    fn the_example_of_the_standard_is_opened() {
        // RFC 8291 §5 and appendix A.
        let secret = base64url("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94").expect("base64url");
        let secret = SecretKey::from_slice(&secret).expect("a key");
        let auth = base64url("BTBZMqHH6r4Tts7J_aSIgg").expect("base64url").try_into().expect("16 bytes");
        let subscription = Subscription { public: point(&secret), secret, auth };
        let body = base64url(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
        );
        let (text, _) = subscription.open(&body.expect("base64url")).expect("opens");
        assert_eq!(String::from_utf8(text).expect("text"), "When I grow up, I want to be a watermelon");
    }

    #[test]
    fn what_is_changed_or_for_another_is_not_opened() {
        let (subscription, other) = (Subscription::new(), Subscription::new());
        let body = subscription.seal(b"hello").expect("sealed");
        assert_eq!(subscription.open(&body).expect("opens").0, b"hello");
        assert!(other.open(&body).is_err());
        for at in [0, 20, 30, body.len() - 1] {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(subscription.open(&changed).is_err(), "byte {at}");
        }
        assert!(subscription.open(&body[..60]).is_err());
        assert!(subscription.seal(&[0; MAX_BYTES]).is_err());
    }
}
