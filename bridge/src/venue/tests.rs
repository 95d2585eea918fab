//! A link between a hub and a venue's broker.
//!
//! - [`house`]: the hub, its people and its readers.
//! - [`script`]: a broker that says what a test wants it to say, and what the link makes of it ([`talk`], [`bad`]). [`tls`]: who a broker is.
//! - [`mosquitto`]: the same with a real one, where that is installed.

mod bad;
mod house;
mod mosquitto;
mod script;
mod talk;
mod tls;

use std::time::Duration;

use self::house::{House, badge};
use super::*;

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(60);

async fn until(mut is_so: impl FnMut() -> bool) {
    tokio::time::timeout(WITHIN, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("in time");
}

#[test]
fn where_a_broker_listens() {
    let address = |host: &str, port, is_secure| Ok(Address { host: host.to_owned(), port, is_secure });
    assert_eq!(Address::parse("mqtt://broker.example.org"), address("broker.example.org", 1883, false));
    assert_eq!(Address::parse("mqtts://10.0.0.1:8884/"), address("10.0.0.1", 8884, true));
    assert_eq!(Address::parse("mqtts://[::1]"), address("[::1]", 8883, true));
    for wrong in ["", "http://x", "mqtt://", "mqtt://user@x", "mqtt://x:port", "mqtt://x y", "mqtt://x:99999"] {
        assert!(Address::parse(wrong).is_err(), "{wrong}");
    }
}
