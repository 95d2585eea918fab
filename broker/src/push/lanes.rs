//! Who delivers, and how much at a time: so many pushes on their way to a gateway, some of them to one host or one person whose addresses are their own,
//! none to who does not answer. And what is on its way to a device about a conversation, so that a later message does not overtake it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::gateway::Gateway;
use super::retry::Breaker;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::model::{Provider, Target, TargetId};

/// Hosts that are remembered.
const MAX_HOSTS: usize = 4096;
/// A gateway to hosts that users bring is so many times as wide: some of them are slow.
const WIDER_FOR_USERS: usize = 4;
/// Pushes on their way to the hosts that one user brings.
const MAX_OF_USER: usize = 4;
/// Hosts that users bring and that take longer to answer are taken as failing.
const SLOW: Duration = Duration::from_secs(3);
/// How long a push waits whose host or user has as many as they may, in ms.
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
    /// Of what was put off.
    rows_in_flight: usize,
    /// More was put off and is due than there was room for.
    rows_wait: bool,
}

#[derive(Default)]
struct Host {
    breaker: Breaker,
    in_flight: usize,
}

/// The provider, and for those whose users bring addresses the host.
pub(super) type HostName = (Provider, Box<str>);

/// Whose a target is.
pub(super) type Owner = (ConfNo, Uid);

/// Something on its way, from [`Lanes::begin`] to [`Lanes::end`].
#[derive(Debug)]
pub(super) struct Going {
    pub host: HostName,
    owner: Owner,
    /// It had been put off.
    is_row: bool,
    /// Since when, by the server's monotonic clock.
    since: Duration,
}

/// See the module's text.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    hosts: HashMap<HostName, Host>,
    /// On their way to hosts that users bring.
    of_users: HashMap<(Provider, Owner), usize>,
    busy: HashMap<Place, u32>,
    per_gateway: usize,
}

impl Lanes {
    /// Lanes to these, each `per_gateway` wide, to hosts that users bring [`WIDER_FOR_USERS`] times.
    pub(super) fn new(gateways: &[Arc<dyn Gateway>], per_gateway: usize) -> Self {
        let lanes = gateways.iter().map(|gateway| Lane { gateway: Arc::clone(gateway), in_flight: 0, rows_in_flight: 0, rows_wait: false });
        let lanes = lanes.collect();
        Self { lanes, hosts: HashMap::new(), of_users: HashMap::new(), busy: HashMap::new(), per_gateway: per_gateway.max(1) }
    }

    /// Those who deliver.
    pub(super) fn gateways(&self) -> impl Iterator<Item = &Arc<dyn Gateway>> {
        self.lanes.iter().map(|lane| &lane.gateway)
    }

