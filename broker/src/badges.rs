//! Badges: what a badge is known by, however a reader writes it, what else is printed around its code, what somebody's own code is; and the way
//! of a scan from a reader to the hub and back ([`take`]). What a scan does is in [`crate::apply`].
//!
//! In reading order: `code` (one code for all writings), [`contents`] (MECARD, vCard, signed tickets), `own` (somebody's own code), `arrival` (the way of
//! a scan), `debounce` (what comes again within moments), `health` (how readers are), [`leads`] (as a table).

mod arrival;
mod code;
pub mod contents;
mod debounce;
mod health;
pub mod leads;
mod own;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::badges::contents::pretix::Signers;
use crate::canonical::write_scanned;
use crate::edges::BadgeFormats;
use crate::ids::Uid;
use crate::limits::RESULT_USE_MS;
use crate::model::{Properties, Publication, Realm, Scanned};
use crate::mqtt::topic::badge_result_topic;

pub use arrival::{Arrival, Scan, arrive, scan, take};
pub(crate) use arrival::{KNOWN_OF, likely_time};
pub use code::{CANDIDATES_MAX, CODE_BYTES_MAX};
pub(crate) use debounce::{At, Held};
pub use health::{ReaderHealth, Whence};
pub(crate) use own::{PURPOSE, looks_own};
pub use own::{own_code, whose};

/// The configuration's `[badges]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BadgeOptions {
    /// A badge that is held to the same reader again within so many ms counts once; 0: every time.
    pub debounce_ms: u64,
}

impl Default for BadgeOptions {
    fn default() -> Self {
        Self { debounce_ms: 2000 }
    }
}

/// What a hub holds of badges in memory.
pub(crate) struct Badges {
    pub formats: OnceLock<Arc<dyn BadgeFormats>>,
    pub debounce: Arc<debounce::Debounce>,
    pub health: health::Healths,
    /// Whose tickets are good, by conference.
    pub signers: RwLock<HashMap<String, Arc<Signers>>>,
}

impl Badges {
    pub fn new(options: &BadgeOptions) -> Self {
        let debounce = Arc::new(debounce::Debounce::new(options.debounce_ms));
        Self { formats: OnceLock::new(), debounce, health: health::Healths::default(), signers: RwLock::default() }
    }
}

/// What a reader is told on its own topic.
pub(crate) fn result_publication(conference: &str, reader: &Uid, scanned: &Scanned, now_ms: u64) -> Publication {
    let (mut topic, mut payload) = (String::new(), Vec::new());
    badge_result_topic(&mut topic, conference, reader);
    write_scanned(scanned, &mut payload);
    let properties = Properties { payload_is_utf8: true, content_type: Some(Arc::from("application/json")), ..Properties::default() };
    Publication {
        realm: Realm::Badges,
        topic: topic.into(),
        payload: Bytes::from(payload),
        qos: 1,
        retain: false,
        expires_ms: now_ms + RESULT_USE_MS,
        properties: Some(Box::new(properties)),
    }
}
