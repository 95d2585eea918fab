//! What a printed badge says: a code alone, or a business card that has the code in it. Pure.
//!
//! - [`mecard`]: NTT DoCoMo's `MECARD:`, as most badge printers write it;
//! - [`vcard`]: versions 2.1, 3.0 (RFC 2426) and 4.0 (RFC 6350);
//! - [`pretix`]: tickets that pretix signed. The code of such a ticket is its whole text.

mod mecard;
pub mod pretix;
mod vcard;

use std::borrow::Cow;

/// Longest text that is looked into, in bytes: a QR code holds 2,953.
pub const MAX_CONTENTS_BYTES: usize = 4096;
/// Most codes of one text.
const MAX_CODES: usize = 4;

/// The codes in what a reader read, likeliest first; none when the text itself is the code.
#[must_use]
pub fn codes(text: &str) -> Vec<Cow<'_, str>> {
    let text = bare(text);
    if text.len() > MAX_CONTENTS_BYTES {
        return Vec::new();
    }
    let mut codes: Vec<Cow<'_, str>> = Vec::new();
    for uid in mecard::uids(text).into_iter().chain(vcard::uids(text)) {
        let uid = trimmed(uid);
        if !uid.is_empty() && codes.len() < MAX_CODES && !codes.contains(&uid) {
            codes.push(uid);
        }
    }
    codes
}

/// A text without what keyboards and serial lines put around it.
#[must_use]
pub fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control())
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(bare(text)),
        Cow::Owned(text) => Cow::Owned(bare(&text).to_owned()),
    }
}

/// Whether `text` begins with `prefix` in any case.
fn strip_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Takes the backslashes away that hold the next character; `\n` is a new line when `lines`.
fn unescaped(text: &str, lines: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(held)) => {
                chars.next();
                plain.push(if lines && matches!(held, 'n' | 'N') { '\n' } else { held });
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_alone_holds_no_other() {
        for text in ["", "04A1B2C3", "MECARD", "MECARD:", "MECARD:N:Ada;;", "BEGIN:VCARD\nFN:Ada\nEND:VCARD", "UID:1", "https://x/?UID=1"] {
            assert!(codes(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_code_of_a_card() {
        assert_eq!(codes("MECARD:UID:187WCI5;N:Lovelace,Ada;;"), ["187WCI5"]);
        assert_eq!(codes("  BEGIN:VCARD\r\nVERSION:3.0\r\nUID:187WCI5\r\nEND:VCARD\r\n"), ["187WCI5"]);
        assert_eq!(codes("\u{2}MECARD:UID:\u{2}187WCI5\u{3};;\u{3}\r\n"), ["187WCI5"]);
        assert_eq!(codes(&format!("MECARD:UID:1;NOTE:{};;", "x".repeat(MAX_CONTENTS_BYTES))), [""; 0]);
    }

    proptest! {
        #[test]
        fn anything_can_be_printed(text in "(MECARD:|BEGIN:VCARD\r?\n)?(UID[:;]|\\\\|[\r\n =:;,\"]|\\PC){0,60}") {
            let found = codes(&text);
            prop_assert!(found.len() <= MAX_CODES);
            for code in found {
                prop_assert!(!code.is_empty() && code.len() <= text.len());
                prop_assert_eq!(bare(&code), code.as_ref());
            }
        }

        #[test]
        fn every_code_comes_back_out_of_a_card(code in "[!-~]{1,40}", name in "[A-Za-z ]{0,20}") {
            let held: String = code.chars().flat_map(|c| matches!(c, '\\' | ';' | ':' | ',' | '"').then_some('\\').into_iter().chain([c])).collect();
            let card = format!("MECARD:N:{name};UID:{held};;");
            prop_assert_eq!(codes(&card), [code.as_str()]);
            let held: String = code.chars().flat_map(|c| matches!(c, '\\' | ';' | ',').then_some('\\').into_iter().chain([c])).collect();
            let card = format!("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{name}\r\nUID:{held}\r\nEND:VCARD");
            let found = codes(&card);
            prop_assert_eq!(found.first().map(Cow::as_ref), Some(code.as_str()));
        }
    }
}
