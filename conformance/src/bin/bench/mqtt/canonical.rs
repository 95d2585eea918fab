//! The payload that the peer is given: as long as Hallway's canonical message, so that both deliver the same bytes.

use crate::request::FIRST_NUMBER;

/// Length of Hallway's own id of an event, as long as no message of Hallway's was seen.
const ID_BYTES: usize = 26;

/// A message of DESIGN's canonical shape whose seq is ten digits that are written anew. With `length` it is that long, as
/// far as its id can make up for it.
pub fn canonical(conversation: &str, from: &str, text: &str, length: Option<usize>) -> String {
    let with_id = |id: usize| {
        format!(
            r#"{{"conversation":"{conversation}","seq":{FIRST_NUMBER},"id":"{}","from":"{from}","name":"{from}","ts":"2026-11-20T18:00:00.123Z","text":"{text}","via":"mqtt"}}"#,
            "i".repeat(id)
        )
    };
    let shortest = with_id(0).len();
    with_id(length.map_or(ID_BYTES, |length| length.saturating_sub(shortest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_json_of_the_wanted_length() {
        for length in [None, Some(300), Some(1)] {
            let message = canonical("lobby", "alice", "xyz", length);
            let value: serde_json::Value = serde_json::from_str(&message).expect("JSON");
            assert_eq!((value["seq"].as_u64(), &value["text"]), (Some(FIRST_NUMBER), &"xyz".into()));
            assert!(length != Some(300) || message.len() == 300);
        }
    }
}
