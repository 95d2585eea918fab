//! What a measurement needs before it begins: a server, accounts with tokens, conversations.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use conformance::gateway::Gateways;
use conformance::gateway::book::Provider;
use conformance::server::{self, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http::{Post, post_all};
use crate::options::Options;

pub const PASSWORD: &str = "bench password";
/// Tokens in the accounts file are used again for this long; then everyone logs in anew.
const TOKENS_FRESH: Duration = Duration::from_secs(6 * 3600);
/// A start with much to replay is slow, and measuring that is the point.
const READY_WITHIN: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    pub uid: String,
    pub token: String,
}

/// A server as a load sees it: where it is, its process, and who can sign in.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    pub target: SocketAddr,
    pub pid: u32,
    pub accounts: &'a [Account],
}

/// A running server with accounts.
pub struct Stage {
    pub server: Server,
    pub accounts: Vec<Account>,
    gateways: Option<Gateways>,
}

impl Stage {
    /// Starts a server on `--data` or in a temporary directory, with `settings` and then those of the command line, and
    /// sees to it that `accounts` accounts are there.
    pub fn start(options: &Options, settings: &[(&str, &str)], accounts: usize) -> Result<Stage> {
        Stage::start_on(server::Options::new(), options, settings, accounts)
    }

    /// The same with what the server is started with besides.
    pub fn start_on(server: server::Options, options: &Options, settings: &[(&str, &str)], accounts: usize) -> Result<Stage> {
        // The quota for registrations is for people; 10,000 accounts in a minute are not what is measured.
        let mut config = server.set("limits.registrations_per_minute_per_address", 0).ready_within(READY_WITHIN);
        let from_user =
            options.settings.iter().map(|setting| setting.split_once('=').with_context(|| format!("--set {setting} is not KEY=VALUE")));
        for pair in settings.iter().copied().map(Ok).chain(from_user) {
            let (key, value) = pair?;
            config = config.set(key, value);
        }
        if let Some(data) = &options.data {
            config = config.data(&std::path::absolute(data)?);
        }
        let gateways = options.push.then(Gateways::start).transpose()?;
        if let Some(gateways) = &gateways {
            config = config.config(&format!("[server]\nmode = \"demo\"\n{}", gateways.config("")));
        }
        let server = Server::start(config)?;
        let accounts = accounts_of(&server, accounts_file(options), accounts)?;
        let stage = Stage { server, accounts, gateways };
        stage.register_targets()?;
        Ok(stage)
    }

    /// A push target for each account, with `--push`.
    fn register_targets(&self) -> Result<()> {
        let Some(gateways) = &self.gateways else {
            return Ok(());
        };
        let register = |account: &Account| {
            let device = gateways.device(Provider::Webhook, &account.uid);
            self.rpc(account, "push.register", &device.registration())
        };
        let posts: Vec<Post> = self.accounts.iter().map(register).collect();
        self.done(&posts).map(drop)
    }

    /// What notes say of pushes.
    pub fn push_note(&self) -> String {
        match &self.gateways {
            None => "no push targets".into(),
            Some(gateways) => format!("a push target each, {} pushes", gateways.book().count()),
        }
    }

    pub fn target(&self) -> SocketAddr {
        self.server.http()
    }

