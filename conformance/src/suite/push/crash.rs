//! SIGKILL at random moments under a stream of messages to people who are away: between commit and push, while an announcement is spread, while pushes
//! are on their way, while others wait, and while the server starts. Afterwards every message that should be pushed has reached the gateway at least
//! once, or a later one of the same collapse id has; no message has two; and nobody was told of what they had read or muted, or of what others said after
//! all had been named.
//!
//! What was not acked when the kill came is sent again under the same id, so that in the end all that was said is known.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::stage::{Person, Said, Stage, is_clean};
use crate::gateway::book::{Answer, Arrived, Device, Provider};
use crate::http;
use crate::suite::Report;
use crate::suite::load;

const SPEAKERS: usize = 3;
/// People who never do anything, one for each provider.
const AWAY: [Provider; 6] = Provider::HTTPS;
/// The load lives so long before the kill, in ms.
const LIFE_MS: std::ops::Range<u64> = 20..900;
/// Rounds after which all that was said must have been told.
const SETTLES_EVERY: usize = 10;
/// How long that may take: a try that failed may wait for some time.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// A push that was on its way when its message was read.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
const ANNOUNCEMENTS: &str = "announcements";
/// A channel in which staff names all, and others talk on: only the first is anybody's business who is away.
const HALL: &str = "hall";
/// What staff says there, beside its id.
const NAMES_ALL: &str = "for all";
/// Of so many places where somebody speaks, one is the hall's.
const TALKATIVE: usize = 6;

/// Kills the server so many times.
pub fn run(kills: usize, seed: u64, report: &mut Report) {
    println!("      push: seed {seed}");
    report.check(&format!("push: {kills} kills"), || {
        let mut drama = Drama::new(seed)?;
        drama.play(kills).map_err(|error| {
            drama.stage.server.keep();
            anyhow!("seed {seed}, round {}: {error:#}\n{}", drama.round, drama.stage.server.stderr_tail(15))
        })
    });
}

/// Somebody who is talked to.
struct Listener {
    person: Person,
    device: Arc<Device>,
}

/// Somebody who talks, and what they were promised.
struct Speaker {
    person: Person,
    /// Names all in the hall.
    is_staff: bool,
    rng: StdRng,
    /// Where they speak: with each listener, or in announcements.
    conversations: Vec<String>,
    next: u64,
    unacked: Option<(String, String)>,
    said: Vec<Said>,
    retried: usize,
}

struct Drama {
    stage: Stage,
    rng: StdRng,
    speakers: Vec<Speaker>,
    away: Vec<Listener>,
    /// Reads now and then: up to which seq of which conversation, and when that was acked.
    reader: Listener,
    read: Vec<(String, u64, Instant)>,
    muted: Listener,
    /// Whose a conversation is, but announcements.
    with: HashMap<String, String>,
    round: usize,
    killed_while_starting: usize,
}

impl Drama {
    fn new(seed: u64) -> Result<Drama> {
        let stage = Stage::set()?;
        let mut rng = StdRng::seed_from_u64(seed);
        let sam = stage.staff("sam")?;
        stage.does(&sam, "conversation.create", &json!({"kind": "channel", "id": HALL, "title": "The hall"}))?;
        let listener = |uid: &str, provider: Provider| -> Result<Listener> {
            let (person, device) = stage.reachable(uid, provider)?;
            for channel in [ANNOUNCEMENTS, HALL] {
                stage.does(&person, "conversation.join", &json!({"conversation": channel}))?;
            }
            Ok(Listener { person, device })
        };
        let away = AWAY.iter().map(|provider| listener(&format!("away-{}", provider.word()), *provider)).collect::<Result<Vec<_>>>()?;
        let (reader, muted) = (listener("reader", Provider::WebPush)?, listener("muted", Provider::WebPush)?);
        let (mut speakers, mut with) = (Vec::new(), HashMap::new());
        for number in 0..SPEAKERS {
            let person = stage.person(&format!("speaker{number}"))?;
            stage.does(&person, "conversation.join", &json!({"conversation": HALL}))?;
            let mut conversations = vec![HALL.to_owned(); TALKATIVE];
            for other in away.iter().chain([&reader, &muted]) {
                let direct = stage.direct(&person, &other.person)?;
                with.insert(direct.clone(), other.person.uid.clone());
                conversations.push(direct);
            }
            speakers.push(Speaker::new(person, false, conversations, rng.random()));
        }
        speakers.push(Speaker::new(sam, true, vec![ANNOUNCEMENTS.to_owned(), HALL.to_owned()], rng.random()));
        let to_mute = with.iter().filter(|(_, uid)| **uid == muted.person.uid).map(|(direct, _)| direct.as_str());
        for conversation in to_mute.chain([ANNOUNCEMENTS, HALL]) {
            stage.does(&muted.person, "conversation.notify", &json!({"conversation": conversation, "level": "none"}))?;
        }
        stage.rest();
        let read = Vec::new();
        Ok(Drama { stage, rng, speakers, away, reader, read, muted, with, round: 0, killed_while_starting: 0 })
    }

