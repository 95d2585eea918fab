//! The id of an Engine.IO session. Whoever has it speaks for the session, so most of it is random; it names the session's shard, where requests
//! that come in elsewhere find it.

use data_encoding::BASE32_NOPAD;
use hallway_broker::clock;

/// Random bytes in it.
const RANDOM_BYTES: usize = 18;
/// Bytes in all: the shard before them.
const BYTES: usize = 2 + RANDOM_BYTES;

/// See the module's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid([u8; BYTES]);

impl std::fmt::Debug for Sid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sid(…)")
    }
}

impl Sid {
    /// A new one on a shard.
    #[must_use]
    pub fn new(shard: u16) -> Self {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&shard.to_be_bytes());
        bytes[2..].copy_from_slice(&clock::random::<RANDOM_BYTES>());
        Self(bytes)
    }

    /// The id in a text, `None` when it is not of our making.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// The session's shard.
    #[must_use]
    pub fn shard(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// As clients write it.
    #[must_use]
    pub fn text(&self) -> String {
        BASE32_NOPAD.encode(&self.0).to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_names_its_shard_and_is_like_no_other() {
        let (one, other) = (Sid::new(7), Sid::new(7));
        assert_ne!(one, other);
        assert_eq!((one.shard(), Sid::parse(&one.text())), (7, Some(one)));
        assert_eq!(Sid::parse(&one.text().to_uppercase()), None);
    }

    proptest! {
        #[test]
        fn anything_can_be_shown(text: String, like in "[a-z2-7]{0,40}") {
            for text in [text, like] {
                if let Some(sid) = Sid::parse(&text) {
                    prop_assert_eq!(sid.text(), text);
                }
            }
        }
    }
}
