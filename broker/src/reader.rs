//! What the edges may ask of the state. Every call reads what is committed now; none writes. They may touch the disk: an edge calls the longer
//! ones through [`tokio::task::spawn_blocking`].

mod archive;
mod badges;
mod belongings;
mod conversations;
mod files;
mod history;
mod messages;
mod people;
mod push;
mod search;
mod stored;
mod topics;

use std::sync::Arc;

use crate::apply::{Idempotency, answer_of, draft_hash};
use crate::command::Draft;
use crate::ids::{ConfNo, ConferenceId, ConversationId, EventIds, Uid};
use crate::keys;
use crate::limits::MAX_INVITES;
use crate::model::{
    Conference, Conversation, Head, Invite, InviteHash, Member, Standing, Subject, SubjectHash, Token, TokenHash, User, UserRole,
};
use crate::policy::Asker;
use crate::queue::Answer;
use crate::recent::Recent;
use crate::reject::{Reason, Reject};
use crate::state::{Direction, State, StateError};
use crate::view::{ConferenceHead, Found, decode, read_head};

pub use archive::Span;
pub(crate) use badges::scans_for;
pub use badges::{Attended, Named, ReaderFound};
pub use conversations::{Listed, Membership, UnreadDirect};
pub use history::{Page, Toward};
pub use people::Person;
pub use search::{MAX_WORDS, Searched, Words};

/// See the module's text.
#[derive(Clone)]
pub struct Reader {
    state: Arc<dyn State>,
    recent: Arc<Recent>,
    secret: [u8; 16],
}

impl Reader {
    /// A reader of `state`, whose ids are under `secret`.
    #[must_use]
    pub fn new(state: Arc<dyn State>, recent: Arc<Recent>, secret: [u8; 16]) -> Self {
        Self { state, recent, secret }
    }

    /// The event ids of this store.
    #[must_use]
    pub fn ids(&self) -> EventIds {
        EventIds::new(self.secret)
    }

    /// A secret key of this store for one purpose, from which neither the store's own nor another purpose's follows.
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> [u8; 16] {
        crate::ids::key_for(&self.secret, purpose)
    }

    /// The state itself, for backups and exports.
    #[must_use]
    pub fn state(&self) -> &Arc<dyn State> {
        &self.state
    }

    fn get<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StateError> {
        self.up_to_date(|| self.state.get(key))?.as_deref().map(decode).transpose()
    }

    /// Reads, unless the state is being opened again: then it may have less than was told before.
    fn up_to_date<T>(&self, read: impl FnOnce() -> Result<T, StateError>) -> Result<T, StateError> {
        let before = self.recent.rewind();
        let result = read()?;
        if before.is_some() && before == self.recent.rewind() {
            Ok(result)
        } else {
            Err(StateError::Io("the store is being opened again".into()))
        }
    }

    /// A conference.
    ///
    /// # Errors
    /// The state's.
    pub fn conference(&self, id: &str) -> Result<Option<Conference>, StateError> {
        self.get(&keys::conference(id))
    }

    /// A conference's id.
    ///
    /// # Errors
    /// The state's.
    pub fn conference_id(&self, conf: ConfNo) -> Result<Option<ConferenceId>, StateError> {
        self.get(&keys::conference_id(conf))
    }

