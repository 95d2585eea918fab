//! Who is pushed what: kinds of conversations, mentions, settings, sessions that are idle or not, messages of every protocol, messages that change
//! before they are told. On a browser's push service, which tells all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::stage::{ACTIVE, PATIENCE, Person, Stage};
use crate::client::Client;
use crate::gateway::book::{Device, Provider};
use crate::mqtt::Version;
use crate::mqtt::packet::Publish;
use crate::script::password;
use crate::suite::{Check, edge};
use crate::time::to_the_second;
use crate::xmpp::client::{Client as XmppClient, Over};

/// A silence that ends: it is told in whole seconds, and what is said in it is to be decided in it, however slow the machine is.
const SILENCE: Duration = Duration::from_secs(5);

type Story = fn(&Cast) -> Result<()>;

/// All stories.
pub fn stories() -> Vec<Check<'static>> {
    let stories: [(&str, Story); 16] = [
        ("a channel only when one is named, or wants all of it", in_a_channel),
        ("staff names everybody", everybody_is_named),
        ("a group like a channel, announcements to all who are in", in_groups_and_announcements),
        ("muted for a while", muted_for_a_while),
        ("a level for everything", level_for_all),
        ("quiet hours", quiet_hours),
        ("what falls into quiet hours comes once at their end", quiet_hours_end),
        ("edited and deleted before they are told", changed_before),
        ("blocked", blocked),
        ("an idle desktop does not silence the phone", idle_desktop),
        ("an active desktop does, for a while", active_desktop),
        ("a desktop that stays active does", busy_desktop),
        ("pings are no activity", pings),
        ("sent over MQTT and XMPP", other_protocols),
        ("every device of a user, and none that is not theirs any more", devices),
        ("unread counts and the newest message", unread),
    ];
    stories.into_iter().map(|(name, story)| Check::new(format!("push: {name}"), move || told(story))).collect()
}

fn told(story: Story) -> Result<String> {
    let stage = Stage::set()?;
    let (bob, phone) = stage.reachable("bob", Provider::WebPush)?;
    let (alice, sam) = (stage.person("alice")?, stage.staff("sam")?);
    let cast = Cast { stage, alice, bob, sam, phone };
    story(&cast)?;
    cast.stage.end()?;
    Ok(String::new())
}

/// Alice talks, Bob is away with his phone, Sam is of the staff.
struct Cast {
    stage: Stage,
    alice: Person,
    bob: Person,
    sam: Person,
    phone: Arc<Device>,
}

impl Cast {
    /// Bob and Alice are members of a channel.
    fn in_channel(&self, channel: &str) -> Result<()> {
        for person in [&self.alice, &self.bob] {
            self.stage.does(person, "conversation.join", &json!({"conversation": channel}))?;
        }
        Ok(())
    }

    /// What Alice says there does not reach Bob's phone.
    fn is_silent(&self, conversation: &str, why: &str) -> Result<()> {
        self.stage.rest();
        let mark = self.stage.mark();
        self.stage.say(&self.alice, conversation, why)?;
        self.stage.nothing(mark, &self.phone).with_context(|| why.to_owned())
    }

    /// What Alice says there does, once.
    fn is_heard(&self, conversation: &str, why: &str) -> Result<()> {
        self.stage.rest();
        let mark = self.stage.mark();
        let said = self.stage.say(&self.alice, conversation, why)?;
        self.stage.pushed(&self.phone, &said)?;
        self.stage.one(mark, &self.phone).map(drop).with_context(|| why.to_owned())
    }

    fn notify(&self, conversation: &str, level: &str) -> Result<()> {
        self.stage.does(&self.bob, "conversation.notify", &json!({"conversation": conversation, "level": level})).map(drop)
    }

    fn direct(&self) -> Result<String> {
        self.stage.direct(&self.alice, &self.bob)
    }
}

// ---- Kinds ----

fn in_a_channel(cast: &Cast) -> Result<()> {
    cast.in_channel("lobby")?;
    cast.is_silent("lobby", "a message in a channel")?;
    let mark = cast.stage.mark();
    let said = cast.stage.say_with(&cast.alice, "lobby", "@bob look", &json!({"mentions": ["bob"]}))?;
    let told = cast.stage.pushed(&cast.phone, &said)?;
    cast.stage.one(mark, &cast.phone)?;
    ensure!(told.title.contains("Alice") && told.title.contains("Lobby") || told.title.contains("lobby"), "headed {:?}", told.title);
    ensure!(told.is_urgent == Some(true) && told.raw.contains("\"mentions\":true"), "a mention is not urgent: {}", told.raw);
    cast.notify("lobby", "all")?;
    cast.is_heard("lobby", "all of a channel")?;
    cast.notify("lobby", "mentions")?;
    cast.is_silent("lobby", "only mentions of a channel")?;
    cast.notify("lobby", "none")?;
    cast.stage.rest();
    let mark = cast.stage.mark();
    cast.stage.say_with(&cast.alice, "lobby", "@bob?", &json!({"mentions": ["bob"]}))?;
    cast.stage.nothing(mark, &cast.phone).context("a mention in a muted channel")?;
    // Who is no member is named in vain.
    cast.stage.does(&cast.bob, "conversation.leave", &json!({"conversation": "lobby"}))?;
    cast.stage.rest();
    let mark = cast.stage.mark();
    cast.stage.say_with(&cast.alice, "lobby", "@bob!", &json!({"mentions": ["bob"]}))?;
    cast.stage.nothing(mark, &cast.phone).context("a mention in a channel that was left")
}

