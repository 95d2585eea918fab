//! Badges, command by command: what each mode makes of a scan, what comes again, who may what, and that what is counted is what a count gives.

use super::*;
use crate::badges::{own_code, whose};
use crate::command::Reuse;
use crate::ids::key_for;
use crate::model::{
    Acquaintance, Attendee, BadgeCode, ContactDeed, Direction as Way, Imported, LeadNotes, Mode, Publication, ReaderSettings, Realm,
    ScanReason, Scanned, Tap,
};

const NOW_MS: u64 = 1_800_000_000_000;

/// A conference with a lobby, people with badges called as they are, and readers.
struct Venue {
    world: World,
    now_ms: u64,
}

fn code(text: &str) -> BadgeCode {
    BadgeCode(format!("t:{text}").into())
}

fn tap(text: &str) -> Tap {
    Tap { shown: text.into(), codes: vec![code(text)], at_ms: 0, id: "".into(), direction: None }
}

fn conversation(id: &str) -> ConversationId {
    ConversationId::stored(id)
}

fn settings(mode: Mode, id: Option<&str>) -> ReaderSettings {
    ReaderSettings { mode, conversation: id.map(conversation), format: "auto".into(), ..ReaderSettings::default() }
}

fn scan_of(taps: Vec<Tap>) -> Action {
    Action::Scan { mode: None, conversation: None, taps, raw: None, packet: Reuse::NewMessage }
}

impl Venue {
    fn new() -> Self {
        let mut venue = Self { world: World::new(), now_ms: NOW_MS };
        venue.system(Action::Create { kind: Kind::Channel, id: conversation("talk"), title: String::new(), members: vec![] });
        for (name, role) in
            [("carol", UserRole::Attendee), ("stan", UserRole::Staff), ("gate", UserRole::Device), ("hall", UserRole::Device)]
        {
            venue.system(Action::AddUser { uid: uid(name), name: None, role, credentials: None });
        }
        for name in ["alice", "bob", "carol"] {
            venue.system(assign(name, name));
        }
        venue
    }

    fn by(&mut self, actor: Actor, action: Action) -> Result<Outcome, Reason> {
        let world = &mut self.world;
        let mut view = View::new(&*world.state, &mut world.kept, world.head.clone());
        view.head.applied += 1;
        let command = Command { conf: CONF, actor, at_ms: self.now_ms, action };
        let answer = apply(&mut view, &command).unwrap().map_err(|reject| reject.reason);
        let (batch, head, _) = view.finish();
        world.state.commit(&batch).unwrap();
        world.head = head;
        answer
    }

    fn system(&mut self, action: Action) -> Outcome {
        self.by(Actor::system(), action).unwrap()
    }

    fn does(&mut self, who: &str, action: Action) -> Result<Outcome, Reason> {
        self.by(actor(who), action)
    }

    fn set(&mut self, reader: &str, settings: ReaderSettings) {
        self.system(Action::SetReader { reader: uid(reader), settings: Some(Box::new(settings)) });
    }

    fn scans(&mut self, who: &str, taps: Vec<Tap>) -> Vec<Scanned> {
        match self.does(who, scan_of(taps)) {
            Ok(Outcome::Scanned(scanned)) => scanned,
            other => panic!("{other:?}"),
        }
    }

    /// Someone's badge at a reader, a second after the last.
    fn scan(&mut self, reader: &str, badge: &str) -> ScanReason {
        self.now_ms += 1000;
        self.scans(reader, vec![tap(badge)]).remove(0).reason
    }

    fn reader(&self) -> Reader {
        self.world.reader()
    }

    fn found(&self, id: &str) -> crate::view::Found {
        self.reader().conversation(CONF, &conversation(id)).unwrap().unwrap_or_else(|| panic!("no {id}"))
    }

    fn attendance(&self, who: &str) -> (bool, u32, u64) {
        let no = self.found("talk").record.no;
        let attendance = self.reader().attendance(CONF, no, &uid(who)).unwrap().unwrap_or_default();
        (attendance.inside_since_ms.is_some(), attendance.enters, attendance.total_ms / 1000)
    }

    fn inside(&self) -> u32 {
        self.reader().occupancy(CONF, self.found("talk").record.no).unwrap().inside
    }

    /// What a conversation holds, each as who and what.
    fn said(&self, id: &str) -> Vec<(String, String)> {
        let page = self.reader().page(&self.found(id), crate::reader::Toward::Newer(0), 500, &[]).unwrap();
        let text = |body: &Body| match body {
            Body::Message(message) => message.text.to_string(),
            Body::Member { user, change } => format!("{user} {}", change.word()),
            Body::Notice(Notice::Contact { user, state }) => format!("contact {user} {}", state.word()),
            Body::Notice(Notice::Lead { owner }) => format!("lead {owner}"),
            Body::Notice(notice) => notice.word().to_owned(),
            Body::Publication(publication) => publication.topic.to_string(),
            body => body.kind().to_owned(),
        };
        page.events.iter().map(|event| (event.entry.from.to_string(), text(&event.entry.body))).collect()
    }

