//! A Jabber client that registers for push itself (XEP-0357 §4 and §6), at the push service of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::stage::{PATIENCE, Stage};
use crate::gateway::book::Provider;
use crate::gateway::service::JID;
use crate::script::password;
use crate::suite::Check;
use crate::xmpp::client::{Client, Over};
use crate::xmpp::element::escape;

const PUSH: &str = "urn:xmpp:push:0";
const OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
const SECRET: &str = "eruio234vzxc2kla-91";

/// The story.
pub fn stories() -> Vec<Check<'static>> {
    vec![Check::new("push: a Jabber client enables and disables it", || {
        let mut stage = Stage::set()?;
        stage.serve_xmpp()?;
        enables(&stage)?;
        stage.end()?;
        Ok(String::new())
    })]
}

fn enables(stage: &Stage) -> Result<()> {
    let (alice, bob) = (stage.person("alice")?, stage.person("bob")?);
    let phone = stage.gateways.device(Provider::Xmpp, "bob's node");
    let (mut client, jid) = Client::sign_in(&stage.server.xmpp_endpoints()?, Over::Tcp, "bob", &password("bob"), "phone")?;
    let bare = jid.split('/').next().unwrap_or_default();
    let info =
        client.ask("info", &format!("<iq type='get' id='info' to='{bare}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"))?;
    ensure!(info.to_string().contains(PUSH), "the account does not say that it can push (§3): {info}");
    let node = escape(&phone.name);
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{}{}</x>", field("FORM_TYPE", OPTIONS), field("secret", SECRET));
    let enabled =
        client.ask("on", &format!("<iq type='set' id='on'><enable xmlns='{PUSH}' jid='{JID}' node='{node}'>{form}</enable></iq>"))?;
    ensure!(enabled.attr("type") == Some("result"), "enable was answered by {enabled}");
    let direct = stage.direct(&alice, &bob)?;
    stage.rest();
    let said = stage.say(&alice, &direct, "to the app's server")?;
    let told = stage.pushed(&phone, &said)?;
    ensure!(told.raw.contains(SECRET) && told.raw.contains(OPTIONS), "without the publish options that were given: {}", told.raw);
    let disabled = client.ask("off", &format!("<iq type='set' id='off'><disable xmlns='{PUSH}' jid='{JID}' node='{node}'/></iq>"))?;
    ensure!(disabled.attr("type") == Some("result"), "disable was answered by {disabled}");
    let deadline = Instant::now() + PATIENCE;
    while stage.does(&bob, "push.list", &json!({}))?["targets"] != json!([]) {
        ensure!(Instant::now() < deadline, "disabled, and still in push.list");
        std::thread::sleep(Duration::from_millis(50));
    }
    for bad in [
        format!("<enable xmlns='{PUSH}'/>"),
        format!("<enable xmlns='{PUSH}' jid='@@' node='x'/>"),
        format!("<enable xmlns='{PUSH}' jid='{JID}' node='{}'/>", "n".repeat(5_000)),
    ] {
        let refused = client.ask("bad", &format!("<iq type='set' id='bad'>{bad}</iq>")).with_context(|| format!("{:.200}", bad))?;
        ensure!(refused.attr("type") == Some("error"), "{bad} was answered by {refused}");
    }
    Ok(())
}
