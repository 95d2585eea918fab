//! The venue from the import to the last scan.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::format::Family;
use super::mosquitto::{BRIDGE, Mosquitto};
use super::people::{self, Mint, Person};
use super::plan::{BadBadges, Message, Plan, Planner, REGULARS, Scale};
use super::posts::{EXHIBITORS, GREETING, HALLS, Mode, POSTS, STAGE, Way};
use super::reader::{Reader, Shift, Stage};
use super::verdict;
use crate::client::Client;
use crate::http;
use crate::script::password;
use crate::server::{Options, Server};
use crate::suite::Report;

/// What may pass after the last scan until everything is answered.
const AFTERWARDS: Duration = Duration::from_secs(60);
/// What was held up while something was down is through within this.
const THROUGH_WITHIN: Duration = Duration::from_secs(15);
/// The venue's broker stays away so long.
const AWAY: Duration = Duration::from_millis(800);
/// Requests that are sent without waiting.
const PIPELINE: usize = 200;

/// Who works at the venue and what is open there.
pub struct Venue {
    /// Hallway.
    pub server: Server,
    /// The venue's broker.
    pub mosquitto: Mosquitto,
    /// Everybody with a ticket.
    pub people: Vec<Person>,
    /// Their uids.
    pub uids: Vec<String>,
    bad: BadBadges,
    rng: StdRng,
}

/// Sets up, plays, compares.
pub fn run(scale: &Scale, seed: u64, report: &mut Report) {
    let mut venue = None;
    report.check("venue: attendees from a ticket shop's list, readers and badges", || {
        let (made, told) = Venue::open(scale, seed)?;
        venue = Some(made);
        Ok(told)
    });
    let Some(mut venue) = venue else { return };
    let mut played = None;
    report.check("venue: 20 readers, both brokers restarted, every scan answered", || {
        let (plan, shifts) = venue.play(scale).map_err(|error| anyhow!("{error:#}\n{}", venue.server.stderr_tail(20)))?;
        let told = verdict::told(&plan, &shifts)?;
        played = Some(plan);
        Ok(told)
    });
    let Some(plan) = played else { return };
    verdict::run(&venue, &plan.model, report);
    report.check("venue: the server ends well", || {
        venue.server.terminate()?;
        let log = venue.server.stderr_tail(2000);
        ensure!(!log.contains("panicked"), "something panicked:\n{log}");
        Ok(String::new())
    });
}

