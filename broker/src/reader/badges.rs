//! Badges, readers, and what scans led to. Lists are in the order of uids and go on above `after`; each says whether it is complete.

use serde::de::DeserializeOwned;

use super::Reader;
use crate::badges::{PURPOSE, looks_own, own_code, whose};
use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::keys;
use crate::model::{
    Attendance, Attendee, Badge, BadgeCode, BadgeTotals, Checkin, Contact, Lead, Mode, Occupancy, ReaderSettings, UserRole,
};
use crate::reject::{Reason, Reject};
use crate::state::{Direction, StateError};
use crate::view::decode;

/// A record of somebody's, with their display name; empty when they are erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T> {
    /// Who.
    pub uid: Uid,
    /// Their display name.
    pub name: std::sync::Arc<str>,
    /// What is kept.
    pub record: T,
}

/// Somebody at a session.
pub type Attended = Named<Attendance>;

/// A reader.
pub type ReaderFound = Named<ReaderSettings>;

impl Reader {
    /// The code that somebody shows who has no printed badge.
    ///
    /// # Errors
    /// [`Reason::UnknownConference`], or the state's.
    pub fn own_badge_code(&self, conf: ConfNo, uid: &Uid) -> Result<String, Reject> {
        let conference = self.conference_id(conf)?.ok_or(Reason::UnknownConference)?;
        Ok(own_code(&self.key_for(PURPOSE), &conference, uid))
    }

    /// A badge.
    ///
    /// # Errors
    /// The state's.
    pub fn badge(&self, conf: ConfNo, code: &BadgeCode) -> Result<Option<Badge>, StateError> {
        self.get(&keys::badge(conf, code))
    }

