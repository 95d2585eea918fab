//! Imports into a store of their own.

use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::clock::SystemClock;
use crate::hub::HubOptions;
use crate::ids::ConferenceId;
use crate::limits::Limits;
use crate::model::{BadgeCode, SignIn, UserRole, Via};

const CONF: ConfNo = ConfNo(1);

/// A conference with nobody in it.
struct World {
    hub: Arc<Hub>,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
        let options = HubOptions { limits, shards: 1, ..HubOptions::new(dir.path()) };
        let hub = Hub::open(options, Arc::new(SystemClock::start())).unwrap();
        let world = Self { hub, runtime: Builder::new_current_thread().build().unwrap(), _dir: dir };
        let id = ConferenceId::parse("demo").unwrap();
        world.act(ConfNo(0), Action::AddConference { id, title: "".into(), sign_in: SignIn::Open, epoch: 1 });
        world
    }

    fn act(&self, conf: ConfNo, action: Action) {
        self.runtime.block_on(self.hub.call_to_end(conf, Actor::system(), action)).unwrap();
    }

    fn add(&self, name: &str, role: UserRole) {
        self.act(CONF, Action::AddUser { uid: uid(name), name: None, role, credentials: None });
    }

    fn import_as(&self, actor: &Actor, file: &str, is_dry_run: bool) -> Result<Done, Reject> {
        let sheet = Sheet::read(file.as_bytes(), None, &[]).unwrap();
        self.runtime.block_on(import(&self.hub, CONF, actor, sheet, is_dry_run))
    }

    /// Added, changed, unchanged, and the lines that were left out with why.
    fn import(&self, file: &str) -> (usize, usize, usize, Vec<String>) {
        let told = |done: Done| {
            let bad = done.bad.iter().map(|bad| format!("{} {}", bad.row, bad.why)).collect();
            (done.added, done.changed, done.unchanged, bad)
        };
        let foreseen = told(self.import_as(&Actor::system(), file, true).unwrap());
        let done = told(self.import_as(&Actor::system(), file, false).unwrap());
        assert_eq!(foreseen, done, "a dry run says what is done");
        done
    }

    /// Everybody's uid with what the shop calls their ticket.
    fn everybody(&self) -> Vec<(String, String)> {
        let reader = self.hub.reader();
        let people = reader.people(CONF, None, 100, |_| true).unwrap().0.into_iter();
        let ticket = |uid: &Uid| reader.attendee(CONF, uid).unwrap().map_or_else(String::new, |attendee| attendee.external.to_string());
        people.map(|person| (person.uid.to_string(), ticket(&person.uid))).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.hub.close();
    }
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(uid, ticket)| ((*uid).to_owned(), (*ticket).to_owned())).collect()
}

const LIST: &str =
    "id,name,email,company,badge\nT1,Ada Lovelace,ada@example.org,Engines,04A1B2C3\nT2,John Smith,,,s2\nT3,John Smith,,,s3\nT4,李明,,,\n";

#[test]
fn the_same_file_again_changes_nothing() {
    let world = World::new();
    assert_eq!(world.import(LIST), (4, 0, 0, vec![]));
    let everybody = pairs(&[("ada-lovelace", "T1"), ("attendee", "T4"), ("john-smith", "T2"), ("john-smith-2", "T3")]);
    assert_eq!(world.everybody(), everybody);
    assert_eq!(world.import(LIST), (0, 0, 4, vec![]));
    // In another order, with a new company and a new row.
    let changed =
        "id,name,email,company,badge\nT3,John Smith,,,s3\nT5,John Smith,,,\nT1,Ada Lovelace,ada@example.org,Analysis,04:a1:b2:c3\n";
    assert_eq!(world.import(changed), (1, 1, 1, vec![]));
    let ada = world.hub.reader().attendee(CONF, &uid("ada-lovelace")).unwrap().unwrap();
    assert_eq!(&*ada.company, "Analysis");
    assert_eq!(world.everybody().len(), 5);
    let badge = world.hub.reader().badge(CONF, &BadgeCode::given("04a1b2c3").unwrap()).unwrap().unwrap();
    assert_eq!((badge.user.as_str(), &*badge.shown), ("ada-lovelace", "04A1B2C3"));
}

