//! Who is connected under which client id: one connection each, the newest (MQTT 5 §3.1.4); and the wills that wait for somebody to come back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::hub::Hub;
use crate::ids::{ConfNo, Uid};
use crate::sessions::Live;
use crate::shard::Ending;

/// How long somebody who takes a client id over waits for the one before to let go.
const WAIT: Duration = Duration::from_secs(10);

/// Conference, user and client id: nobody can take over another user's.
pub type Key = (ConfNo, Uid, Arc<str>);

/// What becomes of a will that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its client is back [MQTT-3.1.3-9].
    Cancelled,
    /// Its session has ended: now (MQTT 5 §3.1.3.2.2).
    Due,
}

#[derive(Default)]
struct Client {
    /// The session, once there is one: shard, slot, id.
    live: Option<(u16, u32, u64)>,
    /// Who has it, by when they came.
    ticket: u64,
    /// Somebody who came later wants the client id.
    wanted: bool,
}

/// See the module's text.
#[derive(Default)]
pub struct Clients {
    connected: Mutex<HashMap<Key, Client>>,
    /// Told whenever a client id that somebody waits for is free; seldom, so that one is enough for all.
    gone: Arc<Notify>,
    wills: Mutex<HashMap<Key, oneshot::Sender<Verdict>>>,
    tickets: AtomicU64,
}

/// A client id that a connection has. Gives it back when dropped.
pub struct Claim {
    clients: Arc<Clients>,
    key: Key,
}

impl Clients {
    fn connected(&self) -> MutexGuard<'_, HashMap<Key, Client>> {
        // Nothing panics while it holds the lock.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wills(&self) -> MutexGuard<'_, HashMap<Key, oneshot::Sender<Verdict>>> {
        self.wills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a client id. Who has it is ended [MQTT-3.1.4-3] and waited for, so that what it leaves is on record. `None` when it does not end in time,
    /// or somebody who came later has it already.
    pub async fn claim(self: &Arc<Self>, hub: &Hub, key: Key) -> Option<Claim> {
        let ticket = self.tickets.fetch_add(1, Relaxed);
        let has_it = tokio::time::timeout(WAIT, async {
            loop {
                match self.try_claim(hub, &key, ticket) {
                    Ok(has_it) => return has_it,
                    Err(gone) => gone.await,
                }
            }
        });
        has_it.await.unwrap_or(false).then(|| Claim { clients: Arc::clone(self), key })
    }

    /// Whether the client id is taken now; `false` when somebody has it who came later. The error tells when it is free.
    fn try_claim(&self, hub: &Hub, key: &Key, ticket: u64) -> Result<bool, impl Future<Output = ()> + use<>> {
        let mut connected = self.connected();
        let Some(client) = connected.get_mut(key) else {
            connected.insert(key.clone(), Client { ticket, ..Client::default() });
            return Ok(true);
        };
        if client.ticket > ticket {
            return Ok(false);
        }
        client.wanted = true;
        let (live, gone) = (client.live, Arc::clone(&self.gone).notified_owned());
        let mut gone = Box::pin(gone);
        // From now on it is told, also before it is awaited.
        gone.as_mut().enable();
        drop(connected);
        if let Some(live) = live {
            let (shard, slot, id) = live;
            hub.end_session_at(shard, slot, id, Ending::TakenOver);
        }
        Err(gone)
    }

    /// Lets a will wait for a verdict.
    pub fn will_waits(&self, key: Key) -> oneshot::Receiver<Verdict> {
        let (verdict, told) = oneshot::channel();
        self.wills().insert(key, verdict);
        told
    }

    /// The will no longer waits.
    pub fn will_is_done(&self, key: &Key) {
        self.wills().remove(key);
    }

    /// Says what becomes of the will that waits under this client id, if any.
    pub fn judge_will(&self, key: &Key, verdict: Verdict) {
        if let Some(will) = self.wills().remove(key) {
            // It may have been published meanwhile.
            let _ = will.send(verdict);
        }
    }

    /// Whether somebody is connected under this client id.
    #[must_use]
    pub fn is_connected(&self, key: &Key) -> bool {
        self.connected().contains_key(key)
    }
}

impl Claim {
    /// The session is there. `false` when somebody else wants the client id already.
    #[must_use]
    pub fn is_live(&self, live: Live) -> bool {
        let mut connected = self.clients.connected();
        let Some(client) = connected.get_mut(&self.key) else { return false };
        client.live = Some((live.shard, live.slot, live.id));
        !client.wanted
    }

    /// Whose it is.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let client = self.clients.connected().remove(&self.key);
        if client.is_some_and(|client| client.wanted) {
            self.clients.gone.notify_waiters();
        }
    }
}
