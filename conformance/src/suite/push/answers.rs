//! What gateways answer, and what comes of it: devices that are gone are forgotten, what is refused waits for staff, what is to come later comes
//! later and not before, and a gateway that was away for a while gets everything that is still of use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Person, Said, Stage, times};
use crate::gateway::book::{Answer, Arrived, Device, Provider};
use crate::suite::Check;

/// Retries without a wish of the gateway's come after seconds.
const RETRIED_WITHIN: Duration = Duration::from_secs(20);
/// What is due closer together may come in any order: it waits while one asks whether a gateway is well.
const OUT_OF_ORDER: Duration = Duration::from_secs(3);
/// How long the gateways are down.
const OUTAGE: Duration = Duration::from_secs(20);
/// How many people are pushed to meanwhile.
const WAITING: usize = 60;

/// All stories.
pub fn stories() -> Vec<Check<'static>> {
    let of_all =
        Provider::HTTPS.map(|provider| Check::new(format!("push: what {} answers", provider.word()), move || answers_of(provider)));
    let others = [
        Check::new("push: an XMPP push service that knows the node no more", node_is_gone),
        Check::new("push: a device that is gone by Expo's receipt", gone_by_its_receipt),
        Check::new("push: dead letters are seen and sent again", dead_letters),
        Check::new("push: a newer message takes the place of one that waits", replaced),
        Check::new("push: read while it waits", read_while_waiting),
        Check::new("push: no longer of use", expired),
        Check::new("push: what waits comes in the order in which it is due", due_order),
        Check::new("push: gateways that are down and come back", outage),
        Check::new("push: gateways that go down while pushes are on their way", cut_off),
        Check::new("push: an answer that fails opens the breaker", breaker),
    ];
    of_all.into_iter().chain(others).collect()
}

fn node_is_gone() -> Result<String> {
    let mut stage = Stage::set()?;
    stage.serve_xmpp()?;
    gone(&stage, Provider::Xmpp, &[Answer::Gone], "bob")?;
    stage.end()?;
    Ok(String::new())
}

fn answers_of(provider: Provider) -> Result<String> {
    let stage = Stage::set()?;
    gone(&stage, provider, &[Answer::Gone], "bob")?;
    gone(&stage, provider, &[Answer::Unknown], "ben")?;
    for (uid, answer, after_s) in [
        ("tom", Answer::Throttle(Some(3)), 3),
        ("tim", Answer::Unavailable(Some(2)), 2),
        ("tess", Answer::Broken, 0),
        ("tara", Answer::Unavailable(None), 0),
    ] {
        later(&stage, provider, answer, Duration::from_secs(after_s), uid)?;
    }
    if matches!(provider, Provider::Apns | Provider::Fcm) {
        new_credentials(&stage, provider)?;
    }
    refused(&stage, provider, Answer::Refuse, "rob")?;
    refused(&stage, provider, Answer::TooLarge, "ron")?;
    stage.end()?;
    Ok(String::new())
}

/// Somebody away, to whom Alice says something; what she said.
fn told(stage: &Stage, provider: Provider, answers: &[Answer], uid: &str) -> Result<(Person, Arc<Device>, Said)> {
    let alice = stage.person("alice")?;
    let (person, device) = stage.reachable(uid, provider)?;
    stage.gateways.script(&device, answers);
    let direct = stage.direct(&alice, &person)?;
    stage.rest();
    let said = stage.say(&alice, &direct, &format!("for {uid}"))?;
    stage.pushed(&device, &said)?;
    Ok((person, device, said))
}

/// Every time this message was pushed to this device.
fn tries(stage: &Stage, device: &Device, said: &Said) -> Vec<Arrived> {
    stage.gateways.book().arrived(|arrived| arrived.device == device.name && super::stage::is_about(arrived, said))
}

fn targets(stage: &Stage, person: &Person) -> Result<usize> {
    let listed = stage.does(person, "push.list", &json!({}))?;
    Ok(listed["targets"].as_array().with_context(|| format!("push.list answers {listed}"))?.len())
}

