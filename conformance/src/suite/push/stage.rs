//! Where the stories play: a server that pushes to fake gateways, people who are away, and ways to see that a push came, or did not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::client::{Outcome, RpcError};
use crate::gateway::Gateways;
use crate::gateway::book::{Answer, Arrived, Device, Provider};
use crate::gateway::service::Service;
use crate::http;
use crate::script::password;
use crate::server::{Options, Server};
use crate::suite::load;

/// `push.grace_ms` in the stories.
pub const GRACE: Duration = Duration::from_millis(300);
/// `push.active_ms` in the stories: who did nothing for so long is away.
pub const ACTIVE: Duration = Duration::from_millis(400);
/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Server and gateways.
pub struct Stage {
    pub gateways: Gateways,
    pub server: Server,
    service: Option<Service>,
    /// Whom the warden writes to, to see that whatever came before is through.
    canary: Option<(Arc<Device>, String)>,
    next: AtomicU64,
}

/// Somebody.
#[derive(Debug, Clone)]
pub struct Person {
    pub uid: String,
    pub token: String,
}

/// A message that was acked.
#[derive(Debug, Clone)]
pub struct Said {
    pub conversation: String,
    pub seq: u64,
    pub id: String,
    pub text: String,
    /// When it was sent.
    pub at: Instant,
}

impl Stage {
    /// A server of demo mode with these lines in `[push]`.
    pub fn with(lines: &str) -> Result<Stage> {
        let gateways = Gateways::start()?;
        let config = gateways.config(lines);
        Stage::over(gateways, &config)
    }

    /// With the stories' times.
    pub fn set() -> Result<Stage> {
        Stage::with(&times())
    }

    /// A server with this configuration of push, before these gateways.
    pub fn over(gateways: Gateways, push: &str) -> Result<Stage> {
        let config = format!("[server]\nmode = \"demo\"\n{push}");
        let options =
            Options::new().without_rates().set("limits.registrations_per_minute_per_address", 0).set("limits.users_per_conference", 0);
        let server = Server::start(options.set("limits.sessions_per_user", 64).xmpp().config(&config))?;
        let mut stage = Stage { gateways, server, service: None, canary: None, next: AtomicU64::new(0) };
        let warden = stage.person("warden")?;
        let (canary, device) = stage.reachable("canary", Provider::Expo)?;
        stage.canary = Some((device, stage.direct(&warden, &canary)?));
        let key = stage.does(&warden, "push.key", &json!({}))?;
        stage.gateways.subscribe_for(key["webpush"].as_str().with_context(|| format!("no key in {key}"))?)?;
        Ok(stage)
    }

    /// With the XMPP push service.
    pub fn serve_xmpp(&mut self) -> Result<()> {
        self.service = Some(Service::start(&self.server, self.gateways.world())?);
        Ok(())
    }

    /// Everything was as the providers' documents have it, and the server ends well.
    pub fn end(mut self) -> Result<()> {
        if let Some(service) = self.service.take() {
            service.stop()?;
        }
        self.server.terminate()?;
        is_clean(&self.gateways)
    }

    // ---- People ----

    /// Somebody of this name.
    pub fn person(&self, uid: &str) -> Result<Person> {
        Ok(Person { uid: uid.to_owned(), token: load::token(&self.server, uid)? })
    }

    /// Somebody of the staff.
    pub fn staff(&self, uid: &str) -> Result<Person> {
        let (name, secret) = (http::display_name(uid), password(uid));
        self.server.cli_ok(&["user", "add", &format!("demo/{uid}"), "--role", "staff", "--name", &name, "--password", &secret])?;
        Ok(Person { uid: uid.to_owned(), token: http::login(self.server.http(), "demo", uid, &secret)? })
    }

    /// Somebody with a registered device of a provider.
    pub fn reachable(&self, uid: &str, provider: Provider) -> Result<(Person, Arc<Device>)> {
        let person = self.person(uid)?;
        let device = self.gateways.device(provider, &format!("{uid}'s {}", provider.word()));
        self.does(&person, "push.register", &device.registration())?;
        Ok((person, device))
    }

    /// A method, whatever comes of it.
    pub fn asks(&self, person: &Person, method: &str, params: &Value) -> Result<Outcome> {
        http::rpc(self.server.http(), &person.token, method, params)
    }

    /// A method that must not be refused.
    pub fn does(&self, person: &Person, method: &str, params: &Value) -> Result<Value> {
        self.asks(person, method, params)?.map_err(|error| anyhow!("{} was refused {method} {params}: {error}", person.uid))
    }

    /// A method that must be refused.
    pub fn is_refused(&self, person: &Person, method: &str, params: &Value) -> Result<RpcError> {
        match self.asks(person, method, params)? {
            Err(error) => Ok(error),
            Ok(answer) => Err(anyhow!("{} was allowed {method} {params}: {answer}", person.uid)),
        }
    }

    /// The conversation between two.
    pub fn direct(&self, one: &Person, two: &Person) -> Result<String> {
        let opened = self.does(one, "conversation.open", &json!({"with": two.uid}))?;
        Ok(opened["conversation"].as_str().with_context(|| format!("no conversation in {opened}"))?.to_owned())
    }

