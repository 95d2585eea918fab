//! PROTOCOL.md's table of errors: which code each reason comes with.

/// Codes with their reasons.
pub const CODES: [(i64, &[&str]); 11] = [
    (-32700, &["parse_error", "too_deep"]),
    (-32600, &["invalid_request", "batch_too_large"]),
    (-32601, &["unknown_method", "needs_session"]),
    (-32602, &["invalid_params", "bad_target", "broken_media", "not_strippable"]),
    (1001, &["no_session", "bad_token", "token_expired", "bad_ticket", "bad_credentials", "session_ended"]),
    (
        1003,
        &[
            "not_a_member",
            "banned",
            "staff_only",
            "not_author",
            "not_moderator",
            "blocked",
            "blocking",
            "sign_in_closed",
            "bad_invite",
            "plaintext_login",
            "not_allowed",
            "private_url",
            "no_gateway",
            "allowance_unknown",
        ],
    ),
    (
        1004,
        &[
            "unknown_conversation",
            "unknown_conference",
            "unknown_user",
            "unknown_message",
            "unknown_target",
            "unknown_file",
            "unknown_session",
            "unknown_badge",
            "unknown_reader",
            "unknown_lead",
        ],
    ),
    (
        1009,
        &[
            "id_reused",
            "taken",
            "reserved",
            "deleted",
            "already_signed_in",
            "resync",
            "not_reacted",
            "follows_all",
            "last_owner",
            "own_role",
            "not_asked",
        ],
    ),
    (
        1013,
        &[
            "text_too_large",
            "too_many_subscriptions",
            "too_many_members",
            "too_many_blocked",
            "too_many_edits",
            "too_many_reactions",
            "too_many_badges",
            "files_full",
            "too_large",
        ],
    ),
    (1029, &["message_rate", "login_rate", "too_many_sessions", "too_many_uploads", "quota"]),
    (1050, &["disk_full", "store_error", "draining", "provider_unavailable", "busy"]),
];

/// The code that a reason comes with; `None` for a word that is no reason.
#[must_use]
pub fn code_of(reason: &str) -> Option<i64> {
    CODES.iter().find(|(_, reasons)| reasons.contains(&reason)).map(|(code, _)| *code)
}

/// The methods of PROTOCOL.md.
pub const METHODS: &[&str] = &[
    "session.hello",
    "session.list",
    "session.close",
    "message.send",
    "message.edit",
    "message.delete",
    "message.react",
    "message.search",
    "conversation.list",
    "conversation.open",
    "conversation.create",
    "conversation.update",
    "conversation.join",
    "conversation.leave",
    "conversation.invite",
    "conversation.remove",
    "conversation.role",
    "conversation.members",
    "conversation.subscribe",
    "conversation.unsubscribe",
    "conversation.history",
    "conversation.read",
    "conversation.typing",
    "conversation.notify",
    "push.settings",
    "push.unregister",
    "push.dead",
    "push.replay",
    "people.list",
    "people.get",
    "people.update",
    "people.block",
    "people.export",
    "people.erase",
    "badge.assign",
    "badge.revoke",
    "badge.list",
    "badge.mine",
    "badge.scan",
    "reader.set",
    "reader.remove",
    "reader.list",
    "checkin.list",
    "checkin.count",
    "checkin.undo",
    "attendance.list",
    "contact.list",
    "contact.ask",
    "contact.accept",
    "contact.decline",
    "contact.remove",
    "lead.list",
    "lead.update",
    "lead.remove",
    "lead.export",
    "lead.holders",
    "lead.withdraw",
    "attendee.import",
    "conversation.notify",
    "push.register",
    "push.unregister",
    "push.list",
    "push.key",
    "push.settings",
    "push.dead",
    "push.replay",
    "presence.set",
    // Not methods, but paths that a scenario must have used.
    "/api/register",
    "/api/login",
    "/rpc",
    "/files",
    "/events",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables here are PROTOCOL.md's: every word in its table of errors is known, and every method.
    #[test]
    fn the_tables_are_the_documents() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ws-adapter/PROTOCOL.md");
        let document = std::fs::read_to_string(path).expect("PROTOCOL.md");
        let mut rows = 0;
        for line in document.lines().filter(|line| line.starts_with("| 10")) {
            let code: i64 = line[2..6].parse().expect("a code");
            let reasons = line.rsplit_once(" | ").map_or(line, |_| line).split('|').nth(3).expect("a column of reasons");
            let words: Vec<&str> = reasons.split('`').skip(1).step_by(2).filter(|word| !word.contains('.')).collect();
            assert!(!words.is_empty(), "{line}");
            words.iter().for_each(|word| assert_eq!(code_of(word), Some(code), "{word}"));
            rows += 1;
        }
        assert_eq!(rows, 7);
        for method in METHODS {
            let (group, name) = method.split_once('.').unwrap_or(("", method));
            assert!(document.contains(method) || document.contains(&format!("`.{name}`")), "{group} {name}");
        }
    }
}
