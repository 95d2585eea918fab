//! Who delivers, and how much at a time: so many pushes on their way to a gateway, most of them to one host, none to who does not answer. And what is
//! on its way to a device about a conversation, so that a later message does not overtake it.

use std::collections::HashMap;
use std::sync::Arc;

use super::gateway::Gateway;
use super::retry::Breaker;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::model::{Provider, Target, TargetId};

/// Hosts that are remembered.
const MAX_HOSTS: usize = 4096;
/// How long a push waits whose host has as many as it may, in ms.
const CROWDED_MS: u64 = 2000;

/// What is pushed, and where: one at a time.
pub(super) type Place = (ConfNo, Uid, TargetId, ConversationId);

/// Whether something can go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Now.
    Free,
    /// Not before then, Unix ms.
    From(u64),
    /// Nobody delivers for the provider here.
    NoGateway,
}

struct Lane {
    gateway: Arc<dyn Gateway>,
    in_flight: usize,
}

#[derive(Default)]
struct Host {
    breaker: Breaker,
    in_flight: usize,
}

/// The provider, and for those whose users bring addresses the host.
pub(super) type HostName = (Provider, Box<str>);

/// See the module's text.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    hosts: HashMap<HostName, Host>,
    busy: HashMap<Place, u32>,
    per_gateway: usize,
}

impl Lanes {
    /// Lanes to these, each `per_gateway` wide.
    pub(super) fn new(gateways: &[Arc<dyn Gateway>], per_gateway: usize) -> Self {
        let lanes = gateways.iter().map(|gateway| Lane { gateway: Arc::clone(gateway), in_flight: 0 }).collect();
        Self { lanes, hosts: HashMap::new(), busy: HashMap::new(), per_gateway: per_gateway.max(1) }
    }

    fn lane(&mut self, provider: Provider) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.gateway.provider() == provider)
    }

    /// What one host, and what was put off, has of a lane: something is left for what is new.
    fn share(&self) -> usize {
        (self.per_gateway - self.per_gateway / 4).max(1)
    }

    /// Whether something can go to a target.
    pub(super) fn room(&mut self, target: &Target, now_ms: u64) -> Room {
        let (share, per_gateway) = (self.share(), self.per_gateway);
        let Some(lane) = self.lane(target.provider) else { return Room::NoGateway };
        if lane.in_flight >= per_gateway {
            return Room::From(now_ms);
        }
        match self.hosts.get(&host_of(target)) {
            Some(host) => match host.breaker.closed_until_ms(now_ms) {
                Some(until_ms) => Room::From(until_ms),
                None if is_of_users(target.provider) && host.in_flight >= share => Room::From(now_ms + CROWDED_MS),
                None => Room::Free,
            },
            None => Room::Free,
        }
    }

    /// How many of those that were put off can go out to a provider; `None` when nobody delivers for it.
    pub(super) fn room_for_rows(&mut self, provider: Provider, now_ms: u64) -> Option<usize> {
        let share = self.share();
        let free = share.saturating_sub(self.lane(provider)?.in_flight);
        let whole =
            self.hosts.get(&(provider, "".into())).map(|host| (host.breaker.closed_until_ms(now_ms).is_some(), host.breaker.is_ailing()));
        Some(match whole {
            Some((true, _)) => 0,
            Some((false, true)) => free.min(1),
            _ => free,
        })
    }

    /// Something goes to a target.
    pub(super) fn begin(&mut self, target: &Target) -> Option<Arc<dyn Gateway>> {
        let lane = self.lane(target.provider)?;
        lane.in_flight += 1;
        let gateway = Arc::clone(&lane.gateway);
        if self.hosts.len() >= MAX_HOSTS {
            self.hosts.retain(|_, host| host.in_flight > 0);
        }
        let host = self.hosts.entry(host_of(target)).or_default();
        host.in_flight += 1;
        host.breaker.ask();
        Some(gateway)
    }

    /// It is over; whether nobody there is asked any more for a while.
    pub(super) fn end(&mut self, name: &HostName, answered: bool, now_ms: u64) -> bool {
        if let Some(lane) = self.lane(name.0) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        let Some(host) = self.hosts.get_mut(name) else { return false };
        host.in_flight = host.in_flight.saturating_sub(1);
        let breaks = if answered {
            host.breaker.answered();
            false
        } else {
            host.breaker.failed(now_ms)
        };
        if host.in_flight == 0 && host.breaker == Breaker::default() {
            self.hosts.remove(name);
        }
        breaks
    }

    /// Whether something is on its way there, or about to be written down.
    pub(super) fn is_busy(&self, place: &Place) -> bool {
        self.busy.contains_key(place)
    }

    /// Something is.
    pub(super) fn occupy(&mut self, place: Place) {
        *self.busy.entry(place).or_default() += 1;
    }

    /// It is not any more.
    pub(super) fn leave(&mut self, place: &Place) {
        if let Some(count) = self.busy.get_mut(place) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(place);
            }
        }
    }
}

