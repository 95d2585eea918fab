//! What is to be said to a venue's broker: acks, and after them results. Nobody who says something waits until it is sent: the lanes would wait for
//! the connection, which waits for the lanes, and neither would ever go on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use hallway_broker::hub::Hub;
use rumqttc::{AsyncClient, Publish, QoS, SubscribeFilter, valid_topic};

/// What the client takes before it is sent, in messages.
pub const MAX_REQUESTS: usize = 64;
/// Results that wait to be sent; beyond them the oldest go untold, since the person has gone on.
const MAX_RESULTS: usize = 1024;

/// See the module's text.
pub struct Outbox {
    hub: Arc<Hub>,
    requests: AsyncClient,
    /// Packet ids, so there are at most 65,535 (3.1.1 §2.3.1).
    acks: RefCell<VecDeque<u16>>,
    /// Topic and payload.
    results: RefCell<VecDeque<(String, Vec<u8>)>>,
}

impl Outbox {
    pub fn new(hub: &Arc<Hub>, requests: AsyncClient) -> Self {
        Self { hub: Arc::clone(hub), requests, acks: RefCell::default(), results: RefCell::default() }
    }

    /// Lets the broker forget a message.
    pub fn ack(&self, id: u16) {
        self.acks.borrow_mut().push_back(id);
        self.hand_over();
    }

    pub fn tell(&self, topic: &str, payload: Vec<u8>) {
        if !valid_topic(topic) {
            return;
        }
        let mut results = self.results.borrow_mut();
        if results.len() >= MAX_RESULTS {
            tracing::debug!(topic, "venue: a result is not told");
            results.pop_front();
            self.untold(1);
        }
        results.push_back((topic.to_owned(), payload));
        self.hub.metrics().doors.venue_waiting.fetch_add(1, Relaxed);
        drop(results);
        self.hand_over();
    }

    /// Hands over what there is room for. The rest is handed over when some was sent.
    pub fn hand_over(&self) {
        let (mut acks, mut results) = (self.acks.borrow_mut(), self.results.borrow_mut());
        while let Some(id) = acks.front() {
            let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new());
            publish.pkid = *id;
            if self.requests.try_ack(&publish).is_err() {
                return;
            }
            acks.pop_front();
        }
        while let Some((topic, payload)) = results.front() {
            if self.requests.try_publish(topic, QoS::AtLeastOnce, false, payload.clone()).is_err() {
                return;
            }
            results.pop_front();
            self.hub.metrics().doors.venue_waiting.fetch_sub(1, Relaxed);
        }
    }

    /// So many that waited are not told.
    fn untold(&self, results: usize) {
        let doors = &self.hub.metrics().doors;
        doors.venue_waiting.fetch_sub(results as u64, Relaxed);
        doors.venue_untold.fetch_add(results as u64, Relaxed);
    }

    /// The connection is gone: its packet ids mean nothing on the next, and who was to see the results has gone on.
    pub fn clear(&self) {
        self.acks.borrow_mut().clear();
        self.untold(self.results.borrow_mut().drain(..).count());
    }

    /// Whether there was room for it.
    pub fn subscribe(&self, filters: impl Iterator<Item = SubscribeFilter>) -> bool {
        self.requests.try_subscribe_many(filters).is_ok()
    }

    /// Says goodbye after everything else; whether it is time for that.
    pub fn disconnect(&self) -> bool {
        let is_empty = self.acks.borrow().is_empty() && self.results.borrow().is_empty();
        is_empty && self.requests.try_disconnect().is_ok()
    }
}
