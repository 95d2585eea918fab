//! Hallway as a component of Prosody (XEP-0114): a user of Prosody in a room of Hallway's and in a chat with somebody there, while either
//! server is started anew and the link is cut in the middle of stanzas.

mod prosody;
mod proxy;
mod pushing;
mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::prosody::{COMPONENT, Prosody, SECRET};
use self::proxy::{Of, Proxy};
use super::Report;
use crate::http::register;
use crate::server::{Options, Server};
use crate::xmpp::client::{Client, Over, PATIENCE, Seen};
use crate::xmpp::element::Element;

/// How long a link may take to be there again.
const LINKED_WITHIN: Duration = Duration::from_secs(40);
/// How long somebody waits for their own message to come back before they say it again.
const SAID_WITHIN: Duration = Duration::from_secs(3);
/// Alice's.
const PASSWORD: &str = "correct horse battery";
const MUC: &str = "http://jabber.org/protocol/muc";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

/// Runs all of it. Without Prosody the checks with it fail and say what to install.
pub fn run(report: &mut Report) {
    report.check("component: a room and a chat, both ways", both_ways);
    report.check("component: what is refused", refusals);
    report.check("component: Prosody is started anew", prosody_restarts);
    report.check("component: Hallway is started anew", hallway_restarts);
    report.check("component: the link is cut within stanzas", link_is_cut);
    report.check("component: the link is held up", link_is_slow);
    report.check("component: a server that is up to no good", hostile_server);
    report.check("component: a push service of another server", pushing::of_another_server);
    report.check("component: a wrong secret is told", wrong_secret);
}

/// The two servers and what is between them.
struct World {
    prosody: Prosody,
    proxy: Proxy,
    hallway: Server,
}

fn configuration(address: impl std::fmt::Display, secret: &str) -> String {
    format!(
        "[server]\nmode = \"demo\"\n[limits]\nmessages_per_second = 0\n[[xmpp.components]]\nserver = \"{address}\"\nsecret = \"{secret}\"\ndomain = \"{COMPONENT}\"\n"
    )
}

impl World {
    fn begin() -> Result<World> {
        let prosody = Prosody::start(&["bob", "carol"])?;
        let proxy = Proxy::start(prosody.components())?;
        let hallway = Server::start(Options::new().xmpp().config(&configuration(proxy.address(), SECRET)))?;
        register(hallway.http(), "alice", PASSWORD)?;
        Ok(World { prosody, proxy, hallway })
    }

    fn alice(&self) -> Result<Client> {
        let (mut alice, _) = Client::sign_in(&self.hallway.xmpp_endpoints()?, Over::Tcp, "alice", PASSWORD, "desk")?;
        alice.send("<presence/>")?;
        enter(&mut alice, "lobby@rooms.localhost/alice")?;
        Ok(alice)
    }

    /// Signs bob in and has him enter, as soon as the link is there.
    fn bob(&self) -> Result<Client> {
        let mut bob = self.prosody.sign_in("bob", "phone")?;
        enter(&mut bob, &format!("lobby@{COMPONENT}/bob"))?;
        Ok(bob)
    }
}

