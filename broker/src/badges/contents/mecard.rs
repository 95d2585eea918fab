//! `MECARD:UID:187WCI5;N:Lovelace,Ada;;`: fields end with `;`, a backslash holds `\`, `:`, `;`, `,` and `"`.

use std::borrow::Cow;

use super::{strip_prefix, unescaped};

/// The values of the field `UID`.
pub(super) fn uids(text: &str) -> Vec<Cow<'_, str>> {
    let Some(mut rest) = strip_prefix(text, "MECARD:") else { return Vec::new() };
    let mut uids = Vec::new();
    while !rest.is_empty() {
        let end = end_of_field(rest);
        if let Some(value) = strip_prefix(rest[..end].trim_start(), "UID:") {
            uids.push(unescaped(value, false));
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    uids
}

/// Where the first `;` is that nothing holds.
fn end_of_field(text: &str) -> usize {
    let mut is_held = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_held => is_held = false,
            b'\\' => is_held = true,
            b';' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_any_order_and_case_with_what_is_held() {
        assert_eq!(uids("MECARD:N:Lovelace,Ada;UID:187WCI5;;"), ["187WCI5"]);
        assert_eq!(uids("mecard:uid:abc;"), ["abc"]);
        assert_eq!(uids("MECARD:UID:abc"), ["abc"], "cut off");
        assert_eq!(uids(r"MECARD:NOTE:not \;UID:x;UID:a\;b\\c\:d;;"), [r"a;b\c:d"]);
        assert_eq!(uids("MECARD:XUID:no;NOTE:UID:no;;"), [""; 0]);
        assert_eq!(uids("N:x;UID:1;;"), [""; 0]);
    }
}