    /// All conferences.
    ///
    /// # Errors
    /// The state's.
    pub fn conferences(&self) -> Result<Vec<(ConferenceId, Conference)>, StateError> {
        let prefix = keys::conference("");
        let mut found = Vec::new();
        self.visit(&prefix, Direction::Ascending, |key, value| {
            if let Some(Ok(id)) = keys::text_at(key, prefix.len()).map(ConferenceId::parse) {
                found.push((id, decode(value)?));
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// How far a conference is.
    ///
    /// # Errors
    /// The state's.
    pub fn conference_head(&self, conf: ConfNo) -> Result<ConferenceHead, StateError> {
        Ok(self.get(&keys::conference_head(conf))?.unwrap_or_default())
    }

    /// An account that is not erased.
    ///
    /// # Errors
    /// The state's.
    pub fn user(&self, conf: ConfNo, uid: &Uid) -> Result<Option<User>, StateError> {
        Ok(self.get::<User>(&keys::user(conf, uid))?.filter(|user| !user.erased))
    }

    /// Whether there is or was an account: nobody becomes who was erased.
    ///
    /// # Errors
    /// The state's.
    pub fn had_user(&self, conf: ConfNo, uid: &Uid) -> Result<bool, StateError> {
        Ok(self.get::<User>(&keys::user(conf, uid))?.is_some())
    }

    /// A token by its hash.
    ///
    /// # Errors
    /// The state's.
    pub fn token(&self, hash: &TokenHash) -> Result<Option<Token>, StateError> {
        self.get(&keys::token(hash))
    }

    /// Who somebody of an identity provider is here.
    ///
    /// # Errors
    /// The state's.
    pub fn subject(&self, conf: ConfNo, subject: &SubjectHash) -> Result<Option<Subject>, StateError> {
        self.get(&keys::subject(conf, subject))
    }

    /// The first of an identity provider's people after this one, in the order of their hashes.
    ///
    /// # Errors
    /// The state's.
    pub fn next_subject(&self, conf: ConfNo, after: Option<&SubjectHash>) -> Result<Option<(SubjectHash, Subject)>, StateError> {
        let prefix = keys::subjects(conf);
        let from = keys::above(&prefix, after.map(|after| keys::subject(conf, after)));
        let mut found = None;
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, value| {
            found = key.last_chunk::<32>().map(|subject| Ok::<_, StateError>((*subject, decode(value)?))).transpose()?;
            Ok(false)
        })?;
        Ok(found)
    }

    /// An invitation.
    ///
    /// # Errors
    /// The state's.
    pub fn invite(&self, conf: ConfNo, code: &InviteHash) -> Result<Option<Invite>, StateError> {
        self.get(&keys::invite(conf, code))
    }

    /// All invitations of a conference, by the hashes of their codes.
    ///
    /// # Errors
    /// The state's.
    pub fn invites(&self, conf: ConfNo) -> Result<Vec<(InviteHash, Invite)>, StateError> {
        let prefix = keys::invites(conf);
        let mut found = Vec::new();
        self.visit(&prefix, Direction::Ascending, |key, value| {
            if let Some(code) = key.last_chunk::<16>() {
                found.push((*code, decode(value)?));
            }
            Ok(found.len() < MAX_INVITES)
        })?;
        Ok(found)
    }

    /// A conversation by its id.
    ///
    /// # Errors
    /// The state's.
    pub fn conversation(&self, conf: ConfNo, id: &ConversationId) -> Result<Option<Found>, StateError> {
        let record: Option<Conversation> = self.get(&keys::conversation(conf, id))?;
        Ok(record.map(|record| Found { conf, id: id.clone(), record }))
    }

    /// The place of a conversation's last event.
    ///
    /// # Errors
    /// The state's.
    pub fn head(&self, found: &Found) -> Result<Head, StateError> {
        self.up_to_date(|| read_head(&*self.state, found.conf, found.record.no))
    }

    /// Where somebody stands with a conversation.
    ///
    /// # Errors
    /// The state's.
    pub fn standing(&self, found: &Found, uid: &Uid) -> Result<Option<Standing>, StateError> {
        let member: Option<Member> = self.get(&keys::member(found.conf, found.record.no, uid))?;
        Ok(member.map(|member| member.standing))
    }

    fn role(&self, conf: ConfNo, uid: &Uid) -> Result<UserRole, Reject> {
        Ok(self.user(conf, uid)?.ok_or(Reason::SessionEnded)?.role)
    }

    /// The conversation, when `uid` may read it.
    ///
    /// # Errors
    /// Why not.
    pub fn readable(&self, conf: ConfNo, uid: &Uid, id: &ConversationId) -> Result<Found, Reject> {
        let found = self.conversation(conf, id)?.ok_or(Reason::UnknownConversation)?;
        let asker = Asker { uid, role: self.role(conf, uid)?, standing: self.standing(&found, uid)? };
        asker.may_read(found.record.kind, id)?;
        Ok(found)
    }

    /// Whether a draft would be taken: the permission half of admission. A direct conversation may still have to be made.
    ///
    /// # Errors
    /// Why not.
    pub fn may_post(&self, conf: ConfNo, uid: &Uid, id: &ConversationId) -> Result<(), Reject> {
        if let Some(partner) = id.partner(uid) {
            if !self.role(conf, uid)?.takes_part() {
                return Err(Reason::NotAllowed.into());
            }
            self.user(conf, &partner)?.ok_or(Reason::UnknownUser)?;
            return self.block_between(conf, uid, &partner)?.map_or(Ok(()), |reason| Err(reason.into()));
        }
        let found = self.conversation(conf, id)?.ok_or(Reason::UnknownConversation)?;
        let asker = Asker { uid, role: self.role(conf, uid)?, standing: self.standing(&found, uid)? };
        Ok(asker.may_post(found.record.kind, id)?)
    }

    /// The answer that an earlier message with this client id got, so that a retry that admission refuses still gets it.
    ///
    /// # Errors
    /// The state's.
    pub fn earlier_answer(&self, conf: ConfNo, uid: &Uid, draft: &Draft, now_ms: u64) -> Result<Option<Answer>, StateError> {
        let Some(found) = self.conversation(conf, &draft.conversation)? else { return Ok(None) };
        let Some(hash) = draft_hash(&self.secret, uid, draft) else { return Ok(None) };
        let known: Option<Idempotency> = self.get(&keys::idempotency(conf, found.record.no, hash))?;
        Ok(known.and_then(|known| answer_of(&known, &self.secret, draft, now_ms)).map(|answer| answer.map_err(Reject::from)))
    }

    /// Visits the records below `prefix`; the visitor says whether to go on.
    fn visit(
        &self,
        prefix: &[u8],
        direction: Direction,
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        self.visit_range(prefix, &keys::end_of(prefix), direction, visit)
    }

    fn visit_range(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        use std::ops::ControlFlow::{Break, Continue};
        let mut result = Ok(());
        let mut visitor = |key: &[u8], value: &[u8]| match visit(key, value) {
            Ok(true) => Continue(()),
            Ok(false) => Break(()),
            Err(error) => {
                result = Err(error);
                Break(())
            }
        };
        self.up_to_date(|| self.state.scan(from, to, direction, &mut visitor))?;
        result
    }
}
