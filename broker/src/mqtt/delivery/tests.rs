//! Windows and packet ids, whatever is sent and acknowledged when.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::model::{Entry, Kind, Place, Publication, Realm, Via};
use crate::mqtt::subscriptions::Subscription;
use crate::topic::Parts;

const WINDOW: u16 = 5;

fn published(pos: u64, qos: u8, origin: u64) -> Arc<Published> {
    let publication = Publication {
        realm: Realm::Apps,
        topic: "a/b".into(),
        payload: bytes::Bytes::from_static(b"x"),
        qos,
        retain: true,
        expires_ms: u64::MAX,
        properties: None,
    };
    let place = Place { conf: ConfNo(1), conv: ConvNo(1), conversation: ConversationId::topics(), kind: Kind::Topics, seq: pos };
    let body = Body::Publication(Arc::new(publication));
    let entry = Entry { pos, n: 0, ts_ms: 0, from: Uid::anonymous(), name: "".into(), via: Via::Mqtt, body };
    Published::new(Event { place, entry, origin })
}

fn form(published: &Published) -> Vec<u8> {
    let (Body::Publication(publication) | Body::Stored(publication)) = &published.event.entry.body else { return Vec::new() };
    let mut form = Vec::new();
    write_publication(Version::V5, publication, &Stamp { qos: Qos::AtLeastOnce, ..Stamp::default() }, 0, &mut form);
    form
}

fn subscription(qos: Qos) -> Subscription {
    let (no_local, retain_as_published) = (false, false);
    Subscription { filter: "a/+".into(), qos, no_local, retain_as_published, identifier: 0, since_pos: 0, everywhere: Parts::NONE }
}

fn delivery(qos: Qos, change: impl FnOnce(&mut Subscription)) -> Delivery {
    let mut delivery = Delivery::new(Version::V5, WINDOW, 1000, 0);
    delivery.begin(9, false, Vec::new(), 0);
    let mut subscription = subscription(qos);
    change(&mut subscription);
    delivery.subscriptions.insert(subscription);
    delivery
}

fn stamp(delivery: &mut Delivery, published: &Published) -> (Stamped, Vec<u8>) {
    let mut into = Vec::new();
    (delivery.stamp(published, &form(published), || 0, &mut into), into)
}

#[test]
fn a_message_has_the_lower_qos_of_both_and_the_flags_that_were_asked_for() {
    for (granted, sent, first) in [(2, 1, 0x32), (1, 2, 0x32), (2, 2, 0x34), (0, 2, 0x30), (1, 0, 0x30)] {
        let mut delivery = delivery(Qos::from_bits(granted).unwrap(), |_| ());
        let (stamped, bytes) = stamp(&mut delivery, &published(7, sent, 0));
        assert_eq!((stamped, bytes[0], delivery.len()), (Stamped::Given, first, usize::from(first != 0x30)));
    }
    let mut retains = delivery(Qos::AtLeastOnce, |subscription| subscription.retain_as_published = true);
    assert_eq!(stamp(&mut retains, &published(7, 1, 0)).1[0], 0x33);
    let mut own = delivery(Qos::AtLeastOnce, |subscription| subscription.no_local = true);
    assert_eq!(stamp(&mut own, &published(7, 1, 9)).0, Stamped::Unwanted);
    assert_eq!(stamp(&mut own, &published(7, 1, 8)).0, Stamped::Given);
}

#[test]
fn what_may_have_been_sent_before_is_marked_and_what_is_too_long_is_not_sent() {
    let mut delivery = Delivery::new(Version::V5, WINDOW, 12, 0);
    delivery.begin(9, true, Vec::new(), 7);
    delivery.subscriptions.insert(subscription(Qos::AtLeastOnce));
    assert_eq!(stamp(&mut delivery, &published(7, 1, 0)).1[0], 0x3A);
    assert_eq!(stamp(&mut delivery, &published(8, 1, 0)).1[0], 0x32);
    delivery.max_packet_bytes = 5;
    assert_eq!(stamp(&mut delivery, &published(9, 1, 0)), (Stamped::Unwanted, Vec::new()));
    assert_eq!(delivery.len(), 2);
}

