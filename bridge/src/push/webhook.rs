//! A URL of the user's own: the push as signed JSON.

use std::sync::Arc;

use bytes::Bytes;
use hallway_broker::clock::Clock;
use hallway_broker::model::{Provider, Target};
use hallway_broker::outward::{Outward, Request};
use hallway_broker::push::gateway::{Gateway, Push, Sending, Sent};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::signature::{SIGNATURE, signature};

use super::answer::{FOR_STATUS, by_status, failed};
use super::{payload, place};

/// Shortest and longest secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// See the module's text.
pub struct Webhook {
    outward: Outward,
    allow_private: bool,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// A gateway that goes out by `outward`.
    #[must_use]
    pub fn new(outward: Outward, allow_private: bool, clock: Arc<dyn Clock>) -> Self {
        Self { outward, allow_private, clock }
    }

    async fn deliver(&self, target: &Target, push: &Push) -> Sent {
        let (Some(body), Ok(secret)) = (payload::for_webhook(push), std::str::from_utf8(&target.secret)) else {
            return Sent::Refused("the push cannot be written".to_owned());
        };
        let signed = signature(secret, &body, self.clock.now_ms());
        let request = Request::post(&*target.address).header("content-type", "application/json").header(SIGNATURE, signed);
        let Ok(request) = request.body(Bytes::from(body)) else { return Sent::Refused("it is no URL".to_owned()) };
        match self.outward.send(request, FOR_STATUS).await {
            Ok(answer) => by_status(&answer, self.clock.now_ms()),
            Err(failure) => failed(&failure),
        }
    }
}

impl Gateway for Webhook {
    fn provider(&self) -> Provider {
        Provider::Webhook
    }

    fn check(&self, target: &Target) -> Result<(), Reject> {
        let is_secret = SECRET_BYTES.contains(&target.secret.len()) && std::str::from_utf8(&target.secret).is_ok();
        if !is_secret {
            return Err(Reason::BadTarget.into());
        }
        place::url(&target.address, self.allow_private)
    }

    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a> {
        Box::pin(self.deliver(target, push))
    }
}

#[cfg(test)]
mod tests;
