//! People of other servers as users here. The uid of one follows from their bare JID by a secret key, so that nobody can take it before
//! they come; their JID is in what their account says about itself, which they cannot change, and which counts only if the uid follows
//! from it. They cannot sign in here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use hallway_broker::accounts::names::is_reserved;
use hallway_broker::command::{Action, Actor};
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, ConferenceId, Uid};
use hallway_broker::limits::{MAX_NAME_BYTES, MAX_PAGE};
use hallway_broker::model::{User, UserRole, Via};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::{Who, blocking};
use siphasher::sip128::{Hasher128, SipHasher24};

/// What the uids of people of other servers begin with.
const PREFIX: &str = "x.";
/// Of the local part of a JID, how much a uid shows.
const SHOWN_BYTES: usize = 24;
/// Longest bare JID in bytes.
const MAX_JID_BYTES: usize = 512;

/// See the module's text.
pub struct People {
    hub: Arc<Hub>,
    conf: ConfNo,
    conference: ConferenceId,
    key: [u8; 16],
    /// Most of them in the conference.
    most: usize,
    count: usize,
    jids: RefCell<HashMap<Uid, Arc<str>>>,
}

/// Whose `about` is a JID.
fn is_remote(user: &User) -> bool {
    user.role == UserRole::Remote
}

impl People {
    /// Those of a conference; `most` may come.
    #[must_use]
    pub fn new(hub: &Arc<Hub>, conf: ConfNo, conference: ConferenceId, most: usize) -> Self {
        let key = hub.reader().key_for("xmpp remote users");
        Self { hub: Arc::clone(hub), conf, conference, key, most, count: 0, jids: RefCell::default() }
    }

