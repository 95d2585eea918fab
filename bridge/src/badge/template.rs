//! A format for readers that nobody has heard of: a JSON object of JSON pointers (RFC 6901) that say where in the payload what is.
//!
//! `{"code": "/data/uid", "at": "/ts", "id": "/seq", "direction": "/dir", "each": "/events", "when": {"/type": "scan"}}`: of each of `/events`, if its
//! `/type` is `scan`. Only `code` must be there. `enter` and `exit` say what the direction's words are when they are not the usual ones.

use std::collections::BTreeMap;

use hallway_broker::edges::Reading;
use hallway_broker::model::{Direction, Tap};
use hallway_broker::reject::{Reason, Reject};
use serde::Deserialize;
use serde_json::Value;

use super::seen;
use super::time::when;

/// Longest template in bytes.
const TEMPLATE_BYTES_MAX: usize = 1024;
/// Longest pointer in bytes.
const POINTER_BYTES_MAX: usize = 128;
/// Most conditions.
const CONDITIONS_MAX: usize = 8;

/// Where what is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    code: String,
    at: Option<String>,
    id: Option<String>,
    direction: Option<String>,
    each: Option<String>,
    #[serde(default)]
    when: BTreeMap<String, Value>,
    enter: Option<String>,
    exit: Option<String>,
}

impl Template {
    /// # Errors
    /// It is no template: unknown members, no `code`, something that is no pointer.
    pub fn parse(text: &str) -> Result<Self, Reject> {
        let parsed = Some(text).filter(|text| text.len() <= TEMPLATE_BYTES_MAX).and_then(|text| serde_json::from_str::<Self>(text).ok());
        parsed.filter(Self::is_sound).ok_or_else(|| Reason::InvalidParams.into())
    }

    fn is_sound(&self) -> bool {
        let named = [Some(&self.code), self.at.as_ref(), self.id.as_ref(), self.direction.as_ref(), self.each.as_ref()];
        let is_scalar = |value: &Value| !value.is_array() && !value.is_object();
        named.into_iter().flatten().chain(self.when.keys()).all(|pointer| is_pointer(pointer))
            && self.when.len() <= CONDITIONS_MAX
            && self.when.values().all(is_scalar)
    }

    /// The taps of a payload; `None` when what should be there is not, in none of them.
    pub fn read(&self, payload: &Value) -> Option<Reading> {
        let items = match &self.each {
            Some(each) => payload.pointer(each)?.as_array()?.iter().collect(),
            None => vec![payload],
        };
        let wanted = items.into_iter().filter(|item| self.when.iter().all(|(pointer, value)| item.pointer(pointer) == Some(value)));
        let taps = seen::batch(wanted.map(|item| self.tap(item).ok_or_else(|| self.malformed(item))))?;
        Some(if taps.is_empty() { Reading::Nothing } else { Reading::Taps(taps) })
    }

    fn tap(&self, item: &Value) -> Option<Tap> {
        let at = |pointer: &Option<String>| pointer.as_ref().and_then(|pointer| item.pointer(pointer));
        let tap = seen::timed(seen::value(item.pointer(&self.code)?)?, at(&self.at).and_then(when).as_ref(), &[at(&self.id)]);
        let direction = at(&self.direction).and_then(seen::word).and_then(|word| self.direction_of(&word));
        let id = at(&self.id).and_then(seen::word).filter(|id| !id.is_empty() && tap.id.is_empty()).map(|id| seen::own_id(&id).into());
        Some(Tap { direction, id: id.unwrap_or(tap.id), ..tap })
    }

    fn malformed(&self, item: &Value) -> Tap {
        seen::malformed(self.id.as_ref().and_then(|id| item.pointer(id)))
    }

    fn direction_of(&self, word: &str) -> Option<Direction> {
        if self.enter.as_deref() == Some(word) {
            return Some(Direction::Enter);
        }
        if self.exit.as_deref() == Some(word) {
            return Some(Direction::Exit);
        }
        seen::direction(word)
    }
}

fn is_pointer(text: &str) -> bool {
    text.len() <= POINTER_BYTES_MAX && (text.is_empty() || text.starts_with('/'))
}
