//! Brokers that do not do as they should, and topics that go round.

use rumqttc::Packet;
use serde_json::json;

use super::script::{Broker, DOOR, GATE, again, scan};
use super::*;

/// Far more than may wait: the link lets go, and what it could not hold comes again.
#[tokio::test]
async fn a_broker_without_bounds_keeps_what_cannot_be_held() {
    let (house, broker) = (House::open().await, Broker::start().await);
    house.set_busy(true);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    let large = |id: u16| json!([{"badge": badge(u32::from(id) % 30 + 1), "pad": "x".repeat(100_000)}]).to_string();
    let mut id = 0;
    // Until the link hangs up.
    while talk.is_open() {
        id += 1;
        assert!(id < 2000, "the link holds more than 200 MB");
        talk.say(&[scan(id, GATE, large(id))]).await;
    }
    drop(talk);
    house.set_busy(false);
    let mut talk = broker.welcome(true).await;
    for id in 1..=id {
        talk.say(&[again(id, GATE, large(id))]).await;
        assert_eq!(talk.acked().await, id);
    }
    venue.stop().await;
}

/// Results that come back as scans, by another link or another broker, are not scanned.
#[tokio::test]
async fn a_result_is_no_scan() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.subscribed(false).await;
    talk.say(&[scan(1, DOOR, badge(1))]).await;
    let (result, _) = talk.result().await;
    talk.ack(&result).await;
    assert_eq!(talk.acked().await, 1);
    talk.say(&[scan(2, GATE, result.payload.to_vec()), scan(3, GATE, badge(2))]).await;
    let (mut acked, mut told) = (0, Vec::new());
    while acked < 2 || told.is_empty() {
        match talk.next().await.unwrap() {
            Packet::PubAck(_) => acked += 1,
            Packet::Publish(publish) => told.push(serde_json::from_slice::<serde_json::Value>(&publish.payload).unwrap()),
            _ => {}
        }
    }
    assert_eq!((told.len(), &told[0]["user"]), (1, &json!("person-2")), "{told:?}");
    assert!(!house.is_checked_in(1));
    venue.stop().await;
}

/// Whatever a broker says: the link is there for the next connection.
#[tokio::test]
async fn nonsense_ends_a_connection_and_not_the_link() {
    let nonsense: [&[u8]; 12] = [
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request",
        &[0x20, 2, 0, 0], // a second CONNACK
        &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x32, 3, 0, 9, b'a'], // a topic that is longer than its packet
        &[0x32, 4, 0, 1, b'a', 0],
        &[0x32, 5, 0, 1, b'a', 0, 0],
        &[0x40, 2, 0, 9], // the ack of what was not sent
        &[0x40, 2, 0xFF, 0xFF],
        &[0x50, 2, 0, 1],
        &[0x62, 2, 0, 1],
        &[0x70, 2, 0, 1],
        &[0xF0, 0],
    ];
    let (house, broker) = (House::open().await, Broker::start().await);
    let mut person = 0;
    for bytes in nonsense {
        // Each with a link of its own, which has not had to wait yet.
        let venue = house.venue(broker.at());
        let mut talk = broker.subscribed(person > 0).await;
        talk.say_bytes(bytes).await;
        while talk.next().await.is_some() {}
        let mut talk = broker.welcome(true).await;
        talk.subscription().await;
        person += 1;
        talk.say(&[scan(1, DOOR, badge(person))]).await;
        assert_eq!(talk.acked().await, 1, "after {bytes:?}");
        assert_eq!(house.visits(person), (1, true), "after {bytes:?}");
        venue.stop().await;
    }
}

/// A name server that is slow, or a broker: the first may be tried in vain for 5 s by the machine's resolver.
#[tokio::test]
async fn a_connection_may_take_its_time() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.connection().await;
    assert!(matches!(talk.next().await, Some(Packet::Connect(_))));
    tokio::time::sleep(Duration::from_secs(6)).await;
    talk.say_bytes(&[0x20, 2, 0, 0]).await;
    talk.subscription().await;
    venue.stop().await;
}

/// A broker that takes the connection and says nothing is tried again.
#[tokio::test]
async fn a_connection_does_not_take_for_ever() {
    let (house, broker) = (House::open().await, Broker::start().await);
    let venue = house.venue(broker.at());
    let mut talk = broker.connection().await;
    while talk.next().await.is_some() {}
    broker.subscribed(false).await;
    venue.stop().await;
}
