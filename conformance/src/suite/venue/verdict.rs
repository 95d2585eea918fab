//! What readers were told and what the server says in the end, beside what the model says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::format::Clock;
use super::model::{Model, Stay};
use super::plan::Plan;
use super::play::Venue;
use super::posts::{EXHIBITORS, GREETING, HALLS, Mode, POSTS, STAGE, Way};
use super::reader::Shift;
use crate::client::Client;
use crate::http;
use crate::suite::Report;
use crate::suite::load;

/// Entries asked for at once.
const PAGE: usize = 100;
/// What is wished of a result's way back to its reader.
const WISHED: Duration = Duration::from_millis(50);
/// So much of what is wrong is shown.
const SHOWN: usize = 5;

/// What is compared, and how.
type Check = (&'static str, fn(&Venue, &Model) -> Result<String>);

/// Everything that the server keeps.
pub fn run(venue: &Venue, model: &Model, report: &mut Report) {
    let checks: [Check; 5] = [
        ("check-ins", checkins),
        ("attendance", attendance),
        ("contacts and their conversations", contacts),
        ("leads, whose they are and who has them", leads),
        ("announcements", announcements),
    ];
    for (name, check) in checks {
        report.check(&format!("venue: {name}, exactly"), || check(venue, model));
    }
}

// ---- What readers were told ----

/// Every badge had a result, and it is the right one.
pub fn told(plan: &Plan, shifts: &[Shift]) -> Result<String> {
    let (mut wrong, mut repeated, mut again, mut answers, mut swallowed) = (Vec::new(), 0, 0, 0, 0);
    let (mut direct, mut bridged) = (Vec::new(), Vec::new());
    for ((post, messages), shift) in POSTS.iter().zip(&plan.messages).zip(shifts) {
        (repeated, again, swallowed) = (repeated + shift.repeated, again + shift.sent_again, swallowed + shift.swallowed);
        for ((at, tap), told) in &shift.told {
            let (expected, result) = (&messages[*at].taps[*tap], &told.result);
            let reason = result["reason"].as_str().unwrap_or_default();
            let right = expected.allowed.contains(&reason) || (told.maybe_again && reason == "duplicate");
            let passes = reason == "duplicate" || result["accepted"] == (reason == "ok");
            if !(right && passes && result["mode"] == post.mode.word()) {
                wrong.push(format!("{}: {result}, expected {:?} for {}", post.uid, expected.allowed, messages[*at].payload));
            }
            answers += 1;
            if !post.is_offline {
                let way = if matches!(post.way, Way::Venue(_)) { &mut bridged } else { &mut direct };
                way.extend(told.took);
            }
        }
    }
    ensure!(answers + swallowed == plan.taps, "{answers} of {} scans were answered", plan.taps);
    ensure!(swallowed * 4 <= plan.bounces, "{swallowed} of {} bounces were not answered", plan.bounces);
    nothing_wrong("results", &wrong)?;
    let came_back = shifts.iter().filter(|shift| shift.connections > 1).count();
    ensure!(came_back == POSTS.len(), "only {came_back} of {} readers had to connect again: nothing was restarted", POSTS.len());
    Ok(format!(
        "{answers} scans ({} bounces), {again} messages sent again, {repeated} results repeated; to the result: Hallway's MQTT {}, the venue's broker {}",
        plan.bounces,
        latency(direct)?,
        latency(bridged)?
    ))
}

/// The median and the 99th of a hundred. Not judged: it is a shared machine's.
fn latency(mut times: Vec<Duration>) -> Result<String> {
    times.sort_unstable();
    ensure!(times.len() > 50, "only {} results came while nothing was down", times.len());
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let missed = if p99 > WISHED { format!(" (over {} ms)", WISHED.as_millis()) } else { String::new() };
    Ok(format!("p50 {:.1} ms, p99 {:.1} ms{missed} of {}", ms(p50), ms(p99), times.len()))
}

fn nothing_wrong(what: &str, wrong: &[String]) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{} {what} are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(SHOWN)].join("\n"))
}

/// What is in one set alone.
fn same<T: Ord + std::fmt::Debug>(what: &str, found: &BTreeSet<T>, expected: &BTreeSet<T>) -> Result<()> {
    let lost: Vec<_> = expected.difference(found).take(SHOWN).collect();
    let extra: Vec<_> = found.difference(expected).take(SHOWN).collect();
    ensure!(found == expected, "{} {what} instead of {}; not there: {lost:?} …, too many: {extra:?} …", found.len(), expected.len());
    Ok(())
}

