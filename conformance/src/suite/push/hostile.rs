//! Registrations that mean harm, and receivers that do: each is refused with a clear error, or bounded, and nobody else waits for it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Person, Stage, times};
use crate::gateway::book::{Answer, Provider};
use crate::gateway::sealed::Subscription;
use crate::gateway::{Gateways, TOPIC, text_of};
use crate::suite::load::{MemoryWatch, mib};
use crate::suite::{Check, Report};

/// Targets of a user.
const MOST_TARGETS: usize = 16;
/// What answers without end may cost.
const EXTRA_BYTES: u64 = 32 << 20;
/// Receivers that misbehave at the same time.
const BAD_RECEIVERS: usize = 24;
/// How long somebody else's push may take meanwhile.
const OTHERS_WITHIN: Duration = Duration::from_secs(5);

/// Registrations.
pub fn stories() -> Vec<Check<'static>> {
    vec![
        Check::new("hostile: registrations for push that mean nothing", bad_registrations),
        Check::new("hostile: push to private addresses where they are not allowed", private_addresses),
        Check::new("hostile: more targets than a user may have", many_targets),
        Check::new("hostile: gateways whose certificate nobody vouches for", unknown_authority),
    ]
}

/// Receivers: others' times and the server's memory are measured, so that each runs alone.
pub fn run(report: &mut Report) {
    for (what, answer) in [
        ("never answer", Answer::Silence),
        ("answer ten megabytes", Answer::Endless),
        ("answer a byte at a time", Answer::Drip),
        ("send elsewhere", Answer::Elsewhere),
    ] {
        report.check(&format!("hostile: receivers of pushes that {what}"), || bad_receivers(&answer));
    }
}

/// A good browser's registration with one thing changed.
fn webpush(change: &Value) -> Value {
    let subscription = Subscription::new();
    let keys = json!({"p256dh": text_of(&subscription.public), "auth": text_of(&subscription.auth)});
    let mut registration = json!({"provider": "webpush", "endpoint": "https://127.0.0.1:1/push/x", "keys": keys});
    for (name, value) in change.as_object().into_iter().flatten() {
        match name.split_once('.') {
            Some((outer, inner)) => registration[outer][inner] = value.clone(),
            None => registration[name] = value.clone(),
        }
    }
    registration
}

fn bad_registrations() -> Result<String> {
    let stage = Stage::set()?;
    let mallory = stage.person("mallory")?;
    // 65 bytes that begin as a point does and lie on no curve.
    let nowhere = text_of(&[&[4][..], &[1; 64]].concat());
    let registrations = [
        json!({}),
        json!({"provider": "pigeon", "token": "x"}),
        json!({"provider": 7}),
        json!({"provider": "apns"}),
        json!({"provider": "apns", "token": "", "topic": TOPIC}),
        json!({"provider": "apns", "token": "not hexadecimal", "topic": TOPIC}),
        json!({"provider": "apns", "token": "../../3/device/00", "topic": TOPIC}),
        json!({"provider": "apns", "token": "a".repeat(5000), "topic": TOPIC}),
        json!({"provider": "apns", "token": "ab".repeat(32), "topic": "two\r\nheaders: x"}),
        json!({"provider": "fcm", "token": "with \"quotes\" and \n lines"}),
        json!({"provider": "fcm", "token": "a".repeat(100_000)}),
        json!({"provider": "expo", "token": "no token of Expo's"}),
        json!({"provider": "webhook", "url": "ftp://127.0.0.1/", "secret": "a secret that is long enough"}),
        json!({"provider": "webhook", "url": "file:///etc/passwd", "secret": "a secret that is long enough"}),
        json!({"provider": "webhook", "url": "https://user:password@127.0.0.1:1/", "secret": "a secret that is long enough"}),
        json!({"provider": "webhook", "url": "https://", "secret": "a secret that is long enough"}),
        json!({"provider": "webhook", "url": "https://127.0.0.1:99999/", "secret": "a secret that is long enough"}),
        json!({"provider": "webhook", "url": "https://127.0.0.1:1/\r\nX: y", "secret": "a secret that is long enough"}),
        json!({"provider": "webhook", "url": format!("https://127.0.0.1:1/{}", "a".repeat(10_000)), "secret": "a secret that is long enough"}),
        json!({"provider": "webhook", "url": "https://127.0.0.1:1/", "secret": "s".repeat(10_000)}),
        json!({"provider": "xmpp", "jid": "@@", "topic": "node"}),
        json!({"provider": "xmpp", "jid": "<iq/>", "topic": "node"}),
        webpush(&json!({"endpoint": "http:/nowhere"})),
        webpush(&json!({"endpoint": "javascript:alert(1)"})),
        webpush(&json!({"keys": null})),
        webpush(&json!({"keys.p256dh": ""})),
        webpush(&json!({"keys.p256dh": nowhere})),
        webpush(&json!({"keys.p256dh": text_of(&[4; 64])})),
        webpush(&json!({"keys.p256dh": "%%%"})),
        webpush(&json!({"keys.auth": text_of(&[1; 15])})),
        webpush(&json!({"keys.auth": text_of(&[1; 17])})),
        webpush(&json!({"keys.auth": 7})),
        webpush(&json!({"device": "d".repeat(100_000)})),
    ];
    let count = registrations.len();
    for registration in &registrations {
        is_told_why(&stage, &mallory, "push.register", registration)?;
    }
    let listed = stage.does(&mallory, "push.list", &json!({}))?;
    ensure!(listed["targets"] == json!([]), "push.list answers {listed}");
    for (method, params) in [
        ("push.unregister", json!({"target": "nothing"})),
        ("push.settings", json!({"level": "loud"})),
        ("push.settings", json!({"quiet": {"from": "25:00", "to": "07:00"}})),
        ("push.settings", json!({"quiet": {"from": "22:00"}})),
        ("push.settings", json!({"utc_offset_minutes": 100_000})),
        ("conversation.notify", json!({"conversation": "nowhere-at-all", "level": "all"})),
        ("conversation.notify", json!({"conversation": "lobby", "level": "loud"})),
        ("conversation.notify", json!({"conversation": "lobby", "until": "tomorrow"})),
        ("push.dead", json!({})),
        ("push.replay", json!({})),
    ] {
        is_told_why(&stage, &mallory, method, &params)?;
    }
    stage.end()?;
    Ok(format!("{count} registrations"))
}

