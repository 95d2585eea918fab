//! One code for all ways in which readers write the same badge.
//!
//! A chip's number comes as hexadecimal digits with any separator, as a decimal number, as `facility,card`, as base64, and each of them with the
//! bytes in either order. What a text means can often not be told: `12345678` is four bytes in hexadecimal digits, or a decimal number. So a badge is
//! *kept* by one reading of what was typed ([`BadgeCode::given`]), and *looked up* by all that its text may mean
//! ([`BadgeCode::candidates`]): the number itself, and what every other way of writing that number would have been kept by.
//!
//! What is kept is always the text as it is, never turned round or guessed at; guesses come last among the candidates. Tickets have running
//! numbers, and nobody's ticket may be taken for another's. So of digits alone no number of fewer than eight digits is guessed: 74565 would be
//! 0x12345, another's. Neither are numbers below 65,536 guessed at in any writing; `1-2-3` and what base64 or `facility,card` make a number of
//! that kind are texts, and short numbers keep their zeros. A decimal number does not tell how many zero bytes the chip's began with; one is
//! reckoned with.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::digest;

use super::{contents, own};
use crate::model::{BadgeCode, GivenBadge};

/// Longest content of a code in bytes: what fits into a QR code.
pub const CODE_BYTES_MAX: usize = 4096;
/// Most codes that a text may mean.
pub const CANDIDATES_MAX: usize = 12;
/// Longest text that is kept as it is, in bytes; of a longer one its hash is.
const KEPT_BYTES_MAX: usize = 192;
/// Bytes of the shortest number that is looked for in other writings, without leading zeros.
const GUESSED_BYTES_MIN: usize = 3;
/// Bytes of the longest: a 128-bit EPC.
const GUESSED_BYTES_MAX: usize = 16;
/// Hexadecimal digits of the longest number: an EPC of 496 bits.
const HEX_DIGITS_MAX: usize = 124;
/// Digits of the shortest number that is no ticket's running number.
const GUESSED_DIGITS_MIN: usize = 8;
/// Digits of the largest decimal number of 16 bytes.
const DECIMAL_DIGITS_MAX: usize = 39;

impl BadgeCode {
    /// What a badge that somebody typed, printed or scanned is kept by. `None` for what is empty or too long.
    #[must_use]
    pub fn given(text: &str) -> Option<Self> {
        let text = trimmed(text)?;
        let card = contents::codes(text);
        let code = card.first().and_then(|code| trimmed(code)).unwrap_or(text);
        Some(kept(code, Writing::of(code)))
    }

    /// What a text that a reader sent may mean, likeliest first. [`BadgeCode::given`] of the same text is always the first. Of a business
    /// card: the code in it, then the whole.
    #[must_use]
    pub fn candidates(text: &str) -> Vec<Self> {
        Self::meant(text, Found::default())
    }

    /// What the same badge may have been given as: [`BadgeCode::candidates`] without those whose bytes are turned round, which may be another's.
    #[must_use]
    pub fn certain(text: &str) -> Vec<Self> {
        Self::meant(text, Found { is_straight: true, ..Found::default() })
    }

    fn meant(text: &str, mut found: Found) -> Vec<Self> {
        let Some(text) = trimmed(text) else { return Vec::new() };
        let card = contents::codes(text);
        let inside = card.iter().filter_map(|code| trimmed(code));
        inside.clone().for_each(|code| found.add(kept(code, Writing::of(code))));
        inside.for_each(|code| found.meanings(code));
        if card.is_empty() {
            found.meanings(text);
        } else {
            found.codes.truncate(CANDIDATES_MAX - 1);
            found.add(BadgeCode::text(text));
        }
        found.codes.truncate(CANDIDATES_MAX);
        found.codes
    }

    /// What a chip's number may have been given as, likeliest first.
    #[must_use]
    pub fn of_chip(bytes: &[u8]) -> Vec<Self> {
        let mut found = Found::default();
        if !bytes.is_empty() && bytes.len() <= HEX_DIGITS_MAX / 2 {
            found.add_first(BadgeCode::bytes(bytes));
            found.chip(bytes);
        }
        found.codes.truncate(CANDIDATES_MAX);
        found.codes
    }

    fn number(digits: &str) -> Self {
        let significant = digits.trim_start_matches('0');
        Self(format!("x:{}", if significant.is_empty() { "0" } else { significant }).into())
    }

    fn bytes(bytes: &[u8]) -> Self {
        Self::number(&HEXLOWER.encode(bytes))
    }

    fn text(text: &str) -> Self {
        // What is found in any case is revoked in any case.
        let own = own::is_own(text).then(|| text.to_ascii_lowercase());
        let text = own.as_deref().unwrap_or(text);
        if text.len() <= KEPT_BYTES_MAX {
            return Self(format!("t:{text}").into());
        }
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        Self(Arc::from(format!("s:{}", HEXLOWER.encode(hash.as_ref()))))
    }
}