// ---- What is kept ----

/// All entries of a list, page by page; `by` is the member that the next page begins after.
fn all(client: &mut Client, method: &str, params: &Value, member: &str, by: &str) -> Result<Vec<Value>> {
    let (mut entries, mut params) = (Vec::new(), params.clone());
    params["limit"] = json!(PAGE);
    loop {
        let page = client.call_ok(method, &params)?;
        let more = page[member].as_array().with_context(|| format!("{method}: no {member} in {page}"))?;
        let Some(last) = more.last() else { return Ok(entries) };
        params["after"] = last[by].clone();
        entries.extend(more.iter().cloned());
    }
}

fn users(entries: &[Value]) -> Result<BTreeSet<String>> {
    let users: BTreeSet<String> = entries.iter().filter_map(|entry| entry["user"].as_str()).map(str::to_owned).collect();
    ensure!(users.len() == entries.len(), "{} entries name {} users", entries.len(), users.len());
    Ok(users)
}

fn uids(venue: &Venue, people: impl Iterator<Item = usize>) -> BTreeSet<String> {
    people.map(|person| venue.uids[person].clone()).collect()
}

fn checkins(venue: &Venue, model: &Model) -> Result<String> {
    let mut sam = venue.sam()?;
    let found = users(&all(&mut sam, "checkin.list", &json!({}), "people", "user")?)?;
    same("check-ins", &found, &uids(venue, model.checked_in.iter().copied()))?;
    let count = sam.call_ok("checkin.count", &json!({}))?;
    ensure!(count["checked_in"] == found.len(), "counted: {count}, listed {}", found.len());
    Ok(format!("{} people", found.len()))
}

fn attendance(venue: &Venue, model: &Model) -> Result<String> {
    let (mut sam, mut people, mut visits, mut wrong) = (venue.sam()?, 0, 0, Vec::new());
    for hall in HALLS {
        let expected: BTreeMap<&str, &Stay> = model
            .stays
            .iter()
            .filter(|((name, _), _)| *name == hall)
            .map(|((_, person), stay)| (venue.uids[*person].as_str(), stay))
            .collect();
        let entries = all(&mut sam, "attendance.list", &json!({"conversation": hall}), "people", "user")?;
        same(hall, &users(&entries)?, &expected.keys().map(|uid| (*uid).to_owned()).collect())?;
        for entry in &entries {
            let stay = expected[entry["user"].as_str().unwrap_or_default()];
            people += 1;
            visits += stay.enters;
            if let Some(why) = unlike(stay, entry, knows_time(hall)) {
                wrong.push(format!("{hall}: {why}: {entry}, expected {stay:?}"));
            }
        }
        let inside = sam.call_ok("attendance.list", &json!({"conversation": hall}))?["inside"].clone();
        ensure!(inside == model.inside(hall), "{inside} are inside {hall}, expected {}", model.inside(hall));
    }
    nothing_wrong("attendances", &wrong)?;
    Ok(format!("{people} people in {} sessions, {visits} visits", HALLS.len()))
}

/// Whether all of a session's readers say when.
fn knows_time(hall: &str) -> bool {
    let doors = POSTS.iter().filter(|post| matches!(post.mode, Mode::Session(name, _) if name == hall));
    doors.into_iter().all(|post| post.format.clock() != Clock::None)
}

/// What of an entry is not as it must be.
fn unlike(stay: &Stay, entry: &Value, knows_time: bool) -> Option<&'static str> {
    if entry["inside"] != stay.inside_since_ms.is_some() {
        return Some("inside or not");
    }
    if entry["enters"] != stay.enters {
        return Some("how often");
    }
    // Who is inside is so still: the seconds until now are not the model's to say.
    if knows_time && stay.inside_since_ms.is_none() && entry["seconds"] != stay.ended_ms / 1000 {
        return Some("how long");
    }
    None
}

