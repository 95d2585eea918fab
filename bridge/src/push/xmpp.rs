//! Push services of XMPP (XEP-0357): the XMPP edge publishes to them.

use std::sync::Arc;

use hallway_broker::model::{Provider, Target};
use hallway_broker::push::gateway::{Gateway, Push, Sending, Sent};
use hallway_broker::reject::{Reason, Reject};

use super::answer::word;
use crate::xmpp::Edge;
use crate::xmpp::push::is_target;
use crate::xmpp::push::publishing::Published;

/// Conditions by which a service says that there is no such node any more, or that it is not itself.
const GONE: [&str; 2] = ["gone", "item-not-found"];
/// Conditions that say something about the way there, and not about the node.
const PASSING: [&str; 4] = ["internal-server-error", "remote-server-not-found", "remote-server-timeout", "resource-constraint"];

/// See the module's text.
pub struct Xmpp(Arc<Edge>);

impl Xmpp {
    /// A gateway that publishes by the edge.
    #[must_use]
    pub fn new(edge: Arc<Edge>) -> Self {
        Self(edge)
    }

    async fn deliver(&self, target: &Target, push: &Push) -> Sent {
        sent(self.0.publish(target, push).await)
    }
}

/// What a service's answer means.
fn sent(published: Published) -> Sent {
    match published {
        Published::Taken => Sent::Accepted,
        Published::Refused { condition, .. } if GONE.contains(&condition.as_str()) => Sent::Gone,
        Published::Refused { condition, passes } if passes || PASSING.contains(&condition.as_str()) => {
            Sent::Later { after: None, why: word(&condition) }
        }
        Published::Refused { condition, .. } => Sent::Refused(word(&condition)),
        Published::Nobody(why) => Sent::Later { after: None, why: why.to_owned() },
        Published::Nowhere => Sent::Refused("there is no way to the service".to_owned()),
    }
}

impl Gateway for Xmpp {
    fn provider(&self) -> Provider {
        Provider::Xmpp
    }

    fn check(&self, target: &Target) -> Result<(), Reject> {
        if is_target(target) && self.0.reaches(&target.address) { Ok(()) } else { Err(Reason::BadTarget.into()) }
    }

    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a> {
        Box::pin(self.deliver(target, push))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_mean() {
        let refused = |condition: &str, passes| Published::Refused { condition: condition.to_owned(), passes };
        let later = |why: &str| Sent::Later { after: None, why: why.to_owned() };
        for (published, wanted) in [
            (Published::Taken, Sent::Accepted),
            (refused("item-not-found", false), Sent::Gone),
            (refused("gone", false), Sent::Gone),
            (refused("forbidden", false), Sent::Refused("forbidden".to_owned())),
            (refused("service-unavailable", false), Sent::Refused("service-unavailable".to_owned())),
            (refused("resource-constraint", true), later("resource-constraint")),
            (refused("remote-server-timeout", false), later("remote-server-timeout")),
            (Published::Nobody("the service is not connected"), later("the service is not connected")),
            (Published::Nowhere, Sent::Refused("there is no way to the service".to_owned())),
        ] {
            assert_eq!(sent(published), wanted);
        }
    }
}
