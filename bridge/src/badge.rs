//! Badge readers: what each kind of reader sends, understood without anything to set, or by the name of its format, or by a template.
//!
//! In reading order: [`payload`] (bytes become text or JSON), [`seen`] (what a tap is made of), [`time`] (readers' clocks), then a file per maker, and
//! [`template`] for readers that nobody has heard of. All of it is pure: what a tap does is the hub's.

mod cloudprnt;
mod esp_rfid;
mod home_assistant;
mod impinj;
mod own;
mod payload;
mod plain;
mod seen;
mod springcard;
mod starfish;
mod tasmota;
mod template;
mod time;
mod zebra;

use std::sync::Arc;

use hallway_broker::edges::{BadgeFormats, Reading};
use hallway_broker::limits::MAX_TAPS;
use hallway_broker::reject::{Reason, Reject};
use serde_json::Value;

pub use self::payload::PAYLOAD_BYTES_MAX;
use self::payload::Payload;
use self::template::Template;

/// Understands one JSON object of a kind of reader; `None` when it is none of theirs.
type Family = fn(&Value) -> Option<Reading>;

/// The formats of JSON by name, in the order in which they are tried.
const FAMILIES: [(&str, Family); 11] = [
    ("hallway", own::read),
    ("impinj", impinj::read),
    ("zebra-fx", zebra::read_fx),
    ("zebra-rfd", zebra::read_rfd),
    ("springcard", springcard::read),
    ("starfish", starfish::read),
    ("star-cloudprnt", cloudprnt::read),
    ("tasmota", tasmota::read),
    ("esp-rfid", esp_rfid::read),
    ("esp-rfid-dev", esp_rfid::read),
    (HOME_ASSISTANT, home_assistant::read),
];
/// The one that also sends the code alone.
const HOME_ASSISTANT: &str = "home-assistant";
/// The formats whose payload is the code itself.
const BARE: [&str; 2] = ["plain", "esphome"];
/// Whatever it is.
const AUTO: &str = "auto";

/// All formats.
#[must_use]
pub fn formats() -> Arc<dyn BadgeFormats> {
    Arc::new(Formats)
}

#[derive(Debug)]
struct Formats;

impl BadgeFormats for Formats {
    fn read(&self, format: &str, payload: &[u8]) -> Result<Reading, Reject> {
        let payload = Payload::new(payload)?;
        if payload.is_empty() {
            return Ok(Reading::Nothing);
        }
        if let Some(health) = plain::will(payload.text()) {
            return Ok(health);
        }
        let reading = match format {
            "" | AUTO => read_any(&payload)?,
            name if BARE.contains(&name) => plain::read(&payload),
            HOME_ASSISTANT if !payload.looks_like_json() => home_assistant::read_text(payload.text()),
            name => match FAMILIES.iter().find(|(known, _)| *known == name) {
                Some((_, family)) => {
                    let json = payload.json()?;
                    read_each(&json, *family).or_else(|| read_some(&json, *family))
                }
                None => Template::parse(format)?.read(&payload.json()?),
            },
        };
        match reading {
            Some(Reading::Taps(taps)) if taps.len() > MAX_TAPS => Err(Reason::InvalidParams.into()),
            Some(reading) => Ok(reading),
            None => Err(Reason::InvalidParams.into()),
        }
    }

    fn check(&self, format: &str) -> Result<(), Reject> {
        let is_named = format.is_empty() || format == AUTO || BARE.contains(&format) || FAMILIES.iter().any(|(name, _)| *name == format);
        if is_named { Ok(()) } else { Template::parse(format).map(|_| ()) }
    }

    fn names(&self) -> Vec<&'static str> {
        [AUTO].into_iter().chain(BARE).chain(FAMILIES.iter().map(|(name, _)| *name)).collect()
    }
}

/// What is not JSON is the code.
fn read_any(payload: &Payload<'_>) -> Result<Option<Reading>, Reject> {
    if !payload.looks_like_json() {
        return Ok(plain::read(payload));
    }
    let json = payload.json()?;
    let all = || FAMILIES.iter().find_map(|(_, family)| read_each(&json, *family));
    let some = || FAMILIES.iter().find_map(|(_, family)| read_some(&json, *family));
    Ok(all().or_else(some))
}

/// Readers that batch send arrays of what they else send alone.
fn read_each(json: &Value, family: Family) -> Option<Reading> {
    let Value::Array(items) = json else { return family(json) };
    let readings: Option<Vec<Reading>> = items.iter().map(family).collect();
    readings.filter(|readings| !readings.is_empty()).map(together)
}

/// The same when some of them are not what they should be: the rest is taken, and each of these is told.
fn read_some(json: &Value, family: Family) -> Option<Reading> {
    let readings: Vec<_> = json.as_array()?.iter().map(|item| (item, family(item))).collect();
    let has_taps = readings.iter().any(|(_, reading)| matches!(reading, Some(Reading::Taps(_))));
    let malformed = |item: &Value| Reading::Taps(vec![seen::malformed(item.get("id"))]);
    has_taps.then(|| together(readings.into_iter().map(|(item, reading)| reading.unwrap_or_else(|| malformed(item))).collect()))
}

/// Taps count more than how the reader is.
fn together(readings: Vec<Reading>) -> Reading {
    let mut taps = Vec::new();
    let mut rest = Reading::Nothing;
    for reading in readings {
        match reading {
            Reading::Taps(more) => taps.extend(more),
            Reading::Health { .. } => rest = reading,
            Reading::Nothing => {}
        }
    }
    if taps.is_empty() { rest } else { Reading::Taps(taps) }
}

#[cfg(test)]
mod tests;