    /// The uid of a bare JID.
    #[must_use]
    pub fn uid_of(&self, jid: &str) -> Uid {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&self.conf.0.to_be_bytes());
        hasher.write(jid.as_bytes());
        let hash = data_encoding::BASE32_NOPAD.encode(&hasher.finish128().as_bytes()).to_ascii_lowercase();
        let node = jid.split('@').next().unwrap_or_default();
        let may_show = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        let shown: String = node.chars().filter(may_show).take(SHOWN_BYTES).collect();
        // Lower case, digits and dots, 54 bytes at most: always a uid.
        Uid::parse(&format!("{PREFIX}{shown}.{hash}")).unwrap_or_else(|_| Uid::anonymous())
    }

    /// The bare JID that a uid stands for, if it is somebody of another server.
    #[must_use]
    pub fn jid_of(&self, uid: &Uid) -> Option<Arc<str>> {
        if !uid.as_str().starts_with(PREFIX) {
            return None;
        }
        if let Some(jid) = self.jids.borrow().get(uid) {
            return Some(Arc::clone(jid));
        }
        let user = self.hub.reader().user(self.conf, uid).ok().flatten().filter(is_remote)?;
        self.note(uid, &user.about)
    }

    fn note(&self, uid: &Uid, jid: &Arc<str>) -> Option<Arc<str>> {
        if self.uid_of(jid) != *uid {
            return None;
        }
        self.jids.borrow_mut().insert(uid.clone(), Arc::clone(jid));
        Some(Arc::clone(jid))
    }

    /// All that have come before: their bare JIDs.
    ///
    /// # Errors
    /// The state's.
    pub async fn known(&mut self) -> Result<Vec<Arc<str>>, Reject> {
        let (reader, conf) = (self.hub.reader().clone(), self.conf);
        let found = blocking(move || {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let (people, complete) = reader.people(conf, after.as_ref(), MAX_PAGE, is_remote)?;
                after = people.last().map(|person| person.uid.clone());
                found.extend(people);
                if complete || after.is_none() {
                    return Ok(found);
                }
            }
        });
        let found = found.await?;
        self.count = found.len();
        Ok(found.iter().filter_map(|person| self.note(&person.uid, &person.user.about)).collect())
    }

    /// The account of a bare JID, made now if it is not there; with this display name, if nobody has it.
    ///
    /// # Errors
    /// [`Reason::Quota`], and the hub's.
    pub async fn account(&mut self, jid: &str, name: Option<&str>) -> Result<Who, Reject> {
        if jid.len() > MAX_JID_BYTES {
            return Err(Reason::InvalidParams.into());
        }
        let uid = self.uid_of(jid);
        let known = self.hub.reader().user(self.conf, &uid)?;
        let mut is_named = known.as_ref().is_some_and(|user| &*user.about == jid);
        if known.is_none() {
            if self.count >= self.most {
                return Err(Reason::Quota.into());
            }
            let name = Some(self.free_name(jid, name)?);
            let action = Action::AddUser { uid: uid.clone(), name, role: UserRole::Remote, credentials: None };
            self.hub.call(self.conf, Actor::system(), action).await?;
            self.count += 1;
            is_named = false;
        }
        if !is_named && known.as_ref().is_none_or(is_remote) {
            let actor = Actor { uid: uid.clone(), via: Via::Xmpp, session: 0 };
            self.hub.call(self.conf, actor, Action::UpdateProfile { name: None, about: Some(jid.into()) }).await?;
        }
        let user = self.hub.reader().user(self.conf, &uid)?.filter(is_remote).ok_or(Reason::NotAllowed)?;
        self.note(&uid, &user.about);
        let (name, version) = (Arc::clone(&user.name), user.version);
        Ok(Who { conf: self.conf, conference: self.conference.clone(), uid, name, version, expires_ms: u64::MAX, token: None })
    }

    /// The first that nobody has of: what they want to be called, the local part of their JID, the JID.
    fn free_name(&self, jid: &str, wanted: Option<&str>) -> Result<String, Reject> {
        let node = jid.split('@').next();
        for name in [wanted.map(str::trim), node, Some(jid)].into_iter().flatten() {
            let fits = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control) && !is_reserved(name);
            if fits && !self.hub.reader().has_name(self.conf, name)? {
                return Ok(name.to_owned());
            }
        }
        Ok(self.uid_of(jid).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::testing::Story;

    #[tokio::test]
    async fn they_are_users_who_cannot_sign_in() {
        let story = Story::begin().await;
        let conference = ConferenceId::parse("demo").unwrap();
        let mut people = People::new(&story.hub, story.conf(), conference.clone(), 2);
        let bob = people.account("bob@other.example", Some("alice")).await.unwrap();
        assert_eq!((&*bob.name, people.jid_of(&bob.uid).as_deref()), ("bob", Some("bob@other.example")));
        let again = people.account("bob@other.example", Some("Robert")).await.unwrap();
        assert_eq!((&again.uid, &*again.name), (&bob.uid, "bob"));
        let other = people.account("bob@third.example", Some("admin")).await.unwrap();
        assert_eq!(&*other.name, "bob@third.example");
        assert_ne!(other.uid, bob.uid);
        let refused = people.account("carol@other.example", None).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Quota);
        let token = hallway_broker::accounts::issue(&story.hub, story.conf(), &bob.uid).await;
        assert_eq!(token.unwrap_err().reason, Reason::NotAllowed);
        // What an account of ours says about itself makes it nobody of another server.
        let alice = Actor { uid: Uid::parse("alice").unwrap(), via: Via::Ws, session: 0 };
        let action = Action::UpdateProfile { name: None, about: Some("bob@other.example".into()) };
        story.hub.call(story.conf(), alice, action).await.unwrap();
        assert_eq!(people.jid_of(&Uid::parse("alice").unwrap()), None);
        let mut later = People::new(&story.hub, story.conf(), conference, 2);
        let mut known: Vec<String> = later.known().await.unwrap().iter().map(ToString::to_string).collect();
        known.sort_unstable();
        assert_eq!(known, ["bob@other.example", "bob@third.example"]);
    }

    #[tokio::test]
    async fn every_jid_has_a_uid_of_its_own() {
        let story = Story::begin().await;
        let people = People::new(&story.hub, story.conf(), ConferenceId::parse("demo").unwrap(), 2);
        let jids = ["a@x", "b@x", "a@y", "\u{e9}\u{1f600}@x", "-a@x", "\u{e9}@y", &"long".repeat(200)];
        let mut uids: Vec<Uid> = jids.iter().map(|jid| people.uid_of(jid)).collect();
        assert!(uids.iter().all(|uid| uid.as_str().starts_with(PREFIX)));
        uids.sort_unstable();
        uids.dedup();
        assert_eq!(uids.len(), jids.len());
    }
}
