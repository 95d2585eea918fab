//! The XML declaration (XML 1.0 §2.8), which may stand before a header or, against advice, before a message (RFC 7395 §3.3.3).

use super::StreamError;

/// The name and value in front, and what follows them.
fn pseudo_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_ascii_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (value, rest) = rest[1..].split_once(quote)?;
    Some((name.trim_ascii_end(), value, rest))
}

/// Checks a declaration, from `<?` to `?>`.
///
/// # Errors
/// `restricted-xml` for any other processing instruction, `unsupported-encoding`, `not-well-formed`.
pub(super) fn check(bytes: &[u8]) -> Result<(), StreamError> {
    let malformed = StreamError::not_well_formed("XML 1.0 §2.8", "not an XML declaration");
    let text = std::str::from_utf8(bytes).map_err(|_| StreamError::encoding("not UTF-8"))?;
    let text = text.strip_prefix("<?").and_then(|text| text.strip_suffix("?>")).ok_or(malformed)?;
    let mut rest = match text.strip_prefix("xml") {
        Some(rest) if rest.is_empty() || rest.starts_with(|char: char| char.is_ascii_whitespace()) => rest,
        _ => return Err(StreamError::restricted("a processing instruction")),
    };
    let mut expected = ["version", "encoding", "standalone"].into_iter();
    let mut is_versioned = false;
    while !rest.trim_ascii().is_empty() {
        let after_space = rest.trim_ascii_start();
        let (name, value, later) = pseudo_attribute(after_space).filter(|_| after_space.len() < rest.len()).ok_or(malformed)?;
        // In this order, each at most once.
        if !expected.any(|expected| expected == name) {
            return Err(malformed);
        }
        match name {
            "version" if value == "1.0" => is_versioned = true,
            // RFC 6120 §11.8
            "version" => return Err(StreamError::not_well_formed("RFC 6120 §11.8", "not XML 1.0")),
            "encoding" if value.eq_ignore_ascii_case("utf-8") => {}
            // RFC 6120 §11.6
            "encoding" => return Err(StreamError::encoding("declared as something else than UTF-8")),
            _ if matches!(value, "yes" | "no") => {}
            _ => return Err(malformed),
        }
        rest = later;
    }
    if is_versioned { Ok(()) } else { Err(malformed) }
}
