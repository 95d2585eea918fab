//! vCards: lines that may be folded, each a name with parameters and a value. Version 2.1 may write values as quoted-printable.

use std::borrow::Cow;

use super::{strip_prefix, unescaped};

/// What a UUID is prefixed with as a URI (RFC 6350 §6.7.6).
const UUID: &str = "urn:uuid:";

/// The values of the property `UID`; of a UUID as a URI the UUID first, which is what others print.
pub(super) fn uids(text: &str) -> Vec<Cow<'_, str>> {
    let mut uids = Vec::new();
    if strip_prefix(text, "BEGIN:VCARD").is_none() {
        return uids;
    }
    for line in unfolded(text) {
        let Some((parameters, value)) = uid(&line) else { continue };
        let value = if is_quoted_printable(parameters) { from_quoted_printable(value) } else { unescaped(value, true).into_owned() };
        let uuid = strip_prefix(value.trim(), UUID).map(str::to_owned);
        uids.extend(uuid.map(Cow::Owned));
        uids.push(Cow::Owned(value));
    }
    uids
}

/// The lines, those that were folded whole again (RFC 6350 §3.2; in version 2.1 a quoted-printable line goes on after `=`).
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(&line[1..]),
            Some(last) if last.ends_with('=') && is_quoted_printable(last.split(':').next().unwrap_or_default()) => {
                last.pop();
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Parameters and value of a line that is a UID; a group may be before the name (`item1.UID:`).
fn uid(line: &str) -> Option<(&str, &str)> {
    let colon = colon(line)?;
    let (head, value) = (&line[..colon], &line[colon + 1..]);
    let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
    let name = name.rsplit('.').next().unwrap_or(name);
    name.eq_ignore_ascii_case("UID").then_some((parameters, value))
}

/// The first colon outside of quotes: a parameter may have one in its value.
fn colon(line: &str) -> Option<usize> {
    let mut is_quoted = false;
    line.bytes().position(|byte| {
        is_quoted ^= byte == b'"';
        byte == b':' && !is_quoted
    })
}

fn is_quoted_printable(parameters: &str) -> bool {
    parameters.split(';').any(|one| {
        let value = one.split_once('=').map_or(one, |(_, value)| value);
        value.eq_ignore_ascii_case("QUOTED-PRINTABLE")
    })
}

/// RFC 2045 §6.7; what is no such sequence stays.
fn from_quoted_printable(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'=').and_then(|two| data_encoding::HEXUPPER_PERMISSIVE.decode(two).ok());
        match hex.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(version: &str, line: &str) -> String {
        format!("BEGIN:VCARD\r\nVERSION:{version}\r\nN:Lovelace;Ada;;;\r\nFN:Ada Lovelace\r\n{line}\r\nEND:VCARD\r\n")
    }

    #[test]
    fn the_uid_of_every_version() {
        assert_eq!(uids(&card("2.1", "UID:187WCI5")), ["187WCI5"]);
        assert_eq!(uids(&card("2.1", "UID;ENCODING=QUOTED-PRINTABLE:187=57CI5")), ["187WCI5"]);
        assert_eq!(uids(&card("2.1", "UID;QUOTED-PRINTABLE:187=\r\nWCI5")), ["187WCI5"]);
        assert_eq!(uids(&card("3.0", "uid:187WCI5")), ["187WCI5"]);
        assert_eq!(uids(&card("3.0", "item1.UID;TYPE=x:187\\,WCI5")), ["187,WCI5"]);
        assert_eq!(uids(&card("4.0", "UID;VALUE=text;X-P=\"a:b\":187WCI5")), ["187WCI5"]);
    }

    #[test]
    fn a_uuid_is_found_with_and_without_its_prefix() {
        let uuid = "4fbe8971-0bc3-424c-9c26-36c3e1eff6b1";
        assert_eq!(uids(&card("4.0", &format!("UID:urn:uuid:{uuid}"))), [uuid.to_owned(), format!("urn:uuid:{uuid}")]);
    }

    #[test]
    fn folded_lines_are_whole_again() {
        assert_eq!(uids(&card("3.0", "UID:187\r\n WCI5")), ["187WCI5"]);
        assert_eq!(uids("BEGIN:VCARD\nUI\n\tD:1\nEND:VCARD"), ["1"], "with line feeds alone");
        assert_eq!(uids(&card("3.0", "NOTE:see\r\n UID:no")), [""; 0]);
        assert_eq!(uids(&card("3.0", "X-UID:no")), [""; 0]);
    }
}
