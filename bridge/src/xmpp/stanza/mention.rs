//! Who is named in a message: XEP-0372's references of the type `mention`.

use hallway_broker::ids::Uid;
use minidom::Element;

use crate::xmpp::names::{Address, Names, NickOwner, nick_owner};

/// Somebody who is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mention {
    /// A user.
    User(Uid),
    /// The occupant of the room with this nick, which is a display name.
    Name(String),
}

/// Whom a `<reference/>` names; `None` when it names nobody of this conference (XEP-0372 §3.2).
#[must_use]
pub fn mention(reference: &Element, names: &Names) -> Option<Mention> {
    // With an anchor it is about another message (XEP-0372 §3.1).
    if reference.attr("type") != Some("mention") || reference.attr("anchor").is_some() {
        return None;
    }
    let jid = jid_of_uri(reference.attr("uri")?)?;
    match names.parse(&jid).ok()? {
        Address::User { uid, .. } => Some(Mention::User(uid)),
        Address::Room { nick: Some(nick), .. } => Some(match nick_owner(&nick) {
            NickOwner::Uid(uid) => Mention::User(uid),
            NickOwner::Name(name) => Mention::Name(name.to_owned()),
        }),
        Address::Room { nick: None, .. } | Address::Server | Address::Rooms => None,
    }
}

/// The JID in an `xmpp:` URI (RFC 5122 §2.2), percent-decoded, without query and fragment.
fn jid_of_uri(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("xmpp") {
        return None;
    }
    let jid = rest.split(['?', '#']).next()?;
    let mut decoded = Vec::with_capacity(jid.len());
    let mut bytes = jid.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    // One hexadecimal digit is less than 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}
