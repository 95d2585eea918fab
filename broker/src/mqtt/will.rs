//! Wills: what is published when a connection is lost, at once or when nobody has come back in time (MQTT 5 §3.1.2.5, §3.1.3.2.2).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::clients::{Key, Verdict};
use super::codec::Will;
use super::listen::Edge;
use super::publish::{Deed, Incoming, Publisher};
use crate::badges::{self, Whence};
use crate::command::{Action, Actor, Reuse};
use crate::ids::ConfNo;
use crate::model::{Publication, Signal};
use crate::reject::{Reason, Reject};
use crate::session::{Session, Who};
use crate::topic::Telling;

/// A will that its client has left.
pub(super) struct LastWill {
    what: What,
    delay_s: u32,
    /// Seconds that it is of use for, from when it is published.
    expiry_s: Option<u32>,
}

enum What {
    Ask(Action),
    Publication(Arc<Publication>, bool),
    /// A badge reader's message: how it is, when it is gone.
    Reader(Box<Who>, Bytes),
}

impl LastWill {
    /// A will of a CONNECT.
    ///
    /// # Errors
    /// Why its publisher may not publish it.
    pub fn new(publisher: Publisher<'_>, will: &Will<'_>) -> Result<Self, Reject> {
        let what = match publisher.deed(&Incoming::of_will(will))? {
            Deed::Ask(Action::Publish(publication, _)) => What::Publication(publication, true),
            Deed::Ask(action @ Action::Send(_)) => What::Ask(action),
            Deed::Scan(_) => What::Reader(Box::new(publisher.who.clone()), Bytes::copy_from_slice(will.payload)),
            Deed::Tell(Signal::Published { publication, .. }) => What::Publication(publication, false),
            _ => return Err(Reason::NotAllowed.into()),
        };
        Ok(Self { what, delay_s: will.delay_s, expiry_s: will.message.expiry_s })
    }

    /// The connection is lost: the will is published after its delay, or when the session ends before, unless its client is back by then.
    pub fn leave(self: Box<Self>, edge: &Arc<Edge>, session: &Session, key: &Key, session_expiry_s: u32) {
        let (edge, actor, conf) = (Arc::clone(edge), session.actor(), session.who.conf);
        let wait_s = self.delay_s.min(session_expiry_s);
        if wait_s == 0 {
            tokio::task::spawn_local(self.publish(edge, conf, actor));
            return;
        }
        let (told, key) = (edge.clients.will_waits(key.clone()), key.clone());
        tokio::task::spawn_local(async move {
            let verdict = tokio::select! {
                verdict = told => verdict.unwrap_or(Verdict::Cancelled),
                () = tokio::time::sleep(Duration::from_secs(wait_s.into())) => {
                    edge.clients.will_is_done(&key);
                    Verdict::Due
                }
            };
            if verdict == Verdict::Due {
                self.publish(edge, conf, actor).await;
            }
        });
    }

    async fn publish(self: Box<Self>, edge: Arc<Edge>, conf: ConfNo, actor: Actor) {
        let expires_ms = self.expiry_s.map_or(u64::MAX, |left_s| edge.hub.clock().now_ms() + u64::from(left_s) * 1000);
        let action = match self.what {
            What::Ask(action) => action,
            What::Reader(who, payload) => {
                if let Err(reject) = badges::take(&edge.hub, &who, &payload, Reuse::NewMessage, Whence::Session(actor.session)).await {
                    tracing::debug!(%reject, "a badge reader's will is not taken");
                }
                return;
            }
            What::Publication(publication, is_kept) => {
                let publication = Arc::new(Publication { expires_ms, ..(*publication).clone() });
                if !is_kept {
                    let at_ms = edge.hub.clock().now_ms();
                    let signal = Signal::Published { from: actor.uid, origin: actor.session, publication, at_ms };
                    return edge.hub.tell(&Telling::of(conf, signal));
                }
                Action::Publish(publication, Reuse::NewMessage)
            }
        };
        if let Err(reject) = edge.hub.call(conf, actor, action).await {
            tracing::debug!(%reject, "a will is not published");
        }
    }
}
