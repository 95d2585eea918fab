//! Who is connected under which client id: one connection each, the newest (MQTT 5 §3.1.4); and the wills that wait for somebody to come back.

use std::collections::HashMap;
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
    /// The session, once there is one.
    live: Option<Live>,
    /// Somebody else wants the client id.
    wanted: bool,
    gone: Arc<Notify>,
}

/// See the module's text.
#[derive(Default)]
pub struct Clients {
    connected: Mutex<HashMap<Key, Client>>,
    wills: Mutex<HashMap<Key, oneshot::Sender<Verdict>>>,
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

    /// Takes a client id. Who has it is ended [MQTT-3.1.4-3] and waited for, so that what it leaves is on record. `None` when it does not end in time.
    pub async fn claim(self: &Arc<Self>, hub: &Hub, key: Key) -> Option<Claim> {
        tokio::time::timeout(WAIT, async {
            loop {
                let Some(gone) = self.try_claim(hub, &key) else { break };
                gone.await;
            }
        })
        .await
        .ok()?;
        Some(Claim { clients: Arc::clone(self), key })
    }

    /// `None` when it is taken now; otherwise what tells that it is free.
    fn try_claim(&self, hub: &Hub, key: &Key) -> Option<impl Future<Output = ()> + use<>> {
        let mut connected = self.connected();
        let Some(client) = connected.get_mut(key) else {
            connected.insert(key.clone(), Client::default());
            return None;
        };
        client.wanted = true;
        let (live, gone) = (client.live.clone(), Arc::clone(&client.gone).notified_owned());
        let mut gone = Box::pin(gone);
        // From now on it is told, also before it is awaited.
        gone.as_mut().enable();
        drop(connected);
        if let Some(live) = live {
            hub.end_session(&live, Ending::TakenOver);
        }
        Some(gone)
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
        client.live = Some(live);
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
        if let Some(client) = self.clients.connected().remove(&self.key) {
            client.gone.notify_waiters();
        }
    }
}
