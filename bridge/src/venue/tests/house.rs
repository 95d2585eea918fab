//! A hub with people, a gate where they check in and a door to a talk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use hallway_broker::badges::BadgeOptions;
use hallway_broker::clock::SystemClock;
use hallway_broker::command::{Action, Actor};
use hallway_broker::edges::{BadgeFormats, Reading};
use hallway_broker::hub::{Hub, HubOptions, StoreOptions};
use hallway_broker::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{GivenBadge, Kind, Mode, ReaderSettings, SignIn, UserRole};
use hallway_broker::recent::WIRES;
use hallway_broker::reject::{Reason, Reject};

use crate::venue::{Address, ReaderTopic, Topics, VenueOptions, Venues};

/// People with badges.
pub const PEOPLE: u32 = 30;

/// See the module's text.
pub struct House {
    pub hub: Arc<Hub>,
    pub conf: ConfNo,
    is_busy: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

pub fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

pub fn badge(person: u32) -> String {
    format!("04{person:06X}")
}

impl House {
    pub async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = HubOptions {
            data_dir: dir.path().to_owned(),
            store: StoreOptions::default(),
            limits: Limits { disk_reserve_bytes: 0, ..Limits::default() },
            shards: 2,
            demo: true,
            topic_rules: Default::default(),
            badges: BadgeOptions { debounce_ms: 0 },
        };
        let hub = Hub::open(options, Arc::new(SystemClock::start())).unwrap();
        let id = ConferenceId::parse("demo").unwrap();
        let add = Action::AddConference { id, title: "Demo".into(), sign_in: SignIn::Open, epoch: 7 };
        hub.call(ConfNo(0), Actor::system(), add).await.unwrap();
        let conf = hub.reader().conference("demo").unwrap().unwrap().no;
        let is_busy = Arc::new(AtomicBool::new(false));
        let house = Self { hub, conf, is_busy, _dir: dir };
        let talk = ConversationId::parse("talk").unwrap();
        house.ask(Action::Create { kind: Kind::Channel, id: talk.clone(), title: "Talk".into(), members: vec![] }).await;
        for person in 1..=PEOPLE {
            let name = uid(&format!("person-{person}"));
            house.ask(Action::AddUser { uid: name.clone(), name: None, role: UserRole::Attendee, credentials: None }).await;
            house.ask(Action::AssignBadge { badge: GivenBadge::of(&badge(person)).unwrap(), user: name }).await;
        }
        for (device, mode, conversation) in [("da1275b0", Mode::Checkin, None), ("door", Mode::Session, Some(talk))] {
            house.ask(Action::AddUser { uid: uid(device), name: None, role: UserRole::Device, credentials: None }).await;
            let settings = ReaderSettings { mode, conversation, ..ReaderSettings::default() };
            house.ask(Action::SetReader { reader: uid(device), settings: Some(Box::new(settings)) }).await;
        }
        house.hub.set_badge_formats(Arc::new(Busy { formats: crate::badge::formats(), is_busy: Arc::clone(&house.is_busy) }));
        house.hub.start_shards(&Arc::new([const { None }; WIRES])).unwrap();
        house
    }

    /// From now on no scan is taken, or all are again.
    pub fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, SeqCst);
    }

    async fn ask(&self, action: Action) {
        self.hub.call(self.conf, Actor::system(), action).await.unwrap();
    }

    /// Speaks to a broker of which these readers are.
    pub fn venue(&self, at: SocketAddr) -> Venues {
        Venues::start(&self.hub, vec![options(at)])
    }

    /// Whether a reader works, as far as is known.
    pub fn is_online(&self, reader: &str) -> bool {
        self.hub.reader_health(self.conf, &uid(reader)).online
    }

    pub fn is_checked_in(&self, person: u32) -> bool {
        self.hub.reader().checkin(self.conf, &uid(&format!("person-{person}"))).unwrap().is_some()
    }

    /// How often somebody went into the talk, and whether they are there.
    pub fn visits(&self, person: u32) -> (u32, bool) {
        let talk = self.hub.reader().conversation(self.conf, &ConversationId::parse("talk").unwrap()).unwrap().unwrap().record.no;
        let found = self.hub.reader().attendance(self.conf, talk, &uid(&format!("person-{person}"))).unwrap();
        found.map_or((0, false), |found| (found.stay.enters, found.stay.inside_since_ms.is_some()))
    }

    pub fn all_visits(&self) -> Vec<(u32, bool)> {
        (1..=PEOPLE).map(|person| self.visits(person)).collect()
    }
}

/// How a broker is spoken to.
pub fn options(at: SocketAddr) -> VenueOptions {
    let topic = |topic: &str, reader: Option<&str>, result: Option<&str>| ReaderTopic {
        topic: topic.to_owned(),
        reader: reader.map(str::to_owned),
        result: result.map(str::to_owned),
    };
    let topics = Topics::new(&[
        topic("springcard/springcore/{reader}/rdr/evt", None, Some("hallway/{reader}/result")),
        topic("springcard/springcore/{reader}/meta", None, None),
        topic("esphome/door/+", Some("door"), Some("hallway/door/result")),
    ]);
    VenueOptions {
        conference: "demo".to_owned(),
        address: Address::parse(&format!("mqtt://{at}")).unwrap(),
        tls: None,
        login: None,
        client_id: "hallway-demo".to_owned(),
        topics: topics.unwrap(),
    }
}

/// The formats, while scans are taken.
struct Busy {
    formats: Arc<dyn BadgeFormats>,
    is_busy: Arc<AtomicBool>,
}

impl BadgeFormats for Busy {
    fn read(&self, format: &str, payload: &[u8]) -> Result<Reading, Reject> {
        match self.formats.read(format, payload)? {
            Reading::Taps(_) if self.is_busy.load(SeqCst) => Err(Reason::Busy.into()),
            reading => Ok(reading),
        }
    }

    fn check(&self, format: &str) -> Result<(), Reject> {
        self.formats.check(format)
    }

    fn names(&self) -> Vec<&'static str> {
        self.formats.names()
    }
}