    fn state(&self, of: &str, with: &str) -> Option<Acquaintance> {
        self.reader().contact(CONF, &uid(of), &uid(with)).unwrap().map(|contact| contact.state)
    }

    fn is_good(&self) {
        let report = crate::backup::check::checked(&*self.world.state);
        assert!(report.is_good(), "{report}");
    }

    fn erase(&mut self, who: &str) {
        while let Outcome::Continue(_) = self.system(Action::Erase { uid: uid(who) }) {
            self.is_good();
        }
        self.is_good();
    }
}

fn assign(badge: &str, user: &str) -> Action {
    Action::AssignBadge { code: code(badge), shown: badge.into(), user: uid(user) }
}

fn pair(name: &str, what: &str) -> (String, String) {
    (name.to_owned(), what.to_owned())
}

#[test]
fn somebody_arrives_once_whatever_the_door() {
    let mut venue = Venue::new();
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok);
    assert_eq!(venue.scan("gate", "alice"), ScanReason::AlreadyCheckedIn);
    assert_eq!(venue.scan("hall", "alice"), ScanReason::AlreadyCheckedIn);
    assert_eq!(venue.scan("gate", "nobody"), ScanReason::UnknownBadge);
    let totals = venue.reader().badge_totals(CONF).unwrap();
    assert_eq!((totals.scans, totals.checked_in, totals.attendees), (4, 1, 3));
    let (list, complete) = venue.reader().checkins(CONF, None, 10).unwrap();
    assert_eq!((list.len(), &*list[0].name, list[0].record.by.as_str(), list[0].record.scan, complete), (1, "alice", "gate", 1, true));
    assert_eq!(venue.does("bob", Action::UndoCheckin { user: uid("alice") }), Err(Reason::StaffOnly));
    venue.does("stan", Action::UndoCheckin { user: uid("alice") }).unwrap();
    assert_eq!(venue.reader().badge_totals(CONF).unwrap().checked_in, 0);
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok);
    venue.is_good();
}

#[test]
fn badges_are_given_revoked_and_given_again() {
    let mut venue = Venue::new();
    assert_eq!(venue.does("alice", assign("new", "alice")), Err(Reason::StaffOnly));
    assert_eq!(venue.does("stan", assign("new", "nobody")), Err(Reason::UnknownUser));
    assert_eq!(venue.does("stan", assign("alice", "bob")), Err(Reason::Taken));
    venue.does("stan", assign("alice", "alice")).unwrap();
    let revoke = |badge: &str, on| Action::RevokeBadge { code: code(badge), on };
    assert_eq!(venue.does("bob", revoke("alice", true)), Err(Reason::StaffOnly));
    assert_eq!(venue.does("stan", revoke("nobody", true)), Err(Reason::UnknownBadge));
    venue.does("stan", revoke("alice", true)).unwrap();
    let refused = venue.scans("gate", vec![tap("alice")]).remove(0);
    assert_eq!((refused.reason, refused.accepted, &*refused.name), (ScanReason::Revoked, false, "alice"));
    venue.does("stan", revoke("alice", false)).unwrap();
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok);
    venue.does("stan", revoke("alice", true)).unwrap();
    venue.does("stan", assign("alice", "bob")).unwrap();
    assert_eq!(venue.scans("gate", vec![tap("alice")]).remove(0).user, Some(uid("bob")), "it was given to somebody else");
    assert_eq!(venue.reader().badges_of(CONF, &uid("bob")).unwrap().len(), 2);
    assert!(venue.reader().badges_of(CONF, &uid("alice")).unwrap().is_empty());
    for n in 2..crate::limits::MAX_BADGES {
        venue.does("stan", assign(&format!("more-{n}"), "bob")).unwrap();
    }
    assert_eq!(venue.does("stan", assign("one-more", "bob")), Err(Reason::TooManyBadges));
    let (first, complete) = venue.reader().badges(CONF, None, 10).unwrap();
    let (rest, all) = venue.reader().badges(CONF, first.last().map(|(code, _)| code), 10).unwrap();
    assert_eq!((first.len(), complete, rest.len(), all), (10, false, 7, true));
    venue.is_good();
}