fn everybody_is_named(cast: &Cast) -> Result<()> {
    cast.in_channel("lobby")?;
    cast.stage.rest();
    let said = cast.stage.say_with(&cast.sam, "lobby", "Everybody out!", &json!({"mentions": ["*"]}))?;
    cast.stage.pushed(&cast.phone, &said).map(drop)
}

fn in_groups_and_announcements(cast: &Cast) -> Result<()> {
    let group = json!({"kind": "group", "id": "dinner", "title": "Dinner", "members": ["bob"]});
    cast.stage.does(&cast.alice, "conversation.create", &group)?;
    cast.stage.does(&cast.bob, "conversation.join", &json!({"conversation": "dinner"}))?;
    cast.is_silent("dinner", "a message in a group")?;
    let said = cast.stage.say_with(&cast.alice, "dinner", "@bob hungry?", &json!({"mentions": ["bob"]}))?;
    cast.stage.pushed(&cast.phone, &said)?;
    // Announcements reach members only; the others have them in their list.
    cast.stage.rest();
    let mark = cast.stage.mark();
    cast.stage.say(&cast.sam, "announcements", "Doors open at nine")?;
    cast.stage.nothing(mark, &cast.phone).context("announcements that one is not in")?;
    cast.stage.does(&cast.bob, "conversation.join", &json!({"conversation": "announcements"}))?;
    cast.stage.rest();
    let mark = cast.stage.mark();
    let said = cast.stage.say(&cast.sam, "announcements", "Lunch is at one")?;
    cast.stage.pushed(&cast.phone, &said)?;
    cast.stage.one(mark, &cast.phone).map(drop)
}

// ---- Settings ----

fn muted_for_a_while(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let until = |seconds: u64| to_the_second((now_s() + seconds) * 1000) + "Z";
    let set = cast.stage.does(&cast.bob, "conversation.notify", &json!({"conversation": direct, "until": until(3600)}))?;
    ensure!(set["muted"] == true && set["until"].is_string(), "conversation.notify answers {set}");
    cast.is_silent(&direct, "silenced for an hour")?;
    let list = cast.stage.does(&cast.bob, "conversation.list", &json!({}))?;
    let rows = list.as_array().or(list["conversations"].as_array()).with_context(|| format!("conversation.list answers {list}"))?;
    ensure!(rows.iter().any(|row| row["conversation"] == direct.as_str() && row["muted"] == true), "not muted in {list}");
    cast.stage.does(&cast.bob, "conversation.notify", &json!({"conversation": direct, "until": null}))?;
    cast.is_heard(&direct, "no longer silenced")?;
    cast.stage.does(&cast.bob, "conversation.notify", &json!({"conversation": direct, "until": until(SILENCE.as_secs())}))?;
    let over = Instant::now() + SILENCE + Duration::from_millis(500);
    cast.is_silent(&direct, "silenced for a moment")?;
    std::thread::sleep(over.saturating_duration_since(Instant::now()));
    cast.is_heard(&direct, "silenced a moment ago")
}

fn level_for_all(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    cast.in_channel("lobby")?;
    let settings = |level: &str| cast.stage.does(&cast.bob, "push.settings", &json!({"level": level}));
    settings("none")?;
    cast.is_silent(&direct, "nothing at all")?;
    cast.notify(&direct, "all")?;
    cast.is_heard(&direct, "nothing but this")?;
    cast.notify(&direct, "default")?;
    settings("mentions")?;
    cast.is_silent(&direct, "mentions alone")?;
    settings("all")?;
    cast.is_heard("lobby", "everything")?;
    let set = settings("default")?;
    ensure!(set["level"] == "default", "push.settings answers {set}");
    cast.is_silent("lobby", "by the kind again")
}

