//! What a link and a broker say to each other while all is well, and after a break.

use rumqttc::{Packet, Publish};
use serde_json::json;

use super::super::outbox::UNDER_WAY;
use super::script::{Broker, DOOR, GATE, again, many, scan};
use super::*;

/// What was sent comes again (3.1.1 §4.4), as a repetition and in its order; what was not sent is of no use any more.
#[tokio::test]
async fn after_a_break_what_was_not_acked_is_told_again_and_nothing_else() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    let bursts: Vec<Packet> = (0..5).map(|burst| scan(0, GATE, many(&format!("late{burst}")))).collect();
    talk.say(&bursts).await;
    // The hub has all of them, and the first results are sent.
    talk.say(&[scan(0, GATE, badge(1))]).await;
    let mut sent = Vec::new();
    while sent.len() < UNDER_WAY {
        sent.push(talk.result().await.0);
    }
    until(|| house.is_checked_in(1)).await;
    // Two breaks, the second in the middle of what is told again.
    drop(talk);
    for half in [UNDER_WAY / 2, UNDER_WAY] {
        let mut talk = broker.welcome(true).await;
        let told: Vec<Publish> = tell_again(&mut talk, half).await;
        assert_eq!(told.len(), half);
        for (told, sent) in told.iter().zip(&sent) {
            assert!(told.dup, "it comes again [MQTT-3.3.1-1]");
            assert_eq!((&told.payload, told.pkid), (&sent.payload, sent.pkid), "in their order [MQTT-4.6.0-1]");
        }
        if half == UNDER_WAY {
            talk.subscription().await;
            for publish in &told {
                talk.ack(publish).await;
            }
            talk.say(&[scan(0, GATE, badge(2))]).await;
            assert_eq!(talk.result().await.1["user"], "person-2", "what had not been sent is not told");
        }
    }
    venue.stop().await;
}

async fn tell_again(talk: &mut script::Talk, count: usize) -> Vec<Publish> {
    let mut told = Vec::new();
    while told.len() < count {
        told.push(talk.result().await.0);
    }
    told
}

/// The result is told again, and the scan comes again: its result is not told twice over.
#[tokio::test]
async fn a_scan_that_comes_again_has_one_result() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    talk.say(&[scan(7, DOOR, badge(1))]).await;
    let (first, _) = talk.result().await;
    drop(talk);
    let mut talk = broker.welcome(true).await;
    talk.say(&[again(7, DOOR, badge(1)), scan(8, DOOR, badge(2))]).await;
    let (told, _) = talk.result().await;
    assert_eq!((&told.payload, told.pkid), (&first.payload, first.pkid));
    let (next, result) = talk.result().await;
    assert_eq!(result["user"], "person-2", "told twice: {:?}", next.payload);
    assert_eq!(house.visits(1), (1, true));
    venue.stop().await;
}

/// A broker that has forgotten the session has nothing to be told again, and sends nothing again.
#[tokio::test]
async fn a_broker_that_forgot_the_session_starts_anew() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    talk.say(&[scan(1, DOOR, badge(1))]).await;
    talk.result().await;
    assert_eq!(talk.acked().await, 1);
    drop(talk);
    let mut talk = broker.welcome(false).await;
    assert_eq!(talk.subscription().await, [], "nothing is told again");
    // The first packet's id again, for another message.
    talk.say(&[scan(1, DOOR, badge(1))]).await;
    assert_eq!(talk.acked().await, 1);
    assert_eq!(house.visits(1), (1, false), "another scan, which leads out");
    venue.stop().await;
}

/// While the hub takes no scans of one reader, the connection is served all the same.
#[tokio::test]
async fn the_connection_lives_while_the_hub_takes_nothing() {
    const HELD: u16 = 1000;
    let (house, broker) = (House::open().await, Broker::start().await);
    house.set_busy(true);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    let scans: Vec<Packet> = (1..=HELD).map(|id| scan(id, GATE, badge(u32::from(id) % 30 + 1))).collect();
    talk.say(&scans).await;
    talk.say(&[scan(0, "esphome/door/status", "online")]).await;
    until(|| house.is_online("door")).await;
    house.set_busy(false);
    for id in 1..=HELD {
        assert_eq!(talk.acked().await, id, "all are acked on the same connection, in their order");
    }
    venue.stop().await;
}