#[test]
fn everybody_has_a_code_of_their_own() {
    let mut venue = Venue::new();
    let demo = crate::ids::ConferenceId::parse("demo").unwrap();
    let key = key_for(&[1; 16], "badge");
    let own = venue.reader().own_badge_code(CONF, &uid("alice")).unwrap();
    assert_eq!((own.clone(), whose(&key, &demo, &code(&own))), (own_code(&key, &demo, &uid("alice")), Some(uid("alice"))));
    assert_eq!(venue.scan("gate", &own), ScanReason::Ok);
    assert_eq!(venue.scan("gate", "alice"), ScanReason::AlreadyCheckedIn, "the same person");
    assert_eq!(venue.scan("gate", &own.replace("alice", "bob")), ScanReason::UnknownBadge, "forged");
    let foreign = own_code(&key, &crate::ids::ConferenceId::parse("other").unwrap(), &uid("alice"));
    assert_eq!(venue.scan("gate", &foreign), ScanReason::UnknownBadge, "another conference's");
    assert_eq!(venue.does("stan", assign(&own, "bob")), Err(Reason::Reserved));
    venue.does("stan", Action::RevokeBadge { code: code(&own), on: true }).unwrap();
    assert_eq!(venue.scan("gate", &own), ScanReason::Revoked);
    venue.is_good();
}

#[test]
fn a_session_lets_people_in_and_out_and_into_its_channel() {
    let mut venue = Venue::new();
    venue.set("hall", ReaderSettings { capacity: 2, ..settings(Mode::Session, Some("talk")) });
    for who in ["alice", "bob"] {
        assert_eq!(venue.scan("hall", who), ScanReason::Ok);
    }
    assert_eq!((venue.scan("hall", "carol"), venue.inside()), (ScanReason::Full, 2));
    assert_eq!(venue.attendance("carol"), (false, 0, 0));
    venue.now_ms += 60_000;
    assert_eq!(venue.scan("hall", "alice"), ScanReason::Ok, "out");
    assert_eq!((venue.attendance("alice"), venue.inside()), ((false, 1, 63), 1));
    assert_eq!(venue.scan("hall", "carol"), ScanReason::Ok);
    assert_eq!(venue.scan("hall", "alice"), ScanReason::Full);
    let mut out = tap("bob");
    out.direction = Some(Way::Exit);
    for _ in 0..2 {
        assert_eq!(venue.scans("hall", vec![out.clone()])[0].conversation, Some(conversation("talk")));
    }
    assert_eq!(venue.inside(), 1);
    let talk = [("alice", "alice joined"), ("bob", "bob joined"), ("carol", "carol joined")].map(|(who, what)| pair(who, what));
    assert_eq!(venue.said("talk"), talk, "who goes out stays a member");
    let (list, _) = venue.reader().attendances(CONF, venue.found("talk").record.no, None, 10).unwrap();
    let inside: Vec<_> = list.iter().map(|one| (one.uid.as_str(), one.record.inside_since_ms.is_some())).collect();
    assert_eq!(inside, [("alice", false), ("bob", false), ("carol", true)]);
    venue.does("stan", Action::Remove { conversation: conversation("talk"), user: uid("bob"), ban: true }).unwrap();
    assert_eq!(venue.scan("hall", "bob"), ScanReason::NotAllowed);
    venue.is_good();
}

#[test]
fn a_session_takes_as_many_as_one_of_its_doors_says() {
    let mut venue = Venue::new();
    venue.set("hall", ReaderSettings { capacity: 1, ..settings(Mode::Session, Some("talk")) });
    venue.set("gate", settings(Mode::Session, Some("talk")));
    assert_eq!((venue.scan("gate", "alice"), venue.scan("gate", "bob")), (ScanReason::Ok, ScanReason::Full));
    venue.set("hall", settings(Mode::Session, Some("talk")));
    assert_eq!(venue.scan("gate", "bob"), ScanReason::Ok);
    let set = |settings| Action::SetReader { reader: uid("hall"), settings };
    let wrong = |mode, id| set(Some(Box::new(settings(mode, id))));
    assert_eq!(venue.does("stan", wrong(Mode::Session, None)), Err(Reason::InvalidParams));
    assert_eq!(venue.does("stan", wrong(Mode::Announce, Some("nowhere"))), Err(Reason::UnknownConversation));
    assert_eq!(venue.does("stan", wrong(Mode::Announce, Some("inbox~alice"))), Err(Reason::UnknownConversation));
    assert_eq!(venue.does("alice", set(None)), Err(Reason::StaffOnly));
    venue.does("stan", set(None)).unwrap();
    assert_eq!(venue.does("stan", set(None)), Err(Reason::UnknownReader));
    assert_eq!(venue.scan("hall", "carol"), ScanReason::Ok, "a reader that nothing is said of checks in");
    venue.is_good();
}

