//! What users ask for: messages with client ids that are sent until they are answered, and everything else once.

use std::sync::Arc;

use hallway_broker::command::{Action, Actor, Command, Demanded, Draft, Reuse};
use hallway_broker::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use hallway_broker::model::{Access, Kind, MemberRole, NodeSettings, SignIn, UserRole, Via};
use hallway_broker::queue::{Answer, ReplyTo, Submission, Ticket};

use crate::client::Device;
use crate::world::World;

/// Something that a device asks for.
pub struct Op {
    pub device: usize,
    pub action: Action,
    /// Until it is answered, over connections and crashes.
    pub retry: bool,
    pub waiting: Option<u32>,
    pub answer: Option<Answer>,
    pub done: bool,
}

/// Users of each conference.
const USERS: [&[(&str, UserRole)]; 2] = [
    &[
        ("ann", UserRole::Attendee),
        ("ben", UserRole::Attendee),
        ("cat", UserRole::Attendee),
        ("dan", UserRole::Attendee),
        ("sue", UserRole::Staff),
    ],
    &[("ann", UserRole::Attendee), ("tom", UserRole::Organiser)],
];
/// The conference that is forgotten at times, in which nobody reads.
const FORGOTTEN: u32 = 3;

/// Who made the crew.
fn organiser(users: &[(&str, UserRole)]) -> Actor {
    Actor { uid: users.last().map_or_else(Uid::system, |(name, _)| uid(name)), via: Via::Ws, session: 0 }
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn conversation(text: &str) -> ConversationId {
    ConversationId::parse(text).unwrap()
}

impl World {
    /// Conferences, users and the first conversations, made as the command line makes them.
    pub fn populate(&mut self) {
        for (no, users) in (1..).zip(USERS) {
            self.by_system(0, conference(&format!("c{no}")));
            for (name, role) in users {
                self.by_system(no, Action::AddUser { uid: uid(name), name: None, role: *role, credentials: None });
                for _ in 0..1 + self.rng.below(2) {
                    let all = self.rng.chance(250);
                    self.devices.push(Device::new(no, uid(name), all));
                }
            }
            let create = |kind, id: &str, members| Action::Create { kind, id: conversation(id), title: String::new(), members };
            self.by_system(no, create(Kind::Channel, "lobby", Vec::new()));
            self.by_system(no, create(Kind::Announcements, "news", Vec::new()));
            let members = users.iter().map(|(name, _)| uid(name)).take(3).collect();
            self.by(no, organiser(users), create(Kind::Group, "crew", members));
        }
        self.by_system(0, conference("c3"));
        self.by_system(FORGOTTEN, Action::AddUser { uid: uid("zoe"), name: None, role: UserRole::Staff, credentials: None });
        self.step_log();
        while !self.node.logged.is_empty() || self.node.applied.is_some() {
            self.step_apply();
        }
        while !self.node.backbone.is_empty() {
            self.node.dispatch(100);
        }
    }

    /// A command of the server itself that nobody waits for.
    pub fn by_system(&mut self, conf: u32, action: Action) {
        self.by(conf, Actor::system(), action);
    }

    /// A command that nobody waits for.
    fn by(&mut self, conf: u32, actor: Actor, action: Action) {
        let command = Command { conf: ConfNo(conf), actor, at_ms: 0, action };
        self.node.queue.push(vec![Submission { command, reply: ReplyTo::Nobody, since_us: 0 }]).unwrap();
    }

    /// What organisers and the server do from time to time.
    pub fn administrate(&mut self) {
        for conf in [1, 2] {
            for uid in hallway_broker::apply::erasures(&*self.node.state, ConfNo(conf)).unwrap() {
                self.by_system(conf, Action::Erase { uid });
            }
        }
        let staff = Actor { uid: uid("zoe"), via: Via::Ws, session: 9 };
        match self.rng.below(48) {
            10..18 => self.put_out_and_back(),
            18..26 => self.keep_something(),
            0 => {
                let at = self.rng.below(self.devices.len());
                let (conf, uid) = (self.devices[at].conf, self.devices[at].uid.clone());
                self.note(|| format!("{uid} of {conf} is to be erased"));
                self.by_system(conf, Action::Erase { uid });
            }
            1 => {
                self.note(|| "conference 3 is to be forgotten".into());
                self.by_system(FORGOTTEN, Action::RemoveConference);
            }
            2..6 => {
                let at = self.rng.below(self.devices.len());
                let (conf, uid) = (self.devices[at].conf, self.devices[at].uid.clone());
                let mut hash = [0; 16];
                hash[..8].copy_from_slice(&self.rng.next().to_be_bytes());
                self.by_system(conf, Action::IssueToken { uid, hash, expires_ms: u64::MAX });
            }
            6 => {
                let at = self.rng.below(self.devices.len());
                let (conf, uid) = (self.devices[at].conf, self.devices[at].uid.clone());
                let keys = hallway_broker::model::ScramKeys { salt: vec![1], iterations: 1, stored_key: vec![1], server_key: vec![1] };
                let credentials = hallway_broker::model::Credentials { sha1: keys.clone(), sha256: keys };
                self.note(|| format!("{uid} of {conf} gets a new password"));
                self.by_system(conf, Action::SetPassword { uid, credentials });
            }
            7..10 => {
                let id = format!("room-{}", self.rng.below(3));
                let action = Action::Create { kind: Kind::Channel, id: conversation(&id), title: String::new(), members: Vec::new() };
                self.by(FORGOTTEN, staff, action);
            }
            _ => {
                let id = format!("room-{}", self.rng.below(3));
                let draft = self.draft(conversation(&id));
                self.by(FORGOTTEN, staff, Action::Send(draft));
            }
        }
    }

    /// Somebody keeps an item, lets one or a node of them go, or blocks somebody for a while.
    fn keep_something(&mut self) {
        let device = self.rng.below(self.devices.len());
        let (conf, user) = (self.devices[device].conf, self.devices[device].uid.clone());
        let (node, id): (Arc<str>, Arc<str>) = (format!("n{}", self.rng.below(2)).into(), format!("i{}", self.rng.below(6)).into());
        let action = match self.rng.below(8) {
            0 => Action::DropNode { node, keep: self.rng.chance(500) },
            1 => Action::DropItem { node, id },
            2 => {
                let other = self.rng.below(self.devices.len());
                Action::Block { user: self.devices[other].uid.clone(), on: self.rng.chance(300) }
            }
            _ => {
                let payload = "x".repeat(self.rng.below(3000)).into();
                let settings = NodeSettings { access: Access::Open, max_items: 3 };
                Action::KeepItem { node, id, payload, settings, demanded: Demanded::default() }
            }
        };
        self.by(conf, Actor { uid: user, via: Via::Xmpp, session: 0 }, action);
    }

    /// Somebody is put out of the crew, and mostly comes back at once.
    fn put_out_and_back(&mut self) {
        let device = self.rng.below(self.devices.len());
        let (conf, user) = (self.devices[device].conf, self.devices[device].uid.clone());
        let crew = conversation("crew");
        self.note(|| format!("{user} of {conf} is to be put out of the crew"));
        let owner = organiser(USERS[conf as usize - 1]);
        self.by(conf, owner.clone(), Action::Remove { conversation: crew.clone(), user: user.clone(), ban: self.step.is_multiple_of(2) });
        if self.rng.chance(600) {
            return;
        }
        self.by(conf, owner, Action::Invite { conversation: crew.clone(), user: user.clone() });
        self.by(conf, Actor { uid: user, via: Via::Ws, session: 0 }, Action::Join { conversation: crew });
    }

    fn draft(&mut self, conversation: ConversationId) -> Draft {
        let number = self.rng.next();
        let length = if self.rng.chance(self.plan.long) { 120 + self.rng.below(60) } else { self.rng.below(10) };
        let mut mentions: Vec<Arc<str>> = Vec::new();
        if self.rng.chance(150) {
            mentions.push(self.rng.pick(&["ann", "ben", "sue", "nobody"]).copied().unwrap_or("ann").into());
        }
        Draft {
            conversation,
            client_id: if self.rng.chance(50) { "".into() } else { format!("id-{number:x}").into() },
            reuse: if self.rng.chance(500) { Reuse::Conflict } else { Reuse::NewMessage },
            text: format!("t{number:x}{}", "x".repeat(length)).into(),
            reply_to: self.rng.chance(50).then_some(number % 20),
            mentions,
            attachments: Vec::new(),
        }
    }

    /// A conversation of the conference, seldom one that is not there.
    pub fn some_conversation(&mut self, conf: u32, me: &Uid) -> ConversationId {
        let known: Vec<ConversationId> = self
            .truth
            .told
            .range((conf, 0)..(conf + 1, 0))
            .map(|(_, told)| told.id.clone())
            .filter(|id| id.inbox_owner().is_none())
            .collect();
        match self.rng.below(12) {
            0 => self.partner(conf).and_then(|other| ConversationId::direct(me, &other)).unwrap_or_else(|| conversation("lobby")),
            1..4 => conversation("lobby"),
            4..7 => conversation("crew"),
            _ => self.rng.pick(&known).cloned().unwrap_or_else(|| conversation("news")),
        }
    }

    fn partner(&mut self, conf: u32) -> Option<Uid> {
        let users = USERS[conf as usize - 1];
        self.rng.pick(users).map(|(name, _)| uid(name))
    }

    /// Something that a user asks for.
    fn action(&mut self, conf: u32, me: &Uid) -> Action {
        let conversation = self.some_conversation(conf, me);
        let last = self.truth.find(conf, &conversation).map_or(0, |(_, last)| last);
        let target = last.saturating_sub(self.rng.next() % 8).max(1);
        let user = self.partner(conf).unwrap_or_else(|| me.clone());
        match self.rng.below(100) {
            0..58 => Action::Send(self.draft(conversation)),
            58..64 => Action::Edit { conversation, target, text: format!("e{:x}", self.rng.next() % 4096).into() },
            64..70 => Action::Delete { conversation, target },
            70..74 => {
                let emoji = self.rng.pick(&["+1", "heart"]).copied().unwrap_or("+1").into();
                Action::React { conversation, target, emoji, on: self.rng.chance(700) }
            }
            74..79 => Action::Join { conversation },
            79..81 => Action::Leave { conversation },
            81..85 => Action::Invite { conversation, user },
            85..89 => Action::Remove { conversation, user, ban: self.rng.chance(300) },
            89 => Action::SetRole { conversation, user, role: self.rng.pick(&[MemberRole::Owner, MemberRole::Member]).copied().unwrap() },
            90..95 => Action::Read { conversation, seq: target },
            95 => Action::Open { with: user },
            96 => Action::Update { conversation, title: format!("title {}", self.rng.below(100)).into() },
            97 => {
                let id = ConversationId::parse(&format!("own-{}", self.rng.below(20))).unwrap();
                Action::Create { kind: Kind::Group, id, title: String::new(), members: vec![user] }
            }
            _ => Action::UpdateProfile { name: Some(format!("Name {}", self.rng.below(10))), about: None },
        }
    }

    /// A device asks: something new, or again what was not answered, or again what was.
    pub fn ask(&mut self, device: usize) -> bool {
        let (conf, me) = (self.devices[device].conf, self.devices[device].uid.clone());
        let open = |op: &&usize| self.ops[**op].device == device && self.ops[**op].waiting.is_none();
        let newest = if self.calm { usize::MAX } else { 60 };
        let candidates: Vec<usize> = (0..self.ops.len()).rev().take(newest).collect();
        let again = candidates.iter().filter(open).find(|op| !self.ops[**op].done).copied();
        let answered = candidates.iter().filter(open).find(|op| self.ops[**op].done && self.ops[**op].retry).copied();
        let op = match (again, answered) {
            (Some(again), _) if self.calm || self.rng.chance(600) => again,
            (_, Some(answered)) if !self.calm && self.rng.chance(80) => answered,
            _ if self.calm => return false,
            _ => {
                let action = self.action(conf, &me);
                let retry = matches!(&action, Action::Send(draft) if !draft.client_id.is_empty());
                self.ops.push(Op { device, action, retry, waiting: None, answer: None, done: false });
                self.ops.len() - 1
            }
        };
        self.submit(device, op);
        true
    }

    fn submit(&mut self, device: usize, op: usize) {
        let Some(conn) = &self.devices[device].conn else { return };
        let tag = self.next_tag;
        let ticket = Ticket { shard: u16::try_from(conn.shard).unwrap(), slot: conn.slot, session: conn.id, tag };
        let actor = Actor { uid: self.devices[device].uid.clone(), via: Via::Ws, session: conn.id };
        let command = Command { conf: ConfNo(self.devices[device].conf), actor, at_ms: 0, action: self.ops[op].action.clone() };
        self.next_tag += 1;
        self.note(|| format!("{} asks {tag}: {:?}", command.actor.uid, command.action));
        if self.ops[op].retry && self.answer_from_store(device, op) {
            return;
        }
        self.ops[op].waiting = Some(tag);
        self.tags.insert(tag, op);
        let submission = Submission { command, reply: ReplyTo::Session(ticket), since_us: 0 };
        if self.node.queue.push(vec![submission]).is_err() {
            self.ops[op].waiting = None;
        }
    }

    /// What an edge looks up before admission: a retry gets its answer although it would be refused.
    fn answer_from_store(&mut self, device: usize, op: usize) -> bool {
        let (conf, me) = (ConfNo(self.devices[device].conf), self.devices[device].uid.clone());
        let Action::Send(draft) = self.ops[op].action.clone() else { return false };
        let Ok(earlier) = self.node.reader.earlier_answer(conf, &me, &draft, self.now_ms) else { return false };
        match earlier {
            Some(answer) => {
                self.note(|| format!("… answered from the store: {answer:?}"));
                self.check_ack(conf.0, &me, &draft, &answer);
                self.ops[op].answer = Some(answer);
                self.ops[op].done = true;
                true
            }
            None => {
                let key = (conf.0, draft.conversation.to_string(), me.to_string(), draft.client_id.to_string());
                assert!(!self.acked.contains_key(&key), "an acked message whose client id is not known any more: {key:?}");
                false
            }
        }
    }
}

fn conference(id: &str) -> Action {
    Action::AddConference { id: ConferenceId::parse(id).unwrap(), title: String::new(), sign_in: SignIn::Open, epoch: 1 }
}