/// Refused, with a word for programs and one for people, without what was sent in it, at length.
fn is_told_why(stage: &Stage, person: &Person, method: &str, params: &Value) -> Result<()> {
    let start = Instant::now();
    let error = stage.is_refused(person, method, params)?;
    ensure!(error.code != 0 && error.code != -32603, "{params} was refused with {error}");
    ensure!(!error.message.is_empty() && error.message.len() < 1000, "{params} was refused with {error}");
    ensure!(start.elapsed() < Duration::from_secs(2), "{params} took {:?}", start.elapsed());
    Ok(())
}

fn private_addresses() -> Result<String> {
    let stage = Stage::with(&format!("{}\nallow_private_urls = false", times()))?;
    let mallory = stage.person("mallory")?;
    let hosts = [
        "127.0.0.1",
        "127.0.0.2",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "localhost",
    ];
    let mut at_the_door = 0;
    for host in hosts {
        for registration in [
            webpush(&json!({"endpoint": format!("https://{host}/push/x")})),
            json!({"provider": "webhook", "url": format!("https://{host}/hook/x"), "secret": "a secret that is long enough"}),
        ] {
            if let Err(error) = stage.asks(&mallory, "push.register", &registration)? {
                ensure!(error.reason == "private_url", "{registration} was refused with {error}");
                at_the_door += 1;
            }
        }
    }
    // Addresses are known at once; what names stand for only when it is sent.
    ensure!(at_the_door >= 2 * 13, "only {at_the_door} were refused when they were registered");
    // What a resolver takes for 127.0.0.1, and no parser of addresses does.
    let device = stage.gateways.device(Provider::Webhook, "receiver");
    let by_name = device.address.replace("127.0.0.1", "2130706433");
    let is_in = stage.asks(&mallory, "push.register", &json!({"provider": "webhook", "url": by_name, "secret": device.secret}))?.is_ok();
    let (alice, sam) = (stage.person("alice")?, stage.staff("sam")?);
    let direct = stage.direct(&alice, &mallory)?;
    stage.rest();
    stage.say(&alice, &direct, "into the private network")?;
    let deadline = Instant::now() + PATIENCE;
    while is_in && stage.does(&sam, "push.dead", &json!({}))?["letters"] == json!([]) {
        ensure!(Instant::now() < deadline, "a push into the private network is not given up");
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(stage.gateways.connections() == 0, "somebody connected into the private network");
    // A provider that the organisers named may be there.
    let (bob, phone) = stage.reachable("bob", Provider::Fcm)?;
    let other = stage.direct(&alice, &bob)?;
    stage.rest();
    stage.pushed(&phone, &stage.say(&alice, &other, "to a provider")?)?;
    stage.end()?;
    Ok(format!("{at_the_door} of {} refused when they were registered", hosts.len() * 2))
}

fn many_targets() -> Result<String> {
    let stage = Stage::set()?;
    let bob = stage.person("bob")?;
    let devices: Vec<_> =
        (0..MOST_TARGETS + 4).map(|number| stage.gateways.device(Provider::Webhook, &format!("device {number}"))).collect();
    for device in &devices {
        stage.does(&bob, "push.register", &device.registration())?;
    }
    let listed = stage.does(&bob, "push.list", &json!({}))?;
    ensure!(listed["targets"].as_array().is_some_and(|all| all.len() == MOST_TARGETS), "push.list answers {listed}");
    ensure!(!listed.to_string().contains("\"device 0\""), "the oldest is still there: {listed}");
    // Those that were registered in the same millisecond are equally old.
    let kept: Vec<_> = devices.iter().filter(|device| listed.to_string().contains(&format!("\"{}\"", device.name))).collect();
    ensure!(kept.len() == MOST_TARGETS, "{listed}");
    let alice = stage.person("alice")?;
    let direct = stage.direct(&alice, &bob)?;
    stage.rest();
    let said = stage.say(&alice, &direct, "on all of them")?;
    for device in kept {
        stage.pushed(device, &said)?;
    }
    ensure!(stage.gateways.book().count() == MOST_TARGETS, "{} pushes", stage.gateways.book().count());
    stage.end()?;
    Ok(String::new())
}

/// The server trusts another authority: it says nothing to who is there.
fn unknown_authority() -> Result<String> {
    let (gateways, other) = (Gateways::start()?, Gateways::start()?);
    let config = gateways.config_of_trust_in(&other, &times());
    let stage = Stage::over(gateways, &config)?;
    let alice = stage.person("alice")?;
    let mut directs = Vec::new();
    for provider in Provider::HTTPS {
        let (person, _) = stage.reachable(&format!("bob-{}", provider.word()), provider)?;
        directs.push(stage.direct(&alice, &person)?);
    }
    stage.rest();
    for direct in &directs {
        stage.say(&alice, direct, "for nobody else")?;
    }
    // Every one of them has tried, and tried again.
    let (wanted, deadline) = (2 * Provider::HTTPS.len() as u64, Instant::now() + PATIENCE);
    while stage.gateways.connections() < wanted {
        ensure!(Instant::now() < deadline, "only {} connections", stage.gateways.connections());
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(stage.mark() == 0, "something was said to somebody whom nobody vouches for");
    stage.end()?;
    Ok(String::new())
}

/// Many receivers that misbehave; somebody with a good one notices nothing.
fn bad_receivers(answer: &Answer) -> Result<String> {
    let stage = Stage::set()?;
    let alice = stage.person("alice")?;
    let mut directs = Vec::new();
    for number in 0..BAD_RECEIVERS {
        let provider = if number % 2 == 0 { Provider::Webhook } else { Provider::WebPush };
        let (person, device) = stage.reachable(&format!("mallory{number}"), provider)?;
        stage.gateways.script(&device, &vec![answer.clone(); 100]);
        directs.push(stage.direct(&alice, &person)?);
    }
    // At another host, as somebody else's receiver is.
    let (bob, phone) = (stage.person("bob")?, stage.gateways.device(Provider::Webhook, "bob's receiver"));
    let url = phone.address.replace("127.0.0.1", "localhost");
    stage.does(&bob, "push.register", &json!({"provider": "webhook", "url": url, "secret": phone.secret}))?;
    let good = stage.direct(&alice, &bob)?;
    stage.rest();
    let before = stage.server.rss_bytes()?;
    let memory = MemoryWatch::start(&stage.server)?;
    for direct in &directs {
        stage.say(&alice, direct, "to a bad receiver")?;
    }
    stage.gateways.book().wait("pushes to bad receivers", PATIENCE, |all| (all.len() >= BAD_RECEIVERS).then_some(()))?;
    let mut slowest = Duration::ZERO;
    for number in 0..5 {
        let said = stage.say(&alice, &good, &format!("to a good one, {number}"))?;
        slowest = slowest.max(stage.pushed(&phone, &said)?.at - said.at);
        ensure!(slowest <= OTHERS_WITHIN, "somebody else's push took {slowest:?}");
    }
    let peak = memory.stop()?;
    ensure!(peak <= before + EXTRA_BYTES, "{} before, {} at the peak", mib(before), mib(peak));
    // What was answered, however badly, is not said again and again.
    if matches!(answer, Answer::Endless | Answer::Elsewhere) {
        let tries = stage.gateways.book().arrived(|arrived| arrived.device != phone.name).len();
        ensure!(tries == BAD_RECEIVERS, "{tries} tries at {BAD_RECEIVERS} receivers");
    }
    // Nobody was asked where a redirect leads: that is a violation.
    stage.end()?;
    Ok(format!("somebody else's push took {} ms, {} before, {} at the peak", slowest.as_millis(), mib(before), mib(peak)))
}
