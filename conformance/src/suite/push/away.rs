//! The story of each provider: away, back, read elsewhere, muted, without content.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::stage::{GRACE, Person, Said, Stage};
use crate::client::Client;
use crate::gateway::book::{Arrived, Device, Provider};
use crate::suite::Check;

/// All providers.
pub fn stories() -> Vec<Check<'static>> {
    let all = Provider::HTTPS.into_iter().chain([Provider::Xmpp]);
    all.map(|provider| Check::new(format!("push: away, back, read, muted, without content: {}", provider.word()), move || story(provider)))
        .collect()
}

fn story(provider: Provider) -> Result<String> {
    let mut stage = Stage::set()?;
    if provider == Provider::Xmpp {
        stage.serve_xmpp()?;
    }
    let alice = stage.person("alice")?;
    let (bob, phone) = stage.reachable("bob", provider)?;
    let direct = stage.direct(&alice, &bob)?;
    let first = pushed_once(&stage, &alice, &phone, &direct)?;
    one_by_one(&stage, &alice, &bob, &phone, &direct, &first)?;
    comes_back(&stage, &alice, &bob, &phone, &direct)?;
    reads_elsewhere(&stage, &alice, &bob, &phone, &direct)?;
    is_muted(&stage, &alice, &bob, &phone, &direct)?;
    wants_no_content(&stage, &alice, &bob, &phone, &direct)?;
    says_too_much(&stage, &alice, &phone, &direct)?;
    stage.end()?;
    Ok(String::new())
}

/// Away: exactly one push, after the grace, that says what there is to say.
fn pushed_once(stage: &Stage, alice: &Person, phone: &Device, direct: &str) -> Result<Arrived> {
    stage.rest();
    let mark = stage.mark();
    let said = stage.say(alice, direct, "Are you coming? 🎉")?;
    let arrived = stage.pushed(phone, &said)?;
    ensure!(arrived.at >= said.at + GRACE, "it came {:?} before the grace was over", said.at + GRACE - arrived.at);
    stage.one(mark, phone)?;
    is_whole(&arrived, &said, 1)?;
    Ok(arrived)
}

fn is_whole(arrived: &Arrived, said: &Said, unread: u64) -> Result<()> {
    ensure!(arrived.text == said.text, "the text is {:?}", arrived.text);
    ensure!(arrived.unread == unread, "{} unread instead of {unread}", arrived.unread);
    // XEP-0357's form has no place for the rest.
    if arrived.provider == Provider::Xmpp {
        return Ok(());
    }
    ensure!(arrived.id == said.id && arrived.seq == said.seq, "it is {} {}, not {} {}", arrived.seq, arrived.id, said.seq, said.id);
    ensure!(arrived.from == "alice", "it is from {:?}", arrived.from);
    ensure!(arrived.title == "Alice", "it is headed {:?}", arrived.title);
    ensure!(arrived.conference == "demo", "of the conference {:?}", arrived.conference);
    ensure!(arrived.is_urgent != Some(false), "a direct message is not urgent");
    Ok(())
}

/// Two messages in a row: what replaces each other is called the same, and another conversation otherwise.
fn one_by_one(stage: &Stage, alice: &Person, bob: &Person, phone: &Device, direct: &str, first: &Arrived) -> Result<()> {
    stage.rest();
    let second = stage.pushed(phone, &stage.say(alice, direct, "Well?")?)?;
    ensure!(second.collapse == first.collapse, "one collapses to {:?}, the next to {:?}", first.collapse, second.collapse);
    ensure!(second.unread == 2, "{} unread instead of 2", second.unread);
    let carol = stage.person("carol")?;
    let other = stage.direct(&carol, bob)?;
    stage.rest();
    let third = stage.pushed(phone, &stage.say(&carol, &other, "Hello")?)?;
    ensure!(third.provider == Provider::Xmpp || third.collapse != first.collapse, "two conversations collapse to {:?}", third.collapse);
    Ok(())
}