    fn play(&mut self, kills: usize) -> Result<String> {
        while self.round < kills {
            self.trouble();
            self.load_and_kill()?;
            self.round += 1;
            self.start_again()?;
            if self.round.is_multiple_of(SETTLES_EVERY) || self.round == kills {
                self.settle()?;
            }
        }
        let arrived = self.stage.gateways.book().arrived(|_| true);
        self.verify(&arrived)?;
        self.stage.server.terminate()?;
        is_clean(&self.stage.gateways)?;
        self.summary(kills, &arrived)
    }

    /// The gateways are slow, or ask for patience.
    fn trouble(&mut self) {
        self.stage.gateways.set_latency(Duration::from_millis(self.rng.random_range(0..80)));
        let at = self.rng.random_range(0..self.away.len());
        let answer = [Answer::Throttle(Some(1)), Answer::Broken, Answer::Unavailable(Some(2))][self.rng.random_range(0..3)].clone();
        self.stage.gateways.script(&self.away[at].device, &[answer]);
    }

    fn load_and_kill(&mut self) -> Result<()> {
        let life = Duration::from_millis(self.rng.random_range(LIFE_MS));
        let to = self.stage.server.http();
        let is_over = AtomicBool::new(false);
        let Drama { stage, speakers, reader, read, with, .. } = self;
        std::thread::scope(|scope| {
            let is_over = &is_over;
            let mut threads: Vec<_> = speakers.iter_mut().map(|speaker| scope.spawn(move || speaker.run(to, is_over))).collect();
            threads.push(scope.spawn(move || {
                read_on(to, reader, read, with, is_over);
                Ok(())
            }));
            std::thread::sleep(life);
            let lived = stage.server.is_running();
            stage.server.kill()?;
            is_over.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a thread panicked"))??;
            }
            ensure!(lived?, "the server ended by itself");
            Ok(())
        })
    }

    /// Now and then the server is killed while it recovers, too.
    fn start_again(&mut self) -> Result<()> {
        while self.rng.random_ratio(1, 5) {
            let delay = Duration::from_millis(self.rng.random_range(1..300));
            self.stage.server.kill_while_starting(delay)?;
            self.killed_while_starting += 1;
        }
        self.stage.server.restart()
    }

    /// All that was said is acked, and the newest of every conversation is told.
    fn settle(&mut self) -> Result<()> {
        let to = self.stage.server.http();
        for speaker in &mut self.speakers {
            speaker.finish(to)?;
        }
        let mut newest: BTreeMap<(String, String), u64> = BTreeMap::new();
        for said in self.speakers.iter().flat_map(|speaker| &speaker.said).filter(|said| is_told(said)) {
            for listener in &self.away {
                let is_theirs = self.with.get(&said.conversation).is_none_or(|uid| *uid == listener.person.uid);
                let place = newest.entry((listener.device.name.clone(), said.conversation.clone())).or_default();
                *place = if is_theirs { said.seq.max(*place) } else { *place };
            }
        }
        newest.retain(|_, seq| *seq > 0);
        for ((device, conversation), seq) in &newest {
            let what = format!("push of {conversation} {seq} on {device} (round {})", self.round);
            self.stage.gateways.book().wait(&what, SETTLED_WITHIN, |all| {
                let is_it =
                    |arrived: &&Arrived| arrived.device == *device && arrived.conversation == *conversation && arrived.answer.is_accept();
                all.iter().rfind(|arrived| is_it(arrived) && arrived.seq == *seq).map(drop)
            })?;
        }
        Ok(())
    }

    // ---- The verdict ----

    fn verify(&self, arrived: &[Arrived]) -> Result<()> {
        let said: HashMap<(&str, u64), &Said> =
            self.speakers.iter().flat_map(|speaker| &speaker.said).map(|said| ((said.conversation.as_str(), said.seq), said)).collect();
        let mut collapse: HashMap<(&str, &str), &str> = HashMap::new();
        for push in arrived {
            let said =
                said.get(&(push.conversation.as_str(), push.seq)).with_context(|| format!("nobody said what was pushed: {push:?}"))?;
            ensure!(said.id == push.id && said.text == push.text, "{said:?} was pushed as {push:?}");
            ensure!(is_told(said), "chatter was pushed: {push:?}");
            let first = collapse.entry((&push.device, &push.conversation)).or_insert(&push.collapse);
            ensure!(*first == push.collapse, "{} on {} collapses to {first} and to {}", push.conversation, push.device, push.collapse);
            ensure!(push.device != self.muted.device.name, "pushed although muted: {push:?}");
            let whose = self.with.get(&push.conversation);
            ensure!(whose.is_none_or(|uid| push.device.starts_with(uid.as_str())), "pushed to another: {push:?}");
            if push.device == self.reader.device.name {
                let is_read = |(conversation, seq, at): &(String, u64, Instant)| {
                    *conversation == push.conversation && push.seq <= *seq && push.at > *at + ON_ITS_WAY
                };
                ensure!(!self.read.iter().any(is_read), "pushed although read: {push:?}");
            }
        }
        let different: HashSet<&&str> = collapse.values().collect();
        ensure!(different.len() == collapse.len(), "{} collapse ids of {} conversations and people", different.len(), collapse.len());
        Ok(())
    }

    /// What was done, provided that it was enough to mean something.
    fn summary(&self, kills: usize, arrived: &[Arrived]) -> Result<String> {
        let acked: usize = self.speakers.iter().map(|speaker| speaker.said.len()).sum();
        let retried: usize = self.speakers.iter().map(|speaker| speaker.retried).sum();
        let mut times: HashMap<(&str, &str, u64), usize> = HashMap::new();
        for push in arrived.iter().filter(|push| push.answer.is_accept()) {
            *times.entry((&push.device, &push.conversation, push.seq)).or_default() += 1;
        }
        let again: usize = times.values().map(|count| count - 1).sum();
        ensure!(acked > kills * 10, "only {acked} messages in {kills} rounds");
        ensure!(times.len() > kills * 3, "only {} pushes in {kills} rounds", times.len());
        ensure!(!self.read.is_empty(), "nothing was read");
        Ok(format!(
            "{acked} messages, {retried} sent again; {} pushes, {again} of them more than once; {} read; {} kills during recovery",
            times.len(),
            self.read.len(),
            self.killed_while_starting
        ))
    }
}

