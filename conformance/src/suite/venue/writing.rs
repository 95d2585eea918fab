//! The ways in which readers write the number of one chip, and what is printed on badges beside it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// A way to write a chip's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// `04A1B2C3`.
    Upper,
    /// `04a1b2c3`.
    Lower,
    /// `04:a1:b2:c3`.
    Colons,
    /// `04-A1-B2-C3`.
    Dashes,
    /// `04 A1 B2 C3`.
    Blanks,
    /// `C3B2A104`: the other byte order.
    Reversed,
    /// `77705923`.
    Decimal,
    /// Base64 of the bytes.
    Base64,
    /// Base64url of the bytes, without padding.
    Base64Url,
}

impl Writing {
    /// All of them.
    pub const ALL: [Self; 9] =
        [Self::Upper, Self::Lower, Self::Colons, Self::Dashes, Self::Blanks, Self::Reversed, Self::Decimal, Self::Base64, Self::Base64Url];
    /// Those of hexadecimal digits: what most readers may be set to.
    pub const HEX: [Self; 6] = [Self::Upper, Self::Lower, Self::Colons, Self::Dashes, Self::Blanks, Self::Reversed];

    /// One of `some`, by chance.
    pub fn any(some: &[Self], rng: &mut StdRng) -> Self {
        some.choose(rng).copied().unwrap_or(Self::Upper)
    }

    /// The number in this writing.
    #[must_use]
    pub fn write(self, chip: &[u8]) -> String {
        match self {
            Self::Upper => hex(chip, "").to_uppercase(),
            Self::Lower => hex(chip, ""),
            Self::Colons => hex(chip, ":"),
            Self::Dashes => hex(chip, "-").to_uppercase(),
            Self::Blanks => hex(chip, " ").to_uppercase(),
            Self::Reversed => hex(&reversed(chip), "").to_uppercase(),
            Self::Decimal => decimal(chip),
            Self::Base64 => STANDARD.encode(chip),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(chip),
        }
    }
}

fn hex(chip: &[u8], between: &str) -> String {
    chip.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
}

fn reversed(chip: &[u8]) -> Vec<u8> {
    chip.iter().rev().copied().collect()
}

/// Only of chips of at most 16 bytes: there are no longer ones.
fn decimal(chip: &[u8]) -> String {
    chip.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte)).to_string()
}

/// Everything that could be taken for this number, as bare letters and digits: chips are chosen so that no two share one.
#[must_use]
pub fn meanings(chip: &[u8]) -> Vec<String> {
    let bare = |text: String| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let both = [chip.to_vec(), reversed(chip)];
    both.iter().flat_map(|chip| Writing::ALL.map(|writing| bare(writing.write(chip)))).chain([bare(URL_SAFE.encode(chip))]).collect()
}

/// What ticket shops print: letters and digits that nobody mistakes for each other.
pub fn printed(rng: &mut StdRng) -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    (0..32).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_in_all_writings() {
        let chip = [0x04, 0xA1, 0xB2, 0xC3];
        let written: Vec<String> = Writing::ALL.iter().map(|writing| writing.write(&chip)).collect();
        let wanted = ["04A1B2C3", "04a1b2c3", "04:a1:b2:c3", "04-A1-B2-C3", "04 A1 B2 C3", "C3B2A104", "77705923", "BKGyww==", "BKGyww"];
        assert_eq!(written, wanted);
        assert_eq!(Writing::Decimal.write(&[0, 0x74, 0x37, 0xCD]), "7616461", "leading zeros are not written");
    }

    #[test]
    fn meanings_hold_every_writing_of_both_byte_orders() {
        let chip = [0xE9, 0xF3, 0x59, 0x59];
        let meanings = meanings(&chip);
        for wanted in ["e9f35959", "5959f3e9", "3925039449"] {
            assert!(meanings.iter().any(|meaning| meaning == wanted), "{wanted} is not in {meanings:?}");
        }
    }
}
