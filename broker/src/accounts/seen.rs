//! Passwords that were right before, as keyed hashes in memory, so that a reconnect storm costs no PBKDF2. Only right ones are
//! kept; the key lives as long as the process, and nothing is ever written.

use std::sync::{Mutex, PoisonError};

use ring::hmac;

use super::scram::Password;
use crate::clock;
use crate::generations::Generations;
use crate::ids::{ConfNo, Uid};
use crate::model::{Credentials, User};

/// Right passwords that are remembered at least; at most twice as many are, 16 bytes each.
const REMEMBERED: usize = 32_768;

/// The hash that stands for one password of one account version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; 16]);

/// The passwords seen.
pub struct Seen {
    key: hmac::Key,
    marks: Mutex<Generations<Mark, ()>>,
}

impl Seen {
    /// Nothing seen, under a new random key.
    #[must_use]
    pub fn new() -> Self {
        Self::with(clock::random(), REMEMBERED)
    }

    fn with(key: [u8; 32], remembered: usize) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), marks: Mutex::new(Generations::new(remembered)) }
    }

    /// What stands for this password of this account. It holds the account's version and the kept keys too, so that it is worth
    /// nothing after a password change, or when another account comes to have the same name.
    #[must_use]
    pub fn mark(&self, conf: ConfNo, uid: &Uid, user: &User, credentials: &Credentials, password: &Password) -> Mark {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&conf.0.to_be_bytes());
        context.update(&user.version.to_be_bytes());
        for field in [uid.as_str().as_bytes(), &credentials.sha256.stored_key, password.as_bytes()] {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        let tag = context.sign();
        let mut mark = [0; 16];
        mark.copy_from_slice(&tag.as_ref()[..16]);
        Mark(mark)
    }

    /// Whether it was right before.
    #[must_use]
    pub fn has(&self, mark: Mark) -> bool {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).get(&mark).is_some()
    }

    /// It was right.
    pub fn remember(&self, mark: Mark) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).insert(mark, ());
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scram;
    use super::*;
    use crate::model::UserRole;
    use proptest::prelude::*;

    fn user(version: u32) -> User {
        User { name: "n".into(), role: UserRole::Attendee, about: "".into(), credentials: None, version, erased: false }
    }

    fn mark(seen: &Seen, conf: u32, uid: &str, version: u32, salt: u8, password: &str) -> Mark {
        let secret = Password::parse("p").unwrap();
        let credentials = scram::credentials(&secret, [[salt; 16]; 2], scram::MIN_ITERATIONS);
        let password = Password::parse(password).unwrap();
        seen.mark(ConfNo(conf), &Uid::parse(uid).unwrap(), &user(version), &credentials, &password)
    }

    #[test]
    fn a_mark_is_of_one_password_of_one_account_version() {
        let seen = Seen::new();
        let right = mark(&seen, 1, "alice", 0, 1, "secret");
        seen.remember(right);
        assert!(seen.has(mark(&seen, 1, "alice", 0, 1, "secret")));
        for other in [
            mark(&seen, 2, "alice", 0, 1, "secret"),
            mark(&seen, 1, "alicf", 0, 1, "secret"),
            mark(&seen, 1, "alice", 1, 1, "secret"),
            mark(&seen, 1, "alice", 0, 2, "secret"),
            mark(&seen, 1, "alice", 0, 1, "secreT"),
            mark(&Seen::new(), 1, "alice", 0, 1, "secret"),
        ] {
            assert!(!seen.has(other));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let seen = Seen::with([1; 32], 8);
        let marks: Vec<Mark> = (0..100).map(|n| Mark([n; 16])).collect();
        marks.iter().for_each(|mark| seen.remember(*mark));
        assert!(seen.has(marks[99]));
        assert!(marks.iter().filter(|mark| seen.has(**mark)).count() <= 16);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn framing_is_unambiguous(uid in "[a-z]{1,6}", password in "[a-z]{1,6}", cut in 1..12usize) {
            let seen = Seen::with([1; 32], 8);
            let whole = format!("{uid}{password}");
            let cut = cut.min(whole.len() - 1);
            let (other_uid, other_password) = whole.split_at(cut);
            let same = uid == other_uid;
            prop_assert_eq!(mark(&seen, 1, &uid, 0, 1, &password) == mark(&seen, 1, other_uid, 0, 1, other_password), same);
        }
    }
}