impl Venue {
    fn open(scale: &Scale, seed: u64) -> Result<(Self, String)> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut server = Server::prepare(Options::new().without_rates())?;
        let mosquitto = Mosquitto::start(&server.scratch().join("mosquitto"))?;
        server.configure(&configuration(&mosquitto))?;
        server.restart()?;
        let mut mint = Mint::default();
        let people = people::attendees(scale.attendees, &mut mint, &mut rng);
        let bad = BadBadges::some(&mut mint, &mut rng);
        let mut venue = Self { server, mosquitto, people, uids: Vec::new(), bad, rng };
        venue.staff()?;
        let imported = venue.import()?;
        venue.readers()?;
        venue.badges()?;
        Ok((venue, imported))
    }

    /// Staff's connection.
    pub fn sam(&self) -> Result<Client> {
        let token = http::login(self.server.http(), "demo", "sam", &password("sam"))?;
        Ok(Client::sign_in(self.server.http(), &token)?)
    }

    fn staff(&self) -> Result<()> {
        let devices = POSTS.iter().map(|post| (post.uid, "device"));
        let exhibitors = EXHIBITORS.iter().map(|uid| (*uid, "attendee"));
        for (uid, role) in devices.chain(exhibitors).chain([("sam", "staff")]) {
            self.server.cli_ok(&["user", "add", &format!("demo/{uid}"), "--role", role, "--password", &password(uid)])?;
        }
        for channel in HALLS.into_iter().chain([STAGE]) {
            self.server.cli_ok(&["channel", "add", &format!("demo/{channel}")])?;
        }
        self.server.cli_ok(&["conference", "add", "other"])?;
        self.server.cli_ok(&["user", "add", "other/eve", "--password", &password("eve")])?;
        Ok(())
    }

    /// First what it would do, then it is done, and the second time there is nothing to do.
    fn import(&mut self) -> Result<String> {
        let file = self.server.scratch().join("attendees.csv");
        std::fs::write(&file, people::list(&self.people))?;
        let count = self.people.len();
        let begun = Instant::now();
        let all_new = format!("{count} rows (generic): {count} added, 0 changed, 0 unchanged, 0 left out");
        for dry_run in [true, false] {
            let said = self.import_from(&file, dry_run)?;
            ensure!(said.contains(&all_new), "the import (dry run: {dry_run}) says {said:?}");
        }
        let took = begun.elapsed();
        let said = self.import_from(&file, false)?;
        ensure!(said.contains(&format!("0 added, 0 changed, {count} unchanged")), "the import, once more, says {said:?}");
        let uids = self.uids_by_name()?;
        let uid = |person: &Person| uids.get(&person.name).cloned().with_context(|| format!("{} was not imported", person.name));
        self.uids = self.people.iter().map(uid).collect::<Result<_>>()?;
        Ok(format!("{count} attendees, tried and imported in {:.1} s", took.as_secs_f64()))
    }

    /// What the command says.
    fn import_from(&self, file: &Path, dry_run: bool) -> Result<String> {
        let file = file.to_string_lossy();
        let mut args = vec!["attendees", "import", "demo", &file, "--format", "generic"];
        for map in ["id=Ticket ID", "name=Full name", "email=Mail", "company=Employer", "job=Position", "ticket=Ticket type", "badge=Badge"]
        {
            args.extend(["--map", map]);
        }
        if dry_run {
            args.push("--dry-run");
        }
        self.server.cli_ok(&args)
    }

    fn uids_by_name(&self) -> Result<BTreeMap<String, String>> {
        let (mut sam, mut uids) = (self.sam()?, BTreeMap::new());
        let mut params = json!({"limit": 500});
        loop {
            let page = sam.call_ok("people.list", &params)?;
            for person in page["people"].as_array().context("no people")? {
                let word = |member: &str| person[member].as_str().unwrap_or_default().to_owned();
                params["after"] = json!(word("user"));
                uids.insert(word("name"), word("user"));
            }
            if page["complete"] == true {
                return Ok(uids);
            }
        }
    }

    fn readers(&self) -> Result<()> {
        let mut sam = self.sam()?;
        for post in POSTS {
            let mut params = json!({"reader": post.uid, "mode": post.mode.word(), "format": post.format.setting()});
            match post.mode {
                Mode::Session(hall, capacity) => {
                    params["conversation"] = json!(hall);
                    params["capacity"] = json!(capacity);
                }
                Mode::Lead(owner) => params["owner"] = json!(owner),
                Mode::Announce(conversation) => {
                    params["conversation"] = json!(conversation);
                    params["text"] = json!(GREETING);
                }
                Mode::Checkin | Mode::Meet => {}
            }
            sam.call_ok("reader.set", &params)?;
        }
        Ok(())
    }

    /// The regulars' other badges, and those that are no good.
    fn badges(&self) -> Result<()> {
        let mut assigned = Vec::new();
        for (person, uid) in self.people.iter().zip(&self.uids).take(REGULARS) {
            for family in [Family::Far, Family::Low, Family::Hub, Family::Printed] {
                assigned.push(json!({"badge": person.badge(family).given(), "user": uid}));
            }
        }
        assigned.extend(self.bad.revoked.iter().map(|code| json!({"badge": code.given(), "user": self.uids[0]})));
        let mut sam = self.sam()?;
        for some in assigned.chunks(PIPELINE) {
            let ids = some.iter().map(|params| sam.send("badge.assign", params)).collect::<Result<Vec<_>, _>>()?;
            for id in ids {
                sam.answer(id, crate::client::ANSWER_WITHIN)?.map_err(|error| anyhow!("badge.assign: {error}"))?;
            }
        }
        for code in &self.bad.revoked {
            sam.call_ok("badge.revoke", &json!({"badge": code.given()}))?;
        }
        for code in &self.bad.foreign {
            self.server.cli_ok(&["badge", "add", "other/eve", &code.given()])?;
        }
        Ok(())
    }

    fn play(&mut self, scale: &Scale) -> Result<(Plan, Vec<Shift>)> {
        let unix_ms = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?;
        let plan = Planner::new(&self.people, &self.bad, unix_ms, self.rng.clone()).draw(scale);
        let start = Instant::now();
        let stage = Stage {
            start,
            end: start + scale.lasts + AFTERWARDS,
            hallway: Mutex::new(self.server.mqtt()?),
            venue: self.mosquitto.plain(),
            troubles: AtomicU64::new(0),
            answered: plan.messages.iter().map(|messages| messages.iter().map(|_| OnceLock::new()).collect()).collect(),
        };
        let shifts = std::thread::scope(|scope| {
            let (stage, plan) = (&stage, &plan);
            let readers: Vec<_> = plan
                .messages
                .iter()
                .enumerate()
                .map(|(at, messages)| scope.spawn(move || Reader::new(at, messages, stage).work()))
                .collect();
            let troubled = self.trouble(scale, stage, plan);
            let shifts = readers.into_iter().map(|reader| reader.join().unwrap_or_else(|_| Err(anyhow!("a reader panicked"))));
            let shifts: Result<Vec<Shift>> = shifts.collect();
            troubled.and(shifts)
        })?;
        Ok((plan, shifts))
    }

    /// The venue's broker is restarted; Hallway is killed in the middle of each upload, and started again.
    fn trouble(&mut self, scale: &Scale, stage: &Stage, plan: &Plan) -> Result<()> {
        wait_until(stage.start + scale.lasts * 3 / 10);
        stage.troubles.fetch_add(1, Ordering::SeqCst);
        self.mosquitto.stop()?;
        wait_until(Instant::now() + AWAY);
        self.mosquitto.restart()?;
        through(stage, plan);
        let offline = POSTS.iter().position(|post| post.is_offline).context("no reader is offline")?;
        let messages = &plan.messages[offline];
        for first in [0, messages.len() / 2] {
            wait_until(stage.start + messages[first].due);
            answered(stage, vec![(offline, first)], Duration::from_millis(1));
            stage.troubles.fetch_add(1, Ordering::SeqCst);
            self.server.kill()?;
            self.server.restart()?;
            *stage.hallway.lock().map_err(|_| anyhow!("a reader panicked"))? = self.server.mqtt()?;
            through(stage, plan);
        }
        Ok(())
    }
}

