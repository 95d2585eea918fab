//! The people and conversations that a cell is about: made as the cell says, then the method is called.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::table::{Cell, ROLES};
use crate::client::{Client, Outcome};
use crate::http::{self, display_name};
use crate::script::password;
use crate::server::Server;
use crate::suite::load::draft;

/// A conference that has the same kinds of people, and nothing to do with `demo`.
pub const FOREIGN: &str = "other";

/// Makes the accounts that all threads share.
pub fn people(server: &Server) -> Result<()> {
    server.cli_ok(&["conference", "add", FOREIGN, "--title", "Another", "--sign-in", "open"])?;
    let mut accounts =
        vec![("demo", "host", "staff"), ("demo", "guest", "attendee"), ("demo", "stranger", "attendee"), (FOREIGN, "alien", "attendee")];
    accounts.extend(ROLES.iter().flat_map(|role| [("demo", *role, *role), (FOREIGN, *role, *role)]));
    for (conference, uid, role) in accounts {
        let (who, name) = (format!("{conference}/{uid}"), display_name(uid));
        server.cli_ok(&["user", "add", &who, "--role", role, "--name", &name, "--password", &password(uid)])?;
    }
    Ok(())
}

/// One thread's connections.
pub struct World<'s> {
    server: &'s Server,
    // Makes conversations, moderates them.
    host: Client,
    // A plain member of every conversation, whose message is "somebody else's".
    guest: Client,
    // By role.
    askers: HashMap<&'static str, Client>,
    foreign_askers: HashMap<&'static str, Client>,
    // Something of others that may not be closed: the guest's session, and one of the other conference.
    guest_session: Value,
    alien_session: Value,
    // Keeps its session alive.
    _alien: Client,
    thread: usize,
    next: usize,
}

/// What a cell's call may name.
struct Scene {
    conversation: String,
    own_seq: u64,
    other_seq: u64,
}

fn enter(server: &Server, conference: &str, uid: &str) -> Result<(Client, Value)> {
    let token = http::login(server.http(), conference, uid, &password(uid))?;
    let mut client = crate::client::Connect::new().open(server.http())?;
    let hello = client.hello(&token)?;
    Ok((client, hello["session"].clone()))
}

