//! Plays sentences against a server: keeps who is there, what was captured, and what everybody saw. What is done is here, what
//! is seen in `seeing`.

mod seeing;

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::actor::{Actor, Feed};
use super::deed::Deed;
use super::line::{self, WebSocket};
use super::pattern::{self, Vars};
use super::reasons::code_of;
use super::sentence::{Act, Body, Expected, HttpCall, Sentence, ServerDeed};
use crate::client::{ANSWER_WITHIN, ClientError, Outcome};
use crate::http::{self, Request, display_name};
use crate::server::{EXIT_WITHIN, Options, Server};
use crate::wire::WireError;

/// Somebody who is not connected now.
#[derive(Debug)]
struct Away {
    protocol: String,
    token: String,
}

/// What somebody saw on a connection that is over.
struct Memory {
    epoch: Value,
    feeds: BTreeMap<String, Feed>,
}

/// One scenario's server, people and captured values.
#[derive(Default)]
pub struct Stage {
    options: Options,
    server: Option<Server>,
    actors: BTreeMap<String, Actor>,
    away: HashMap<String, Away>,
    memories: Vec<Memory>,
    tokens: HashMap<String, String>,
    // Conferences of those who are not in `demo`.
    conferences: HashMap<String, String>,
    vars: Vars,
    counter: u64,
    has_fence: bool,
    // Erasure makes tombstones without deletion events.
    has_erased: bool,
}

impl Stage {
    /// Plays one sentence.
    ///
    /// # Errors
    /// What was expected, and what came.
    pub fn play(&mut self, sentence: &Sentence) -> Result<()> {
        if let Sentence::Setting(key, value) = sentence {
            ensure!(self.server.is_none(), "the server runs already");
            self.options = std::mem::take(&mut self.options).set(key, value);
            return Ok(());
        }
        self.ensure_server()?;
        match sentence {
            Sentence::Setting(..) => Ok(()),
            Sentence::Account { role, uid, conference } => self.account(role, uid, conference),
            Sentence::Server(deed) => self.server_deed(*deed),
            Sentence::StartFromBackup(file) => self.start_from_backup(file),
            Sentence::Operator { args, succeeds } => self.operator(args, *succeeds),
            Sentence::Http(call) => self.http_call(call),
            Sentence::Agree(conversation) => self.agree(conversation),
            Sentence::People(who, act) => {
                let who = if who.is_empty() { self.actors.keys().cloned().collect() } else { who.clone() };
                ensure!(!who.is_empty(), "nobody is here");
                who.iter().try_for_each(|name| self.act(name, act))
            }
        }
    }

    /// What the server wrote to stderr lately.
    #[must_use]
    pub fn server_log(&self) -> String {
        let Some(server) = &self.server else {
            return String::new();
        };
        format!("  the server's stderr ends with:\n{}", server.stderr_tail(15))
    }

    // ---- The server ----

    fn ensure_server(&mut self) -> Result<()> {
        if self.server.is_none() {
            let server = Server::start(self.options.clone())?;
            self.vars.insert("scratch".into(), json!(server.scratch()));
            self.server = Some(server);
            self.note_address();
        }
        Ok(())
    }

    fn server(&mut self) -> Result<&mut Server> {
        self.server.as_mut().context("no server")
    }

    fn note_address(&mut self) {
        if let Some(server) = &self.server {
            self.vars.insert("http".into(), json!(server.http().to_string()));
        }
    }

    fn server_deed(&mut self, deed: ServerDeed) -> Result<()> {
        match deed {
            ServerDeed::KilledAndRestarted => {
                self.server()?.kill()?;
                self.everybody_is_gone();
                self.server()?.restart()?;
            }
            ServerDeed::Restarted => {
                self.server()?.terminate()?;
                self.everybody_is_gone();
                self.server()?.restart()?;
            }
            ServerDeed::ToldToStop => self.server()?.signal_terminate()?,
            ServerDeed::Stopped => {
                let status = self.server()?.wait(EXIT_WITHIN)?;
                self.everybody_is_gone();
                ensure!(status.success(), "it ended with {status}");
            }
            ServerDeed::Started => self.server()?.restart()?,
        }
        self.note_address();
        Ok(())
    }

    fn start_from_backup(&mut self, file: &str) -> Result<()> {
        let file = pattern::fill_text(file, &self.vars)?;
        self.counter += 1;
        let directory = format!("restored-{}", self.counter);
        let server = self.server()?;
        server.set_data(&server.scratch().join(directory));
        server.cli_ok(&["restore", &file])?;
        server.restart()?;
        self.note_address();
        Ok(())
    }

    fn everybody_is_gone(&mut self) {
        for (_, actor) in std::mem::take(&mut self.actors) {
            self.send_away(actor);
        }
    }

    fn send_away(&mut self, actor: Actor) {
        let (protocol, token) = (actor.protocol.clone(), actor.token.clone());
        self.away.insert(actor.name.clone(), Away { protocol, token });
        self.memories.push(Memory { epoch: actor.epoch.clone(), feeds: actor.go_away() });
    }

