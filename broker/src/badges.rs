//! Badges: what a badge is known by, however a reader writes it, what else is printed around its code, what somebody's own code is, and the way of a
//! scan from a reader to the hub and back.

mod code;
pub mod contents;
mod own;

pub use code::{CANDIDATES_MAX, CODE_BYTES_MAX};
pub(crate) use own::{PURPOSE, looks_own};
pub use own::{own_code, whose};

use std::sync::Arc;

use bytes::Bytes;

use crate::canonical::write_scanned;
use crate::ids::Uid;
use crate::limits::RESULT_USE_MS;
use crate::model::{Properties, Publication, Realm, Scanned};
use crate::mqtt::topic::badge_result_topic;

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
