//! A public key as X.509 has it (RFC 5280 §4.1.2.7): which kind it is, and its bytes.

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RFC 3279 §2.3.1.
    Rsa,
    /// RFC 5480 §2.1.1, on P-256.
    P256,
    /// RFC 8410 §3.
    Ed25519,
}

const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The kind of a key and the bytes of it; `None` for other kinds, and for what is no key.
#[must_use]
pub fn parse(der: &[u8]) -> Option<(Kind, &[u8])> {
    let mut outer = der;
    let mut body = take(&mut outer, SEQUENCE)?;
    let mut algorithm = take(&mut body, SEQUENCE)?;
    let id = take(&mut algorithm, OBJECT_ID)?;
    let (unused_bits, key) = take(&mut body, BIT_STRING)?.split_first()?;
    if !outer.is_empty() || !body.is_empty() || *unused_bits != 0 {
        return None;
    }
    let kind = match id {
        RSA => Kind::Rsa,
        EC if take(&mut algorithm, OBJECT_ID)? == P256 => Kind::P256,
        ED25519 => Kind::Ed25519,
        _ => return None,
    };
    Some((kind, key))
}

/// Takes one element of this tag off the front (X.690 §8.1): lengths of up to two bytes, which every such key has.
fn take<'d>(rest: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let (head, after) = match **rest {
        [found, length @ 0..=0x7f, ..] if found == tag => (usize::from(length), 2),
        [found, 0x81, length, ..] if found == tag => (usize::from(length), 3),
        [found, 0x82, high, low, ..] if found == tag => (usize::from(u16::from_be_bytes([high, low])), 4),
        _ => return None,
    };
    let (content, left) = rest.get(after..)?.split_at_checked(head)?;
    *rest = left;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ed25519() -> Vec<u8> {
        [&[0x30, 42, 0x30, 5, 0x06, 3], ED25519, &[0x03, 33, 0], &[7; 32]].concat()
    }

    #[test]
    fn a_key_and_what_is_none() {
        assert_eq!(parse(&ed25519()), Some((Kind::Ed25519, &[7; 32][..])));
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let der = rcgen::PublicKeyData::subject_public_key_info(&pair);
        let (kind, point) = parse(&der).unwrap();
        assert_eq!((kind, point.len(), point[0]), (Kind::P256, 65, 4));
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(parse(&rcgen::PublicKeyData::subject_public_key_info(&other)), None);
    }

    proptest! {
        #[test]
        fn cut_or_changed_keys_are_none_or_another(at in 0..44usize, byte in any::<u8>(), cut in 0..44usize) {
            let mut der = ed25519();
            prop_assert_eq!(parse(&der[..cut]), None);
            der[at] = byte;
            let _ = parse(&der);
        }

        #[test]
        fn anything_can_be_presented(der in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&der);
        }
    }
}