    fn operator(&mut self, args: &[String], succeeds: bool) -> Result<()> {
        let args = args.iter().map(|arg| pattern::fill_text(arg, &self.vars)).collect::<Result<Vec<_>>>()?;
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = self.server()?.cli(&args)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() == succeeds, "the command ended with {}: {stderr}", output.status);
        self.vars.insert("output".into(), json!(String::from_utf8_lossy(&output.stdout).trim()));
        Ok(())
    }

    fn account(&mut self, role: &str, uid: &str, conference: &str) -> Result<()> {
        let (who, name) = (format!("{conference}/{uid}"), display_name(uid));
        self.server()?.cli_ok(&["user", "add", &who, "--role", role, "--name", &name, "--password", &password(uid)])?;
        self.conferences.insert(uid.to_owned(), conference.to_owned());
        Ok(())
    }

    // ---- HTTP ----

    fn http_call(&mut self, call: &HttpCall) -> Result<()> {
        let mut request = Request::new(&call.method, &pattern::fill_text(&call.path, &self.vars)?);
        match &call.body {
            Some(Body::Json(body)) => request = request.json(&pattern::fill(body, &self.vars)?),
            Some(Body::Text(text)) => request = request.body(text.clone().into_bytes()),
            None => {}
        }
        for (name, value) in &call.headers {
            request = request.header(name, &pattern::fill_text(value, &self.vars)?);
        }
        let response = request.send(self.server()?.http())?;
        ensure!(response.status() == call.status, "the status was {}: {}", response.status(), response.text());
        match &call.answer {
            Some(pattern) => self.expect_match(pattern, &response.json()?),
            None => Ok(()),
        }
    }

    fn expect_match(&mut self, pattern: &Value, value: &Value) -> Result<()> {
        let shown = || format!("\n  expected: {}\n  arrived:  {value}", pattern::show(pattern));
        pattern::matches(pattern, value, &mut self.vars).map_err(|error| anyhow!("{error}{}", shown()))
    }

    // ---- People ----

    fn act(&mut self, name: &str, act: &Act) -> Result<()> {
        match act {
            Act::SignIn(protocol) => self.sign_in(name, protocol),
            Act::NotLetIn(reason) => self.not_let_in(name, reason),
            Act::Connect(headers, refused) => self.connect(name, headers, *refused),
            Act::Say(text) => {
                let text = pattern::fill_text(text, &self.vars)?;
                Ok(self.actor(name)?.line().raw()?.send_text(&text)?)
            }
            Act::Hear(pattern) => {
                let heard = self.actor(name)?.line().raw()?.unclaimed(ANSWER_WITHIN)?;
                self.expect_match(pattern, &heard)
            }
            Act::GoAway => {
                let actor = self.actors.remove(name).with_context(|| format!("{name} is not here"))?;
                self.send_away(actor);
                Ok(())
            }
            Act::ComeBack => self.come_back(name),
            Act::Closed(code, text) => self.closed(name, *code, text.as_deref()),
            Act::See(sight) => self.see(name, sight),
            Act::SeeMany { count, conversation, from, text } => self.see_many(name, *count, conversation, from, text),
            Act::SeeNothing(conversation) => self.see_nothing(name, conversation.as_ref()),
            Act::Find(conversation, entries) => self.find(name, conversation, entries),
            Act::SendMany { count, conversation, text } => self.send_many(name, *count, conversation, text),
            Act::Do(deed, expected) => self.perform(name, deed, expected),
        }
    }

    fn actor(&mut self, name: &str) -> Result<&mut Actor> {
        self.actors.get_mut(name).with_context(|| format!("{name} is not here"))
    }

    /// The token of a person, who registers when nobody made the account.
    fn token_of(&mut self, uid: &str) -> Result<String> {
        if let Some(token) = self.tokens.get(uid) {
            return Ok(token.clone());
        }
        let to = self.server()?.http();
        let token = match self.conferences.get(uid) {
            Some(conference) => http::login(to, conference, uid, &password(uid))?,
            None => http::register(to, uid, &password(uid))?,
        };
        self.tokens.insert(uid.to_owned(), token.clone());
        self.vars.insert(format!("token_{uid}"), json!(token));
        Ok(token)
    }

    fn sign_in(&mut self, name: &str, protocol: &str) -> Result<()> {
        ensure!(!self.actors.contains_key(name), "{name} is here already");
        let uid = name.split('/').next().unwrap_or(name);
        let token = self.token_of(uid)?;
        self.enter(name, protocol, &token)
    }

    fn enter(&mut self, name: &str, protocol: &str, token: &str) -> Result<()> {
        let (line, hello) = line::sign_in(protocol, self.server()?.http(), token)?;
        let uid = name.split('/').next().unwrap_or(name);
        ensure!(protocol == "http" || hello["user"] == uid, "the hello names another user: {hello}");
        self.vars.insert(format!("session_{}", name.replace('/', "_")), hello["session"].clone());
        self.away.remove(name);
        self.actors.insert(name.to_owned(), Actor::new(name, protocol, token, line, &hello));
        Ok(())
    }

    fn come_back(&mut self, name: &str) -> Result<()> {
        let away = self.away.get(name).with_context(|| format!("{name} has not been here"))?;
        let (protocol, token) = (away.protocol.clone(), away.token.clone());
        self.enter(name, &protocol, &token)
    }

    fn not_let_in(&mut self, name: &str, reason: &str) -> Result<()> {
        let token = self.token_of(name.split('/').next().unwrap_or(name))?;
        match line::sign_in("ws", self.server()?.http(), &token) {
            Ok((_, hello)) => bail!("{name} was let in: {hello}"),
            Err(error) => match error.downcast_ref() {
                Some(ClientError::Refused(_, refusal)) => expect_reason(&Err(refusal.clone()), reason).map(drop),
                _ => Err(error),
            },
        }
    }

    fn connect(&mut self, name: &str, headers: &[(String, String)], refused: Option<u16>) -> Result<()> {
        let filled = headers.iter().map(|(name, value)| Ok((name.clone(), pattern::fill_text(value, &self.vars)?)));
        let headers = filled.collect::<Result<Vec<_>>>()?;
        match (WebSocket::open(self.server()?.http(), &headers), refused) {
            (Ok(line), None) => {
                let actor = Actor::new(name, "ws", "", Box::new(line), &Value::Null);
                self.actors.insert(name.to_owned(), actor);
                Ok(())
            }
            (Err(ClientError::Upgrade(WireError::Refused(status), _)), Some(expected)) if status == expected => Ok(()),
            (Ok(_), Some(expected)) => {
                bail!("the upgrade was accepted, expected status {expected}")
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    fn closed(&mut self, name: &str, code: u16, text: Option<&str>) -> Result<()> {
        let (was, why) = self.actor(name)?.line().raw()?.expect_close(ANSWER_WITHIN)?;
        ensure!(was == code, "closed with {was} {why:?}");
        ensure!(text.is_none_or(|text| text == why), "the text was {why:?}");
        let actor = self.actors.remove(name).context("nobody")?;
        self.send_away(actor);
        Ok(())
    }

    // ---- Doing ----

    fn perform(&mut self, name: &str, deed: &Deed, expected: &Expected) -> Result<()> {
        self.counter += 1;
        self.vars.insert("auto".into(), json!(format!("auto-{}", self.counter)));
        let params = pattern::fill(&deed.params, &self.vars)?;
        self.has_erased |= deed.method == "people.erase";
        let outcome = self.actor(name)?.call(&deed.method, &params)?;
        match expected {
            Expected::Refusal(reason, data) => {
                let about = expect_reason(&outcome, reason)?;
                data.as_ref().map_or(Ok(()), |pattern| self.expect_match(pattern, &about))
            }
            Expected::Result(wanted) => {
                let result = outcome.map_err(|error| anyhow!("it was refused: {error}"))?;
                if let Some(captured) = &deed.name {
                    self.capture_seq(captured, &result)?;
                }
                wanted.as_ref().map_or(Ok(()), |pattern| self.expect_match(pattern, &result))
            }
        }
    }

    /// A name's first answer counts: a retry must give the same.
    fn capture_seq(&mut self, name: &str, result: &Value) -> Result<()> {
        for (suffix, member) in [("", "seq"), ("_id", "id"), ("_ts", "ts")] {
            let value = result.get(member).with_context(|| format!("no {member} in {result}"))?.clone();
            let before = self.vars.entry(format!("{name}{suffix}")).or_insert_with(|| value.clone());
            ensure!(*before == value, "the {member} of '{name}' was {before}, and is now {value}");
        }
        Ok(())
    }

    fn send_many(&mut self, name: &str, count: usize, conversation: &Value, text: &str) -> Result<()> {
        let conversation = pattern::fill(conversation, &self.vars)?;
        let draft = |at: usize| json!({"conversation": conversation, "id": format!("{text} {at}"), "text": format!("{text} {at}")});
        let params: Vec<Value> = (1..=count).map(draft).collect();
        let outcomes = self.actor(name)?.line().call_all("message.send", &params)?;
        let mut last_seq = 0;
        for (at, outcome) in (1..).zip(outcomes) {
            let seq = outcome.map_err(|error| anyhow!("message {at} was refused: {error}"))?["seq"].as_u64().unwrap_or_default();
            ensure!(seq > last_seq, "message {at} has seq {seq}, after {last_seq}");
            last_seq = seq;
        }
        Ok(())
    }
}

fn expect_reason(outcome: &Outcome, reason: &str) -> Result<Value> {
    match outcome {
        Ok(result) => bail!("it was not refused: {result}"),
        Err(error) => {
            ensure!(error.reason == reason, "it was refused, but: {error}");
            let code = code_of(reason).with_context(|| format!("PROTOCOL.md knows no reason '{reason}'"))?;
            ensure!(error.code == code, "'{reason}' came with code {}, not {code}", error.code);
            ensure!(!error.message.is_empty(), "a refusal without a message");
            Ok(error.data.clone())
        }
    }
}

/// Everybody's password.
#[must_use]
pub fn password(uid: &str) -> String {
    format!("{uid}-secret-1")
}