fn gone(stage: &Stage, provider: Provider, answers: &[Answer], uid: &str) -> Result<()> {
    let (person, device, said) = told(stage, provider, answers, uid)?;
    is_forgotten(stage, &person).with_context(|| format!("after {answers:?}"))?;
    ensure!(tries(stage, &device, &said).len() == 1, "{answers:?} was asked for again");
    // The device is back: it is a target again.
    stage.does(&person, "push.register", &device.registration())?;
    let alice = stage.person("alice")?;
    stage.rest();
    let again = stage.say(&alice, &said.conversation, "again")?;
    stage.pushed(&device, &again).map(drop).context("registered again")
}

/// Expo takes the push, and says some time later that there is no such device.
fn gone_by_its_receipt() -> Result<String> {
    let stage = Stage::set()?;
    let alice = stage.person("alice")?;
    let (bob, phone) = stage.reachable("bob", Provider::Expo)?;
    let (carol, other) = stage.reachable("carol", Provider::Expo)?;
    stage.gateways.departs(&phone);
    let said = [(&carol, &other), (&bob, &phone)].map(|(person, device)| -> Result<()> {
        let said = stage.say(&alice, &stage.direct(&alice, person)?, "taken")?;
        stage.pushed(device, &said).map(drop)
    });
    said.into_iter().collect::<Result<Vec<()>>>()?;
    is_forgotten(&stage, &bob).context("gone by its receipt")?;
    ensure!(targets(&stage, &carol)? == 1, "one whose push got through is forgotten, too");
    stage.end()?;
    Ok(String::new())
}

