//! Web Push (RFC 8030): the push, sealed for the web app, to the URL that its browser gave; and `UnifiedPush`, which is the same from an app's own
//! distributor.

use std::sync::Arc;

use bytes::Bytes;
use hallway_broker::clock::Clock;
use hallway_broker::model::{Provider, Target};
use hallway_broker::outward::{Failure, Outward, Request, Response, StatusCode, Uri};
use hallway_broker::push::gateway::{Gateway, Push, Sending, Sent};
use hallway_broker::reject::{Reason, Reject};

use super::answer::{FOR_STATUS, by_status, failed};
use super::ece::{self, AUTH_BYTES, MAX_PLAINTEXT_BYTES, POINT_BYTES};
use super::vapid::Vapid;
use super::{payload, place};

/// See the module's text.
pub struct WebPush {
    provider: Provider,
    outward: Outward,
    vapid: Arc<Vapid>,
    allow_private: bool,
    clock: Arc<dyn Clock>,
}

impl WebPush {
    /// A gateway for one of the two that goes out by `outward`.
    #[must_use]
    pub fn new(provider: Provider, outward: Outward, vapid: Arc<Vapid>, allow_private: bool, clock: Arc<dyn Clock>) -> Self {
        Self { provider, outward, vapid, allow_private, clock }
    }

    async fn deliver(&self, target: &Target, push: &Push) -> Sent {
        let Ok(endpoint) = target.address.parse::<Uri>() else { return Sent::Refused("it is no URL".to_owned()) };
        let Some((public, auth)) = target.secret.split_at_checked(POINT_BYTES) else {
            return Sent::Refused("the target has no keys".to_owned());
        };
        let Some(plaintext) = payload::for_app(push, MAX_PLAINTEXT_BYTES) else {
            return Sent::Refused("the push is too large".to_owned());
        };
        let sealed = match ece::seal(&plaintext, public, auth) {
            Ok(sealed) => Bytes::from(sealed),
            Err(error) => return Sent::Refused(error.to_string()),
        };
        // A distributor may take its own view of a header that it does not know: it is given one when it asks who this is.
        let is_known = self.provider == Provider::UnifiedPush;
        let mut answer = self.post(&endpoint, push, sealed.clone(), !is_known).await;
        if is_known && answer.as_ref().is_ok_and(|answer| matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) {
            answer = self.post(&endpoint, push, sealed, true).await;
        }
        match answer {
            Ok(answer) => by_status(&answer, self.clock.now_ms()),
            Err(failure) => failed(&failure),
        }
    }

    async fn post(&self, endpoint: &Uri, push: &Push, sealed: Bytes, is_signed: bool) -> Result<Response<Bytes>, Failure> {
        let urgency = if push.is_urgent() { "high" } else { "normal" };
        let mut request = Request::post(endpoint.clone())
            .header("ttl", push.time_to_live.as_secs())
            .header("urgency", urgency)
            .header("topic", &*push.collapse)
            .header("content-type", "application/octet-stream")
            .header("content-encoding", "aes128gcm");
        if is_signed {
            let signed = self.vapid.authorization(endpoint).map_err(|_| Failure::Url("there is no token for it"))?;
            request = request.header("authorization", signed);
        }
        let request = request.body(sealed).map_err(|_| Failure::Url("the push has no topic"))?;
        self.outward.send(request, FOR_STATUS).await
    }
}

impl Gateway for WebPush {
    fn provider(&self) -> Provider {
        self.provider
    }

    fn check(&self, target: &Target) -> Result<(), Reject> {
        let is_key =
            target.secret.split_at_checked(POINT_BYTES).is_some_and(|(public, auth)| auth.len() == AUTH_BYTES && ece::is_point(public));
        if !is_key {
            return Err(Reason::BadTarget.into());
        }
        place::url(&target.address, self.allow_private)
    }

    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a> {
        Box::pin(self.deliver(target, push))
    }

    fn public_key(&self) -> String {
        self.vapid.public_key().to_owned()
    }
}

#[cfg(test)]
mod tests;