/// Whether users bring the addresses of a provider's servers.
fn is_of_users(provider: Provider) -> bool {
    matches!(provider, Provider::WebPush | Provider::UnifiedPush | Provider::Webhook | Provider::Xmpp)
}

/// Who is asked for a target.
pub(super) fn host_of(target: &Target) -> HostName {
    let address = &*target.address;
    let host = match target.provider {
        // A service may be one account of many.
        Provider::Xmpp => address.split('/').next(),
        provider if is_of_users(provider) => address.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next()),
        _ => None,
    };
    (target.provider, host.unwrap_or("").to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::super::gateway::{Push, Sending, Sent};
    use super::*;
    use crate::reject::Reject;

    struct Idle(Provider);

    impl Gateway for Idle {
        fn provider(&self) -> Provider {
            self.0
        }
        fn check(&self, _: &Target) -> Result<(), Reject> {
            Ok(())
        }
        fn send<'a>(&'a self, _: &'a Target, _: &'a Push) -> Sending<'a> {
            Box::pin(async { Sent::Accepted })
        }
    }

    fn target(provider: Provider, address: &str) -> Target {
        let (topic, options, device) = ("".into(), "".into(), "".into());
        Target { provider, address: address.into(), secret: Vec::new(), topic, is_sandbox: false, options, device, since_ms: 0 }
    }

    fn lanes(per_gateway: usize) -> Lanes {
        let gateways: [Arc<dyn Gateway>; 2] = [Arc::new(Idle(Provider::Fcm)), Arc::new(Idle(Provider::Webhook))];
        Lanes::new(&gateways, per_gateway)
    }

    #[test]
    fn one_host_leaves_room_for_others_and_what_was_put_off_for_what_is_new() {
        let mut lanes = lanes(4);
        let (slow, other) = (target(Provider::Webhook, "https://Slow.example/a"), target(Provider::Webhook, "https://other.example/"));
        for _ in 0..3 {
            assert_eq!(lanes.room(&slow, 0), Room::Free);
            lanes.begin(&slow);
        }
        assert_eq!(lanes.room(&target(Provider::Webhook, "https://slow.example/b?c"), 0), Room::From(CROWDED_MS));
        assert_eq!((lanes.room(&other, 0), lanes.room_for_rows(Provider::Webhook, 0)), (Room::Free, Some(0)));
        lanes.begin(&other);
        assert_eq!(lanes.room(&other, 7), Room::From(7), "all of the lane is taken");
        assert_eq!(lanes.room(&target(Provider::Apns, "00"), 0), Room::NoGateway);
        lanes.end(&host_of(&slow), true, 0);
        assert_eq!(lanes.room(&slow, 0), Room::Free);
    }

    #[test]
    fn a_gateway_that_fails_is_asked_by_one_push_until_it_answers_and_a_host_fails_alone() {
        let mut lanes = lanes(8);
        let (phone, hook) = (target(Provider::Fcm, "token"), target(Provider::Webhook, "https://down.example/"));
        for target in [&phone, &hook] {
            for n in 0..5 {
                lanes.begin(target);
                assert_eq!(lanes.end(&host_of(target), false, 0), n == 4);
            }
            assert_eq!(lanes.room(target, 0), Room::From(1000));
        }
        assert_eq!(lanes.room(&target(Provider::Webhook, "https://up.example/"), 0), Room::Free);
        assert_eq!((lanes.room_for_rows(Provider::Fcm, 999), lanes.room_for_rows(Provider::Fcm, 1000)), (Some(0), Some(1)));
        assert_eq!(lanes.room_for_rows(Provider::Webhook, 0), Some(6), "others wait there, too");
        lanes.begin(&phone);
        assert_eq!(lanes.room_for_rows(Provider::Fcm, 1000), Some(0));
        lanes.end(&host_of(&phone), true, 1000);
        assert_eq!(lanes.room_for_rows(Provider::Fcm, 1000), Some(6));
    }
}
