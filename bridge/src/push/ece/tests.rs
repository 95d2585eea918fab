//! The examples of RFC 8188 and RFC 8291, and a receiver who opens what is sealed.

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

fn fixed<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

/// A web app.
pub struct Receiver {
    key: EphemeralPrivateKey,
    /// Its public key.
    pub public: Vec<u8>,
    /// Its secret.
    pub auth: [u8; AUTH_BYTES],
}

impl Receiver {
    /// One with a key of its own.
    pub fn arrives() -> Self {
        let key = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let public = key.compute_public_key().unwrap().as_ref().to_vec();
        Self { key, public, auth: random() }
    }

    /// What was sealed for it; it opens one message.
    pub fn open(self, sealed: &[u8]) -> Option<Vec<u8>> {
        let theirs = sealed.get(21..21 + POINT_BYTES)?.to_vec();
        let secret = agree_ephemeral(self.key, &UnparsedPublicKey::new(&ECDH_P256, &theirs), <[u8]>::to_vec).ok()?;
        decode(sealed, &key_material(&secret, &self.public, &theirs, &self.auth).unwrap())
    }
}

/// Reads the content coding, of any number of records.
fn decode(coded: &[u8], material: &[u8]) -> Option<Vec<u8>> {
    let (salt, rest) = coded.split_at_checked(SALT_BYTES)?;
    let (size, rest) = rest.split_first_chunk::<4>()?;
    let (id_bytes, rest) = rest.split_first()?;
    let records = rest.get(usize::from(*id_bytes)..)?;
    let size = u32::from_be_bytes(*size) as usize;
    if size < TAG_BYTES + 2 {
        return None;
    }
    let key: [u8; 16] = hkdf(salt, material, &[b"Content-Encoding: aes128gcm\0"]).ok()?;
    let base: [u8; 12] = hkdf(salt, material, &[b"Content-Encoding: nonce\0"]).ok()?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
    let (mut plain, count) = (Vec::new(), records.len().div_ceil(size));
    for (number, record) in records.chunks(size).enumerate() {
        let mut nonce = base;
        for (byte, of_number) in nonce[4..].iter_mut().zip((number as u64).to_be_bytes()) {
            *byte ^= of_number;
        }
        let mut record = record.to_vec();
        let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record).ok()?;
        let end = opened.iter().rposition(|byte| *byte != 0)?;
        if opened[end] != if number + 1 == count { 2 } else { 1 } {
            return None;
        }
        plain.extend_from_slice(&opened[..end]);
    }
    Some(plain)
}

#[test]
fn rfc_8188_3_1() {
    let material = bytes("yqdlZ-tYemfogSmv7Ws5PQ");
    let coded = encode(b"I am the walrus", &material, &fixed("I1BsxtFttlv3u_Oo94xnmw"), b"", 4096).unwrap();
    assert_eq!(BASE64URL_NOPAD.encode(&coded), "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg");
    assert_eq!(decode(&coded, &material).unwrap(), b"I am the walrus");
}

#[test]
fn rfc_8188_3_2_several_records_are_read() {
    let coded = bytes("uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjEDyoF1Fvkj6hQPdPHI51OEUKEpgz3SsLWIqS_uA");
    assert_eq!(decode(&coded, &bytes("BO3ZVPxUlnLORbVGMpbT1Q")).unwrap(), b"I am the walrus");
}

#[test]
fn rfc_8291_appendix_a() {
    let public = bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
    let own = bytes("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
    let secret = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
    let material = key_material(&secret, &public, &own, &bytes("BTBZMqHH6r4Tts7J_aSIgg")).unwrap();
    assert_eq!(BASE64URL_NOPAD.encode(&material), "S4lYMb_L0FxCeq0WhDx813KgSYqU26kOyzWUdsXYyrg");
    let salt = fixed("DGv6ra1nlYgDCS1FRnbzlw");
    let sealed = encode(b"When I grow up, I want to be a watermelon", &material, &salt, &own, 4096).unwrap();
    let wanted = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_\
                  yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
    assert_eq!(BASE64URL_NOPAD.encode(&sealed), wanted);
}

#[test]
fn a_key_that_is_no_point_is_seen() {
    let receiver = Receiver::arrives();
    assert!(is_point(&receiver.public));
    let mut beside = receiver.public.clone();
    beside[64] ^= 1;
    for other in [&beside[..], &receiver.public[..64], &[4; POINT_BYTES], &[0; POINT_BYTES], b""] {
        assert!(!is_point(other));
        assert_eq!(seal(b"x", other, &receiver.auth), Err(CannotSeal));
    }
}

#[test]
fn as_much_as_a_service_takes() {
    let receiver = Receiver::arrives();
    let most = vec![b'a'; MAX_PLAINTEXT_BYTES];
    let sealed = seal(&most, &receiver.public, &receiver.auth).unwrap();
    assert_eq!((MAX_PLAINTEXT_BYTES, sealed.len()), (3993, 4096));
    assert_eq!(receiver.open(&sealed).unwrap(), most);
    let receiver = Receiver::arrives();
    assert_eq!(Receiver::arrives().open(&seal(b"for one", &receiver.public, &receiver.auth).unwrap()), None, "not another's to open");
}

proptest! {
    #[test]
    fn who_it_is_for_opens_it(plaintext in prop::collection::vec(any::<u8>(), 0..500)) {
        let receiver = Receiver::arrives();
        let sealed = seal(&plaintext, &receiver.public, &receiver.auth).unwrap();
        prop_assert_eq!(sealed.len(), HEADER_BYTES + plaintext.len() + 1 + TAG_BYTES);
        prop_assert_eq!(receiver.open(&sealed), Some(plaintext));
    }
}
