//! What files are called: what a client says, cleaned for URLs, headers and disks, and its form in a URL.

/// Longest name of a file, in bytes of UTF-8.
pub const MAX_FILE_NAME_BYTES: usize = 120;
/// What a file without a name is called.
const NAMELESS: &str = "file";

/// The name that a file gets of the one that its owner gives: no path, no dots in front, nothing that some system or header takes for
/// something else.
#[must_use]
pub fn clean_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name = String::with_capacity(last.len().min(MAX_FILE_NAME_BYTES));
    for c in last.chars().skip_while(|c| *c == '.' || c.is_whitespace()) {
        let c = if is_plain(c) { c } else { '_' };
        if name.len() + c.len_utf8() > MAX_FILE_NAME_BYTES {
            break;
        }
        name.push(c);
    }
    name.truncate(name.trim_end_matches(['.', ' ']).len());
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

/// Letters and digits of any script, and some punctuation. Control characters, those that turn the direction of writing, quotes and what has a meaning
/// in URLs, shells and file systems are none of these.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')' | '+' | ',' | '=' | '@' | '~')
}

/// Appends `name` percent-encoded: everything but RFC 3986's unreserved characters.
pub fn write_percent_encoded(name: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// The text that was percent-encoded; `None` when it is not UTF-8.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<String> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => bytes.push(digit(rest.next())? << 4 | digit(rest.next())?),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}
