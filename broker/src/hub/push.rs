//! Push, as the hub runs it: who delivers, and the worker's thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::{Hub, OpenError, threads};
use crate::model::Provider;
use crate::push::PushOptions;
use crate::push::gateway::Gateway;
use crate::push::worker::{self, Stop};

/// The worker's thread; ended before the hub takes no commands any more, since it writes down where it is.
#[derive(Default)]
pub(super) struct Thread {
    stop: Arc<Stop>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Hub {
    /// Starts the push worker on a thread of its own, with those who deliver; once. It stops with the hub.
    ///
    /// # Errors
    /// [`OpenError::System`].
    pub fn start_push(self: &Arc<Self>, gateways: Vec<Arc<dyn Gateway>>, options: PushOptions) -> Result<(), OpenError> {
        if self.gateways.set(gateways.clone()).is_err() {
            return Ok(());
        }
        let (runtime, hub, stop) = (threads::runtime()?, Arc::clone(self), Arc::clone(&self.push.stop));
        let handle = threads::spawn("push".to_owned(), move || runtime.block_on(worker::run(hub, gateways, options, stop)))?;
        *self.push.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        Ok(())
    }

    pub(super) fn stop_push(&self) {
        self.push.stop.set();
        let handle = self.push.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if handle.is_some_and(|handle| handle.join().is_err()) {
            tracing::error!("the push worker panicked");
        }
    }

    /// Who delivers for a provider; `None` when nobody does here.
    #[must_use]
    pub fn gateway(&self, provider: Provider) -> Option<&Arc<dyn Gateway>> {
        self.gateways.get()?.iter().find(|gateway| gateway.provider() == provider)
    }
}