/// Settings of quiet hours from the one minute until the other, from now, for somebody whose clock is five hours and a half ahead.
fn quiet_in(now_s: u64, from: u64, to: u64) -> Value {
    let clock = |minutes: u64| {
        let minute = (now_s / 60 + 330 + 1440 + minutes) % 1440;
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    json!({"quiet": {"from": clock(from), "to": clock(to)}, "utc_offset_minutes": 330})
}

fn quiet_hours(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let now_s = now_s();
    let quiet = |from: u64, to: u64| quiet_in(now_s, from, to);
    cast.stage.does(&cast.bob, "push.settings", &quiet(1440 - 10, 10))?;
    cast.is_silent(&direct, "in quiet hours")?;
    cast.stage.does(&cast.bob, "push.settings", &quiet(120, 240))?;
    cast.is_heard(&direct, "outside quiet hours")?;
    cast.stage.does(&cast.bob, "push.settings", &quiet(240, 120))?;
    cast.is_silent(&direct, "in quiet hours over midnight")?;
    let set = cast.stage.does(&cast.bob, "push.settings", &json!({"quiet": null}))?;
    ensure!(set["quiet"].is_null(), "push.settings answers {set}");
    cast.is_heard(&direct, "no quiet hours")
}

fn quiet_hours_end(cast: &Cast) -> Result<()> {
    let (direct, other) = (cast.direct()?, cast.stage.direct(&cast.sam, &cast.bob)?);
    // The end of a minute that leaves enough of it.
    let now_s = now_s() + 30;
    cast.stage.does(&cast.bob, "push.settings", &quiet_in(now_s, 1440 - 10, 1))?;
    let end_s = (now_s / 60 + 1) * 60;
    let mark = cast.stage.mark();
    let read = cast.stage.say(&cast.sam, &other, "read before they end")?;
    cast.is_silent(&direct, "the first in quiet hours")?;
    cast.stage.rest();
    let said = cast.stage.say(&cast.alice, &direct, "the second in quiet hours")?;
    cast.stage.does(&cast.bob, "conversation.read", &json!({"conversation": other, "seq": read.seq}))?;
    let patience = Duration::from_secs(end_s.saturating_sub(self::now_s())) + PATIENCE;
    let told = cast.stage.gateways.book().wait("the push at the end of quiet hours", patience, |all| {
        all.iter().skip(mark).find(|arrived| arrived.device == cast.phone.name).cloned()
    })?;
    ensure!(self::now_s() >= end_s, "it came {} s before the end of quiet hours", end_s - self::now_s());
    ensure!(told.seq == said.seq && told.unread == 2, "told {told:?}");
    cast.stage.one(mark, &cast.phone).map(drop)
}

// ---- Messages that change ----

fn changed_before(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    cast.stage.rest();
    let said = cast.stage.say(&cast.alice, &direct, "meet at noon")?;
    cast.stage.does(&cast.alice, "message.edit", &json!({"conversation": direct, "seq": said.seq, "text": "meet at one"}))?;
    let told = cast.stage.pushed(&cast.phone, &said)?;
    ensure!(told.text == "meet at one" && told.unread == 1, "told {:?}, {} unread", told.text, told.unread);
    cast.stage.rest();
    let mark = cast.stage.mark();
    let said = cast.stage.say(&cast.alice, &direct, "forget that I said this")?;
    cast.stage.does(&cast.alice, "message.delete", &json!({"conversation": direct, "seq": said.seq}))?;
    let since = cast.stage.since(mark, &cast.phone)?;
    ensure!(since.iter().all(|told| !told.raw.contains("forget that")), "told what was deleted: {since:#?}");
    ensure!(since.is_empty(), "a push about a message that is deleted: {since:#?}");
    Ok(())
}

fn blocked(cast: &Cast) -> Result<()> {
    cast.in_channel("lobby")?;
    cast.stage.does(&cast.bob, "people.block", &json!({"user": "alice"}))?;
    cast.stage.rest();
    let mark = cast.stage.mark();
    cast.stage.say_with(&cast.alice, "lobby", "@bob please", &json!({"mentions": ["bob"]}))?;
    cast.stage.nothing(mark, &cast.phone).context("a mention by somebody who is blocked")
}

fn unread(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    cast.stage.rest();
    let mark = cast.stage.mark();
    let all: Vec<_> = (1..=5).map(|number| cast.stage.say(&cast.alice, &direct, &format!("number {number}"))).collect::<Result<_>>()?;
    let last = all.last().context("five")?;
    let told = cast.stage.pushed(&cast.phone, last)?;
    ensure!(told.unread == 5 && told.text == "number 5", "{} unread, {:?}", told.unread, told.text);
    // One after another within the grace are one push, of the newest.
    let since = cast.stage.since(mark, &cast.phone)?;
    ensure!(since.len() == 1, "{} pushes for five messages within the grace: {since:#?}", since.len());
    Ok(())
}

// ---- Sessions ----

fn idle_desktop(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let mut desktop = Client::sign_in(cast.stage.server.http(), &cast.bob.token)?;
    desktop.call_ok("conversation.subscribe", &json!({"conversation": direct}))?;
    cast.is_heard(&direct, "the desktop is idle")?;
    desktop.close()?;
    Ok(())
}

fn active_desktop(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let mut desktop = Client::sign_in(cast.stage.server.http(), &cast.bob.token)?;
    cast.stage.rest();
    desktop.call_ok("conversation.typing", &json!({"conversation": direct, "on": true}))?;
    let said = cast.stage.say(&cast.alice, &direct, "You are typing!")?;
    // Then Bob looks out of the window, without having read it.
    cast.stage.pushed_late(&cast.phone, &said).context("Bob was typing")?;
    desktop.close()?;
    Ok(())
}

/// Who types on is there, also when it is looked at again.
fn busy_desktop(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let is_over = AtomicBool::new(false);
    let (server, token) = (cast.stage.server.http(), &cast.bob.token);
    let types = || -> Result<()> {
        let mut desktop = Client::sign_in(server, token)?;
        while !is_over.load(Ordering::Relaxed) {
            desktop.call_ok("conversation.typing", &json!({"conversation": direct, "on": true}))?;
            std::thread::sleep(ACTIVE / 20);
        }
        desktop.close()?;
        Ok(())
    };
    std::thread::scope(|scope| {
        let typing = scope.spawn(types);
        cast.stage.rest();
        let mark = cast.stage.mark();
        cast.stage.say(&cast.alice, &direct, "You are still typing!")?;
        // Each lets two graces go by: it was looked at again by then.
        let silent = cast.stage.nothing(mark, &cast.phone).and_then(|()| cast.stage.nothing(mark, &cast.phone));
        is_over.store(true, Ordering::Relaxed);
        typing.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        silent.context("Bob was typing all the time")
    })
}

fn pings(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let mut desktop = edge::join(&cast.stage.server, Version::V5, "bob")?;
    cast.stage.rest();
    let mark = cast.stage.mark();
    desktop.ping()?;
    let said = cast.stage.say(&cast.alice, &direct, "only pings")?;
    desktop.ping()?;
    cast.stage.pushed(&cast.phone, &said)?;
    cast.stage.one(mark, &cast.phone).map(drop)
}

fn other_protocols(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let told = |text: &str| {
        let it = cast.stage.gateways.book().wait(&format!("push of {text:?}"), super::stage::PATIENCE, |all| {
            all.iter().find(|arrived| arrived.device == cast.phone.name && arrived.text == text).cloned()
        })?;
        ensure!(it.conversation == direct && it.from == "alice" && it.title == "Alice", "{it:?}");
        Ok(())
    };
    cast.stage.rest();
    let mut mqtt = edge::join(&cast.stage.server, Version::V5, "alice")?;
    mqtt.publish(Publish::new(format!("conf/demo/chat/{direct}"), 1, "over MQTT"))?;
    told("over MQTT")?;
    cast.stage.rest();
    let endpoints = cast.stage.server.xmpp_endpoints()?;
    let (mut xmpp, _) = XmppClient::sign_in(&endpoints, Over::Tcp, "alice", &password("alice"), "desk")?;
    xmpp.send("<message to='bob@localhost' type='chat' id='x1'><body>over XMPP</body></message>")?;
    told("over XMPP")
}

// ---- Devices ----

fn devices(cast: &Cast) -> Result<()> {
    let direct = cast.direct()?;
    let (_, tablet) = cast.stage.reachable("bob", Provider::UnifiedPush)?;
    let listed = cast.stage.does(&cast.bob, "push.list", &json!({}))?;
    ensure!(listed["targets"].as_array().is_some_and(|all| all.len() == 2), "push.list answers {listed}");
    ensure!(!listed.to_string().contains("https://"), "push.list tells addresses: {listed}");
    cast.stage.rest();
    let said = cast.stage.say(&cast.alice, &direct, "on both")?;
    let (one, two) = (cast.stage.pushed(&cast.phone, &said)?, cast.stage.pushed(&tablet, &said)?);
    ensure!(one.collapse == two.collapse, "two collapse ids of one message");
    // The tablet is Carol's now.
    let carol = cast.stage.person("carol")?;
    cast.stage.does(&carol, "push.register", &tablet.registration())?;
    cast.stage.rest();
    let mark = cast.stage.mark();
    cast.stage.pushed(&cast.phone, &cast.stage.say(&cast.alice, &direct, "on one")?)?;
    cast.stage.nothing(mark, &tablet).context("a device that somebody else has now")?;
    cast.stage.does(&cast.bob, "push.unregister", &json!({"provider": "webpush", "endpoint": cast.phone.address}))?;
    let listed = cast.stage.does(&cast.bob, "push.list", &json!({}))?;
    ensure!(listed["targets"] == json!([]), "push.list answers {listed}");
    Ok(())
}

// ---- Clocks ----

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