impl GivenBadge {
    /// A badge as somebody typed, printed or scanned it. `None` for what is empty or too long.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let mut codes = BadgeCode::certain(text).into_iter();
        Some(Self { code: codes.next()?, same: codes.collect(), shown: contents::bare(text).into() })
    }
}

fn trimmed(text: &str) -> Option<&str> {
    let text = contents::bare(text);
    (!text.is_empty() && text.len() <= CODE_BYTES_MAX).then_some(text)
}

fn kept(text: &str, writing: Writing) -> BadgeCode {
    match writing {
        Writing::Number(bytes) | Writing::Hex(bytes) | Writing::Base64(bytes) => BadgeCode::bytes(&bytes),
        Writing::Card(bytes) if is_running(&bytes) => BadgeCode::number(&decimal(&bytes)),
        Writing::Card(bytes) => BadgeCode::bytes(&bytes),
        Writing::Digits if text.len() < GUESSED_DIGITS_MIN => BadgeCode(format!("x:{text}").into()),
        // Decimal or hexadecimal: nobody can tell. The digits are kept.
        Writing::Digits => BadgeCode::number(text),
        Writing::Text => BadgeCode::text(text),
    }
}

/// What a text looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Writing {
    /// Certainly a number, of these bytes: hexadecimal with separators or `0x`.
    Number(Vec<u8>),
    /// `facility,card`.
    Card(Vec<u8>),
    /// Digits only.
    Digits,
    /// Hexadecimal digits with a letter among them.
    Hex(Vec<u8>),
    /// Base64 or base64url of as many bytes as chips have.
    Base64(Vec<u8>),
    /// Anything else.
    Text,
}

impl Writing {
    fn of(text: &str) -> Self {
        if text.len() > HEX_DIGITS_MAX * 3 || !text.is_ascii() {
            return Self::Text;
        }
        if let Some(bytes) = separated(text).filter(|bytes| !is_running(bytes)) {
            return Self::Number(bytes);
        }
        if let Some(bytes) = facility_and_card(text) {
            return Self::Card(bytes);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return if text.len() <= HEX_DIGITS_MAX { Self::Digits } else { Self::Text };
        }
        let prefixed = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        if let Some(bytes) = prefixed.and_then(hex) {
            return Self::Number(bytes);
        }
        match (hex(text), base64(text)) {
            (Some(bytes), _) => Self::Hex(bytes),
            (None, Some(bytes)) => Self::Base64(bytes),
            (None, None) => Self::Text,
        }
    }
}

/// Hexadecimal digits, a leading zero left out or not.
fn hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > HEX_DIGITS_MAX || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let padded = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    HEXLOWER_PERMISSIVE.decode(padded.as_bytes()).ok()
}

/// Bytes in hexadecimal digits with `:`, `-` or a space between them, in groups; a group of one digit is a byte without its zero.
fn separated(text: &str) -> Option<Vec<u8>> {
    let separator = text.chars().find(|c| matches!(c, ':' | '-' | ' '))?;
    let mut bytes = Vec::new();
    for group in text.split(separator) {
        let is_whole = group.len() == 1 || group.len().is_multiple_of(2);
        bytes.extend(hex(group).filter(|_| is_whole)?);
    }
    let is_whole = significant(&bytes).len() >= GUESSED_BYTES_MIN && bytes.len() <= HEX_DIGITS_MAX / 2;
    is_whole.then_some(bytes)
}

/// `116,14349`, as cards of 26-bit Wiegand are printed, after the whole number or alone.
fn facility_and_card(text: &str) -> Option<Vec<u8>> {
    let (front, card) = text.split_once(',')?;
    let (whole, facility) = front.rsplit_once(' ').map_or((None, front), |(whole, facility)| (Some(whole), facility));
    let is_short = |part: &str| (1..=10).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !is_short(facility) || !is_short(card) {
        return None;
    }
    let (facility, card): (u8, u16) = (facility.parse().ok()?, card.parse().ok()?);
    let [high, low] = card.to_be_bytes();
    let is_same = |whole: &str| is_short(whole) && whole.parse() == Ok(u32::from_be_bytes([0, facility, high, low]));
    (facility > 0 && whole.is_none_or(is_same)).then(|| vec![facility, high, low])
}

/// Base64 of either alphabet, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let longest = GUESSED_BYTES_MAX.div_ceil(3) * 4;
    if text.len() > longest {
        return None;
    }
    let codings = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD];
    let bytes = codings.iter().find_map(|coding| coding.decode(text.as_bytes()).ok())?;
    (is_chip(&bytes) && !is_running(&bytes)).then_some(bytes)
}

