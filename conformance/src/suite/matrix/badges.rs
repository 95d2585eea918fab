//! The calls of the cells about badges, readers, contacts and leads.

use serde_json::{Value, json};

/// The method and parameters of a section; `id` is new, `user` the named person. `None` when it is about something else.
pub fn call(section: &str, id: &str, user: &str) -> Option<(&'static str, Value)> {
    Some(match section {
        "badge.assign" => ("badge.assign", json!({"badge": id, "user": user})),
        "badge.revoke" => ("badge.revoke", json!({"badge": id})),
        "badge.list" => ("badge.list", json!({})),
        "badge.mine" => ("badge.mine", json!({})),
        "badge.scan" => ("badge.scan", json!({"code": id})),
        "badge.scan.checkin" => ("badge.scan", json!({"code": id, "mode": "checkin"})),
        "reader.set" => ("reader.set", json!({"reader": user, "mode": "lead"})),
        // A person without a handheld.
        "reader.remove" => ("reader.remove", json!({"reader": "host"})),
        "reader.list" => ("reader.list", json!({})),
        "checkin.list" => ("checkin.list", json!({})),
        "checkin.count" => ("checkin.count", json!({})),
        "checkin.undo" => ("checkin.undo", json!({"user": user})),
        "contact.list" => ("contact.list", json!({})),
        "contact.ask" => ("contact.ask", json!({"user": user})),
        "contact.accept" => ("contact.accept", json!({"user": user})),
        "contact.decline" => ("contact.decline", json!({"user": user})),
        "contact.remove" => ("contact.remove", json!({"user": user})),
        "lead.list" => ("lead.list", json!({"owner": user})),
        "lead.export" => ("lead.export", json!({"owner": user})),
        "lead.update" => ("lead.update", json!({"owner": user, "user": "guest", "rating": 1})),
        "lead.remove" => ("lead.remove", json!({"owner": user, "user": "guest"})),
        "lead.holders" => ("lead.holders", json!({})),
        "lead.withdraw" => ("lead.withdraw", json!({"owner": user})),
        "attendee.import" => ("attendee.import", json!({"format": "generic", "csv": format!("id,name\n{id},Guest {id}\n")})),
        _ => return None,
    })
}
