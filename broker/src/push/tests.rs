//! Stories of push: who is away and what comes of it, with a hub whose time stands until the story moves it on, and a gateway that does what it is
//! told to.

mod crowds;
mod down;
mod leaving;
mod outage;
mod quiet;
mod who;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::PushOptions;
use super::gateway::{Departed, Gateway, Push, Sending, Sent};
use crate::clock::{Clock, SystemClock};
use crate::command::{Action, Actor, Draft, Outcome, Reuse};
use crate::hub::{Hub, HubOptions};
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::limits::Limits;
use crate::model::{Kind, Provider, SignIn, Target, TargetId, UserRole, Via};
use crate::reject::Reject;
use crate::sessions::Live;

pub(in crate::push) const CONF: ConfNo = ConfNo(1);
const START_MS: u64 = 1_800_000_000_000;
/// How long a story waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);
const GRACE_MS: u64 = 3000;

/// Stands until it is moved on.
#[derive(Default)]
pub(in crate::push) struct Standing {
    pub moved_ms: AtomicU64,
    /// How far the wall clock was set back meanwhile.
    set_back_ms: AtomicU64,
}

impl Clock for Standing {
    fn now_ms(&self) -> u64 {
        START_MS + self.moved_ms.load(Relaxed) - self.set_back_ms.load(Relaxed)
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.moved_ms.load(Relaxed))
    }
}

#[derive(Default)]
struct Said {
    /// What was pushed where, in order.
    pushes: Vec<(String, Push)>,
    /// What addresses are answered, one after the other; then they are accepted.
    answers: HashMap<String, VecDeque<Sent>>,
    /// What all are answered.
    to_all: Option<Sent>,
    /// Nobody is answered while it is so.
    is_silent: bool,
    in_flight: usize,
    most_in_flight: usize,
    /// Who is found gone later.
    departed: Vec<Departed>,
}

/// The gateway of a story.
#[derive(Default)]
struct Fake {
    said: Mutex<Said>,
    changed: Condvar,
    answer: tokio::sync::Notify,
}

struct FakeGateway(Provider, Arc<Fake>);

impl Gateway for FakeGateway {
    fn provider(&self) -> Provider {
        self.0
    }

    fn check(&self, _: &Target) -> Result<(), Reject> {
        Ok(())
    }

    fn departed(&self) -> Vec<Departed> {
        std::mem::take(&mut self.1.said.lock().unwrap().departed)
    }

    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a> {
        let fake = &self.1;
        Box::pin(async move {
            // Decided when it comes: what is seen of a push and what it is answered belong together.
            let sent = {
                let mut said = fake.said.lock().unwrap();
                said.in_flight += 1;
                said.most_in_flight = said.most_in_flight.max(said.in_flight);
                said.pushes.push((target.address.to_string(), push.clone()));
                fake.changed.notify_all();
                let own = said.answers.get_mut(&*target.address).and_then(VecDeque::pop_front);
                own.or_else(|| said.to_all.clone()).unwrap_or(Sent::Accepted)
            };
            loop {
                let answer = fake.answer.notified();
                if !fake.said.lock().unwrap().is_silent {
                    break;
                }
                answer.await;
            }
            // Others come to be asked meanwhile.
            tokio::task::yield_now().await;
            fake.said.lock().unwrap().in_flight -= 1;
            sent
        })
    }
}

impl Fake {
    fn will_answer(&self, address: &str, answers: impl IntoIterator<Item = Sent>) {
        self.said.lock().unwrap().answers.insert(address.to_owned(), answers.into_iter().collect());
    }

    fn answers_all(&self, sent: Option<Sent>) {
        self.said.lock().unwrap().to_all = sent;
    }

    /// From one moment on it answers everybody so, and has seen nothing.
    fn begins_anew(&self, sent: Option<Sent>) {
        let mut said = self.said.lock().unwrap();
        said.to_all = sent;
        said.pushes.clear();
    }

    fn speaks(&self, is_silent: bool) {
        self.said.lock().unwrap().is_silent = is_silent;
        self.answer.notify_waiters();
    }

    /// Waits until so many pushes came, and gives them.
    fn wait_for(&self, count: usize) -> Vec<(String, Push)> {
        let said = self.said.lock().unwrap();
        let (said, timeout) = self.changed.wait_timeout_while(said, PATIENCE, |said| said.pushes.len() < count).unwrap();
        let pushes = said.pushes.clone();
        // A story that ends here still has the gateway speak.
        drop(said);
        assert!(!timeout.timed_out(), "{} pushes of {count}: {pushes:?}", pushes.len());
        pushes
    }

    fn count(&self) -> usize {
        self.said.lock().unwrap().pushes.len()
    }
}

