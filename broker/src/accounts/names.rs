//! Names that nobody gives themselves: they would be taken for the conference speaking.

use unicode_normalization::UnicodeNormalization;

use crate::ids::Uid;

/// Sorted, lower case.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "all",
    "anonymous",
    "everyone",
    "guest",
    "hallway",
    "here",
    "hostmaster",
    "inbox",
    "mailer-daemon",
    "moderator",
    "noreply",
    "organiser",
    "organizer",
    "postmaster",
    "root",
    "security",
    "server",
    "staff",
    "support",
    "system",
    "webmaster",
];

/// Whether people may not give themselves this uid or display name. Organisers may make such accounts, but for
/// [`is_the_servers`].
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let folded: String = name.nfkc().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace()).collect();
    RESERVED.binary_search(&folded.as_str()).is_ok()
}

/// Whether no account can ever have this uid: the server itself speaks by it.
#[must_use]
pub fn is_the_servers(uid: &Uid) -> bool {
    *uid == Uid::system()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn reserved_in_every_spelling() {
        for name in ["system", "Admin", " ROOT ", "ｓｔａｆｆ", "every one", "mailer-daemon", "hallway"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["alice", "administration", "system1", "", "root.b"] {
            assert!(!is_reserved(name), "{name}");
        }
        assert!(is_the_servers(&Uid::parse("system").unwrap()));
        assert!(!is_the_servers(&Uid::parse("admin").unwrap()));
    }
}