/// What is read in one go with the end of the connection belongs to the connection that ended.
#[tokio::test]
async fn what_came_before_a_break_is_not_acked_after_it() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    // A packet that no broker sends: the connection ends there, with the scans before it yet to be looked at.
    let mut packets: Vec<Packet> = (1..=5).map(|id| scan(id, DOOR, badge(u32::from(id)))).collect();
    packets.push(Packet::PingReq);
    talk.say(&packets).await;
    while talk.next().await.is_some() {}
    let mut talk = broker.welcome(true).await;
    talk.subscription().await;
    until(|| (1..=5).all(|person| house.visits(person) == (1, true))).await;
    talk.say(&[scan(9, DOOR, badge(9))]).await;
    assert_eq!(talk.acked().await, 9, "the others have not come again yet");
    talk.say(&(1..=5).map(|id| again(id, DOOR, badge(u32::from(id)))).collect::<Vec<_>>()).await;
    for id in 1..=5 {
        assert_eq!(talk.acked().await, id);
    }
    assert!((1..=5).all(|person| house.visits(person) == (1, true)), "nothing counts twice");
    venue.stop().await;
}

/// Each of them is told while the broker takes results, however many come at once.
#[tokio::test]
async fn every_scan_of_qos_1_is_answered_while_results_are_taken() {
    const BURSTS: u16 = 60;
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    // A broker that has no bound of its own.
    let bursts: Vec<Packet> = (1..=BURSTS).map(|id| scan(id, GATE, many(&format!("burst{id}")))).collect();
    talk.say(&bursts).await;
    let mut told = std::collections::HashSet::new();
    // No result is taken until the link has heard of all; where it does not wait for the broker, it has told all by then.
    let (mut acked, mut waiting) = (0, Vec::new());
    let all = async {
        while waiting.len() < UNDER_WAY || acked < BURSTS {
            match talk.next().await.unwrap() {
                Packet::Publish(publish) => waiting.push(publish),
                Packet::PubAck(_) => acked += 1,
                _ => {}
            }
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(3), all).await.is_err(), "what is not answered is acked");
    for publish in waiting {
        talk.ack(&publish).await;
        told.insert(publish.payload);
    }
    while told.len() < usize::from(BURSTS) * 100 || acked < BURSTS {
        match talk.next().await.unwrap() {
            Packet::Publish(publish) => {
                talk.ack(&publish).await;
                told.insert(publish.payload);
            }
            Packet::PubAck(_) => acked += 1,
            _ => {}
        }
    }
    venue.stop().await;
}

/// Results of QoS 0, which nothing holds back, make way for each other alone.
#[tokio::test]
async fn a_flood_of_qos_0_takes_nobody_elses_result() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    let burst = |from: u32, to: u32| (from..to).map(|burst| scan(0, GATE, many(&format!("burst{burst}")))).collect::<Vec<_>>();
    talk.say(&burst(0, 2)).await;
    let mut untaken = Vec::new();
    while untaken.len() < UNDER_WAY {
        untaken.push(talk.result().await.0);
    }
    talk.say(&[scan(1, DOOR, badge(1))]).await;
    until(|| house.visits(1) == (1, true)).await;
    talk.say(&burst(2, 40)).await;
    talk.say(&[scan(0, GATE, badge(2))]).await;
    until(|| house.is_checked_in(2)).await;
    for publish in untaken {
        talk.ack(&publish).await;
    }
    let mut users = Vec::new();
    while users.len() < 2 {
        let (publish, result) = talk.result().await;
        talk.ack(&publish).await;
        users.extend(result["user"].as_str().map(str::to_owned));
    }
    assert_eq!(users, ["person-1", "person-2"]);
    venue.stop().await;
}

/// A broker that acks no result is told no more, but it is listened to.
#[tokio::test]
async fn scans_are_taken_though_results_are_not() {
    const BURSTS: u16 = 60;
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    let mut scans: Vec<Packet> = (1..=BURSTS).map(|id| scan(id, GATE, many(&format!("burst{id}")))).collect();
    scans.push(scan(BURSTS + 1, GATE, json!({"badge": badge(1)}).to_string()));
    talk.say(&scans).await;
    let mut acked = 0;
    while acked <= BURSTS {
        if let Packet::PubAck(_) = talk.next().await.unwrap() {
            acked += 1;
        }
    }
    assert!(house.is_checked_in(1));
    venue.stop().await;
}