/// Until everything that was due is answered, or nobody waits for it any longer; then what is sent is not held up any more.
fn through(stage: &Stage, plan: &Plan) {
    let now = stage.start.elapsed();
    let mut due = Vec::new();
    for (reader, messages) in plan.messages.iter().enumerate() {
        let is_due = |(at, message): (usize, &Message)| (message.due <= now && message.after.is_none()).then_some((reader, at));
        due.extend(messages.iter().enumerate().filter_map(is_due));
    }
    answered(stage, due, Duration::from_millis(20));
    stage.troubles.fetch_add(1, Ordering::SeqCst);
}

/// Until all of these messages of readers are answered, looking that often, or nobody waits any longer.
fn answered(stage: &Stage, mut waiting: Vec<(usize, usize)>, every: Duration) {
    let end = Instant::now() + THROUGH_WITHIN;
    while !waiting.is_empty() && Instant::now() < end {
        waiting.retain(|(reader, at)| stage.answered[*reader][*at].get().is_none());
        std::thread::park_timeout(every);
    }
}

fn wait_until(when: Instant) {
    while Instant::now() < when {
        std::thread::park_timeout(when.saturating_duration_since(Instant::now()));
    }
}

/// The venue's broker, and which of its topics are whose.
fn configuration(mosquitto: &Mosquitto) -> String {
    let mut topics: Vec<(&str, Option<&str>)> = POSTS
        .iter()
        .filter_map(|post| match post.way {
            Way::Venue(topic) => Some((topic, (!topic.contains("{reader}")).then_some(post.uid))),
            Way::Direct4 | Way::Direct5 => None,
        })
        .collect();
    topics.sort_unstable();
    topics.dedup();
    let entry = |(topic, reader): &(&str, Option<&str>)| match reader {
        Some(uid) => format!("{{ topic = {topic:?}, reader = {uid:?}, result = \"hallway/{uid}/result\" }}"),
        None => format!("{{ topic = {topic:?}, result = \"hallway/{{reader}}/result\" }}"),
    };
    let readers = topics.iter().map(entry).collect::<Vec<_>>().join(", ");
    let (url, ca, secret) = (mosquitto.url(), mosquitto.ca_file(), mosquitto.password_file());
    format!(
        "[server]\nmode = \"demo\"\n[[conference.demo.venue]]\nurl = {url:?}\nuser = {:?}\npassword_file = {secret:?}\nca_file = {ca:?}\n\
         client_id = \"hallway-venue\"\nreaders = [{readers}]\n",
        BRIDGE.0
    )
}