    fn lane(&mut self, provider: Provider) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.gateway.provider() == provider)
    }

    fn width(&self, provider: Provider) -> usize {
        if is_of_users(provider) { self.per_gateway.saturating_mul(WIDER_FOR_USERS) } else { self.per_gateway }
    }

    /// Whether something can go to a target of somebody.
    pub(super) fn room(&mut self, owner: &Owner, target: &Target, now_ms: u64) -> Room {
        let (share, width) = (most_of(self.per_gateway), self.width(target.provider));
        let Some(lane) = self.lane(target.provider) else { return Room::NoGateway };
        if lane.in_flight >= width {
            return Room::From(now_ms);
        }
        if self.of_users.get(&(target.provider, owner.clone())).is_some_and(|count| *count >= MAX_OF_USER) {
            return Room::From(now_ms + CROWDED_MS);
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

    /// The same for something that was not put off before: while others wait that were, it leaves some of the lane to them.
    pub(super) fn room_for_new(&mut self, owner: &Owner, target: &Target, now_ms: u64) -> Room {
        let share = self.width(target.provider) - left_of(self.width(target.provider));
        match self.lane(target.provider) {
            Some(lane) if lane.rows_wait && lane.in_flight - lane.rows_in_flight >= share => Room::From(now_ms),
            _ => self.room(owner, target, now_ms),
        }
    }

    /// Whether what was put off waits for room.
    pub(super) fn rows_wait(&mut self, provider: Provider, wait: bool) {
        if let Some(lane) = self.lane(provider) {
            lane.rows_wait = wait;
        }
    }

    /// How many of those that were put off can go out to a provider; `None` when nobody delivers for it.
    pub(super) fn room_for_rows(&mut self, provider: Provider, now_ms: u64) -> Option<usize> {
        let width = self.width(provider);
        let lane = self.lane(provider)?;
        let free = most_of(width).saturating_sub(lane.rows_in_flight).min(width.saturating_sub(lane.in_flight));
        let whole =
            self.hosts.get(&(provider, "".into())).map(|host| (host.breaker.closed_until_ms(now_ms).is_some(), host.breaker.is_ailing()));
        Some(match whole {
            Some((true, _)) => 0,
            Some((false, true)) => free.min(1),
            _ => free,
        })
    }

    /// Something goes to a target of somebody, which had been put off or not.
    pub(super) fn begin(&mut self, owner: Owner, target: &Target, is_row: bool, now: Duration) -> Option<(Arc<dyn Gateway>, Going)> {
        let lane = self.lane(target.provider)?;
        lane.in_flight += 1;
        lane.rows_in_flight += usize::from(is_row);
        let gateway = Arc::clone(&lane.gateway);
        if self.hosts.len() >= MAX_HOSTS {
            self.hosts.retain(|(provider, _), host| !is_of_users(*provider) || host.in_flight > 0);
        }
        let name = host_of(target);
        let host = self.hosts.entry(name.clone()).or_default();
        host.in_flight += 1;
        host.breaker.ask();
        if is_of_users(target.provider) {
            *self.of_users.entry((target.provider, owner.clone())).or_default() += 1;
        }
        Some((gateway, Going { host: name, owner, is_row, since: now }))
    }

    /// It is over; whether nobody there is asked any more for a while.
    pub(super) fn end(&mut self, going: &Going, answered: bool, now: Duration, now_ms: u64) -> bool {
        let name = &going.host;
        let is_well = answered && !(is_of_users(name.0) && now.saturating_sub(going.since) > SLOW);
        if let Entry::Occupied(mut count) = self.of_users.entry((name.0, going.owner.clone())) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if let Some(lane) = self.lane(name.0) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.rows_in_flight = lane.rows_in_flight.saturating_sub(usize::from(going.is_row));
        }
        let Some(host) = self.hosts.get_mut(name) else { return false };
        host.in_flight = host.in_flight.saturating_sub(1);
        let breaks = if is_well {
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

    /// Nothing of a conference is any more: it was removed.
    pub(super) fn leave_all(&mut self, conf: ConfNo) {
        self.busy.retain(|(of, ..), _| *of != conf);
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

/// What one host, and what was put off, has of a lane: something is left for others and for what is new.
fn most_of(width: usize) -> usize {
    (width - width / 4).max(1)
}

/// What is new leaves so much of a lane to what was put off.
fn left_of(width: usize) -> usize {
    width.div_ceil(4)
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

    const NOW: Duration = Duration::ZERO;

    fn somebody(number: usize) -> Owner {
        (ConfNo(1), Uid::parse(&format!("user-{number}")).unwrap())
    }

    /// So many go to a target, each of another user.
    fn begin(lanes: &mut Lanes, target: &Target, users: std::ops::Range<usize>) -> Vec<Going> {
        users.map(|number| lanes.begin(somebody(number), target, false, NOW).unwrap().1).collect()
    }

    #[test]
    fn one_host_leaves_room_for_others_and_what_was_put_off_for_what_is_new() {
        let mut lanes = lanes(4);
        let (slow, other) = (target(Provider::Webhook, "https://Slow.example/a"), target(Provider::Webhook, "https://other.example/"));
        let going = begin(&mut lanes, &slow, 0..3);
        let same = target(Provider::Webhook, "https://slow.example/b?c");
        assert_eq!(lanes.room(&somebody(4), &same, 0), Room::From(CROWDED_MS));
        assert_eq!((lanes.room(&somebody(4), &other, 0), lanes.room_for_rows(Provider::Webhook, 0)), (Room::Free, Some(12)));
        for n in 0..13 {
            let host = target(Provider::Webhook, &format!("https://host-{n}.example/"));
            assert_eq!(lanes.room(&somebody(n), &host, 0), Room::Free);
            begin(&mut lanes, &host, n..n + 1);
        }
        assert_eq!(lanes.room(&somebody(99), &other, 7), Room::From(7), "all of the lane is taken");
        assert_eq!(lanes.room(&somebody(99), &target(Provider::Apns, "00"), 0), Room::NoGateway);
        lanes.end(&going[0], true, NOW, 0);
        assert_eq!(lanes.room(&somebody(99), &slow, 0), Room::Free);
    }

    #[test]
    fn what_is_new_leaves_room_for_what_waits_and_the_other_way_round() {
        let (mut lanes, phone) = (lanes(8), target(Provider::Fcm, "token"));
        begin(&mut lanes, &phone, 0..6);
        assert_eq!(lanes.room_for_new(&somebody(9), &phone, 7), Room::Free, "nobody waits");
        lanes.rows_wait(Provider::Fcm, true);
        assert_eq!((lanes.room_for_new(&somebody(9), &phone, 7), lanes.room_for_rows(Provider::Fcm, 7)), (Room::From(7), Some(2)));
        let rows: Vec<Going> = (0..2).map(|n| lanes.begin(somebody(n), &phone, true, NOW).unwrap().1).collect();
        assert_eq!(lanes.room_for_rows(Provider::Fcm, 7), Some(0));
        rows.iter().for_each(|going| assert!(!lanes.end(going, true, NOW, 7)));
        lanes.rows_wait(Provider::Fcm, false);
        assert_eq!(lanes.room_for_new(&somebody(9), &phone, 7), Room::Free);
        let mut lanes = self::lanes(8);
        (0..6).for_each(|n| drop(lanes.begin(somebody(n), &phone, true, NOW)));
        lanes.rows_wait(Provider::Fcm, true);
        assert_eq!((lanes.room_for_rows(Provider::Fcm, 7), lanes.room_for_new(&somebody(9), &phone, 7)), (Some(0), Room::Free));
    }

    #[test]
    fn one_user_leaves_room_for_others_however_many_hosts_they_bring() {
        let mut lanes = lanes(32);
        let hook = |n: usize| target(Provider::Webhook, &format!("https://host-{n}.example/"));
        let going: Vec<Going> = (0..MAX_OF_USER).flat_map(|n| begin(&mut lanes, &hook(n), 0..1)).collect();
        assert_eq!(lanes.room(&somebody(0), &hook(9), 0), Room::From(CROWDED_MS));
        assert_eq!(lanes.room(&somebody(1), &hook(9), 0), Room::Free);
        let elsewhere = (ConfNo(2), somebody(0).1);
        assert_eq!(lanes.room(&elsewhere, &hook(9), 0), Room::Free);
        let phone = target(Provider::Fcm, "token");
        (0..9).for_each(|_| drop(begin(&mut lanes, &phone, 0..1)));
        assert_eq!(lanes.room(&somebody(0), &phone, 0), Room::Free, "who delivers there is not theirs");
        for going in &going {
            lanes.end(going, true, NOW, 0);
        }
        assert_eq!(lanes.room(&somebody(0), &hook(9), 0), Room::Free);
        assert!(lanes.of_users.is_empty());
    }

    #[test]
    fn a_users_host_that_is_slow_fails_and_a_provider_that_is_slow_does_not() {
        for (provider, address, fails) in [(Provider::Webhook, "https://slow.example/", true), (Provider::Fcm, "token", false)] {
            let (mut lanes, slow) = (lanes(32), target(provider, address));
            for going in begin(&mut lanes, &slow, 0..5) {
                lanes.end(&going, true, SLOW, 0);
            }
            assert_eq!(lanes.room(&somebody(9), &slow, 0), Room::Free);
            for going in begin(&mut lanes, &slow, 0..5) {
                lanes.end(&going, true, SLOW + Duration::from_millis(1), 0);
            }
            assert_eq!(lanes.room(&somebody(9), &slow, 0) == Room::From(1000), fails, "{provider:?}");
        }
    }

    #[test]
    fn hosts_of_users_never_make_a_provider_forgotten_that_is_down() {
        let (mut lanes, phone) = (lanes(8), target(Provider::Fcm, "token"));
        for going in begin(&mut lanes, &phone, 0..5) {
            lanes.end(&going, false, NOW, 0);
        }
        for n in 0..=MAX_HOSTS {
            let going = begin(&mut lanes, &target(Provider::Webhook, &format!("https://host-{n}.example/")), 0..1);
            lanes.end(&going[0], false, NOW, 0);
        }
        assert!(lanes.hosts.len() <= MAX_HOSTS);
        assert_eq!(lanes.room(&somebody(0), &phone, 0), Room::From(1000));
    }

    #[test]
    fn a_gateway_that_fails_is_asked_by_one_push_until_it_answers_and_a_host_fails_alone() {
        let mut lanes = lanes(8);
        let (phone, hook) = (target(Provider::Fcm, "token"), target(Provider::Webhook, "https://down.example/"));
        for target in [&phone, &hook] {
            for n in 0..5 {
                let going = begin(&mut lanes, target, 0..1);
                assert_eq!(lanes.end(&going[0], false, NOW, 0), n == 4);
            }
            assert_eq!(lanes.room(&somebody(0), target, 0), Room::From(1000));
        }
        assert_eq!(lanes.room(&somebody(0), &target(Provider::Webhook, "https://up.example/"), 0), Room::Free);
        assert_eq!((lanes.room_for_rows(Provider::Fcm, 999), lanes.room_for_rows(Provider::Fcm, 1000)), (Some(0), Some(1)));
        assert_eq!(lanes.room_for_rows(Provider::Webhook, 0), Some(24), "others wait there, too");
        let going = begin(&mut lanes, &phone, 0..1);
        assert_eq!(lanes.room_for_rows(Provider::Fcm, 1000), Some(0));
        lanes.end(&going[0], true, NOW, 1000);
        assert_eq!(lanes.room_for_rows(Provider::Fcm, 1000), Some(6));
    }
}