/// See the module's text.
struct Story {
    dir: TempDir,
    clock: Arc<Standing>,
    fake: Arc<Fake>,
    options: PushOptions,
    /// None while it restarts.
    hub: Option<Arc<Hub>>,
    runtime: Runtime,
    /// Messages so far, for their ids.
    messages: AtomicU64,
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn id(text: &str) -> ConversationId {
    ConversationId::parse(text).unwrap()
}

pub(in crate::push) fn target(address: &str) -> Target {
    let (topic, options, device) = ("".into(), "".into(), "phone".into());
    Target { provider: Provider::Fcm, address: address.into(), secret: Vec::new(), topic, is_sandbox: false, options, device, since_ms: 0 }
}

pub(in crate::push) fn open(dir: &TempDir, clock: &Arc<Standing>) -> Arc<Hub> {
    let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
    let options = HubOptions { limits, shards: 1, ..HubOptions::new(dir.path()) };
    Hub::open(options, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

impl Story {
    /// A conference with these people, each with a phone, an empty lobby that all are in, and push.
    fn of(people: &[&str]) -> Self {
        Self::with(people, PushOptions { grace: Duration::from_millis(GRACE_MS), ..PushOptions::default() })
    }

    fn with(people: &[&str], options: PushOptions) -> Self {
        let (dir, clock, fake) = (tempfile::tempdir().unwrap(), Arc::new(Standing::default()), Arc::new(Fake::default()));
        let hub = Some(open(&dir, &clock));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let story = Self { dir, clock, fake, options, hub, runtime, messages: AtomicU64::new(0) };
        let demo = ConferenceId::parse("demo").unwrap();
        let add = Action::AddConference { id: demo, title: "The Demo".into(), sign_in: SignIn::Open, epoch: 1 };
        story.call_in(ConfNo(0), Actor::system(), add);
        for person in people {
            let role = if *person == "staff" { UserRole::Staff } else { UserRole::Attendee };
            story.by_system(Action::AddUser { uid: uid(person), name: None, role, credentials: None });
            story.has_phone(person, person);
        }
        let members = people.iter().map(|person| uid(person)).collect();
        story.by_system(Action::Create { kind: Kind::Channel, id: id("lobby"), title: "Lobby".into(), members });
        story.start();
        story
    }

    fn start(&self) {
        let gateway = Arc::new(FakeGateway(Provider::Fcm, Arc::clone(&self.fake)));
        self.hub().start_push(vec![gateway], self.options.clone()).unwrap();
    }

    /// The server ends and starts again, on what it had written.
    fn restart(&mut self) {
        self.hub().close();
        self.hub = None;
        self.hub = Some(open(&self.dir, &self.clock));
        self.start();
    }

    fn hub(&self) -> &Arc<Hub> {
        self.hub.as_ref().unwrap()
    }

    fn call_in(&self, conf: ConfNo, actor: Actor, action: Action) -> Outcome {
        self.runtime.block_on(self.hub().call(conf, actor, action)).unwrap()
    }

    fn by_system(&self, action: Action) -> Outcome {
        self.call_in(CONF, Actor::system(), action)
    }

    fn by(&self, who: &str, action: Action) -> Outcome {
        self.call_in(CONF, Actor { uid: uid(who), via: Via::Ws, session: 0 }, action)
    }

    fn has_phone(&self, who: &str, address: &str) {
        self.by(who, Action::RegisterTarget { target: Box::new(target(address)) });
    }

    /// Sends a message; gives its pos.
    fn says(&self, who: &str, conversation: &str, text: &str) -> u64 {
        self.names(who, conversation, text, &[]).1
    }

    /// Sends a message that names people; gives its seq and pos.
    fn names(&self, who: &str, conversation: &str, text: &str, named: &[&str]) -> (u64, u64) {
        let draft = Draft {
            conversation: id(conversation),
            client_id: format!("m{}", self.messages.fetch_add(1, Relaxed)).into(),
            reuse: Reuse::Conflict,
            text: text.into(),
            reply_to: None,
            mentions: named.iter().map(|name| (*name).into()).collect(),
            attachments: Vec::new(),
        };
        match self.by(who, Action::Send(draft)) {
            Outcome::Added { seq, pos, .. } => (seq, pos),
            other => panic!("{other:?}"),
        }
    }

    /// Time goes on.
    fn passes(&self, ms: u64) {
        self.clock.moved_ms.fetch_add(ms, Relaxed);
    }

    /// Waits until it is so.
    fn until(&self, what: &str, is_so: impl Fn(&Hub) -> bool) {
        let clock = SystemClock::start();
        while !is_so(self.hub()) {
            assert!(clock.elapsed() < PATIENCE, "{what} never came");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Waits until it is decided, and settled, who is pushed everything up to a pos.
    fn is_over(&self, pos: u64) {
        self.until("the cursor", |hub| hub.reader().push_state(CONF).unwrap().is_some_and(|state| state.cursor.pos >= pos));
    }

    /// Waits until so many pushes wait to be tried again.
    fn has_rows(&self, count: u64) {
        self.until("rows", |hub| hub.reader().push_state(CONF).unwrap().unwrap_or_default().rows == count);
    }

    /// Somebody has a session, at which they last did something then; when that was can be changed.
    fn is_there(&self, who: &str, active_ms: u64) -> Arc<AtomicU64> {
        let active_ms = Arc::new(AtomicU64::new(active_ms));
        let live = Live {
            id: 1,
            shard: 0,
            slot: 0,
            via: Via::Ws,
            since_ms: START_MS,
            version: 0,
            token: None,
            device: None,
            active_ms: Arc::clone(&active_ms),
        };
        self.hub().sessions().add(CONF, &uid(who), live, self.hub().limits()).unwrap();
        active_ms
    }

    /// Their session ends.
    fn goes(&self, who: &str) {
        self.hub().sessions().remove(CONF, &uid(who), 1);
    }

    fn target_of(&self, who: &str) -> Option<(TargetId, Target)> {
        self.hub().reader().targets(CONF, &uid(who)).unwrap().pop()
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.fake.speaks(false);
        self.hub().close();
        if !std::thread::panicking() {
            let report = crate::backup::check::checked(&**self.hub().reader().state());
            assert!(report.is_good(), "{report}");
        }
    }
}

/// Where pushes went.
fn addresses(pushes: &[(String, Push)]) -> Vec<&str> {
    let mut addresses: Vec<&str> = pushes.iter().map(|(address, _)| address.as_str()).collect();
    addresses.sort_unstable();
    addresses
}
