//! The code that everybody has without a printed badge: it names its bearer and proves it with a MAC under the store's secret, so that it needs no
//! record.

use std::hash::Hasher as _;

use data_encoding::BASE32_NOPAD;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use subtle::ConstantTimeEq as _;

use crate::ids::{ConferenceId, Uid};
use crate::model::BadgeCode;

/// What such a code begins with.
const PREFIX: &str = "hw1:";
/// Characters of the MAC: 100 bits.
const MAC_CHARS: usize = 20;
/// What [`crate::ids::key_for`] is asked for.
pub(crate) const PURPOSE: &str = "badge";

fn mac(key: &[u8; 16], conference: &str, uid: &str) -> String {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(conference.as_bytes());
    hasher.write_u8(0);
    hasher.write(uid.as_bytes());
    let mut text = BASE32_NOPAD.encode(&hasher.finish128().as_bytes()).to_ascii_lowercase();
    text.truncate(MAC_CHARS);
    text
}

/// Somebody's own code: `HW1:<conference>:<uid>:<mac>`.
#[must_use]
pub fn own_code(key: &[u8; 16], conference: &ConferenceId, uid: &Uid) -> String {
    format!("HW1:{conference}:{uid}:{}", mac(key, conference.as_str(), uid.as_str()))
}

/// Whose own code this is in a conference; `None` for another code, another conference's, and a forged one. QR codes are smaller in capitals, so
/// they count as the same.
#[must_use]
pub fn whose(key: &[u8; 16], conference: &ConferenceId, code: &BadgeCode) -> Option<Uid> {
    let text = code.as_str().strip_prefix("t:")?.to_ascii_lowercase();
    let mut parts = text.strip_prefix(PREFIX)?.split(':');
    let (Some(of), Some(uid), Some(given), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
    if of != conference.as_str() {
        return None;
    }
    let wanted = mac(key, of, uid);
    if !bool::from(wanted.as_bytes().ct_eq(given.as_bytes())) {
        return None;
    }
    Uid::parse(uid).ok()
}

/// Whether a text looks like somebody's own code.
pub(super) fn is_own(text: &str) -> bool {
    text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether a code looks like somebody's own, of whatever conference: it cannot be given to anybody else.
#[must_use]
pub(crate) fn looks_own(code: &BadgeCode) -> bool {
    code.as_str().strip_prefix("t:").is_some_and(is_own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 16] = [7; 16];

    fn code(text: &str) -> BadgeCode {
        BadgeCode(format!("t:{text}").into())
    }

    proptest! {
        #[test]
        fn an_own_code_is_good_for_its_bearer_in_its_conference_only(
            uid in "[a-z0-9][a-z0-9._-]{0,63}", at in any::<prop::sample::Index>(), other in "[A-Za-z0-9:]",
        ) {
            let (demo, else_where) = (ConferenceId::parse("demo").unwrap(), ConferenceId::parse("demo2").unwrap());
            let uid = Uid::parse(&uid).unwrap();
            let text = own_code(&KEY, &demo, &uid);
            prop_assert!(looks_own(&code(&text)));
            prop_assert_eq!(whose(&KEY, &demo, &code(&text)), Some(uid.clone()));
            prop_assert_eq!(whose(&KEY, &demo, &code(&text.to_ascii_uppercase())), Some(uid));
            prop_assert_eq!(whose(&KEY, &else_where, &code(&text)), None);
            prop_assert_eq!(whose(&[8; 16], &demo, &code(&text)), None);
            let mut forged = text.clone();
            let at = at.index(text.len());
            forged.replace_range(at..=at, &other);
            if !forged.eq_ignore_ascii_case(&text) {
                prop_assert_eq!(whose(&KEY, &demo, &code(&forged)), None);
            }
        }

        #[test]
        fn nothing_else_is_anybodys(text in "\\PC{0,80}") {
            let demo = ConferenceId::parse("demo").unwrap();
            prop_assert_eq!(whose(&KEY, &demo, &code(&text)), None);
            prop_assert_eq!(whose(&KEY, &demo, &code(&format!("HW1:demo:{text}"))), None);
        }
    }
}
