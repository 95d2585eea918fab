//! Pushes that were given up, as the command line lists them and has them tried once more.

use serde::{Deserialize, Serialize};

use super::{ControlError, ControlReply, PAGE, find_conference, invalid};
use crate::command::{Action, Actor, Outcome};
use crate::hub::Hub;
use crate::ids::ConfNo;
use crate::limits::MAX_STEP;
use crate::model::{Provider, PushRow};

/// A push that was given up, listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterLine {
    /// Its number.
    pub letter: u64,
    /// Whose.
    pub uid: String,
    /// Who was to deliver it.
    pub provider: String,
    /// The conversation that it was about.
    pub conversation: String,
    /// The message.
    pub seq: u64,
    /// How often it was tried.
    pub tries: u32,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// Why it did not get through.
    pub why: String,
}

impl From<(u64, PushRow)> for LetterLine {
    fn from((letter, row): (u64, PushRow)) -> Self {
        Self {
            letter,
            uid: row.user.to_string(),
            provider: Provider::of(&row.target).map_or("", Provider::word).to_owned(),
            conversation: row.conversation.to_string(),
            seq: row.seq,
            tries: row.tries,
            since_ms: row.since_ms,
            why: row.why.to_string(),
        }
    }
}

pub(super) fn dead(hub: &Hub, conf: ConfNo, before: Option<u64>) -> Result<ControlReply, ControlError> {
    let letters = hub.reader().dead_letters(conf, before, PAGE)?;
    let complete = letters.len() < PAGE;
    Ok(ControlReply::Letters { letters: letters.into_iter().map(LetterLine::from).collect(), complete })
}

pub(super) async fn replay(hub: &Hub, conference: &str, mut letters: Vec<u64>) -> Result<ControlReply, ControlError> {
    let conf = find_conference(hub, conference)?.no;
    letters.sort_unstable();
    letters.dedup();
    if letters.len() > MAX_STEP {
        return Err(invalid(format!("at most {MAX_STEP} at once; none named are all")));
    }
    let named = letters.len() as u64;
    let letters = Some(letters).filter(|letters| !letters.is_empty());
    let mut replayed = 0;
    while let Outcome::Replayed(count, more) = hub.call(conf, Actor::system(), Action::ReplayPushes { letters: letters.clone() }).await? {
        replayed += u64::from(count);
        if !more {
            break;
        }
    }
    if replayed < named {
        let message = format!(
            "{replayed} of {named} are tried once more; the others are not there, or their targets are gone: 'hallway push dead {conference}' shows what was given up"
        );
        return Err(invalid(message));
    }
    Ok(ControlReply::Written { what: format!("{replayed} are tried once more") })
}
