//! The lines of badges, readers and what scans led to.

use serde_json::json;

use super::{Lines, PAGE};
use crate::backup::BackupError;
use crate::ids::Uid;
use crate::view::Found;

impl Lines<'_> {
    /// What is kept of somebody because of badges.
    pub(super) fn scanned(&mut self, of: &Uid) -> Result<(), BackupError> {
        let (reader, conf) = (self.reader, self.conf);
        for (_, badge) in reader.badges_of(conf, of)? {
            self.line(&json!({"user": of, "badge": badge.shown, "revoked": badge.revoked, "since_ms": badge.since_ms}))?;
        }
        if let Some(known) = reader.attendee(conf, of)? {
            let crate::model::Attendee { external, email, company, job, ticket } = known;
            self.line(&json!({"user": of, "ticket": ticket, "external": external, "email": email, "company": company, "job": job}))?;
        }
        if let Some(checkin) = reader.checkin(conf, of)? {
            self.line(&json!({"user": of, "checked_in_ms": checkin.at_ms, "by": checkin.by}))?;
        }
        if let Some(set) = reader.reader_settings(conf, of)? {
            let (mode, owner) = (set.mode.word(), set.owner);
            self.line(&json!({"user": of, "reader": mode, "conversation": set.conversation, "format": set.format, "capacity": set.capacity, "owner": owner, "text": set.text}))?;
        }
        self.contacts(of)?;
        self.leads(of)
    }

    fn contacts(&mut self, of: &Uid) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let (page, complete) = self.reader.contacts(self.conf, of, after.as_ref(), PAGE)?;
            for other in &page {
                let (state, since_ms) = (other.record.state.word(), other.record.since_ms);
                self.line(&json!({"user": of, "contact": other.uid, "state": state, "since_ms": since_ms}))?;
            }
            after = page.into_iter().next_back().map(|other| other.uid);
            if complete || after.is_none() {
                return Ok(());
            }
        }
    }

    fn leads(&mut self, of: &Uid) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let (page, complete) = self.reader.leads(self.conf, of, after.as_ref(), PAGE)?;
            for lead in &page {
                let (record, notes) = (&lead.record, &lead.record.notes);
                self.line(&json!({"user": of, "lead": lead.uid, "since_ms": record.since_ms, "last_ms": record.last_ms, "scans": record.scans, "rating": notes.rating, "note": notes.note, "tags": notes.tags}))?;
            }
            after = page.into_iter().next_back().map(|lead| lead.uid);
            if complete || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Who was at a session.
    pub(super) fn attendances(&mut self, found: &Found) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let (page, complete) = self.reader.attendances(self.conf, found.record.no, after.as_ref(), PAGE)?;
            for one in &page {
                let record = &one.record.stay;
                self.line(&json!({"conversation": found.id, "attended": one.uid, "enters": record.enters, "inside_since_ms": record.inside_since_ms, "total_ms": record.total_ms, "first_ms": record.first_ms, "last_ms": record.last_ms}))?;
            }
            after = page.into_iter().next_back().map(|one| one.uid);
            if complete || after.is_none() {
                return Ok(());
            }
        }
    }
}