#[test]
fn qos_2_of_a_kept_session_is_on_record_before_it_is_sent() {
    let mut delivery = delivery(Qos::ExactlyOnce, |_| ());
    delivery.is_kept = true;
    let events: Vec<_> = (1..=8).map(|pos| published(pos, 2, 0)).collect();
    assert_eq!(stamp(&mut delivery, &events[0]).0, Stamped::NoRoom);
    assert!(delivery.has_room(), "the next refill reserves it");
    assert!(delivery.reserve("demo", &events));
    assert_eq!(delivery.record().len(), usize::from(WINDOW));
    for event in &events[..5] {
        assert_eq!(stamp(&mut delivery, event).0, Stamped::Given);
    }
    assert_eq!(stamp(&mut delivery, &events[5]).0, Stamped::NoRoom);
    assert!(!delivery.has_room() && !delivery.reserve("demo", &events[5..]));
    assert_eq!(delivery.received(packet_id(1), false), Received::Release);
    assert!(!delivery.acknowledged(packet_id(1)) && delivery.completed(packet_id(1)) && !delivery.completed(packet_id(1)));
    assert!(delivery.reserve("demo", &events[5..]) && stamp(&mut delivery, &events[5]).0 == Stamped::Given);
}

#[test]
fn topics_are_numbered_and_numbers_that_were_not_told_are_taken_back() {
    let mut delivery = Delivery::new(Version::V5, WINDOW, 1000, 1);
    delivery.begin(9, false, Vec::new(), 0);
    delivery.subscriptions.insert(subscription(Qos::AtMostOnce));
    assert!(!delivery.takes_shared());
    let since = delivery.stamps();
    // The topic in full, with its number.
    let first = b"\x30\x0a\x00\x03a/b\x03\x23\x00\x01x";
    assert_eq!(stamp(&mut delivery, &published(1, 1, 0)).1, first);
    delivery.unstamp(since);
    assert_eq!(stamp(&mut delivery, &published(1, 1, 0)).1, first);
    // The number alone.
    assert_eq!(stamp(&mut delivery, &published(2, 1, 0)).1, b"\x30\x07\x00\x00\x03\x23\x00\x01x");
}

#[test]
fn what_was_in_flight_when_the_session_came_back_is_not_given_from_the_store_too() {
    let mut delivery = delivery(Qos::ExactlyOnce, |_| ());
    let sent = |pos| in_flight(&published(pos, 2, 0).event, Qos::ExactlyOnce);
    delivery.begin(9, true, vec![sent(3), sent(2)], 0);
    let events: Vec<_> = (1..=4).map(|pos| published(pos, 2, 0)).collect();
    assert_eq!(delivery.received(packet_id(2), false), Received::Release);
    // As often as a lane takes none of them.
    for _ in 0..2 {
        delivery.reserve("demo", &events);
        let stamped: Vec<_> = events.iter().map(|event| stamp(&mut delivery, event).0).collect();
        assert_eq!(stamped, [Stamped::Given, Stamped::Unwanted, Stamped::Unwanted, Stamped::Given]);
        delivery.unstamp(2);
    }
}

proptest! {
    /// No id is in flight twice, and no more than the window is, however far apart the messages are.
    #[test]
    fn ids_are_unique_in_flight(steps in prop::collection::vec((any::<bool>(), 1..140_000u64, any::<prop::sample::Index>()), 1..120)) {
        let mut delivery = delivery(Qos::AtLeastOnce, |_| ());
        let (mut pos, mut sent) = (0, Vec::new());
        for (sends, gap, which) in steps {
            if sends {
                pos += gap;
                match stamp(&mut delivery, &published(pos, 1, 0)).0 {
                    Stamped::Given => sent.push(packet_id(pos)),
                    refused => {
                        prop_assert_eq!(refused, Stamped::NoRoom);
                        prop_assert!(sent.len() == usize::from(WINDOW) || sent.contains(&packet_id(pos)));
                    }
                }
            } else if !sent.is_empty() {
                let id = sent.swap_remove(which.index(sent.len()));
                prop_assert!(delivery.acknowledged(id) && !delivery.acknowledged(id));
            }
            prop_assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), sent.len());
            prop_assert!(sent.len() <= usize::from(WINDOW) && sent.len() == delivery.len());
            prop_assert!(!sent.contains(&0));
        }
    }
}