/// Somebody who does something before the grace is over is not pushed to then, but when they leave it at that.
fn comes_back(stage: &Stage, alice: &Person, bob: &Person, phone: &Device, direct: &str) -> Result<()> {
    stage.rest();
    let mark = stage.mark();
    let said = stage.say(alice, direct, "You are back, are you?")?;
    let laptop = Client::sign_in(stage.server.http(), &bob.token)?;
    stage.pushed_late(phone, &said).context("back before the grace was over, and away again")?;
    stage.one(mark, phone)?;
    laptop.close()?;
    Ok(())
}

fn reads_elsewhere(stage: &Stage, alice: &Person, bob: &Person, phone: &Device, direct: &str) -> Result<()> {
    stage.rest();
    let mark = stage.mark();
    let said = stage.say(alice, direct, "Read this at your desk")?;
    stage.does(bob, "conversation.read", &json!({"conversation": direct, "seq": said.seq}))?;
    stage.nothing(mark, phone).context("read elsewhere")?;
    stage.rest();
    let next = stage.pushed(phone, &stage.say(alice, direct, "And this")?)?;
    // XEP-0357 counts over all conversations: there is Carol's, too.
    let unread = if phone.provider == Provider::Xmpp { 2 } else { 1 };
    ensure!(next.unread == unread, "{} unread after reading all", next.unread);
    Ok(())
}

fn is_muted(stage: &Stage, alice: &Person, bob: &Person, phone: &Device, direct: &str) -> Result<()> {
    let set = stage.does(bob, "conversation.notify", &json!({"conversation": direct, "level": "none"}))?;
    ensure!(set["muted"] == true && set["level"] == "none", "conversation.notify answers {set}");
    stage.rest();
    let mark = stage.mark();
    stage.say(alice, direct, "Nobody hears this")?;
    stage.nothing(mark, phone).context("muted")?;
    let set = stage.does(bob, "conversation.notify", &json!({"conversation": direct, "level": "default"}))?;
    ensure!(set["muted"] == false, "conversation.notify answers {set}");
    Ok(())
}

fn wants_no_content(stage: &Stage, alice: &Person, bob: &Person, phone: &Device, direct: &str) -> Result<()> {
    let set = stage.does(bob, "push.settings", &json!({"content": false}))?;
    ensure!(set["content"] == false, "push.settings answers {set}");
    stage.rest();
    let mark = stage.mark();
    stage.say(alice, direct, "a very private word")?;
    // What says nothing is not found by its text.
    let arrived = stage.gateways.book().wait("push without content", super::stage::PATIENCE, |all| {
        all.iter().skip(mark).find(|arrived| arrived.device == phone.name).cloned()
    })?;
    // The conversation's id names both.
    for secret in ["private word", "Alice", "alice", direct] {
        ensure!(!arrived.raw.contains(secret), "{secret:?} is in {}", arrived.raw);
    }
    if phone.provider != Provider::Xmpp {
        ensure!(arrived.conversation.is_empty() && arrived.seq == 0 && arrived.id.is_empty() && arrived.from.is_empty(), "{arrived:?}");
        ensure!(!arrived.title.is_empty() && !arrived.text.is_empty(), "nothing to show: {arrived:?}");
    }
    stage.does(bob, "push.settings", &json!({"content": true}))?;
    stage.nothing(mark + 1, phone)
}

/// The longest text there is, of characters of all lengths: its beginning is told, within the provider's bounds.
fn says_too_much(stage: &Stage, alice: &Person, phone: &Device, direct: &str) -> Result<()> {
    stage.rest();
    let mark = stage.mark();
    let text = "a\"\\é…\n🎉".repeat(65_536 / 16);
    stage.say(alice, direct, &text)?;
    let arrived = stage.gateways.book().wait("push of a long text", super::stage::PATIENCE, |all| {
        all.iter().skip(mark).find(|arrived| arrived.device == phone.name).cloned()
    })?;
    let told = arrived.text.trim_end_matches('…');
    ensure!(told.len() > 200 && text.starts_with(told), "a long text is told as {:?}", arrived.text);
    Ok(())
}
