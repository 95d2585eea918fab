//! Codes of invitations: short enough to be typed from a slide or a badge, long enough that nobody guesses one. Kept as hashes only; what lists
//! show of one is no code.

use data_encoding::BASE32_NOPAD;
use ring::digest;

use crate::clock;
use crate::model::InviteHash;

/// Random bytes in a code: 80 bits.
const CODE_BYTES: usize = 10;
/// Characters of a code, without dashes.
const CODE_CHARS: usize = 16;
/// Longest code as somebody may type it, in bytes.
const MAX_TYPED_BYTES: usize = 64;
/// Bytes of a hash in what it is listed by.
const LISTED_BYTES: usize = 5;

/// A new code, as `abcd-efgh-ijkl-mnop`.
#[must_use]
pub fn make() -> String {
    let plain = BASE32_NOPAD.encode(&clock::random::<CODE_BYTES>()).to_lowercase();
    let groups: Vec<&str> = (0..CODE_CHARS).step_by(4).filter_map(|at| plain.get(at..at + 4)).collect();
    groups.join("-")
}

/// What a code is found by, however it is typed: in capitals, without the dashes, with blanks. `None` for what is none.
#[must_use]
pub fn hash(typed: &str) -> Option<InviteHash> {
    if typed.len() > MAX_TYPED_BYTES {
        return None;
    }
    let plain: String = typed.chars().filter(|c| *c != '-' && !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
    if plain.len() != CODE_CHARS {
        return None;
    }
    let code = BASE32_NOPAD.decode(plain.as_bytes()).ok()?;
    digest::digest(&digest::SHA256, &code).as_ref().first_chunk().copied()
}

/// What an invitation is listed and taken back by.
#[must_use]
pub fn listed_as(hash: &InviteHash) -> String {
    BASE32_NOPAD.encode(&hash[..LISTED_BYTES]).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_found_however_it_is_typed() {
        let code = make();
        assert_eq!((code.len(), code.matches('-').count()), (19, 3), "{code}");
        let found = hash(&code).unwrap();
        for typed in [code.to_uppercase(), code.replace('-', ""), code.replace('-', " "), format!(" {code}\n")] {
            assert_eq!(hash(&typed), Some(found), "{typed}");
        }
        assert_ne!(hash(&make()), Some(found));
        assert_eq!(listed_as(&found).len(), 8);
        assert!(!code.replace('-', "").contains(&listed_as(&found)));
        for none in ["", "abcd", "abcd-efgh-ijkl-mno1", "abcd-efgh-ijkl-mnopq"] {
            assert_eq!(hash(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_typed(typed in "\\PC{0,80}", letters in "[a-z2-7 -]{10,24}") {
            let (_, _) = (hash(&typed), hash(&letters));
        }
    }
}