    /// A message.
    pub fn say(&self, person: &Person, conversation: &str, text: &str) -> Result<Said> {
        self.say_with(person, conversation, text, &json!({}))
    }

    /// A message with more than its text.
    pub fn say_with(&self, person: &Person, conversation: &str, text: &str, more: &Value) -> Result<Said> {
        let mut draft = load::draft(conversation, &self.fresh(), text);
        for (name, value) in more.as_object().into_iter().flatten() {
            draft[name] = value.clone();
        }
        let at = Instant::now();
        let ack = self.does(person, "message.send", &draft)?;
        Ok(Said {
            conversation: conversation.to_owned(),
            seq: ack["seq"].as_u64().with_context(|| format!("no seq in {ack}"))?,
            id: ack["id"].as_str().with_context(|| format!("no id in {ack}"))?.to_owned(),
            text: text.to_owned(),
            at,
        })
    }

    /// A new word.
    pub fn fresh(&self) -> String {
        format!("m{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    // ---- Time, and what it brings ----

    /// Everybody has been away for as long as it takes to count as away.
    pub fn rest(&self) {
        std::thread::sleep(ACTIVE + Duration::from_millis(100));
    }

    /// The push about this message on this device.
    pub fn pushed(&self, device: &Device, said: &Said) -> Result<Arrived> {
        let what = format!("push of {:?} on {}", said.text, device.name);
        self.gateways.book().wait(&what, PATIENCE, |all| {
            let is_it = |arrived: &&Arrived| arrived.device == device.name && is_about(arrived, said);
            all.iter().find(is_it).cloned()
        })
    }

    /// The push about a message to somebody who was there when it was decided: it comes when they have done nothing for as long as it takes to count
    /// as away, and not before.
    pub fn pushed_late(&self, device: &Device, said: &Said) -> Result<()> {
        let arrived = self.pushed(device, said)?;
        let soonest = said.at + GRACE + ACTIVE;
        ensure!(arrived.at >= soonest, "it came {:?} too early, while they were there", soonest - arrived.at);
        Ok(())
    }

    /// Waits until whatever a provider's gateway put off by so many seconds before is over: what is asked for later, for somebody else, has come.
    pub fn outlast(&self, provider: Provider, after_s: u64) -> Result<()> {
        let name = self.fresh();
        let (person, device) = self.reachable(&name, provider)?;
        self.gateways.script(&device, &[Answer::Throttle(Some(after_s))]);
        let warden = self.person("warden")?;
        let said = self.say(&warden, &self.direct(&warden, &person)?, &name)?;
        let within = PATIENCE + Duration::from_secs(after_s);
        self.gateways.book().wait("what was put off later than all else", within, |all| {
            let is_it = |arrived: &&Arrived| arrived.device == device.name && is_about(arrived, &said) && arrived.answer.is_accept();
            all.iter().find(is_it).map(drop)
        })
    }

    /// Where in what arrived one is, for [`Stage::only`].
    pub fn mark(&self) -> usize {
        self.gateways.book().count()
    }

    /// What arrived on the device since the mark, once it is certain that nothing more comes: two messages of later, one after the other, have come
    /// through elsewhere.
    pub fn since(&self, mark: usize, device: &Device) -> Result<Vec<Arrived>> {
        let (canary, direct) = self.canary.as_ref().context("no canary")?;
        let warden = self.person("warden")?;
        for _ in 0..2 {
            self.pushed(canary, &self.say(&warden, direct, &self.fresh())?)?;
        }
        let all = self.gateways.book().arrived(|_| true);
        Ok(all.into_iter().skip(mark).filter(|arrived| arrived.device == device.name).collect())
    }

    /// Nothing arrived on the device since the mark.
    pub fn nothing(&self, mark: usize, device: &Device) -> Result<()> {
        let since = self.since(mark, device)?;
        ensure!(since.is_empty(), "{} should not have been pushed to: {since:#?}", device.name);
        Ok(())
    }

    /// Exactly one arrived on the device since the mark: it.
    pub fn one(&self, mark: usize, device: &Device) -> Result<Arrived> {
        let mut since = self.since(mark, device)?;
        ensure!(since.len() == 1, "{} pushes instead of one to {}: {since:#?}", since.len(), device.name);
        since.pop().context("one")
    }
}

/// The stories' times as lines of `[push]`.
pub fn times() -> String {
    format!("grace_ms = {}\nactive_ms = {}", GRACE.as_millis(), ACTIVE.as_millis())
}

/// Whether a push is about this message; where a provider has no place for its number, by the text.
pub fn is_about(arrived: &Arrived, said: &Said) -> bool {
    match arrived.provider {
        Provider::Xmpp => arrived.text == said.text,
        _ => arrived.conversation == said.conversation && arrived.seq == said.seq,
    }
}

/// No rule was broken.
pub fn is_clean(gateways: &Gateways) -> Result<()> {
    let violations = gateways.book().violations();
    ensure!(violations.is_empty(), "{} violations, the first: {}", violations.len(), violations[0]);
    Ok(())
}
