//! What tests share: a hub with one account, sessions that nobody reads from, and SASL's elements.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use data_encoding::BASE64;
use hallway_broker::accounts::Wish;
use hallway_broker::clock::{Clock, SystemClock};
use hallway_broker::command::{Action, Actor};
use hallway_broker::edges::SignIns;
use hallway_broker::hub::{Hub, HubOptions};
use hallway_broker::ids::{ConfNo, ConferenceId, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{SignIn, Via};
use hallway_broker::outbox::Link;
use hallway_broker::queue::Answer;
use hallway_broker::session::{Session, Who};
use hallway_broker::shard::{Ending, Peer, Shard};
use minidom::Element;

use super::sasl::{NS, Place};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A hub of its own.
pub struct Story {
    pub hub: Arc<Hub>,
    pub sign_ins: SignIns,
    /// alice's, whose password is `pencil`.
    pub token: String,
    _dir: tempfile::TempDir,
}

impl Story {
    pub async fn begin() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(SystemClock::start()) as Arc<dyn Clock>);
        let options = HubOptions {
            limits: Limits { disk_reserve_bytes: 0, ..Limits::default() },
            shards: 2,
            demo: true,
            ..HubOptions::new(dir.path())
        };
        let hub = Hub::open(options, clock).unwrap();
        let id = ConferenceId::parse("demo").unwrap();
        let action = Action::AddConference { id, title: "Demo".into(), sign_in: SignIn::Open, epoch: 7 };
        hub.call(ConfNo(0), Actor::system(), action).await.unwrap();
        let sign_ins = SignIns::new(&hub);
        let token = sign_ins.accounts.register(&hub, &Wish::new("demo", "alice", "pencil"), HERE).await.unwrap().token;
        Self { hub, sign_ins, token, _dir: dir }
    }

    /// The number of the conference.
    pub fn conf(&self) -> ConfNo {
        self.hub.reader().conference("demo").unwrap().unwrap().no
    }

    /// Another account.
    pub async fn register(&self, who: &str) {
        self.sign_ins.accounts.register(&self.hub, &Wish::new("demo", who, "pencil"), HERE).await.unwrap();
    }

    pub fn place(&self) -> Place<'_> {
        let (conference, domain) = ("demo", "chat.example");
        Place { sign_ins: &self.sign_ins, hub: &self.hub, conference, domain, peer: HERE, makes_accounts: true }
    }
}

/// A session of somebody on a shard.
pub fn session(shard: &Rc<Shard>, who: &str, via: Via) -> Session {
    let (reader, uid) = (shard.hub.reader(), Uid::parse(who).unwrap());
    let conf = reader.conference("demo").unwrap().unwrap().no;
    let user = reader.user(conf, &uid).unwrap().unwrap();
    let conference = ConferenceId::parse("demo").unwrap();
    let who = Who { conf, conference, uid, name: user.name, version: user.version, expires_ms: u64::MAX, token: None };
    Session::open(shard, who, via, None, Rc::new(Nowhere)).unwrap()
}

/// A connection that takes everything.
struct Nowhere;

impl Link for Nowhere {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn wake(&self) {}
    fn wire(&self) -> usize {
        0
    }
}

impl Peer for Nowhere {
    fn answer(&self, _: u32, _: Answer, _: &mut Vec<u8>) {}
    fn end(&self, _: Ending) {}
}

/// An element of SASL with a message.
pub fn element(name: &str, message: &[u8]) -> Element {
    Element::builder(name, NS).append(BASE64.encode(message)).build()
}

/// `<auth/>` with an initial response.
pub fn auth(mechanism: &str, message: &[u8]) -> Element {
    let builder = Element::builder("auth", NS).attr(rxml::xml_ncname!("mechanism").to_owned(), mechanism);
    builder.append(BASE64.encode(message)).build()
}