/// There is no target of theirs any more, soon.
fn is_forgotten(stage: &Stage, person: &Person) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while targets(stage, person)? > 0 {
        ensure!(Instant::now() < deadline, "the target that is gone is still in push.list");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The same again, after that time and not before, and then no more.
fn later(stage: &Stage, provider: Provider, answer: Answer, after: Duration, uid: &str) -> Result<()> {
    let (person, device, said) = told(stage, provider, std::slice::from_ref(&answer), uid)?;
    let is_done = |all: &[Arrived]| {
        let tries: Vec<Arrived> = all.iter().filter(|arrived| arrived.device == device.name).cloned().collect();
        tries.last().is_some_and(|last| last.answer.is_accept()).then_some(tries)
    };
    let all = stage.gateways.book().wait(&format!("second try after {answer:?}"), RETRIED_WITHIN + after, is_done)?;
    ensure!(all.len() == 2, "{} tries after {answer:?}", all.len());
    let waited = all[1].at - all[0].at;
    // The gateway's time is read a little before it is counted from.
    ensure!(waited + Duration::from_millis(50) >= after, "tried again after {waited:?} where {answer:?} was asked for");
    ensure!(all[0].collapse == all[1].collapse && all[0].id == all[1].id, "a retry is another push");
    ensure!(tries(stage, &device, &said).len() == 2 && targets(stage, &person)? == 1, "not the same push");
    Ok(())
}

/// The credentials are renewed and it is sent again, at once.
fn new_credentials(stage: &Stage, provider: Provider) -> Result<()> {
    let before = stage.gateways.tokens_of_fcm();
    let (_, device, said) = told(stage, provider, &[Answer::Expired], "eve")?;
    stage.gateways.book().wait("try with new credentials", RETRIED_WITHIN, |all| {
        all.iter().find(|arrived| arrived.device == device.name && arrived.answer.is_accept()).map(drop)
    })?;
    ensure!(tries(stage, &device, &said).len() == 2, "{} tries", tries(stage, &device, &said).len());
    ensure!(provider == Provider::Apns || stage.gateways.tokens_of_fcm() == before + 1, "no new token was asked for");
    Ok(())
}

fn letters(stage: &Stage) -> Result<Vec<Value>> {
    let answer = stage.does(&stage.person("sam")?, "push.dead", &json!({}))?;
    Ok(answer["letters"].as_array().with_context(|| format!("push.dead answers {answer}"))?.clone())
}

fn letter_of(stage: &Stage, person: &Person) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = letters(stage)?;
        if let Some(found) = all.iter().find(|letter| letter["user"] == person.uid.as_str()) {
            return Ok(found.clone());
        }
        ensure!(Instant::now() < deadline, "no dead letter of {} among {all:?}", person.uid);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn refused(stage: &Stage, provider: Provider, answer: Answer, uid: &str) -> Result<()> {
    if stage.asks(&stage.person("alice")?, "push.dead", &json!({}))?.is_ok() {
        anyhow::bail!("push.dead is shown to everybody");
    }
    stage.staff("sam").ok();
    let (person, device, said) = told(stage, provider, std::slice::from_ref(&answer), uid)?;
    let letter = letter_of(stage, &person)?;
    ensure!(letter["provider"] == provider.word() && letter["seq"] == said.seq, "the letter is {letter}");
    ensure!(letter["why"].as_str().is_some_and(|why| !why.is_empty() && !why.contains(&said.text)), "the letter is {letter}");
    ensure!(!letter.to_string().contains(&device.address), "the letter tells the address: {letter}");
    ensure!(tries(stage, &device, &said).len() == 1 && targets(stage, &person)? == 1, "after {answer:?}: tried again, or forgotten");
    Ok(())
}

fn dead_letters() -> Result<String> {
    let stage = Stage::set()?;
    stage.staff("sam")?;
    let (one, first, said) = told(&stage, Provider::WebPush, &[Answer::Refuse, Answer::Refuse], "rob")?;
    let (two, second, other) = told(&stage, Provider::Webhook, &[Answer::Refuse], "ron")?;
    let (number, _) = (letter_of(&stage, &one)?["letter"].clone(), letter_of(&stage, &two)?);
    let sam = stage.person("sam")?;
    let replayed = stage.does(&sam, "push.replay", &json!({"letters": [number]}))?;
    ensure!(replayed["replayed"] == 1, "push.replay answers {replayed}");
    // The first is refused once more, and dead again.
    wait_for_tries(&stage, &first, &said, 2)?;
    letter_of(&stage, &one)?;
    // Now from the command line, all of them.
    let shown = stage.server.cli_ok(&["push", "dead", "demo"])?;
    ensure!(shown.contains("rob") && shown.contains("ron") && !shown.contains("https://"), "'push dead' shows {shown}");
    stage.server.cli_ok(&["push", "replay", "demo"])?;
    wait_for_tries(&stage, &first, &said, 3)?;
    wait_for_tries(&stage, &second, &other, 2)?;
    let deadline = Instant::now() + PATIENCE;
    while !letters(&stage)?.is_empty() {
        ensure!(Instant::now() < deadline, "letters that were replayed are still dead");
        std::thread::sleep(Duration::from_millis(50));
    }
    let collapse: Vec<String> = tries(&stage, &first, &said).into_iter().map(|arrived| arrived.collapse).collect();
    ensure!(collapse.windows(2).all(|two| two[0] == two[1]), "one message, collapse ids {collapse:?}");
    stage.end()?;
    Ok(String::new())
}

fn wait_for_tries(stage: &Stage, device: &Device, said: &Said, count: usize) -> Result<()> {
    stage.gateways.book().wait(&format!("try {count} of {:?}", said.text), RETRIED_WITHIN, |all| {
        let tries = all.iter().filter(|arrived| arrived.device == device.name && super::stage::is_about(arrived, said)).count();
        (tries >= count).then_some(())
    })
}

// ---- What waits ----

fn replaced() -> Result<String> {
    let stage = Stage::set()?;
    let (_, device, first) = told(&stage, Provider::Fcm, &[Answer::Throttle(Some(4))], "bob")?;
    let alice = stage.person("alice")?;
    let mark = stage.mark();
    let second = stage.say(&alice, &first.conversation, "the newer one")?;
    let told = stage.pushed(&device, &second)?;
    ensure!(told.unread == 2, "{} unread", told.unread);
    stage.outlast(device.provider, 4)?;
    let since = stage.since(mark, &device)?;
    ensure!(since.iter().all(|arrived| arrived.seq == second.seq), "the older one came after the newer: {since:#?}");
    stage.end()?;
    Ok(String::new())
}

fn read_while_waiting() -> Result<String> {
    let stage = Stage::set()?;
    let (person, device, said) = told(&stage, Provider::Fcm, &[Answer::Throttle(Some(6))], "bob")?;
    let mark = stage.mark();
    stage.does(&person, "conversation.read", &json!({"conversation": said.conversation, "seq": said.seq}))?;
    stage.outlast(device.provider, 6)?;
    stage.nothing(mark, &device)?;
    stage.end()?;
    Ok(String::new())
}

fn expired() -> Result<String> {
    let stage = Stage::with(&format!("{}\ntime_to_live_s = 2", times()))?;
    let (_, device, said) = told(&stage, Provider::Fcm, &[Answer::Throttle(Some(4))], "bob")?;
    let first = tries(&stage, &device, &said);
    ensure!(first[0].time_to_live_s.is_some_and(|left| left <= 2), "the gateway is told {:?} s", first[0].time_to_live_s);
    let mark = stage.mark();
    std::thread::sleep(Duration::from_secs(6));
    stage.nothing(mark, &device)?;
    stage.end()?;
    Ok(String::new())
}

/// Told later in one order, due in another.
fn due_order() -> Result<String> {
    let stage = Stage::set()?;
    let alice = stage.person("alice")?;
    let wishes: Vec<u64> = (0..12).map(|number| 2 + (number * 5) % 12).collect();
    let mut people = Vec::new();
    for after_s in &wishes {
        let (person, device) = stage.reachable(&format!("after{after_s}"), Provider::Apns)?;
        stage.gateways.script(&device, &[Answer::Throttle(Some(*after_s))]);
        people.push(stage.direct(&alice, &person)?);
    }
    stage.rest();
    for direct in &people {
        stage.say(&alice, direct, "in due order")?;
    }
    let tries = stage.gateways.book().wait("all that waits", PATIENCE + RETRIED_WITHIN, |all| {
        let is_told = all.iter().filter(|arrived| arrived.answer.is_accept()).count() >= wishes.len();
        is_told.then(|| all.to_vec())
    })?;
    // By when each was refused, since a gateway that refuses many in a row is asked by one at a time.
    let mut due: Vec<(Instant, Instant)> = Vec::new();
    for (after_s, device) in wishes.iter().map(|after_s| (*after_s, format!("after{after_s}'s apns"))) {
        let times: Vec<Instant> = tries.iter().filter(|arrived| arrived.device == device).map(|arrived| arrived.at).collect();
        ensure!(times.len() == 2, "{} tries on {device}", times.len());
        due.push((times[0] + Duration::from_secs(after_s), times[1]));
    }
    due.sort_unstable();
    for (at, (due_at, came)) in due.iter().enumerate() {
        ensure!(*came + Duration::from_millis(50) >= *due_at, "one came {:?} early", *due_at - *came);
        ensure!(*came <= *due_at + OUT_OF_ORDER, "one came {:?} late", *came - *due_at);
        let later = due[at..].iter().find(|(later, before)| *later > *due_at + OUT_OF_ORDER && before < came);
        ensure!(later.is_none(), "one that was due later came earlier");
    }
    stage.end()?;
    Ok(String::new())
}

// ---- A gateway that is down ----

/// People who are away, each with a device and what Alice says to them.
fn crowd(stage: &Stage, count: usize) -> Result<Vec<(Arc<Device>, String)>> {
    let alice = stage.person("alice")?;
    let one = |number: usize| {
        let provider = Provider::HTTPS[number % Provider::HTTPS.len()];
        let (person, device) = stage.reachable(&format!("away{number}"), provider)?;
        Ok((device, stage.direct(&alice, &person)?))
    };
    (0..count).map(one).collect()
}

fn outage() -> Result<String> {
    let stage = Stage::set()?;
    let (alice, people) = (stage.person("alice")?, crowd(&stage, WAITING)?);
    stage.rest();
    stage.gateways.set_up(false)?;
    let down = Instant::now();
    let first: Vec<Said> = people.iter().map(|(_, direct)| stage.say(&alice, direct, "during the outage")).collect::<Result<_>>()?;
    std::thread::sleep(OUTAGE / 2);
    // Half of them are told something newer meanwhile.
    let mut newest: BTreeMap<String, Said> = first.into_iter().map(|said| (said.conversation.clone(), said)).collect();
    for (_, direct) in people.iter().step_by(2) {
        newest.insert(direct.clone(), stage.say(&alice, direct, "still during the outage")?);
    }
    std::thread::sleep(OUTAGE.saturating_sub(down.elapsed()));
    ensure!(stage.mark() == 0, "a push arrived at gateways that are down");
    stage.gateways.set_up(true)?;
    let up = Instant::now();
    // The longest wait between two tries is as long as the outage has been, and some more.
    for (device, direct) in &people {
        let said = &newest[direct];
        stage.gateways.book().wait(&format!("push of {:?} on {} after the outage", said.text, device.name), OUTAGE * 3, |all| {
            all.iter().find(|arrived| arrived.device == device.name && super::stage::is_about(arrived, said)).map(drop)
        })?;
    }
    let took = up.elapsed();
    for (device, direct) in &people {
        let older = stage.gateways.book().arrived(|arrived| arrived.device == device.name && arrived.seq < newest[direct].seq);
        ensure!(older.is_empty(), "{} was told of an older message", device.name);
    }
    let total = stage.mark();
    stage.end()?;
    Ok(format!("{WAITING} people, all told {:.1} s after the gateways were back, {total} pushes", took.as_secs_f64()))
}

/// Nobody knows whether what was on its way arrived: it is sent again.
fn cut_off() -> Result<String> {
    let stage = Stage::set()?;
    let (alice, people) = (stage.person("alice")?, crowd(&stage, WAITING / 2)?);
    stage.rest();
    // Longer than it takes to cut: nothing is written down before.
    stage.gateways.set_latency(Duration::from_secs(3));
    let all: Vec<Said> = people.iter().map(|(_, direct)| stage.say(&alice, direct, "on its way")).collect::<Result<_>>()?;
    let deadline = Instant::now() + PATIENCE;
    while stage.gateways.book().take_most_in_flight() < 2 {
        ensure!(Instant::now() < deadline, "nothing is on its way");
        std::thread::sleep(Duration::from_millis(20));
    }
    stage.gateways.set_up(false)?;
    stage.gateways.set_latency(Duration::ZERO);
    let before = stage.mark();
    stage.gateways.set_up(true)?;
    for ((device, _), said) in people.iter().zip(&all) {
        stage.pushed(device, said)?;
    }
    let total = stage.mark();
    stage.end()?;
    Ok(format!("{before} of {} before it was cut, {total} pushes in all", people.len()))
}

fn breaker() -> Result<String> {
    let stage = Stage::set()?;
    let alice = stage.person("alice")?;
    let mut people = Vec::new();
    for number in 0..WAITING {
        let (person, device) = stage.reachable(&format!("away{number}"), Provider::Fcm)?;
        stage.gateways.script(&device, &vec![Answer::Broken; 50]);
        people.push((stage.direct(&alice, &person)?, device));
    }
    stage.rest();
    for (direct, _) in &people {
        stage.say(&alice, direct, "nobody takes this")?;
    }
    std::thread::sleep(OUTAGE / 2);
    // Without a breaker and with one second at first: four tries of each by now.
    let tried = stage.mark();
    ensure!(tried < WAITING * 4, "{tried} tries of {WAITING} pushes in {:?} at a gateway that fails", OUTAGE / 2);
    for (_, device) in &people {
        stage.gateways.script(device, &[]);
    }
    for (direct, device) in &people {
        stage.gateways.book().wait(&format!("push on {} when the gateway is well", device.name), OUTAGE * 3, |all| {
            all.iter()
                .find(|arrived| arrived.device == device.name && arrived.conversation == *direct && arrived.answer.is_accept())
                .map(drop)
        })?;
    }
    stage.end()?;
    Ok(format!("{tried} tries of {WAITING} pushes in {:?}", OUTAGE / 2))
}
