//! What a hub knows of badge readers beyond the store: how their payloads are read, and how they are.

use std::sync::{Arc, PoisonError};

use super::Hub;
use crate::badges::contents::pretix::Signers;
use crate::badges::{Badges, ReaderHealth, Whence};
use crate::edges::BadgeFormats;
use crate::ids::{ConfNo, Uid};
use crate::limits::MAX_PAGE;
use crate::metrics::DoorGauges;

impl Hub {
    /// How readers' payloads are understood; once, before the shards start.
    pub fn set_badge_formats(&self, formats: Arc<dyn BadgeFormats>) {
        // Set once.
        let _ = self.badges.formats.set(formats);
    }

    /// How readers' payloads are understood; `None` when nobody knows: then nothing is taken from them.
    #[must_use]
    pub fn badge_formats(&self) -> Option<&Arc<dyn BadgeFormats>> {
        self.badges.formats.get()
    }

    /// Whose signed tickets are good in a conference, from now on.
    pub fn set_ticket_signers(&self, conference: String, signers: Signers) {
        self.badges.signers.write().unwrap_or_else(PoisonError::into_inner).insert(conference, Arc::new(signers));
    }

    /// Whether there is a conference whose tickets' signatures are looked at.
    pub(crate) fn knows_ticket_signers(&self) -> bool {
        !self.badges.signers.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whose signed tickets are good in a conference; `None` when nobody's are looked at.
    #[must_use]
    pub fn ticket_signers(&self, conference: &str) -> Option<Arc<Signers>> {
        self.badges.signers.read().unwrap_or_else(PoisonError::into_inner).get(conference).cloned()
    }

    pub(crate) fn badges(&self) -> &Badges {
        &self.badges
    }

    /// What is known of a reader that speaks over another broker, besides its own words.
    pub fn reader_says(&self, conf: ConfNo, reader: &Uid, online: bool, detail: &str) {
        self.badges.health.says(conf, reader, online, &detail.into(), self.clock.now_ms(), Whence::Afar);
    }

    /// How a reader is, as far as can be told.
    #[must_use]
    pub fn reader_health(&self, conf: ConfNo, reader: &Uid) -> ReaderHealth {
        self.badges.health.of(conf, reader, &self.sessions.of(conf, reader))
    }

    /// How the doors of all conferences are. What the store does not tell just now is left out.
    pub(super) fn door_gauges(&self) -> DoorGauges {
        let mut gauges = DoorGauges::default();
        for (_, conference) in self.reader.conferences().unwrap_or_default() {
            let conf = conference.no;
            gauges.checked_in += self.reader.badge_totals(conf).map_or(0, |totals| u64::from(totals.checked_in));
            let (mut after, mut is_complete) = (None, false);
            while !is_complete {
                let Ok((readers, complete)) = self.reader.readers(conf, after.as_ref(), MAX_PAGE) else { break };
                let online = readers.iter().filter(|found| self.reader_health(conf, &found.uid).online).count();
                gauges.readers_online += online as u64;
                gauges.readers_offline += (readers.len() - online) as u64;
                after = readers.last().map(|found| found.uid.clone());
                is_complete = complete || after.is_none();
            }
        }
        gauges
    }
}
