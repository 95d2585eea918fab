//! Topic names and filters: their grammar, their bounds, and which filter matches which name. What of Hallway a name means is
//! [`Place`], what of it a filter asks for is [`Selection`]. Pure functions over text: no IO, no clock.
//!
//! The clause numbers are those of 3.1.1; where 5 numbers the same rule otherwise, its number follows after the stroke.

mod place;
mod selection;
#[cfg(test)]
mod tests;

pub use crate::topic::Parts;
pub use place::{
    Place, app_name, badge_result_topic, badge_scan_topic, event_topic, generic_topic, inbox_topic, message_topic, place, presence_topic,
    read_topic, rpc_answer_topic, typing_topic,
};
pub use selection::{Selection, Which};

pub use crate::tree::MAX_LEVELS;

/// Longest name or filter in bytes of UTF-8, a shared subscription's group included. The protocol allows 65,535 [MQTT-4.7.3-3].
pub const MAX_TOPIC_BYTES: usize = 1024;

/// The name or filter cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTopic {
    /// It has no character.
    #[error("the topic is empty")]
    Empty,
    /// It holds U+0000.
    #[error("the topic holds U+0000")]
    Nul,
    /// It is longer than [`MAX_TOPIC_BYTES`].
    #[error("the topic is longer than {MAX_TOPIC_BYTES} bytes")]
    TooLong,
    /// It has more levels than [`MAX_LEVELS`].
    #[error("the topic has more than {MAX_LEVELS} levels")]
    TooDeep,
    /// A name that holds `+` or `#`.
    #[error("a topic name cannot hold + or #")]
    WildcardInName,
    /// `#` is not alone in the last level.
    #[error("# must be alone in the last level")]
    MisplacedHash,
    /// `+` is not alone in its level.
    #[error("+ must be alone in its level")]
    MisplacedPlus,
    /// `$share/` without a good group or without a filter.
    #[error("a shared subscription is $share/<group>/<filter>, the group without + and #")]
    Share,
}

/// Checks a topic name, as in PUBLISH, a will or a response topic.
///
/// # Errors
/// [`BadTopic`] when a message cannot be published under it.
pub fn check_name(name: &str) -> Result<(), BadTopic> {
    check_bounds(name)?;
    // [MQTT-3.3.2-2] [MQTT-4.7.1-1 / 4.7.0-1]
    if name.contains(['+', '#']) { Err(BadTopic::WildcardInName) } else { Ok(()) }
}

/// Checks a topic filter, as in SUBSCRIBE and UNSUBSCRIBE; a shared subscription too.
///
/// # Errors
/// [`BadTopic`] when it cannot be subscribed to.
pub fn check_filter(filter: &str) -> Result<(), BadTopic> {
    check_bounds(filter)?;
    match Shared::parse(filter)? {
        Some(_) => Ok(()),
        None => check_wildcards(filter),
    }
}

fn check_bounds(topic: &str) -> Result<(), BadTopic> {
    if topic.is_empty() {
        return Err(BadTopic::Empty); // [MQTT-4.7.3-1]
    }
    if topic.len() > MAX_TOPIC_BYTES {
        return Err(BadTopic::TooLong);
    }
    if topic.contains('\0') {
        return Err(BadTopic::Nul); // [MQTT-4.7.3-2]
    }
    if topic.split('/').count() > MAX_LEVELS { Err(BadTopic::TooDeep) } else { Ok(()) }
}

fn check_wildcards(filter: &str) -> Result<(), BadTopic> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(BadTopic::MisplacedHash); // [MQTT-4.7.1-2 / 4.7.1-1]
        }
        if level.contains('+') && level != "+" {
            return Err(BadTopic::MisplacedPlus); // [MQTT-4.7.1-3 / 4.7.1-2]
        }
    }
    Ok(())
}

/// A shared subscription: each message that the filter matches goes to one session of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared<'a> {
    /// The group, `ShareName` in the specification.
    pub group: &'a str,
    /// What it subscribes to.
    pub filter: &'a str,
}

impl<'a> Shared<'a> {
    /// Takes a shared subscription apart; `None` when `filter` is none. What is within the bounds as a whole is so in its parts.
    ///
    /// # Errors
    /// [`BadTopic`] when it begins as one and is not, or its inner filter cannot be subscribed to.
    pub fn parse(filter: &'a str) -> Result<Option<Self>, BadTopic> {
        let Some(rest) = filter.strip_prefix("$share/") else { return Ok(None) };
        let (group, inner) = rest.split_once('/').ok_or(BadTopic::Share)?;
        // [MQTT-4.8.2-1] a group of at least one character; [MQTT-4.8.2-2] without wildcards and followed by a filter
        if group.is_empty() || group.contains(['+', '#']) || inner.is_empty() {
            return Err(BadTopic::Share);
        }
        check_wildcards(inner)?;
        Ok(Some(Self { group, filter: inner }))
    }
}

/// Whether a filter matches a name. Both are taken as checked; the filter is not a shared one, but that one's inner filter.
#[must_use]
pub fn matches(filter: &str, name: &str) -> bool {
    // [MQTT-4.7.2-1] wildcards do not reach into what servers publish about themselves
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut name) = (filter.split('/'), name.split('/'));
    loop {
        match (filter.next(), name.next()) {
            (Some("#"), _) | (None, None) => return true, // `a/#` matches `a` too
            (Some("+"), Some(_)) => {}
            (Some(asked), Some(level)) if asked == level => {}
            _ => return false,
        }
    }
}