#[test]
fn two_badges_at_one_reader_within_moments_introduce_two_people() {
    let mut venue = Venue::new();
    venue.set("gate", settings(Mode::Meet, None));
    venue.system(Action::ImportAttendee {
        uid: uid("bob"),
        name: "bob".into(),
        attendee: Box::new(Attendee { external: "7".into(), company: "Acme".into(), job: "Baker".into(), ..Attendee::default() }),
        badges: vec![],
        takes_account: true,
    });
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok, "waits");
    assert_eq!(venue.scan("gate", "alice"), ScanReason::Ok, "nobody meets themselves");
    venue.now_ms += 9_000;
    let met = venue.scans("gate", vec![tap("bob")]).remove(0);
    assert_eq!((met.reason, met.conversation), (ScanReason::Ok, Some(conversation("dm~alice~bob"))));
    assert_eq!(venue.said("dm~alice~bob"), [pair("alice", "alice"), pair("bob", "bob\nBaker, Acme")]);
    assert_eq!(venue.said("inbox~bob"), [pair("alice", "invited"), pair("alice", "contact alice met")]);
    assert_eq!(venue.said("inbox~alice"), [pair("bob", "invited"), pair("bob", "contact bob met")]);
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Met), Some(Acquaintance::Met)));
    assert_eq!((venue.scan("gate", "bob"), venue.scan("gate", "alice")), (ScanReason::Ok, ScanReason::Ok));
    assert_eq!(venue.said("dm~alice~bob").len(), 2, "they know each other");
    venue.scan("gate", "alice");
    venue.now_ms += 10_001;
    assert_eq!(venue.scans("gate", vec![tap("carol")]).remove(0).conversation, None, "too late: carol waits");
    venue.does("alice", Action::Block { user: uid("carol"), on: true }).unwrap();
    assert_eq!(venue.scan("gate", "alice"), ScanReason::NotAllowed);
    assert_eq!(venue.state("carol", "alice"), None);
    venue.is_good();
}

#[test]
fn the_times_of_the_taps_decide_who_meets() {
    let mut venue = Venue::new();
    venue.set("gate", settings(Mode::Meet, None));
    let at = |badge: &str, at_ms: u64| Tap { at_ms, ..tap(badge) };
    // Uploaded at once, after an hour offline.
    let then = NOW_MS - 3_600_000;
    let taps = vec![
        at("alice", then),
        at("bob", then + 10_000),
        at("carol", then + 30_000),
        at("alice", then + 41_000),
        at("carol", then + 50_000),
    ];
    let met: Vec<_> = venue.scans("gate", taps).into_iter().map(|scanned| scanned.conversation.map(|id| id.to_string())).collect();
    let met: Vec<_> = met.iter().map(Option::as_deref).collect();
    assert_eq!(met, [None, Some("dm~alice~bob"), None, None, Some("dm~alice~carol")]);
}

#[test]
fn one_asks_and_the_other_says_yes() {
    use ContactDeed::{Accept, Ask as AskFor, Decline, Remove};
    let mut venue = Venue::new();
    let deed = |user: &str, deed| Action::Contact { user: uid(user), deed };
    assert_eq!(venue.scan("alice", "bob"), ScanReason::Ok);
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Asked), Some(Acquaintance::WasAsked)));
    assert_eq!(venue.said("inbox~bob"), [pair("alice", "contact alice was_asked")]);
    venue.scan("alice", "bob");
    assert_eq!(venue.said("inbox~bob").len(), 1, "asked once");
    assert_eq!(venue.does("alice", deed("bob", Accept)), Err(Reason::NotAsked));
    assert_eq!(venue.does("carol", deed("bob", Decline)), Err(Reason::NotAsked));
    assert_eq!(venue.does("alice", deed("alice", AskFor)), Err(Reason::InvalidParams));
    assert_eq!(venue.does("alice", deed("gate", AskFor)), Err(Reason::NotAllowed));
    assert_eq!(venue.does("gate", deed("alice", AskFor)), Err(Reason::NotAllowed));
    venue.does("bob", deed("alice", Decline)).unwrap();
    venue.does("alice", deed("bob", AskFor)).unwrap();
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (Some(Acquaintance::Asked), None), "not told, nor asked again");
    assert_eq!(venue.said("inbox~bob").len(), 1);
    let back = venue.scans("bob", vec![tap("alice")]).remove(0);
    assert_eq!(back.conversation, Some(conversation("dm~alice~bob")), "bob wants it after all");
    assert_eq!(venue.said("dm~alice~bob").len(), 2);
    assert_eq!(venue.reader().contacts(CONF, &uid("alice"), None, 10).unwrap().0.len(), 1);
    venue.does("alice", deed("bob", Remove)).unwrap();
    assert_eq!((venue.state("alice", "bob"), venue.state("bob", "alice")), (None, None));
    venue.does("carol", deed("bob", AskFor)).unwrap();
    let met = venue.does("bob", deed("carol", Accept)).unwrap();
    assert!(matches!(met, Outcome::Added { conversation, .. } if conversation.as_str() == "dm~bob~carol"));
    venue.does("alice", Action::Block { user: uid("carol"), on: true }).unwrap();
    assert_eq!((venue.scan("carol", "alice"), venue.scan("alice", "alice")), (ScanReason::NotAllowed, ScanReason::NotAllowed));
    venue.is_good();
}

