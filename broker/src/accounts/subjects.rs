//! Who somebody of an identity provider is here: issuer and subject are bound to a uid when they first sign in, for good. A subject is never a
//! uid itself: it is the provider's word, may be an address, and would let two providers speak for the same account.

use ring::digest;
use unicode_normalization::UnicodeNormalization as _;

use super::jwt::claims::Claims;
use super::names;
use crate::clock;
use crate::command::{Action, Actor};
use crate::hub::Hub;
use crate::ids::{ConfNo, MAX_ID_BYTES, Uid};
use crate::model::{Conference, SignIn, Subject, SubjectHash};
use crate::reject::{Reason, Reject};

/// Bytes of a uid that are left for what tells it from others.
const SUFFIX_BYTES: usize = 8;
/// Counted suffixes that are tried before random ones.
const COUNTED: u32 = 9;
/// Random ones.
const RANDOM: usize = 3;

/// What a subject is found by.
#[must_use]
pub fn hash(issuer: &str, subject: &str) -> SubjectHash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(issuer.len() as u64).to_be_bytes());
    context.update(issuer.as_bytes());
    context.update(subject.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The uid of somebody whose token was right; an account is made when they have none.
///
/// # Errors
/// [`Reason::SessionEnded`] (the account was erased), [`Reason::SignInClosed`], [`Reason::Quota`], and those of the hub.
pub async fn admit(hub: &Hub, conference: &Conference, claims: &Claims, users_per_conference: u32) -> Result<Uid, Reject> {
    let (reader, conf) = (hub.reader(), conference.no);
    let subject = hash(&claims.issuer, &claims.subject);
    if let Some(known) = reader.subject(conf, &subject)? {
        follow_role(hub, conf, subject, &known, claims).await?;
        return Ok(known.uid);
    }
    if !matches!(conference.sign_in, SignIn::Token | SignIn::Open) {
        return Err(Reason::SignInClosed.into());
    }
    if users_per_conference > 0 && reader.conference_head(conf)?.users >= users_per_conference {
        return Err(Reason::Quota.into());
    }
    let name = claims.name.clone().filter(|name| !names::is_reserved(name));
    for uid in candidates(&claims.handles) {
        if names::is_reserved(uid.as_str()) || reader.user(conf, &uid)?.is_some() {
            continue;
        }
        let action = Action::AddSubject { subject, uid, name: name.clone(), role: claims.role, issued_ms: claims.issued_ms };
        match hub.call(conf, Actor::system(), action).await {
            // By another of their connections, perhaps.
            Ok(_) => return Ok(reader.subject(conf, &subject)?.ok_or(Reason::StoreError)?.uid),
            Err(reject) if reject.reason == Reason::Taken => {}
            Err(reject) => return Err(reject),
        }
    }
    Err(Reason::Taken.into())
}

/// Gives somebody the role that their token says, unless a newer one has said it.
async fn follow_role(hub: &Hub, conf: ConfNo, subject: SubjectHash, known: &Subject, claims: &Claims) -> Result<(), Reject> {
    let user = hub.reader().user(conf, &known.uid)?.ok_or(Reason::SessionEnded)?;
    let Some(role) = claims.role.filter(|_| claims.issued_ms >= known.role_issued_ms) else { return Ok(()) };
    if role == user.role && claims.issued_ms == known.role_issued_ms {
        return Ok(());
    }
    let action = Action::AddSubject { subject, uid: known.uid.clone(), name: None, role: Some(role), issued_ms: claims.issued_ms };
    let told = hub.call(conf, Actor::system(), action).await;
    // A server that can store nothing still lets in who changes nothing.
    if role == user.role { Ok(()) } else { told.map(drop) }
}

/// Uids to try, the nicest first.
fn candidates(handles: &[String]) -> Vec<Uid> {
    let base = handles.iter().find_map(|handle| slug(handle)).unwrap_or_else(|| "user".to_owned());
    let counted = (2..=COUNTED).map(|n| format!("{base}-{n}"));
    let random = (0..RANDOM).map(|_| format!("{base}-{:06x}", u32::from_be_bytes(clock::random()) >> 8));
    let all = std::iter::once(base.clone()).chain(counted).chain(random);
    all.filter_map(|text| Uid::parse(&text).ok()).collect()
}

/// A text as a uid: accents and case go, what is left over becomes a dash.
pub(crate) fn slug(text: &str) -> Option<String> {
    let mut slug = String::new();
    for c in text.nfkd().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            '.' | '_' if !slug.is_empty() => slug.push(c),
            // The accent of the letter before.
            c if !c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace() => {}
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() >= MAX_ID_BYTES - SUFFIX_BYTES {
            break;
        }
    }
    let slug = slug.trim_end_matches(['-', '.', '_']);
    (!slug.is_empty()).then(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slugs() {
        for (text, expected) in [
            ("alice", "alice"),
            ("Alice Åkesson", "alice-akesson"),
            ("  Zoë  O'Neil ", "zoe-o-neil"),
            ("al.ice_1", "al.ice_1"),
            ("ﬁlip", "filip"),
            ("..x", "x"),
            ("李 wei", "wei"),
        ] {
            assert_eq!(slug(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "李", "---", "¨"] {
            assert_eq!(slug(text), None, "{text}");
        }
        assert_eq!(candidates(&["李".into(), "a@".into()])[0].as_str(), "a");
        assert_eq!(candidates(&[])[..2], [Uid::parse("user").unwrap(), Uid::parse("user-2").unwrap()]);
    }

    #[test]
    fn a_subject_is_of_one_issuer() {
        assert_ne!(hash("a", "bc"), hash("ab", "c"));
        assert_eq!(hash("a", "b"), hash("a", "b"));
    }

    proptest! {
        #[test]
        fn every_handle_gives_uids(handles in prop::collection::vec("\\PC{0,100}", 0..3)) {
            let uids = candidates(&handles);
            prop_assert_eq!(uids.len(), COUNTED as usize + RANDOM);
        }
    }
}