impl<'s> World<'s> {
    /// Signs everybody in once more.
    pub fn new(server: &'s Server, thread: usize) -> Result<World<'s>> {
        let all =
            |conference: &str| ROLES.iter().map(|role| Ok((*role, enter(server, conference, role)?.0))).collect::<Result<HashMap<_, _>>>();
        let (guest, guest_session) = enter(server, "demo", "guest")?;
        let (alien, alien_session) = enter(server, FOREIGN, "alien")?;
        Ok(World {
            server,
            host: enter(server, "demo", "host")?.0,
            guest,
            askers: all("demo")?,
            foreign_askers: all(FOREIGN)?,
            guest_session,
            alien_session,
            _alien: alien,
            thread,
            next: 0,
        })
    }

    /// Makes the scene, and runs the cell.
    pub fn run(&mut self, cell: &Cell) -> Result<Outcome> {
        let scene = self.scene(cell).with_context(|| format!("setting the scene of {cell:?}"))?;
        let (method, params) = self.call(cell, &scene)?;
        self.asker(cell)?.call(method, &params).map_err(Into::into)
    }

    fn asker(&mut self, cell: &Cell) -> Result<&mut Client> {
        let askers = if cell.foreign { &mut self.foreign_askers } else { &mut self.askers };
        askers.get_mut(cell.role).context("no such role")
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("x{}-{}", self.thread, self.next)
    }

    // ---- The scene ----

    fn scene(&mut self, cell: &Cell) -> Result<Scene> {
        match cell.kind.as_str() {
            "person" | "foreign-person" | "new" => Ok(Scene { conversation: String::new(), own_seq: 0, other_seq: 0 }),
            "direct" => self.direct(cell),
            _ => self.open_conversation(cell),
        }
    }

    /// The asker's with the guest, or somebody else's.
    fn direct(&mut self, cell: &Cell) -> Result<Scene> {
        let with = if cell.standing == "member" && !cell.foreign { cell.role } else { "host" };
        let opened = self.guest.call_ok("conversation.open", &json!({"with": with}))?;
        let conversation = opened["conversation"].as_str().context("no conversation")?.to_owned();
        let other_seq = self.say("guest", &conversation)?;
        let own_seq = if with == "host" { 0 } else { self.say(cell.role, &conversation)? };
        Ok(Scene { conversation, own_seq, other_seq })
    }

    fn open_conversation(&mut self, cell: &Cell) -> Result<Scene> {
        let conversation = self.fresh();
        self.host.call_ok("conversation.create", &json!({"kind": cell.kind, "id": conversation, "title": "A scene"}))?;
        self.bring_in("guest", &cell.kind, &conversation)?;
        let author = if cell.kind == "announcements" { "host" } else { "guest" };
        let other_seq = self.say(author, &conversation)?;
        if cell.foreign {
            return Ok(Scene { conversation, own_seq: 0, other_seq });
        }
        let own_seq = if cell.section.ends_with(".own") {
            self.bring_in(cell.role, &cell.kind, &conversation)?;
            self.say(cell.role, &conversation)?
        } else {
            0
        };
        self.stand(cell, &conversation, own_seq > 0)?;
        Ok(Scene { conversation, own_seq, other_seq })
    }

    /// Gives the asker the cell's standing.
    fn stand(&mut self, cell: &Cell, conversation: &str, is_in: bool) -> Result<()> {
        let (role, about) = (cell.role, json!({"conversation": conversation, "user": cell.role}));
        if is_in && matches!(cell.standing, "none" | "invited") {
            self.person(role)?.call_ok("conversation.leave", &json!({"conversation": conversation}))?;
        }
        if !is_in && !matches!(cell.standing, "none" | "invited") {
            self.bring_in(role, &cell.kind, conversation)?;
        }
        let with = |member: &str, value: Value| {
            let mut params = about.clone();
            params[member] = value;
            params
        };
        match cell.standing {
            "none" | "member" => Ok(()),
            "moderator" | "owner" => self.host.call_ok("conversation.role", &with("role", json!(cell.standing))).map(drop),
            "banned" => self.host.call_ok("conversation.remove", &with("ban", json!(true))).map(drop),
            "invited" => self.host.call_ok("conversation.invite", &about).map(drop),
            other => bail!("no standing: {other}"),
        }
        .map_err(Into::into)
    }

    fn person(&mut self, uid: &str) -> Result<&mut Client> {
        match uid {
            "host" => Ok(&mut self.host),
            "guest" => Ok(&mut self.guest),
            role => self.askers.get_mut(role).context("nobody of that name"),
        }
    }

    fn bring_in(&mut self, uid: &str, kind: &str, conversation: &str) -> Result<()> {
        if kind == "group" {
            self.host.call_ok("conversation.invite", &json!({"conversation": conversation, "user": uid}))?;
        }
        self.person(uid)?.call_ok("conversation.join", &json!({"conversation": conversation}))?;
        Ok(())
    }

    fn say(&mut self, uid: &str, conversation: &str) -> Result<u64> {
        let id = self.fresh();
        let answer = self.person(uid)?.call_ok("message.send", &draft(conversation, &id, "something"))?;
        answer["seq"].as_u64().with_context(|| format!("no seq in {answer}"))
    }

    // ---- The call ----

    fn call(&mut self, cell: &Cell, scene: &Scene) -> Result<(&'static str, Value)> {
        let id = self.fresh();
        let conversation = &scene.conversation;
        let seq = if cell.section.ends_with(".own") { scene.own_seq } else { scene.other_seq };
        let about = |more: Value| {
            let mut params = json!({"conversation": conversation});
            if let (Value::Object(params), Value::Object(more)) = (&mut params, more) {
                params.extend(more);
            }
            params
        };
        Ok(match cell.section.as_str() {
            "message.send" => ("message.send", draft(conversation, &id, "x")),
            "message.send.to-all" => ("message.send", about(json!({"id": id, "text": "x", "mentions": ["*"]}))),
            "message.edit.own" | "message.edit.other" => ("message.edit", about(json!({"seq": seq, "text": "y"}))),
            "message.delete.own" | "message.delete.other" => ("message.delete", about(json!({"seq": seq}))),
            "message.react" => ("message.react", about(json!({"seq": seq, "emoji": "👍"}))),
            "message.search" => ("message.search", about(json!({"query": "something"}))),
            "conversation.update" => ("conversation.update", about(json!({"title": "Another title"}))),
            "conversation.join" => ("conversation.join", about(json!({}))),
            "conversation.leave" => ("conversation.leave", about(json!({}))),
            "conversation.invite" => ("conversation.invite", about(json!({"user": "stranger"}))),
            "conversation.remove" => ("conversation.remove", about(json!({"user": "guest"}))),
            "conversation.role" => ("conversation.role", about(json!({"user": "guest", "role": "moderator"}))),
            "conversation.members" => ("conversation.members", about(json!({}))),
            "conversation.subscribe" => ("conversation.subscribe", about(json!({"after": 0}))),
            "conversation.history" => ("conversation.history", about(json!({}))),
            "conversation.read" => ("conversation.read", about(json!({"seq": seq}))),
            "conversation.typing" => ("conversation.typing", about(json!({"on": true}))),
            "attendance.list" => ("attendance.list", about(json!({}))),
            "reader.set.session" => ("reader.set", about(json!({"reader": "stranger", "mode": "session"}))),
            "conversation.notify" => ("conversation.notify", about(json!({"level": "all"}))),
            "push.settings" => ("push.settings", json!({"content": true})),
            "push.unregister" => ("push.unregister", json!({"target": "00112233445566778899aabbccddeeff"})),
            "push.dead" => ("push.dead", json!({})),
            "push.replay" => ("push.replay", json!({"letters": [1]})),
            section => self.call_about_people(section, cell)?,
        })
    }

    fn call_about_people(&mut self, section: &str, cell: &Cell) -> Result<(&'static str, Value)> {
        let id = self.fresh();
        let is_foreign = cell.kind == "foreign-person";
        let user = if is_foreign { "alien" } else { "stranger" };
        Ok(match section {
            "conversation.open" => ("conversation.open", json!({"with": user})),
            "conversation.create.channel" => ("conversation.create", json!({"kind": "channel", "id": id})),
            "conversation.create.group" => ("conversation.create", json!({"kind": "group", "id": id})),
            "conversation.create.announcements" => ("conversation.create", json!({"kind": "announcements", "id": id})),
            "people.get" => ("people.get", json!({"user": user})),
            "people.block" => ("people.block", json!({"user": user, "on": false})),
            "people.export" => ("people.export", json!({"user": user})),
            "people.erase" if is_foreign => ("people.erase", json!({"user": user})),
            "people.erase" => {
                http::register(self.server.http(), &id, &password(&id))?;
                ("people.erase", json!({"user": id}))
            }
            "session.close" => {
                let session = if is_foreign { &self.alien_session } else { &self.guest_session };
                ("session.close", json!({"session": session}))
            }
            other => return self.call_about_badges(other, user),
        })
    }

    /// What is done at the registration desk and with badges. Whatever must be there for it, the host, who is of the staff, has done before.
    fn call_about_badges(&mut self, section: &str, user: &str) -> Result<(&'static str, Value)> {
        let badge = self.fresh();
        let about = json!({"user": user});
        Ok(match section {
            "badge.assign" => ("badge.assign", json!({"badge": badge, "user": user})),
            "badge.revoke" => {
                self.host.call_ok("badge.assign", &json!({"badge": badge, "user": "stranger"}))?;
                ("badge.revoke", json!({"badge": badge}))
            }
            "badge.list" => ("badge.list", json!({})),
            "badge.list.user" => ("badge.list", about),
            "badge.mine" => ("badge.mine", json!({})),
            "badge.scan" => ("badge.scan", json!({"code": badge})),
            "badge.scan.meet" => ("badge.scan", json!({"code": badge, "mode": "meet"})),
            "badge.scan.checkin" => ("badge.scan", json!({"code": badge, "mode": "checkin"})),
            "reader.set" => ("reader.set", json!({"reader": user, "mode": "checkin"})),
            "reader.remove" => {
                self.host.call_ok("reader.set", &json!({"reader": "stranger", "mode": "checkin"}))?;
                ("reader.remove", json!({"reader": user}))
            }
            "reader.list" => ("reader.list", json!({})),
            "checkin.list" => ("checkin.list", json!({})),
            "checkin.count" => ("checkin.count", json!({})),
            "checkin.undo" => ("checkin.undo", about),
            "contact.list" => ("contact.list", json!({})),
            "contact.ask" => ("contact.ask", about),
            "contact.accept" => ("contact.accept", about),
            "contact.decline" => ("contact.decline", about),
            "contact.remove" => ("contact.remove", about),
            "lead.list.own" => ("lead.list", json!({})),
            "lead.list.other" => ("lead.list", json!({"owner": user})),
            "lead.update.own" => ("lead.update", json!({"user": user, "rating": 3})),
            "lead.update.other" => ("lead.update", json!({"user": "guest", "owner": user, "rating": 3})),
            "lead.remove.own" => ("lead.remove", about),
            "lead.remove.other" => ("lead.remove", json!({"user": "guest", "owner": user})),
            "lead.export.own" => ("lead.export", json!({})),
            "lead.export.other" => ("lead.export", json!({"owner": user})),
            "lead.holders" => ("lead.holders", json!({})),
            "lead.withdraw" => ("lead.withdraw", json!({"owner": user})),
            "attendee.import" => ("attendee.import", json!({"csv": format!("name,id\nNobody In Particular,{badge}\n"), "dry_run": true})),
            other => return Err(anyhow!("nobody knows how to call [{other}]")),
        })
    }
}