#[test]
fn an_exhibitor_has_a_visitors_contact_until_it_is_withdrawn() {
    let mut venue = Venue::new();
    venue.set("hall", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    venue.set("bob", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    assert_eq!((venue.scan("hall", "alice"), venue.scan("bob", "alice")), (ScanReason::Ok, ScanReason::Ok));
    assert_eq!(venue.said("inbox~alice"), [pair("hall", "lead carol")], "told once");
    assert_eq!(venue.scan("hall", "carol"), ScanReason::NotAllowed, "nobody is their own lead");
    let lead = venue.reader().lead(CONF, &uid("carol"), &uid("alice")).unwrap().unwrap();
    assert_eq!((lead.scans, lead.by.as_str(), lead.last_ms - lead.since_ms), (2, "bob", 1000));
    let notes = LeadNotes { rating: 5, note: "call back".into(), tags: vec!["hot".into()] };
    let note = |notes: &LeadNotes| Action::NoteLead { owner: Some(uid("carol")), user: uid("alice"), notes: notes.clone() };
    assert_eq!(venue.does("alice", note(&notes)), Err(Reason::NotAllowed));
    for (who, rating) in [("carol", 3), ("stan", 4), ("bob", 5)] {
        venue.does(who, note(&LeadNotes { rating, ..notes.clone() })).unwrap();
    }
    assert_eq!(venue.does("bob", note(&LeadNotes { rating: 6, ..notes.clone() })), Err(Reason::InvalidParams));
    assert_eq!(venue.does("bob", note(&LeadNotes { tags: vec!["x".into(); 17], ..notes.clone() })), Err(Reason::TooLarge));
    venue.scan("hall", "alice");
    let (leads, _) = venue.reader().leads(CONF, &uid("carol"), None, 10).unwrap();
    assert_eq!((leads.len(), &leads[0].record.notes), (1, &notes), "notes stay");
    let (holders, _) = venue.reader().holders(CONF, &uid("alice"), None, 10).unwrap();
    assert_eq!((holders.len(), &*holders[0].name, holders[0].record.scans), (1, "carol", 3));
    let release = Action::DropLead { owner: uid("carol"), user: uid("alice") };
    assert_eq!(venue.does("hall", Action::DropLead { owner: uid("stan"), user: uid("alice") }), Err(Reason::NotAllowed));
    venue.does("alice", release.clone()).unwrap();
    assert_eq!(venue.does("alice", release), Err(Reason::UnknownLead));
    assert!(venue.reader().leads(CONF, &uid("carol"), None, 10).unwrap().0.is_empty());
    venue.does("alice", Action::Block { user: uid("carol"), on: true }).unwrap();
    assert_eq!(venue.scan("hall", "alice"), ScanReason::NotAllowed);
    venue.is_good();
}

#[test]
fn a_conversation_is_told_who_is_there() {
    let mut venue = Venue::new();
    venue.set("gate", settings(Mode::Announce, Some("talk")));
    venue.scan("gate", "alice");
    venue.set("gate", ReaderSettings { text: "Welcome {name}! {name} speaks at 5.".into(), ..settings(Mode::Announce, Some("talk")) });
    assert_eq!(venue.scan("gate", "bob"), ScanReason::Ok);
    assert_eq!(venue.said("talk"), [pair("gate", "alice is here."), pair("gate", "Welcome bob! bob speaks at 5.")]);
    let page = venue.reader().page(&venue.found("talk"), crate::reader::Toward::Newer(0), 9, &[]).unwrap();
    assert!(page.events.iter().all(|event| event.entry.via == Via::Badge));
    venue.is_good();
}

#[test]
fn who_scans_decides_what_for() {
    let mut venue = Venue::new();
    let scan = |mode, id: Option<&str>| Action::Scan {
        mode,
        conversation: id.map(conversation),
        taps: vec![tap("bob")],
        raw: None,
        packet: Reuse::NewMessage,
    };
    let refused = Err(Reason::NotAllowed);
    assert_eq!(venue.does("alice", scan(Some(Mode::Checkin), None)), refused);
    assert_eq!(venue.does("alice", scan(None, Some("talk"))), refused);
    assert_eq!(venue.does("gate", scan(Some(Mode::Lead), None)), refused);
    assert!(venue.does("gate", scan(Some(Mode::Checkin), None)).is_ok(), "what it is set to");
    assert!(venue.does("stan", scan(Some(Mode::Session), Some("talk"))).is_ok());
    assert_eq!(venue.attendance("bob"), (true, 1, 0));
    venue.set("alice", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    assert!(venue.does("alice", scan(None, None)).is_ok());
    assert_eq!(venue.reader().leads(CONF, &uid("carol"), None, 9).unwrap().0.len(), 1);
    assert!(venue.does("alice", scan(Some(Mode::Meet), None)).is_ok(), "who has a handheld meets people, too");
    assert_eq!(venue.state("alice", "bob"), Some(Acquaintance::Asked));
    venue.system(Action::AddUser { uid: uid("robot"), name: None, role: UserRole::Service, credentials: None });
    assert_eq!(venue.does("robot", scan(None, None)), refused);
    venue.system(assign("gates", "gate"));
    assert_eq!(venue.scan("hall", "gates"), ScanReason::NotAllowed, "readers do not come");
    assert_eq!(venue.does("alice", Action::Open { with: uid("gate") }), refused, "nor does one chat with them");
}

#[test]
fn what_is_uploaded_again_counts_once_and_gets_its_first_result() {
    let mut venue = Venue::new();
    venue.set("hall", settings(Mode::Session, Some("talk")));
    let with_id = Tap { id: "77".into(), ..tap("alice") };
    let with_time = Tap { at_ms: NOW_MS - 86_400_000, ..tap("bob") };
    for again in [false, true, true] {
        let results = venue.scans("hall", vec![with_id.clone(), with_time.clone()]);
        let told: Vec<_> = results.iter().map(|one| (one.reason, one.accepted, one.scan, &*one.name)).collect();
        let reason = if again { ScanReason::Duplicate } else { ScanReason::Ok };
        assert_eq!(told, [(reason, true, 1, "alice"), (reason, true, 2, "bob")]);
        assert_eq!(results[1].at_ms, NOW_MS - 86_400_000, "the reader's own time");
        venue.now_ms += 60_000;
    }
    assert_eq!((venue.attendance("alice").1, venue.attendance("bob").1, venue.inside()), (1, 1, 2));
    // A reader that counts from the beginning again.
    assert_eq!(venue.scans("hall", vec![Tap { id: "77".into(), ..tap("carol") }])[0].reason, ScanReason::Ok);
    // A clock that cannot be right.
    let wrong = Tap { at_ms: NOW_MS - 8 * 86_400_000, ..tap("alice") };
    assert_eq!(venue.scans("hall", vec![wrong.clone()])[0].at_ms, venue.now_ms);
    assert_eq!(venue.scans("hall", vec![wrong])[0].reason, ScanReason::Ok, "in again");
    assert_eq!(venue.scans("hall", vec![Tap { at_ms: venue.now_ms + 86_400_000, ..tap("bob") }])[0].at_ms, venue.now_ms);
    // Without id and time: what the protocol calls a repetition.
    venue.now_ms += 60_000;
    let packet = |dup| Action::Scan {
        mode: None,
        conversation: None,
        taps: vec![tap("carol")],
        raw: None,
        packet: Reuse::Packet { client: 1, id: 9, dup },
    };
    let reason = |outcome| match outcome {
        Ok(Outcome::Scanned(results)) => results[0].reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(venue.does("hall", packet(false))), ScanReason::Ok);
    assert_eq!(reason(venue.does("hall", packet(true))), ScanReason::Duplicate);
    assert_eq!(reason(venue.does("hall", packet(false))), ScanReason::Ok, "another packet with the id");
    assert_eq!(venue.world.count(b"1"), 4, "what has no id, and what was at a wrong time, is not remembered");
    // Forgotten after a week.
    venue.now_ms += crate::limits::IDEMPOTENCY_MS + 1;
    let mut from = Vec::new();
    while let Outcome::Continue(next) = venue.system(Action::Sweep { from }) {
        from = next;
    }
    assert_eq!(venue.world.count(b"1"), 0);
    venue.is_good();
}

#[test]
fn what_a_reader_sent_and_what_it_is_told_is_published_in_one_command() {
    let mut venue = Venue::new();
    let raw = Publication {
        realm: Realm::Badges,
        topic: "conf/demo/badge/gate/scan".into(),
        payload: bytes::Bytes::from_static(b"{}"),
        qos: 1,
        retain: false,
        expires_ms: u64::MAX,
        properties: None,
    };
    let taps = vec![tap("alice"), tap("nobody")];
    venue.does("gate", Action::Scan { mode: None, conversation: None, taps, raw: Some(Arc::new(raw)), packet: Reuse::NewMessage }).unwrap();
    let topics: Vec<_> = venue.said("topics~").into_iter().map(|(_, topic)| topic).collect();
    assert_eq!(topics, ["conf/demo/badge/gate/scan", "conf/demo/badge/gate/result", "conf/demo/badge/gate/result"]);
    let payload = |venue: &Venue, seq: usize| {
        let page = venue.reader().page(&venue.found("topics~"), crate::reader::Toward::Newer(0), 9, &[]).unwrap();
        match &page.events[seq].entry.body {
            Body::Publication(publication) => String::from_utf8(publication.payload.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        payload(&venue, 1),
        r#"{"accepted":true,"reason":"ok","badge":"alice","user":"alice","name":"alice","mode":"checkin","scan":1,"ts":"2027-01-15T08:00:00.000Z"}"#
    );
    assert_eq!(
        payload(&venue, 2),
        r#"{"accepted":false,"reason":"unknown_badge","badge":"nobody","mode":"checkin","scan":2,"ts":"2027-01-15T08:00:00.000Z"}"#
    );
    venue.does("stan", scan_of(vec![tap("alice")])).unwrap();
    assert_eq!(venue.said("topics~").len(), 3, "people are answered");
    venue.erase("alice");
    assert_eq!((payload(&venue, 1).as_str(), payload(&venue, 0).as_str()), ("", "{}"), "what names the erased is gone");
}

#[test]
fn an_import_is_the_same_however_often() {
    let mut venue = Venue::new();
    let row = |company: &str, badge: &str| Action::ImportAttendee {
        uid: uid("dora"),
        name: "Dora".into(),
        attendee: Box::new(Attendee { external: "A1".into(), company: company.into(), ..Attendee::default() }),
        badges: vec![(code(badge), badge.into())],
        takes_account: false,
    };
    let done = |change| Ok(Outcome::Imported { uid: uid("dora"), change });
    assert_eq!(venue.does("alice", row("Acme", "b1")), Err(Reason::StaffOnly));
    assert_eq!(venue.does("stan", row("Acme", "b1")), done(Imported::Added));
    assert_eq!(venue.does("stan", row("Acme", "b1")), done(Imported::Unchanged));
    venue.does("dora", Action::UpdateProfile { name: Some("Dorothea".into()), about: None }).unwrap();
    assert_eq!(venue.does("stan", row("Bros", "b1")), done(Imported::Changed));
    assert_eq!(&*venue.reader().user(CONF, &uid("dora")).unwrap().unwrap().name, "Dorothea");
    assert_eq!(venue.does("stan", row("Bros", "b2")), done(Imported::Changed), "one more badge");
    venue.does("stan", Action::RevokeBadge { code: code("b1"), on: true }).unwrap();
    assert_eq!(venue.does("stan", row("Bros", "b1")), done(Imported::Unchanged));
    assert_eq!(venue.scan("gate", "b1"), ScanReason::Revoked, "an import revives nothing");
    assert_eq!(venue.does("stan", row("Else", "alice")), Err(Reason::Taken), "another's badge");
    assert_eq!(&*venue.reader().attendee(CONF, &uid("dora")).unwrap().unwrap().company, "Bros", "and nothing of the row is done");
    let other = |uid_: &str, external: &str| Action::ImportAttendee {
        uid: uid(uid_),
        name: "X".into(),
        attendee: Box::new(Attendee { external: external.into(), ..Attendee::default() }),
        badges: vec![],
        takes_account: true,
    };
    assert_eq!(venue.does("stan", other("dora", "A2")), Err(Reason::Taken), "another ticket wants the same uid");
    let thought_up = match other("alice", "A5") {
        Action::ImportAttendee { uid, name, attendee, badges, .. } => {
            Action::ImportAttendee { uid, name, attendee, badges, takes_account: false }
        }
        other => other,
    };
    assert_eq!(venue.does("stan", thought_up), Err(Reason::Taken), "alice made her account herself");
    assert_eq!(venue.does("stan", other("gate", "A3")), Err(Reason::Taken));
    assert_eq!(venue.does("stan", other("else", "A1")), done(Imported::Changed), "the ticket says who it is");
    assert_eq!(venue.does("stan", other("alice", "A4")), Ok(Outcome::Imported { uid: uid("alice"), change: Imported::Changed }));
    assert_eq!(venue.reader().attendee_of_ticket(CONF, "A4").unwrap(), Some(uid("alice")));
    assert_eq!(venue.reader().badge_totals(CONF).unwrap().attendees, 4);
    venue.erase("dora");
    assert_eq!(venue.reader().attendee(CONF, &uid("dora")).unwrap(), None);
    assert_eq!(venue.does("stan", row("Bros", "b1")), Err(Reason::Taken), "who was erased is not made again");
    assert_eq!(venue.reader().badge_totals(CONF).unwrap().attendees, 3);
}

#[test]
fn an_erasure_takes_everything_along() {
    let mut venue = Venue::new();
    venue.set("hall", settings(Mode::Session, Some("talk")));
    venue.set("bob", ReaderSettings { owner: Some(uid("carol")), ..settings(Mode::Lead, None) });
    venue.set("alice", ReaderSettings { owner: Some(uid("alice")), ..settings(Mode::Lead, None) });
    venue.system(Action::ImportAttendee {
        uid: uid("alice"),
        name: "x".into(),
        attendee: Box::new(Attendee { external: "7".into(), ..Attendee::default() }),
        badges: vec![],
        takes_account: true,
    });
    for (reader, badge) in [("gate", "alice"), ("hall", "alice"), ("hall", "bob"), ("bob", "alice"), ("alice", "bob")] {
        assert_eq!(venue.scan(reader, badge), ScanReason::Ok);
    }
    venue.does("alice", Action::Contact { user: uid("bob"), deed: ContactDeed::Ask }).unwrap();
    venue.does("bob", Action::Contact { user: uid("alice"), deed: ContactDeed::Accept }).unwrap();
    venue.does("carol", Action::Contact { user: uid("alice"), deed: ContactDeed::Ask }).unwrap();
    venue.erase("alice");
    let (inside, totals) = (venue.inside(), venue.reader().badge_totals(CONF).unwrap());
    assert_eq!((inside, totals.checked_in, totals.attendees), (1, 0, 2));
    // bob's and carol's badges; two readers; nothing of the others; bob at the session and in the counts.
    let left: Vec<_> = b"AJdHLMNO456".iter().map(|kind| venue.world.count(&[*kind])).collect();
    assert_eq!(left, [2, 2, 2, 0, 0, 0, 1, 0, 0, 1, 2], "and whose ticket it was, as a hash");
    assert_eq!(venue.scan("gate", "alice"), ScanReason::UnknownBadge);
}

/// Scans at three readers, as small numbers: reader, badge, direction, id, seconds.
fn story() -> impl Strategy<Value = Vec<(u8, u8, u8, u8, u16)>> {
    prop::collection::vec((0..3u8, 0..5u8, 0..3u8, 0..4u8, 0..20u16), 1..60)
}

fn told(story: &[(u8, u8, u8, u8, u16)]) -> Vec<(Actor, Action)> {
    let tap_of = |(_, badge, way, id, _): &(u8, u8, u8, u8, u16)| Tap {
        direction: [None, Some(Way::Enter), Some(Way::Exit)][usize::from(*way)],
        id: if *id == 0 { "".into() } else { id.to_string().into() },
        ..tap(["alice", "bob", "carol", "nobody", "lost"][usize::from(*badge)])
    };
    let reader = |n: u8| actor(["gate", "hall", "bob"][usize::from(n)]);
    story.iter().map(|one| (reader(one.0), scan_of(vec![tap_of(one)]))).collect()
}

proptest! {
    #[test]
    fn what_is_counted_is_what_a_count_gives_whatever_the_batches(story in story(), cut in 1..60usize) {
        let prepared = || {
            let mut venue = Venue::new();
            venue.set("hall", ReaderSettings { capacity: 2, ..settings(Mode::Session, Some("talk")) });
            venue.set("bob", ReaderSettings { owner: Some(uid("stan")), ..settings(Mode::Lead, None) });
            venue.does("stan", assign("lost", "carol")).unwrap();
            venue.does("stan", Action::RevokeBadge { code: code("lost"), on: true }).unwrap();
            venue.world
        };
        let (mut world, commands) = (prepared(), told(&story));
        let mut results = Vec::new();
        for command in &commands {
            match world.batch(vec![command.clone()]).remove(0) {
                Ok(Outcome::Scanned(mut scanned)) => results.append(&mut scanned),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let reader = world.reader();
        let totals = reader.badge_totals(CONF).unwrap();
        let arrived = results.iter().filter(|one| one.mode == Mode::Checkin && one.reason == ScanReason::Ok).count();
        prop_assert_eq!(totals.checked_in as usize, arrived);
        prop_assert_eq!(totals.scans as usize, results.iter().filter(|one| one.reason != ScanReason::Duplicate).count());
        let leads: u32 = reader.leads(CONF, &uid("stan"), None, 99).unwrap().0.iter().map(|lead| lead.record.scans).sum();
        prop_assert_eq!(leads as usize, results.iter().filter(|one| one.mode == Mode::Lead && one.reason == ScanReason::Ok).count());
        let talk = reader.conversation(CONF, &conversation("talk")).unwrap().unwrap();
        prop_assert!(reader.occupancy(CONF, talk.record.no).unwrap().inside <= 2);
        let report = crate::backup::check::checked(&*world.state);
        prop_assert!(report.is_good(), "{}", report);
        // A replay has other batches.
        let mut again = prepared();
        for batch in commands.chunks(cut) {
            again.batch(batch.to_vec());
        }
        prop_assert_eq!(again.store.snapshot(), world.store.snapshot());
    }
}
