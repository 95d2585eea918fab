//! Badges, command by command and mode by mode: a venue that the stories beside this file are told of.

mod announce;
mod attendance;
mod checkin;
mod codes;
mod counts;
mod erasure;
mod import;
mod lead;
mod meet;
mod reckoning;
mod scan;
mod session;
mod traces;

use super::*;
use crate::badges::{own_code, whose};
use crate::command::Reuse;
use crate::ids::key_for;
use crate::model::{
    Acquaintance, Attendee, BadgeCode, ContactDeed, Direction as Way, GivenBadge, Imported, LeadNotes, Mode, Publication, ReaderSettings,
    Realm, ScanReason, Scanned, Tap,
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

fn given(text: &str) -> GivenBadge {
    GivenBadge { code: code(text), same: vec![], shown: text.into() }
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
        let attendance = self.reader().attendance(CONF, no, &uid(who)).unwrap().unwrap_or_default().stay;
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
    Action::AssignBadge { badge: given(badge), user: uid(user) }
}

fn pair(name: &str, what: &str) -> (String, String) {
    (name.to_owned(), what.to_owned())
}