fn decimal(bytes: &[u8]) -> String {
    let mut wide = [0; GUESSED_BYTES_MAX];
    wide[GUESSED_BYTES_MAX - bytes.len()..].copy_from_slice(bytes);
    u128::from_be_bytes(wide).to_string()
}

fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

/// Whether the number may be looked for in other writings than its own.
fn is_chip(bytes: &[u8]) -> bool {
    (GUESSED_BYTES_MIN..=GUESSED_BYTES_MAX).contains(&significant(bytes).len()) && bytes.len() <= GUESSED_BYTES_MAX
}

/// Whether the hexadecimal digits of a number could be a ticket's running number.
fn is_running(bytes: &[u8]) -> bool {
    let bytes = significant(bytes);
    bytes.len() * 2 < GUESSED_DIGITS_MIN && bytes.iter().all(|byte| byte >> 4 < 10 && byte & 15 < 10)
}

/// Codes without repetition, in the order in which they are likely.
#[derive(Default)]
struct Found {
    codes: Vec<BadgeCode>,
    /// What was read may be a ticket's running number: it has digits alone.
    is_digits: bool,
    /// Bytes are not turned round.
    is_straight: bool,
}

impl Found {
    fn add(&mut self, code: BadgeCode) {
        if !self.codes.contains(&code) {
            self.codes.push(code);
        }
    }

    /// What is read by itself.
    fn add_first(&mut self, code: BadgeCode) {
        self.is_digits = code.as_str().strip_prefix("x:").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        self.add(code);
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        if !self.is_digits || !is_running(bytes) {
            self.add(BadgeCode::bytes(bytes));
        }
    }

    fn add_decimal(&mut self, bytes: &[u8]) {
        let digits = decimal(bytes);
        if !self.is_digits || digits.len() >= GUESSED_DIGITS_MIN {
            self.add(BadgeCode::number(&digits));
        }
    }

    /// All that a text may mean, what it is kept by first.
    fn meanings(&mut self, text: &str) {
        let writing = Writing::of(text);
        self.add_first(kept(text, writing.clone()));
        match writing {
            Writing::Base64(bytes) => self.chip(&bytes),
            Writing::Digits => self.digits(text),
            Writing::Number(bytes) | Writing::Card(bytes) | Writing::Hex(bytes) => {
                self.chip(&bytes);
                self.base64(text);
            }
            Writing::Text => {}
        }
    }

    /// What the writings of a number of these bytes are kept by.
    fn chip(&mut self, bytes: &[u8]) {
        self.add_bytes(bytes);
        self.writings(bytes);
        self.reversed(bytes);
    }

    fn reversed(&mut self, bytes: &[u8]) {
        let turned = reversed(bytes);
        if !self.is_straight && is_chip(bytes) && is_chip(&turned) {
            self.add_bytes(&turned);
            self.writings(&turned);
        }
    }

    /// What the decimal and base64 writings of a number are kept by, where that is not its bytes.
    fn writings(&mut self, bytes: &[u8]) {
        if !is_chip(bytes) {
            return;
        }
        self.add_decimal(bytes);
        // Some base64 looks like something else.
        for coding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let encoded = coding.encode(bytes);
            match Writing::of(&encoded) {
                Writing::Base64(_) | Writing::Text => {}
                Writing::Digits if self.is_digits && encoded.len() < GUESSED_DIGITS_MIN => {}
                writing => self.add(kept(&encoded, writing)),
            }
        }
    }

    /// Digits only: decimal, hexadecimal or even base64.
    fn digits(&mut self, text: &str) {
        let value = Some(text).filter(|text| text.len() <= DECIMAL_DIGITS_MAX).and_then(|text| text.parse::<u128>().ok());
        let wide = value.map(u128::to_be_bytes);
        let decimal = wide.as_ref().map(|wide| significant(wide)).filter(|bytes| is_chip(bytes));
        let hexadecimal = hex(text).filter(|bytes| is_chip(bytes));
        if let Some(bytes) = decimal {
            self.add_bytes(bytes);
        }
        for bytes in decimal.into_iter().chain(hexadecimal.as_deref()) {
            self.writings(bytes);
            self.reversed(bytes);
        }
        if let Some(bytes) = decimal {
            // The chip's number may have begun with a zero byte, which ends it the other way round.
            let longer = [&[0], bytes].concat();
            self.reversed(&longer);
            self.writings(&longer);
        }
        self.base64(text);
    }

    fn base64(&mut self, text: &str) {
        if let Some(bytes) = base64(text) {
            self.chip(&bytes);
        }
    }
}

#[cfg(test)]
mod tests;