#[test]
fn nobody_gets_the_ticket_of_another() {
    let world = World::new();
    world.add("ada-lovelace", UserRole::Attendee);
    world.add("gate-1", UserRole::Device);
    world.act(CONF, Action::AssignBadge { badge: GivenBadge::of("s2").unwrap(), user: uid("ada-lovelace") });
    // Who calls herself Ada Lovelace is not the one of the list, until the list names her account.
    assert_eq!(world.import("id,name,uid\nT1,Ada Lovelace,\n"), (1, 0, 0, vec![]));
    assert_eq!(world.everybody(), pairs(&[("ada-lovelace", ""), ("ada-lovelace-2", "T1"), ("gate-1", "")]));
    let bad = world.import("id,name,uid,badge\nT2,Byron,,s2\nT3,Gate,gate-1,\nT4,Ada,ada-lovelace-2,\nT5,Grace,grace,s2\n");
    let expected = ["3 the user is a device or a service".to_owned(), "4 the user, or whose badge it is, has another ticket".to_owned()];
    // Row 5 of the same file has a badge of row 2: the sheet told so.
    assert_eq!((bad.0, bad.1, &bad.3[..2]), (0, 1, &expected[..]));
    assert_eq!(world.everybody(), pairs(&[("ada-lovelace", "T2"), ("ada-lovelace-2", "T1"), ("gate-1", "")]));
    let same_chip = world.import("id,name,badge\nT6,Alan,04A1B2C3\n").0 + world.import("id,name,badge\nT7,Grace,77705923\n").0;
    assert_eq!(same_chip, 1, "one chip in two writings");
    let told = world.import("id,name,badge\nT9,Grace,s2\nT1,Ada Lovelace,s2\n");
    assert_eq!(told.3[0], "2 the user, or whose badge it is, has another ticket");
}

#[test]
fn who_was_erased_does_not_come_back() {
    let world = World::new();
    assert_eq!(world.import(LIST).0, 4);
    world.act(CONF, Action::Erase { uid: uid("ada-lovelace") });
    assert_eq!(world.import(LIST), (0, 0, 3, vec!["2 they were erased: left out".to_owned()]));
    assert_eq!(world.import("id,name\nT8,Ada Lovelace\n"), (1, 0, 0, vec![]));
    assert!(world.everybody().contains(&("ada-lovelace-2".to_owned(), "T8".to_owned())), "nobody becomes the erased one");
}

#[test]
fn staff_imports_and_nobody_else() {
    let world = World::new();
    world.add("mallory", UserRole::Attendee);
    world.add("sam", UserRole::Staff);
    let actor = |name: &str| Actor { uid: uid(name), via: Via::Http, session: 0 };
    assert_eq!(world.import_as(&actor("mallory"), LIST, false).unwrap_err().reason, Reason::StaffOnly);
    assert_eq!(world.everybody().len(), 2);
    assert_eq!(world.import_as(&actor("sam"), LIST, false).unwrap().added, 4);
}

#[test]
fn nobody_of_the_staff_gets_a_ticket_by_a_list() {
    let world = World::new();
    world.add("sam", UserRole::Staff);
    world.add("olga", UserRole::Organiser);
    let why = "the user is of the staff: give them badges by hand";
    let told = world.import("uid,id,name,badge\nsam,T1,Sam,b1\nolga,T2,Olga,b2\n");
    assert_eq!(told, (0, 0, 0, vec![format!("2 {why}"), format!("3 {why}")]));
    let attendee = Box::new(Attendee { external: "T3".into(), ..Attendee::default() });
    let action = Action::ImportAttendee { uid: uid("sam"), name: "Sam".into(), attendee, badges: vec![], takes_account: true };
    let refused = world.runtime.block_on(world.hub.call_to_end(CONF, Actor::system(), action)).unwrap_err();
    assert_eq!(refused.reason, Reason::Taken);
    // Another system's user names are no uids.
    assert_eq!(world.import("username,user,login,id,name\nsam,sam,sam,T1,Someone Else\n"), (1, 0, 0, vec![]));
    assert!(world.everybody().contains(&("someone-else".to_owned(), "T1".to_owned())));
}

#[test]
fn many_of_one_name_in_one_file() {
    let world = World::new();
    let rows: String = (0..300).map(|n| format!("T{n},John Smith\n")).collect();
    let file = format!("id,name\n{rows}");
    assert_eq!(world.import(&file).0, 300);
    assert_eq!(world.import(&file).2, 300);
    assert!(world.hub.reader().user(CONF, &uid("john-smith-300")).unwrap().is_some());
}