impl Speaker {
    fn new(person: Person, is_staff: bool, conversations: Vec<String>, seed: u64) -> Speaker {
        let rng = StdRng::seed_from_u64(seed);
        Speaker { person, is_staff, rng, conversations, next: 0, unacked: None, said: Vec::new(), retried: 0 }
    }

    /// Talks until the server is gone.
    fn run(&mut self, to: std::net::SocketAddr, is_over: &AtomicBool) -> Result<()> {
        self.retried += usize::from(self.unacked.is_some());
        while !is_over.load(Ordering::Relaxed) && self.speak(to)? {
            std::thread::sleep(Duration::from_millis(self.rng.random_range(1..30)));
        }
        Ok(())
    }

    /// What was not acked is sent until it is.
    fn finish(&mut self, to: std::net::SocketAddr) -> Result<()> {
        if self.unacked.is_some() {
            ensure!(self.speak(to)?, "{} is not answered", self.person.uid);
        }
        Ok(())
    }

    /// One message, or the one that was not acked; false when there was no answer.
    fn speak(&mut self, to: std::net::SocketAddr) -> Result<bool> {
        let (conversation, id) = self.unacked.clone().unwrap_or_else(|| {
            let conversation = self.conversations[self.rng.random_range(0..self.conversations.len())].clone();
            self.next += 1;
            (conversation, format!("{}-{}", self.person.uid, self.next))
        });
        self.unacked = Some((conversation.clone(), id.clone()));
        let names_all = self.is_staff && conversation == HALL;
        let (text, at) = (format!("{} {id}", if names_all { NAMES_ALL } else { "the text of" }), Instant::now());
        let mut draft = load::draft(&conversation, &id, &text);
        if names_all {
            draft["mentions"] = json!(["*"]);
        }
        let Ok(outcome) = http::rpc(to, &self.person.token, "message.send", &draft) else {
            return Ok(false);
        };
        let ack = outcome.map_err(|error| anyhow!("{} was refused: {error}", self.person.uid))?;
        let id = ack["id"].as_str().with_context(|| format!("no id in {ack}"))?.to_owned();
        let seq = ack["seq"].as_u64().with_context(|| format!("no seq in {ack}"))?;
        self.said.push(Said { conversation, seq, id, text, at });
        self.unacked = None;
        Ok(true)
    }
}

/// What of the hall is said by staff, which names all there, or what is said elsewhere.
fn is_told(said: &Said) -> bool {
    said.conversation != HALL || said.text.starts_with(NAMES_ALL)
}

/// The reader reads what there is, now and then.
fn read_on(
    to: std::net::SocketAddr,
    reader: &Listener,
    read: &mut Vec<(String, u64, Instant)>,
    with: &HashMap<String, String>,
    is_over: &AtomicBool,
) {
    let theirs: Vec<&String> = with.iter().filter(|(_, uid)| **uid == reader.person.uid).map(|(direct, _)| direct).collect();
    let call = |method: &str, params| http::rpc(to, &reader.person.token, method, &params).ok()?.ok();
    while !is_over.load(Ordering::Relaxed) {
        for direct in &theirs {
            // Seqs above the head are cut to it.
            let Some(history) = call("conversation.history", json!({"conversation": direct, "limit": 1})) else { return };
            let Some(seq) = history["events"][0]["seq"].as_u64() else { continue };
            let Some(done) = call("conversation.read", json!({"conversation": direct, "seq": seq})) else { return };
            read.push(((*direct).clone(), done["seq"].as_u64().unwrap_or(seq), Instant::now()));
        }
        std::thread::sleep(Duration::from_millis(150));
    }
}