/// Enters a room, again until the link is there; the own presence.
fn enter(client: &mut Client, at: &str) -> Result<Element> {
    let deadline = Instant::now() + LINKED_WITHIN;
    loop {
        client.send(&format!("<presence to='{at}'><x xmlns='{MUC}'/></presence>"))?;
        let own = client.expect_where("a presence of one's own", |element| {
            element.name == "presence" && (element.attr("type") == Some("error") || codes(element).contains(&"110".to_owned()))
        })?;
        if own.attr("type").is_none() {
            client.expect_where("the subject", |element| element.name == "message" && element.child("subject").is_some())?;
            return Ok(own);
        }
        ensure!(Instant::now() < deadline, "{at} is not entered: {own}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn codes(presence: &Element) -> Vec<String> {
    let Some(x) = presence.child_of("x", MUC_USER) else { return Vec::new() };
    x.children.iter().filter(|child| child.name == "status").filter_map(|status| status.attr("code").map(str::to_owned)).collect()
}

fn body(element: &Element) -> Option<&str> {
    element.child("body").map(|body| body.text.as_str())
}

fn say(client: &mut Client, to: &str, kind: &str, text: &str) -> Result<()> {
    client.send(&format!("<message to='{to}' type='{kind}' id='{text}'><body>{text}</body></message>"))
}

fn hear(client: &mut Client, kind: &str, text: &str) -> Result<Element> {
    client.expect_where(text, |element| element.name == "message" && element.attr("type") == Some(kind) && body(element) == Some(text))
}

fn both_ways() -> Result<String> {
    let world = World::begin()?;
    let (mut alice, mut bob) = (world.alice()?, world.bob()?);
    let room = format!("lobby@{COMPONENT}");
    let came = alice.expect_where("bob's presence", |element| {
        element.name == "presence" && element.attr("from").is_some_and(|from| from.ends_with("/bob"))
    })?;
    ensure!(came.attr("from") == Some("lobby@rooms.localhost/bob"), "{came}");
    for at in 0..20 {
        say(&mut bob, &room, "groupchat", &format!("from-bob-{at}"))?;
        say(&mut alice, "lobby@rooms.localhost", "groupchat", &format!("from-alice-{at}"))?;
    }
    let order = |client: &mut Client| -> Result<Vec<String>> {
        let mut heard = Vec::new();
        while heard.len() < 40 {
            let next = client.expect_where("the next of the room", |element| element.name == "message" && body(element).is_some())?;
            heard.extend(body(&next).map(str::to_owned));
        }
        Ok(heard)
    };
    let (one, other) = (order(&mut alice)?, order(&mut bob)?);
    ensure!(one == other, "alice heard {one:?}, bob {other:?}");
    // One to one, in both directions.
    say(&mut bob, &format!("~alice@{COMPONENT}"), "chat", "just-for-alice")?;
    let heard = hear(&mut alice, "chat", "just-for-alice")?;
    let from = heard.attr("from").context("from nobody")?.to_owned();
    say(&mut alice, &from, "chat", "just-for-bob")?;
    let heard = hear(&mut bob, "chat", "just-for-bob")?;
    ensure!(heard.attr("from").is_some_and(|from| from.starts_with(&format!("~alice@{COMPONENT}/"))), "{heard}");
    // Two of Prosody, by way of a room; and a second client of one of them.
    let mut carol = world.prosody.sign_in("carol", "phone")?;
    enter(&mut carol, &format!("{room}/carol"))?;
    let mut tablet = world.prosody.sign_in("bob", "tablet")?;
    enter(&mut tablet, &format!("{room}/bob"))?;
    say(&mut carol, &format!("{room}/bob"), "chat", "between-us")?;
    let heard = hear(&mut bob, "chat", "between-us")?;
    say(&mut bob, heard.attr("from").context("from nobody")?, "chat", "between-us-two")?;
    hear(&mut carol, "chat", "between-us-two").with_context(|| format!("an answer to {heard}"))?;
    // Another nick than one's name is not to be had, and the archive is bob's to read.
    let own = enter(&mut bob, &format!("{room}/somebody-else"))?;
    ensure!(own.attr("from") == Some(&format!("{room}/bob")) && codes(&own).contains(&"210".to_owned()), "{own}");
    let archive = bob.ask(
        "mam",
        &format!("<iq to='{room}' type='set' id='mam'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>5</max><before/></set></query></iq>"),
    )?;
    ensure!(archive.attr("type") == Some("result"), "{archive}");
    let about =
        bob.ask("disco", &format!("<iq to='{room}' type='get' id='disco'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"))?;
    ensure!(about.to_string().contains(MUC), "{about}");
    // The subject, and being put out.
    world.hallway.cli_ok(&["user", "add", "demo/sam", "--role", "staff", "--name", "sam", "--password", PASSWORD])?;
    let (mut sam, _) = Client::sign_in(&world.hallway.xmpp_endpoints()?, Over::Tcp, "sam", PASSWORD, "desk")?;
    enter(&mut sam, "lobby@rooms.localhost/sam")?;
    sam.send("<message to='lobby@rooms.localhost' type='groupchat' id='s'><subject>Elsewhere</subject></message>")?;
    bob.expect_where("the subject", |element| element.child("subject").is_some_and(|subject| subject.text == "Elsewhere"))?;
    let kick = "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='bob' role='none'/></query>";
    let answer = sam.ask("kick", &format!("<iq to='lobby@rooms.localhost' type='set' id='kick'>{kick}</iq>"))?;
    ensure!(answer.attr("type") == Some("result"), "{answer}");
    bob.expect_where("being put out", |element| element.attr("type") == Some("unavailable") && codes(element).contains(&"307".to_owned()))?;
    say(&mut bob, &room, "groupchat", "still-here")?;
    bob.expect_where("an error", |element| element.attr("type") == Some("error") && element.attr("id") == Some("still-here"))?;
    Ok(format!("{} messages in one order, one to one, nick lock, archive", one.len()))
}

fn refusals() -> Result<String> {
    let world = World::begin()?;
    let (_alice, mut bob) = (world.alice()?, world.bob()?);
    let mut refused = |kind: &str, stanza: String, condition: &str| -> Result<()> {
        bob.send(&stanza)?;
        let error = bob.expect_where(condition, |element| element.name == kind && element.attr("type") == Some("error"))?;
        ensure!(error.to_string().contains(condition), "instead of {condition} came {error}");
        Ok(())
    };
    refused("message", format!("<message to='help@{COMPONENT}' type='groupchat' id='1'><body>x</body></message>"), "not-acceptable")?;
    refused("message", format!("<message to='~nobody@{COMPONENT}' type='chat' id='2'><body>x</body></message>"), "item-not-found")?;
    refused("presence", format!("<presence to='announcements@{COMPONENT}' id='3'><x xmlns='{MUC}'/></presence>"), "jid-malformed")?;
    let vcard = "<vCard xmlns='vcard-temp'><DESC>alice@prosody.localhost</DESC></vCard>";
    refused("iq", format!("<iq to='lobby@{COMPONENT}/bob' type='set' id='4'>{vcard}</iq>"), "service-unavailable")?;
    // A ghost: bob's client goes while he is in the room, and Prosody says so.
    bob.cut();
    let mut again = world.prosody.sign_in("bob", "tablet")?;
    enter(&mut again, &format!("lobby@{COMPONENT}/bob"))?;
    Ok("5 refusals".into())
}

/// What was said in a room, by stanza-id, and how often it was told.
type Heard = BTreeMap<String, (String, usize)>;

fn note(heard: &mut Heard, element: &Element) {
    let id = element.child("stanza-id").and_then(|id| id.attr("id"));
    if let (Some(id), Some(body), "message") = (id, body(element), element.name.as_str()) {
        heard.entry(id.to_owned()).or_insert_with(|| (body.to_owned(), 0)).1 += 1;
    }
}

/// Checks that each of these was said once: under one id.
fn judge(heard: &Heard, said: &[String]) -> Result<usize> {
    for text in said {
        let ids = heard.values().filter(|(body, _)| body == text).count();
        ensure!(ids == 1, "'{text}' was heard {ids} times; heard was {:?}", heard.values().map(|(body, _)| body).collect::<Vec<_>>());
    }
    Ok(heard.values().map(|(_, times)| times - 1).sum())
}

/// Waits until all of these were heard.
fn hear_all(client: &mut Client, heard: &mut Heard, said: &[String], within: Duration) -> Result<()> {
    let deadline = Instant::now() + within;
    while !said.iter().all(|text| heard.values().any(|(body, _)| body == text)) {
        ensure!(Instant::now() < deadline, "of {said:?} only {:?} was heard", heard.values().map(|(body, _)| body).collect::<Vec<_>>());
        match client.see(Duration::from_millis(500))? {
            Seen::Element(element) => note(heard, &element),
            Seen::Nothing => {}
            other => bail!("{other:?}"),
        }
    }
    Ok(())
}

fn texts(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{name}-{at}")).collect()
}

fn prosody_restarts() -> Result<String> {
    let mut world = World::begin()?;
    let (mut alice, mut bob) = (world.alice()?, world.bob()?);
    let mut heard = Heard::new();
    let before = texts("before", 5);
    for text in &before {
        say(&mut alice, "lobby@rooms.localhost", "groupchat", text)?;
    }
    hear_all(&mut bob, &mut heard, &before, PATIENCE)?;
    say(&mut bob, &format!("~alice@{COMPONENT}"), "chat", "hello")?;
    let from = hear(&mut alice, "chat", "hello")?.attr("from").context("from nobody")?.to_owned();
    world.prosody.stop();
    bob.cut();
    let meanwhile = texts("meanwhile", 5);
    for text in &meanwhile {
        say(&mut alice, "lobby@rooms.localhost", "groupchat", text)?;
        hear(&mut alice, "groupchat", text)?;
    }
    say(&mut alice, &from, "chat", "while-you-were-away")?;
    world.prosody.restart()?;
    let mut bob = world.prosody.sign_in("bob", "phone")?;
    // What was said to him alone comes by itself.
    let mut heard = Heard::new();
    hear_all(&mut bob, &mut heard, &["while-you-were-away".to_owned()], LINKED_WITHIN)?;
    bob.send(&format!("<presence to='lobby@{COMPONENT}/bob'><x xmlns='{MUC}'/></presence>"))?;
    let all: Vec<String> = before.into_iter().chain(meanwhile).collect();
    hear_all(&mut bob, &mut heard, &all, LINKED_WITHIN)?;
    let again = judge(&heard, &all)?;
    Ok(format!("{} messages, {again} of them told again under their ids", all.len()))
}

fn hallway_restarts() -> Result<String> {
    let mut world = World::begin()?;
    let (mut alice, mut bob) = (world.alice()?, world.bob()?);
    say(&mut bob, &format!("~alice@{COMPONENT}"), "chat", "hello")?;
    let from = hear(&mut alice, "chat", "hello")?.attr("from").context("from nobody")?.to_owned();
    let bare = from.split('/').next().unwrap_or_default().to_owned();
    let mut said = Vec::new();
    for round in 0..3 {
        let text = format!("for-bob-{round}");
        say(&mut alice, "lobby@rooms.localhost", "groupchat", &text)?;
        say(&mut alice, &bare, "chat", &format!("alone-{round}"))?;
        hear(&mut alice, "groupchat", &text)?;
        if round % 2 == 0 {
            hear(&mut bob, "chat", &format!("alone-{round}"))?;
            world.hallway.terminate()?;
            let gone = bob.expect_where("being put out", |element| codes(element).contains(&"332".to_owned()))?;
            ensure!(gone.attr("type") == Some("unavailable") && gone.attr("from") == Some(&format!("lobby@{COMPONENT}/bob")), "{gone}");
        } else {
            // In the midst of it: what bob has not had by then comes afterwards.
            world.hallway.kill()?;
        }
        said.push(text);
        world.hallway.restart()?;
        alice = world.alice()?;
        if round % 2 == 1 {
            let mut heard = Heard::new();
            hear_all(&mut bob, &mut heard, &[format!("alone-{round}")], LINKED_WITHIN)?;
        }
        bob.send(&format!("<presence to='lobby@{COMPONENT}/bob' type='unavailable'/>"))?;
        let mut heard = Heard::new();
        enter_with_history(&mut bob, &mut heard)?;
        judge(&heard, &said)?;
    }
    Ok(format!("{} starts", said.len()))
}

/// Enters the lobby as bob; the history.
fn enter_with_history(bob: &mut Client, heard: &mut Heard) -> Result<()> {
    let deadline = Instant::now() + LINKED_WITHIN;
    'again: loop {
        ensure!(Instant::now() < deadline, "bob does not come in again");
        bob.send(&format!("<presence to='lobby@{COMPONENT}/bob'><x xmlns='{MUC}'/></presence>"))?;
        loop {
            let element = bob.expect("what is in the room")?;
            if element.name == "presence" && element.attr("type") == Some("error") {
                std::thread::sleep(Duration::from_millis(200));
                continue 'again;
            }
            if element.attr("type") == Some("groupchat") {
                note(heard, &element);
                if element.child("subject").is_some() {
                    return Ok(());
                }
            }
        }
    }
}

fn link_is_cut() -> Result<String> {
    let world = World::begin()?;
    let (mut alice, mut bob) = (world.alice()?, world.bob()?);
    let (room, mut by_alice, mut by_bob) = (format!("lobby@{COMPONENT}"), Heard::new(), Heard::new());
    let (said_by_alice, said_by_bob) = (texts("alice", 60), texts("bob", 12));
    for (at, text) in said_by_bob.iter().enumerate() {
        world.proxy.cut(if at % 2 == 0 { Of::Component } else { Of::Server });
        for text in &said_by_alice[at * 5..at * 5 + 5] {
            say(&mut alice, "lobby@rooms.localhost", "groupchat", text)?;
        }
        // Bob says it again, with the same id, until the room says it back.
        let deadline = Instant::now() + LINKED_WITHIN;
        while !by_bob.values().any(|(body, _)| body == text) {
            ensure!(Instant::now() < deadline, "'{text}' does not come through");
            say(&mut bob, &room, "groupchat", text)?;
            let until = Instant::now() + SAID_WITHIN;
            while Instant::now() < until && !by_bob.values().any(|(body, _)| body == text) {
                if let Seen::Element(element) = bob.see(Duration::from_millis(100))? {
                    if element.attr("type") == Some("error") {
                        std::thread::sleep(Duration::from_millis(200));
                        break;
                    }
                    note(&mut by_bob, &element);
                }
            }
        }
    }
    let all: Vec<String> = said_by_alice.into_iter().chain(said_by_bob).collect();
    hear_all(&mut alice, &mut by_alice, &all, LINKED_WITHIN)?;
    hear_all(&mut bob, &mut by_bob, &all, LINKED_WITHIN)?;
    ensure!(judge(&by_alice, &all)? == 0, "alice heard something twice");
    let again = judge(&by_bob, &all)?;
    let cuts = world.proxy.cuts();
    ensure!(cuts >= 6, "the link was cut only {cuts} times");
    Ok(format!("{cuts} cuts, {} messages, {again} told again under their ids", all.len()))
}

/// More than fits into the link, the pipes and the outboxes: the rest waits in the store.
fn link_is_slow() -> Result<String> {
    let world = World::begin()?;
    let (mut alice, mut bob) = (world.alice()?, world.bob()?);
    world.proxy.hold(true);
    let said = texts("much", 3000);
    let (padding, mut heard) = ("x".repeat(2000), Heard::new());
    for text in &said {
        alice.send(&format!("<message to='lobby@rooms.localhost' type='groupchat' id='{text}'><body>{text} {padding}</body></message>"))?;
        hear(&mut alice, "groupchat", &format!("{text} {padding}"))?;
    }
    let peak = world.hallway.rss_bytes()? >> 20;
    world.proxy.hold(false);
    let mut order = Vec::new();
    while order.len() < said.len() {
        let next = bob.expect_where("the next", |element| element.name == "message" && body(element).is_some())?;
        note(&mut heard, &next);
        order.push(body(&next).unwrap_or_default().split(' ').next().unwrap_or_default().to_owned());
    }
    ensure!(order == said, "not in order");
    ensure!(heard.values().all(|(_, times)| *times == 1), "something was told twice");
    Ok(format!("{} messages of 2 kB in order, once; {peak} MiB at most", said.len()))
}

/// A server that speaks of itself and takes what it likes.
fn hostile_server() -> Result<String> {
    let server = server::Server::listen()?;
    let configuration = format!("{}\n[xmpp]\nremote_users_max = 2\n", configuration(server.address(), SECRET));
    let hallway = Server::start(Options::new().xmpp().config(&configuration))?;
    register(hallway.http(), "alice", PASSWORD)?;
    let mut component = server.accept()?;
    let (mut alice, _) = Client::sign_in(&hallway.xmpp_endpoints()?, Over::Tcp, "alice", PASSWORD, "desk")?;
    enter(&mut alice, "lobby@rooms.localhost/alice")?;
    let join = |from: &str| format!("<presence from='{from}' to='lobby@{COMPONENT}/x' id='j'><x xmlns='{MUC}'/></presence>");
    let mut refused = 0;
    for forged in [format!("~alice@{COMPONENT}/1"), "alice@localhost/1".into(), "lobby@rooms.localhost/alice".into()] {
        let error = component.ask(&join(&forged), |element| element.attr("type") == Some("error"))?;
        ensure!(error.to_string().contains("not-allowed"), "{error}");
        refused += 1;
    }
    for (from, to) in [("<>", "x"), ("bob@third.example/1", "~~@hallway.localhost"), ("third.example", "lobby@hallway.localhost/x")] {
        component.send(&format!("<presence from='{}' to='{to}'/>", crate::xmpp::element::escape(from)))?;
    }
    let is_in = |element: &Element| codes(element).contains(&"110".to_owned());
    component.ask(&join("bob@third.example/1"), is_in)?;
    alice.expect_where("bob", |element| element.name == "presence" && element.attr("from") == Some("lobby@rooms.localhost/x"))?;
    component.ask(&join("carol@fourth.example/1"), is_in)?;
    let error = component.ask(&join("dave@third.example/1"), |element| element.attr("type") == Some("error"))?;
    ensure!(error.attr("to") == Some("dave@third.example/1"), "{error}");
    // Nobody speaks for somebody else in a room, nor in one that they are not in.
    let message = format!("<message from='bob@third.example/2' to='lobby@{COMPONENT}' type='groupchat' id='m'><body>x</body></message>");
    let error = component.ask(&message, |element| element.attr("id") == Some("m"))?;
    ensure!(error.to_string().contains("not-acceptable"), "{error}");
    // Who cannot be reached is put out.
    let own = format!("lobby@{COMPONENT}");
    let bounce = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    component.send(&format!("<message from='bob@third.example/1' to='{own}' type='error'>{bounce}</message>"))?;
    alice.expect_where("bob's end", |element| {
        element.attr("type") == Some("unavailable") && element.attr("from").is_some_and(|from| from.starts_with("lobby@rooms.localhost/"))
    })?;
    // Bad XML ends the link, and it comes again.
    component.send("<message from='a@b' </")?;
    let mut component = server.accept()?;
    component.ask(&join("bob@third.example/1"), is_in)?;
    Ok(format!("{refused} forged senders, a quota, a ghost, a link that broke"))
}

fn wrong_secret() -> Result<String> {
    let prosody = Prosody::start(&["bob"])?;
    let hallway = Server::start(Options::new().xmpp().config(&configuration(prosody.components(), "another")))?;
    let deadline = Instant::now() + PATIENCE;
    while !hallway.stderr_tail(100).contains("refuses the secret") {
        ensure!(Instant::now() < deadline, "nobody is told; the log:\n{}", hallway.stderr_tail(20));
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(!hallway.stderr_tail(1000).contains("another\""), "the secret is in the log");
    Ok("and the secret is not".into())
}