    pub fn served(&self) -> Result<Served<'_>> {
        Ok(Served { target: self.target(), pid: self.server.pid()?, accounts: &self.accounts })
    }

    /// A direct conversation for accounts 0 and 1, 2 and 3, …; their ids.
    pub fn direct_chats(&self, chats: usize) -> Result<Vec<String>> {
        let posts: Vec<Post> = self
            .accounts
            .chunks_exact(2)
            .take(chats)
            .map(|pair| self.rpc(&pair[0], "conversation.open", &json!({ "with": pair[1].uid })))
            .collect();
        self.conversations(&posts)
    }

    /// A group of its own for each of the first accounts; their ids.
    pub fn groups(&self, groups: usize) -> Result<Vec<String>> {
        let posts: Vec<Post> = self.accounts[..groups]
            .iter()
            .map(|owner| self.rpc(owner, "conversation.create", &json!({ "kind": "group", "title": "bench" })))
            .collect();
        self.conversations(&posts)
    }

    /// Makes accounts members of a channel, so that no membership events fall into the measurement.
    pub fn join(&self, conversation: &str, accounts: &[Account]) -> Result<()> {
        let posts: Vec<Post> =
            accounts.iter().map(|account| self.rpc(account, "conversation.join", &json!({ "conversation": conversation }))).collect();
        self.conversations(&posts).map(drop)
    }

    /// Channels `bench-0`, `bench-1`, …, made on the command line as an operator does; there already on used data.
    pub fn channels(&self, channels: usize) -> Result<Vec<String>> {
        let ids: Vec<String> = (0..channels).map(|channel| format!("bench-{channel}")).collect();
        for id in &ids {
            let output = self.server.cli(&["channel", "add", &format!("demo/{id}")])?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            let is_there = output.status.success() || stderr.contains("taken") || stderr.contains("exists");
            ensure!(is_there, "'hallway channel add demo/{id}' ended with {}: {stderr}", output.status);
        }
        Ok(ids)
    }

    /// A request of an account, for [`Stage::done`].
    pub fn rpc(&self, account: &Account, method: &str, params: &Value) -> Post {
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        Post { path: "/rpc", token: Some(account.token.clone()), body }
    }

    fn conversations(&self, posts: &[Post]) -> Result<Vec<String>> {
        let conversation = |result: Value| result["conversation"].as_str().map(str::to_owned).context("an answer without a conversation");
        self.done(posts)?.into_iter().map(conversation).collect()
    }

    /// Requests none of which may be refused; their results.
    pub fn done(&self, posts: &[Post]) -> Result<Vec<Value>> {
        post_all(self.target(), posts)?
            .into_iter()
            .map(|(status, mut answer)| match answer["result"].take() {
                Value::Null => bail!("{}: status {status}, {answer}", posts[0].body["method"]),
                result => Ok(result),
            })
            .collect()
    }
}

/// The login request of an account.
pub fn login(uid: &str) -> Post {
    let body = json!({ "conference": "demo", "uid": uid, "password": PASSWORD });
    Post { path: "/api/login", token: None, body }
}

/// Beside the data, not in it: the directory is the server's.
fn accounts_file(options: &Options) -> Option<PathBuf> {
    let data = options.data.as_ref()?;
    let mut name = data.file_name()?.to_owned();
    name.push(".bench-accounts.json");
    Some(data.with_file_name(name))
}

fn accounts_of(server: &Server, file: Option<PathBuf>, wanted: usize) -> Result<Vec<Account>> {
    let mut accounts = file.as_ref().map_or_else(Vec::new, remembered);
    if accounts.len() < wanted {
        accounts.extend(sign_up(server.http(), accounts.len()..wanted)?);
        if let Some(file) = &file {
            fs::write(file, serde_json::to_vec(&accounts)?)?;
        }
    }
    Ok(accounts)
}

fn remembered(file: &PathBuf) -> Vec<Account> {
    let age = fs::metadata(file).and_then(|meta| meta.modified()).ok().and_then(|written| written.elapsed().ok());
    if age.is_none_or(|age| age > TOKENS_FRESH) {
        return Vec::new();
    }
    fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Registers the accounts of these numbers; who is there already (used data) logs in.
fn sign_up(target: SocketAddr, numbers: std::ops::Range<usize>) -> Result<Vec<Account>> {
    eprintln!("registering {} accounts …", numbers.len());
    let uids: Vec<String> = numbers.map(|number| format!("bench{number:05}")).collect();
    let register = |uid: &String| {
        let mut post = login(uid);
        post.path = "/api/register";
        post.body["name"] = json!(uid);
        post
    };
    let mut answers = post_all(target, &uids.iter().map(register).collect::<Vec<_>>())?;
    let there: Vec<usize> = (0..uids.len()).filter(|&index| answers[index].0 == 409).collect();
    let logins: Vec<Post> = there.iter().map(|&index| login(&uids[index])).collect();
    for (index, answer) in there.into_iter().zip(post_all(target, &logins)?) {
        answers[index] = answer;
    }
    uids.into_iter()
        .zip(answers)
        .map(|(uid, (status, answer))| match answer["token"].as_str() {
            Some(token) => Ok(Account { uid, token: token.to_owned() }),
            None => bail!("no account {uid}: status {status}, {answer}"),
        })
        .collect()
}