fn contacts(venue: &Venue, model: &Model) -> Result<String> {
    let mut of: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (one, other) in &model.met {
        of.entry(*one).or_default().insert(*other);
        of.entry(*other).or_default().insert(*one);
    }
    for (person, others) in &of {
        let token = venue.server.cli_ok(&["token", &format!("demo/{}", venue.uids[*person])])?;
        let call = |method: &str, params: &Value| -> Result<Value> {
            http::rpc(venue.server.http(), &token, method, params)?.with_context(|| method.to_owned())
        };
        let listed = call("contact.list", &json!({}))?;
        let entries = listed["contacts"].as_array().context("no contacts")?;
        let name = &venue.people[*person].name;
        same(&format!("contacts of {name}"), &users(entries)?, &uids(venue, others.iter().copied()))?;
        for entry in entries {
            let whole = entry["state"] == "met" && entry["company"].is_string() && entry["email"].is_string();
            ensure!(whole, "{name} has no more of a contact than {entry}");
        }
        for other in others {
            let conversation = call("conversation.open", &json!({"with": venue.uids[*other]}))?["conversation"].clone();
            let history = call("conversation.history", &json!({"conversation": conversation, "kinds": ["message"]}))?;
            let from: Vec<&str> =
                history["events"].as_array().context("no events")?.iter().filter_map(|event| event["from"].as_str()).collect();
            let both = from.len() == 2 && from.contains(&venue.uids[*person].as_str()) && from.contains(&venue.uids[*other].as_str());
            ensure!(both, "the conversation of two who met holds messages from {from:?}");
        }
    }
    Ok(format!("{} meetings of {} people", model.met.len(), of.len()))
}

fn leads(venue: &Venue, model: &Model) -> Result<String> {
    let mut sam = venue.sam()?;
    for owner in EXHIBITORS {
        let counts: BTreeMap<&str, u64> = model
            .leads
            .iter()
            .filter(|((of, _), _)| *of == owner)
            .map(|((_, person), times)| (venue.uids[*person].as_str(), *times))
            .collect();
        let expected: BTreeSet<String> = counts.keys().map(|uid| (*uid).to_owned()).collect();
        let entries = all(&mut sam, "lead.list", &json!({"owner": owner}), "leads", "user")?;
        same(&format!("leads of {owner}"), &users(&entries)?, &expected)?;
        // A reader without a clock does not say which of its scans came twice.
        if POSTS.iter().all(|post| post.mode != Mode::Lead(owner) || post.format.clock() != Clock::None) {
            let miscounted = entries.iter().find(|entry| entry["scans"] != counts[entry["user"].as_str().unwrap_or_default()]);
            ensure!(miscounted.is_none(), "{owner} has a lead that was not scanned so often: {miscounted:?}");
        }
        let exported = sam.call_ok("lead.export", &json!({"owner": owner, "limit": 500}))?;
        let lines = exported["csv"].as_str().context("no CSV")?.lines().count();
        ensure!(lines == expected.len() + 1, "the CSV of {owner} has {lines} lines for {} leads", expected.len());
    }
    let mut holders: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (owner, person) in model.leads.keys() {
        holders.entry(*person).or_default().insert((*owner).to_owned());
    }
    for (person, owners) in holders.iter().take(PAGE) {
        let token = venue.server.cli_ok(&["token", &format!("demo/{}", venue.uids[*person])])?;
        let listed = http::rpc(venue.server.http(), &token, "lead.holders", &json!({}))?.context("lead.holders")?;
        let found =
            listed["holders"].as_array().context("no holders")?.iter().filter_map(|holder| holder["owner"].as_str()).map(str::to_owned);
        same("holders", &found.collect(), owners)?;
    }
    Ok(format!("{} leads of {} people", model.leads.len(), holders.len()))
}

fn announcements(venue: &Venue, model: &Model) -> Result<String> {
    let mut sam = venue.sam()?;
    let (mut found, mut expected) = (BTreeMap::new(), BTreeMap::new());
    for event in load::history(&mut sam, STAGE)?.into_iter().filter(crate::check::Event::is_message) {
        *found.entry(event.text.unwrap_or_default()).or_insert(0) += 1;
    }
    for ((_, person), times) in &model.announced {
        expected.insert(GREETING.replace("{name}", &venue.people[*person].name), *times);
    }
    let pairs = |counts: &BTreeMap<String, u64>| counts.iter().map(|(text, times)| (text.clone(), *times)).collect::<BTreeSet<_>>();
    same("announcements", &pairs(&found), &pairs(&expected))?;
    Ok(format!("{} messages", expected.values().sum::<u64>()))
}
