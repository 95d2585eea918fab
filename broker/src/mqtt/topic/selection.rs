//! Selections: what of Hallway a filter asks for. The hub's streams are not a tree of topics, so a filter is turned once, when it is
//! subscribed to, into the streams that it can match, and no filter is looked at while messages flow.

use super::Place;
use crate::ids::{BadId, ConversationId, Uid};
use crate::topic::Parts;

/// One of a kind, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Which<T> {
    /// The filter names this one.
    One(T),
    /// A wildcard stands where the id would.
    All,
}

impl<T: PartialEq> Which<T> {
    /// Whether `id` is among them.
    #[must_use]
    pub fn contains(&self, id: &T) -> bool {
        match self {
            Self::One(one) => one == id,
            Self::All => true,
        }
    }
}

/// What a filter selects for one user of one conference. It says what the filter reaches, not what the user may read. Of another
/// conference and of other people's inboxes it holds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Conversations, and which of their topics; the parts are never empty.
    pub chats: Option<(Which<ConversationId>, Parts)>,
    /// People's presence.
    pub presence: Option<Which<Uid>>,
    /// The user's own inbox.
    pub inbox: bool,
    /// The answers to the user's own requests.
    pub rpc_answers: bool,
    /// Something under `topic/`; what exactly, the filter tree knows.
    pub generic: bool,
    /// What badge readers scan.
    pub badge_scans: Option<Which<Uid>>,
    /// What badge readers are told.
    pub badge_results: Option<Which<Uid>>,
    /// Something under `$SYS`.
    pub sys: bool,
    /// Something outside `conf` that does not begin with `$`.
    pub plain: bool,
}

impl Selection {
    /// What `filter` selects for `user` of `conference`. The filter is taken as checked; of a shared subscription it is the inner one.
    #[must_use]
    pub fn of(conference: &str, user: &Uid, filter: &str) -> Self {
        let reaches = |shape: &[Level<'_>]| reach(filter, conference, shape);
        let own = |leaf| reaches(&[Level::Is("user"), Level::Is(user.as_str()), Level::Is(leaf)]).is_some();
        let badges = |leaf| which(reaches(&[Level::Is("badge"), Level::Id, Level::Is(leaf)]), Uid::parse);
        Self {
            chats: chats(reaches),
            presence: which(reaches(&[Level::Is("presence"), Level::Id]), Uid::parse),
            inbox: own("inbox"),
            rpc_answers: own("rpc"),
            generic: reaches(&[Level::Is("topic"), Level::Rest]).is_some(),
            badge_scans: badges("scan"),
            badge_results: badges("result"),
            // [MQTT-4.7.2-1] a wildcard in the first place does not reach `$SYS`
            sys: root(filter) == "$SYS",
            plain: root(filter) != "conf" && !filter.starts_with('$'),
        }
    }

    /// What it selects of all conversations at once.
    #[must_use]
    pub fn everywhere(&self) -> Parts {
        match self.chats {
            Some((Which::All, parts)) => parts,
            _ => Parts::NONE,
        }
    }

    /// Whether it selects nothing: such a filter is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it holds a place, for `user`. Generic, `$SYS` and plain topics are many in one place: there, true means that the filter
    /// matches some of them.
    #[must_use]
    pub fn contains(&self, user: &Uid, place: &Place) -> bool {
        let chat = |id, part| self.chats.as_ref().is_some_and(|(which, parts)| which.contains(id) && parts.contains(part));
        let has = |which: &Option<Which<Uid>>, id| which.as_ref().is_some_and(|which| which.contains(id));
        match place {
            Place::Message(id) => chat(id, Parts::MESSAGES),
            Place::Events(id) => chat(id, Parts::EVENTS),
            Place::Typing(id) => chat(id, Parts::TYPING),
            Place::Read(id) => chat(id, Parts::READ),
            Place::Presence(id) => has(&self.presence, id),
            Place::Inbox(id) => self.inbox && id == user,
            Place::RpcAnswer(id) => self.rpc_answers && id == user,
            Place::Generic => self.generic,
            Place::BadgeScan(id) => has(&self.badge_scans, id),
            Place::BadgeResult(id) => has(&self.badge_results, id),
            Place::Sys => self.sys,
            Place::Plain => self.plain,
            Place::Rpc | Place::Foreign | Place::Unknown => false,
        }
    }
}

fn root(filter: &str) -> &str {
    filter.split_once('/').map_or(filter, |(root, _)| root)
}

/// A level of a place's topic after `conf/<conference>/`.
#[derive(Clone, Copy)]
enum Level<'a> {
    /// This text.
    Is(&'a str),
    /// An id.
    Id,
    /// One or more levels of any text, not all of it empty; the last.
    Rest,
}

/// Which ids a filter reaches in topics of a shape (as text); `None` when it matches no such topic.
fn reach<'f>(filter: &'f str, conference: &str, shape: &[Level<'_>]) -> Option<Which<&'f str>> {
    let mut asked = filter.split('/');
    let mut found = Which::All;
    for &level in [Level::Is("conf"), Level::Is(conference)].iter().chain(shape) {
        match (asked.next()?, level) {
            ("#", _) => return Some(found),
            ("+", Level::Is(_) | Level::Id) => {}
            (text, Level::Is(other)) if text == other => {}
            (_, Level::Is(_)) => return None,
            (id, Level::Id) => found = Which::One(id),
            (text, Level::Rest) => return (!text.is_empty() || asked.next().is_some()).then_some(found),
        }
    }
    // a filter that goes on asks for what is deeper, but for `#`, which reaches its parent too
    matches!(asked.next(), None | Some("#")).then_some(found)
}

/// The ids of a reach; `None` when the one that is named cannot be.
fn which<T>(reached: Option<Which<&str>>, parse: impl Fn(&str) -> Result<T, BadId>) -> Option<Which<T>> {
    match reached? {
        Which::All => Some(Which::All),
        Which::One(id) => parse(id).ok().map(Which::One),
    }
}

fn chats<'f>(reaches: impl Fn(&[Level<'_>]) -> Option<Which<&'f str>>) -> Option<(Which<ConversationId>, Parts)> {
    const LEAVES: [(&[Level<'_>], Parts); 4] = [
        (&[Level::Is("chat"), Level::Id], Parts::MESSAGES),
        (&[Level::Is("chat"), Level::Id, Level::Is("event")], Parts::EVENTS),
        (&[Level::Is("chat"), Level::Id, Level::Is("typing")], Parts::TYPING),
        (&[Level::Is("chat"), Level::Id, Level::Is("read")], Parts::READ),
    ];
    let (mut found, mut parts) = (None, Parts::NONE);
    for (shape, part) in LEAVES {
        // the id stands at the same level in all four, so all that are reached are reached for the same ids
        if let Some(ids) = reaches(shape) {
            found = Some(ids);
            parts |= part;
        }
    }
    Some((which(found, ConversationId::parse)?, parts))
}
