//! Those who are no longer there when a push would be sent: removed, erased, with another password, behind a restart.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::stage::{Person, Stage};
use crate::gateway::book::{Answer, Device, Provider};
use crate::http;
use crate::suite::Check;

/// All stories.
pub fn stories() -> Vec<Check<'static>> {
    vec![
        Check::new("push: removed from the conversation meanwhile", removed),
        Check::new("push: erased meanwhile", erased),
        Check::new("push: another password ends what was registered with the old one", another_password),
        Check::new("push: settings and devices outlive a restart", restarted),
    ]
}

fn cast() -> Result<(Stage, Person, Person, Arc<Device>)> {
    let stage = Stage::set()?;
    let alice = stage.person("alice")?;
    let (bob, phone) = stage.reachable("bob", Provider::WebPush)?;
    Ok((stage, alice, bob, phone))
}

fn removed() -> Result<String> {
    let (stage, alice, bob, phone) = cast()?;
    let group = json!({"kind": "group", "id": "dinner", "title": "Dinner", "members": ["bob"]});
    stage.does(&alice, "conversation.create", &group)?;
    stage.does(&bob, "conversation.join", &json!({"conversation": "dinner"}))?;
    stage.does(&bob, "conversation.notify", &json!({"conversation": "dinner", "level": "all"}))?;
    stage.rest();
    let mark = stage.mark();
    stage.say(&alice, "dinner", "not for Bob any more")?;
    stage.does(&alice, "conversation.remove", &json!({"conversation": "dinner", "user": "bob"}))?;
    stage.nothing(mark, &phone)?;
    stage.end()?;
    Ok(String::new())
}

fn erased() -> Result<String> {
    let (stage, alice, bob, phone) = cast()?;
    let direct = stage.direct(&alice, &bob)?;
    stage.gateways.script(&phone, &[Answer::Throttle(Some(2))]);
    stage.rest();
    stage.pushed(&phone, &stage.say(&alice, &direct, "one that waits")?)?;
    let mark = stage.mark();
    stage.does(&bob, "people.erase", &json!({}))?;
    // The one that waited was due meanwhile.
    stage.outlast(phone.provider, 2)?;
    stage.nothing(mark, &phone)?;
    let carol = stage.person("carol")?;
    stage.does(&carol, "push.register", &phone.registration()).context("the device of somebody who was erased")?;
    let other = stage.direct(&alice, &carol)?;
    stage.rest();
    stage.pushed(&phone, &stage.say(&alice, &other, "Carol's phone now")?)?;
    stage.end()?;
    Ok(String::new())
}

fn another_password() -> Result<String> {
    let (stage, alice, bob, phone) = cast()?;
    let direct = stage.direct(&alice, &bob)?;
    stage.server.cli_ok(&["user", "password", "demo/bob", "--password", "another-secret-1"])?;
    stage.rest();
    let mark = stage.mark();
    stage.say(&alice, &direct, "for whoever has the phone")?;
    stage.nothing(mark, &phone)?;
    let bob = Person { token: http::login(stage.server.http(), "demo", "bob", "another-secret-1")?, ..bob };
    let listed = stage.does(&bob, "push.list", &json!({}))?;
    ensure!(listed["targets"] == json!([]), "push.list answers {listed}");
    stage.end()?;
    Ok(String::new())
}

fn restarted() -> Result<String> {
    let (mut stage, alice, bob, phone) = cast()?;
    let (direct, carol) = (stage.direct(&alice, &bob)?, stage.person("carol")?);
    let muted = stage.direct(&carol, &bob)?;
    stage.does(&bob, "conversation.notify", &json!({"conversation": muted, "level": "none"}))?;
    let key = stage.does(&bob, "push.key", &json!({}))?;
    stage.rest();
    let mark = stage.mark();
    // Said before, pushed after: the grace is not over when the server ends.
    let said = stage.say(&alice, &direct, "before the restart")?;
    stage.server.terminate()?;
    stage.server.restart()?;
    ensure!(stage.does(&bob, "push.key", &json!({}))? == key, "another key: every browser would have to subscribe again");
    stage.pushed(&phone, &said)?;
    stage.say(&carol, &muted, "still muted")?;
    stage.one(mark, &phone)?;
    stage.end()?;
    Ok(String::new())
}
