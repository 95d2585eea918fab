//! The commands that do one thing and end: over the control socket of the running server, or on the store itself when none runs.

mod badge;

mod push;

mod table;

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hallway_bridge::push::vapid;
use hallway_broker::backup::{self, BackupError};
use hallway_broker::canonical::time_text;
use hallway_broker::commit::StoreError;
use hallway_broker::control::socket::ControlClient;
use hallway_broker::control::{self, ConferenceLine, ControlError, ControlReply, ControlRequest, InviteLine, Secret};
use hallway_broker::hub::{Hub, OpenError};
use hallway_broker::log::LogError;
use hallway_broker::model::SignIn;
use hallway_broker::state::StateError;

use crate::cli::{ChannelCommand, ConferenceCommand, InviteCommand, OneShot, UserCommand, UserPath};
use crate::conferences::{self, ConferencesError, default_sign_in};
use crate::config::Loaded;
use crate::password::{self, PasswordError};
use crate::serve::{self, ServeError};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// There is no password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The control socket is there but cannot be used.
    #[error("cannot talk to the running server: {0}: run the command as the user that runs the server")]
    Socket(io::Error),
    /// The store is held by somebody who does not answer.
    #[error("{0}, which does not answer on its control socket: it may be starting or stopping, so try again in a moment")]
    Held(OpenError),
    /// The store does not open.
    #[error(transparent)]
    Open(OpenError),
    /// Configured conferences could not be made.
    #[error(transparent)]
    Conferences(#[from] ConferencesError),
    /// There is no store, and the command makes none.
    #[error("there is no data directory {path} yet: 'hallway' serves a new one, 'hallway user add' makes one; or name another with --data", path = .0.display())]
    NoData(PathBuf),
    /// The server must not run.
    #[error("a server runs on this data directory: stop it first")]
    ServerRuns,
    /// The check found something.
    #[error("the check found problems")]
    Problems,
    /// The configuration names something that cannot be used.
    #[error("the configuration: {0}")]
    Configuration(ServeError),
    /// A backup could not be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A path or stdout.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Prints every setting with its origin.
///
/// # Errors
/// Nobody reads it.
pub fn print_config(loaded: &Loaded) -> io::Result<()> {
    print(&format!("{}\n", loaded.all().join("\n")))
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Runs a command.
///
/// # Errors
/// What stood in its way, and what to do.
pub async fn run(loaded: &Loaded, command: OneShot) -> Result<(), CommandError> {
    match command {
        OneShot::User(UserCommand::List { conference }) => list_users(loaded, conference.as_str()).await,
        OneShot::Restore(file) => {
            nobody_serves(loaded).await?;
            report(&backup::restore(&loaded.config.store.path, &file, &options(loaded, false))?)?;
            tell_of_keys(&loaded.config.store.path);
            Ok(())
        }
        OneShot::Rebuild { accept_loss } => {
            nobody_serves(loaded).await?;
            report(&backup::rebuild(&loaded.config.store.path, &options(loaded, accept_loss))?)
        }
        OneShot::Check => check(loaded).await,
        OneShot::Push(command) => push::run(loaded, command).await,
        OneShot::User(command) => exchange(loaded, user_request(command)?).await,
        OneShot::Token(user) => {
            exchange(loaded, ControlRequest::Token { conference: user.conference.to_string(), uid: user.uid.to_string() }).await
        }
        OneShot::Invite(command) => exchange(loaded, invite_request(command)).await,
        OneShot::Conference(command) => exchange(loaded, conference_request(loaded, command)).await,
        OneShot::Channel(ChannelCommand::Add { channel, title, kind }) => {
            let (conference, conversation) = (channel.conference.to_string(), channel.conversation.to_string());
            exchange(loaded, ControlRequest::ChannelAdd { conference, conversation, title, kind }).await
        }
        OneShot::Badge(command) => badge::badges(loaded, command).await,
        OneShot::Reader(command) => badge::readers(loaded, command).await,
        OneShot::Attendees(command) => badge::attendees(loaded, command).await,
        OneShot::Leads(command) => badge::leads(loaded, command).await,
        OneShot::Backup(file) => exchange(loaded, ControlRequest::Backup { file: backup_file(file)? }).await,
        OneShot::Export(conference, file) => {
            exchange(loaded, ControlRequest::Export { conference: conference.to_string(), file: absolute(&file)? }).await
        }
    }
}

/// One request and its answer.
async fn exchange(loaded: &Loaded, request: ControlRequest) -> Result<(), CommandError> {
    let mut store = Store::reach(loaded, &request).await?;
    let reply = store.ask(request).await;
    store.leave();
    show(reply?)
}

fn user_request(command: UserCommand) -> Result<ControlRequest, PasswordError> {
    Ok(match command {
        UserCommand::Add { user: UserPath { conference, uid }, password, name, role } => {
            let password = Secret(password::read(&password)?);
            ControlRequest::UserAdd { conference: conference.to_string(), uid: uid.to_string(), password, name, role }
        }
        UserCommand::List { conference } => ControlRequest::UserList { conference: conference.to_string(), after: None },
        UserCommand::Remove { user: UserPath { conference, uid } } => {
            ControlRequest::UserRemove { conference: conference.to_string(), uid: uid.to_string() }
        }
        UserCommand::Password { user: UserPath { conference, uid }, password } => {
            let password = Secret(password::read(&password)?);
            ControlRequest::UserPassword { conference: conference.to_string(), uid: uid.to_string(), password }
        }
    })
}

fn invite_request(command: InviteCommand) -> ControlRequest {
    match command {
        InviteCommand::Add { conference, uses, days, role } => {
            ControlRequest::InviteAdd { conference: conference.to_string(), uses, days, role }
        }
        InviteCommand::List { conference } => ControlRequest::InviteList { conference: conference.to_string() },
        InviteCommand::Remove { conference, invite } => {
            ControlRequest::InviteRemove { conference: conference.to_string(), invite: Secret(invite) }
        }
    }
}

fn conference_request(loaded: &Loaded, command: ConferenceCommand) -> ControlRequest {
    match command {
        ConferenceCommand::Add { id, title, sign_in } => {
            let sign_in = sign_in.unwrap_or_else(|| default_sign_in(&loaded.config));
            ControlRequest::ConferenceAdd { conference: id.to_string(), title, sign_in }
        }
        ConferenceCommand::List => ControlRequest::ConferenceList,
        ConferenceCommand::Remove { id } => ControlRequest::ConferenceRemove { conference: id.to_string() },
    }
}

/// Whether it makes sense before there is anything: the first organiser is made before the server runs. A data directory that is
/// misspelt is an error everywhere else.
fn makes_a_store(request: &ControlRequest) -> bool {
    matches!(request, ControlRequest::UserAdd { .. } | ControlRequest::ConferenceAdd { .. } | ControlRequest::ChannelAdd { .. })
}

fn options(loaded: &Loaded, accept_loss: bool) -> backup::Options {
    backup::Options { cache_bytes: loaded.config.store.cache_bytes, accept_loss, ..backup::Options::default() }
}

/// The running server may have another working directory.
fn absolute(file: &Path) -> io::Result<PathBuf> {
    std::path::absolute(file)
}

/// A bare name stays one: it is for the data directory's `backups`.
fn backup_file(file: PathBuf) -> io::Result<PathBuf> {
    if file.components().count() == 1 { Ok(file) } else { absolute(&file) }
}

/// The store, through the server that runs on it or by itself.
enum Store {
    Served(ControlClient),
    Opened(Arc<Hub>),
}

impl Store {
    async fn reach(loaded: &Loaded, request: &ControlRequest) -> Result<Self, CommandError> {
        if let Some(client) = connect(loaded).await? {
            return Ok(Self::Served(client));
        }
        let path = &loaded.config.store.path;
        if !path.exists() {
            if !makes_a_store(request) {
                return Err(CommandError::NoData(path.clone()));
            }
            eprintln!("making a new data directory {}", path.display());
        }
        let hub = match serve::open(&loaded.config) {
            Ok(hub) => hub,
            Err(error) if is_locked(&error) => return Err(CommandError::Held(error)),
            Err(error) => return Err(CommandError::Open(error)),
        };
        hub.set_badge_formats(hallway_bridge::badge::formats());
        // Who begins with a conference of their own wants no demo.
        let demo = !matches!(request, ControlRequest::ConferenceAdd { .. });
        if let Err(error) = conferences::ensure(&hub, &loaded.config, demo).await {
            hub.close();
            return Err(error.into());
        }
        Ok(Self::Opened(hub))
    }

    async fn ask(&mut self, request: ControlRequest) -> Result<ControlReply, ControlError> {
        match self {
            Self::Served(client) => client.ask(&request).await,
            Self::Opened(hub) => control::handle(hub, request).await,
        }
    }

    fn leave(self) {
        if let Self::Opened(hub) = self {
            hub.close();
        }
    }
}

async fn connect(loaded: &Loaded) -> Result<Option<ControlClient>, CommandError> {
    ControlClient::connect(&loaded.config.store.path).await.map_err(CommandError::Socket)
}

fn is_locked(error: &OpenError) -> bool {
    match error {
        OpenError::Store(StoreError::Log(LogError::Locked(_)) | StoreError::State(StateError::Locked(_))) => true,
        OpenError::Backup(error) => matches!(error, BackupError::InUse(_)),
        _ => false,
    }
}

/// Restoring into a directory that is not there is fine, under a running server it is not.
async fn nobody_serves(loaded: &Loaded) -> Result<(), CommandError> {
    if connect(loaded).await?.is_some() { Err(CommandError::ServerRuns) } else { Ok(()) }
}

async fn list_users(loaded: &Loaded, conference: &str) -> Result<(), CommandError> {
    let page = |after: Option<String>| ControlRequest::UserList { conference: conference.to_owned(), after };
    let mut store = Store::reach(loaded, &page(None)).await?;
    let mut after = None;
    let listed = loop {
        match store.ask(page(after.take())).await {
            Ok(ControlReply::Users { users, complete }) => {
                after = users.last().map(|user| user.uid.clone());
                show(ControlReply::Users { users, complete })?;
                if complete || after.is_none() {
                    break Ok(());
                }
            }
            Ok(_) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    store.leave();
    listed
}

/// Asks page by page: `take` takes one, and says after what the next one begins.
async fn all<A>(
    loaded: &Loaded,
    page: impl Fn(Option<A>) -> ControlRequest,
    mut take: impl FnMut(ControlReply) -> Option<A>,
) -> Result<(), CommandError> {
    let mut store = Store::reach(loaded, &page(None)).await?;
    let mut after = None;
    let done = loop {
        match store.ask(page(after.take())).await {
            Ok(reply) => match take(reply) {
                Some(next) => after = Some(next),
                None => break Ok(()),
            },
            Err(error) => break Err(error.into()),
        }
    };
    store.leave();
    done
}

async fn check(loaded: &Loaded) -> Result<(), CommandError> {
    serve::look(&loaded.config).map_err(CommandError::Configuration)?;
    print("configuration: all that it names can be used\n")?;
    match connect(loaded).await? {
        Some(mut client) => show(client.ask(&ControlRequest::Status).await?),
        None => {
            let found = backup::check(&loaded.config.store.path)?;
            print(&format!("{found}\n"))?;
            if found.is_good() { Ok(()) } else { Err(CommandError::Problems) }
        }
    }
}

/// Browsers subscribed with the server's key, which is in no backup: on another machine it is missing.
fn tell_of_keys(data_dir: &Path) {
    let key = vapid::file(data_dir);
    if !key.exists() {
        let name = key.file_name().unwrap_or_default().display();
        eprintln!(
            "no {name} is in backups: copy it from the old data directory to {} before the start, or all browsers have to subscribe to pushes anew",
            key.display()
        );
    }
}

/// Tells what was done on stderr: stdout is for what a command is asked for.
fn report(done: &impl fmt::Display) -> Result<(), CommandError> {
    eprintln!("{done}");
    Ok(())
}

fn show(reply: ControlReply) -> Result<(), CommandError> {
    match reply {
        ControlReply::Done => eprintln!("done"),
        ControlReply::Users { users, .. } => {
            let lines = users.iter().map(|user| format!("{}\t{}\t{}\n", user.uid, user.role, user.name));
            print(&lines.collect::<String>())?;
        }
        ControlReply::Conferences { conferences } => print(&conference_lines(&conferences))?,
        ControlReply::Invites { invites } => print(&invite_lines(&invites))?,
        ControlReply::Invite { code: token, .. } | ControlReply::Token { token, .. } => print(&format!("{}\n", token.0))?,
        // Shown page by page.
        ControlReply::Letters { .. } => {}
        ControlReply::Written { what } => eprintln!("{what}"),
        ControlReply::Imported { import } => print(&badge::import_text(import))?,
        // Asked for page by page.
        ControlReply::Badges { .. } | ControlReply::Readers { .. } | ControlReply::Table { .. } => {}
        ControlReply::Status { version, pid, conferences } => {
            print(&format!("hallway {version} runs as process {pid} with {conferences} conferences; stop it to check the store itself\n"))?;
        }
    }
    Ok(())
}

fn invite_lines(invites: &[InviteLine]) -> String {
    let mut lines = String::new();
    for line in invites {
        let InviteLine { invite, role, used, uses, expires_at_ms } = line;
        let uses = if *uses == 0 { "any".to_owned() } else { uses.to_string() };
        let expires = time_text(*expires_at_ms);
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{invite}\t{role}\t{used} of {uses}\t{expires}");
    }
    lines
}

fn conference_lines(conferences: &[ConferenceLine]) -> String {
    let mut lines = String::new();
    for line in conferences {
        let sign_in = match line.sign_in {
            SignIn::Open => "open",
            SignIn::Invite => "invite",
            SignIn::Password => "password",
            SignIn::Token => "token",
        };
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{}\t{sign_in}\t{}\t{}", line.conference, line.users, line.title);
    }
    lines
}