    /// Which of the codes that a text may mean is somebody's, and whose: the first that is.
    ///
    /// # Errors
    /// The state's.
    pub fn bearer_meant<'c>(&self, conf: ConfNo, codes: &'c [BadgeCode]) -> Result<Option<(&'c BadgeCode, Uid)>, StateError> {
        for code in codes {
            if let Some(badge) = self.badge(conf, code)? {
                return Ok(Some((code, badge.user)));
            }
            if looks_own(code)
                && let Some(conference) = self.conference_id(conf)?
                && let Some(uid) = whose(&self.key_for(PURPOSE), &conference, code)
            {
                return Ok(Some((code, uid)));
            }
        }
        Ok(None)
    }

    /// What the badge that a text means may be kept by in all its writings: of the badge that there is, even when the text has its bytes the other way
    /// round. Empty for what is no code.
    ///
    /// # Errors
    /// The state's.
    pub fn codes_of_badge(&self, conf: ConfNo, text: &str) -> Result<Vec<BadgeCode>, StateError> {
        let codes = BadgeCode::certain(text);
        for code in codes.iter().cloned().chain(BadgeCode::candidates(text)) {
            match self.badge(conf, &code)? {
                Some(_) if codes.contains(&code) => break,
                Some(badge) => return Ok([vec![code], BadgeCode::certain(&badge.shown)].concat()),
                None => {}
            }
        }
        Ok(codes)
    }

    /// All badges of somebody: [`crate::limits::MAX_BADGES`] at most.
    ///
    /// # Errors
    /// The state's.
    pub fn badges_of(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<(BadgeCode, Badge)>, StateError> {
        let prefix = keys::user_badges(conf, uid);
        let mut codes = Vec::new();
        self.visit(&prefix, Direction::Ascending, |key, _| {
            codes.extend(keys::text_at(key, prefix.len()).map(|code| BadgeCode(code.into())));
            Ok(true)
        })?;
        let mut badges = Vec::new();
        for code in codes {
            if let Some(badge) = self.badge(conf, &code)? {
                badges.push((code, badge));
            }
        }
        Ok(badges)
    }

    /// Badges in the order of their codes, up to `limit` above `after`.
    ///
    /// # Errors
    /// The state's.
    pub fn badges(&self, conf: ConfNo, after: Option<&BadgeCode>, limit: usize) -> Result<(Vec<(BadgeCode, Badge)>, bool), StateError> {
        let prefix = keys::badges(conf);
        let from = keys::above(&prefix, after.map(|after| keys::badge(conf, after)));
        let (mut badges, mut complete) = (Vec::new(), true);
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, value| {
            let Some(code) = keys::code_of_badge(key) else { return Ok(true) };
            complete = badges.len() < limit;
            if complete {
                badges.push((code, decode(value)?));
            }
            Ok(complete)
        })?;
        Ok((badges, complete))
    }

    /// Records whose keys are `prefix` and a uid.
    fn named<T: DeserializeOwned>(
        &self,
        conf: ConfNo,
        prefix: &[u8],
        after: Option<&Uid>,
        limit: usize,
    ) -> Result<(Vec<Named<T>>, bool), StateError> {
        self.named_if(conf, prefix, after, limit, |_| true)
    }

    /// Those of them that are shown.
    fn named_if<T: DeserializeOwned>(
        &self,
        conf: ConfNo,
        prefix: &[u8],
        after: Option<&Uid>,
        limit: usize,
        is_shown: impl Fn(&T) -> bool,
    ) -> Result<(Vec<Named<T>>, bool), StateError> {
        let from = keys::above(prefix, after.map(|after| [prefix, after.as_str().as_bytes()].concat()));
        let (mut found, mut complete) = (Vec::new(), true);
        self.visit_range(&from, &keys::end_of(prefix), Direction::Ascending, |key, value| {
            let Some(uid) = keys::uid_at(key, prefix.len()) else { return Ok(true) };
            let record = decode(value)?;
            if !is_shown(&record) {
                return Ok(true);
            }
            complete = found.len() < limit;
            if complete {
                found.push(Named { uid, name: std::sync::Arc::default(), record });
            }
            Ok(complete)
        })?;
        for named in &mut found {
            if let Some(user) = self.user(conf, &named.uid)? {
                named.name = user.name;
            }
        }
        Ok((found, complete))
    }

    /// What a reader, or somebody with a handheld, scans for; `None` when nothing was said.
    ///
    /// # Errors
    /// The state's.
    pub fn reader_settings(&self, conf: ConfNo, uid: &Uid) -> Result<Option<ReaderSettings>, StateError> {
        self.get(&keys::reader(conf, uid))
    }

    /// Readers that something was said of.
    ///
    /// # Errors
    /// The state's.
    pub fn readers(&self, conf: ConfNo, after: Option<&Uid>, limit: usize) -> Result<(Vec<ReaderFound>, bool), StateError> {
        self.named(conf, &keys::readers(conf), after, limit)
    }

    /// What a conference's badges come to.
    ///
    /// # Errors
    /// The state's.
    pub fn badge_totals(&self, conf: ConfNo) -> Result<BadgeTotals, StateError> {
        Ok(self.get(&keys::badge_totals(conf))?.unwrap_or_default())
    }

    /// When somebody has arrived.
    ///
    /// # Errors
    /// The state's.
    pub fn checkin(&self, conf: ConfNo, uid: &Uid) -> Result<Option<Checkin>, StateError> {
        self.get(&keys::checkin(conf, uid))
    }

    /// Who has arrived.
    ///
    /// # Errors
    /// The state's.
    pub fn checkins(&self, conf: ConfNo, after: Option<&Uid>, limit: usize) -> Result<(Vec<Named<Checkin>>, bool), StateError> {
        self.named(conf, &keys::checkins(conf), after, limit)
    }

    /// Who was at a session.
    ///
    /// # Errors
    /// The state's.
    pub fn attendances(&self, conf: ConfNo, conv: ConvNo, after: Option<&Uid>, limit: usize) -> Result<(Vec<Attended>, bool), StateError> {
        self.named(conf, &keys::attendances(conf, conv), after, limit)
    }

    /// Somebody's coming to and going from a session.
    ///
    /// # Errors
    /// The state's.
    pub fn attendance(&self, conf: ConfNo, conv: ConvNo, uid: &Uid) -> Result<Option<Attendance>, StateError> {
        self.get(&keys::attendance(conf, conv, uid))
    }

    /// How many are inside a session.
    ///
    /// # Errors
    /// The state's.
    pub fn occupancy(&self, conf: ConfNo, conv: ConvNo) -> Result<Occupancy, StateError> {
        Ok(self.get(&keys::occupancy(conf, conv))?.unwrap_or_default())
    }

    /// Sessions that somebody was scanned at, of those that they have a membership record in: who comes in by a badge has one.
    ///
    /// # Errors
    /// The state's.
    pub fn attended_by(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<(ConversationId, Attendance)>, StateError> {
        let mut found = Vec::new();
        for id in self.conversations_of(conf, uid, None, usize::MAX)? {
            if let Some(conversation) = self.conversation(conf, &id)?
                && let Some(attendance) = self.attendance(conf, conversation.record.no, uid)?
            {
                found.push((id, attendance));
            }
        }
        Ok(found)
    }

    /// Where somebody stands with somebody else.
    ///
    /// # Errors
    /// The state's.
    pub fn contact(&self, conf: ConfNo, uid: &Uid, other: &Uid) -> Result<Option<Contact>, StateError> {
        Ok(self.get::<Contact>(&keys::contact(conf, uid, other))?.filter(|contact| !contact.is_withdrawn))
    }

    /// Where somebody stands with others.
    ///
    /// # Errors
    /// The state's.
    pub fn contacts(&self, conf: ConfNo, uid: &Uid, after: Option<&Uid>, limit: usize) -> Result<(Vec<Named<Contact>>, bool), StateError> {
        self.named_if(conf, &keys::contacts(conf, uid), after, limit, |contact: &Contact| !contact.is_withdrawn)
    }

    /// A lead.
    ///
    /// # Errors
    /// The state's.
    pub fn lead(&self, conf: ConfNo, owner: &Uid, attendee: &Uid) -> Result<Option<Lead>, StateError> {
        self.get(&keys::lead(conf, owner, attendee))
    }

    /// Leads of an owner.
    ///
    /// # Errors
    /// The state's.
    pub fn leads(&self, conf: ConfNo, owner: &Uid, after: Option<&Uid>, limit: usize) -> Result<(Vec<Named<Lead>>, bool), StateError> {
        self.named(conf, &keys::leads(conf, owner), after, limit)
    }

    /// Who has somebody as a lead.
    ///
    /// # Errors
    /// The state's.
    pub fn holders(&self, conf: ConfNo, uid: &Uid, after: Option<&Uid>, limit: usize) -> Result<(Vec<Named<Lead>>, bool), StateError> {
        let (owners, complete) = self.named::<()>(conf, &keys::holders(conf, uid), after, limit)?;
        let mut found = Vec::new();
        for Named { uid: owner, name, .. } in owners {
            if let Some(record) = self.lead(conf, &owner, uid)? {
                found.push(Named { uid: owner, name, record });
            }
        }
        Ok((found, complete))
    }

    /// Whether somebody may see and change the leads of an owner: the owner, who scans for them, and staff.
    ///
    /// # Errors
    /// The state's.
    pub fn may_handle_leads(&self, conf: ConfNo, uid: &Uid, role: UserRole, owner: &Uid) -> Result<bool, StateError> {
        if uid == owner || role.is_staff() {
            return Ok(true);
        }
        Ok(self.reader_settings(conf, uid)?.is_some_and(|settings| scans_for(&settings, owner)))
    }

    /// What the organisers know of somebody from the ticket shop.
    ///
    /// # Errors
    /// The state's.
    pub fn attendee(&self, conf: ConfNo, uid: &Uid) -> Result<Option<Attendee>, StateError> {
        self.get(&keys::attendee(conf, uid))
    }

    /// Who has a ticket of the ticket shop.
    ///
    /// # Errors
    /// The state's.
    pub fn attendee_of_ticket(&self, conf: ConfNo, external: &str) -> Result<Option<Uid>, StateError> {
        self.get(&keys::ticket(conf, external))
    }
}

/// Whether who has these settings scans leads for an owner.
pub(crate) fn scans_for(settings: &ReaderSettings, owner: &Uid) -> bool {
    settings.mode == Mode::Lead && settings.owner.as_ref() == Some(owner)
}
