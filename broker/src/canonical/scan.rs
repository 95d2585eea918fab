//! What a scan came to, as its reader is told (DESIGN, "Badges").

use super::Object;
use crate::ids::Uid;
use crate::model::Scanned;

/// Appends what a scan came to.
pub fn write_scanned(scanned: &Scanned, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.bool("accepted", scanned.accepted);
    object.word("reason", scanned.reason.word());
    object.string("badge", &scanned.shown);
    if !scanned.id.is_empty() {
        object.string("id", &scanned.id);
    }
    if let Some(user) = &scanned.user {
        object.word("user", user.as_str());
        object.string("name", &scanned.name);
    }
    object.word("mode", scanned.mode.word());
    if let Some(conversation) = &scanned.conversation {
        object.word("conversation", conversation.as_str());
    }
    if scanned.scan > 0 {
        object.number("scan", scanned.scan);
    }
    object.time("ts", scanned.at_ms);
    object.end();
}

/// Whether the result of a scan, as it is written above, is about somebody. In a string each quotation mark is escaped, so that nothing else looks so.
#[must_use]
pub fn names(result: &[u8], uid: &Uid) -> bool {
    let member = format!(",\"user\":\"{uid}\",");
    result.windows(member.len()).any(|window| window == member.as_bytes())
}
