//! What the fake gateways keep: devices, what arrived for them, how they are to answer, and every rule that was broken.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::exchange::{place, text};
use super::sealed::Subscription;

/// Whose rules a push follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// A browser's push service.
    WebPush,
    /// UnifiedPush: the same messages.
    UnifiedPush,
    /// Apple's.
    Apns,
    /// Google's.
    Fcm,
    /// Expo's.
    Expo,
    /// A receiver of signed JSON.
    Webhook,
    /// An XMPP push service.
    Xmpp,
}

impl Provider {
    /// Those that are reached over HTTPS.
    pub const HTTPS: [Self; 6] = [Self::WebPush, Self::UnifiedPush, Self::Apns, Self::Fcm, Self::Expo, Self::Webhook];

    /// The word in `push.register`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WebPush => "webpush",
            Self::UnifiedPush => "unifiedpush",
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::Expo => "expo",
            Self::Webhook => "webhook",
            Self::Xmpp => "xmpp",
        }
    }
}

/// Somebody's phone, browser or receiver.
#[derive(Debug)]
pub struct Device {
    /// Who delivers to it.
    pub provider: Provider,
    /// What the stories call it.
    pub name: String,
    /// Token, URL or JID.
    pub address: String,
    /// Web Push's keys.
    pub subscription: Subscription,
    /// A webhook's secret.
    pub secret: String,
}

impl Device {
    /// What it is found by: its token, the path of its URL, or JID and node.
    #[must_use]
    pub fn place(&self) -> String {
        match self.provider {
            Provider::Xmpp => format!("{} {}", self.address, self.name),
            _ => self
                .address
                .split_once("://")
                .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()))
                .unwrap_or(self.address.clone()),
        }
    }

    /// `push.register`'s parameters.
    #[must_use]
    pub fn registration(&self) -> Value {
        use super::{TOPIC, text_of};
        let (provider, address) = (self.provider.word(), &self.address);
        match self.provider {
            Provider::WebPush | Provider::UnifiedPush => {
                let keys = json!({"p256dh": text_of(&self.subscription.public), "auth": text_of(&self.subscription.auth)});
                json!({"provider": provider, "endpoint": address, "keys": keys, "device": self.name})
            }
            Provider::Apns => json!({"provider": provider, "token": address, "topic": TOPIC, "device": self.name}),
            Provider::Fcm | Provider::Expo => json!({"provider": provider, "token": address, "device": self.name}),
            Provider::Webhook => json!({"provider": provider, "url": address, "secret": self.secret, "device": self.name}),
            Provider::Xmpp => json!({"provider": provider, "jid": address, "topic": self.name, "device": self.name}),
        }
    }
}

/// How a gateway answers a push that is as it should be; each in its provider's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// It has it.
    #[default]
    Accept,
    /// There is no such device any more.
    Gone,
    /// The other way to say so, where there are two: 404 beside 410, `BadDeviceToken` beside `Unregistered`.
    Unknown,
    /// It will never take this.
    Refuse,
    /// Too large.
    TooLarge,
    /// Too many; again after so many seconds, when it says so.
    Throttle(Option<u64>),
    /// 500.
    Broken,
    /// 503; again after so many seconds, when it says so.
    Unavailable(Option<u64>),
    /// The sender's credentials have run out.
    Expired,
    /// Nothing, while the line stays.
    Silence,
    /// 200, and ten megabytes.
    Endless,
    /// 200, and a byte now and then.
    Drip,
    /// Somewhere else, where nothing must be asked for.
    Elsewhere,
}

impl Answer {
    /// Whether the push is done with.
    #[must_use]
    pub fn is_accept(&self) -> bool {
        *self == Answer::Accept
    }
}

/// A push, understood.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Over which provider.
    pub provider: Provider,
    /// For which device.
    pub device: String,
    /// When.
    pub at: Instant,
    /// How it was answered.
    pub answer: Answer,
    /// The conference.
    pub conference: String,
    /// The conversation.
    pub conversation: String,
    /// The newest message that it is about; 0 where the provider has no place for it.
    pub seq: u64,
    /// Its id, where there is a place for it.
    pub id: String,
    /// The author.
    pub from: String,
    /// The heading.
    pub title: String,
    /// The text.
    pub text: String,
    /// How many are unread in the conversation.
    pub unread: u64,
    /// One for all pushes that replace each other.
    pub collapse: String,
    /// Whether it is to wake somebody, where the provider has a place for it.
    pub is_urgent: Option<bool>,
    /// How long it is of use.
    pub time_to_live_s: Option<u64>,
    /// All of it, as it came out of signatures and seals.
    pub raw: String,
}

impl Arrived {
    /// One of which nothing is known but where it went.
    #[must_use]
    pub fn at(device: &Device, raw: &str) -> Arrived {
        let nothing = String::new;
        Arrived {
            provider: device.provider,
            device: device.name.clone(),
            at: Instant::now(),
            answer: Answer::Accept,
            conference: nothing(),
            conversation: nothing(),
            seq: 0,
            id: nothing(),
            from: nothing(),
            title: nothing(),
            text: nothing(),
            unread: 0,
            collapse: nothing(),
            is_urgent: None,
            time_to_live_s: None,
            raw: raw.to_owned(),
        }
    }

