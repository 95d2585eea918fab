//! Nicks of occupants. A nick is the display name, which is unique in a conference, wherever a resourcepart can hold it (RFC 7622 §3.4, as
//! the `jid` crate prepares it). Of a name that it cannot hold (emoji, some mixtures of directions, what normalises to something else) it
//! is what can be kept of it, and the uid in parentheses: `Zoë (zoe)`. Names that look like that get the parentheses too, so that no two
//! people ever have the same nick and a nick tells whose it is. The true name goes along as XEP-0172's.

use std::borrow::Cow;

use hallway_broker::ids::Uid;
use jid::ResourcePart;

/// Whom a nick names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NickOwner<'a> {
    /// The user with this display name.
    Name(&'a str),
    /// This user, whatever their display name.
    Uid(Uid),
}

/// The nick of the user `uid` whose display name is `name`.
#[must_use]
pub fn nick_of<'n>(name: &'n str, uid: &Uid) -> Cow<'n, str> {
    if holds(name) && matches!(nick_owner(name), NickOwner::Name(_)) {
        return Cow::Borrowed(name);
    }
    let kept: String = name.chars().filter(|c| ResourcePart::new(c.encode_utf8(&mut [0; 4])).is_ok()).collect();
    let with_uid = format!("{} ({uid})", kept.trim());
    // Alone, the uid is always held: it is ASCII.
    let nick = prepared(with_uid.trim_start()).unwrap_or_else(|| format!("({uid})"));
    Cow::Owned(nick)
}

/// Whom a nick names.
#[must_use]
pub fn nick_owner(nick: &str) -> NickOwner<'_> {
    let uid = nick.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).and_then(|(kept, uid)| {
        let is_ours = kept.is_empty() || kept.ends_with(' ');
        Uid::parse(uid).ok().filter(|_| is_ours)
    });
    uid.map_or(NickOwner::Name(nick), NickOwner::Uid)
}

/// The text as a resourcepart has it, if it can.
fn prepared(text: &str) -> Option<String> {
    let part = ResourcePart::new(text).ok()?;
    holds(part.as_str()).then(|| part.as_str().to_owned())
}

/// Whether a resourcepart holds the text as it is, and clients that trim what they show make nothing else of it.
fn holds(text: &str) -> bool {
    text.trim() == text && matches!(ResourcePart::new(text), Ok(part) if part.as_str() == text)
}
