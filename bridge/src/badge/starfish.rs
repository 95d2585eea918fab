//! Starfish hubs: `[{"S": "082", "E": "R", "U": "082B278907"}]`, an edge of the field of a sensor. R is a tag that comes, U one that goes, C one that is
//! still there, S the hub itself every few seconds.

use hallway_broker::edges::Reading;
use hallway_broker::model::{Direction, Tap};
use serde_json::Value;

use super::seen;

/// One edge.
pub fn read(value: &Value) -> Option<Reading> {
    value.get("S")?;
    let (edge, tag) = (value.get("E")?.as_str()?, value.get("U")?);
    let direction = match edge {
        "R" => Direction::Enter,
        "U" => Direction::Exit,
        "C" => return Some(Reading::Nothing),
        "S" => return Some(seen::health(true, "hub")),
        _ => return None,
    };
    Some(Reading::Taps(vec![Tap { direction: Some(direction), ..seen::value(tag)? }]))
}
