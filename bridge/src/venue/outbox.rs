//! What is to be said to a venue's broker: acks, and after them results. What the client sends goes through one channel, in which nothing may be
//! stuck: results are handed over only while few are under way, so that acks always find a way past them.
//!
//! A result is told once, and soon. What the broker has not acked when the connection breaks is told again on the next (3.1.1 §4.4) while it is of
//! use; what was not sent yet is not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hallway_broker::hub::Hub;
use hallway_broker::limits::RESULT_USE_MS;
use rumqttc::{AsyncClient, ClientError, Publish, QoS, Request, SubscribeFilter, valid_topic};
use siphasher::sip::SipHasher24;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What the client takes before it is sent, in messages.
pub const MAX_REQUESTS: usize = 64;
/// Results that are sent before the broker has acked the first.
pub const UNDER_WAY: usize = 100;
/// Packet ids that the client has for results. More than are under way at once: with one of them unacked, the others still go round.
pub const PACKET_IDS: u16 = 1024;
/// Results of each kind that wait to be sent. Of QoS 1, who has more waits while the broker takes any; of QoS 0 the oldest goes untold, since scans
/// that are held up may be lost, and count for more.
const MAX_WAITING: usize = 1024;
/// Their bytes.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// Longest result with its topic, in bytes.
const RESULT_BYTES_MAX: usize = 65_536;
/// A broker that has acked no result for so long is not waited for.
const STALL: Duration = Duration::from_secs(10);
/// How long a result is of use.
const RESULT_USE: Duration = Duration::from_millis(RESULT_USE_MS);
/// What is remembered of results that the client has: of all that can be unacked.
const MAX_HANDED: usize = PACKET_IDS as usize + UNDER_WAY;

/// A result that waits to be sent.
pub struct Told {
    pub topic: String,
    pub payload: Vec<u8>,
    /// The number of the scan that it is of; 0: it was not stored.
    pub scan: u64,
    /// When that came.
    pub of: Instant,
    /// Whether it came with QoS 1, so that the broker keeps it until it is acked.
    pub is_kept: bool,
}

impl Told {
    fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// Results in the order in which they are told.
#[derive(Default)]
struct Waiting {
    results: VecDeque<Told>,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, told: Told) {
        self.bytes += told.bytes();
        self.results.push_back(told);
    }

    fn pop(&mut self) -> Option<Told> {
        let told = self.results.pop_front()?;
        self.bytes -= told.bytes();
        Some(told)
    }

    /// Whether there are so many times what may wait.
    fn is_full(&self, times: usize) -> bool {
        self.results.len() >= times * MAX_WAITING || self.bytes >= times * MAX_WAITING_BYTES
    }
}

/// A result that the client has.
#[derive(Clone, Copy)]
struct Handed {
    mark: u64,
    scan: u64,
    of: Instant,
}

/// See the module's text.
pub struct Outbox {
    hub: Arc<Hub>,
    requests: AsyncClient,
    /// Packet ids, so there are at most 65,535 (3.1.1 §2.3.1).
    acks: RefCell<VecDeque<u16>>,
    /// Results of scans that are kept by the broker until they are acked, and of others.
    kept: RefCell<Waiting>,
    unkept: RefCell<Waiting>,
    /// Handed over, and not acked.
    under_way: Cell<usize>,
    /// What was handed over last, in its order; what is acked is among it, too.
    handed: RefCell<VecDeque<Handed>>,
    /// The scans whose results are told again on this connection.
    again: RefCell<Vec<u64>>,
    /// When the broker last acked a result, or there was none to ack.
    progress: Cell<Instant>,
    /// There may be room again.
    room: Notify,
}

impl Outbox {
    pub fn new(hub: &Arc<Hub>, requests: AsyncClient) -> Self {
        Self {
            hub: Arc::clone(hub),
            requests,
            acks: RefCell::default(),
            kept: RefCell::default(),
            unkept: RefCell::default(),
            under_way: Cell::new(0),
            handed: RefCell::default(),
            again: RefCell::default(),
            progress: Cell::new(Instant::now()),
            room: Notify::new(),
        }
    }

    /// Lets the broker forget a message.
    pub fn ack(&self, id: u16) {
        self.acks.borrow_mut().push_back(id);
        self.hand_over();
    }

    /// Waits until there is room for results of what the broker keeps, while it takes any.
    pub async fn room(&self) {
        loop {
            let room = self.room.notified();
            if !self.kept.borrow().is_full(1) {
                return;
            }
            tokio::select! {
                () = room => {}
                () = tokio::time::sleep_until(self.progress.get() + STALL) => return,
            }
        }
    }

    /// Tells a result. When nobody waits though there is no room, the oldest goes untold: who it is of has gone on.
    pub fn tell(&self, told: Told) {
        // A broker would end the connection over it, again and again.
        if !valid_topic(&told.topic) || told.bytes() > RESULT_BYTES_MAX {
            return;
        }
        let (waiting, times) = if told.is_kept { (&self.kept, 2) } else { (&self.unkept, 1) };
        while waiting.borrow().is_full(times) {
            tracing::debug!("venue: a result is not told");
            waiting.borrow_mut().pop();
            self.untold(1);
        }
        waiting.borrow_mut().push(told);
        self.hub.metrics().doors.venue_waiting.fetch_add(1, Relaxed);
        self.hand_over();
    }

