//! Bearer tokens: opaque to clients, kept as hashes only.

use data_encoding::BASE64URL_NOPAD;
use ring::digest;

use crate::clock;
use crate::model::TokenHash;

/// What every token starts with, so that one that leaked is recognised (and found by secret scanners).
pub const PREFIX: &str = "hw_";
/// Random bytes in a token.
const RANDOM_BYTES: usize = 32;
/// Characters of a token: the prefix, and base64url of the bytes.
const TOKEN_BYTES: usize = PREFIX.len() + 43;

/// A new token.
#[must_use]
pub fn make() -> String {
    format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&clock::random::<RANDOM_BYTES>()))
}

/// What a token is found by, `None` when it is not of our making.
#[must_use]
pub fn hash(token: &str) -> Option<TokenHash> {
    if token.len() != TOKEN_BYTES || !token.starts_with(PREFIX) {
        return None;
    }
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest.as_ref().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_unlike_each_other_and_recognised() {
        let (a, b) = (make(), make());
        assert_ne!(a, b);
        assert_eq!((a.len(), &a[..3]), (46, "hw_"));
        assert_eq!(hash(&a), hash(&a));
        assert_ne!(hash(&a).unwrap(), hash(&b).unwrap());
        for foreign in ["", "hw_", &a[..45], &format!("{a}x"), &a.replace("hw_", "hx_")] {
            assert_eq!(hash(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_presented(text in "\\PC{0,80}") {
            let _ = hash(&text);
        }
    }
}