    /// One that tells in `data` what all are told, under the same names but the author's, with numbers as `number` reads them. Heading and text are not
    /// read: they are elsewhere with each provider.
    ///
    /// # Errors
    /// A member is missing, or is something else.
    pub fn told(device: &Device, raw: &str, data: &Value, author: &str, number: impl Fn(&Value, &str) -> Result<u64>) -> Result<Arrived> {
        let from = text(data, author)?;
        let (conversation, seq, id) = place(data, &from, &number)?;
        let (conference, unread) = (text(data, "conference")?, number(data, "unread")?);
        Ok(Arrived { conference, conversation, seq, id, from, unread, ..Arrived::at(device, raw) })
    }
}

/// The book.
#[derive(Debug, Default)]
pub struct Book {
    pages: Mutex<Pages>,
    turned: Condvar,
}

#[derive(Debug, Default)]
struct Pages {
    devices: HashMap<String, Arc<Device>>,
    answers: HashMap<String, VecDeque<Answer>>,
    arrived: Vec<Arrived>,
    violations: Vec<String>,
    // What must never come twice: salts, nonces.
    once: HashSet<Vec<u8>>,
    in_flight: HashMap<Provider, usize>,
    most_in_flight: usize,
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device is there.
    pub fn add(&self, device: Device) -> Arc<Device> {
        let device = Arc::new(device);
        self.pages().devices.insert(device.place(), Arc::clone(&device));
        device
    }

    /// The device at this place ([`Device::place`]).
    ///
    /// # Errors
    /// Nobody was ever told of one.
    pub fn device(&self, provider: Provider, place: &str) -> Result<Arc<Device>> {
        let device = self.pages().devices.get(place).cloned();
        let device = device.with_context(|| format!("there is no device at {place}"))?;
        ensure!(device.provider == provider, "{} is no device of {}", device.name, provider.word());
        Ok(device)
    }

    /// The next pushes for a device are answered so; those after them are accepted.
    pub fn script(&self, device: &str, answers: &[Answer]) {
        self.pages().answers.insert(device.to_owned(), answers.iter().cloned().collect());
    }

    /// Writes a push down: how it is to be answered.
    pub fn arrive(&self, mut arrived: Arrived) -> Answer {
        let mut pages = self.pages();
        let answer = pages.answers.get_mut(&arrived.device).and_then(VecDeque::pop_front).unwrap_or_default();
        arrived.answer = answer.clone();
        pages.arrived.push(arrived);
        drop(pages);
        self.turned.notify_all();
        answer
    }

    /// Writes down that a rule was broken.
    pub fn violation(&self, what: String) {
        let mut pages = self.pages();
        // The first ones tell the story.
        if pages.violations.len() < 100 {
            pages.violations.push(what);
        }
        drop(pages);
        self.turned.notify_all();
    }

    /// Every rule that was broken.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.pages().violations.clone()
    }

    /// What must come only once has come.
    ///
    /// # Errors
    /// It did before.
    pub fn once(&self, what: Vec<u8>) -> Result<()> {
        ensure!(self.pages().once.insert(what), "the same key and salt a second time");
        Ok(())
    }

    /// A request begins.
    pub fn begin(&self, provider: Provider) {
        let mut pages = self.pages();
        let count = pages.in_flight.entry(provider).or_default();
        *count += 1;
        pages.most_in_flight = pages.most_in_flight.max(pages.in_flight[&provider]);
    }

    /// A request has ended.
    pub fn end(&self, provider: Provider) {
        if let Some(count) = self.pages().in_flight.get_mut(&provider) {
            *count = count.saturating_sub(1);
        }
    }

    /// The most requests of one provider at once since this was asked last.
    #[must_use]
    pub fn take_most_in_flight(&self) -> usize {
        std::mem::take(&mut self.pages().most_in_flight)
    }

    /// What arrived that is wanted, in order.
    #[must_use]
    pub fn arrived(&self, wanted: impl Fn(&Arrived) -> bool) -> Vec<Arrived> {
        self.pages().arrived.iter().filter(|arrived| wanted(arrived)).cloned().collect()
    }

    /// How much has arrived.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pages().arrived.len()
    }

    /// What is seen of all that arrived, as soon as it can be seen.
    ///
    /// # Errors
    /// Not within that time, or a rule was broken meanwhile.
    pub fn wait<T>(&self, what: &str, within: Duration, mut seen: impl FnMut(&[Arrived]) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + within;
        let mut pages = self.pages();
        loop {
            if let Some(first) = pages.violations.first() {
                bail!("waiting for {what}: {first} (and {} more violations)", pages.violations.len() - 1);
            }
            if let Some(found) = seen(&pages.arrived) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last: Vec<&Arrived> = pages.arrived.iter().rev().take(3).collect();
                bail!("no {what} within {within:?}; of {} that arrived the last: {last:#?}", pages.arrived.len());
            }
            pages = self.turned.wait_timeout(pages, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