    /// The one that waits for longest.
    fn pop(&self) -> Option<Told> {
        let (mut kept, mut unkept) = (self.kept.borrow_mut(), self.unkept.borrow_mut());
        let is_before = match (kept.results.front(), unkept.results.front()) {
            (Some(kept), Some(unkept)) => kept.of <= unkept.of,
            (kept, _) => kept.is_some(),
        };
        if is_before { kept.pop() } else { unkept.pop() }
    }

    /// Hands over what there is room for. The rest is handed over when some was sent, or acked.
    pub fn hand_over(&self) {
        let mut acks = self.acks.borrow_mut();
        while let Some(id) = acks.front() {
            let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new());
            publish.pkid = *id;
            if self.requests.try_ack(&publish).is_err() {
                return;
            }
            acks.pop_front();
        }
        while self.under_way.get() < UNDER_WAY
            && let Some(told) = self.pop()
        {
            if told.of.elapsed() > RESULT_USE {
                self.untold(1);
                continue;
            }
            let handed = Handed { mark: mark(&told.topic, &told.payload), scan: told.scan, of: told.of };
            let is_kept = told.is_kept;
            if let Err(ClientError::TryRequest(Request::Publish(publish)) | ClientError::Request(Request::Publish(publish))) =
                self.requests.try_publish(told.topic, QoS::AtLeastOnce, false, told.payload)
            {
                self.put_back(Told { topic: publish.topic, payload: publish.payload.into(), scan: handed.scan, of: handed.of, is_kept });
                break;
            }
            self.hub.metrics().doors.venue_waiting.fetch_sub(1, Relaxed);
            self.handed(handed);
        }
        if !self.kept.borrow().is_full(1) {
            self.room.notify_waiters();
        }
    }

    /// So many that waited are not told.
    fn untold(&self, results: usize) {
        let doors = &self.hub.metrics().doors;
        doors.venue_waiting.fetch_sub(results as u64, Relaxed);
        doors.venue_untold.fetch_add(results as u64, Relaxed);
    }

    fn put_back(&self, told: Told) {
        let mut waiting = if told.is_kept { self.kept.borrow_mut() } else { self.unkept.borrow_mut() };
        waiting.bytes += told.bytes();
        waiting.results.push_front(told);
    }

    fn handed(&self, one: Handed) {
        if self.under_way.get() == 0 {
            self.progress.set(Instant::now());
        }
        self.under_way.set(self.under_way.get() + 1);
        let mut handed = self.handed.borrow_mut();
        if handed.len() >= MAX_HANDED {
            handed.pop_front();
        }
        handed.push_back(one);
    }

    /// The broker has a result.
    pub fn acked(&self) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        self.progress.set(Instant::now());
    }

    /// The connection is gone. Its packet ids mean nothing on the next, and who was to see what was not sent has gone on; of what the client still has,
    /// that is left which was sent: as repetitions [MQTT-3.3.1-1], in their order [MQTT-4.6.0-1].
    pub fn carry_over(&self, pending: &mut VecDeque<Request>) {
        self.acks.borrow_mut().clear();
        self.untold(self.kept.take().results.len() + self.unkept.take().results.len());
        let mut handed = self.handed.borrow_mut();
        let place = |request| match request {
            Request::Publish(publish) if publish.pkid != 0 => {
                let mark = mark(&publish.topic, &publish.payload);
                // Of two that are the same, the later one is told.
                let place = handed.iter().rposition(|handed| handed.mark == mark)?;
                Some((place, Publish { dup: true, ..publish }))
            }
            _ => None,
        };
        let mut carried: Vec<(usize, Publish)> = pending.drain(..).filter_map(place).collect();
        carried.sort_by_key(|(place, _)| *place);
        *handed = carried.iter().map(|(place, _)| handed[*place]).collect();
        pending.extend(carried.into_iter().map(|(_, publish)| Request::Publish(publish)));
        self.under_way.set(0);
        self.room.notify_waiters();
    }

    /// There is a connection again: what is carried over to it is told again, unless it is of no use any more.
    pub fn tell_again(&self, pending: &mut VecDeque<Request>) {
        let mut handed = self.handed.borrow_mut();
        // The client has forgotten all of it when the broker has.
        handed.truncate(pending.len());
        let mut is_of_use = handed.iter().map(|handed| handed.of.elapsed() <= RESULT_USE).collect::<Vec<_>>().into_iter();
        pending.retain(|_| is_of_use.next().unwrap_or(false));
        handed.retain(|handed| handed.of.elapsed() <= RESULT_USE);
        *self.again.borrow_mut() = handed.iter().map(|handed| handed.scan).filter(|scan| *scan > 0).collect();
        self.under_way.set(pending.len());
        self.progress.set(Instant::now());
    }

    /// Whether the result of this scan is told again anyhow, and need not be told once more.
    pub fn is_told_again(&self, scan: u64) -> bool {
        self.again.borrow().contains(&scan)
    }

    /// Whether there was room for it.
    pub fn subscribe(&self, filters: impl Iterator<Item = SubscribeFilter>) -> bool {
        self.requests.try_subscribe_many(filters).is_ok()
    }

    /// Says goodbye after everything else; whether it is time for that.
    pub fn disconnect(&self) -> bool {
        let is_empty = self.acks.borrow().is_empty() && self.kept.borrow().results.is_empty() && self.unkept.borrow().results.is_empty();
        is_empty && self.requests.try_disconnect().is_ok()
    }
}

/// What a result is known by when the client gives it back.
fn mark(topic: &str, payload: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(topic.as_bytes());
    hasher.write_u8(0);
    hasher.write(payload);
    hasher.finish()
}
