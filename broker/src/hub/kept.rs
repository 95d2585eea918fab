//! Letting go of what is kept for MQTT: sessions to which nobody came back in time, and publications beyond the past that is kept.

use super::{Hub, housekeeping};
use crate::command::{Action, Outcome};
use crate::ids::{ConfNo, Uid};
use crate::keys::{self, Key};
use crate::limits::KEPT_PUBLICATIONS;
use crate::model::KeptSession;

/// Sessions that are looked at in one tick.
const LOOK: usize = 512;

/// A sweep over the kept sessions.
#[derive(Debug, Default)]
pub(super) struct KeptSweep {
    /// Where it goes on; `None` at the beginning.
    from: Option<Key>,
}

impl KeptSweep {
    /// A bounded part of it; after the last session it begins anew.
    pub(super) fn go_on(&mut self, hub: &Hub) {
        if hub.health.check().is_err() {
            return;
        }
        let Ok((found, next)) = hub.reader.kept_sessions(self.from.as_ref(), LOOK) else { return };
        for (key, session) in &found {
            if let Some((conf, uid, client)) = keys::parts_of_session(key)
                && is_over(hub, conf, &uid, client, session)
            {
                let forget = Action::ForgetSession { uid, client: client.into(), ended_ms: Some(session.ended_ms) };
                while let Some(Outcome::Continue(_)) = housekeeping::call(hub, conf, forget.clone()) {}
            }
        }
        self.from = next;
    }
}

/// Whether a session's time is over, or its user is gone.
fn is_over(hub: &Hub, conf: ConfNo, uid: &Uid, client: &str, session: &KeptSession) -> bool {
    if hub.sessions.of(conf, uid).iter().any(|live| live.device.as_deref() == Some(client)) {
        return false;
    }
    if *uid != Uid::anonymous() && matches!(hub.reader.user(conf, uid), Ok(None)) {
        return true;
    }
    let expiry_ms = u64::from(session.expiry_s) * 1000;
    match session.ended_ms {
        _ if session.expiry_s == u32::MAX => false,
        // Its connection ended with the server that held it: nobody has come back since this one started.
        0 => u64::try_from(hub.clock.elapsed().as_millis()).unwrap_or(u64::MAX) > expiry_ms,
        ended_ms => ended_ms.saturating_add(expiry_ms) <= hub.clock.now_ms(),
    }
}

/// Forgets publications beyond [`KEPT_PUBLICATIONS`], in each conference.
pub(super) fn trim(hub: &Hub) {
    for (_, conference) in hub.reader.conferences().unwrap_or_default() {
        let Ok(Some((oldest, newest))) = hub.reader.publications(conference.no) else { continue };
        if newest.saturating_sub(oldest) > KEPT_PUBLICATIONS {
            let trim = Action::Trim { through: newest - KEPT_PUBLICATIONS };
            while let Some(Outcome::Continue(_)) = housekeeping::call(hub, conference.no, trim.clone()) {}
        }
    }
}
