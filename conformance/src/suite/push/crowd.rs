//! Many at once: an announcement to thousands in bounded memory and never more on their way than is allowed, and a long queue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;

use super::stage::{PATIENCE, Person, Stage, times};
use crate::gateway::book::Provider;
use crate::http;
use crate::suite::Report;
use crate::suite::load::{MemoryWatch, mib};

/// Members in the short run.
const FEW: usize = 2000;
/// Members with `--long`.
const MANY: usize = 10_000;
/// `push.per_gateway`.
const PER_GATEWAY: usize = 32;
/// What an announcement may cost, whatever the number of members.
const EXTRA_BYTES: u64 = 48 << 20;
/// Conversations of each member, so that as many pushes wait.
const QUEUED_EACH: usize = 10;
/// How long all of it may take.
const ALL_WITHIN: Duration = Duration::from_secs(300);
/// Who registers people.
const HANDS: usize = 4;

/// Both stories; the long queue only with `--long`.
pub fn run(long: bool, report: &mut Report) {
    let count = if long { MANY } else { FEW };
    report.check(&format!("push: an announcement to {count} members"), || announcement(count));
    if long {
        report.check(&format!("push: {} pushes that wait", MANY * QUEUED_EACH), || long_queue(MANY));
    }
}

/// People who are away and in announcements, each with a webhook: what is asked of the server is the work, not the sealing.
fn people(stage: &Stage, count: usize) -> Result<Vec<Person>> {
    let part = |hand: usize| -> Result<Vec<Person>> {
        let mut people = Vec::new();
        for number in (hand..count).step_by(HANDS) {
            let (person, _) = stage.reachable(&format!("member{number}"), Provider::Webhook)?;
            stage.does(&person, "conversation.join", &json!({"conversation": "announcements"}))?;
            people.push(person);
        }
        Ok(people)
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|hand| scope.spawn(move || part(hand))).collect();
        let mut people = Vec::with_capacity(count);
        for hand in hands {
            people.extend(hand.join().map_err(|_| anyhow!("a thread panicked"))??);
        }
        Ok(people)
    })
}

fn stage() -> Result<Stage> {
    Stage::with(&format!("{}\nper_gateway = {PER_GATEWAY}", times()))
}

fn announcement(count: usize) -> Result<String> {
    let stage = stage()?;
    let (sam, people) = (stage.staff("sam")?, people(&stage, count)?);
    stage.rest();
    stage.gateways.set_latency(Duration::from_millis(5));
    let before = stage.server.rss_bytes()?;
    let memory = MemoryWatch::start(&stage.server)?;
    let start = Instant::now();
    let said = stage.say(&sam, "announcements", "Everybody to the great hall")?;
    stage.gateways.book().wait("the announcement on every device", ALL_WITHIN, |all| (all.len() >= people.len()).then_some(()))?;
    let took = start.elapsed();
    let peak = memory.stop()?;
    ensure!(peak <= before + EXTRA_BYTES, "{} before, {} at the peak", mib(before), mib(peak));
    let at_once = stage.gateways.book().take_most_in_flight();
    ensure!(at_once <= PER_GATEWAY, "{at_once} on their way at once instead of {PER_GATEWAY}");
    ensure!(at_once > PER_GATEWAY / 4, "only {at_once} on their way at once");
    let mut times: HashMap<String, usize> = HashMap::new();
    for arrived in stage.gateways.book().arrived(|arrived| arrived.seq == said.seq) {
        *times.entry(arrived.device).or_default() += 1;
    }
    is_counted(&stage, count)?;
    ensure!(times.len() == count && times.values().all(|count| *count == 1), "{} devices, some of them twice", times.len());
    stage.end()?;
    Ok(format!("{:.1} s, {at_once} at once, {} before, {} at the peak", took.as_secs_f64(), mib(before), mib(peak)))
}

/// The server's own count becomes that.
fn is_counted(stage: &Stage, count: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = http::get(stage.server.http(), "/metrics")?.text();
        let sent = metrics.lines().find_map(|line| line.strip_prefix("hallway_push_sent")?.split_whitespace().last()?.parse::<f64>().ok());
        if sent == Some(count as f64) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "hallway_push_sent is {sent:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The gateways are down while everybody is told something in each of some conversations; then all of it comes.
fn long_queue(count: usize) -> Result<String> {
    let stage = stage()?;
    let people = people(&stage, count)?;
    let speakers: Vec<Person> = (0..QUEUED_EACH).map(|number| stage.person(&format!("speaker{number}"))).collect::<Result<_>>()?;
    stage.rest();
    stage.gateways.set_up(false)?;
    let before = stage.server.rss_bytes()?;
    let memory = MemoryWatch::start(&stage.server)?;
    std::thread::scope(|scope| {
        let (stage, people) = (&stage, &people);
        let threads: Vec<_> = speakers.iter().map(|speaker| scope.spawn(move || tell_all(stage, speaker, people))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    stage.gateways.set_up(true)?;
    let (start, wanted) = (Instant::now(), count * QUEUED_EACH);
    stage.gateways.book().wait("all that waited", ALL_WITHIN * 4, |all| (all.len() >= wanted).then_some(()))?;
    let (took, peak) = (start.elapsed(), memory.stop()?);
    ensure!(peak <= before + EXTRA_BYTES * 4, "{} before, {} at the peak", mib(before), mib(peak));
    stage.end()?;
    Ok(format!("{wanted} in {:.0} s, {} before, {} at the peak", took.as_secs_f64(), mib(before), mib(peak)))
}

fn tell_all(stage: &Stage, speaker: &Person, people: &[Person]) -> Result<()> {
    for person in people {
        let direct = stage.direct(speaker, person)?;
        stage.say(speaker, &direct, "while nobody listens").with_context(|| format!("to {}", person.uid))?;
    }
    Ok(())
}
